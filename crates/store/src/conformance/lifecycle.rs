//! Opening, closing, copying.

use std::sync::Arc;

use futures_util::{FutureExt as _, future::join_all};

use super::{Engine, event, of_events, put, value};
use crate::{CommitError, EventDay, ReadError, sql};

pub(super) async fn everything_is_there_after_opening_again(engine: Arc<dyn Engine>) {
    for round in 0..5_u32 {
        let db = engine.open();
        assert_eq!(*db.watch().borrow(), i64::from(round) * 10);
        for earlier in 0..round {
            assert!(value(&db, &format!("round {earlier}")).await.is_some(), "round {earlier} is lost");
        }
        let mut txn = put(&format!("round {round}"), b"");
        (0..10).for_each(|n| txn.event(event(round * 10 + n, i64::from(round))));
        let committed = db.commit(txn).await.expect("a round");
        assert_eq!(committed.first_seq, Some(i64::from(round) * 10 + 1));
        let events = db.events(0, 1000).await.expect("the log");
        assert!((0..).zip(&events).all(|(n, event)| event.seq == n + 1));
        assert_eq!(events.len(), (round as usize + 1) * 10);
        db.close().await;
    }
}

pub(super) async fn numbers_go_on_after_everything_was_dropped(engine: Arc<dyn Engine>) {
    let db = engine.open();
    db.commit(of_events((0..7).map(|n| event(n, 1)))).await.expect("events");
    let later = EventDay::of_micros(86_400_000_000 * 100).expect("a day");
    db.drop_events_before(later).await.expect("all events go");
    db.close().await;
    let db = engine.open();
    let committed = db.commit(of_events([event(8, 1)])).await.expect("an event");
    assert_eq!(committed.first_seq, Some(8));
    db.close().await;
}

pub(super) async fn waiting_writes_are_finished_by_close(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let writes = (0..100).map(|n| {
        let db = db.clone();
        tokio::spawn(async move { (n, db.commit(put(&format!("fact {n}"), b"")).await) })
    });
    let writes: Vec<_> = writes.collect();
    tokio::task::yield_now().await;
    db.close().await;
    let outcomes = join_all(writes).await;
    let db = engine.open();
    for outcome in outcomes {
        let (n, outcome) = outcome.expect("no panic");
        let there = value(&db, &format!("fact {n}")).await.is_some();
        match outcome {
            Ok(_) => assert!(there, "fact {n} was acknowledged and is lost"),
            Err(CommitError::Unavailable { .. }) => assert!(!there, "fact {n} was refused and is there"),
            Err(other) => panic!("fact {n} ended as {other:?}"),
        }
    }
    db.close().await;
}

pub(super) async fn nothing_is_taken_after_close(engine: Arc<dyn Engine>) {
    let db = engine.open();
    db.commit(put("before", b"")).await.expect("insert");
    db.close().await;
    db.close().await;
    let error = db.commit(put("after", b"")).await.expect_err("closed");
    assert!(matches!(error, CommitError::Unavailable { .. }), "{error:?}");
    let error = db.read(sql!("SELECT name FROM meta")).await.expect_err("closed");
    assert!(matches!(error, ReadError::Unavailable { .. }), "{error:?}");
    let error = db.events(0, 1).await.expect_err("closed");
    assert!(matches!(error, ReadError::Unavailable { .. }), "{error:?}");
    let db = engine.open();
    assert!(value(&db, "before").await.is_some());
    assert!(value(&db, "after").await.is_none());
    db.close().await;
}

pub(super) async fn work_handed_over_is_done_without_its_caller(engine: Arc<dyn Engine>) {
    let db = engine.open();
    for n in 0..20 {
        let mut commit = db.commit(put(&format!("fact {n}"), b""));
        // Polled once, so handed over, then dropped.
        let _ = (&mut commit).now_or_never();
        drop(commit);
        let mut read = db.read(sql!("SELECT name FROM meta"));
        let _ = (&mut read).now_or_never();
    }
    db.close().await;
    let db = engine.open();
    for n in 0..20 {
        assert!(value(&db, &format!("fact {n}")).await.is_some(), "fact {n} was handed over and is lost");
    }
    db.close().await;
}

pub(super) async fn a_backup_never_replaces_a_file(engine: Arc<dyn Engine>) {
    let db = engine.open();
    db.commit(put("fact", b"")).await.expect("insert");
    let to = engine.backup_path();
    db.backup(&to).await.expect("a copy");
    let copied = std::fs::read(&to).expect("the copy is there");
    assert!(!copied.is_empty());
    let error = db.backup(&to).await.expect_err("the file exists");
    assert!(matches!(error, ReadError::Unavailable { .. }), "{error:?}");
    assert!(std::fs::read(&to).expect("the copy is still there") == copied);
    db.close().await;
}
