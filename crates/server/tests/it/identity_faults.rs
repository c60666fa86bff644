//! Changes of identities when things go wrong: the directory, the store, the process. Whatever happens, account,
//! directory and names say the same in the end, and whoever was answered 200 has what was asked for.

use std::time::Duration;

use allod_atproto::Handle;
use allod_server::domain::identity::changes;
use allod_store::{
    fault::Fault,
    tables::{accounts, identity_changes},
};
use allod_testkit::{Actor, Behaviour, TestPds};
use serde_json::{Value, json};

const UPDATE: &str = "com.atproto.identity.updateHandle";

async fn update(pds: &TestPds, actor: &Actor, handle: &str) -> (u16, Value) {
    let call = pds.xrpc_post(UPDATE).bearer(&actor.access).json(&json!({ "handle": handle }));
    let reply = call.send().await;
    (reply.status.as_u16(), if reply.body.is_empty() { Value::Null } else { reply.json() })
}

/// Lets the server do by itself what it does in a quarter of an hour.
async fn a_quarter_of_an_hour(pds: &TestPds) {
    // What a run that has just begun takes up, it gets done in real time.
    for _ in 0..100 {
        if identity_changes::due(&*pds.app().db, i64::MAX, 10).await.unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..8 {
        pds.do_jobs().await;
        pds.advance(Duration::from_mins(2));
    }
    // The server's own timer may have a pass under way that holds a change: it ends in a moment of real time.
    for _ in 0..500 {
        pds.do_jobs().await;
        if identity_changes::due(&*pds.app().db, i64::MAX, 10).await.unwrap().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        pds.advance(Duration::from_mins(1));
    }
    panic!("a change was never settled");
}

/// Checks that account, directory, names and the network say the same; tells the handle.
async fn consistent(pds: &TestPds, actor: &Actor) -> String {
    let db = &*pds.app().db;
    let handle = accounts::by_did(db, &actor.did).await.unwrap().unwrap().handle;
    let document = pds.plc().document(actor.did.as_str()).await.unwrap();
    assert_eq!(document["alsoKnownAs"], json!([format!("at://{handle}")]));
    let hold = accounts::handle_hold(db, &handle).await.unwrap();
    assert_eq!(hold, Some((actor.did.to_string(), None)));
    let other = if handle.as_str() == "alice.test" { "liz.test" } else { "alice.test" };
    let other = accounts::handle_hold(db, &Handle::parse(other).unwrap()).await.unwrap();
    match handle.as_str() {
        "alice.test" => assert_eq!(other, None, "what was not had is free"),
        _ => assert!(other.is_some_and(|(did, until)| did == actor.did.as_str() && until.is_some())),
    }
    assert_eq!(crate::seen::handles_told(pds, &actor.did).await.last().map(String::as_str), Some(handle.as_str()));
    handle.to_string()
}

#[tokio::test]
async fn the_store_fails_at_each_commit() {
    for commit in 1..=2 {
        for fault in [Fault::Fail, Fault::UnknownApplied, Fault::UnknownLost] {
            for behaviour in [Behaviour::Work, Behaviour::WorkAndDrop, Behaviour::Answer(400, "no".to_owned())] {
                let pds = TestPds::start().await;
                let alice = pds.account("alice").await;
                pds.plc().behave_on_submissions(behaviour.clone());
                pds.store().at_commit(commit, fault);
                let (status, answer) = update(&pds, &alice, "liz.test").await;
                pds.store().clear();
                assert!(
                    status == 503 || (status == 200 && commit > 2),
                    "{commit} {fault:?} {behaviour:?}: {status} {answer}"
                );
                if behaviour == Behaviour::WorkAndDrop {
                    pds.plc().behave(Behaviour::Work).await;
                }
                a_quarter_of_an_hour(&pds).await;
                let handle = consistent(&pds, &alice).await;
                if matches!(behaviour, Behaviour::Answer(..)) {
                    assert_eq!(handle, "alice.test", "the directory refused");
                }
                pds.plc().behave(Behaviour::Work).await;
                let (status, answer) = update(&pds, &alice, "liz.test").await;
                assert_eq!(status, 200, "{answer}");
                assert_eq!(consistent(&pds, &alice).await, "liz.test");
            }
        }
    }
}

#[tokio::test]
async fn the_process_dies_at_each_step() {
    for place in ["before the intent", "at the directory", "before the directory", "before the end"] {
        let mut pds = TestPds::start().await;
        let alice = pds.account("alice").await;
        match place {
            "before the intent" => pds.store().at_commit(1, Fault::Hang),
            "before the end" => pds.store().at_commit(2, Fault::Hang),
            "before the directory" => pds.plc().behave_on_submissions(Behaviour::Hang),
            _ => pds.plc().behave_on_submissions(Behaviour::WorkAndDrop),
        }
        if place == "at the directory" {
            // It takes the operation, and can't be asked for it.
            pds.store().at_commit(2, Fault::Hang);
        }
        {
            let asked = update(&pds, &alice, "liz.test");
            let stuck = async {
                loop {
                    let hangs = pds.store().hanging() > 0;
                    let sent = pds.plc().submissions().iter().any(|submission| !submission.is_genesis());
                    if hangs || (place == "before the directory" && sent) {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::select! { answer = asked => panic!("{place}: it answered {answer:?}"), () = stuck => {} }
        }
        pds.plc().behave(Behaviour::Work).await;
        pds.crash().await;
        a_quarter_of_an_hour(&pds).await;
        let handle = consistent(&pds, &alice).await;
        assert_eq!(handle, if place == "before the intent" { "alice.test" } else { "liz.test" }, "{place}");
        let (status, answer) = update(&pds, &alice, "liz.test").await;
        assert_eq!(status, 200, "{place}: {answer}");
        let _ = pds.logged_errors();
    }
}

#[tokio::test]
async fn an_answer_that_is_not_known_is_settled_by_itself() {
    for behaviour in [Behaviour::Answer(500, "oops".to_owned()), Behaviour::WorkAndDrop, Behaviour::Hang] {
        let pds = TestPds::options().plc_timeout(Duration::from_millis(150)).start().await;
        let alice = pds.account("alice").await;
        pds.plc().behave_on_submissions(behaviour.clone());
        let (status, answer) = update(&pds, &alice, "liz.test").await;
        if behaviour == Behaviour::WorkAndDrop {
            assert_eq!(status, 200, "the directory was asked: {answer}");
        } else {
            assert_eq!((status, answer["error"].as_str()), (503, Some("NotEnoughResources")), "{behaviour:?}");
            // Nobody else gets what is being given to her.
            let hold = accounts::handle_hold(&*pds.app().db, &Handle::parse("liz.test").unwrap()).await.unwrap();
            assert_eq!(hold, Some((alice.did.to_string(), None)));
        }
        pds.plc().behave(Behaviour::Work).await;
        a_quarter_of_an_hour(&pds).await;
        assert_eq!(consistent(&pds, &alice).await, "liz.test", "{behaviour:?}");
    }
}

/// What the directory says of one DID is no outage.
#[tokio::test]
async fn a_log_that_cannot_be_read_holds_up_its_own_change_alone() {
    let pds = TestPds::start().await;
    let mut people = [pds.account("alice").await, pds.account("bob").await];
    // They are looked at in this order.
    people.sort_by(|one, other| one.did.cmp(&other.did));
    pds.plc().behave_on_submissions(Behaviour::Answer(500, "oops".to_owned()));
    for (person, handle) in people.iter().zip(["first.test", "second.test"]) {
        assert_eq!(update(&pds, person, handle).await.0, 503);
    }
    let outage = changes::recover(pds.app()).await.unwrap();
    assert!(outage.is_outage);
    pds.plc().behave_on_submissions(Behaviour::Work);
    pds.plc().behave_on_reads_of(people[0].did.as_str(), Behaviour::Answer(400, "no".to_owned()));
    let done = changes::recover(pds.app()).await.unwrap();
    assert_eq!((done.finished, done.waiting, done.is_outage), (1, 1, false));
    pds.plc().behave_on_reads_of(people[0].did.as_str(), Behaviour::Work);
    a_quarter_of_an_hour(&pds).await;
    for (person, handle) in people.iter().zip(["first.test", "second.test"]) {
        let account = accounts::by_did(&*pds.app().db, &person.did).await.unwrap().unwrap();
        assert_eq!(account.handle.as_str(), handle);
    }
}

#[tokio::test]
async fn a_directory_that_is_out_for_long_gets_nothing_late() {
    let pds = TestPds::options().plc_timeout(Duration::from_millis(150)).start().await;
    let alice = pds.account("alice").await;
    pds.plc().behave_on_submissions(Behaviour::Answer(500, "oops".to_owned()));
    assert_eq!(update(&pds, &alice, "liz.test").await.0, 503);
    a_quarter_of_an_hour(&pds).await;
    assert_eq!(consistent(&pds, &alice).await, "alice.test");
}
