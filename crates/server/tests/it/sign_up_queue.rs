//! Accounts that wait to be let in: nobody hears of them before, and everybody once they are, whatever goes wrong.

use std::time::Duration;

use allod_atproto::{Did, frame::Message};
use allod_server::{
    control::{Administration, Answer, Command, ControlError, Silent, execute},
    domain::sign_up::{failpoint::Failpoint, queue::QueueConfig},
};
use allod_store::tables::sign_up_queue;
use allod_testkit::{At, Behaviour, Call, Options, TestPds};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    did_web::document_at,
    elsewhere::{CREATE_ACCOUNT, Resident},
    seen::{self, refusal},
};

const PLACE: &str = "com.atproto.temp.checkSignupQueue";
const RACERS: usize = 100;

fn queueing(per_hour: u32) -> Options {
    TestPds::options().config(move |config| config.sign_up.queue = Some(QueueConfig { per_hour }))
}

fn person(name: &str) -> Value {
    json!({ "handle": format!("{name}.test"), "email": format!("{name}@mail.test"), "password": "correct horse" })
}

/// An account that waits.
struct Waiting {
    did: Did,
    access: String,
    refresh: String,
}

fn read(session: &Value) -> Waiting {
    Waiting {
        did: Did::parse(session["did"].as_str().unwrap()).unwrap(),
        access: session["accessJwt"].as_str().unwrap().to_owned(),
        refresh: session["refreshJwt"].as_str().unwrap().to_owned(),
    }
}

async fn join(pds: &TestPds, name: &str) -> Waiting {
    read(&pds.xrpc_post(CREATE_ACCOUNT).json(&person(name)).ok().await)
}

async fn refreshed(pds: &TestPds, waiting: &Waiting) -> Waiting {
    read(&pds.xrpc_post("com.atproto.server.refreshSession").bearer(&waiting.refresh).ok().await)
}

async fn command(pds: &TestPds, action: Administration) -> Result<Answer, ControlError> {
    execute(pds.app(), Command::Administer { action }, &mut Silent).await
}

async fn admit(pds: &TestPds, account: &str) -> Result<(), ControlError> {
    command(pds, Administration::QueueAdmit { account: account.to_owned() }).await.map(|_| ())
}

async fn names_waiting(pds: &TestPds) -> Vec<String> {
    let Ok(Answer::Queue(page)) = command(pds, Administration::QueueList { cursor: None, limit: 10 }).await else {
        panic!("a list")
    };
    page.waiting.into_iter().map(|waiting| waiting.handle).collect()
}

fn post(pds: &TestPds, waiting: &Waiting) -> Call {
    let record = json!({ "text": "in", "createdAt": "2026-01-01T00:00:00Z" });
    let body = json!({ "repo": waiting.did, "collection": "app.bsky.feed.post", "record": record });
    pds.xrpc_post("com.atproto.repo.createRecord").bearer(&waiting.access).json(&body)
}

/// Has the server do what is due. Its own timer may be at it too, which ends in a moment of real time.
async fn jobs_done(pds: &TestPds) {
    for _ in 0..500 {
        pds.do_jobs().await;
        if sign_up_queue::due(&*pds.app().db, i64::MAX, 10).await.unwrap().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What the network was told, in order.
async fn told(pds: &TestPds) -> Vec<&'static str> {
    let name = |message: &Message| match message {
        Message::Account(account) => {
            if account.active {
                "active"
            } else {
                "inactive"
            }
        }
        Message::Identity(_) => "identity",
        Message::Sync(_) => "sync",
        Message::Commit(_) => "commit",
        Message::Info(_) | Message::Error(_) | Message::Other { .. } => "something else",
    };
    pds.events().await.iter().map(|(_, frame)| name(&frame.message)).collect()
}

/// Checks that nobody but the server knows of whoever waits.
async fn nobody_has_heard(pds: &TestPds) {
    assert!(pds.plc().submissions().is_empty(), "the directory heard of it");
    assert!(pds.events().await.is_empty(), "the network was told");
    assert_eq!(pds.xrpc_get("com.atproto.sync.listRepos").ok().await["repos"], json!([]));
}

#[tokio::test]
async fn a_stranger_waits_unheard_of_and_is_let_in() {
    let pds = queueing(0).start().await;
    let alice = join(&pds, "alice").await;
    nobody_has_heard(&pds).await;
    let waits = json!({ "activated": false, "placeInQueue": 1 });
    assert_eq!(pds.xrpc_get(PLACE).bearer(&alice.access).ok().await, waits);

    let session = pds.xrpc_get("com.atproto.server.getSession").bearer(&alice.access).ok().await;
    assert_eq!((&session["active"], &session["status"]), (&json!(false), &json!("deactivated")));
    let again = pds.sign_in_with("alice", "correct horse").await;
    assert_eq!(pds.xrpc_get(PLACE).bearer(&again.access).ok().await, waits);
    let scope = refusal(400, "InvalidToken", "Bad token scope");
    for token in [&alice.access, &again.access, &refreshed(&pds, &alice).await.access] {
        let call = pds.xrpc_post("com.atproto.server.activateAccount").bearer(token);
        assert_eq!(call.error().await, scope);
        let call = pds.xrpc_get("com.atproto.server.getServiceAuth").param("aud", "did:web:a.example").bearer(token);
        assert_eq!(call.error().await, scope);
    }
    assert_eq!(post(&pds, &alice).error().await, scope);
    let handle = pds.xrpc_get("com.atproto.identity.resolveHandle").param("handle", "alice.test");
    assert_eq!(handle.error().await.1, "HandleNotFound");
    nobody_has_heard(&pds).await;

    admit(&pds, "alice.test").await.unwrap();
    assert!(pds.plc().document(alice.did.as_str()).await.is_some());
    assert_eq!(told(&pds).await, ["active", "identity", "sync"]);
    assert_eq!(pds.xrpc_get(PLACE).bearer(&alice.access).ok().await, json!({ "activated": true }));
    assert_eq!(post(&pds, &alice).error().await, scope, "what was given while it waited opens no more");
    post(&pds, &refreshed(&pds, &alice).await).ok().await;
    let letter = pds.mail().await.pop().unwrap();
    assert_eq!((letter.to.as_str(), letter.subject.as_str()), ("alice@mail.test", "Your Account Is Ready"));
    assert_eq!(admit(&pds, "alice.test").await.unwrap_err().message, "the account does not wait to be let in");
    assert!(names_waiting(&pds).await.is_empty());
}

#[tokio::test]
async fn the_old_method_queues_too() {
    let pds = queueing(0).start().await;
    read(&pds.xrpc_post("com.atproto.account.create").json(&person("alice")).ok().await);
    nobody_has_heard(&pds).await;
    assert_eq!(names_waiting(&pds).await, ["alice.test"]);
}

#[tokio::test]
async fn whoever_was_invited_or_is_made_by_the_operator_does_not_wait() {
    let pds = queueing(0).start().await;
    let mut invited = person("alice");
    invited["inviteCode"] = pds.invite(1).await.into();
    let alice = read(&pds.xrpc_post(CREATE_ACCOUNT).json(&invited).ok().await);
    post(&pds, &alice).ok().await;
    let password = allod_server::control::Password::new("correct horse".to_owned());
    let email = Some("bob@mail.test".to_owned());
    let create = Command::AccountCreate { handle: "bob.test".to_owned(), email, password, allow_reserved: false };
    execute(pds.app(), create, &mut Silent).await.unwrap();
    assert!(names_waiting(&pds).await.is_empty());
    assert_eq!(pds.sign_in_with("bob", "correct horse").await.handle.as_str(), "bob.test");
}

#[tokio::test]
async fn who_came_first_is_first_and_whoever_is_refused_leaves_nothing() {
    let pds = queueing(0).start().await;
    let mut waiting = Vec::new();
    for name in ["alice", "bob", "carol"] {
        waiting.push(join(&pds, name).await);
        pds.advance(Duration::from_secs(1));
    }
    let place = async |waiting: &Waiting| {
        pds.xrpc_get(PLACE).bearer(&waiting.access).ok().await["placeInQueue"].as_i64().unwrap()
    };
    for (index, waiting) in (1..).zip(&waiting) {
        assert_eq!(place(waiting).await, index);
    }
    assert_eq!(names_waiting(&pds).await, ["alice.test", "bob.test", "carol.test"]);
    command(&pds, Administration::QueueRefuse { account: "alice.test".to_owned() }).await.unwrap();
    nobody_has_heard(&pds).await;
    seen::names_are_free(&pds, "alice.test", "alice@mail.test").await;
    assert_eq!(pds.xrpc_get(PLACE).bearer(&waiting[0].access).error().await.0, 400);
    assert_eq!((place(&waiting[1]).await, place(&waiting[2]).await), (1, 2));
    admit(&pds, waiting[1].did.as_str()).await.unwrap();
    assert_eq!(place(&waiting[2]).await, 1);
    let refused = command(&pds, Administration::QueueRefuse { account: "bob.test".to_owned() }).await;
    assert_eq!(refused.unwrap_err().message, "the account does not wait to be let in");
    post(&pds, &refreshed(&pds, &waiting[1]).await).ok().await;
    assert_eq!(pds.plc().genesis_operations(), 1);
}

#[tokio::test]
async fn so_many_an_hour_are_let_in_by_themselves() {
    let pds = queueing(60).start().await;
    pds.do_jobs().await;
    let mut waiting = Vec::new();
    for name in ["alice", "bob", "carol"] {
        waiting.push(join(&pds, name).await);
    }
    let told = pds.xrpc_get(PLACE).bearer(&waiting[2].access).ok().await;
    let place = told["placeInQueue"].as_u64().unwrap();
    assert_eq!(told["estimatedTimeMs"].as_u64().unwrap(), place * 60_000);
    for left in [2, 2, 1, 1, 0, 0] {
        // The server's own timer may be at it too, which ends in a moment of real time.
        for _ in 0..500 {
            pds.do_jobs().await;
            if names_waiting(&pds).await.len() == left {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(names_waiting(&pds).await.len(), left, "one a minute");
        pds.advance(Duration::from_secs(30));
    }
    for waiting in &waiting {
        post(&pds, &refreshed(&pds, waiting).await).ok().await;
    }
}

#[tokio::test]
async fn whoever_moves_in_waits_too_and_is_activated_by_its_owner() {
    let pds = queueing(0).start().await;
    let resident = Resident::new(&pds, 50).await;
    let mut body = person("mover");
    body["did"] = resident.did.as_str().into();
    let mover = read(&pds.xrpc_post(CREATE_ACCOUNT).json(&body).bearer(&resident.token(&pds)).ok().await);
    // The deadline for moving in does not run yet.
    pds.advance(Duration::from_hours(24 * 10));
    pds.do_jobs().await;
    let sign_in = json!({ "identifier": "mover.test", "password": "correct horse" });
    let mover = Waiting {
        refresh: pds.xrpc_post("com.atproto.server.createSession").json(&sign_in).ok().await["refreshJwt"]
            .as_str()
            .unwrap()
            .to_owned(),
        ..mover
    };
    admit(&pds, "mover.test").await.unwrap();
    assert!(pds.events().await.is_empty(), "it is not active before its owner says so");
    let mover = refreshed(&pds, &mover).await;
    let status = pds.xrpc_get("com.atproto.server.checkAccountStatus").bearer(&mover.access).ok().await;
    assert_eq!(status["activated"], false);
    pds.advance(Duration::from_hours(24 * 4));
    pds.do_jobs().await;
    seen::names_are_free(&pds, "mover.test", "mover@mail.test").await;
}

#[tokio::test]
async fn an_operation_that_may_be_out_of_date_later_is_not_taken() {
    let pds = queueing(0).start().await;
    let resident = Resident::new(&pds, 50).await;
    let reserve = json!({ "did": resident.did });
    let key = pds.xrpc_post("com.atproto.server.reserveSigningKey").json(&reserve).ok().await;
    let key = allod_atproto::crypto::DidKey::parse(key["signingKey"].as_str().unwrap()).unwrap();
    let operation = resident.move_here(&pds, "mover.test", &key).sign(&resident.rotation);
    let mut body = person("mover");
    body["did"] = resident.did.as_str().into();
    body["plcOp"] = operation.to_json();
    let (status, name, message) = pds.xrpc_post(CREATE_ACCOUNT).json(&body).bearer(&resident.token(&pds)).error().await;
    assert_eq!((status, name.as_str()), (400, "InvalidRequest"));
    assert!(message.contains("sign up with the DID alone"), "{message}");
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn letting_in_survives_a_crash_at_every_step() {
    for place in [Failpoint::LettingIn, Failpoint::LetIn] {
        let mut pds = queueing(0).start().await;
        let alice = join(&pds, "alice").await;
        pds.failpoints().set(place, At::Hang);
        {
            let letting_in = admit(&pds, "alice.test");
            tokio::select! { _ = letting_in => panic!("it hangs"), () = pds.failpoints().reached(place) => {} }
        }
        let body = json!({ "did": alice.did });
        let delete = pds.xrpc_post("com.atproto.admin.deleteAccount").admin().json(&body).send().await;
        seen::told_to_come_back(&delete);
        pds.failpoints().clear();
        pds.crash().await;
        pds.advance(Duration::from_mins(1));
        jobs_done(&pds).await;
        assert_eq!(told(&pds).await, ["active", "identity", "sync"], "{place:?}");
        assert_eq!(pds.plc().accepted_genesis_operations(), 1);
        post(&pds, &refreshed(&pds, &alice).await).ok().await;
        assert_eq!(pds.mail().await.len(), 1, "one letter");
    }
}

#[tokio::test]
async fn a_directory_that_is_down_is_asked_again_and_one_that_refuses_is_told_of() {
    let pds = queueing(0).start().await;
    let alice = join(&pds, "alice").await;
    pds.plc().behave(Behaviour::Down).await;
    assert_eq!(admit(&pds, "alice.test").await.unwrap_err().error, "UpstreamFailure");
    assert_eq!(admit(&pds, "alice.test").await.unwrap_err().error, "NotFound", "that was decided already");
    assert_eq!(names_waiting(&pds).await, ["alice.test"], "it is seen until it is in");
    pds.plc().behave(Behaviour::Work).await;
    pds.do_jobs().await;
    assert!(told(&pds).await.is_empty(), "not at once");
    pds.advance(Duration::from_mins(1));
    jobs_done(&pds).await;
    assert_eq!(told(&pds).await, ["active", "identity", "sync"]);
    post(&pds, &refreshed(&pds, &alice).await).ok().await;

    join(&pds, "bob").await;
    pds.plc().behave_on_submissions(Behaviour::Answer(400, "no".to_owned()));
    let refused = admit(&pds, "bob.test").await.unwrap_err();
    assert!(refused.message.starts_with("the DID directory refused the account's operation"), "{}", refused.message);
    assert_eq!(names_waiting(&pds).await, ["bob.test"]);
    // It is not tried again by itself, and holds nobody up.
    pds.plc().behave(Behaviour::Work).await;
    jobs_done(&pds).await;
    assert_eq!(names_waiting(&pds).await, ["bob.test"]);
    // Taken, and the answer lost.
    pds.plc().behave(Behaviour::WorkAndDrop).await;
    assert_eq!(admit(&pds, "bob.test").await.unwrap_err().error, "UpstreamFailure");
    pds.plc().behave(Behaviour::Work).await;
    pds.advance(Duration::from_mins(1));
    jobs_done(&pds).await;
    assert_eq!(told(&pds).await.len(), 7, "with Alice's post");
    assert!(names_waiting(&pds).await.is_empty());
}

#[tokio::test]
async fn of_many_who_let_it_in_one_does() {
    let pds = queueing(0).start().await;
    join(&pds, "alice").await;
    let tries = join_all((0..RACERS).map(|_| admit(&pds, "alice.test"))).await;
    assert_eq!(tries.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(told(&pds).await, ["active", "identity", "sync"]);
    assert_eq!(pds.plc().genesis_operations(), 1);
}

#[tokio::test]
async fn moderators_do_not_let_anybody_in() {
    let pds = queueing(0).start().await;
    let alice = join(&pds, "alice").await;
    let subject = json!({ "$type": "com.atproto.admin.defs#repoRef", "did": alice.did });
    let body = json!({ "subject": subject, "deactivated": { "applied": false } });
    let call = pds.xrpc_post("com.atproto.admin.updateSubjectStatus").admin().json(&body);
    let message = "The account waits in the sign-up queue; let it in with: allod queue admit";
    assert_eq!(call.error().await, refusal(400, "InvalidRequest", message));
    let body = json!({ "did": alice.did, "handle": "alicia.test" });
    let call = pds.xrpc_post("com.atproto.admin.updateAccountHandle").admin().json(&body);
    assert_eq!(call.error().await.0, 400);
    seen::take_down(&pds, &alice.did).await;
    assert_eq!(admit(&pds, "alice.test").await.unwrap_err().message, "the account is taken down");
    nobody_has_heard(&pds).await;
    seen::set_takedown(&pds, &subject, None).await;
    admit(&pds, "alice.test").await.unwrap();
    assert_eq!(told(&pds).await, ["active", "identity", "sync"]);
}

#[tokio::test]
async fn a_did_web_that_is_made_here_exists_once_its_account_is_let_in() {
    let pds = queueing(0).config(|config| config.sign_up.did_web_accounts = true).start().await;
    let mut body = person("alice");
    body["did"] = "did:web:alice.test".into();
    for is_let_in in [false, true] {
        let alice = read(&pds.xrpc_post(CREATE_ACCOUNT).json(&body).ok().await);
        nobody_has_heard(&pds).await;
        assert_eq!(document_at(&pds, "alice.test").await, None);
        let again = pds.xrpc_post(CREATE_ACCOUNT).json(&body).error().await;
        assert_eq!((again.0, again.1.as_str()), (400, "HandleNotAvailable"));
        if is_let_in {
            admit(&pds, "alice.test").await.unwrap();
            post(&pds, &refreshed(&pds, &alice).await).ok().await;
        } else {
            // Nobody has heard of it, so it can still be somebody's.
            command(&pds, Administration::QueueRefuse { account: "alice.test".to_owned() }).await.unwrap();
        }
    }
    assert_eq!(told(&pds).await, ["active", "identity", "sync", "commit"]);
    assert_eq!(document_at(&pds, "alice.test").await.unwrap()["id"], "did:web:alice.test");
    assert!(pds.plc().submissions().is_empty());
}
