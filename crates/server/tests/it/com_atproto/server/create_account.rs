//! `com.atproto.server.createAccount`.

mod brought_operation;
mod captcha;
mod did_web;
mod events;
mod inputs;
mod invites;
mod malformed;
mod moving_in;
mod moving_in_refused;
mod owned_documents;
mod phone;
mod recovery_key;

use allod_atproto::{Did, did_doc::DidDocument};
use allod_testkit::{Call, TestPds, read_json};
use serde_json::{Value, json};

use crate::seen::{self, Refusal, refusal};

const NSID: &str = "com.atproto.server.createAccount";

/// What somebody of this name sends.
fn person(name: &str) -> Value {
    json!({ "handle": format!("{name}.test"), "email": format!("{name}@mail.test"), "password": "correct horse" })
}

/// The same with another field; null takes it out.
fn with(mut body: Value, field: &str, value: impl Into<Value>) -> Value {
    let value = value.into();
    if value.is_null() {
        body.as_object_mut().unwrap().remove(field);
    } else {
        body[field] = value;
    }
    body
}

fn create(pds: &TestPds, body: &Value) -> Call {
    pds.xrpc_post(NSID).json(body)
}

async fn created(pds: &TestPds, body: &Value) -> Value {
    create(pds, body).ok().await
}

async fn refused(pds: &TestPds, body: &Value) -> Refusal {
    create(pds, body).error().await
}

fn did_of(created: &Value) -> Did {
    Did::parse(created["did"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn answers_with_tokens_handle_did_and_its_document() {
    let pds = TestPds::start().await;
    let answer = created(&pds, &person("alice")).await;

    let mut fields: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["accessJwt", "did", "didDoc", "handle", "refreshJwt"]);
    assert_eq!(answer["handle"], "alice.test");
    let did = did_of(&answer);
    assert!(did.as_str().starts_with("did:plc:"));

    let document = DidDocument::from_json(answer["didDoc"].clone(), &did).unwrap();
    assert_eq!(document.handle().unwrap().as_str(), "alice.test");
    assert_eq!(document.pds_endpoint(), Some(pds.app().config.service.public_url.as_str()));
    assert!(document.signing_key().is_some());
    assert_eq!(pds.plc().document(did.as_str()).await.unwrap(), answer["didDoc"]);
    assert_eq!(pds.plc().genesis_operations(), 1);

    let session = pds.xrpc_get("com.atproto.server.getSession").bearer(answer["accessJwt"].as_str().unwrap());
    let session = session.ok().await;
    assert_eq!((&session["did"], &session["email"]), (&answer["did"], &json!("alice@mail.test")));
    let refresh = pds.xrpc_post("com.atproto.server.refreshSession").bearer(answer["refreshJwt"].as_str().unwrap());
    assert_eq!(refresh.ok().await["did"], answer["did"]);
    assert!(pds.mail().await.is_empty(), "signing up sends no mail");
}

#[tokio::test]
async fn every_account_has_a_key_of_its_own() {
    let pds = TestPds::start().await;
    let (alice, bob) = (created(&pds, &person("alice")).await, created(&pds, &person("bob")).await);
    let key = |answer: &Value| {
        DidDocument::from_json(answer["didDoc"].clone(), &did_of(answer)).unwrap().signing_key().unwrap()
    };
    assert_ne!(key(&alice), key(&bob));
    assert_ne!(key(&alice), pds.app().rotation_key.did_key());
    assert_ne!(alice["accessJwt"], bob["accessJwt"]);
}

#[tokio::test]
async fn only_a_service_token_or_nothing_is_a_credential() {
    let pds = TestPds::start().await;
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
    let cases = [
        (
            "Basic YWRtaW46YWRtaW4tb2YtdGhlLXRlc3Q=",
            refusal(401, "AuthenticationRequired", "Invalid authorization header"),
        ),
        ("DPoP abc", refusal(401, "AuthenticationRequired", "Invalid authorization header")),
        ("Digest abc", refusal(400, "InvalidToken", "Unsupported authorization type: Digest")),
        ("Bearer", refusal(400, "InvalidToken", "Malformed authorization header")),
        ("Bearer a b", refusal(400, "InvalidToken", "Malformed authorization header")),
        ("Bearer abc", refusal(401, "BadJwt", "poorly formatted jwt")),
        ("Bearer a.b.c", refusal(401, "BadJwt", "poorly formatted jwt")),
        ("Bearer e30.e30.", refusal(401, "BadJwt", "poorly formatted jwt")),
        ("Bearer .e30.AAAA", refusal(401, "BadJwt", "poorly formatted jwt")),
    ];
    for (credential, expected) in cases {
        let call = create(&pds, &person("alice")).header("authorization", credential);
        assert_eq!(call.error().await, expected, "{credential}");
    }
    let twice = create(&pds, &person("alice")).bearer("abc").header("authorization", "Bearer abc");
    assert_eq!(twice.error().await, refusal(400, "InvalidRequest", "More than one authorization header"));
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn a_session_does_not_open_another_account() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let expected = refusal(401, "BadJwtType", "jwt is not of the type of a service token");
    for token in [&alice.access, &alice.refresh] {
        assert_eq!(create(&pds, &person("bob")).bearer(token).error().await, expected);
    }
}

#[tokio::test]
async fn a_refused_credential_is_challenged_and_not_cached() {
    let pds = TestPds::start().await;
    let reply = create(&pds, &person("alice")).bearer("abc").send().await;
    assert_eq!(reply.headers["www-authenticate"], "Bearer");
    assert_eq!(reply.headers["cache-control"], "private");
    let reply = create(&pds, &person("alice")).send().await;
    assert_eq!((reply.status.as_u16(), &reply.headers["access-control-allow-origin"]), (200, &"*".parse().unwrap()));
}
