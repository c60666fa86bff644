//! A rotation key of the person's own.

use allod_atproto::crypto::Curve;
use allod_testkit::TestPds;
use serde_json::Value;

use super::{created, did_of, person, refused, with};
use crate::{
    elsewhere::{directory, key},
    seen::{self, refusal},
};

async fn rotation_keys(pds: &TestPds, created: &Value) -> Vec<String> {
    let log = directory(pds).audit_log(&did_of(created)).await.unwrap().unwrap();
    let data = log[0].operation.data().unwrap();
    data.rotation_keys.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn comes_first_whatever_its_curve() {
    let pds = TestPds::start().await;
    let server = pds.app().rotation_key.did_key().to_string();
    assert_eq!(rotation_keys(&pds, &created(&pds, &person("alice")).await).await, std::slice::from_ref(&server));
    for (name, curve) in [("koblitz", Curve::K256), ("nist", Curve::P256)] {
        let own = key(curve, 7).did_key().to_string();
        let answer = created(&pds, &with(person(name), "recoveryKey", own.as_str())).await;
        assert_eq!(rotation_keys(&pds, &answer).await, [own, server.clone()], "{name}");
    }
}

#[tokio::test]
async fn the_operators_recovery_key_stands_between() {
    let operators = key(Curve::P256, 9).did_key();
    let configured = operators.clone();
    let options = TestPds::options().config(move |config| config.identity.recovery_key = Some(configured.clone()));
    let pds = options.start().await;
    let server = pds.app().rotation_key.did_key().to_string();
    let own = key(Curve::K256, 7).did_key().to_string();
    let answer = created(&pds, &with(person("alice"), "recoveryKey", own.as_str())).await;
    assert_eq!(rotation_keys(&pds, &answer).await, [own, operators.to_string(), server.clone()]);

    for (name, same) in [("bob", operators.to_string()), ("carol", String::new())] {
        let answer = created(&pds, &with(person(name), "recoveryKey", same)).await;
        assert_eq!(rotation_keys(&pds, &answer).await, [operators.to_string(), server.clone()], "{name}");
    }
}

#[tokio::test]
async fn that_is_none_is_refused_before_anything_happens() {
    let pds = TestPds::start().await;
    let message = "recoveryKey is not a did:key with a P-256 or K-256 public key";
    for wrong in [
        "x",
        "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa",
        "did:key:",
        "did:key:zabc",
        // An Ed25519 key.
        "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
    ] {
        let body = with(person("alice"), "recoveryKey", wrong);
        assert_eq!(refused(&pds, &body).await, refusal(400, "InvalidRequest", message), "{wrong}");
    }
    seen::nothing_happened(&pds).await;
}
