//! `com.atproto.admin.updateAccountPassword`.

use allod_testkit::TestPds;
use serde_json::json;

use super::{nobody_else, wrong_post};
use crate::seen::refusal;

const NSID: &str = "com.atproto.admin.updateAccountPassword";

#[tokio::test]
async fn the_new_password_signs_in_and_nothing_old_does() {
    let mut pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let app_password = pds.app_password(&alice, "phone", false).await;
    let phone = pds.sign_in_with("alice", &app_password).await;
    let body = json!({ "did": alice.did, "password": "another-password" });
    assert_eq!(pds.xrpc_post(NSID).admin().json(&body).send().await.status, 200);
    for _ in 0..2 {
        for old in [&alice, &phone] {
            let revoked = refusal(400, "ExpiredToken", "Token has been revoked");
            let session = pds.xrpc_get("com.atproto.server.getSession").bearer(&old.access);
            assert_eq!(session.error().await, revoked);
            let refresh = pds.xrpc_post("com.atproto.server.refreshSession").bearer(&old.refresh);
            assert_eq!(refresh.error().await, revoked);
        }
        let body = json!({ "identifier": "alice.test", "password": alice.password });
        let wrong = refusal(401, "AuthenticationRequired", "Invalid identifier or password");
        assert_eq!(pds.xrpc_post("com.atproto.server.createSession").json(&body).error().await, wrong);
        pds.sign_in_with("alice", "another-password").await;
        pds.restart().await;
    }
}

#[tokio::test]
async fn refuses_others_the_unknown_and_short_passwords() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    nobody_else(&pds, || pds.xrpc_post(NSID).json(&json!({ "did": alice.did, "password": "another-password" }))).await;
    wrong_post(&pds, NSID).await;
    let unknown = json!({ "did": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "password": "another-password" });
    let missing = refusal(404, "NotFound", "Account not found");
    assert_eq!(pds.xrpc_post(NSID).admin().json(&unknown).error().await, missing);
    for password in ["short".to_owned(), "x".repeat(257)] {
        let body = json!({ "did": alice.did, "password": password });
        let refused = pds.xrpc_post(NSID).admin().json(&body).error().await;
        assert_eq!(refused, refusal(400, "InvalidRequest", "Invalid password length."));
    }
    pds.sign_in("alice").await;
}
