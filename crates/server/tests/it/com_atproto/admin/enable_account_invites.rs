//! `com.atproto.admin.enableAccountInvites`.

use allod_testkit::TestPds;
use serde_json::json;

use super::{account_info, nobody_else, wrong_post};
use crate::seen::refusal;

const NSID: &str = "com.atproto.admin.enableAccountInvites";

#[tokio::test]
async fn opens_them_again() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let body = json!({ "account": alice.did });
    pds.xrpc_post("com.atproto.admin.disableAccountInvites").admin().json(&body).send().await;
    let body = json!({ "account": alice.did, "note": "a mistake" });
    assert_eq!(pds.xrpc_post(NSID).admin().json(&body).send().await.status, 200);
    let info = account_info(&pds, &alice).await;
    assert_eq!((&info["invitesDisabled"], &info["inviteNote"]), (&json!(false), &json!("a mistake")));
}

#[tokio::test]
async fn refuses_others_and_the_unknown() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    nobody_else(&pds, || pds.xrpc_post(NSID).json(&json!({ "account": alice.did }))).await;
    wrong_post(&pds, NSID).await;
    let unknown = json!({ "account": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa" });
    let missing = refusal(404, "NotFound", "Account not found");
    assert_eq!(pds.xrpc_post(NSID).admin().json(&unknown).error().await, missing);
}
