//! Values and parameters.

use std::sync::Arc;

use super::{Engine, put, value};
use crate::{CommitError, ConflictKey, Db, ReadError, SqlValue, Statement, Txn, sql};

async fn table(db: &Db) {
    let mut txn = Txn::new();
    txn.run(sql!("CREATE TABLE trial (id BIGINT PRIMARY KEY, number BIGINT, words TEXT, bytes BYTEA)"));
    db.commit(txn).await.expect("a table can be made");
}

pub(super) async fn every_type_reads_back(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let mut txn = Txn::new();
    txn.run(sql!("CREATE TABLE trial (id BIGINT PRIMARY KEY, number BIGINT, words TEXT)"));
    let numbers = [Some(i64::MIN), Some(-1), Some(0), Some(i64::MAX), None];
    let words = [Some("plain"), Some(""), Some("naïve 数 🦀 'quoted' \"twice\" \\"), None, Some("a\nb")];
    for (id, (number, text)) in (0_i64..).zip(numbers.iter().zip(words)) {
        txn.expect(
            ConflictKey::Test("insert"),
            1,
            sql!("INSERT INTO trial (id, number, words) VALUES ($1, $2, $3)", id, *number, text),
        );
    }
    db.commit(txn).await.expect("all types can be written");
    let rows = db.read(sql!("SELECT number, words FROM trial ORDER BY id")).await.expect("and read");
    assert_eq!(rows.len(), numbers.len());
    for (row, (number, text)) in rows.iter().zip(numbers.iter().zip(words)) {
        assert_eq!(row.get::<Option<i64>>(0).expect("a number"), *number);
        assert_eq!(row.get::<Option<String>>(1).expect("a text").as_deref(), text);
    }
    for (name, bytes) in [("empty", &b""[..]), ("zeros", &[0, 0, 255, 0][..]), ("text", b"text")] {
        db.commit(put(name, bytes)).await.expect("bytes can be written");
        assert_eq!(value(&db, name).await.expect("bytes are there"), bytes);
    }
    assert!(matches!(rows[0].get::<String>(0), Err(ReadError::Column { index: 0 })), "a number is no text");
    assert!(matches!(rows[0].get::<i64>(7), Err(ReadError::Column { index: 7 })), "there is no column 7");
    db.close().await;
}

pub(super) async fn parameters_go_by_their_number(engine: Arc<dyn Engine>) {
    let db = engine.open();
    table(&db).await;
    let mut txn = Txn::new();
    let backwards = "INSERT INTO trial (words, number, id) VALUES ($3, $2, $1)";
    txn.expect(ConflictKey::Test("insert"), 1, sql!(backwards, 1_i64, 20_i64, "three"));
    let twice = "INSERT INTO trial (number, words, id) VALUES ($2, $1, $2)";
    txn.expect(ConflictKey::Test("insert"), 1, sql!(twice, "both", 5_i64));
    db.commit(txn).await.expect("parameters in any order");
    let rows =
        db.read(sql!("SELECT id, number, words FROM trial WHERE words = $2 OR id = $1 ORDER BY id", 5_i64, "three"));
    let rows = rows.await.expect("parameters of a query in any order");
    let row = |id: i64, number: i64, words: &str| vec![id.into(), number.into(), SqlValue::from(words)];
    assert_eq!(rows.into_iter().map(|row| row.0).collect::<Vec<_>>(), [row(1, 20, "three"), row(5, 5, "both")]);
    db.close().await;
}

pub(super) async fn a_wrong_parameter_list_is_refused(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let sql = "INSERT INTO meta (name, value) VALUES ($1, $2)";
    for params in [vec![], vec![SqlValue::from("a")], vec!["a".into(), b"b"[..].into(), 3.into()]] {
        let mut txn = Txn::new();
        txn.expect(ConflictKey::Test("insert"), 1, Statement::new(sql, params));
        let error = db.commit(txn).await.expect_err("a wrong number of parameters is refused");
        assert!(matches!(error, CommitError::Refused { .. }), "{error:?}");
    }
    let error = db.read(Statement::new("SELECT value FROM meta WHERE name = $1", vec![])).await;
    assert!(matches!(error, Err(ReadError::Refused { .. })), "{error:?}");
    assert_eq!(value(&db, "a").await, None);
    db.close().await;
}

pub(super) async fn a_large_value_reads_back(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let large: Vec<u8> = (0..5_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    db.commit(put("large", &large)).await.expect("five megabytes can be written");
    assert!(value(&db, "large").await.expect("and read") == large, "the bytes differ");
    db.close().await;
}

pub(super) async fn reads_cannot_write(engine: Arc<dyn Engine>) {
    let db = engine.open();
    for text in ["INSERT INTO meta (name, value) VALUES ('a', 'b')", "DELETE FROM meta", "DROP TABLE meta"] {
        let error = db.read(sql!(text)).await.expect_err("a read cannot write");
        assert!(matches!(error, ReadError::Refused { .. }), "{text}: {error:?}");
    }
    let error = db.read(sql!("SELECT nothing FROM nowhere")).await.expect_err("there is no such table");
    assert!(matches!(error, ReadError::Refused { .. }), "{error:?}");
    assert_eq!(value(&db, "a").await, None);
    db.close().await;
}

pub(super) async fn an_answer_ends_with_its_bytes(engine: Arc<dyn Engine>) {
    let db = engine.open();
    table(&db).await;
    let mut txn = Txn::new();
    for id in 0..5_i64 {
        txn.run(sql!("INSERT INTO trial (id, words, bytes) VALUES ($1, $2, $3)", id, "12345", &[0; 15][..]));
    }
    db.commit(txn).await.expect("insert");
    for (bytes_max, expected) in [(0, 0), (1, 1), (20, 1), (21, 2), (99, 5), (1000, 5)] {
        let query = sql!("SELECT id, words, bytes FROM trial ORDER BY id").up_to_bytes(bytes_max);
        assert_eq!(db.read(query).await.expect("rows").len(), expected, "{bytes_max} bytes");
    }
    db.close().await;
}
