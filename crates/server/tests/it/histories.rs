//! Random histories of writes, handed to a repository in batches that wait together: whatever shares a commit, everybody
//! is answered as if each request had been carried out by itself in the order of asking, and the store, the tree and the
//! events end where a plain map does.

use std::{cell::Cell, collections::BTreeSet};

use allod_atproto::{
    Cid, Did, Tid,
    car::{self, Limits},
    frame::Message,
    repo::{OpAction, SignedCommit, Tree},
};
use allod_server::domain::repos::write::{self, Outcome, Swap};
use allod_store::tables::{records, repos};
use allod_testkit::{Consumer, TestPds};
use futures_util::future::join_all;
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};

use crate::model::{self, Asked, DRAFTS, Effects, NOTES, Placed, Records, Refused, Step, Subjects};

/// How many fewer histories are tried than the usual 256, which `PROPTEST_CASES` changes.
const PROPTEST_CASES_PER_CASE: u32 = 4;

const LIKE_KEYS: [&str; 3] = ["3kaaaaaaaaa2a", "3kaaaaaaaaa2b", "3kaaaaaaaaa2c"];

/// A write as it is drawn; what it names as current is found out when its turn comes.
#[derive(Debug, Clone)]
struct Drawn {
    action: u8,
    place: usize,
    value: u64,
    swap: Expected,
    flag: bool,
}

#[derive(Debug, Clone, Copy)]
enum Expected {
    Any,
    Nothing,
    Current,
    Wrong,
}

#[derive(Debug, Clone)]
struct DrawnRequest {
    steps: Vec<Drawn>,
    swap_commit: Expected,
    commits_always: bool,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let swap = prop_oneof![
        6 => Just(Expected::Any),
        1 => Just(Expected::Nothing),
        3 => Just(Expected::Current),
        1 => Just(Expected::Wrong)
    ];
    (0..4_u8, 0..9_usize, 0..4_u64, swap, any::<bool>()).prop_map(|(action, place, value, swap, flag)| Drawn {
        action,
        place,
        value,
        swap,
        flag,
    })
}

fn drawn_request() -> impl Strategy<Value = DrawnRequest> {
    let swap_commit = prop_oneof![
        12 => Just(Expected::Any),
        1 => Just(Expected::Current),
        1 => Just(Expected::Wrong)
    ];
    let steps = prop_oneof![3 => prop::collection::vec(drawn(), 1), 1 => prop::collection::vec(drawn(), 0..5)];
    (steps, swap_commit, prop::bool::weighted(0.2)).prop_map(|(steps, swap_commit, commits_always)| DrawnRequest {
        steps,
        swap_commit,
        commits_always,
    })
}

/// Batches of requests.
fn history() -> impl Strategy<Value = Vec<Vec<DrawnRequest>>> {
    prop::collection::vec(prop::collection::vec(drawn_request(), 1..9), 1..6)
}

impl Drawn {
    fn placed(&self) -> Placed {
        match self.place {
            place @ 0..=2 => Placed::like(LIKE_KEYS[place], self.value / 2, self.value),
            place @ 3..=5 => Placed::note(DRAFTS, &format!("k{place}"), self.value),
            place => Placed::note(NOTES, &format!("k{place}"), self.value),
        }
    }

    fn step(&self, now: &Records, is_alone: bool) -> Step {
        let record = self.placed();
        let swap = match self.swap {
            Expected::Any => Swap::Any,
            Expected::Nothing => Swap::Is(None),
            Expected::Current => Swap::Is(now.get(&record.path()).copied()),
            Expected::Wrong => Swap::Is(Some(Cid::for_raw(b"wrong"))),
        };
        match self.action {
            0 => Step::Create(record, self.flag && is_alone),
            1 => Step::Update(record),
            2 => Step::Put(record, swap),
            _ => Step::Delete(record.path(), swap, self.flag),
        }
    }
}

/// The repository as it should be.
#[derive(Default)]
struct Expectation {
    records: Records,
    /// The newest commit, unless it is one that the test has not heard of yet.
    head: Option<Cid>,
    subjects: Subjects,
}

impl Expectation {
    /// Carries a request out and tells what is to be answered.
    fn carry_out(&mut self, drawn: &DrawnRequest) -> (Asked, Result<Effects, Refused>) {
        let is_alone = drawn.steps.len() == 1;
        let steps: Vec<Step> = drawn.steps.iter().map(|step| step.step(&self.records, is_alone)).collect();
        for step in &drawn.steps {
            let record = step.placed();
            self.subjects.extend(record.subject().map(|subject| (record.prepared.cid, subject)));
        }
        let swap_commit = match drawn.swap_commit {
            Expected::Any | Expected::Nothing => None,
            Expected::Current => self.head,
            Expected::Wrong => Some(Cid::for_raw(b"wrong")),
        };
        let asked = Asked { steps, swap_commit, commits_always: drawn.commits_always };
        let outcome = model::outcome(&self.records, self.head, &asked, &self.subjects);
        if let Ok(effects) = &outcome
            && (asked.commits_always || !effects.is_empty())
        {
            model::apply(&mut self.records, effects);
            self.head = None;
        }
        (asked, outcome)
    }
}

#[test]
fn whatever_shares_a_commit_the_order_is_kept_and_all_agree() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pds = runtime.block_on(TestPds::start());
    let cases = Config::default().cases / PROPTEST_CASES_PER_CASE;
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let (accounts, counts) = (Cell::new(0), Cell::new((0_usize, 0_usize)));
    let outcome = TestRunner::new(config).run(&history(), |batches| {
        accounts.set(accounts.get() + 1);
        let name = format!("person-{}", accounts.get());
        runtime.block_on(async {
            let before = *pds.app().db.watch().borrow();
            let actor = pds.account(&name).await;
            let (answered, records) = follow(&pds, &actor.did, &batches).await?;
            let commits = check_events(&pds, &actor.did, before, &records).await?;
            let counted = counts.get();
            counts.set((counted.0 + answered, counted.1 + commits));
            Ok(())
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let (answered, commits) = counts.get();
    assert!(commits > 0 && commits < answered, "{answered} writes in {commits} commits: nothing was shared");
}

/// Carries a history out. Tells how many requests were answered with a commit, and what the records are.
async fn follow(pds: &TestPds, did: &Did, batches: &[Vec<DrawnRequest>]) -> Result<(usize, Records), TestCaseError> {
    let app = pds.app();
    let mut expected = Expectation::default();
    let mut answered = 0;
    for batch in batches {
        let head = repos::head_of(&*app.db, did).await.unwrap().unwrap();
        expected.head = Some(head.commit);
        let seq = *app.db.watch().borrow();
        let (asked, expectations): (Vec<_>, Vec<_>) = batch.iter().map(|drawn| expected.carry_out(drawn)).unzip();
        let outcomes = join_all(asked.iter().map(|asked| write::apply_writes(app, did, asked.request()))).await;
        let mut newest = head.rev;
        for ((asked, expected), outcome) in asked.iter().zip(expectations).zip(outcomes) {
            let rev = check_answer(asked, &expected, &outcome)?;
            if let (Some(rev), Ok(effects)) = (rev, expected) {
                answered += 1;
                prop_assert!(rev > head.rev && rev >= newest, "{asked:?} came too early");
                newest = rev;
                check_commit(pds, did, seq, rev, &effects).await?;
            }
        }
        check_store(pds, did, &expected).await?;
    }
    Ok((answered, expected.records))
}

/// Checks an answer and gives the revision in it.
fn check_answer(
    asked: &Asked,
    expected: &Result<Effects, Refused>,
    outcome: &Outcome,
) -> Result<Option<Tid>, TestCaseError> {
    match (expected, outcome) {
        (Ok(effects), Ok(Some(made))) if asked.commits_always || !effects.is_empty() => Ok(Some(made.rev)),
        (Ok(effects), Ok(None)) if !asked.commits_always && effects.is_empty() => Ok(None),
        (Err(refused), Err(error)) if Refused::of(error) == Some(*refused) => Ok(None),
        _ => Err(TestCaseError::fail(format!("{asked:?}\nexpected {expected:?}, answered {outcome:?}"))),
    }
}

/// Checks that the commit of a revision holds what a request came to.
async fn check_commit(pds: &TestPds, did: &Did, after: i64, rev: Tid, effects: &Effects) -> Result<(), TestCaseError> {
    for event in pds.app().db.events(after, 1000).await.unwrap() {
        let frame = pds.decode(&event);
        let Message::Commit(commit) = frame.message else { continue };
        if (&commit.repo, commit.rev) != (did, rev) {
            continue;
        }
        for (path, cid) in effects {
            let op = commit.ops.iter().find(|op| op.path.as_str() == path);
            let found = op.map(|op| match op.action {
                OpAction::Create { cid } | OpAction::Update { cid, .. } => Some(cid),
                OpAction::Delete { .. } => None,
            });
            prop_assert_eq!(found, Some(*cid), "the commit {} does not hold what was done to {}", rev, path);
        }
        return Ok(());
    }
    Err(TestCaseError::fail(format!("there is no event of the commit {rev}")))
}

/// Checks that the store holds the records of the map, a head whose tree is theirs, and the lists made of them.
async fn check_store(pds: &TestPds, did: &Did, expected: &Expectation) -> Result<(), TestCaseError> {
    let db = &*pds.app().db;
    let head = repos::head_of(db, did).await.unwrap().unwrap();
    let stored = records::entries(db, head.record_set, "", i64::MAX).await.unwrap();
    let found: Records = stored.into_iter().map(|record| (record.path, record.cid)).collect();
    prop_assert_eq!(&found, &expected.records);
    let tree = Tree::from_sorted(found.iter().map(|(path, cid)| (path, *cid))).unwrap();
    prop_assert_eq!(tree.root(), head.data);

    let collection_of = |path: &String| path.split_once('/').unwrap().0.to_owned();
    let collections: BTreeSet<String> = found.keys().map(collection_of).collect();
    let listed = repos::collections_of(db, did, usize::MAX).await.unwrap();
    prop_assert_eq!(listed, collections.into_iter().collect::<Vec<_>>());

    let subjects: BTreeSet<&String> = expected.subjects.values().collect();
    for subject in subjects {
        let keys = records::about(db, head.record_set, model::LIKES, subject).await.unwrap();
        let about = found.iter().filter(|(_, cid)| expected.subjects.get(cid) == Some(subject));
        let about: Vec<String> = about.map(|(path, _)| path.split_once('/').unwrap().1.to_owned()).collect();
        prop_assert_eq!(keys, about, "what is known to be about {}", subject);
    }
    Ok(())
}

/// Checks that who only reads events, and who only reads an export, ends with the records of the map.
async fn check_events(pds: &TestPds, did: &Did, after: i64, expected: &Records) -> Result<usize, TestCaseError> {
    let mut consumer = Consumer::default();
    let mut commits = 0;
    for event in pds.app().db.events(after, 10_000).await.unwrap() {
        let frame = pds.decode(&event);
        commits += usize::from(matches!(frame.message, Message::Commit(_)));
        consumer.take(&frame, None).map_err(TestCaseError::fail)?;
    }
    let followed = consumer.repo(did).unwrap();
    prop_assert_eq!(followed.records.as_ref(), Some(expected));

    let file = pds.xrpc_get("com.atproto.sync.getRepo").param("did", did).send().await.body;
    let blocks = car::read(&file, &Limits::REPOSITORY).unwrap();
    prop_assert_eq!(blocks.root(), Some(followed.commit));
    let commit = SignedCommit::parse(blocks.get(&followed.commit).unwrap()).unwrap();
    let tree = Tree::from_blocks(&commit.commit().data, |cid| blocks.get(cid)).unwrap();
    let exported: Records = tree.entries().map(|(path, cid)| (path.to_string(), cid)).collect();
    prop_assert_eq!(&exported, expected);
    prop_assert!(exported.values().all(|cid| blocks.get(cid).is_some()));
    Ok(commits)
}
