//! Who speaks for the moderation service.

use allod_atproto::{
    Did,
    crypto::{Curve, SigningKey},
};
use allod_testkit::{Actor, TestPds};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::{UPDATE, repo_ref};
use crate::elsewhere::{START_SECS, key};

const SERVICE: &str = "did:web:mod.example.com";

fn token(signed_with: &SigningKey, payload: &Value, kid: Option<&str>) -> String {
    let mut header = json!({ "alg": "ES256K", "typ": "JWT" });
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(&header), part(payload));
    let signature = signed_with.sign(signed.as_bytes());
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

async fn moderated() -> (TestPds, Actor) {
    let service = Did::parse(SERVICE).unwrap();
    let pds = TestPds::options().config(move |config| config.moderation_service_did = Some(service.clone()));
    let pds = pds.start().await;
    for (host, first) in [("mod.example.com", 1), ("other.example.com", 11)] {
        let did = format!("did:web:{host}");
        let method = |name: &str, number: u8| {
            let multibase = key(Curve::K256, number).did_key().to_string().replace("did:key:", "");
            json!({ "id": format!("{did}#{name}"), "type": "Multikey", "controller": did, "publicKeyMultibase": multibase })
        };
        let document = json!({
            "@context": ["https://www.w3.org/ns/did/v1"],
            "id": did,
            "verificationMethod": [method("atproto", first), method("atproto_label", first + 1)],
        });
        pds.network().page(&format!("https://{host}/.well-known/did.json"), 200, document.to_string());
    }
    let alice = pds.account("alice").await;
    (pds, alice)
}

fn payload(pds: &TestPds, issuer: &str) -> Value {
    json!({ "iss": issuer, "aud": pds.did(), "exp": START_SECS + 60, "iat": START_SECS, "lxm": UPDATE })
}

#[tokio::test]
async fn speaks_with_its_own_key_and_as_its_labeler_with_that_of_its_labels() {
    let (pds, alice) = moderated().await;
    let labeler = format!("{SERVICE}#atproto_labeler");
    let body = json!({ "subject": repo_ref(&alice), "takedown": { "applied": true } });
    for (issuer, number, kid) in [(SERVICE, 1, None), (&labeler, 2, None), (&labeler, 2, Some("#atproto_label"))] {
        let token = token(&key(Curve::K256, number), &payload(&pds, issuer), kid);
        pds.xrpc_post(UPDATE).bearer(&token).json(&body).ok().await;
    }
}

#[tokio::test]
async fn nobody_else_speaks_for_it() {
    let (pds, alice) = moderated().await;
    let body = json!({ "subject": repo_ref(&alice), "takedown": { "applied": true } });
    let labeler = format!("{SERVICE}#atproto_labeler");
    let changed = |issuer: &str, name: &str, value: Value| {
        let mut payload = payload(&pds, issuer);
        payload[name] = value;
        payload
    };
    for (number, payload, name) in [
        (2, payload(&pds, SERVICE), "BadJwtSignature"),
        (1, payload(&pds, &labeler), "BadJwtSignature"),
        (1, payload(&pds, &format!("{SERVICE}#other")), "UntrustedIss"),
        (11, payload(&pds, "did:web:other.example.com"), "UntrustedIss"),
        (1, payload(&pds, alice.did.as_str()), "UntrustedIss"),
        (1, changed(SERVICE, "lxm", json!("com.atproto.admin.getSubjectStatus")), "BadJwtLexiconMethod"),
        (1, changed(SERVICE, "lxm", Value::Null), "BadJwtLexiconMethod"),
        (1, changed(SERVICE, "aud", json!("did:web:elsewhere.example.com")), "BadJwtAudience"),
        (1, changed(SERVICE, "exp", json!(START_SECS - 1)), "JwtExpired"),
    ] {
        let token = token(&key(Curve::K256, number), &payload, None);
        let (status, error, message) = pds.xrpc_post(UPDATE).bearer(&token).json(&body).error().await;
        assert_eq!((status, error.as_str()), (401, name), "{payload}: {message}");
        if name == "UntrustedIss" {
            assert_eq!(message, "Untrusted issuer");
        }
    }
    let admin_only = "com.atproto.admin.updateAccountEmail";
    let token = token(&key(Curve::K256, 1), &changed(SERVICE, "lxm", json!(admin_only)), None);
    let change =
        pds.xrpc_post(admin_only).bearer(&token).json(&json!({ "account": alice.did, "email": "x@example.com" }));
    assert_eq!(change.error().await.0, 401);
    pds.sign_in("alice").await;
}
