//! `com.atproto.server.requestAccountDelete`.

use allod_testkit::TestPds;

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.server.requestAccountDelete";

#[tokio::test]
async fn mails_a_code() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    assert_eq!(pds.xrpc_post(NSID).bearer(&alice.access).send().await.status, 200);
    pds.code_mailed_to(&alice.email).await;
    assert_eq!(pds.mail().await.last().unwrap().subject, "Account Deletion Requested");
}

#[tokio::test]
async fn nothing_but_the_accounts_own_password_opens_it() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    assert_eq!(pds.xrpc_post(NSID).error().await, refusal(401, "AuthMissing", "Authentication Required"));
    let password = pds.app_password(&alice, "app", true).await;
    let app = pds.sign_in_with("alice", &password).await;
    assert_eq!(pds.xrpc_post(NSID).bearer(&app.access).error().await, refusal(400, "InvalidToken", "Bad token scope"));
    seen::take_down(&pds, &alice.did).await;
    assert_eq!(pds.xrpc_post(NSID).bearer(&alice.access).send().await.status, 401);
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
}
