//! The event log: numbered in commit order, none missing, none twice.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use super::{Engine, event, insert, of_events, put};
use crate::{CommitError, ConflictKey, Db, Event, EventDay, EventKind, NewEvent, SEQ_MAX, Seq, tables::meta};

/// Reads the whole log page by page.
async fn all(db: &Db) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let after = events.last().map_or(0, |event| event.seq);
        let page = db.events(after, 100).await.expect("the log can be read");
        if page.is_empty() {
            return events;
        }
        events.extend(page);
    }
}

fn seqs(events: &[Event]) -> Vec<Seq> {
    events.iter().map(|event| event.seq).collect()
}

pub(super) async fn events_are_numbered_in_one_run(engine: Arc<dyn Engine>) {
    let db = engine.open();
    assert!(db.events(0, 10).await.expect("an empty log").is_empty());
    assert_eq!(*db.watch().borrow(), 0);
    let kinds = [EventKind::Identity, EventKind::Account, EventKind::Commit, EventKind::Sync];
    let given: Vec<NewEvent> = (0..).zip(kinds).map(|(n, kind)| NewEvent { kind, ..event(n, 20_000) }).collect();
    let committed = db.commit(of_events(given.clone())).await.expect("four events");
    assert_eq!(committed.first_seq, Some(1));
    let committed = db.commit(of_events([event(9, 20_000)])).await.expect("one more");
    assert_eq!(committed.first_seq, Some(5));
    let read = all(&db).await;
    assert_eq!(seqs(&read), [1, 2, 3, 4, 5]);
    for (read, given) in read.iter().zip(&given) {
        let back = NewEvent {
            did: read.did.clone(),
            kind: read.kind,
            time_micros: read.time_micros,
            before: read.before.clone(),
            after: read.after.clone(),
        };
        assert_eq!(&back, given);
    }
    db.close().await;
}

pub(super) async fn a_refused_transaction_leaves_no_event(engine: Arc<dyn Engine>) {
    let db = engine.open();
    db.commit(put("taken", b"")).await.expect("insert");
    let mut txn = put("taken", b"");
    // A day nobody has used: its table must go with the transaction.
    txn.event(event(1, 30_000));
    assert!(matches!(db.commit(txn).await, Err(CommitError::Conflict(ConflictKey::Test("taken")))));
    assert!(all(&db).await.is_empty());
    assert_eq!(*db.watch().borrow(), 0);
    let mut late = of_events([event(2, 30_001)]);
    late.expect(ConflictKey::Test("taken"), 1, insert("taken", b""));
    assert!(db.commit(late).await.is_err());
    for day in [30_000, 30_001, 30_000] {
        db.commit(of_events([event(3, day)])).await.expect("the day can be used");
    }
    assert_eq!(seqs(&all(&db).await), [1, 2, 3]);
    db.close().await;
}

pub(super) async fn events_are_read_in_pages(engine: Arc<dyn Engine>) {
    let db = engine.open();
    db.commit(of_events((0..25).map(|n| event(n, 20_000 + i64::from(n) / 10)))).await.expect("three days");
    let page = |after, limit| {
        let db = &db;
        async move { seqs(&db.events(after, limit).await.expect("a page")) }
    };
    assert_eq!(page(0, 7).await, (1..=7).collect::<Vec<_>>());
    assert_eq!(page(7, 7).await, (8..=14).collect::<Vec<_>>());
    assert_eq!(page(9, 2).await, [10, 11]);
    assert_eq!(page(24, 10).await, [25]);
    assert!(page(25, 10).await.is_empty());
    assert!(page(1_000, 10).await.is_empty());
    assert!(page(0, 0).await.is_empty());
    db.close().await;
}

pub(super) async fn days_that_overlap_are_read_in_order(engine: Arc<dyn Engine>) {
    let db = engine.open();
    // Around midnight, and with a clock set back, days alternate.
    for n in 0..40 {
        let day = [20_000, 20_001, 19_999, 20_001][n as usize % 4];
        db.commit(of_events([event(n, day)])).await.expect("an event");
    }
    for limit in [1, 3, 7, 40, 100] {
        let mut after = 0;
        let mut read = Vec::new();
        loop {
            let page = db.events(after, limit).await.expect("a page");
            let Some(last) = page.last() else { break };
            assert!(page.len() <= limit);
            after = last.seq;
            read.extend(page);
        }
        assert_eq!(seqs(&read), (1..=40).collect::<Vec<_>>(), "in pages of {limit}");
        assert!((0..).zip(&read).all(|(n, read)| read.before == event(n, 0).before));
    }
    db.close().await;
}

pub(super) async fn an_event_out_of_time_is_refused(engine: Arc<dyn Engine>) {
    let db = engine.open();
    for time_micros in [-1, i64::MIN, i64::MAX] {
        let error = db.commit(of_events([NewEvent { time_micros, ..event(1, 0) }])).await.expect_err("no such day");
        assert!(matches!(error, CommitError::Refused { .. }), "{error:?}");
    }
    assert!(all(&db).await.is_empty());
    db.close().await;
}

pub(super) async fn a_tailing_reader_misses_nothing(engine: Arc<dyn Engine>) {
    const WRITERS: u32 = 8;
    const EACH: u32 = 40;
    let db = engine.open();
    let tail = tokio::spawn({
        let db = db.clone();
        async move {
            let mut newest = db.watch();
            let mut last = 0;
            while last < Seq::from(WRITERS * EACH) {
                let page = db.events(last, 1000).await.expect("the tail");
                if page.is_empty() {
                    newest.changed().await.expect("the engine is open");
                }
                for event in page {
                    last += 1;
                    assert_eq!(event.seq, last, "an event is missing or out of order");
                }
            }
        }
    });
    let writers = (0..WRITERS).map(|writer| {
        let db = db.clone();
        async move {
            let mut last = 0;
            for n in 0..EACH {
                let committed = db.commit(of_events([event(writer * EACH + n, i64::from(n % 3))])).await;
                let seq = committed.expect("an event").first_seq.expect("its number");
                assert!(seq > last, "{seq} was given after {last}");
                last = seq;
            }
        }
    });
    join_all(writers).await;
    tail.await.expect("the tailing reader saw everything");
    db.close().await;
}

pub(super) async fn the_watch_tells_only_what_can_be_read(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let watcher = tokio::spawn({
        let (db, mut newest) = (db.clone(), db.watch());
        async move {
            loop {
                newest.changed().await.expect("the engine is open");
                let seq = *newest.borrow_and_update();
                let found = db.events(seq - 1, 1).await.expect("the log");
                assert_eq!(seqs(&found), [seq], "a number was told before its event could be read");
                if seq == 50 {
                    return;
                }
            }
        }
    });
    for n in 0..50 {
        let seq = db.commit(of_events([event(n, 0)])).await.expect("an event").first_seq.expect("its number");
        assert!(*db.watch().borrow() >= seq, "an acknowledged event was not told");
    }
    watcher.await.expect("everything told could be read");
    db.close().await;
}

pub(super) async fn large_events_come_in_smaller_pages(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let large = Bytes::from(vec![7; 1_500_000]);
    for n in 0..12 {
        let event = NewEvent { after: large.clone(), ..event(n, 20_000 + i64::from(n % 2)) };
        db.commit(of_events([event])).await.expect("a large event");
    }
    let page = db.events(0, 1000).await.expect("a page");
    let bytes: usize = page.iter().map(|event| event.after.len()).sum();
    assert!(!page.is_empty() && bytes < 12_000_000, "a page of {bytes} bytes");
    assert_eq!(seqs(&all(&db).await), (1..=12).collect::<Vec<_>>());
    db.close().await;
}

pub(super) async fn old_days_are_dropped(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let day = |number: i64| EventDay::of_micros(number * 86_400_000_000).expect("a day");
    for first in [0, 600, 1_200] {
        let events = (first..first + 600).map(|n| event(n, 20_000 + i64::from(n) / 600));
        db.commit(of_events(events)).await.expect("a day's events");
    }
    db.drop_events_before(day(20_000)).await.expect("nothing is that old");
    assert_eq!(all(&db).await.len(), 1_800);
    db.drop_events_before(day(20_002)).await.expect("two days go");
    assert_eq!(seqs(&all(&db).await), (1_201..=1_800).collect::<Vec<_>>());
    db.drop_events_before(day(20_002)).await.expect("once more");
    assert_eq!(meta::events_trimmed(&*db).await.expect("a read"), Some(1_200), "the newest number that is gone");
    db.commit(of_events([event(1, 20_000)])).await.expect("an old day can come again");
    assert_eq!(all(&db).await.last().map(|event| event.seq), Some(1_801));
    db.drop_events_before(day(30_000)).await.expect("everything goes");
    assert!(all(&db).await.is_empty());
    let committed = db.commit(of_events([event(1, 20_000)])).await.expect("and the numbers go on");
    assert_eq!(committed.first_seq, Some(1_802));
    db.close().await;
}

pub(super) async fn the_sequence_is_raised_and_never_lowered(engine: Arc<dyn Engine>) {
    let db = engine.open();
    db.commit(of_events([event(1, 0)])).await.expect("an event");
    db.raise_sequence(1_000_000).await.expect("a higher floor");
    assert_eq!(*db.watch().borrow(), 1_000_000);
    db.raise_sequence(5).await.expect("a lower floor");
    db.close().await;
    let db = engine.open();
    assert_eq!(*db.watch().borrow(), 1_000_000);
    let committed = db.commit(of_events([event(2, 0)])).await.expect("an event");
    assert_eq!(committed.first_seq, Some(1_000_001));
    assert_eq!(seqs(&all(&db).await), [1, 1_000_001]);
    for floor in [-1, SEQ_MAX + 1] {
        let error = db.raise_sequence(floor).await.expect_err("no such number");
        assert!(matches!(error, CommitError::Refused { .. }), "{error:?}");
    }
    db.raise_sequence(SEQ_MAX).await.expect("the highest floor");
    let error = db.commit(of_events([event(3, 0)])).await.expect_err("no number is left");
    assert!(matches!(error, CommitError::Refused { .. }), "{error:?}");
    db.close().await;
}
