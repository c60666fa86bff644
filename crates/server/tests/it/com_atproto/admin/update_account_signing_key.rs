//! `com.atproto.admin.updateAccountSigningKey`.

use std::time::Duration;

use allod_atproto::{crypto::Curve, frame::Message};
use allod_store::tables::signing_keys;
use allod_testkit::{Actor, Behaviour, Call, TestPds};
use serde_json::{Value, json};

use crate::{
    did_web, elsewhere,
    seen::{self, refusal},
};

const NSID: &str = "com.atproto.admin.updateAccountSigningKey";
const NOT_RESERVED: &str = "The signing key was not reserved here; com.atproto.server.reserveSigningKey gives one";

async fn reserved(pds: &TestPds, body: &Value) -> String {
    let reserved = pds.xrpc_post("com.atproto.server.reserveSigningKey").json(body).ok().await;
    reserved["signingKey"].as_str().unwrap().to_owned()
}

fn update(pds: &TestPds, actor: &Actor, key: &str) -> Call {
    pds.xrpc_post(NSID).admin().json(&json!({ "did": actor.did, "signingKey": key }))
}

async fn stored(pds: &TestPds, actor: &Actor) -> String {
    signing_keys::by_did(&*pds.app().db, &actor.did).await.unwrap().unwrap().did_key.to_string()
}

#[tokio::test]
async fn a_reserved_key_is_published_and_signs_from_then_on() {
    let pds = TestPds::start().await;
    // The check at the end knows one key of each account.
    pds.arranges_the_impossible();
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    for body in [json!({ "did": alice.did }), json!({})] {
        let key = reserved(&pds, &body).await;
        pds.advance(Duration::from_secs(1));
        let before = pds.events().await.len();
        assert_eq!(update(&pds, &alice, &key).send().await.status.as_u16(), 200);
        assert_eq!(stored(&pds, &alice).await, key);
        let document = pds.plc().document(alice.did.as_str()).await.unwrap();
        assert_eq!(
            format!("did:key:{}", document["verificationMethod"][0]["publicKeyMultibase"].as_str().unwrap()),
            key
        );
        let told: Vec<_> = pds.events().await.into_iter().skip(before).map(|(_, frame)| frame.message).collect();
        assert!(matches!(told.as_slice(), [Message::Identity(_), Message::Sync(_)]), "{told:?}");
        // Again changes nothing, and nobody else gets the key.
        let sent = pds.plc().submissions().len();
        assert_eq!(update(&pds, &alice, &key).send().await.status.as_u16(), 200);
        assert_eq!(update(&pds, &bob, &key).error().await, refusal(400, "InvalidRequest", NOT_RESERVED));
        assert_eq!(pds.plc().submissions().len(), sent);
    }
}

#[tokio::test]
async fn the_document_of_a_did_web_that_is_kept_here_follows() {
    let pds = did_web::options().start().await;
    // The check at the end knows one key of each account.
    pds.arranges_the_impossible();
    let alice = did_web::sign_up(&pds, "alice.test").await;
    let key = reserved(&pds, &json!({ "did": alice.did })).await;
    assert_eq!(update(&pds, &alice, &key).send().await.status.as_u16(), 200);
    assert_eq!(stored(&pds, &alice).await, key);
    let document = did_web::document_at(&pds, "alice.test").await.unwrap();
    assert_eq!(format!("did:key:{}", document["verificationMethod"][0]["publicKeyMultibase"].as_str().unwrap()), key);
    let bob = did_web::sign_up(&pds, "bob.test").await;
    assert_eq!(update(&pds, &bob, &key).error().await, refusal(400, "InvalidRequest", NOT_RESERVED));
}

#[tokio::test]
async fn a_key_that_is_not_here_or_for_another_is_refused() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let sent = pds.plc().submissions().len();
    let before = stored(&pds, &alice).await;
    let bobs = reserved(&pds, &json!({ "did": bob.did })).await;
    let unknown = elsewhere::key(Curve::K256, 9).did_key().to_string();
    for key in [&bobs, &unknown] {
        assert_eq!(update(&pds, &alice, key).error().await, refusal(400, "InvalidRequest", NOT_RESERVED));
    }
    for key in ["did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "did:key:zzz"] {
        assert_eq!(update(&pds, &alice, key).error().await.0, 400, "{key}");
    }
    let body = json!({ "did": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "signingKey": reserved(&pds, &json!({})).await });
    assert_eq!(pds.xrpc_post(NSID).admin().json(&body).error().await.0, 400);
    assert_eq!(pds.plc().submissions().len(), sent);
    assert_eq!(stored(&pds, &alice).await, before);
    // The directory's refusal leaves the account as it was.
    pds.plc().behave_on_submissions(Behaviour::Answer(400, "no".to_owned()));
    let key = reserved(&pds, &json!({})).await;
    assert_eq!(update(&pds, &alice, &key).error().await.0, 400);
    assert_eq!(stored(&pds, &alice).await, before);
}

#[tokio::test]
async fn the_operator_alone_does() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let body = json!({ "did": alice.did, "signingKey": reserved(&pds, &json!({})).await });
    assert_eq!(pds.xrpc_post(NSID).json(&body).error().await.0, 401);
    assert_eq!(pds.xrpc_post(NSID).bearer(&alice.access).json(&body).error().await.0, 401);
    seen::wrong_verb(pds.xrpc_get(NSID).admin(), "GET", "POST").await;
}
