//! Atomic, conditional, alone.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{Engine, event, insert, put, value};
use crate::{CommitError, ConflictKey, Db, ReadError, Txn, sql};

async fn conflict(db: &Db, txn: Txn) -> ConflictKey {
    match db.commit(txn).await {
        Err(CommitError::Conflict(key)) => key,
        other => panic!("a conflict was expected, not {other:?}"),
    }
}

pub(super) async fn an_empty_transaction_is_applied(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let committed = db.commit(Txn::new()).await.expect("nothing can be done");
    assert_eq!(committed.first_seq, None);
    db.close().await;
}

pub(super) async fn a_wrong_row_count_is_a_conflict(engine: Arc<dyn Engine>) {
    let db = engine.open();
    db.commit(put("one", b"1")).await.expect("insert");
    for rows in [0, 2] {
        let mut txn = Txn::new();
        txn.run(insert("other", b""));
        txn.expect(
            ConflictKey::Test("count"),
            rows,
            sql!("UPDATE meta SET value = $2 WHERE name = $1", "one", &b"2"[..]),
        );
        assert_eq!(conflict(&db, txn).await, ConflictKey::Test("count"));
    }
    let mut nothing = Txn::new();
    nothing.expect(ConflictKey::Test("nothing"), 1, sql!("DELETE FROM meta WHERE name = $1", "none"));
    assert_eq!(conflict(&db, nothing).await, ConflictKey::Test("nothing"));
    assert_eq!(value(&db, "one").await.expect("still there"), b"1"[..]);
    assert_eq!(value(&db, "other").await, None);
    db.close().await;
}

pub(super) async fn a_taken_key_is_a_conflict_in_an_assertion(engine: Arc<dyn Engine>) {
    let db = engine.open();
    db.commit(put("key", b"first")).await.expect("insert");
    let mut txn = put("before", b"");
    txn.expect(ConflictKey::Test("second"), 1, insert("key", b"second"));
    txn.expect(ConflictKey::Test("third"), 1, insert("key", b"third"));
    assert_eq!(conflict(&db, txn).await, ConflictKey::Test("second"));
    assert_eq!(value(&db, "key").await.expect("still there"), b"first"[..]);
    assert_eq!(value(&db, "before").await, None);
    db.close().await;
}

pub(super) async fn a_taken_key_is_refused_in_a_statement(engine: Arc<dyn Engine>) {
    let db = engine.open();
    db.commit(put("key", b"first")).await.expect("insert");
    let mut txn = put("before", b"");
    txn.run(insert("key", b"second"));
    let error = db.commit(txn).await.expect_err("the key is taken");
    assert!(matches!(error, CommitError::Refused { .. }), "{error:?}");
    assert_eq!(value(&db, "before").await, None);
    db.close().await;
}

pub(super) async fn a_found_row_is_a_conflict_for_absence(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let claim = || {
        let mut txn = Txn::new();
        txn.absent(ConflictKey::Test("claimed"), sql!("SELECT 1 FROM meta WHERE name = $1", "claim"));
        txn.run(insert("claim", b""));
        txn
    };
    db.commit(claim()).await.expect("nobody has it");
    assert_eq!(conflict(&db, claim()).await, ConflictKey::Test("claimed"));
    db.close().await;
}

pub(super) async fn wrong_sql_is_refused_and_harms_nobody(engine: Arc<dyn Engine>) {
    let db = engine.open();
    for text in ["INSERT INTO nowhere VALUES (1)", "SELEC 1", "INSERT INTO meta (name) VALUES ('no value')"] {
        let mut txn = put("beside", b"");
        txn.run(sql!(text));
        let error = db.commit(txn).await.expect_err("the statement is wrong");
        assert!(matches!(error, CommitError::Refused { .. }), "{text}: {error:?}");
    }
    let mut absent = Txn::new();
    absent.absent(ConflictKey::Test("claimed"), sql!("SELECT 1 FROM nowhere"));
    let error = db.commit(absent).await.expect_err("the query is wrong");
    assert!(matches!(error, CommitError::Refused { .. }), "{error:?}");
    db.commit(put("beside", b"")).await.expect("the engine goes on");
    db.close().await;
}

pub(super) async fn a_failing_transaction_fails_alone(engine: Arc<dyn Engine>) {
    let db = engine.open();
    db.commit(put("taken", b"")).await.expect("insert");
    let all = (0..200).map(|n| {
        let mut txn = put(&format!("own {n}"), b"");
        txn.event(event(n, 0));
        match n % 4 {
            1 => txn.expect(ConflictKey::Test("taken"), 1, insert("taken", b"")),
            2 => txn.run(sql!("INSERT INTO nowhere VALUES (1)")),
            _ => {}
        }
        db.commit(txn)
    });
    let mut seqs = Vec::new();
    for (n, outcome) in (0..).zip(join_all(all).await) {
        match (n % 4, outcome) {
            (1, Err(CommitError::Conflict(ConflictKey::Test("taken")))) | (2, Err(CommitError::Refused { .. })) => {
                assert_eq!(value(&db, &format!("own {n}")).await, None);
            }
            (0 | 3, Ok(committed)) => {
                seqs.push(committed.first_seq.expect("it had an event"));
                assert!(value(&db, &format!("own {n}")).await.is_some());
            }
            (_, other) => panic!("transaction {n} ended as {other:?}"),
        }
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=100).collect::<Vec<_>>());
    db.close().await;
}

pub(super) async fn one_of_many_swaps_wins(engine: Arc<dyn Engine>) {
    let db = engine.open();
    db.commit(put("head", b"old")).await.expect("insert");
    let swaps = (0..100_u8).map(|n| {
        let mut txn = Txn::new();
        let swap = "UPDATE meta SET value = $3 WHERE name = $1 AND value = $2";
        txn.expect(ConflictKey::Test("swap"), 1, sql!(swap, "head", &b"old"[..], &[n][..]));
        db.commit(txn)
    });
    let outcomes = join_all(swaps).await;
    let winners: Vec<_> = (0..100_u8).zip(&outcomes).filter(|(_, outcome)| outcome.is_ok()).map(|(n, _)| n).collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(value(&db, "head").await.expect("the head"), winners);
    let conflicts = outcomes.iter().filter(|outcome| matches!(outcome, Err(CommitError::Conflict(_)))).count();
    assert_eq!(conflicts, 99);
    db.close().await;
}

pub(super) async fn a_reader_sees_what_was_acknowledged(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let each = (0..50).map(|n| {
        let db = db.clone();
        async move {
            let name = format!("fact {n}");
            db.commit(put(&name, b"1")).await.expect("insert");
            assert!(value(&db, &name).await.is_some(), "{name} was acknowledged and can't be read");
        }
    });
    join_all(each).await;
    db.close().await;
}

pub(super) async fn a_table_made_in_a_refused_transaction_is_gone(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let mut txn = Txn::new();
    txn.run(sql!("CREATE TABLE trial (id BIGINT PRIMARY KEY)"));
    txn.expect(ConflictKey::Test("none"), 1, sql!("DELETE FROM meta WHERE name = $1", "none"));
    assert_eq!(conflict(&db, txn).await, ConflictKey::Test("none"));
    let error = db.read(sql!("SELECT id FROM trial")).await.expect_err("the table is not there");
    assert!(matches!(error, ReadError::Refused { .. }), "{error:?}");
    db.close().await;
}
