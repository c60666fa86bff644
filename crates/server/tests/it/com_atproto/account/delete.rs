//! `com.atproto.account.delete`.

use std::time::Duration;

use allod_testkit::TestPds;

use crate::{
    deletion,
    seen::{self, refusal},
};

const NSID: &str = "com.atproto.account.delete";

#[tokio::test]
async fn deletes_the_account_of_a_fresh_sign_in() {
    let pds = TestPds::start().await;
    let alice = deletion::resident(&pds, "alice").await;
    pds.advance(Duration::from_mins(11));
    let old = refusal(401, "AuthenticationRequired", "Sign in again to delete the account");
    assert_eq!(pds.xrpc_post(NSID).bearer(&alice.access).error().await, old);
    let refreshed = pds.xrpc_post("com.atproto.server.refreshSession").bearer(&alice.refresh).ok().await;
    let refreshed = refreshed["accessJwt"].as_str().unwrap();
    assert_eq!(pds.xrpc_post(NSID).bearer(refreshed).error().await, old, "a refreshed token is no fresh sign-in");
    let again = pds.sign_in("alice").await;
    assert_eq!(pds.xrpc_post(NSID).bearer(&again.access).send().await.status, 200);
    deletion::is_gone(&pds, &alice).await;
}

#[tokio::test]
async fn nothing_but_the_accounts_own_password_opens_it() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    assert_eq!(pds.xrpc_post(NSID).error().await, refusal(401, "AuthMissing", "Authentication Required"));
    let password = pds.app_password(&alice, "app", true).await;
    let app = pds.sign_in_with("alice", &password).await;
    assert_eq!(pds.xrpc_post(NSID).bearer(&app.access).error().await, refusal(400, "InvalidToken", "Bad token scope"));
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
    pds.sign_in("alice").await;
}
