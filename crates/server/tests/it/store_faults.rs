//! The store fails under a write, at every call there is: who is answered 200 has written, everybody else is told to
//! come back, and what is left is the repository as it was before or after.

use std::time::Duration;

use allod_store::fault::Fault;
use allod_testkit::{Actor, Call, TestPds, read_json};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::seen;

const NOTES: &str = "com.example.note";
/// How many of a write's reads are made to fail, one by one.
const READS: u64 = 8;

/// The writes that are tried, each of which changes something at first: it is about a record that is there.
fn writes(pds: &TestPds, actor: &Actor, old: &str) -> Vec<Call> {
    let apply = |kind: &str| format!("com.atproto.repo.applyWrites#{kind}");
    [
        ("createRecord", json!({ "collection": NOTES, "rkey": format!("{old}-new"), "record": { "n": 1 } })),
        ("putRecord", json!({ "collection": NOTES, "rkey": old, "record": { "n": 2 } })),
        ("deleteRecord", json!({ "collection": NOTES, "rkey": old })),
        (
            "applyWrites",
            json!({ "writes": [
                { "$type": apply("create"), "collection": NOTES, "rkey": format!("{old}-first"), "value": { "n": 3 } },
                { "$type": apply("delete"), "collection": NOTES, "rkey": old },
                { "$type": apply("create"), "collection": NOTES, "rkey": format!("{old}-second"), "value": { "n": 4 } },
            ] }),
        ),
    ]
    .into_iter()
    .map(|(method, body)| write(pds, actor, method, body))
    .collect()
}

fn write(pds: &TestPds, actor: &Actor, method: &str, mut body: Value) -> Call {
    body["repo"] = json!(actor.did);
    pds.xrpc_post(&format!("com.atproto.repo.{method}")).bearer(&actor.access).json(&body)
}

/// Keys and values, as anybody reads them.
async fn notes(pds: &TestPds, actor: &Actor) -> Vec<(String, Value)> {
    let call = pds
        .xrpc_get("com.atproto.repo.listRecords")
        .param("repo", &actor.did)
        .param("collection", NOTES)
        .param("limit", 100);
    let listed = call.ok().await;
    let key = |record: &Value| record["uri"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned();
    listed["records"].as_array().unwrap().iter().map(|record| (key(record), record["value"]["n"].clone())).collect()
}

/// Somebody with one record.
async fn somebody(pds: &TestPds, name: &str) -> Actor {
    let actor = pds.account(name).await;
    let body = json!({ "collection": NOTES, "rkey": "old", "record": { "n": 0 } });
    write(pds, &actor, "createRecord", body).ok().await;
    actor
}

#[tokio::test]
async fn a_commit_that_fails_is_told_and_leaves_before_or_after() {
    for fault in [Fault::Fail, Fault::UnknownLost, Fault::UnknownApplied] {
        let mut pds = TestPds::start().await;
        for number in 0..4 {
            let actor = somebody(&pds, &format!("person{number}")).await;
            let before = notes(&pds, &actor).await;
            pds.store().at_commit(1, fault);
            seen::told_to_come_back(&writes(&pds, &actor, "old").remove(number).send().await);
            if fault != Fault::Fail {
                // What the store contract asks for.
                pds.restart().await;
            }
            let is_before = notes(&pds, &actor).await == before;
            assert_eq!(is_before, fault != Fault::UnknownApplied, "{fault:?}, write {number}");
            if is_before {
                writes(&pds, &actor, "old").remove(number).ok().await;
                assert_ne!(notes(&pds, &actor).await, before);
            }
            let body = json!({ "collection": NOTES, "rkey": "last", "record": { "n": 9 } });
            write(&pds, &actor, "createRecord", body).ok().await;
        }
    }
}

#[tokio::test]
async fn health_is_not_good_while_the_store_cannot_be_read() {
    let pds = TestPds::start().await;
    let health = async || {
        let answer = pds.client().get(format!("{}/xrpc/_health", pds.url())).send().await.unwrap();
        (answer.status().as_u16(), read_json(answer.bytes().await.unwrap()))
    };
    assert_eq!(health().await.0, 200);
    pds.store().at_read(1, Fault::Fail);
    let (status, body) = health().await;
    assert_eq!((status, &body["reason"]), (503, &json!("The store can't be read")));
    let errors = pds.logged_errors();
    assert!(errors.iter().any(|error| error.contains("the store can't be read")), "{errors:?}");
    assert_eq!(health().await.0, 200, "it is read again");
}

#[tokio::test]
async fn a_read_that_fails_is_told_and_changes_nothing() {
    let mut pds = TestPds::start().await;
    let actor = somebody(&pds, "alice").await;
    let (mut refused, mut carried_out) = (0, 0);
    for number in 0..4 {
        for n in 1..=READS {
            let old = format!("old-{number}-{n}");
            let body = json!({ "collection": NOTES, "rkey": old, "record": { "n": 0 } });
            write(&pds, &actor, "createRecord", body).ok().await;
            let before = notes(&pds, &actor).await;
            // Nothing is in memory then. What is done at start has its own reads, which may meet the fault as well.
            pds.restart().await;
            pds.do_jobs().await;
            pds.store().at_read(n, Fault::Fail);
            let reply = writes(&pds, &actor, &old).remove(number).send().await;
            pds.store().clear();
            let is_before = notes(&pds, &actor).await == before;
            if reply.status == 200 {
                assert!(!is_before, "write {number}, read {n}: answered and not carried out");
                carried_out += 1;
            } else {
                seen::told_to_come_back(&reply);
                assert!(is_before, "write {number}, read {n}: refused and carried out");
                refused += 1;
            }
        }
    }
    assert!(refused >= 4 && carried_out >= 4, "{refused} refused, {carried_out} carried out");
    let _ = pds.logged_errors();
}

#[tokio::test]
async fn what_is_not_durable_is_not_shown() {
    let pds = TestPds::start().await;
    let (alice, bob) = (somebody(&pds, "alice").await, somebody(&pds, "bob").await);
    let latest = async |actor: &Actor| {
        let latest = pds.xrpc_get("com.atproto.sync.getLatestCommit").param("did", &actor.did).ok().await;
        latest["cid"].clone()
    };
    let shown = (notes(&pds, &alice).await, latest(&alice).await);
    let seq = *pds.app().db.watch().borrow();

    pds.store().at_commit(1, Fault::Hang);
    let calls = writes(&pds, &alice, "old");
    let hanging = tokio::spawn(join_all(calls.into_iter().take(1).map(Call::send)));
    while pds.store().hanging() == 0 {
        tokio::task::yield_now().await;
    }
    let put = json!({ "collection": NOTES, "rkey": "old-new", "record": { "n": 5 } });
    let behind = tokio::spawn(write(&pds, &alice, "putRecord", put).send());
    // Others are not kept waiting.
    writes(&pds, &bob, "old").remove(0).ok().await;
    assert_eq!((notes(&pds, &alice).await, latest(&alice).await), shown);
    assert!(!hanging.is_finished() && !behind.is_finished(), "answered before it was durable");
    assert_eq!(*pds.app().db.watch().borrow(), seq + 1, "only Bob's event was told");

    pds.store().release();
    let created = hanging.await.unwrap().remove(0);
    assert_eq!((created.status.as_u16(), behind.await.unwrap().status.as_u16()), (200, 200));
    let found = notes(&pds, &alice).await;
    assert!(found.contains(&("old-new".to_owned(), json!(5))), "the second came first: {found:?}");
}

#[tokio::test]
async fn the_clock_goes_back_an_hour_and_nothing_else_does() {
    let mut pds = TestPds::start().await;
    // Half an hour into a day: the hour before is another day's.
    pds.advance(Duration::from_mins(30));
    somebody(&pds, "alice").await;
    let (mut keys, mut revs) = (Vec::new(), Vec::new());
    for step in 0..6 {
        // Tokens end by the time that passes, whatever the clock shows.
        let alice = pds.sign_in("alice").await;
        for n in 0..3 {
            let created = write(&pds, &alice, "createRecord", json!({ "collection": NOTES, "record": { "n": n } }));
            let created = created.ok().await;
            keys.push(created["uri"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned());
            revs.push(created["commit"]["rev"].as_str().unwrap().to_owned());
        }
        match step {
            0 | 2 => pds.clock().set_back(Duration::from_hours(1)),
            1 => pds.advance(Duration::from_secs(1)),
            3 => pds.advance(Duration::from_hours(3)),
            _ => pds.clock().set_back(Duration::from_mins(1)),
        }
    }
    assert!(keys.is_sorted() && revs.is_sorted(), "{keys:?} {revs:?}");
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]) && revs.windows(2).all(|pair| pair[0] != pair[1]));

    let newest = revs.last().unwrap().clone();
    pds.clock().set_back(Duration::from_hours(1));
    pds.restart().await;
    let alice = pds.sign_in("alice").await;
    let created = write(&pds, &alice, "putRecord", json!({ "collection": NOTES, "rkey": "a", "record": { "n": 1 } }));
    assert!(created.ok().await["commit"]["rev"].as_str().unwrap() > newest.as_str(), "also in the next run");

    // The log and who reads it go on from number to number, whatever day an event is of.
    let count = i64::try_from(pds.events().await.len()).unwrap();
    let mut stream = pds.subscribe(Some(0)).await;
    assert_eq!(stream.seqs(usize::try_from(count).unwrap()).await, (1..=count).collect::<Vec<_>>());
    write(&pds, &alice, "deleteRecord", json!({ "collection": NOTES, "rkey": "a" })).ok().await;
    assert_eq!(stream.seqs(1).await, [count + 1]);
}
