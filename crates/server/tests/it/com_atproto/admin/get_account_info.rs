//! `com.atproto.admin.getAccountInfo`.

use allod_testkit::TestPds;
use serde_json::json;

use super::{account_info, nobody_else, wrong_get};
use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.admin.getAccountInfo";

#[tokio::test]
async fn tells_what_there_is_to_an_account_of_any_status() {
    let pds = TestPds::options().invite_required().start().await;
    let alice = pds.account("alice").await;
    let body = json!({ "codeCount": 1, "useCount": 2, "forAccounts": [alice.did] });
    pds.xrpc_post("com.atproto.server.createInviteCodes").admin().json(&body).ok().await;
    seen::take_down(&pds, &alice.did).await;
    let info = account_info(&pds, &alice).await;
    assert_eq!(info["handle"], "alice.test");
    assert_eq!(info["email"], alice.email);
    assert_eq!(info["invitedBy"]["forAccount"], "admin");
    assert_eq!(info["invitedBy"]["uses"][0]["usedBy"], alice.did.as_str());
    assert_eq!(info["invites"][0]["available"], 2);
    assert_eq!(info["invitesDisabled"], false);
    assert!(info.get("password").is_none() && info.get("passwordHash").is_none());
}

#[tokio::test]
async fn refuses_others_and_the_unknown() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    nobody_else(&pds, || pds.xrpc_get(NSID).param("did", &alice.did)).await;
    wrong_get(&pds, NSID).await;
    let unknown = pds.xrpc_get(NSID).admin().param("did", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa");
    assert_eq!(unknown.error().await, refusal(404, "NotFound", "Account not found"));
}
