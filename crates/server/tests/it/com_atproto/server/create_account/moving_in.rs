//! An identity that exists elsewhere moves in: `did` with a service token.

use std::time::Duration;

use allod_atproto::{
    Did, car,
    crypto::{Curve, DidKey},
    did_doc::DidDocument,
    repo::SignedCommit,
    service_auth::ServiceToken,
};
use allod_testkit::{Reply, TestPds};
use serde_json::{Value, json};

use super::{create, created, person, with};
use crate::{
    elsewhere::{Resident, directory, key},
    seen::{self, refusal},
};

const DAY: Duration = Duration::from_hours(24);

fn moving(name: &str, did: &Did) -> Value {
    with(person(name), "did", did.as_str())
}

/// Checks a CAR of an empty repository and who signed it.
fn check_car(reply: &Reply, did: &Did, key: &DidKey) {
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text());
    let car = car::read(&reply.body, &car::Limits::REPOSITORY).unwrap();
    let commit = SignedCommit::parse(car.get(&car.root().unwrap()).unwrap()).unwrap();
    commit.verify(key).unwrap();
    assert_eq!(&commit.commit().did, did);
}

#[tokio::test]
async fn starts_deactivated_and_shown_to_its_owner_alone() {
    let pds = TestPds::start().await;
    let bob = pds.account("bob").await;
    let before = (pds.events().await.len(), pds.plc().submissions().len());
    let resident = Resident::new(&pds, 50).await;
    let did = resident.did.as_str();
    let answer = create(&pds, &moving("alice", &resident.did)).bearer(&resident.token(&pds)).ok().await;
    assert_eq!((answer["did"].as_str(), answer["handle"].as_str()), (Some(did), Some("alice.test")));
    let elsewhere = DidDocument::from_json(answer["didDoc"].clone(), &resident.did).unwrap();
    assert_eq!(elsewhere.pds_endpoint(), Some("https://elsewhere.test"), "the document is its owner's to change");

    let access = answer["accessJwt"].as_str().unwrap();
    let session = pds.xrpc_get("com.atproto.server.getSession").bearer(access).ok().await;
    assert_eq!((&session["active"], &session["status"]), (&json!(false), &json!("deactivated")));

    let expected = refusal(400, "RepoDeactivated", &format!("Repo has been deactivated: {did}"));
    for nsid in ["com.atproto.sync.getRepo", "com.atproto.sync.getLatestCommit"] {
        let read = || pds.xrpc_get(nsid).param("did", did);
        assert_eq!(read().error().await, expected);
        assert_eq!(read().bearer(&bob.access).error().await, expected);
        assert_eq!(read().bearer(access).send().await.status.as_u16(), 200);
        assert_eq!(read().admin().send().await.status.as_u16(), 200);
    }
    let status = pds.xrpc_get("com.atproto.sync.getRepoStatus").param("did", did).ok().await;
    assert_eq!(status, json!({ "did": did, "active": false, "status": "deactivated" }));
    let resolve = pds.xrpc_get("com.atproto.identity.resolveHandle").param("handle", "alice.test");
    assert_eq!(resolve.error().await.1, "HandleNotFound");
    assert_eq!((pds.events().await.len(), pds.plc().submissions().len()), before, "nobody is told");
}

#[tokio::test]
async fn is_removed_after_three_days_and_leaves_nothing() {
    let pds = TestPds::options().invite_required().start().await;
    let code = pds.invite(1).await;
    let resident = Resident::new(&pds, 50).await;
    let body = with(moving("alice", &resident.did), "inviteCode", code.as_str());
    create(&pds, &body).bearer(&resident.token(&pds)).ok().await;
    let sign_in = json!({ "identifier": "alice@mail.test", "password": "correct horse" });
    let signs_in = || pds.xrpc_post("com.atproto.server.createSession").json(&sign_in);

    pds.advance(Duration::from_secs(3 * 24 * 60 * 60 - 1));
    pds.do_jobs().await;
    let access = signs_in().ok().await["accessJwt"].as_str().unwrap().to_owned();
    pds.advance(Duration::from_secs(1));
    pds.do_jobs().await;

    assert_eq!(signs_in().error().await, refusal(401, "AuthenticationRequired", "Invalid identifier or password"));
    let session = pds.xrpc_get("com.atproto.server.getSession").bearer(&access);
    let gone = format!("Could not find user info for account: {}", resident.did);
    assert_eq!(session.error().await, refusal(400, "InvalidRequest", &gone));
    let status = pds.xrpc_get("com.atproto.sync.getRepoStatus").param("did", &resident.did);
    assert_eq!(status.error().await.1, "RepoNotFound");
    seen::names_are_free(&pds, "alice.test", "alice@mail.test").await;
    seen::nothing_happened(&pds).await;

    created(&pds, &with(person("alice"), "inviteCode", code.as_str())).await;
}

#[tokio::test]
async fn may_come_back_after_its_removal() {
    let pds = TestPds::start().await;
    let resident = Resident::new(&pds, 50).await;
    create(&pds, &moving("alice", &resident.did)).bearer(&resident.token(&pds)).ok().await;
    pds.advance(3 * DAY);
    pds.do_jobs().await;
    let mut claims = resident.claims(&pds);
    claims.iat = claims.iat.map(|iat| iat + 3 * DAY.as_secs());
    claims.exp += 3 * DAY.as_secs();
    create(&pds, &moving("alice", &resident.did)).bearer(&resident.sign(&claims)).ok().await;
}

#[tokio::test]
async fn comes_only_once() {
    let pds = TestPds::start().await;
    let resident = Resident::new(&pds, 50).await;
    let token = resident.token(&pds);
    create(&pds, &moving("alice", &resident.did)).bearer(&token).ok().await;
    let another = resident.sign(&ServiceToken { jti: Some("another".to_owned()), ..resident.claims(&pds) });
    for token in [token, another] {
        let again = create(&pds, &moving("bob", &resident.did)).bearer(&token).error().await;
        assert_eq!(again, refusal(400, "InvalidRequest", "Repo already exists"));
    }
    seen::names_are_free(&pds, "bob.test", "bob@mail.test").await;
}

#[tokio::test]
async fn two_requests_with_one_token_make_one_account() {
    let pds = TestPds::start().await;
    let resident = Resident::new(&pds, 50).await;
    let token = resident.token(&pds);
    let (alice, bob) = (moving("alice", &resident.did), moving("bob", &resident.did));
    let (first, second) =
        tokio::join!(create(&pds, &alice).bearer(&token).send(), create(&pds, &bob).bearer(&token).send());
    let mut statuses = [first.status.as_u16(), second.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert!(matches!(statuses[1], 400 | 401), "{} {}", first.text(), second.text());
}

#[tokio::test]
async fn takes_keys_of_both_curves_and_both_forms_of_audience_owner() {
    let pds = TestPds::start().await;
    let resident = Resident::with_curve(&pds, 50, Curve::P256).await;
    create(&pds, &moving("alice", &resident.did)).bearer(&resident.token(&pds)).ok().await;
}

#[tokio::test]
async fn a_changed_key_is_noticed() {
    let pds = TestPds::start().await;
    let mut resident = Resident::new(&pds, 50).await;
    // A request that fails later leaves the document in the cache.
    let early = create(&pds, &with(moving("alice", &resident.did), "password", "short"));
    assert_eq!(early.bearer(&resident.token(&pds)).error().await.1, "InvalidPassword");

    resident.signing = key(Curve::K256, 60);
    let mut operation = resident.move_here(&pds, "alice.test", &resident.signing.did_key());
    operation.services.get_mut("atproto_pds").unwrap().endpoint = "https://elsewhere.test".to_owned();
    resident.publish(&pds, &operation.sign(&resident.rotation)).await;
    create(&pds, &moving("alice", &resident.did)).bearer(&resident.token(&pds)).ok().await;
}

#[tokio::test]
async fn uses_the_key_reserved_for_it() {
    let pds = TestPds::start().await;
    let resident = Resident::new(&pds, 50).await;
    let reserve = pds.xrpc_post("com.atproto.server.reserveSigningKey").json(&json!({ "did": resident.did }));
    let reserved = DidKey::parse(reserve.ok().await["signingKey"].as_str().unwrap()).unwrap();

    // The owner publishes it before moving in; the token is signed by the key that was there until then.
    let token = resident.token(&pds);
    let answer = create(&pds, &moving("alice", &resident.did)).bearer(&token).ok().await;
    let access = answer["accessJwt"].as_str().unwrap();
    let read = pds.xrpc_get("com.atproto.sync.getRepo").param("did", &resident.did).bearer(access);
    check_car(&read.send().await, &resident.did, &reserved);

    let document = directory(&pds).document(&resident.did).await.unwrap().unwrap();
    assert_eq!(document["alsoKnownAs"][0], "at://someone.elsewhere.test", "the server changes nothing there");
}

#[tokio::test]
async fn may_be_a_did_web() {
    let pds = TestPds::start().await;
    let did = Did::parse("did:web:alice.example.com").unwrap();
    let owner = key(Curve::K256, 70);
    let document = json!({
        "@context": ["https://www.w3.org/ns/did/v1"],
        "id": did,
        "alsoKnownAs": ["at://alice.example.com"],
        "verificationMethod": [{
            "id": format!("{did}#atproto"),
            "type": "Multikey",
            "controller": did,
            "publicKeyMultibase": owner.did_key().multibase(),
        }],
        "service": [{
            "id": "#atproto_pds",
            "type": "AtprotoPersonalDataServer",
            "serviceEndpoint": "https://elsewhere.test",
        }],
    });
    pds.network().page("https://alice.example.com/.well-known/did.json", 200, document.to_string());
    let resident = Resident { did, signing: owner, ..Resident::new(&pds, 50).await };
    let answer = create(&pds, &moving("alice", &resident.did)).bearer(&resident.token(&pds)).ok().await;
    assert_eq!((&answer["did"], &answer["didDoc"]), (&json!(resident.did), &document));
    assert!(pds.plc().submissions().is_empty());
}

#[tokio::test]
async fn may_have_a_handle_of_its_own_domain() {
    let pds = TestPds::start().await;
    let resident = Resident::new(&pds, 50).await;
    let body = with(moving("alice", &resident.did), "handle", "Alice.example.com");
    let not_theirs = refusal(400, "InvalidRequest", "External handle did not resolve to DID");
    let attempt = || create(&pds, &body).bearer(&resident.token(&pds));
    assert_eq!(attempt().error().await, not_theirs, "nothing there");

    let record = format!("did={}", resident.did);
    let other = "did=did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
    for records in [&[other][..], &[record.as_str(), other], &["did=", "x"]] {
        pds.network().txt("_atproto.alice.example.com", records);
        assert_eq!(attempt().error().await, not_theirs, "{records:?}");
    }
    seen::nothing_happened(&pds).await;
    pds.network().txt("_atproto.alice.example.com", &["v=spf1", &record]);
    assert_eq!(attempt().ok().await["handle"], "alice.example.com");
}

#[tokio::test]
async fn a_handle_may_be_proved_by_its_web_page() {
    let pds = TestPds::start().await;
    let resident = Resident::new(&pds, 50).await;
    let body = with(moving("alice", &resident.did), "handle", "alice.example.com");
    pds.network().page("https://alice.example.com/.well-known/atproto-did", 200, format!("{}\n", resident.did));
    assert_eq!(create(&pds, &body).bearer(&resident.token(&pds)).ok().await["handle"], "alice.example.com");
}
