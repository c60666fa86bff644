//! `com.atproto.identity.submitPlcOperation`.

use std::time::Duration;

use allod_atproto::{
    crypto::Curve,
    plc::{Service, UnsignedPlcOperation},
};
use allod_testkit::{Actor, Behaviour, Call, TestPds};
use serde_json::{Value, json};

use crate::{
    elsewhere::{directory, key},
    seen::{self, refusal},
};

const NSID: &str = "com.atproto.identity.submitPlcOperation";

fn submit(pds: &TestPds, actor: &Actor, operation: &Value) -> Call {
    pds.xrpc_post(NSID).bearer(&actor.access).json(&json!({ "operation": operation }))
}

/// The operation that would follow, unchanged, to be changed.
async fn next(pds: &TestPds, actor: &Actor) -> UnsignedPlcOperation {
    let last = directory(pds).last_operation(&actor.did).await.unwrap().unwrap();
    pds.advance(Duration::from_secs(1));
    UnsignedPlcOperation::from_data(last.data().unwrap(), Some(last.cid()))
}

#[tokio::test]
async fn an_operation_that_fits_is_sent_and_told_of() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let mut wanted = next(&pds, &alice).await;
    wanted.rotation_keys.insert(0, key(Curve::K256, 77).did_key());
    wanted.also_known_as.insert(0, "https://alice.example.com".to_owned());
    let operation = wanted.sign(&pds.app().rotation_key);
    assert_eq!(submit(&pds, &alice, &operation.to_json()).send().await.status.as_u16(), 200);
    assert_eq!(directory(&pds).last_operation(&alice.did).await.unwrap().unwrap(), operation);
    assert_eq!(seen::handles_told(&pds, &alice.did).await, ["alice.test", "alice.test"]);
    let document = pds.xrpc_get("com.atproto.identity.resolveDid").param("did", &alice.did).ok().await;
    assert_eq!(document["didDoc"]["alsoKnownAs"][0], "https://alice.example.com", "what was kept is refreshed");
    // Sent once more, as by somebody who did not get the answer.
    assert_eq!(submit(&pds, &alice, &operation.to_json()).send().await.status.as_u16(), 200);

    // From now on the server's key is not the first; it can change the identity all the same.
    let body = json!({ "handle": "liz.test" });
    pds.advance(Duration::from_secs(1));
    let update = pds.xrpc_post("com.atproto.identity.updateHandle").bearer(&alice.access).json(&body);
    assert_eq!(update.send().await.status.as_u16(), 200);
}

#[tokio::test]
async fn an_operation_that_would_break_the_account_is_not_sent() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let sent = pds.plc().submissions().len();
    let good = next(&pds, &alice).await;
    let changed = |change: &dyn Fn(&mut UnsignedPlcOperation)| {
        let mut operation = good.clone();
        change(&mut operation);
        operation.sign(&pds.app().rotation_key).to_json()
    };
    let other = key(Curve::K256, 77).did_key();
    let service = |kind: &str, endpoint: &str| Service { kind: kind.to_owned(), endpoint: endpoint.to_owned() };
    let here = pds.app().config.service.public_url.clone();
    for (operation, message) in [
        (changed(&|op| op.rotation_keys = vec![other.clone()]), "Rotation keys do not include server's rotation key"),
        (changed(&|op| op.services.clear()), "Incorrect type on atproto_pds service"),
        (
            changed(&|op| drop(op.services.insert("atproto_pds".to_owned(), service("Other", &here)))),
            "Incorrect type on atproto_pds service",
        ),
        (
            changed(&|op| {
                let elsewhere = service("AtprotoPersonalDataServer", "https://elsewhere.test");
                op.services.insert("atproto_pds".to_owned(), elsewhere);
            }),
            "Incorrect endpoint on atproto_pds service",
        ),
        (
            changed(&|op| drop(op.verification_methods.insert("atproto".to_owned(), other.clone().into()))),
            "Incorrect signing key",
        ),
        (changed(&|op| op.also_known_as.insert(0, "at://liz.test".to_owned())), "Incorrect handle in alsoKnownAs"),
        (changed(&|op| op.also_known_as.clear()), "Incorrect handle in alsoKnownAs"),
        (changed(&|op| op.also_known_as.push("x".repeat(300))), "Invalid operation"),
        (
            json!({ "type": "plc_tombstone", "prev": good.prev.unwrap().to_string(), "sig": "AAAA" }),
            "Invalid operation",
        ),
        (json!({}), "Invalid operation"),
    ] {
        assert_eq!(submit(&pds, &alice, &operation).error().await, refusal(400, "InvalidRequest", message));
    }
    assert_eq!(pds.plc().submissions().len(), sent);
    assert_eq!(seen::handles_told(&pds, &alice.did).await, ["alice.test"]);

    // What the directory refuses.
    let unsigned = good.clone().sign(&key(Curve::K256, 78)).to_json();
    let (status, name, message) = submit(&pds, &alice, &unsigned).error().await;
    assert_eq!((status, name.as_str()), (400, "InvalidRequest"));
    assert!(message.starts_with("The DID directory refused the operation: "), "{message}");
    pds.plc().behave(Behaviour::Down).await;
    let operation = good.sign(&pds.app().rotation_key).to_json();
    assert_eq!(submit(&pds, &alice, &operation).error().await.0, 502);
    pds.plc().behave(Behaviour::Work).await;
    assert_eq!(seen::handles_told(&pds, &alice.did).await, ["alice.test"]);
}

#[tokio::test]
async fn the_owner_alone_sends() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    assert_eq!(pds.xrpc_post(NSID).json(&json!({ "operation": {} })).error().await.1, "AuthMissing");
    for body in [json!({}), json!({ "operation": "none" })] {
        assert_eq!(pds.xrpc_post(NSID).bearer(&alice.access).json(&body).error().await.0, 400);
    }
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
}
