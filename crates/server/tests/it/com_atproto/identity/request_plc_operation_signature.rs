//! `com.atproto.identity.requestPlcOperationSignature`.

use allod_testkit::TestPds;

use crate::seen::{self, refusal};

pub(super) const NSID: &str = "com.atproto.identity.requestPlcOperationSignature";

#[tokio::test]
async fn a_code_is_mailed_to_the_owner() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    assert_eq!(pds.xrpc_post(NSID).bearer(&alice.access).send().await.status.as_u16(), 200);
    assert!(!pds.code_mailed_to(&alice.email).await.is_empty());
    seen::take_down(&pds, &alice.did).await;
    let alice = seen::signed_in_after_takedown(&pds, alice).await;
    assert_eq!(pds.xrpc_post(NSID).bearer(&alice.access).send().await.status.as_u16(), 200, "to move out");
}

#[tokio::test]
async fn nobody_else_gets_one() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let token = pds.app_password(&alice, "app", true).await;
    let app = pds.sign_in_with("alice", &token).await;
    assert_eq!(pds.xrpc_post(NSID).bearer(&app.access).error().await, refusal(400, "InvalidToken", "Bad token scope"));
    assert_eq!(pds.xrpc_post(NSID).error().await, refusal(401, "AuthMissing", "Authentication Required"));
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
}
