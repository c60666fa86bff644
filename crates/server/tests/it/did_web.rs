//! Accounts on did:webs that were made here: the document follows the account, and is nobody else's ever after.

use std::time::Duration;

use allod_atproto::{Did, Handle, car, crypto::DidKey, did_doc::DidDocument, frame::Message, repo::SignedCommit};
use allod_server::domain::{
    administration::did_web::{self, DidWebError, Publish},
    audit::{Actor as Administrator, By},
    identity::{recheck, signing_key},
};
use allod_store::{
    fault::Fault,
    tables::{accounts, signing_keys},
};
use allod_testkit::{Actor, Options, TestPds, read_json};
use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::{
    elsewhere::CREATE_ACCOUNT,
    seen::{self, refusal},
};

const DAY: Duration = Duration::from_hours(24);
const USED: &str = "this did:web was used before, and is not given to anybody again";

/// A server that makes did:webs.
pub(crate) fn options() -> Options {
    TestPds::options().config(|config| config.sign_up.did_web_accounts = true)
}

/// The DID document that the server shows under a host name.
pub(crate) async fn document_at(pds: &TestPds, host: &str) -> Option<Value> {
    let reply = well_known(pds, Method::GET, host).await;
    (reply.status() != StatusCode::NOT_FOUND).then_some(read_json(reply.bytes().await.unwrap()))
}

async fn well_known(pds: &TestPds, method: Method, host: &str) -> reqwest::Response {
    let url = format!("{}/.well-known/did.json", pds.url());
    pds.client().request(method, url).header(header::HOST, host).send().await.unwrap()
}

/// Signs somebody up on the did:web of their handle.
pub(crate) async fn sign_up(pds: &TestPds, handle: &str) -> Actor {
    let email = format!("{handle}@mail.test");
    let password = "correct horse".to_owned();
    let did = format!("did:web:{handle}");
    let body = json!({ "handle": handle, "email": email, "password": password, "did": did });
    let answer = pds.xrpc_post(CREATE_ACCOUNT).json(&body).ok().await;
    let text = |field: &str| answer[field].as_str().unwrap().to_owned();
    Actor {
        did: Did::parse(&did).unwrap(),
        handle: Handle::parse(handle).unwrap(),
        email,
        password,
        access: text("accessJwt"),
        refresh: text("refreshJwt"),
    }
}

async fn update_handle(pds: &TestPds, actor: &Actor, handle: &str) -> (u16, String, String) {
    let call = pds.xrpc_post("com.atproto.identity.updateHandle").bearer(&actor.access);
    let reply = call.json(&json!({ "handle": handle })).send().await;
    let (status, body) = (reply.status.as_u16(), reply.json());
    let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (status, field("error"), field("message"))
}

async fn call(pds: &TestPds, actor: &Actor, nsid: &str, body: Value) -> u16 {
    pds.xrpc_post(nsid).bearer(&actor.access).json(&body).send().await.status.as_u16()
}

async fn delete(pds: &TestPds, did: &Did) {
    let body = json!({ "did": did });
    let reply = pds.xrpc_post("com.atproto.admin.deleteAccount").admin().json(&body).send().await;
    assert_eq!(reply.status.as_u16(), 200);
}

fn done() -> (u16, String, String) {
    refusal(200, "", "")
}

fn taken(handle: &str) -> (u16, String, String) {
    refusal(400, "HandleNotAvailable", &format!("Handle already taken: {handle}"))
}

async fn refused(pds: &TestPds, handle: &str, did: Option<&str>) -> (u16, String, String) {
    let mut body = json!({ "handle": handle, "email": "late@mail.test", "password": "correct horse" });
    if let Some(did) = did {
        body["did"] = json!(did);
    }
    pds.xrpc_post(CREATE_ACCOUNT).json(&body).error().await
}

#[tokio::test]
async fn a_document_is_shown_under_its_own_host_name() {
    let pds = options().start().await;
    let alice = sign_up(&pds, "alice.test").await;
    pds.account("bob").await;
    let document = document_at(&pds, "alice.test").await.unwrap();
    let parsed = DidDocument::from_json(document.clone(), &alice.did).unwrap();
    let stored = signing_keys::by_did(&*pds.app().db, &alice.did).await.unwrap().unwrap();
    assert_eq!((parsed.handle(), parsed.signing_key()), (Some(alice.handle.clone()), Some(stored.did_key)));
    let method = &document["verificationMethod"][0];
    assert_eq!((&method["id"], &method["type"]), (&json!("did:web:alice.test#atproto"), &json!("Multikey")));
    assert_eq!(document["service"][0]["id"], "#atproto_pds");

    for host in ["ALICE.test", "alice.test:443", "alice.test."] {
        assert_eq!(document_at(&pds, host).await.as_ref(), Some(&document), "{host}");
    }
    for host in ["bob.test", "carol.test", "test", "a.alice.test", "127.0.0.1"] {
        assert_eq!(document_at(&pds, host).await, None, "{host}");
    }
    assert_eq!(well_known(&pds, Method::GET, "alice.test..").await.status(), StatusCode::BAD_REQUEST);
    let own = document_at(&pds, "localhost").await.unwrap();
    assert_eq!(own["id"], json!(pds.did()), "the server's own is where it was");

    let reply = well_known(&pds, Method::GET, "alice.test").await;
    let header = |name: header::HeaderName| reply.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header(header::CACHE_CONTROL), "public, max-age=60");
    assert_eq!(header(header::CONTENT_TYPE), "application/json");
    assert_eq!(header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "*");
    let head = well_known(&pds, Method::HEAD, "alice.test").await;
    assert_eq!((head.status(), head.text().await.unwrap().as_str()), (StatusCode::OK, ""));
    assert_eq!(well_known(&pds, Method::POST, "alice.test").await.status(), StatusCode::METHOD_NOT_ALLOWED);

    pds.store().at_read(1, Fault::Fail);
    assert_eq!(well_known(&pds, Method::GET, "alice.test").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let _ = pds.logged_errors();
}

#[tokio::test]
async fn switching_it_off_leaves_those_there_are() {
    let mut pds = options().start().await;
    sign_up(&pds, "alice.test").await;
    pds.restart().await;
    assert!(document_at(&pds, "alice.test").await.is_some());
    let off = TestPds::start().await;
    assert_eq!(document_at(&off, "alice.test").await, None);
}

#[tokio::test]
async fn the_document_follows_the_handle() {
    let pds = options().start().await;
    let alice = sign_up(&pds, "alice.test").await;
    assert_eq!(update_handle(&pds, &alice, "LIZ.test").await, done());
    let claims = async || document_at(&pds, "alice.test").await.unwrap()["alsoKnownAs"].clone();
    assert_eq!(claims().await, json!(["at://liz.test"]));
    assert_eq!(document_at(&pds, "liz.test").await, None, "the DID stays what it was");
    let identity = pds.xrpc_get("com.atproto.identity.resolveIdentity").param("identifier", "liz.test").ok().await;
    assert_eq!((&identity["did"], &identity["handle"]), (&json!(alice.did), &json!("liz.test")));

    let unproven = refusal(400, "InvalidRequest", "External handle did not resolve to DID");
    assert_eq!(update_handle(&pds, &alice, "alice.example.com").await, unproven);
    pds.network().txt("_atproto.alice.example.com", &["did=did:web:alice.test"]);
    assert_eq!(update_handle(&pds, &alice, "alice.example.com").await, done());
    assert_eq!(claims().await, json!(["at://alice.example.com"]));
    let told = seen::handles_told(&pds, &alice.did).await;
    assert_eq!(told, ["alice.test", "liz.test", "alice.example.com"]);
    assert!(pds.plc().submissions().is_empty());
    pds.account("bob").await;
    assert_eq!(update_handle(&pds, &alice, "bob.test").await, taken("bob.test"));
    assert_eq!(claims().await, json!(["at://alice.example.com"]));
    assert_eq!(recheck::pass(pds.app()).await.unwrap(), 0);
}

#[tokio::test]
async fn nobody_else_gets_the_handle_that_is_the_dids_host() {
    let pds = options().start().await;
    let alice = sign_up(&pds, "alice.test").await;
    let bob = pds.account("bob").await;
    assert_eq!(update_handle(&pds, &alice, "liz.test").await, done());
    for name in ["one", "two"] {
        assert_eq!(update_handle(&pds, &alice, &format!("{name}.example.test")).await.0, 400);
    }
    pds.advance(400 * DAY);
    pds.do_jobs().await;
    let (alice, bob) = (signed_in(&pds, &alice).await, signed_in(&pds, &bob).await);
    assert_eq!(update_handle(&pds, &bob, "alice.test").await, taken("alice.test"));
    assert_eq!(refused(&pds, "alice.test", None).await, taken("alice.test"));
    assert_eq!(refused(&pds, "alice.test", Some("did:web:alice.test")).await, taken("alice.test"));
    let exists = refusal(400, "InvalidRequest", "Repo already exists");
    assert_eq!(refused(&pds, "carol.test", Some("did:web:alice.test")).await, exists);
    assert_eq!(update_handle(&pds, &alice, "alice.test").await, done(), "its owner has it back");
    assert_eq!(update_handle(&pds, &alice, "beth.test").await, done());

    delete(&pds, &alice.did).await;
    pds.advance(29 * DAY);
    pds.do_jobs().await;
    let bob = signed_in(&pds, &bob).await;
    assert_eq!(update_handle(&pds, &bob, "alice.test").await, taken("alice.test"));
    pds.advance(DAY);
    let bob = signed_in(&pds, &bob).await;
    pds.do_jobs().await;
    assert_eq!(update_handle(&pds, &bob, "alice.test").await, done());
}

async fn signed_in(pds: &TestPds, actor: &Actor) -> Actor {
    let body = json!({ "identifier": actor.did, "password": actor.password });
    let session = pds.xrpc_post("com.atproto.server.createSession").json(&body).ok().await;
    Actor { access: session["accessJwt"].as_str().unwrap().to_owned(), ..actor.clone() }
}

#[tokio::test]
async fn the_document_is_there_as_long_as_the_account_and_nobody_gets_the_did_again() {
    let pds = options().start().await;
    let alice = sign_up(&pds, "alice.test").await;
    let document = document_at(&pds, "alice.test").await;
    assert_eq!(call(&pds, &alice, "com.atproto.server.deactivateAccount", json!({})).await, 200);
    assert_eq!(document_at(&pds, "alice.test").await, document);
    let activated = pds.xrpc_post("com.atproto.server.activateAccount").bearer(&alice.access).send().await;
    assert_eq!(activated.status.as_u16(), 200);
    seen::take_down(&pds, &alice.did).await;
    assert_eq!(document_at(&pds, "alice.test").await, document, "an identity is no content");

    delete(&pds, &alice.did).await;
    assert_eq!(document_at(&pds, "alice.test").await, None);
    let resolved = pds.xrpc_get("com.atproto.identity.resolveDid").param("did", &alice.did).error().await;
    assert_eq!(resolved.1, "DidNotFound");
    let used = refusal(400, "IncompatibleDidDoc", USED);
    assert_eq!(refused(&pds, "alice.test", Some("did:web:alice.test")).await, used);
    assert_eq!(refused(&pds, "alice.test", None).await, taken("alice.test"));
    pds.advance(30 * DAY);
    pds.do_jobs().await;
    assert_eq!(refused(&pds, "alice.test", Some("did:web:alice.test")).await, used);
    let another = pds.account("alice").await;
    assert!(another.did.as_str().starts_with("did:plc:"), "the handle alone is free again");
    assert_eq!(document_at(&pds, "alice.test").await, None);
}

#[tokio::test]
async fn there_is_nothing_for_the_directory_to_do() {
    let pds = options().start().await;
    let alice = sign_up(&pds, "alice.test").await;
    let advised = pds.xrpc_get("com.atproto.identity.getRecommendedDidCredentials").bearer(&alice.access).ok().await;
    assert_eq!((&advised["rotationKeys"], &advised["alsoKnownAs"]), (&Value::Null, &json!(["at://alice.test"])));
    let expected = refusal(400, "InvalidRequest", "Only a did:plc is changed by operations");
    let request = pds.xrpc_post("com.atproto.identity.requestPlcOperationSignature").bearer(&alice.access);
    assert_eq!(request.error().await, expected);
    let sign = pds.xrpc_post("com.atproto.identity.signPlcOperation").bearer(&alice.access);
    assert_eq!(sign.json(&json!({})).error().await, expected);
    let submit = pds.xrpc_post("com.atproto.identity.submitPlcOperation").bearer(&alice.access);
    assert_eq!(submit.json(&json!({ "operation": {} })).error().await, expected);
    assert!(pds.mail().await.is_empty());
}

/// Checks that document, store and newest commit agree on the key, and that the account can write; gives the key.
async fn agreed(pds: &TestPds, actor: &Actor) -> DidKey {
    let stored = signing_keys::by_did(&*pds.app().db, &actor.did).await.unwrap().unwrap().did_key;
    let document = document_at(pds, actor.did.identifier()).await.unwrap();
    let document = DidDocument::from_json(document, &actor.did).unwrap();
    assert_eq!(document.signing_key().as_ref(), Some(&stored));
    let signed_by_it = async || {
        let file = pds.xrpc_get("com.atproto.sync.getRepo").param("did", &actor.did).send().await.body;
        let file = car::read(&file, &car::Limits::REPOSITORY).unwrap();
        SignedCommit::parse(file.get(&file.root().unwrap()).unwrap()).unwrap().verify(&stored).unwrap();
    };
    signed_by_it().await;
    let note = json!({ "repo": actor.did, "collection": "com.example.note", "record": { "n": 1 } });
    assert_eq!(call(pds, actor, "com.atproto.repo.createRecord", note).await, 200);
    signed_by_it().await;
    stored
}

#[tokio::test]
async fn a_new_key_is_in_the_document_from_the_commit_on_that_it_signs() {
    let pds = options().start().await;
    // The check at the end knows one key of each account; `agreed` looks at the signatures itself.
    pds.arranges_the_impossible();
    let alice = sign_up(&pds, "alice.test").await;
    let first = agreed(&pds, &alice).await;
    let before = pds.events().await.len();
    pds.advance(Duration::from_secs(1));
    let second = signing_key::rotate(pds.app(), &alice.did).await.unwrap();
    let told: Vec<_> = pds.events().await.into_iter().skip(before).map(|(_, frame)| frame.message).collect();
    assert!(matches!(told.as_slice(), [Message::Identity(_), Message::Sync(_)]), "{told:?}");
    assert_ne!(first, second);
    assert_eq!(agreed(&pds, &alice).await, second);

    for (fault, is_new) in [(Fault::Fail, false), (Fault::UnknownLost, false), (Fault::UnknownApplied, true)] {
        let mut pds = options().start().await;
        pds.arranges_the_impossible();
        let alice = sign_up(&pds, "alice.test").await;
        let first = agreed(&pds, &alice).await;
        pds.advance(Duration::from_secs(1));
        pds.store().at_commit(1, fault);
        signing_key::rotate(pds.app(), &alice.did).await.unwrap_err();
        pds.restart().await;
        assert_eq!(agreed(&pds, &alice).await != first, is_new, "{fault:?}");
        let _ = pds.logged_errors();
    }
}

fn operator() -> By {
    By { actor: Administrator::CommandLine, method: "account did-web" }
}

fn elsewhere(endpoint: &str, key: &str, handle: Option<&str>) -> Publish {
    let (endpoint, signing_key) = (endpoint.to_owned(), key.to_owned());
    Publish::Elsewhere { endpoint, signing_key, handle: handle.map(str::to_owned) }
}

#[tokio::test]
async fn the_operator_publishes_another_server_and_this_one_again() {
    let pds = options().start().await;
    let alice = sign_up(&pds, "alice.test").await;
    let bob = pds.account("bob").await;
    let ours = document_at(&pds, "alice.test").await.unwrap();
    let key = allod_atproto::crypto::SigningKey::from_bytes(allod_atproto::crypto::Curve::P256, &[7; 32]).unwrap();
    let (url, key) = ("https://new.example.com", key.did_key().to_string());
    let here = pds.app().config.service.public_url.clone();
    for (account, wanted, refusal) in [
        ("bob.test", elsewhere(url, &key, None), "bob.test has no did:web that was made here".to_owned()),
        ("carol.test", Publish::Here, "carol.test has no did:web that was made here".to_owned()),
        ("alice.test", elsewhere("https://x.example.com/path", &key, None), DidWebError::Endpoint.to_string()),
        ("alice.test", elsewhere("nonsense", &key, None), DidWebError::Endpoint.to_string()),
        ("alice.test", elsewhere(&here, &key, None), DidWebError::ThisServer.to_string()),
        ("alice.test", elsewhere(url, "did:key:zNonsense", None), DidWebError::SigningKey.to_string()),
    ] {
        let refused = did_web::publish(pds.app(), &operator(), account, wanted).await.unwrap_err();
        assert_eq!(refused.to_string(), refusal);
    }
    let wrong = did_web::publish(pds.app(), &operator(), "alice.test", elsewhere(url, &key, Some("x"))).await;
    assert!(matches!(wrong, Err(DidWebError::Handle(_))));
    assert_eq!(document_at(&pds, "alice.test").await.as_ref(), Some(&ours));
    assert!(did_web::show(pds.app(), bob.did.as_str()).await.is_err());

    let before = pds.events().await.len();
    let wanted = elsewhere("https://new.example.com/", &key, Some("Alice.New.example.com"));
    let shown = did_web::publish(pds.app(), &operator(), alice.did.as_str(), wanted).await.unwrap();
    assert!(shown.has_account && shown.is_elsewhere);
    let document = document_at(&pds, "alice.test").await.unwrap();
    assert_eq!(shown.document.unwrap().json(), &document);
    let parsed = DidDocument::from_json(document.clone(), &alice.did).unwrap();
    assert_eq!(parsed.pds_endpoint(), Some(url));
    assert_eq!(parsed.signing_key().unwrap().as_str(), key);
    assert_eq!(parsed.handle().unwrap().as_str(), "alice.new.example.com");
    let told: Vec<_> = pds.events().await.into_iter().skip(before).map(|(_, frame)| frame.message).collect();
    assert!(matches!(told.as_slice(), [Message::Identity(_)]), "{told:?}");
    assert_eq!(recheck::pass(pds.app()).await.unwrap(), 1, "an active account that is said to be elsewhere");

    let unclaimed = refusal(400, "InvalidRequest", "DID is not properly configured for handle");
    assert_eq!(update_handle(&pds, &alice, "liz.test").await, unclaimed);
    assert!(signing_key::rotate(pds.app(), &alice.did).await.is_err());
    assert_eq!(document_at(&pds, "alice.test").await.as_ref(), Some(&document));
    assert_eq!(call(&pds, &alice, "com.atproto.server.deactivateAccount", json!({})).await, 200);
    let misfit = "DID document atproto_pds service endpoint does not match PDS public url";
    let activate = || pds.xrpc_post("com.atproto.server.activateAccount").bearer(&alice.access);
    assert_eq!(activate().error().await, refusal(400, "InvalidRequest", misfit));

    let before = pds.events().await.len();
    let shown = did_web::publish(pds.app(), &operator(), "alice.test", Publish::Here).await.unwrap();
    assert!(!shown.is_elsewhere);
    assert_eq!(document_at(&pds, "alice.test").await, Some(ours));
    assert_eq!(pds.events().await.len(), before, "the network is not told of an account that is not active");
    assert_eq!(activate().send().await.status.as_u16(), 200);
}

/// Shows one server's document of Alice to another.
async fn publish_to(from: &TestPds, to: &TestPds) {
    let document = document_at(from, "alice.example.com").await.unwrap();
    to.network().page("https://alice.example.com/.well-known/did.json", 200, document.to_string());
}

async fn moves_in(from: (&TestPds, &Actor), to: &TestPds, handle: &str) -> Actor {
    let (old, actor) = from;
    let wanted = old.xrpc_get("com.atproto.server.getServiceAuth").param("aud", to.did()).param("lxm", CREATE_ACCOUNT);
    let token = wanted.bearer(&actor.access).ok().await["token"].as_str().unwrap().to_owned();
    let body = json!({ "handle": handle, "email": actor.email, "password": actor.password, "did": actor.did });
    let answer = to.xrpc_post(CREATE_ACCOUNT).bearer(&token).json(&body).ok().await;
    let access = answer["accessJwt"].as_str().unwrap().to_owned();
    Actor { access, handle: Handle::parse(handle).unwrap(), ..actor.clone() }
}

async fn advised_key(pds: &TestPds, actor: &Actor) -> String {
    let advised = pds.xrpc_get("com.atproto.identity.getRecommendedDidCredentials").bearer(&actor.access).ok().await;
    advised["verificationMethods"]["atproto"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_identity_moves_out_and_comes_back() {
    let home = options().handle_domains(&[".example.com"]).start().await;
    // Before and after it was away the account has different keys; the check at the end knows one.
    home.arranges_the_impossible();
    let away = TestPds::options().seed(2).start().await;
    let alice = sign_up(&home, "alice.example.com").await;
    publish_to(&home, &away).await;
    let there = moves_in((&home, &alice), &away, "alice.test").await;
    let activate =
        |pds: &TestPds, actor: &Actor| pds.xrpc_post("com.atproto.server.activateAccount").bearer(&actor.access);
    assert_eq!(activate(&away, &there).error().await.0, 400, "the document is still at home");

    let key = advised_key(&away, &there).await;
    let wanted = elsewhere(&away.app().config.service.public_url, &key, Some("alice.test"));
    did_web::publish(home.app(), &operator(), "alice.example.com", wanted).await.unwrap();
    publish_to(&home, &away).await;
    assert_eq!(activate(&away, &there).send().await.status.as_u16(), 200);
    delete(&home, &alice.did).await;
    publish_to(&home, &away).await;
    let shown = did_web::show(home.app(), "alice.example.com").await.unwrap();
    assert!(!shown.has_account && shown.is_elsewhere, "the document outlives the account");
    let status = away.xrpc_get("com.atproto.server.checkAccountStatus").bearer(&there.access).ok().await;
    assert_eq!(status["validDid"], true);
    let resolved = home.xrpc_get("com.atproto.identity.resolveDid").param("did", &alice.did).ok().await;
    assert_eq!(resolved["didDoc"]["service"][0]["serviceEndpoint"], away.app().config.service.public_url);
    let nobodys = refused(&home, "alice.example.com", Some(alice.did.as_str())).await;
    assert_eq!(nobodys.0, 401, "it is somebody's, who can prove it");

    home.advance(31 * DAY);
    home.do_jobs().await;
    away.advance(31 * DAY);
    let there = signed_in(&away, &there).await;
    let back = moves_in((&away, &there), &home, "liz.example.com").await;
    assert_eq!(activate(&home, &back).error().await.0, 400, "the document is still away");
    did_web::publish(home.app(), &operator(), "liz.example.com", Publish::Here).await.unwrap();
    assert_eq!(activate(&home, &back).send().await.status.as_u16(), 200);
    let document = document_at(&home, "alice.example.com").await.unwrap();
    let document = DidDocument::from_json(document, &alice.did).unwrap();
    assert_eq!(document.signing_key().unwrap().as_str(), advised_key(&home, &back).await);
    let host = Handle::parse("alice.example.com").unwrap();
    let holder = accounts::handle_holder(&*home.app().db, &host).await.unwrap();
    assert_eq!(holder.as_deref(), Some(alice.did.as_str()), "the handle of its host is kept for it again");
    assert_eq!(update_handle(&home, &back, "alice.example.com").await, done());
}
