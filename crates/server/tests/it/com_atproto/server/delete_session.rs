//! `com.atproto.server.deleteSession`.

use std::time::Duration;

use allod_testkit::{Reply, TestPds};
use serde_json::json;

use super::refresh_session::wrong_tokens;
use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.server.deleteSession";

async fn delete(pds: &TestPds, token: &str) -> Reply {
    pds.xrpc_post(NSID).bearer(token).send().await
}

#[tokio::test]
async fn ends_every_token_of_the_sign_in() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let next = pds.xrpc_post("com.atproto.server.refreshSession").bearer(&alice.refresh).ok().await;
    let body = json!({ "identifier": "alice.test", "password": alice.password });
    let other = pds.xrpc_post("com.atproto.server.createSession").json(&body).ok().await;

    // By a token that was replaced already: it is of the same sign-in.
    let reply = delete(&pds, &alice.refresh).await;
    assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, &b""[..]));

    let revoked = refusal(400, "ExpiredToken", "Token has been revoked");
    for access in [alice.access.as_str(), next["accessJwt"].as_str().unwrap()] {
        let session = pds.xrpc_get("com.atproto.server.getSession").bearer(access);
        assert_eq!(session.error().await, revoked, "an access token ends at once");
        let repo = pds.xrpc_get("com.atproto.sync.getRepo").param("did", &alice.did).bearer(access);
        assert_eq!(repo.error().await, revoked);
    }
    for refresh in [alice.refresh.as_str(), next["refreshJwt"].as_str().unwrap()] {
        assert_eq!(pds.xrpc_post("com.atproto.server.refreshSession").bearer(refresh).error().await, revoked);
    }
    let untouched = pds.xrpc_get("com.atproto.server.getSession").bearer(other["accessJwt"].as_str().unwrap());
    assert_eq!(untouched.ok().await["did"], alice.did.as_str());
}

#[tokio::test]
async fn again_or_late_it_is_done_already() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    for _ in 0..2 {
        assert_eq!(delete(&pds, &alice.refresh).await.status.as_u16(), 200);
    }
    pds.advance(Duration::from_hours(91 * 24));
    assert_eq!(delete(&pds, &bob.refresh).await.status.as_u16(), 200);
}

#[tokio::test]
async fn nothing_but_a_refresh_token_opens_it() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
    assert_eq!(pds.xrpc_post(NSID).error().await, refusal(401, "AuthMissing", "Authentication Required"));
    let other_kind = refusal(400, "InvalidToken", "Unexpected authorization type");
    assert_eq!(pds.xrpc_post(NSID).admin().error().await, other_kind);
    let not_ours = refusal(400, "InvalidToken", "Token could not be verified");
    for wrong in wrong_tokens(&alice.refresh).iter().chain([&alice.access]) {
        assert_eq!(pds.xrpc_post(NSID).bearer(wrong).error().await, not_ours, "{wrong}");
    }
    pds.xrpc_get("com.atproto.server.getSession").bearer(&alice.access).ok().await;
}
