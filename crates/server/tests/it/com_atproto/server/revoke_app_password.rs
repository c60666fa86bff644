//! `com.atproto.server.revokeAppPassword`.

use allod_testkit::TestPds;
use serde_json::json;

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.server.revokeAppPassword";

#[tokio::test]
async fn ends_its_sessions_at_once_and_for_good_and_no_others() {
    let mut pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let (phone, desk) = (pds.app_password(&alice, "phone", false).await, pds.app_password(&alice, "desk", false).await);
    let on_phone = [pds.sign_in_with("alice", &phone).await, pds.sign_in_with("alice", &phone).await];
    let on_desk = pds.sign_in_with("alice", &desk).await;
    let revoke = |pds: &TestPds| pds.xrpc_post(NSID).bearer(&alice.access).json(&json!({ "name": "phone" }));
    revoke(&pds).send().await;
    let revoked = refusal(400, "ExpiredToken", "Token has been revoked");
    for round in 0..2 {
        for app in &on_phone {
            let session = pds.xrpc_get("com.atproto.server.getSession").bearer(&app.access);
            assert_eq!(session.error().await, revoked, "{round}");
            let refresh = pds.xrpc_post("com.atproto.server.refreshSession").bearer(&app.refresh);
            assert_eq!(refresh.error().await, revoked, "{round}");
        }
        let body = json!({ "identifier": "alice.test", "password": phone });
        let sign_in = pds.xrpc_post("com.atproto.server.createSession").json(&body).error().await;
        assert_eq!(sign_in, refusal(401, "AuthenticationRequired", "Invalid identifier or password"));
        for token in [&on_desk.access, &alice.access] {
            pds.xrpc_get("com.atproto.server.getSession").bearer(token).ok().await;
        }
        pds.restart().await;
    }
    assert_eq!(revoke(&pds).send().await.status, 200, "what is revoked stays so");
}

#[tokio::test]
async fn nobody_else_revokes_one() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let password = pds.app_password(&alice, "phone", false).await;
    let body = json!({ "name": "phone" });
    assert_eq!(pds.xrpc_post(NSID).json(&body).error().await, refusal(401, "AuthMissing", "Authentication Required"));
    pds.xrpc_post(NSID).bearer(&bob.access).json(&body).send().await;
    pds.sign_in_with("alice", &password).await;
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
}
