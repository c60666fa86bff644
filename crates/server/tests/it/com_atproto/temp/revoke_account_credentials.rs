//! `com.atproto.temp.revokeAccountCredentials`.

use allod_testkit::TestPds;
use serde_json::json;

use crate::{
    com_atproto::admin::nobody_else,
    seen::{self, refusal},
};

const NSID: &str = "com.atproto.temp.revokeAccountCredentials";

#[tokio::test]
async fn nothing_old_gets_in_and_a_reset_does() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let app_password = pds.app_password(&alice, "phone", false).await;
    let call = pds.xrpc_post(NSID).admin().json(&json!({ "account": "alice.test" }));
    assert_eq!(call.send().await.status, 200);
    let revoked = refusal(400, "ExpiredToken", "Token has been revoked");
    let session = pds.xrpc_get("com.atproto.server.getSession").bearer(&alice.access);
    assert_eq!(session.error().await, revoked);
    let wrong = refusal(401, "AuthenticationRequired", "Invalid identifier or password");
    for password in [&alice.password, &app_password] {
        let body = json!({ "identifier": "alice.test", "password": password });
        assert_eq!(pds.xrpc_post("com.atproto.server.createSession").json(&body).error().await, wrong);
    }
    let body = json!({ "did": alice.did, "password": "another-password" });
    pds.xrpc_post("com.atproto.admin.updateAccountPassword").admin().json(&body).send().await;
    pds.sign_in_with("alice", "another-password").await;
}

#[tokio::test]
async fn refuses_others_and_the_unknown() {
    let pds = TestPds::start().await;
    pds.account("alice").await;
    nobody_else(&pds, || pds.xrpc_post(NSID).json(&json!({ "account": "alice.test" }))).await;
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
    let missing = refusal(404, "NotFound", "Account not found");
    assert_eq!(pds.xrpc_post(NSID).admin().json(&json!({ "account": "nobody.test" })).error().await, missing);
}
