//! `com.atproto.identity.signPlcOperation`.

use std::time::Duration;

use allod_atproto::{
    crypto::Curve,
    plc::{Operation, UnsignedTombstone},
};
use allod_net::limits::LOOKUPS_PER_CLIENT_MAX;
use allod_testkit::{Actor, Call, TestPds};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::request_plc_operation_signature::NSID as REQUEST;
use crate::{
    elsewhere::{directory, key},
    seen::{self, refusal},
};

const NSID: &str = "com.atproto.identity.signPlcOperation";

fn sign(pds: &TestPds, actor: &Actor, body: &Value) -> Call {
    pds.xrpc_post(NSID).bearer(&actor.access).json(body)
}

/// Asks for a code and reads the mail.
pub(super) async fn code(pds: &TestPds, actor: &Actor) -> String {
    assert_eq!(pds.xrpc_post(REQUEST).bearer(&actor.access).send().await.status.as_u16(), 200);
    pds.code_mailed_to(&actor.email).await
}

#[tokio::test]
async fn an_owner_adds_a_recovery_key_of_their_own() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let before = directory(&pds).last_operation(&alice.did).await.unwrap().unwrap();
    let own = key(Curve::P256, 77).did_key();
    let keys = json!([own, pds.app().rotation_key.did_key()]);
    let body = json!({ "token": code(&pds, &alice).await, "rotationKeys": keys });
    let signed = sign(&pds, &alice, &body).ok().await["operation"].clone();
    assert_eq!(signed["rotationKeys"], keys);
    assert_eq!(signed["prev"], before.cid().to_string());
    for field in ["alsoKnownAs", "verificationMethods", "services"] {
        assert_eq!(signed[field], before.to_json()[field], "{field} was not asked to change");
    }
    let operation = Operation::parse(&signed).unwrap();
    operation.verify_signature(&[pds.app().rotation_key.did_key()]).unwrap();
    assert_eq!(directory(&pds).last_operation(&alice.did).await.unwrap().unwrap(), before, "nothing was sent");
    assert_eq!(sign(&pds, &alice, &body).error().await, refusal(400, "InvalidToken", "Token is invalid"));

    pds.advance(Duration::from_secs(1));
    let submit = pds.xrpc_post("com.atproto.identity.submitPlcOperation").bearer(&alice.access);
    assert_eq!(submit.json(&json!({ "operation": signed })).send().await.status.as_u16(), 200);
    assert_eq!(directory(&pds).last_operation(&alice.did).await.unwrap().unwrap(), operation);
}

#[tokio::test]
async fn a_code_signs_once() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let body = json!({ "token": code(&pds, &alice).await });
    let replies = join_all((0..LOOKUPS_PER_CLIENT_MAX).map(|_| sign(&pds, &alice, &body).send())).await;
    let signed = replies.iter().filter(|reply| reply.status.as_u16() == 200).count();
    assert!(signed <= 1, "{signed} were signed");
    assert!(replies.iter().all(|reply| reply.status.as_u16() < 500));
}

#[tokio::test]
async fn what_a_directory_would_not_take_is_not_signed() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let code = code(&pds, &alice).await;
    let keys: Vec<_> = (1..=6).map(|number| key(Curve::K256, number).did_key()).collect();
    for (field, value) in [
        ("rotationKeys", json!([])),
        ("rotationKeys", json!(keys)),
        ("rotationKeys", json!([keys[0], keys[0]])),
        ("rotationKeys", json!(["did:key:nonsense"])),
        ("alsoKnownAs", json!([format!("at://{}", "a".repeat(300))])),
        ("alsoKnownAs", json!(["at://a.test", "at://a.test"])),
        ("verificationMethods", json!({ "atproto": "nonsense" })),
        ("verificationMethods", json!([])),
        ("services", json!({ "atproto_pds": { "type": "x".repeat(300), "endpoint": "https://a.test" } })),
        ("services", json!({ "atproto_pds": "https://a.test" })),
        ("services", json!(5)),
    ] {
        let (status, name, message) = sign(&pds, &alice, &json!({ "token": code, field: value })).error().await;
        assert_eq!((status, name.as_str()), (400, "InvalidRequest"), "{field} {value}: {message}");
    }
    // None of it has used the code up.
    sign(&pds, &alice, &json!({ "token": code })).ok().await;
}

#[tokio::test]
async fn bad_requests_sign_nothing() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let missing = refusal(400, "InvalidRequest", "email confirmation token required to sign PLC operations");
    assert_eq!(sign(&pds, &alice, &json!({})).error().await, missing);
    assert_eq!(sign(&pds, &alice, &json!({ "token": "" })).error().await, missing);
    let invalid = refusal(400, "InvalidToken", "Token is invalid");
    assert_eq!(sign(&pds, &alice, &json!({ "token": "AAAAA-BBBBB" })).error().await, invalid);
    let alices = code(&pds, &alice).await;
    assert_eq!(sign(&pds, &bob, &json!({ "token": alices })).error().await, invalid, "somebody else's");
    pds.advance(Duration::from_mins(16));
    let expired = refusal(400, "ExpiredToken", "Token is expired");
    assert_eq!(sign(&pds, &alice, &json!({ "token": alices })).error().await, expired);

    let alices = code(&pds, &alice).await;
    let last = directory(&pds).last_operation(&alice.did).await.unwrap().unwrap();
    let tombstone = UnsignedTombstone { prev: last.cid() }.sign(&pds.app().rotation_key);
    directory(&pds).submit(&alice.did, &tombstone).await.unwrap();
    let ended = refusal(400, "InvalidRequest", "Did is tombstoned");
    assert_eq!(sign(&pds, &alice, &json!({ "token": alices })).error().await, ended);

    let token = pds.app_password(&bob, "app", true).await;
    let app = pds.sign_in_with("bob", &token).await;
    assert_eq!(sign(&pds, &app, &json!({ "token": "x" })).error().await.2, "Bad token scope");
    assert_eq!(pds.xrpc_post(NSID).json(&json!({})).error().await.1, "AuthMissing");
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
}
