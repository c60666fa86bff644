//! What the crash rig and the power-cut rig share: a workload whose every trace can be checked, and its checker.

use std::{collections::BTreeMap, fmt::Write as _};

use allod_store::{ConflictKey, Db, EventKind, NewEvent, Rows, SEQ_MAX, Seq, Statement, Txn, sql};
use bytes::Bytes;

/// How many rows a transaction has besides its head: all or none of them may be found later.
const PARTS: i64 = 3;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Numbers that look random and come again for the same seed.
#[derive(Debug, Clone)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// An acknowledged transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) writer: i64,
    pub(crate) n: i64,
    pub(crate) first_seq: Seq,
}

/// The transaction that makes the workload's tables.
pub(crate) fn setup() -> Txn {
    let mut txn = Txn::new();
    txn.run(sql!(
        "CREATE TABLE IF NOT EXISTS trial_rows (
             writer INTEGER NOT NULL, n INTEGER NOT NULL, part INTEGER NOT NULL, value BLOB NOT NULL,
             PRIMARY KEY (writer, n, part)
         ) STRICT"
    ));
    txn.run(sql!(
        "CREATE TABLE IF NOT EXISTS trial_heads (writer INTEGER NOT NULL PRIMARY KEY, n INTEGER NOT NULL) STRICT"
    ));
    txn
}

/// The `n`-th transaction of a writer: swaps its head, adds its rows, tells its events.
pub(crate) fn write(writer: i64, n: i64) -> Txn {
    let mut txn = Txn::new();
    if n == 0 {
        txn.expect(ConflictKey::Test("head"), 1, sql!("INSERT INTO trial_heads (writer, n) VALUES ($1, 1)", writer));
    } else {
        let swap = "UPDATE trial_heads SET n = $2 + 1 WHERE writer = $1 AND n = $2";
        txn.expect(ConflictKey::Test("head"), 1, sql!(swap, writer, n));
    }
    let insert = "INSERT INTO trial_rows (writer, n, part, value) VALUES ($1, $2, $3, $4)";
    for part in 0..PARTS {
        txn.expect(ConflictKey::Test("part"), 1, sql!(insert, writer, n, part, value(writer, n, part)));
    }
    for index in 0..events_of(writer, n) {
        txn.event(event(writer, n, index));
    }
    txn
}

/// A transaction that must fail: its row would be found as one too many.
pub(crate) fn conflicting(writer: i64) -> Txn {
    let mut txn = Txn::new();
    let insert = "INSERT INTO trial_rows (writer, n, part, value) VALUES ($1, $2, $3, $4)";
    txn.run(sql!(insert, writer, -1, 0, &b""[..]));
    txn.event(event(writer, -1, 0));
    txn.expect(ConflictKey::Test("head"), 1, sql!("UPDATE trial_heads SET n = 0 WHERE writer = $1 AND n = -1", writer));
    txn
}

/// What the checker found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// How many whole transactions each writer has.
    pub(crate) heads: BTreeMap<i64, i64>,
    /// Acknowledged transactions that are gone.
    pub(crate) lost: u64,
    /// Everything else that must not be: halves, gaps, numbers given twice.
    pub(crate) wrong: String,
}

/// Checks everything a store must hold after `acks` were given and `seen` events were read by somebody.
pub(crate) async fn check(db: &Db, acks: &[Ack], seen: &[(Seq, String)]) -> Found {
    let mut found = Found::default();
    let wrong = &mut found.wrong;
    let sound = read(db, sql!("PRAGMA integrity_check"), wrong).await;
    if sound.iter().any(|row| row.get::<String>(0).unwrap() != "ok") {
        let _ = writeln!(wrong, "integrity check: {sound:?}");
    }
    let made = read(db, sql!("SELECT name FROM sqlite_schema WHERE name = 'trial_heads'"), wrong).await;
    if !made.is_empty() {
        for row in read(db, sql!("SELECT writer, n FROM trial_heads"), wrong).await {
            found.heads.insert(row.get(0).unwrap(), row.get(1).unwrap());
        }
        check_rows(db, &found.heads, wrong).await;
    }
    let log = read_log(db, wrong).await;
    check_log(&log, &found.heads, *db.watch().borrow(), wrong);
    for ack in acks {
        let head = found.heads.get(&ack.writer).copied().unwrap_or(0);
        if head <= ack.n {
            found.lost += 1;
        } else if log.get(&ack.first_seq) != Some(&event(ack.writer, ack.n, 0).did) {
            let _ = writeln!(wrong, "event {} is not the first of {ack:?}", ack.first_seq);
        }
    }
    for (seq, did) in seen {
        if log.get(seq) != Some(did) {
            let _ = writeln!(wrong, "event {seq} was seen as {did} and is {:?}", log.get(seq));
        }
    }
    found
}

async fn read(db: &Db, query: Statement, wrong: &mut String) -> Rows {
    db.read(query).await.unwrap_or_else(|error| {
        let _ = writeln!(wrong, "can't be read: {error}");
        Rows::default()
    })
}

async fn check_rows(db: &Db, heads: &BTreeMap<i64, i64>, wrong: &mut String) {
    let all = sql!("SELECT writer, n, part, value FROM trial_rows ORDER BY writer, n, part");
    let rows = read(db, all, wrong).await;
    let mut rows = rows.iter();
    for (&writer, &head) in heads {
        for (n, part) in (0..head).flat_map(|n| (0..PARTS).map(move |part| (n, part))) {
            let expected = (writer, n, part, Bytes::from(value(writer, n, part)));
            let row = rows.next().map(|row| {
                let number = |index| row.get::<i64>(index).unwrap();
                (number(0), number(1), number(2), row.get::<Bytes>(3).unwrap())
            });
            if row != Some(expected) {
                let _ = writeln!(wrong, "row {writer}/{n}/{part} is missing or not as written");
                return;
            }
        }
    }
    if rows.next().is_some() {
        let _ = writeln!(wrong, "there are rows of a transaction that never was");
    }
}

async fn read_log(db: &Db, wrong: &mut String) -> BTreeMap<Seq, String> {
    let mut log = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = db.events(after, 1000).await.unwrap_or_else(|error| {
            let _ = writeln!(wrong, "the log can't be read: {error}");
            Vec::new()
        });
        let Some(last) = page.last() else { return log };
        after = last.seq;
        for found in page {
            if found.before != format!("before {}", found.did) || found.after.len() > 3000 {
                let _ = writeln!(wrong, "event {} is not as written", found.seq);
            }
            log.insert(found.seq, found.did);
        }
    }
}

/// Numbers without a gap up to the counter; each transaction's events together, in order, all or none.
fn check_log(log: &BTreeMap<Seq, String>, heads: &BTreeMap<i64, i64>, newest: Seq, wrong: &mut String) {
    let count = Seq::try_from(log.len()).unwrap();
    if log.keys().copied().ne(1..=count) || newest != count || count > SEQ_MAX {
        let _ = writeln!(wrong, "{count} events, the newest told is {newest}, the last {:?}", log.last_key_value());
    }
    let mut next: BTreeMap<i64, i64> = BTreeMap::new();
    let mut dids = log.values();
    while let Some(did) = dids.next() {
        let Some((writer, n)) = parse(did) else {
            let _ = writeln!(wrong, "{did} is the event of no transaction");
            return;
        };
        let expected = next.entry(writer).or_insert(0);
        let together = (1..events_of(writer, n)).all(|index| dids.next() == Some(&event(writer, n, index).did));
        if n != *expected || *did != event(writer, n, 0).did || !together {
            let _ = writeln!(wrong, "the events of {writer}/{n} are not whole or not in their place");
            return;
        }
        *expected += 1;
    }
    if next != *heads {
        let _ = writeln!(wrong, "the log tells of {next:?} transactions, the heads of {heads:?}");
    }
}

fn parse(did: &str) -> Option<(i64, i64)> {
    let mut parts = did.split('/');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn rng_of(writer: i64, n: i64, part: i64) -> Rng {
    Rng((writer.cast_unsigned() << 40) ^ (n.cast_unsigned() << 8) ^ part.cast_unsigned())
}

fn value(writer: i64, n: i64, part: i64) -> Vec<u8> {
    let mut rng = rng_of(writer, n, part);
    let len = if rng.below(8) == 0 { 9_000 } else { 10 + rng.below(300) };
    (0..len).map(|_| rng.next().to_le_bytes()[0]).collect()
}

fn events_of(writer: i64, n: i64) -> i64 {
    1 + rng_of(writer, n, 100).below(3).cast_signed()
}

fn event(writer: i64, n: i64, index: i64) -> NewEvent {
    let did = format!("{writer}/{n}/{index}");
    NewEvent {
        kind: EventKind::Commit,
        time_micros: (20_000 + n.max(0) / 40) * MICROS_PER_DAY,
        before: Bytes::from(format!("before {did}")),
        after: Bytes::from(vec![b'x'; usize::try_from(rng_of(writer, n, index).below(3000)).unwrap()]),
        did,
    }
}
