//! Several people at once, over HTTP, on the same few records: every answer is one that the repository could give at some
//! moment between question and answer, and the events tell which.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use allod_atproto::{Cid, Did, frame::Message};
use allod_server::domain::repos::write::Swap;
use allod_testkit::{Actor, Call, Consumer, TestPds};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::model::{self, Asked, NOTES, Placed, Records, Refused, Step, Subjects};

const CLIENTS: u64 = 6;
const CALLS_PER_CLIENT: u64 = 60;
const LIKE_KEYS: [&str; 3] = ["3kaaaaaaaaa2a", "3kaaaaaaaaa2b", "3kaaaaaaaaa2c"];

/// Numbers that look random and come again for the same seed.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// A call that was made: what it asked, what was answered, and the newest events before it and after it.
struct Made {
    did: Did,
    what: What,
    status: u16,
    answer: Value,
    before: i64,
    after: i64,
}

enum What {
    Write(Asked),
    Read(String),
    List,
}

/// What a repository was at a moment.
struct Moment {
    seq: i64,
    commit: Cid,
    records: Records,
}

#[tokio::test]
async fn every_answer_is_one_of_some_moment_in_between() {
    for seed in [1, 2, 3] {
        let pds = TestPds::start().await;
        let actors = [pds.account("alice").await, pds.account("bob").await];
        let values = AtomicU64::new(0);
        let clients = (0..CLIENTS).map(|n| client(&pds, &actors, Rng(seed * 1000 + n), &values));
        let (made, subjects): (Vec<Vec<Made>>, Vec<Subjects>) = join_all(clients).await.into_iter().unzip();
        let subjects: Subjects = subjects.into_iter().flatten().collect();
        let moments = moments(&pds).await;
        let mut refused = 0;
        for made in made.iter().flatten() {
            check(made, &moments[&made.did], &subjects, seed);
            refused += usize::from(made.status != 200);
        }
        assert!(refused > 0, "seed {seed}: nobody was in anybody's way");
    }
}

/// One client, which makes its calls one after another.
async fn client(pds: &TestPds, actors: &[Actor], mut rng: Rng, values: &AtomicU64) -> (Vec<Made>, Subjects) {
    let (mut made, mut subjects) = (Vec::new(), Subjects::new());
    // What this client has seen last of each record, which it may name in a swap.
    let mut seen: HashMap<(Did, String), Cid> = HashMap::new();
    let mut heads: HashMap<Did, Cid> = HashMap::new();
    for _ in 0..CALLS_PER_CLIENT {
        let actor = &actors[usize::try_from(rng.below(2)).unwrap()];
        let record = drawn(&mut rng, values);
        let path = record.path();
        subjects.extend(record.subject().map(|subject| (record.prepared.cid, subject)));
        let known = seen.get(&(actor.did.clone(), path.clone())).copied();
        let swap = match rng.below(4) {
            0 => Swap::Is(known),
            _ => Swap::Any,
        };
        let swap_commit = heads.get(&actor.did).copied().filter(|_| rng.below(6) == 0);
        let (call, what) = match rng.below(8) {
            0 => get(pds, actor, &record),
            1 => list(pds, actor),
            2 | 3 => create(pds, actor, record, swap_commit),
            4 => put(pds, actor, record, swap, swap_commit),
            5 => delete(pds, actor, &record, swap, swap_commit),
            _ => apply(pds, actor, &mut rng, values, &mut subjects, swap_commit),
        };
        let before = *pds.app().db.watch().borrow();
        let reply = call.send().await;
        let newest = *pds.app().db.watch().borrow();
        // What can be read is in the log, if not yet told of.
        let after = pds.app().db.events(newest, 1000).await.unwrap().last().map_or(newest, |event| event.seq);
        let answer = reply.json();
        if let Ok(cid) = Cid::parse(answer["cid"].as_str().unwrap_or_default()) {
            seen.insert((actor.did.clone(), path), cid);
        }
        if let Ok(cid) = Cid::parse(answer["commit"]["cid"].as_str().unwrap_or_default()) {
            heads.insert(actor.did.clone(), cid);
        }
        made.push(Made { did: actor.did.clone(), what, status: reply.status.as_u16(), answer, before, after });
    }
    (made, subjects)
}

/// One of a few records, with a value that hardly any other has.
fn drawn(rng: &mut Rng, values: &AtomicU64) -> Placed {
    // Now and then the same value again, so that there are writes that change nothing.
    let value = if rng.below(4) == 0 { rng.below(3) } else { values.fetch_add(1, Ordering::Relaxed) + 10 };
    match rng.below(3) {
        0 => Placed::like(LIKE_KEYS[usize::try_from(rng.below(3)).unwrap()], rng.below(2), value),
        _ => Placed::note(NOTES, &format!("k{}", rng.below(4)), value),
    }
}

fn get(pds: &TestPds, actor: &Actor, record: &Placed) -> (Call, What) {
    let call = pds.xrpc_get("com.atproto.repo.getRecord").param("repo", &actor.did);
    let call = call.param("collection", record.collection).param("rkey", &record.key);
    (call, What::Read(record.path()))
}

fn list(pds: &TestPds, actor: &Actor) -> (Call, What) {
    let call = pds.xrpc_get("com.atproto.repo.listRecords").param("repo", &actor.did).param("collection", NOTES);
    (call, What::List)
}

fn write(pds: &TestPds, actor: &Actor, method: &str, mut body: Value, asked: Asked) -> (Call, What) {
    body["repo"] = json!(actor.did);
    if let Some(commit) = asked.swap_commit {
        body["swapCommit"] = json!(commit.to_string());
    }
    let call = pds.xrpc_post(&format!("com.atproto.repo.{method}")).bearer(&actor.access).json(&body);
    (call, What::Write(asked))
}

fn create(pds: &TestPds, actor: &Actor, record: Placed, swap_commit: Option<Cid>) -> (Call, What) {
    let body = json!({ "collection": record.collection, "rkey": record.key, "record": record.value });
    let asked = Asked { steps: vec![Step::Create(record, true)], swap_commit, commits_always: false };
    write(pds, actor, "createRecord", body, asked)
}

fn put(pds: &TestPds, actor: &Actor, record: Placed, swap: Swap, swap_commit: Option<Cid>) -> (Call, What) {
    let mut body = json!({ "collection": record.collection, "rkey": record.key, "record": record.value });
    if let Swap::Is(expected) = swap {
        body["swapRecord"] = json!(expected.map(|cid| cid.to_string()));
    }
    let asked = Asked { steps: vec![Step::Put(record, swap)], swap_commit, commits_always: false };
    write(pds, actor, "putRecord", body, asked)
}

fn delete(pds: &TestPds, actor: &Actor, record: &Placed, swap: Swap, swap_commit: Option<Cid>) -> (Call, What) {
    let mut body = json!({ "collection": record.collection, "rkey": record.key });
    // Only a record that is there can be named.
    let swap = if let Swap::Is(Some(expected)) = swap {
        body["swapRecord"] = json!(expected.to_string());
        swap
    } else {
        Swap::Any
    };
    let asked = Asked { steps: vec![Step::Delete(record.path(), swap, true)], swap_commit, commits_always: false };
    write(pds, actor, "deleteRecord", body, asked)
}

fn apply(
    pds: &TestPds,
    actor: &Actor,
    rng: &mut Rng,
    values: &AtomicU64,
    subjects: &mut Subjects,
    swap_commit: Option<Cid>,
) -> (Call, What) {
    let (mut writes, mut steps) = (Vec::new(), Vec::new());
    for _ in 0..=rng.below(4) {
        let record = drawn(rng, values);
        subjects.extend(record.subject().map(|subject| (record.prepared.cid, subject)));
        let (name, step) = match rng.below(3) {
            0 => ("create", Step::Create(record.clone(), false)),
            1 => ("update", Step::Update(record.clone())),
            _ => ("delete", Step::Delete(record.path(), Swap::Any, false)),
        };
        let mut write = json!({
            "$type": format!("com.atproto.repo.applyWrites#{name}"),
            "collection": record.collection, "rkey": record.key,
        });
        if name != "delete" {
            write["value"] = record.value;
        }
        writes.push(write);
        steps.push(step);
    }
    let asked = Asked { steps, swap_commit, commits_always: true };
    write(pds, actor, "applyWrites", json!({ "writes": writes }), asked)
}

/// What each repository was from commit to commit, as who only reads the events knows it.
async fn moments(pds: &TestPds) -> HashMap<Did, Vec<Moment>> {
    let mut consumer = Consumer::default();
    let mut moments: HashMap<Did, Vec<Moment>> = HashMap::new();
    for (event, frame) in pds.events().await {
        consumer.take(&frame, None).unwrap();
        if let Message::Commit(commit) = &frame.message {
            let records = consumer.repo(&commit.repo).unwrap().records.clone().unwrap();
            let moment = Moment { seq: event.seq, commit: commit.commit, records };
            moments.entry(commit.repo.clone()).or_default().push(moment);
        }
    }
    moments
}

fn check(made: &Made, moments: &[Moment], subjects: &Subjects, seed: u64) {
    // The moments that lie between question and answer, the first being the one before the question.
    let first = moments.iter().rposition(|moment| moment.seq <= made.before).unwrap();
    let last = moments.iter().rposition(|moment| moment.seq <= made.after).unwrap();
    let between = &moments[first..=last];
    let told = || format!("seed {seed}: {} {} at {}..={}", made.status, made.answer, made.before, made.after);
    match &made.what {
        What::Read(path) => {
            assert!(matches!(made.status, 200 | 400), "{}", told());
            let found = made.answer["cid"].as_str();
            let fits = |moment: &Moment| moment.records.get(path).map(Cid::to_string).as_deref() == found;
            assert!(between.iter().any(fits), "{}: {path} was never that", told());
        }
        What::List => {
            let listed: Vec<&str> =
                made.answer["records"].as_array().unwrap().iter().map(|r| r["cid"].as_str().unwrap()).collect();
            let fits = |moment: &Moment| {
                let notes = moment.records.iter().rev().filter(|(path, _)| path.starts_with("com.example.note/"));
                notes.map(|(_, cid)| cid.to_string()).eq(listed.iter().copied())
            };
            assert!(between.iter().any(fits), "{}: the collection was never that", told());
        }
        What::Write(asked) => {
            let outcome = |moment: &Moment| model::outcome(&moment.records, Some(moment.commit), asked, subjects);
            let commit = made.answer["commit"]["cid"].as_str();
            match (made.status, commit) {
                (200, Some(commit)) => {
                    let at = moments.iter().position(|moment| moment.commit.to_string() == commit);
                    let at = at.unwrap_or_else(|| panic!("{}: no event tells of the commit", told()));
                    assert!(at > first && at <= last, "{}: the commit is of another time", told());
                    let effects = outcome(&moments[at - 1]);
                    let effects = effects.unwrap_or_else(|refused| panic!("{}: {refused:?} {asked:?}", told()));
                    for (path, cid) in effects {
                        assert_eq!(moments[at].records.get(&path), cid.as_ref(), "{}: {asked:?}", told());
                    }
                }
                (200, None) => {
                    let fits = |moment: &Moment| outcome(moment).is_ok_and(|effects| effects.is_empty());
                    assert!(between.iter().any(fits), "{}: it always changes something {asked:?}", told());
                }
                (400, _) => {
                    let refused = refused(&made.answer);
                    let fits = |moment: &Moment| outcome(moment).is_err_and(|found| refused.contains(&found));
                    assert!(between.iter().any(fits), "{}: never a reason to refuse {asked:?}", told());
                }
                _ => panic!("{}", told()),
            }
        }
    }
}

/// What an answer can mean.
fn refused(answer: &Value) -> &'static [Refused] {
    let message = answer["message"].as_str().unwrap();
    match answer["error"].as_str().unwrap() {
        "InvalidSwap" if message.starts_with("Commit was at") => &[Refused::SwapCommit],
        "InvalidSwap" => &[Refused::SwapRecord],
        "InvalidRequest" if message.starts_with("There is a record at") => &[Refused::Exists],
        "InvalidRequest" if message.starts_with("There is no record at") => &[Refused::Missing],
        _ => panic!("{answer}"),
    }
}
