//! What a panic in one of the engine's threads leaves. The release build unwinds too.

use super::*;
use crate::sql;

fn open_in(directory: &tempfile::TempDir) -> Sqlite {
    Sqlite::open(SqliteOptions::new(directory.path().join("panics.sqlite"))).unwrap()
}

fn remember(value: i64) -> Txn {
    let mut txn = Txn::new();
    txn.run(sql!(
        "INSERT INTO relays (url, told_seq, last_try_at, failures, next_try_at) VALUES ($1, 0, 0, 0, 0)",
        value.to_string()
    ));
    txn
}

async fn count(store: &Sqlite) -> usize {
    store.read(sql!("SELECT url FROM relays")).await.unwrap().len()
}

#[tokio::test]
async fn a_panic_of_the_writer_stops_all_writes_and_no_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_in(&directory);
    store.commit(remember(1)).await.unwrap();
    // Whether what was in the same group is durable is not known.
    assert!(matches!(store.write(Work::Panic).await, Err(CommitError::Unknown { .. })));
    let reason = loop {
        match store.commit(remember(2)).await {
            Err(CommitError::Unavailable { reason }) => break reason,
            // Queued while the writer was still unwinding.
            Err(CommitError::Unknown { .. }) => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(reason.contains("panicked") || reason.contains("closed"), "{reason}");
    assert!(store.health.broken().is_some_and(|reason| reason.contains("writer thread panicked")));
    assert_eq!(count(&store).await, 1);
    store.close().await;
    drop(store);
    let store = open_in(&directory);
    store.commit(remember(2)).await.unwrap();
    assert_eq!(count(&store).await, 2, "opened again, it works");
}

#[tokio::test]
async fn the_search_for_damaged_pages_ends_with_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_in(&directory);
    let mut txn = Txn::new();
    // So much that the search takes a while.
    txn.run(sql!(
        "INSERT INTO relays (url, told_seq, last_try_at, failures, next_try_at) \
         WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 300000) \
         SELECT 'https://relay.example/' || x, 0, 0, 0, 0 FROM n"
    ));
    store.commit(txn).await.unwrap();
    store.health.break_with(failure::Cause::Failure, "no damage");
    assert!(!store.health.is_searching(), "only damage is searched for");
    store.health.event_failed("damage");
    store.health.search();
    assert!(store.health.is_searching());
    store.close().await;
    assert!(!store.health.is_searching(), "its thread is over");
    let state = store.state();
    assert_eq!(state.damages.len(), 1, "that it was ended is no damage: {:?}", state.damages);
    store.health.search();
    assert!(!store.health.is_searching(), "none begins afterwards");
}

#[tokio::test]
async fn a_panic_of_a_reader_costs_one_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_in(&directory);
    for _ in 0..2 * store.options.readers {
        let read = store.ask(|reply| ReadJob::Panic { reply }).await;
        assert!(matches!(read, Err(ReadError::Unavailable { .. })), "{read:?}");
    }
    store.commit(remember(1)).await.unwrap();
    assert_eq!(count(&store).await, 1);
    assert!(store.health.broken().is_none());
}
