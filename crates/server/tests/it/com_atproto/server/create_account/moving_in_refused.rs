//! Who may not bring an identity: every way a service token and a document can be wrong.

use allod_atproto::{
    Did, Nsid,
    crypto::Curve,
    service_auth::{Audience, ServiceToken},
};
use allod_testkit::{Behaviour, TestPds};
use serde_json::{Value, json};

use super::{create, person, with};
use crate::{
    elsewhere::{Resident, START_SECS, key},
    seen::{self, Refusal, refusal},
};

fn moving(did: &Did) -> Value {
    with(person("alice"), "did", did.as_str())
}

async fn refused(pds: &TestPds, did: &Did, token: &str) -> Refusal {
    create(pds, &moving(did)).bearer(token).error().await
}

fn missing_auth(did: &Did) -> Refusal {
    refusal(401, "AuthenticationRequired", &format!("Missing auth to create account with did: {did}"))
}

#[tokio::test]
async fn whoever_shows_no_token_or_anothers() {
    let pds = TestPds::start().await;
    let (alice, mallory) = (Resident::new(&pds, 50).await, Resident::new(&pds, 60).await);
    assert_eq!(create(&pds, &moving(&alice.did)).error().await, missing_auth(&alice.did));
    assert_eq!(refused(&pds, &alice.did, &mallory.token(&pds)).await, missing_auth(&alice.did));
    let in_her_name = ServiceToken { iss: alice.did.clone(), ..mallory.claims(&pds) };
    let expected = refusal(401, "BadJwtSignature", "jwt signature does not match jwt issuer");
    assert_eq!(refused(&pds, &alice.did, &mallory.sign(&in_her_name)).await, expected);
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn a_token_for_something_else_or_another_time() {
    let pds = TestPds::start().await;
    let alice = Resident::new(&pds, 50).await;
    let right = alice.claims(&pds);
    let audience = |aud: &str| ServiceToken { aud: Audience::parse(aud).unwrap(), ..right.clone() };
    let method = |lxm: Option<&str>| ServiceToken { lxm: lxm.map(|lxm| Nsid::parse(lxm).unwrap()), ..right.clone() };
    let times = |iat: u64, exp: u64| ServiceToken { iat: Some(iat), exp, ..right.clone() };
    let wrong_audience = refusal(401, "BadJwtAudience", "jwt audience does not match service did");
    let wrong_method =
        refusal(401, "BadJwtLexiconMethod", "jwt lexicon method (\"lxm\") does not match the method called");
    let expired = refusal(401, "JwtExpired", "jwt expired");
    let cases = [
        (audience("did:web:elsewhere.test"), wrong_audience.clone()),
        (audience("did:web:localhost#atproto_pds"), wrong_audience),
        (method(Some("com.atproto.server.createSession")), wrong_method.clone()),
        (method(None), wrong_method),
        (times(START_SECS - 60, START_SECS), expired.clone()),
        (times(START_SECS - 600, START_SECS - 1), expired),
        (times(START_SECS + 61, START_SECS + 90), refusal(401, "BadJwt", "jwt is not valid yet")),
        (times(START_SECS, START_SECS + 3601), refusal(401, "BadJwt", "jwt has too long a lifetime")),
        (times(START_SECS, u64::MAX / 2), refusal(401, "BadJwt", "jwt has too long a lifetime")),
    ];
    for (claims, expected) in cases {
        assert_eq!(refused(&pds, &alice.did, &alice.sign(&claims)).await, expected, "{claims:?}");
    }
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn a_token_that_was_tampered_with() {
    let pds = TestPds::start().await;
    let alice = Resident::new(&pds, 50).await;
    let token = alice.token(&pds);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let none = data_encoding::BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"none"}"#);
    let hmac = data_encoding::BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"HS256"}"#);
    for wrong in [
        format!("{signed}."),
        signed.to_string(),
        format!("{signed}.{signature}="),
        format!("{signed}.{}", &signature[..signature.len() - 2]),
        format!("{none}.{payload}."),
        format!("{hmac}.{payload}.{signature}"),
        format!("{header}.{payload}x.{signature}"),
        format!("{header}..{signature}"),
        "x".repeat(9_000),
    ] {
        let (status, name, _) = refused(&pds, &alice.did, &wrong).await;
        assert!(status == 401 && (name == "BadJwt" || name == "BadJwtSignature"), "{wrong}: {status} {name}");
    }
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn a_did_that_can_not_be_resolved() {
    let pds = TestPds::start().await;
    let signing = key(Curve::K256, 50);
    let resident = Resident::new(&pds, 60).await;
    let unknown = |did: &str| {
        let did = Did::parse(did).unwrap();
        let claims = ServiceToken { iss: did.clone(), ..resident.claims(&pds) };
        (did, allod_atproto::service_auth::encode(&claims, &signing))
    };
    pds.network().page("https://broken.example.com/.well-known/did.json", 200, "{");
    pds.network().page("https://another.example.com/.well-known/did.json", 200, r#"{"id":"did:web:example.com"}"#);
    pds.network().page("https://huge.example.com/.well-known/did.json", 200, "x".repeat(70_000));
    pds.network().page("https://error.example.com/.well-known/did.json", 500, "");
    for did in [
        "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa",
        "did:plc:short",
        "did:web:nowhere.example.com",
        "did:web:broken.example.com",
        "did:web:another.example.com",
        "did:web:huge.example.com",
        "did:web:error.example.com",
        "did:web:example.com:path",
        "did:web:localhost",
        "did:web:127.0.0.1",
        "did:example:alice",
    ] {
        let (did, token) = unknown(did);
        let expected = refusal(400, "UnresolvableDid", &format!("Could not resolve DID: {did}"));
        assert_eq!(refused(&pds, &did, &token).await, expected);
        let (status, _, _) = create(&pds, &person("alice")).bearer(&token).error().await;
        assert_eq!(status, 400, "a token that nobody can check opens nothing");
        assert_eq!(refused(&pds, &resident.did, &token).await, missing_auth(&resident.did));
    }
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn while_the_directory_can_not_be_asked() {
    let pds = TestPds::start().await;
    let alice = Resident::new(&pds, 50).await;
    let expected = refusal(400, "UnresolvableDid", &format!("Could not resolve DID: {}", alice.did));
    for behaviour in [Behaviour::Down, Behaviour::Answer(500, "no".to_owned()), Behaviour::WorkAndDrop] {
        pds.plc().behave(behaviour.clone()).await;
        assert_eq!(refused(&pds, &alice.did, &alice.token(&pds)).await, expected, "{behaviour:?}");
    }
    pds.plc().behave(Behaviour::Work).await;
    create(&pds, &moving(&alice.did)).bearer(&alice.token(&pds)).ok().await;
}

#[tokio::test]
async fn a_document_without_a_usable_key() {
    let pds = TestPds::start().await;
    let expected = refusal(400, "IncompatibleDidDoc", "DID document has no usable atproto signing key");
    let resident = Resident::new(&pds, 50).await;
    let other = key(Curve::K256, 70).did_key();
    let method =
        |id: &str, key: &str| json!([{ "id": id, "type": "Multikey", "controller": "x", "publicKeyMultibase": key }]);
    for (name, methods) in [
        ("none", json!([])),
        ("another", method("#other", other.multibase())),
        ("garbage", method("#atproto", "znonsense")),
    ] {
        let did = Did::parse(&format!("did:web:{name}.example.com")).unwrap();
        let url = format!("https://{name}.example.com/.well-known/did.json");
        pds.network().page(&url, 200, json!({ "id": did, "verificationMethod": methods }).to_string());
        let claims = ServiceToken { iss: did.clone(), ..resident.claims(&pds) };
        let token = resident.sign(&claims);
        assert_eq!(refused(&pds, &did, &token).await, expected, "{name}");
        assert_eq!(create(&pds, &person("alice")).bearer(&token).error().await, expected, "{name}, without did");
    }
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn somebody_with_an_account_here() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let body = with(person("bob"), "did", alice.did.as_str());
    assert_eq!(create(&pds, &body).error().await, missing_auth(&alice.did));
}
