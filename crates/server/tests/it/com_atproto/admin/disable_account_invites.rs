//! `com.atproto.admin.disableAccountInvites`.

use allod_testkit::TestPds;
use serde_json::json;

use super::{account_info, nobody_else, wrong_post};
use crate::seen::refusal;

const NSID: &str = "com.atproto.admin.disableAccountInvites";

#[tokio::test]
async fn closes_what_the_account_has_and_keeps_the_note() {
    let pds = TestPds::options().invite_required().start().await;
    let alice = pds.account("alice").await;
    let body = json!({ "codeCount": 1, "useCount": 3, "forAccounts": [alice.did] });
    let made = pds.xrpc_post("com.atproto.server.createInviteCodes").admin().json(&body).ok().await;
    let code = made["codes"][0]["codes"][0].as_str().unwrap().to_owned();
    let close = json!({ "account": alice.did, "note": "sold codes" });
    assert_eq!(pds.xrpc_post(NSID).admin().json(&close).send().await.status, 200);
    let info = account_info(&pds, &alice).await;
    assert_eq!((&info["invitesDisabled"], &info["inviteNote"]), (&json!(true), &json!("sold codes")));
    let unusable = refusal(400, "InvalidInviteCode", "Provided invite code not available");
    for nsid in ["com.atproto.server.createAccount", "com.atproto.account.create"] {
        let body = json!({
            "handle": "bob.test", "email": "bob@example.com", "password": "password-of-bob", "inviteCode": code,
        });
        let body = if nsid.ends_with(".create") {
            json!({ "username": "bob.test", "handle": "bob.test", "email": "bob@example.com",
                "password": "password-of-bob", "inviteCode": code })
        } else {
            body
        };
        assert_eq!(pds.xrpc_post(nsid).json(&body).error().await, unusable, "{nsid}");
    }
}

#[tokio::test]
async fn refuses_others_the_unknown_and_long_notes() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let call = || pds.xrpc_post(NSID).json(&json!({ "account": alice.did }));
    nobody_else(&pds, call).await;
    wrong_post(&pds, NSID).await;
    let unknown = json!({ "account": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa" });
    let missing = refusal(404, "NotFound", "Account not found");
    assert_eq!(pds.xrpc_post(NSID).admin().json(&unknown).error().await, missing);
    let long = json!({ "account": alice.did, "note": "x".repeat(1_001) });
    let refused = pds.xrpc_post(NSID).admin().json(&long).error().await;
    assert_eq!(refused, refusal(400, "InvalidRequest", "a note has 1000 characters at the most"));
    assert_eq!(account_info(&pds, &alice).await["invitesDisabled"], false);
}
