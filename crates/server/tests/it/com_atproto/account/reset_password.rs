//! `com.atproto.account.resetPassword`.

use std::time::Duration;

use allod_testkit::TestPds;
use serde_json::json;

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.account.resetPassword";

#[tokio::test]
async fn does_what_its_successor_does() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let ask =
        || pds.xrpc_post("com.atproto.account.requestPasswordReset").json(&json!({ "email": alice.email })).send();
    let reset = |code: &str, password: &str| pds.xrpc_post(NSID).json(&json!({ "token": code, "password": password }));
    ask().await;
    let late = pds.code_mailed_to(&alice.email).await;
    pds.advance(Duration::from_mins(15));
    let expired = refusal(400, "ExpiredToken", "Token is expired");
    assert_eq!(reset(&late, "another password").error().await, expired);
    let invalid = refusal(400, "InvalidToken", "Token is invalid");
    assert_eq!(reset("AAAAA-AAAAA", "another password").error().await, invalid);
    ask().await;
    let code = pds.code_mailed_to(&alice.email).await;
    let length = refusal(400, "InvalidRequest", "Invalid password length.");
    assert_eq!(reset(&code, "short").error().await, length);
    assert_eq!(reset(&code, "another password").send().await.status, 200);
    pds.sign_in_with("alice", "another password").await;
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
}
