//! `com.atproto.server.reserveSigningKey`.

use std::time::Duration;

use allod_atproto::crypto::DidKey;
use allod_testkit::TestPds;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.server.reserveSigningKey";

async fn reserve(pds: &TestPds, body: &Value) -> DidKey {
    let answer = pds.xrpc_post(NSID).json(body).ok().await;
    assert_eq!(answer.as_object().unwrap().len(), 1);
    DidKey::parse(answer["signingKey"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn gives_a_did_the_same_key_and_strangers_new_ones() {
    let pds = TestPds::start().await;
    let (alice, bob) =
        (json!({ "did": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa" }), json!({ "did": "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb" }));
    let first = reserve(&pds, &alice).await;
    assert_eq!(reserve(&pds, &alice).await, first);
    assert_ne!(reserve(&pds, &bob).await, first);
    assert_ne!(reserve(&pds, &json!({})).await, reserve(&pds, &json!({})).await);
    assert_ne!(first, pds.app().rotation_key.did_key());
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn many_at_once_for_one_did_get_one_key() {
    let pds = TestPds::start().await;
    let body = json!({ "did": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa" });
    let keys = join_all((0..20).map(|_| reserve(&pds, &body))).await;
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test]
async fn is_forgotten_after_a_week() {
    let mut pds = TestPds::start().await;
    let body = json!({ "did": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa" });
    let first = reserve(&pds, &body).await;
    pds.advance(Duration::from_secs(7 * 24 * 60 * 60 - 1));
    pds.restart().await;
    assert_eq!(reserve(&pds, &body).await, first);
    pds.advance(Duration::from_secs(1));
    assert_ne!(reserve(&pds, &body).await, first);
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let pds = TestPds::start().await;
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
    for (body, message) in [
        (json!({ "did": "alice" }), "Invalid DID (got \"alice\") at $.did"),
        (json!({ "did": 5 }), "Expected string value type (got 5) at $.did"),
        (json!([]), "Expected object value type (got []) at $"),
    ] {
        assert_eq!(pds.xrpc_post(NSID).json(&body).error().await, refusal(400, "InvalidRequest", message), "{body}");
    }
    let none = refusal(400, "InvalidRequest", "A request body is expected but none was provided");
    assert_eq!(pds.xrpc_post(NSID).error().await, none);
}
