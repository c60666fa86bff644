//! The fault wrapper does what it is told, when it is told, and nothing else.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use allod_store::{
    CommitError, ConflictKey, Database as _, ReadError, Txn,
    fault::{Fault, Faulty},
    sql,
    sqlite::{self, SqliteOptions},
};
use futures_util::FutureExt as _;
use tempfile::TempDir;

fn faulty() -> (TempDir, Arc<Faulty>) {
    let folder = tempfile::tempdir().unwrap();
    let db = sqlite::open(SqliteOptions::new(folder.path().join("allod.sqlite"))).unwrap();
    (folder, Faulty::new(db))
}

fn put(name: &str) -> Txn {
    let mut txn = Txn::new();
    txn.expect(ConflictKey::Test("taken"), 1, sql!("INSERT INTO meta (name, value) VALUES ($1, $2)", name, &b""[..]));
    txn
}

async fn names(db: &Faulty) -> Vec<String> {
    let rows = db.read(sql!("SELECT name FROM meta ORDER BY name")).await.unwrap();
    rows.iter().map(|row| row.get(0).unwrap()).collect()
}

#[tokio::test]
async fn commits_fail_at_the_given_call() {
    let (_folder, db) = faulty();
    db.commit(put("0")).await.unwrap();
    db.at_commit(2, Fault::Fail);
    db.at_commit(3, Fault::UnknownApplied);
    db.at_commit(4, Fault::UnknownLost);
    db.commit(put("1")).await.unwrap();
    assert!(matches!(db.commit(put("2")).await, Err(CommitError::Unavailable { .. })));
    assert!(matches!(db.commit(put("3")).await, Err(CommitError::Unknown { .. })));
    assert!(matches!(db.commit(put("4")).await, Err(CommitError::Unknown { .. })));
    db.commit(put("5")).await.unwrap();
    assert_eq!(names(&db).await, ["0", "1", "3", "5"]);
    assert_eq!(db.commits(), 6);
}

#[tokio::test]
async fn an_applied_unknown_keeps_a_definite_refusal() {
    let (_folder, db) = faulty();
    db.commit(put("0")).await.unwrap();
    db.at_commit(1, Fault::UnknownApplied);
    assert!(matches!(db.commit(put("0")).await, Err(CommitError::Conflict(ConflictKey::Test("taken")))));
}

#[tokio::test]
async fn reads_fail_at_the_given_call() {
    let (_folder, db) = faulty();
    db.at_read(2, Fault::Fail);
    db.at_read(3, Fault::Fail);
    names(&db).await;
    assert!(matches!(db.read(sql!("SELECT name FROM meta")).await, Err(ReadError::Unavailable { .. })));
    assert!(matches!(db.events(0, 1).await, Err(ReadError::Unavailable { .. })));
    names(&db).await;
    assert_eq!(db.reads(), 4);
    db.at_read(1, Fault::Fail);
    db.clear();
    names(&db).await;
}

#[tokio::test]
async fn a_hanging_commit_goes_on_when_released() {
    let (_folder, db) = faulty();
    db.at_commit(1, Fault::Hang);
    let mut commit = db.commit(put("0"));
    assert!((&mut commit).now_or_never().is_none());
    assert_eq!(db.hanging(), 1);
    assert!(names(&db).await.is_empty());
    db.commit(put("1")).await.unwrap();
    db.release();
    commit.await.unwrap();
    assert_eq!(db.hanging(), 0);
    assert_eq!(names(&db).await, ["0", "1"]);
}

#[tokio::test]
async fn a_commit_that_hangs_when_applied_is_there_before_its_answer() {
    let (_folder, db) = faulty();
    db.at_commit(1, Fault::HangApplied);
    let mut commit = db.commit(put("0"));
    while db.hanging() == 0 {
        assert!((&mut commit).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    assert_eq!(names(&db).await, ["0"]);
    assert!((&mut commit).now_or_never().is_none());
    db.release();
    commit.await.unwrap();
    assert_eq!(db.hanging(), 0);
}

#[tokio::test]
async fn a_hanging_commit_that_is_dropped_applies_nothing() {
    let (_folder, db) = faulty();
    db.at_commit(1, Fault::Hang);
    let mut commit = db.commit(put("0"));
    assert!((&mut commit).now_or_never().is_none());
    drop(commit);
    assert_eq!(db.hanging(), 0);
    db.release();
    assert!(names(&db).await.is_empty());
}
