//! A clock that is set back opens nothing that has ended, not even over a restart, and keeps nobody out.

use std::time::Duration;

use allod_atproto::service_auth::{Audience, ServiceToken, encode};
use allod_base::clock::Clock;
use allod_server::domain::keys::Purpose;
use allod_store::tables::signing_keys;
use allod_testkit::{Actor, TestPds};
use serde_json::json;

use crate::seen::refusal;

async fn who(pds: &TestPds, access: &str) -> (u16, String, String) {
    pds.xrpc_get("com.atproto.server.getSession").bearer(access).error().await
}

async fn upload(pds: &TestPds, token: &str) -> u16 {
    let call = pds.xrpc_post("com.atproto.repo.uploadBlob").bearer(token).body("text/plain", "some text");
    call.send().await.status.as_u16()
}

/// A token of the account's for uploads that lasts a minute.
async fn service_token(pds: &TestPds, actor: &Actor) -> String {
    let wrapped = signing_keys::by_did(&*pds.app().db, &actor.did).await.unwrap().unwrap();
    let key = pds.app().keyring.unwrap(&wrapped.wrapped, Purpose::Signing(&actor.did)).unwrap();
    let now = pds.clock().now_micros() / 1_000_000;
    let claims = ServiceToken {
        iss: actor.did.clone(),
        aud: Audience::from(pds.did().clone()),
        exp: now + 60,
        iat: Some(now),
        lxm: Some("com.atproto.repo.uploadBlob".parse().unwrap()),
        jti: Some("one".to_owned()),
        kid: None,
    };
    encode(&claims, &key)
}

#[tokio::test]
async fn what_has_expired_stays_expired() {
    let mut pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let token = service_token(&pds, &alice).await;
    assert_eq!(upload(&pds, &token).await, 200);
    pds.xrpc_post("com.atproto.server.requestPasswordReset").json(&json!({ "email": alice.email })).send().await;
    let code = pds.code_mailed_to(&alice.email).await;
    pds.advance(Duration::from_mins(121));
    let expired = refusal(400, "ExpiredToken", "Token has expired");
    assert_eq!(who(&pds, &alice.access).await, expired);
    pds.do_jobs().await;

    pds.clock().set_back(Duration::from_hours(2));
    for restarted in [false, true] {
        if restarted {
            pds.crash().await;
        }
        assert_eq!(who(&pds, &alice.access).await, expired, "restarted: {restarted}");
        assert_eq!(upload(&pds, &token).await, 401, "restarted: {restarted}");
        let body = json!({ "token": code, "password": "another password" });
        let reset = pds.xrpc_post("com.atproto.server.resetPassword").json(&body).error().await;
        assert_eq!(reset.1, "ExpiredToken", "restarted: {restarted}: {reset:?}");
        let again = pds.sign_in("alice").await;
        pds.xrpc_get("com.atproto.server.getSession").bearer(&again.access).ok().await;
        pds.xrpc_post("com.atproto.server.refreshSession").bearer(&again.refresh).ok().await;
    }
}

#[tokio::test]
async fn a_token_does_not_last_longer_for_a_clock_that_was_set_back() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    pds.xrpc_get("com.atproto.server.getSession").bearer(&alice.access).ok().await;
    pds.clock().set_back(Duration::from_hours(2));
    pds.advance(Duration::from_mins(119));
    pds.xrpc_get("com.atproto.server.getSession").bearer(&alice.access).ok().await;
    pds.advance(Duration::from_mins(1));
    assert_eq!(who(&pds, &alice.access).await.1, "ExpiredToken");
}
