//! An account on a did:web under a domain of the server's own: it exists once the account does.

use std::collections::BTreeMap;

use allod_atproto::{Did, Handle, did_doc::DidDocument, service_auth};
use allod_server::domain::sign_up::failpoint::Failpoint;
use allod_store::{
    fault::Fault,
    tables::{accounts, did_web},
};
use allod_testkit::{At, TestPds};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{create, created, person, refused, with};
use crate::{
    did_web::{document_at, options},
    elsewhere::{Resident, moved_here},
    seen::{self, refusal},
};

const RACERS: usize = 50;

fn on_web(name: &str) -> Value {
    with(person(name), "did", format!("did:web:{name}.test"))
}

fn missing_auth(did: &str) -> (u16, String, String) {
    refusal(401, "AuthenticationRequired", &format!("Missing auth to create account with did: {did}"))
}

#[tokio::test]
async fn it_is_active_at_once_and_no_directory_hears_of_it() {
    let pds = options().start().await;
    let answer = created(&pds, &with(on_web("alice"), "handle", "Alice.test")).await;
    let did = Did::parse("did:web:alice.test").unwrap();
    assert_eq!((&answer["did"], &answer["handle"]), (&json!(did), &json!("alice.test")));
    assert!(pds.plc().submissions().is_empty());
    let kinds: Vec<_> = pds.events().await.into_iter().map(|(event, _)| (event.seq, event.kind.code())).collect();
    assert_eq!(kinds, [(1, 3), (2, 4), (3, 1), (4, 2)], "identity, account, commit, sync");

    let document = DidDocument::from_json(answer["didDoc"].clone(), &did).unwrap();
    assert_eq!(document.handle().unwrap().as_str(), "alice.test");
    assert_eq!(document.pds_endpoint(), Some(pds.app().config.service.public_url.as_str()));
    assert_eq!(document_at(&pds, "alice.test").await, Some(answer["didDoc"].clone()));

    let access = answer["accessJwt"].as_str().unwrap();
    let session = pds.xrpc_get("com.atproto.server.getSession").bearer(access).ok().await;
    assert_eq!(session["active"], true);
    let resolved = pds.xrpc_get("com.atproto.identity.resolveHandle").param("handle", "alice.test").ok().await;
    assert_eq!(resolved["did"], json!(did));
    for nsid in ["resolveIdentity", "refreshIdentity"] {
        let nsid = format!("com.atproto.identity.{nsid}");
        let identity = if nsid.ends_with("refreshIdentity") {
            pds.xrpc_post(&nsid).bearer(access).json(&json!({ "identifier": did })).ok().await
        } else {
            pds.xrpc_get(&nsid).param("identifier", &did).ok().await
        };
        assert_eq!((&identity["handle"], &identity["didDoc"]), (&json!("alice.test"), &answer["didDoc"]), "{nsid}");
    }
    let resolved = pds.xrpc_get("com.atproto.identity.resolveDid").param("did", &did).ok().await;
    assert_eq!(resolved["didDoc"], answer["didDoc"]);
    let repo = pds.xrpc_get("com.atproto.repo.describeRepo").param("repo", &did).ok().await;
    assert_eq!((&repo["handleIsCorrect"], &repo["didDoc"]), (&json!(true), &answer["didDoc"]));
    let status = pds.xrpc_get("com.atproto.server.checkAccountStatus").bearer(access).ok().await;
    assert_eq!((&status["activated"], &status["validDid"]), (&json!(true), &json!(true)));
    let record = json!({ "repo": did, "collection": "com.example.note", "record": { "n": 1 } });
    pds.xrpc_post("com.atproto.repo.createRecord").bearer(access).json(&record).ok().await;
    let wanted = pds.xrpc_get("com.atproto.server.getServiceAuth").param("aud", "did:web:app.example.com");
    let token = wanted.bearer(access).ok().await["token"].as_str().unwrap().to_owned();
    let token = service_auth::ServiceToken::decode(&token).unwrap();
    token.verify(&document.signing_key().unwrap()).unwrap();
}

#[tokio::test]
async fn it_has_the_key_reserved_for_it() {
    let pds = options().start().await;
    let reserve = pds.xrpc_post("com.atproto.server.reserveSigningKey").json(&json!({ "did": "did:web:alice.test" }));
    let reserved = reserve.ok().await["signingKey"].clone();
    let answer = created(&pds, &on_web("alice")).await;
    let key = answer["didDoc"]["verificationMethod"][0]["publicKeyMultibase"].as_str().unwrap().to_owned();
    assert_eq!(reserved, format!("did:key:{key}"));
}

#[tokio::test]
async fn off_it_asks_for_a_proof_that_nobody_has() {
    let pds = TestPds::start().await;
    assert_eq!(refused(&pds, &on_web("alice")).await, missing_auth("did:web:alice.test"));
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn only_the_did_of_its_own_handle_is_made() {
    let pds = options().start().await;
    let other = "a did:web under a domain of this server is made with its own host name as the handle";
    for did in ["did:web:bob.test", "did:web:Alice.test", "did:web:a.alice.test", "did:web:pds.test"] {
        let body = with(person("alice"), "did", did);
        assert_eq!(refused(&pds, &body).await, refusal(400, "IncompatibleDidDoc", other), "{did}");
    }
    let own = with(on_web("alice"), "handle", "alice.example.com");
    assert_eq!(refused(&pds, &own).await, refusal(400, "IncompatibleDidDoc", other));
    for did in ["did:web:example.com", "did:web:localhost", "did:web:alice.test:path", "did:web:alice.test%3A80"] {
        assert_eq!(refused(&pds, &with(person("alice"), "did", did)).await, missing_auth(did));
    }
    for (name, message) in [("al", "Handle too short"), ("a.lice", "Invalid characters in handle")] {
        assert_eq!(refused(&pds, &on_web(name)).await, refusal(400, "InvalidHandle", message));
    }
    assert_eq!(refused(&pds, &on_web("admin")).await, refusal(400, "HandleNotAvailable", "Reserved handle"));
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn the_servers_own_names_are_nobodys() {
    let options = options().handle_domains(&[".example.com"]).config(|config| {
        config.service.hostname = "leiden.example.com".to_owned();
        config.service.did = Did::parse("did:web:service.example.com").unwrap();
    });
    let pds = options.start().await;
    let own = refusal(400, "IncompatibleDidDoc", "this did:web is at a name of the server's own");
    for host in ["example.com", "leiden.example.com", "service.example.com"] {
        let body = with(with(person("alice"), "handle", "leiden.example.com"), "did", format!("did:web:{host}"));
        assert_eq!(refused(&pds, &body).await, own, "{host}");
    }
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn what_belongs_to_a_did_plc_is_refused() {
    let pds = options().start().await;
    let resident = Resident::new(&pds, 50).await;
    let key = resident.rotation.did_key();
    let expected = refusal(400, "InvalidRequest", "recoveryKey is for a did:plc: a did:web has no rotation keys");
    assert_eq!(refused(&pds, &with(on_web("alice"), "recoveryKey", key.as_str())).await, expected);
    let genesis = moved_here(&pds, &resident.rotation, "alice.test", &key);
    let update = resident.move_here(&pds, "alice.test", &key);
    for operation in [genesis, update] {
        let operation = operation.sign(&resident.rotation).to_json();
        let message = "plcOp is for a did:plc, which the DID given is not";
        let refused = refused(&pds, &with(on_web("alice"), "plcOp", operation)).await;
        assert_eq!(refused, refusal(400, "IncompatibleDidDoc", message));
    }
    seen::names_are_free(&pds, "alice.test", "alice@mail.test").await;
    assert!(pds.events().await.is_empty());
}

#[tokio::test]
async fn a_bad_token_is_refused_and_a_good_one_not_needed() {
    let pds = options().start().await;
    let resident = Resident::new(&pds, 50).await;
    let good = resident.token(&pds);
    let nobody = Resident { did: Did::parse("did:web:alice.test").unwrap(), ..resident };
    let refused = create(&pds, &on_web("alice")).bearer(&nobody.token(&pds)).error().await;
    assert_eq!(refused, refusal(400, "UnresolvableDid", "Could not resolve DID: did:web:alice.test"));
    let refused = create(&pds, &on_web("alice")).bearer("a.b.c").error().await;
    assert_eq!(refused, refusal(401, "BadJwt", "poorly formatted jwt"));
    seen::names_are_free(&pds, "alice.test", "alice@mail.test").await;
    create(&pds, &on_web("alice")).bearer(&good).ok().await;
}

#[tokio::test]
async fn a_name_that_is_had_is_not_made_into_a_did() {
    let pds = options().start().await;
    let taken = refusal(400, "HandleNotAvailable", "Handle already taken: alice.test");
    created(&pds, &person("alice")).await;
    let body = with(on_web("alice"), "email", "another@mail.test");
    assert_eq!(refused(&pds, &body).await, taken);

    // Nor is one that exists at another machine, which is its owner's to move in.
    let pds = options().handle_domains(&[".example.com"]).start().await;
    let body = with(with(person("x"), "handle", "leiden.example.com"), "did", "did:web:leiden.example.com");
    let page = json!({ "id": "did:web:leiden.example.com" });
    pds.network().page("https://leiden.example.com/.well-known/did.json", 200, page.to_string());
    assert_eq!(refused(&pds, &body).await, missing_auth("did:web:leiden.example.com"));
    pds.network().page("https://leiden.example.com/.well-known/did.json", 404, "");
    created(&pds, &body).await;
}

#[tokio::test]
async fn the_same_request_again_finds_it_taken() {
    let pds = options().start().await;
    created(&pds, &on_web("alice")).await;
    let taken = refusal(400, "HandleNotAvailable", "Handle already taken: alice.test");
    assert_eq!(refused(&pds, &on_web("alice")).await, taken);
    assert_eq!(pds.events().await.len(), 4);
}

#[tokio::test]
async fn of_many_who_want_one_did_one_gets_it() {
    let pds = options().start().await;
    let bodies: Vec<Value> =
        (0..RACERS).map(|number| with(on_web("alice"), "email", format!("person{number}@mail.test"))).collect();
    let replies = join_all(bodies.iter().map(|body| create(&pds, body).send())).await;
    let mut counts: BTreeMap<(u16, String), usize> = BTreeMap::new();
    for reply in &replies {
        let name = reply.json()["error"].as_str().unwrap_or_default().to_owned();
        *counts.entry((reply.status.as_u16(), name)).or_default() += 1;
    }
    let expected = [((200, String::new()), 1), ((400, "HandleNotAvailable".to_owned()), RACERS - 1)];
    assert_eq!(counts, BTreeMap::from(expected));
    assert_eq!(accounts::page(&*pds.app().db, None, 10).await.unwrap().len(), 1);
    assert_eq!(pds.events().await.len(), 4);
}

#[tokio::test]
async fn a_did_that_was_had_and_given_up_meanwhile_is_not_made_again() {
    let pds = options().start().await;
    pds.failpoints().set(Failpoint::Hashed, At::Wait);
    let (late, early) = (with(on_web("alice"), "email", "late@mail.test"), on_web("alice"));
    let (refused, ()) = tokio::join!(create(&pds, &late).error(), async {
        pds.failpoints().reached(Failpoint::Hashed).await;
        pds.failpoints().clear();
        let did = created(&pds, &early).await["did"].clone();
        let delete = pds.xrpc_post("com.atproto.admin.deleteAccount").admin().json(&json!({ "did": did }));
        assert_eq!(delete.send().await.status.as_u16(), 200);
        pds.failpoints().go_on();
    });
    let message = "this did:web was used before, and is not given to anybody again";
    assert_eq!(refused, refusal(400, "IncompatibleDidDoc", message));
    assert_eq!(accounts::page(&*pds.app().db, None, 10).await.unwrap(), []);
}

/// Checks that Alice has an account and everybody sees it, or that nothing is left of her; tells which.
async fn whole_or_nothing(pds: &TestPds) -> bool {
    let did = Did::parse("did:web:alice.test").unwrap();
    let made = did_web::by_did(&*pds.app().db, &did).await.unwrap();
    let kinds: Vec<_> = pds.events().await.into_iter().map(|(event, _)| event.kind.code()).collect();
    let Some(made) = made else {
        seen::nothing_happened(pds).await;
        seen::names_are_free(pds, "alice.test", "alice@mail.test").await;
        assert_eq!(document_at(pds, "alice.test").await, None);
        return false;
    };
    assert_eq!(made.account.unwrap().0, Handle::parse("alice.test").unwrap());
    assert_eq!(kinds, [3, 4, 1, 2]);
    let body = json!({ "identifier": "alice.test", "password": "correct horse" });
    let session = pds.xrpc_post("com.atproto.server.createSession").json(&body).ok().await;
    assert_eq!((&session["did"], &session["active"]), (&json!(did), &json!(true)));
    assert!(document_at(pds, "alice.test").await.is_some());
    true
}

#[tokio::test]
async fn every_place_fails_or_crashes_and_all_or_nothing_is_left() {
    for place in [Failpoint::Admitted, Failpoint::Hashed, Failpoint::Activating, Failpoint::Activated] {
        for crash in [false, true] {
            let mut pds = options().start().await;
            if crash {
                pds.failpoints().set(place, At::Hang);
                let body = on_web("alice");
                let asked = create(&pds, &body).send();
                tokio::select! { _ = asked => panic!("it answered"), () = pds.failpoints().reached(place) => {} }
                pds.failpoints().clear();
                pds.crash().await;
            } else {
                pds.failpoints().set(place, At::Fail("told to fail".to_owned()));
                assert_eq!(create(&pds, &on_web("alice")).send().await.status.as_u16(), 500);
                pds.failpoints().clear();
            }
            let there = whole_or_nothing(&pds).await;
            assert_eq!(there, place == Failpoint::Activated, "{place:?}, crash {crash}");
            let _ = pds.logged_errors();
            if !there {
                created(&pds, &on_web("alice")).await;
                assert!(whole_or_nothing(&pds).await);
            }
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_leaves_all_or_nothing() {
    for fault in [Fault::Fail, Fault::UnknownLost, Fault::UnknownApplied] {
        let mut pds = options().start().await;
        pds.store().at_commit(1, fault);
        seen::told_to_come_back(&create(&pds, &on_web("alice")).send().await);
        pds.restart().await;
        assert_eq!(whole_or_nothing(&pds).await, fault == Fault::UnknownApplied, "{fault:?}");
    }
}
