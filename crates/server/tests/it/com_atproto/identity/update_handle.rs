//! `com.atproto.identity.updateHandle`.

use std::time::Duration;

use allod_atproto::Handle;
use allod_base::clock::Clock as _;
use allod_store::tables::accounts;
use allod_testkit::{Actor, Behaviour, Call, TestPds};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    elsewhere::{CREATE_ACCOUNT, Resident, directory},
    seen::{self, refusal},
};

const NSID: &str = "com.atproto.identity.updateHandle";
const HANDLE_MICROS: i64 = 30 * 24 * 60 * 60 * 1_000_000;

fn update(pds: &TestPds, token: &str, handle: &str) -> Call {
    pds.xrpc_post(NSID).bearer(token).json(&json!({ "handle": handle }))
}

async fn updated(pds: &TestPds, actor: &Actor, handle: &str) {
    let reply = update(pds, &actor.access, handle).send().await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text());
}

/// Checks that account, directory and names say the same.
async fn has_handle(pds: &TestPds, actor: &Actor, handle: &str) {
    let session = pds.xrpc_get("com.atproto.server.getSession").bearer(&actor.access).ok().await;
    assert_eq!(session["handle"], handle);
    assert_eq!(document(pds, actor).await["alsoKnownAs"], json!([format!("at://{handle}")]));
    let holder = accounts::handle_hold(&*pds.app().db, &Handle::parse(handle).unwrap()).await.unwrap();
    assert_eq!(holder, Some((actor.did.to_string(), None)));
}

async fn document(pds: &TestPds, actor: &Actor) -> Value {
    pds.plc().document(actor.did.as_str()).await.unwrap()
}

#[tokio::test]
async fn a_handle_changes_everywhere() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    updated(&pds, &alice, "LIZ.test").await;
    has_handle(&pds, &alice, "liz.test").await;
    assert_eq!(seen::handles_told(&pds, &alice.did).await, ["alice.test", "liz.test"]);
    let resolve = async |handle: &str| {
        pds.xrpc_get("com.atproto.identity.resolveHandle").param("handle", handle).send().await.status.as_u16()
    };
    assert_eq!((resolve("liz.test").await, resolve("alice.test").await), (200, 400));
    let session = json!({ "identifier": "liz.test", "password": alice.password });
    assert_eq!(pds.xrpc_post("com.atproto.server.createSession").json(&session).send().await.status.as_u16(), 200);

    // The same once more is nothing new for the directory.
    let sent = pds.plc().submissions().len();
    updated(&pds, &alice, "liz.test").await;
    assert_eq!(pds.plc().submissions().len(), sent);
    assert_eq!(seen::handles_told(&pds, &alice.did).await, ["alice.test", "liz.test", "liz.test"]);

    let token = pds.app_password(&alice, "app", true).await;
    let body = json!({ "identifier": alice.did, "password": token });
    let app = pds.xrpc_post("com.atproto.server.createSession").json(&body).ok().await;
    let refused = update(&pds, app["accessJwt"].as_str().unwrap(), "beth.test").error().await;
    assert_eq!(refused, refusal(400, "InvalidToken", "Bad token scope"), "an app does not manage the identity");
    has_handle(&pds, &alice, "liz.test").await;
}

#[tokio::test]
async fn a_former_handle_is_held_for_its_owner() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    updated(&pds, &alice, "liz.test").await;
    let former = Handle::parse("alice.test").unwrap();
    let (did, until) = accounts::handle_hold(&*pds.app().db, &former).await.unwrap().unwrap();
    let now = i64::try_from(pds.clock().now_micros()).unwrap();
    assert_eq!((did.as_str(), until.unwrap()), (alice.did.as_str(), now + HANDLE_MICROS));
    let taken = |handle: &str| refusal(400, "HandleNotAvailable", &format!("Handle already taken: {handle}"));
    assert_eq!(update(&pds, &bob.access, "alice.test").error().await, taken("alice.test"));
    let sign_up = json!({ "handle": "alice.test", "email": "new@mail.test", "password": "correct horse" });
    assert_eq!(pds.xrpc_post(CREATE_ACCOUNT).json(&sign_up).error().await, taken("alice.test"));
    // Its owner takes it back, and leaves it again.
    updated(&pds, &alice, "alice.test").await;
    has_handle(&pds, &alice, "alice.test").await;
    assert_eq!(update(&pds, &bob.access, "liz.test").error().await, taken("liz.test"));
    updated(&pds, &alice, "liz.test").await;

    pds.advance(Duration::from_hours(30 * 24 + 1));
    let bob = pds.sign_in("bob").await;
    updated(&pds, &bob, "alice.test").await;
    has_handle(&pds, &bob, "alice.test").await;
    pds.advance(Duration::from_hours(31 * 24));
    pds.do_jobs().await;
    assert_eq!(accounts::handle_hold(&*pds.app().db, &Handle::parse("bob.test").unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn only_so_many_former_handles_are_held() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for number in 0..12 {
        // The directory takes ten changes an hour.
        pds.advance(Duration::from_hours(1));
        let body = json!({ "identifier": alice.did, "password": alice.password });
        let session = pds.xrpc_post("com.atproto.server.createSession").json(&body).ok().await;
        let alice = Actor { access: session["accessJwt"].as_str().unwrap().to_owned(), ..alice.clone() };
        updated(&pds, &alice, &format!("alice-{number}.test")).await;
    }
    for (handle, is_held) in
        [("alice.test", false), ("alice-0.test", false), ("alice-1.test", true), ("alice-10.test", true)]
    {
        let hold = accounts::handle_hold(&*pds.app().db, &Handle::parse(handle).unwrap()).await.unwrap();
        assert_eq!(hold.is_some(), is_held, "{handle}");
    }
}

#[tokio::test]
async fn an_own_domain_is_proven_first() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let unproven = refusal(400, "InvalidRequest", "External handle did not resolve to DID");
    assert_eq!(update(&pds, &alice.access, "alice.example.com").error().await, unproven);
    pds.network().txt("_atproto.alice.example.com", &["did=did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"]);
    assert_eq!(update(&pds, &alice.access, "alice.example.com").error().await, unproven);
    pds.network().txt("_atproto.alice.example.com", &[&format!("did={}", alice.did)]);
    updated(&pds, &alice, "alice.example.com").await;
    has_handle(&pds, &alice, "alice.example.com").await;
    // Whose domain it is is proven anew by whoever comes next, so nothing is held.
    updated(&pds, &alice, "alice.test").await;
    let own = Handle::parse("alice.example.com").unwrap();
    assert_eq!(accounts::handle_hold(&*pds.app().db, &own).await.unwrap(), None);
}

#[tokio::test]
async fn other_names_of_the_document_stay() {
    let pds = TestPds::start().await;
    let (resident, access) = crate::elsewhere::mover(&pds).await;
    let advised = pds.xrpc_get("com.atproto.identity.getRecommendedDidCredentials").bearer(&access).ok().await;
    let ours =
        allod_atproto::crypto::DidKey::parse(advised["verificationMethods"]["atproto"].as_str().unwrap()).unwrap();
    let mut operation = resident.move_here(&pds, "mover.test", &ours);
    operation.also_known_as.push("https://mover.example.com".to_owned());
    resident.publish(&pds, &operation.sign(&resident.rotation)).await;
    pds.advance(Duration::from_secs(1));
    assert_eq!(update(&pds, &access, "moved.test").send().await.status.as_u16(), 200);
    let last = directory(&pds).last_operation(&resident.did).await.unwrap().unwrap().to_json();
    assert_eq!(last["alsoKnownAs"], json!(["at://moved.test", "https://mover.example.com"]));
    assert_eq!(last["rotationKeys"][0], resident.rotation.did_key().as_str());
    assert!(pds.events().await.is_empty(), "nobody has heard yet of who moves in");
}

#[tokio::test]
async fn a_document_that_we_can_not_change_says_it_first() {
    let pds = TestPds::start().await;
    // A did:plc without our key.
    let (_, access) = crate::elsewhere::mover(&pds).await;
    let message = "Server rotation key not included in PLC DID data";
    assert_eq!(update(&pds, &access, "moved.test").error().await, refusal(400, "InvalidRequest", message));
    seen::names_are_free(&pds, "moved.test", "nobody@mail.test").await;
    assert_eq!(pds.plc().submissions().len(), 0);

    // A tombstone.
    let alice = pds.account("alice").await;
    let last = directory(&pds).last_operation(&alice.did).await.unwrap().unwrap();
    let tombstone = allod_atproto::plc::UnsignedTombstone { prev: last.cid() }.sign(&pds.app().rotation_key);
    pds.advance(Duration::from_secs(1));
    directory(&pds).submit(&alice.did, &tombstone).await.unwrap();
    assert_eq!(update(&pds, &alice.access, "liz.test").error().await.0, 400);
}

#[tokio::test]
async fn many_who_want_one_handle() {
    let pds = TestPds::start().await;
    let mut actors = Vec::new();
    for number in 0..20 {
        actors.push(pds.account(&format!("actor{number}")).await);
    }
    let asked = actors.iter().map(|actor| update(&pds, &actor.access, "wanted.test").send());
    let replies = join_all(asked).await;
    let ok = replies.iter().filter(|reply| reply.status.as_u16() == 200).count();
    assert_eq!(ok, 1);
    for reply in replies.iter().filter(|reply| reply.status.as_u16() != 200) {
        assert_eq!(reply.json()["error"], "HandleNotAvailable", "{}", reply.text());
    }
    let updates = pds.plc().submissions().iter().filter(|submission| !submission.is_genesis()).count();
    assert_eq!(updates, 1, "the directory hears of the one alone");
}

#[tokio::test]
async fn bad_requests_change_nothing() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    pds.account("bob").await;
    for (handle, name, message) in [
        ("bob.test", "HandleNotAvailable", "Handle already taken: bob.test"),
        ("admin.test", "HandleNotAvailable", "Reserved handle"),
        ("al.test", "InvalidHandle", "Handle too short"),
        ("a-name-of-nineteen-c.test", "InvalidHandle", "Handle too long"),
        ("a.b.test", "InvalidHandle", "Invalid characters in handle"),
        ("alice.onion", "InvalidHandle", "Handle TLD is invalid or disallowed"),
    ] {
        assert_eq!(update(&pds, &alice.access, handle).error().await, refusal(400, name, message));
    }
    for handle in ["", "alice", "@alice.test", "ali ce.test", "älice.test"] {
        let (status, name, _) = update(&pds, &alice.access, handle).error().await;
        assert_eq!((status, name.as_str()), (400, "InvalidHandle"), "{handle:?}");
    }
    for body in [json!({}), json!({ "handle": 5 }), json!([])] {
        assert_eq!(pds.xrpc_post(NSID).bearer(&alice.access).json(&body).error().await.0, 400, "{body}");
    }
    let call = pds.xrpc_post(NSID).json(&json!({ "handle": "liz.test" }));
    assert_eq!(call.error().await, refusal(401, "AuthMissing", "Authentication Required"));
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
    has_handle(&pds, &alice, "alice.test").await;
    assert_eq!(seen::handles_told(&pds, &alice.did).await, ["alice.test"]);
    seen::take_down(&pds, &alice.did).await;
    assert_eq!(update(&pds, &alice.access, "liz.test").error().await.1, "AccountTakedown");
}

#[tokio::test]
async fn a_definite_failure_of_the_directory_changes_nothing() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    pds.plc().behave_on_submissions(Behaviour::Answer(400, "not today".to_owned()));
    let message = "The DID directory refused the operation: not today";
    assert_eq!(update(&pds, &alice.access, "liz.test").error().await, refusal(400, "InvalidRequest", message));
    pds.plc().behave(Behaviour::Down).await;
    assert_eq!(update(&pds, &alice.access, "liz.test").error().await.0, 502);
    pds.plc().behave(Behaviour::Work).await;
    pds.plc().behave_on_submissions(Behaviour::Answer(429, "slow down".to_owned()));
    assert_eq!(update(&pds, &alice.access, "liz.test").error().await.0, 502);
    seen::names_are_free(&pds, "liz.test", "nobody@mail.test").await;
    pds.plc().behave(Behaviour::Work).await;
    updated(&pds, &alice, "liz.test").await;
    has_handle(&pds, &alice, "liz.test").await;
}

/// Somebody who keeps their own document, here with a deactivated account.
struct WebMover {
    resident: Resident,
}

impl WebMover {
    fn publish(&self, pds: &TestPds, handle: &str, key: &str, endpoint: &str) {
        let document = json!({
            "id": self.resident.did,
            "alsoKnownAs": [format!("at://{handle}")],
            "verificationMethod": [{ "id": "#atproto", "type": "Multikey", "controller": self.resident.did,
                "publicKeyMultibase": key.trim_start_matches("did:key:") }],
            "service": [{ "id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": endpoint }],
        });
        pds.network().page("https://web.example.com/.well-known/did.json", 200, document.to_string());
    }
}

#[tokio::test]
async fn who_keeps_their_own_document_changes_it_first() {
    let pds = TestPds::start().await;
    let plc = Resident::new(&pds, 50).await;
    let mover =
        WebMover { resident: Resident { did: allod_atproto::Did::parse("did:web:web.example.com").unwrap(), ..plc } };
    let key = mover.resident.signing.did_key();
    mover.publish(&pds, "old.elsewhere.test", key.as_str(), "https://elsewhere.test");
    let body = json!({ "handle": "mover.test", "email": "m@mail.test", "password": "correct horse", "did": mover.resident.did });
    let created = pds.xrpc_post(CREATE_ACCOUNT).json(&body).bearer(&mover.resident.token(&pds)).ok().await;
    let access = created["accessJwt"].as_str().unwrap();
    let advised = pds.xrpc_get("com.atproto.identity.getRecommendedDidCredentials").bearer(access).ok().await;
    let ours = advised["verificationMethods"]["atproto"].as_str().unwrap();
    let here = pds.app().config.service.public_url.clone();
    mover.publish(&pds, "mover.test", ours, &here);
    assert_eq!(pds.xrpc_post("com.atproto.server.activateAccount").bearer(access).send().await.status.as_u16(), 200);

    let message = "DID is not properly configured for handle";
    assert_eq!(update(&pds, access, "moved.test").error().await, refusal(400, "InvalidRequest", message));
    mover.publish(&pds, "moved.test", ours, &here);
    assert_eq!(update(&pds, access, "moved.test").send().await.status.as_u16(), 200);
    let session = pds.xrpc_get("com.atproto.server.getSession").bearer(access).ok().await;
    assert_eq!(session["handle"], "moved.test");
}
