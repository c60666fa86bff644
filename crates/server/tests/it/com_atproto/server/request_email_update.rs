//! `com.atproto.server.requestEmailUpdate`.

use allod_testkit::TestPds;
use serde_json::json;

use super::confirm_email::confirmed;
use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.server.requestEmailUpdate";

#[tokio::test]
async fn a_code_is_needed_and_mailed_once_the_address_is_confirmed() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let ask = || pds.xrpc_post(NSID).bearer(&alice.access);
    assert_eq!(ask().ok().await, json!({ "tokenRequired": false }));
    pds.do_jobs().await;
    assert!(pds.mail().await.is_empty());
    confirmed(&pds, &alice).await;
    assert_eq!(ask().ok().await, json!({ "tokenRequired": true }));
    pds.code_mailed_to(&alice.email).await;
    assert_eq!(pds.mail().await.last().unwrap().subject, "Email Update Requested");
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
}
