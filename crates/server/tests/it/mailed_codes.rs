//! What holds of all methods that mail or take codes: used once by whoever comes first, whole after a fault, and no sign to
//! strangers of who has an account.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use allod_server::domain::mail::{Message, Transport, TransportError};
use allod_store::{fault::Fault, sql};
use allod_testkit::{Actor, TestPds};
use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all, pending},
};
use serde_json::{Value, json};

use crate::deletion;

const REQUEST_RESET: &str = "com.atproto.server.requestPasswordReset";
const RESET: &str = "com.atproto.server.resetPassword";
const DELETE: &str = "com.atproto.server.deleteAccount";
const UPDATE_EMAIL: &str = "com.atproto.server.updateEmail";

/// How often something is done to tell how much work it is.
const ROUNDS: usize = 10;

/// Has a code mailed to an account by a method that takes no body, and reads it.
async fn code(pds: &TestPds, actor: &Actor, method: &str) -> String {
    let call = pds.xrpc_post(&format!("com.atproto.server.{method}")).bearer(&actor.access);
    assert_eq!(call.send().await.status, 200);
    pds.code_mailed_to(&actor.email).await
}

async fn ask_reset(pds: &TestPds, email: &str) -> (u16, String) {
    let reply = pds.xrpc_post(REQUEST_RESET).json(&json!({ "email": email })).send().await;
    (reply.status.as_u16(), reply.text())
}

fn deletion_of(actor: &Actor, code: &str) -> Value {
    json!({ "did": actor.did, "password": actor.password, "token": code })
}

/// A mail server that takes a letter and says no more.
#[derive(Default)]
struct Silent {
    letters: AtomicUsize,
}

impl Transport for Silent {
    fn send<'a>(&'a self, _: &'a Message) -> BoxFuture<'a, Result<(), TransportError>> {
        self.letters.fetch_add(1, Ordering::Relaxed);
        pending().boxed()
    }
}

/// A server whose mail is stuck, so that all that its store does is for requests; and somebody for whom it is.
async fn stuck() -> (TestPds, Actor) {
    let silent = Arc::new(Silent::default());
    let pds = TestPds::options().mail_transport(Arc::<Silent>::clone(&silent)).start().await;
    let waiting = pds.account("waiting").await;
    assert_eq!(ask_reset(&pds, &waiting.email).await, (200, String::new()));
    while silent.letters.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    (pds, waiting)
}

/// How many reads and commits a request takes: the least of some, for what is done beside it only adds.
async fn work<F: Future>(pds: &TestPds, request: impl Fn() -> F) -> (u64, u64) {
    let mut counts = Vec::new();
    for _ in 0..ROUNDS {
        let before = (pds.store().reads(), pds.store().commits());
        request().await;
        counts.push((pds.store().reads() - before.0, pds.store().commits() - before.1));
    }
    counts.into_iter().min().unwrap()
}

#[tokio::test]
async fn of_a_hundred_who_delete_an_account_at_once_one_does() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let code = code(&pds, &alice, "requestAccountDelete").await;
    let calls = join_all((0..100).map(|_| pds.xrpc_post(DELETE).json(&deletion_of(&alice, &code)).send())).await;
    assert_eq!(calls.iter().filter(|reply| reply.status == 200).count(), 1);
    let told = pds.events().await.into_iter().filter(|(event, _)| event.did == alice.did.as_str()).count();
    assert_eq!(told, 5, "the four events of the sign-up and one of the end");
}

#[tokio::test]
async fn of_a_hundred_who_change_an_address_at_once_one_does() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let confirmation = code(&pds, &alice, "requestEmailConfirmation").await;
    let body = json!({ "email": alice.email, "token": confirmation });
    let confirm = pds.xrpc_post("com.atproto.server.confirmEmail").bearer(&alice.access).json(&body);
    assert_eq!(confirm.send().await.status, 200);
    let code = code(&pds, &alice, "requestEmailUpdate").await;
    let calls = join_all((0..100).map(|n| {
        let body = json!({ "email": format!("new{n}@mail.test"), "token": code });
        pds.xrpc_post(UPDATE_EMAIL).bearer(&alice.access).json(&body).send()
    }))
    .await;
    let done: Vec<usize> = (0..100).filter(|&n| calls[n].status == 200).collect();
    assert!(calls.iter().all(|reply| reply.status == 200 || reply.status == 400), "none fails otherwise");
    // Whoever comes later finds an address that nobody has confirmed, which is changed without a code.
    let mail = pds.mail().await;
    let told = mail.iter().filter(|letter| letter.to == alice.email && letter.subject == "Email Changed").count();
    assert_eq!(told, 1, "of {} changes one was from the confirmed address", done.len());
}

#[tokio::test]
async fn a_fault_at_either_durable_step_of_a_deletion_leaves_the_account_whole_and_the_code_good() {
    for step in 1..=2 {
        let mut pds = TestPds::start().await;
        let alice = deletion::resident(&pds, "alice").await;
        let code = code(&pds, &alice, "requestAccountDelete").await;
        // The first step counts the try, the second deletes.
        pds.store().at_commit(step, Fault::Fail);
        let call = pds.xrpc_post(DELETE).json(&deletion_of(&alice, &code));
        assert_eq!(call.send().await.status, 503, "step {step}");
        pds.crash().await;
        pds.sign_in("alice").await;
        assert_eq!(pds.xrpc_post(DELETE).json(&deletion_of(&alice, &code)).send().await.status, 200);
        deletion::is_gone(&pds, &alice).await;
    }
}

#[tokio::test]
async fn a_mailbox_is_not_filled_and_whether_it_has_an_account_does_not_show() {
    let pds = TestPds::options().config(|config| config.rate_limits.enabled = true).start().await;
    let alice = pds.account("alice").await;
    for _ in 0..12 {
        let known = ask_reset(&pds, &alice.email).await;
        pds.deliver_mail().await;
        let unknown = ask_reset(&pds, "nobody@mail.test").await;
        pds.deliver_mail().await;
        assert_eq!(known, unknown);
    }
    assert_eq!(pds.mail().await.len(), 3);
    // What was not mailed took no code's place.
    let body = json!({ "token": pds.code_mailed_to(&alice.email).await, "password": "another password" });
    assert_eq!(pds.xrpc_post(RESET).json(&body).send().await.status, 200);
}

#[tokio::test]
async fn asking_for_a_new_password_is_as_much_work_for_an_address_that_nobody_has() {
    let (pds, _) = stuck().await;
    let alice = pds.account("alice").await;
    let known = work(&pds, || ask_reset(&pds, &alice.email)).await;
    let unknown = work(&pds, || ask_reset(&pds, "nobody@mail.test")).await;
    assert_eq!(known, unknown);
    assert_eq!(known.1, 1, "one write and no look-up");
}

#[tokio::test]
async fn a_wrong_code_is_as_much_work_whether_or_not_somebody_waits_for_one() {
    let (pds, waiting) = stuck().await;
    let codes = pds.app().db.read(sql!("SELECT COUNT(*) FROM email_codes WHERE did = $1", waiting.did.as_str()));
    assert_eq!(codes.await.unwrap()[0].get::<i64>(0).unwrap(), 1, "somebody waits");
    let wrong = || async {
        let body = json!({ "token": "AAAAA-AAAAA", "password": "another password" });
        pds.xrpc_post(RESET).json(&body).error().await
    };
    let with = work(&pds, wrong).await;
    pds.advance(Duration::from_hours(48));
    pds.do_jobs().await;
    let codes = pds.app().db.read(sql!("SELECT COUNT(*) FROM email_codes WHERE did = $1", waiting.did.as_str()));
    assert_eq!(codes.await.unwrap()[0].get::<i64>(0).unwrap(), 0, "nobody waits any more");
    assert_eq!(with, work(&pds, wrong).await);
}
