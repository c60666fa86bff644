//! A did:plc operation that the caller signed: `plcOp`, to start an identity or to move one.

use allod_atproto::{
    Did, Handle,
    crypto::{Curve, DidKey},
    plc::{Operation, UnsignedPlcOperation},
    service_auth::ServiceToken,
};
use allod_testkit::{Behaviour, TestPds};
use serde_json::{Value, json};

use super::{create, created, person, refused, with};
use crate::{
    elsewhere::{Resident, key, moved_here, with_high_s},
    seen::{self, Refusal, refusal},
};

async fn reserve(pds: &TestPds, did: Option<&Did>) -> DidKey {
    let body = did.map_or_else(|| json!({}), |did| json!({ "did": did }));
    let answer = pds.xrpc_post("com.atproto.server.reserveSigningKey").json(&body).ok().await;
    DidKey::parse(answer["signingKey"].as_str().unwrap()).unwrap()
}

/// What alice sends with an operation of her own.
fn bringing(operation: &Operation) -> Value {
    with(person("alice"), "plcOp", operation.to_json())
}

fn incompatible(message: &str) -> Refusal {
    refusal(400, "IncompatibleDidDoc", message)
}

/// Somebody elsewhere, a token, and an operation that moves them here.
async fn about_to_move(pds: &TestPds) -> (Resident, DidKey) {
    let resident = Resident::new(pds, 50).await;
    let reserved = reserve(pds, Some(&resident.did)).await;
    (resident, reserved)
}

fn another_token(pds: &TestPds, resident: &Resident, jti: &str) -> String {
    resident.sign(&ServiceToken { jti: Some(jti.to_owned()), ..resident.claims(pds) })
}

#[tokio::test]
async fn starts_an_identity_in_its_owners_hands() {
    let pds = TestPds::start().await;
    let (owner, reserved) = (key(Curve::P256, 40), reserve(&pds, None).await);
    let operation = moved_here(&pds, &owner, "alice.test", &reserved).sign(&owner);
    let answer = created(&pds, &bringing(&operation)).await;
    let did = operation.did().unwrap();
    assert_eq!(answer["did"], did.as_str());
    let submissions = pds.plc().submissions();
    assert_eq!((submissions.len(), &submissions[0].operation), (1, &operation.to_json()), "sent as it was signed");
    assert_eq!(pds.plc().document(did.as_str()).await.unwrap(), answer["didDoc"]);
    assert_eq!(answer["didDoc"]["verificationMethod"][0]["publicKeyMultibase"], reserved.multibase());
    assert_eq!(pds.events().await.len(), 4, "the account is active and the network is told");

    let session = pds.xrpc_get("com.atproto.server.getSession").bearer(answer["accessJwt"].as_str().unwrap());
    assert_eq!(session.ok().await["active"], true);

    let again = moved_here(&pds, &owner, "bob.test", &reserved).sign(&owner);
    let body = with(person("bob"), "plcOp", again.to_json());
    assert_eq!(refused(&pds, &body).await, incompatible("reserved signing key does not exist"), "a key is used once");
}

#[tokio::test]
async fn a_did_beside_a_new_identity_must_be_its_own() {
    let pds = TestPds::start().await;
    let (owner, reserved) = (key(Curve::K256, 40), reserve(&pds, None).await);
    let operation = moved_here(&pds, &owner, "alice.test", &reserved).sign(&owner);
    let other = with(bringing(&operation), "did", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa");
    assert_eq!(refused(&pds, &other).await, incompatible("plcOp makes another DID than the one given"));
    seen::nothing_happened(&pds).await;
    let own = with(bringing(&operation), "did", operation.did().unwrap().as_str());
    assert_eq!(created(&pds, &own).await["did"], operation.did().unwrap().as_str());
}

#[tokio::test]
async fn a_new_identity_must_fit_this_server() {
    let pds = TestPds::start().await;
    let (owner, reserved) = (key(Curve::K256, 40), reserve(&pds, None).await);
    let for_other = reserve(&pds, Some(&Did::parse("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").unwrap())).await;
    let right = || moved_here(&pds, &owner, "alice.test", &reserved);
    let changed = |change: &dyn Fn(&mut UnsignedPlcOperation)| {
        let mut operation = right();
        change(&mut operation);
        operation.sign(&owner)
    };
    let pds_service = |endpoint: &str, kind: &str| {
        let mut operation = right();
        let service = operation.services.get_mut("atproto_pds").unwrap();
        (service.endpoint, service.kind) = (endpoint.to_owned(), kind.to_owned());
        operation.sign(&owner)
    };
    let here = pds.app().config.service.public_url.clone();
    let endpoint = "DID document pds endpoint does not match service endpoint";
    let handle = "provided handle does not match DID document handle";
    let rotation = "PLC DID does not include service rotation key";
    let signature = "plcOp is not signed by one of its rotation keys";
    let no_key = "plcOp names no usable atproto signing key";
    let not_reserved = "reserved signing key does not exist";
    let cases = [
        (pds_service("https://elsewhere.test", "AtprotoPersonalDataServer"), endpoint),
        (pds_service(&format!("{here}/path"), "AtprotoPersonalDataServer"), endpoint),
        (pds_service(&here, "SomethingElse"), endpoint),
        (changed(&|o| o.services.clear()), endpoint),
        (moved_here(&pds, &owner, "bob.test", &reserved).sign(&owner), handle),
        (changed(&|o| o.also_known_as.clear()), handle),
        (changed(&|o| o.also_known_as.insert(0, "at://bob.test".to_owned())), handle),
        (changed(&|o| drop(o.rotation_keys.pop())), rotation),
        (right().sign(&key(Curve::K256, 41)), signature),
        (changed(&|o| o.verification_methods.clear()), no_key),
        (moved_here(&pds, &owner, "alice.test", &key(Curve::K256, 42).did_key()).sign(&owner), not_reserved),
        (moved_here(&pds, &owner, "alice.test", &for_other).sign(&owner), not_reserved),
    ];
    for (operation, message) in cases {
        assert_eq!(refused(&pds, &bringing(&operation)).await, incompatible(message), "{}", operation.to_json());
    }
    seen::nothing_happened(&pds).await;
    // What is no handle may stand before the first that is one.
    let with_a_page = changed(&|o| o.also_known_as.insert(0, "https://alice.test".to_owned()));
    created(&pds, &bringing(&with_a_page)).await;
}

#[tokio::test]
async fn only_an_operation_makes_an_identity() {
    let pds = TestPds::start().await;
    let (owner, reserved) = (key(Curve::K256, 40), reserve(&pds, None).await);
    let right = moved_here(&pds, &owner, "alice.test", &reserved).sign(&owner).to_json();
    let tombstone = json!({ "type": "plc_tombstone", "prev": right_cid(&right), "sig": right["sig"] });
    for (field, value) in [
        ("sig", json!("")),
        ("sig", json!("AAAA")),
        ("sig", Value::Null),
        ("type", json!("create")),
        ("rotationKeys", json!([])),
        ("rotationKeys", json!(["x"])),
        ("rotationKeys", json!("x")),
        ("verificationMethods", json!([])),
        ("prev", json!("x")),
        ("prev", json!(5)),
        ("services", Value::Null),
        ("alsoKnownAs", json!([1])),
        ("surplus", json!(1)),
    ] {
        let mut wrong = right.clone();
        wrong[field] = value;
        let (status, name, message) = refused(&pds, &with(person("alice"), "plcOp", wrong.clone())).await;
        assert_eq!((status, name.as_str()), (400, "IncompatibleDidDoc"), "{wrong}");
        assert!(message.starts_with("plcOp"), "{message}");
    }
    let (status, name, _) = refused(&pds, &with(person("alice"), "plcOp", tombstone)).await;
    assert_eq!((status, name.as_str()), (400, "IncompatibleDidDoc"));
    seen::nothing_happened(&pds).await;
}

fn right_cid(operation: &Value) -> String {
    Operation::parse(operation).unwrap().cid().to_string()
}

#[tokio::test]
async fn the_servers_rotation_key_may_be_left_out_where_the_operator_allows_it() {
    let options = TestPds::options().config(|config| config.sign_up.server_rotation_key_required = false);
    let pds = options.start().await;
    let (owner, reserved) = (key(Curve::K256, 40), reserve(&pds, None).await);
    let mut operation = moved_here(&pds, &owner, "alice.test", &reserved);
    operation.rotation_keys.pop();
    created(&pds, &bringing(&operation.sign(&owner))).await;
}

#[tokio::test]
async fn an_identity_moves_here_by_an_update() {
    let pds = TestPds::start().await;
    let (resident, reserved) = about_to_move(&pds).await;
    let operation = resident.move_here(&pds, "alice.test", &reserved).sign(&resident.rotation);
    let body = with(bringing(&operation), "did", resident.did.as_str());
    let answer = create(&pds, &body).bearer(&resident.token(&pds)).ok().await;
    assert_eq!(answer["did"], resident.did.as_str());
    assert_eq!(pds.plc().document(resident.did.as_str()).await.unwrap(), answer["didDoc"]);
    assert_eq!(answer["didDoc"]["service"][0]["serviceEndpoint"], pds.app().config.service.public_url);

    let session = pds.xrpc_get("com.atproto.server.getSession").bearer(answer["accessJwt"].as_str().unwrap());
    assert_eq!(session.ok().await["status"], "deactivated");
    assert_eq!(pds.events().await, [], "an account that has yet to be activated is not announced");
}

#[tokio::test]
async fn an_update_must_be_the_owners() {
    let pds = TestPds::start().await;
    let (resident, reserved) = about_to_move(&pds).await;
    let right = || resident.move_here(&pds, "alice.test", &reserved);
    let operation = right().sign(&resident.rotation);
    let body = with(bringing(&operation), "did", resident.did.as_str());
    let token = resident.token(&pds);
    let missing = format!("Missing auth to create account with did: {}", resident.did);
    assert_eq!(create(&pds, &body).error().await, refusal(401, "AuthenticationRequired", &missing));
    let mallory = Resident::new(&pds, 60).await;
    let anothers = create(&pds, &body).bearer(&mallory.token(&pds)).error().await;
    assert_eq!(anothers, refusal(401, "AuthenticationRequired", &missing));

    let attempt = async |body: &Value| create(&pds, body).bearer(&token).error().await;
    let without_did = attempt(&bringing(&operation)).await;
    assert_eq!(without_did, incompatible("a plcOp that updates a DID needs that DID beside it"));
    let bring = |operation: &Operation| with(bringing(operation), "did", resident.did.as_str());
    let other_key = attempt(&bring(&right().sign(&resident.signing))).await;
    assert_eq!(other_key, incompatible("plcOp is not signed by a rotation key of the DID"));
    let mut stale = right();
    stale.prev = Some(mallory.last.cid());
    let stale = attempt(&bring(&stale.sign(&resident.rotation))).await;
    assert_eq!(stale, incompatible("plcOp does not belong to the DID given"));
    let of_another = with(bringing(&operation), "did", mallory.did.as_str());
    assert_eq!(attempt(&of_another).await, incompatible("plcOp does not belong to the DID given"));
    let nobody = with(bringing(&operation), "did", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa");
    let message = "Could not resolve DID: did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
    assert_eq!(attempt(&nobody).await, refusal(400, "UnresolvableDid", message));
    let web = with(bringing(&operation), "did", "did:web:alice.example.com");
    assert_eq!(attempt(&web).await.0, 400);
    let mut elsewhere = right();
    elsewhere.services.get_mut("atproto_pds").unwrap().endpoint = "https://elsewhere.test".to_owned();
    let elsewhere = attempt(&bring(&elsewhere.sign(&resident.rotation))).await;
    assert_eq!(elsewhere, incompatible("DID document pds endpoint does not match service endpoint"));
    seen::nothing_happened(&pds).await;
    create(&pds, &body).bearer(&token).ok().await;
}

#[tokio::test]
async fn a_token_is_used_once_in_whichever_form_of_its_signature() {
    let pds = TestPds::start().await;
    let (resident, reserved) = about_to_move(&pds).await;
    let operation = resident.move_here(&pds, "alice.test", &reserved).sign(&resident.rotation);
    let body = with(bringing(&operation), "did", resident.did.as_str());
    let token = resident.token(&pds);
    let attempt = async |token: &str| create(&pds, &body).bearer(token).error().await;

    pds.plc().behave_on_submissions(Behaviour::Answer(400, "not today".to_owned()));
    assert_eq!(attempt(&token).await, refusal(400, "InvalidRequest", "not today"));
    seen::names_are_free(&pds, "alice.test", "alice@mail.test").await;
    pds.plc().behave_on_submissions(Behaviour::Work);

    let replayed = refusal(401, "BadJwt", "Service auth token was already used");
    assert_eq!(attempt(&token).await, replayed);
    assert_ne!(with_high_s(&token), token);
    assert_eq!(with_high_s(&with_high_s(&token)), token);
    assert_eq!(attempt(&with_high_s(&token)).await, replayed);
    // The signing key was given back with the rest, so the same operation works with another token.
    let answer = create(&pds, &body).bearer(&with_high_s(&another_token(&pds, &resident, "another"))).ok().await;
    assert_eq!(answer["did"], resident.did.as_str());
}

#[tokio::test]
async fn a_key_given_back_is_still_its_did_s_alone() {
    let pds = TestPds::start().await;
    let (resident, reserved) = about_to_move(&pds).await;
    let operation = resident.move_here(&pds, "alice.test", &reserved).sign(&resident.rotation);
    let body = with(bringing(&operation), "did", resident.did.as_str());
    pds.plc().behave_on_submissions(Behaviour::Answer(400, "not today".to_owned()));
    assert_eq!(create(&pds, &body).bearer(&resident.token(&pds)).error().await.0, 400);
    pds.plc().behave_on_submissions(Behaviour::Work);
    assert_eq!(reserve(&pds, Some(&resident.did)).await, reserved, "it is the one reserved for the DID");
    let owner = key(Curve::K256, 40);
    let stolen = moved_here(&pds, &owner, "alice.test", &reserved).sign(&owner);
    assert_eq!(refused(&pds, &bringing(&stolen)).await, incompatible("reserved signing key does not exist"));
}

#[tokio::test]
async fn while_one_move_waits_for_the_directory_another_of_the_same_did_is_refused() {
    let pds = TestPds::start().await;
    let (resident, reserved) = about_to_move(&pds).await;
    let operation = resident.move_here(&pds, "alice.test", &reserved).sign(&resident.rotation);
    let body = with(bringing(&operation), "did", resident.did.as_str());
    pds.plc().behave_on_submissions(Behaviour::Answer(500, "down".to_owned()));
    let waiting = create(&pds, &body).bearer(&resident.token(&pds)).error().await;
    assert_eq!((waiting.0, waiting.1.as_str()), (503, "NotEnoughResources"));

    let plain = with(person("bob"), "did", resident.did.as_str());
    let plain = create(&pds, &plain).bearer(&another_token(&pds, &resident, "second")).error().await;
    assert_eq!(plain, refusal(400, "InvalidRequest", "Repo already exists"));
    let second = reserve(&pds, None).await;
    let handle = Handle::parse("bob.test").unwrap();
    let operation = resident.move_here(&pds, handle.as_str(), &second).sign(&resident.rotation);
    let with_operation = with(with(person("bob"), "did", resident.did.as_str()), "plcOp", operation.to_json());
    let refused = create(&pds, &with_operation).bearer(&another_token(&pds, &resident, "third")).error().await;
    assert_eq!(refused, refusal(400, "InvalidRequest", "Repo already exists"));
    seen::names_are_free(&pds, "bob.test", "bob@mail.test").await;

    pds.plc().behave_on_submissions(Behaviour::Work);
    let answer = create(&pds, &body).bearer(&another_token(&pds, &resident, "fourth")).ok().await;
    assert_eq!(answer["did"], resident.did.as_str());
}
