//! What only the `SQLite` engine promises: its file, its locks, its log's size, and what it does when the disk fails.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{os::unix::fs::PermissionsExt, path::Path, sync::OnceLock};

use allod_sqlite_recorder::{Call, Failure, FileKind, Op, Recorder};
use allod_store::{
    CommitError, ConflictKey, Db, EventKind, NewEvent, ReadError, Txn, sql,
    sqlite::{self, OpenError, SqliteOptions},
};
use bytes::Bytes;
use futures_util::future::join_all;
use rusqlite::{Connection, ffi};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

struct Store {
    folder: TempDir,
}

impl Store {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("data").join("allod.sqlite")
    }

    fn options(&self) -> SqliteOptions {
        SqliteOptions::new(self.file())
    }

    fn open(&self) -> Db {
        sqlite::open(self.options()).unwrap()
    }
}

fn put(name: &str, value: &[u8]) -> Txn {
    let mut txn = Txn::new();
    txn.expect(ConflictKey::Test("taken"), 1, sql!("INSERT INTO meta (name, value) VALUES ($1, $2)", name, value));
    txn
}

fn with_event(mut txn: Txn) -> Txn {
    txn.event(NewEvent {
        did: "did:plc:a".to_owned(),
        kind: EventKind::Commit,
        time_micros: 0,
        before: Bytes::from_static(b"b"),
        after: Bytes::from_static(b"a"),
    });
    txn
}

async fn names(db: &Db) -> Vec<String> {
    let rows = db.read(sql!("SELECT name FROM meta ORDER BY name")).await.unwrap();
    rows.iter().map(|row| row.get(0).unwrap()).collect()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn files_are_for_their_owner_alone() {
    let store = Store::new();
    let db = store.open();
    db.commit(put("a", b"")).await.unwrap();
    assert_eq!(mode(store.file().parent().unwrap()), 0o700);
    for entry in store.file().parent().unwrap().read_dir().unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    db.close().await;
    std::fs::set_permissions(store.file(), PermissionsExt::from_mode(0o644)).unwrap();
    let db = store.open();
    assert_eq!(mode(&store.file()), 0o600);
    db.close().await;
}

#[tokio::test]
async fn a_second_opening_is_refused_until_the_first_is_closed() {
    let store = Store::new();
    let db = store.open();
    let Err(error) = sqlite::open(store.options()) else { panic!("opened twice") };
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("in use by another process"), "{error}");
    db.commit(put("a", b"")).await.unwrap();
    db.close().await;
    let db = store.open();
    drop(db);
    assert_eq!(names(&store.open()).await, ["a"]);
}

#[tokio::test]
async fn files_that_are_not_ours_or_newer_are_refused_and_left_alone() {
    let store = Store::new();
    std::fs::create_dir(store.file().parent().unwrap()).unwrap();
    let theirs = Connection::open(store.file()).unwrap();
    theirs.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").unwrap();
    drop(theirs);
    assert!(matches!(sqlite::open(store.options()), Err(OpenError::NotOurs)));
    let theirs = Connection::open(store.file()).unwrap();
    let count: i64 = theirs.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1);

    let text = Store::new();
    std::fs::create_dir(text.file().parent().unwrap()).unwrap();
    std::fs::write(text.file(), "this is no database at all, but long enough to look at".repeat(100)).unwrap();
    assert!(sqlite::open(text.options()).is_err());

    let newer = Store::new();
    newer.open().close().await;
    let edit = Connection::open(newer.file()).unwrap();
    edit.execute("INSERT INTO schema_migrations (version, name, checksum) VALUES (999, '0999_future', x'00')", [])
        .unwrap();
    drop(edit);
    let Err(error) = sqlite::open(newer.options()) else { panic!("a newer schema was opened") };
    assert!(matches!(error, OpenError::SchemaNewer { found: 999, .. }), "{error}");
}

#[tokio::test]
async fn a_counter_behind_its_events_is_damage() {
    let store = Store::new();
    let db = store.open();
    for _ in 0..3 {
        db.commit(with_event(Txn::new())).await.unwrap();
    }
    db.close().await;
    Connection::open(store.file()).unwrap().execute("UPDATE event_counter SET seq = 2", []).unwrap();
    let Err(error) = sqlite::open(store.options()) else { panic!("a number would have been given twice") };
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn a_value_of_the_wrong_type_is_refused_even_in_an_assertion() {
    let store = Store::new();
    let db = store.open();
    let mut txn = Txn::new();
    txn.expect(
        ConflictKey::Test("taken"),
        1,
        sql!("INSERT INTO meta (name, value) VALUES ($1, $2)", "a", "text, not bytes"),
    );
    assert!(matches!(db.commit(txn).await, Err(CommitError::Refused { .. })));
}

#[tokio::test]
async fn a_statement_that_ends_the_transaction_harms_nobody() {
    let store = Store::new();
    let db = store.open();
    for text in ["COMMIT", "ROLLBACK", "END"] {
        let mut txn = put("half", b"");
        txn.run(sql!(text));
        assert!(db.commit(txn).await.is_err(), "{text}");
        db.commit(put(text, b"")).await.unwrap();
    }
    let names = names(&db).await;
    assert!(["COMMIT", "END", "ROLLBACK"].iter().all(|text| names.iter().any(|name| name == text)), "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_one_moment_of_a_store_under_load() {
    let store = Store::new();
    let db = store.open();
    let writer = tokio::spawn({
        let db = db.clone();
        async move {
            for n in 0..400 {
                let mut txn = with_event(put(&format!("a {n:04}"), &[7; 2000]));
                txn.run(sql!("INSERT INTO meta (name, value) VALUES ($1, $2)", format!("b {n:04}"), &b""[..]));
                db.commit(txn).await.unwrap();
            }
        }
    });
    let copies = Store::new();
    for n in 0..5 {
        let data = copies.folder.path().join(format!("{n}"));
        std::fs::create_dir(&data).unwrap();
        let before = names(&db).await.len();
        db.backup(&data.join("allod.sqlite")).await.unwrap();
        assert_eq!(data.read_dir().unwrap().count(), 1, "one file and nothing else");
        assert_eq!(mode(&data.join("allod.sqlite")), 0o600);
        let copy = sqlite::open(SqliteOptions::new(data.join("allod.sqlite"))).unwrap();
        let found = names(&copy).await;
        assert!(found.len() >= before && found.len() % 2 == 0, "{before} before, {} copied", found.len());
        assert_eq!(copy.events(0, 10_000).await.unwrap().len(), found.len() / 2);
        copy.commit(with_event(Txn::new())).await.unwrap();
        copy.close().await;
    }
    writer.await.unwrap();
    let nowhere = copies.folder.path().join("missing").join("copy");
    assert!(matches!(db.backup(&nowhere).await, Err(ReadError::Unavailable { .. })));
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_within_its_bound() {
    let store = Store::new();
    let mut options = store.options();
    (options.checkpoint_pages, options.wal_pages_max) = (50, 200);
    let db = sqlite::open(options).unwrap();
    let wal = store.folder.path().join("data").join("allod.sqlite-wal");
    let mut largest = 0;
    for n in 0..60 {
        let group = (0..16).map(|k| db.commit(put(&format!("{n} {k}"), &[7; 6000])));
        assert!(join_all(group).await.iter().all(Result::is_ok));
        largest = largest.max(wal.metadata().unwrap().len());
    }
    // A group may pass the bound by its own size, about 16 times 3 pages.
    assert!(largest < (200 + 100) * 4120, "the log grew to {largest} bytes");
    db.close().await;
    assert_eq!(wal.metadata().map_or(0, |wal| wal.len()), 0, "closing leaves nothing to recover");
    let db = store.open();
    assert_eq!(names(&db).await.len(), 60 * 16);
}

const PAGE_BYTES: usize = 4096;

/// A store of many pages, of which one in the middle is overwritten; gives its number.
async fn with_a_damaged_page(store: &Store) -> u64 {
    let db = store.open();
    for n in 0..50 {
        let group = (0..20).map(|k| db.commit(put(&format!("{:04}", n * 20 + k), &[7; 400])));
        assert!(join_all(group).await.iter().all(Result::is_ok));
    }
    db.close().await;
    let mut file = std::fs::read(store.file()).unwrap();
    // The pages of the table were made last, and a row is too short for pages of its own: this is a leaf.
    let page = file.len() / PAGE_BYTES * 3 / 4;
    file.get_mut((page - 1) * PAGE_BYTES..page * PAGE_BYTES).unwrap().fill(0x5a);
    std::fs::write(store.file(), file).unwrap();
    page as u64
}

#[tokio::test]
async fn damage_that_a_reader_meets_is_named_by_its_page_and_stops_no_writes() {
    let store = Store::new();
    let page = with_a_damaged_page(&store).await;
    let db = store.open();
    for _ in 0..3 {
        let read = db.read(sql!("SELECT COUNT(value) FROM meta WHERE name > $1", "did:plc:somebody")).await;
        assert!(read.is_ok());
        let read = db.read(sql!("SELECT name, value FROM meta WHERE $1 = $1", "did:plc:somebody")).await;
        assert!(matches!(read, Err(ReadError::Damaged { .. })));
    }
    db.commit(with_event(put("z after", b""))).await.unwrap();
    let mut state = db.state();
    for _ in 0..1000 {
        if state.damages.iter().any(|damage| damage.page.is_some()) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        state = db.state();
    }
    assert_eq!(state.failed, None);
    let met = state.damages.iter().find(|damage| damage.what.contains("did:plc:somebody")).unwrap();
    assert_eq!((met.count, &met.file), (3, &store.file()));
    assert!(state.damages.iter().any(|damage| damage.page == Some(page)), "page {page}: {:?}", state.damages);
    db.close().await;
}

#[tokio::test]
async fn damage_that_the_writer_meets_stops_all_writes() {
    let store = Store::new();
    with_a_damaged_page(&store).await;
    let db = store.open();
    let mut txn = Txn::new();
    txn.run(sql!("UPDATE meta SET value = x'00'"));
    assert!(matches!(db.commit(txn).await, Err(CommitError::Unavailable { .. })));
    assert!(db.state().failed.unwrap().contains("malformed"));
    assert!(matches!(db.commit(put("z after", b"")).await, Err(CommitError::Unavailable { .. })));
    db.close().await;
}

#[tokio::test]
async fn a_damaged_event_is_told_from_the_others_and_stops_nobody() {
    let store = Store::new();
    let db = store.open();
    for _ in 0..9 {
        db.commit(with_event(Txn::new())).await.unwrap();
    }
    db.close().await;
    let edit = Connection::open(store.file()).unwrap();
    for damage in [
        "UPDATE events_19700101 SET frame_after = x'62' WHERE seq = 1",
        "UPDATE events_19700101 SET frame_before = x'61', frame_after = x'62' WHERE seq = 2",
        "UPDATE events_19700101 SET did = 'did:plc:b' WHERE seq = 3",
        "UPDATE events_19700101 SET kind = 77 WHERE seq = 4",
        "UPDATE events_19700101 SET time_micros = 1 WHERE seq = 5",
        "UPDATE events_19700101 SET crc32c = crc32c + 1 WHERE seq = 6",
        // The last one, with a number that was never given.
        "UPDATE events_19700101 SET seq = 1000 WHERE seq = 9",
    ] {
        assert_eq!(edit.execute(damage, []).unwrap(), 1, "{damage}");
    }
    drop(edit);
    Connection::open(store.file()).unwrap().execute("UPDATE event_counter SET seq = 1000", []).unwrap();
    let db = store.open();
    let kinds = |events: Vec<allod_store::Event>| {
        events.into_iter().map(|event| (event.seq, event.kind == EventKind::Damaged)).collect::<Vec<_>>()
    };
    let damaged = |seqs: std::ops::RangeInclusive<i64>| seqs.map(|seq| (seq, true)).collect::<Vec<_>>();
    let all = kinds(db.events(0, 100).await.unwrap());
    assert_eq!(all[..6], damaged(1..=6)[..]);
    assert_eq!(all[6..8], [(7, false), (8, false)]);
    assert!(all[8].1, "the ninth");
    assert_eq!(kinds(db.events(6, 1).await.unwrap()), [(7, false)]);
    db.commit(with_event(Txn::new())).await.unwrap();
    assert_eq!(kinds(db.events(1000, 10).await.unwrap()), [(1001, false)]);
    assert_eq!(db.state().failed, None);
    assert!(db.state().damages.iter().any(|damage| damage.what.contains("event 3 ")));
    db.close().await;
}

#[tokio::test]
async fn events_of_before_there_were_checksums_are_read_as_they_are() {
    let store = Store::new();
    let db = store.open();
    db.commit(with_event(Txn::new())).await.unwrap();
    let before = db.events(0, 10).await.unwrap();
    db.close().await;
    let edit = Connection::open(store.file()).unwrap();
    edit.execute("ALTER TABLE events_19700101 DROP COLUMN crc32c", []).unwrap();
    drop(edit);
    let db = store.open();
    assert_eq!(db.events(0, 10).await.unwrap(), before);
    db.commit(with_event(Txn::new())).await.unwrap();
    assert_eq!(db.events(0, 10).await.unwrap().len(), 2);
    db.close().await;
    let sums: Vec<Option<i64>> = {
        let edit = Connection::open(store.file()).unwrap();
        let mut query = edit.prepare("SELECT crc32c FROM events_19700101 ORDER BY seq").unwrap();
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert!(sums[0].is_none() && sums[1].is_some());
}

// With failing disks. One recorder serves all tests, so they take turns.

async fn recorder() -> (MutexGuard<'static, ()>, &'static Recorder) {
    static RECORDER: OnceLock<&'static Recorder> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::const_new(());
    let turn = TURN.lock().await;
    let recorder = *RECORDER.get_or_init(|| Recorder::register("failing"));
    recorder.heal();
    (turn, recorder)
}

fn fail(call: Call, kind: FileKind, after: u64, code: i32) -> Failure {
    Failure { call, kind, after, times: 1, code }
}

#[tokio::test]
async fn one_commit_is_one_sync_of_the_log() {
    let (_turn, recorder) = recorder().await;
    let store = Store::new();
    let db = sqlite::open(store.options().through_vfs("failing")).unwrap();
    db.commit(put("first", b"")).await.unwrap();
    recorder.start();
    for n in 0..10 {
        db.commit(put(&format!("{n}"), b"")).await.unwrap();
        recorder.mark(n);
    }
    let mut taken = put("0", b"");
    taken.run(sql!("DELETE FROM meta"));
    db.commit(taken).await.unwrap_err();
    let ops = recorder.stop();
    let syncs = ops.iter().filter(|op| matches!(op, Op::Sync { .. })).count();
    assert_eq!(syncs, 10, "a refused transaction syncs nothing");
    // The sync comes behind the last write and before the answer.
    for pair in ops.windows(2) {
        if let [before, Op::Mark(n)] = pair {
            assert!(matches!(before, Op::Sync { .. }), "{n} was answered after {before:?}");
        }
    }
    db.close().await;
}

#[tokio::test]
async fn a_failed_sync_stops_all_writes_until_opened_again() {
    let (_turn, recorder) = recorder().await;
    let store = Store::new();
    let options = store.options().through_vfs("failing");
    let db = sqlite::open(options.clone()).unwrap();
    db.commit(with_event(put("before", b""))).await.unwrap();
    recorder.fail(fail(Call::Sync, FileKind::Wal, 0, ffi::SQLITE_IOERR_FSYNC));
    let error = db.commit(with_event(put("during", b""))).await.unwrap_err();
    assert!(matches!(error, CommitError::Unknown { .. }), "{error:?}");
    assert_eq!(*db.watch().borrow(), 1, "an event of unknown fate is not told");
    for _ in 0..3 {
        // The disk is well again, and still nothing may be written.
        let error = db.commit(put("after", b"")).await.unwrap_err();
        assert!(
            matches!(&error, CommitError::Unavailable { reason } if reason.contains("restart required")),
            "{error:?}"
        );
    }
    let error = db.raise_sequence(50).await.unwrap_err();
    assert!(matches!(error, CommitError::Unavailable { .. }), "{error:?}");
    assert_eq!(names(&db).await, ["before"], "reads go on, and see nothing that may not be durable");
    db.close().await;

    let db = sqlite::open(options).unwrap();
    let names = names(&db).await;
    let events = db.events(0, 10).await.unwrap().len();
    assert!(names == ["before"] && events == 1 || names == ["before", "during"] && events == 2, "{names:?}");
    db.commit(with_event(put("after", b""))).await.unwrap();
    db.close().await;
}

#[tokio::test]
async fn a_failed_write_of_the_log_stops_all_writes() {
    for after in 0..6 {
        let (_turn, recorder) = recorder().await;
        let store = Store::new();
        let options = store.options().through_vfs("failing");
        let db = sqlite::open(options.clone()).unwrap();
        db.commit(with_event(put("before", b""))).await.unwrap();
        recorder.fail(fail(Call::Write, FileKind::Wal, after, ffi::SQLITE_IOERR_WRITE));
        let error = db.commit(with_event(put("during", &vec![7; 20_000]))).await.unwrap_err();
        assert!(matches!(error, CommitError::Unknown { .. }), "{error:?}");
        assert!(matches!(db.commit(put("after", b"")).await, Err(CommitError::Unavailable { .. })));
        db.close().await;
        let db = sqlite::open(options).unwrap();
        assert_eq!(names(&db).await, ["before"], "not all of its pages were written");
        assert_eq!(db.commit(with_event(Txn::new())).await.unwrap().first_seq, Some(2));
        db.close().await;
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers_by_itself() {
    // From the first write of the group to the last.
    for after in 0..12 {
        let (_turn, recorder) = recorder().await;
        let store = Store::new();
        let options = store.options().through_vfs("failing");
        let db = sqlite::open(options.clone()).unwrap();
        db.commit(with_event(put("before", b""))).await.unwrap();
        recorder.fail(fail(Call::Write, FileKind::Wal, after, ffi::SQLITE_FULL));
        let error = db.commit(with_event(put("during", &vec![7; 20_000]))).await.unwrap_err();
        assert!(matches!(error, CommitError::Unavailable { .. }), "{after}: {error:?}");
        assert_eq!(names(&db).await, ["before"]);
        assert_eq!(db.commit(with_event(put("after", b""))).await.unwrap().first_seq, Some(2));
        assert_eq!(names(&db).await, ["after", "before"]);
        db.close().await;
        let db = sqlite::open(options).unwrap();
        assert_eq!(names(&db).await, ["after", "before"]);
        assert_eq!(db.events(0, 10).await.unwrap().len(), 2);
        db.close().await;
    }
}

fn revocation(name: &str) -> Txn {
    let mut txn = put(name, &vec![7; 20_000]);
    txn.use_disk_reserve();
    with_event(txn)
}

#[tokio::test]
async fn a_full_disk_gives_up_its_reserve_for_a_revocation() {
    // From the first write of the group to the last.
    for after in 0..5 {
        let (_turn, recorder) = recorder().await;
        let store = Store::new();
        let options = store.options().with_disk_reserve(1024 * 1024).through_vfs("failing");
        let db = sqlite::open(options.clone()).unwrap();
        db.commit(with_event(put("before", b""))).await.unwrap();
        recorder.fail(fail(Call::Write, FileKind::Wal, after, ffi::SQLITE_FULL));
        let group = [with_event(put("ordinary", &vec![7; 20_000])), revocation("revoked")];
        let outcomes = join_all(group.into_iter().map(|txn| db.commit(txn))).await;
        assert!(outcomes[1].is_ok(), "{after}: {outcomes:?}");
        db.commit(with_event(put("with room", b""))).await.unwrap();
        db.close().await;
        let db = sqlite::open(options).unwrap();
        assert!(names(&db).await.contains(&"revoked".to_owned()));
        assert_eq!(names(&db).await.contains(&"ordinary".to_owned()), outcomes[0].is_ok());
        db.close().await;
    }
}

#[tokio::test]
async fn while_the_reserve_is_gone_only_revocations_are_written() {
    let store = Store::new();
    // More than any disk has.
    let options = store.options().with_disk_reserve(1 << 55);
    let db = sqlite::open(options).unwrap();
    let group = (0..8).map(|n| if n % 2 == 0 { put(&format!("{n}"), b"") } else { revocation(&format!("{n}")) });
    let outcomes = join_all(group.map(|txn| db.commit(txn))).await;
    if outcomes.iter().all(Result::is_ok) {
        return; // This machine's file system can't reserve space.
    }
    for (n, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(_) => assert_eq!(n % 2, 1),
            Err(CommitError::Unavailable { reason }) => {
                assert!(n % 2 == 0 && reason.contains("reserved for"), "{reason}");
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(names(&db).await, ["1", "3", "5", "7"]);
    db.close().await;
}

#[tokio::test]
async fn the_reserve_is_kept_when_something_else_than_room_is_missing() {
    use std::os::unix::fs::MetadataExt as _;
    for code in [ffi::SQLITE_NOMEM, ffi::SQLITE_BUSY] {
        let (_turn, recorder) = recorder().await;
        let store = Store::new();
        let options = store.options().with_disk_reserve(1024 * 1024).through_vfs("failing");
        let db = sqlite::open(options.clone()).unwrap();
        db.commit(with_event(put("before", b""))).await.unwrap();
        let file = format!("{}.reserve", options.path.display());
        let held = || std::fs::metadata(&file).unwrap().blocks();
        let held_before = held();
        recorder.fail(fail(Call::Write, FileKind::Wal, 0, code));
        let error = db.commit(revocation("revoked")).await.unwrap_err();
        assert!(matches!(error, CommitError::Unavailable { .. }), "{error:?}");
        // Given up, it would be taken again only by the next write.
        assert_eq!(held(), held_before, "{code}");
        db.close().await;
    }
}

#[tokio::test]
async fn a_bounded_number_of_small_writes_may_use_the_reserve() {
    let store = Store::new();
    // More than any disk has.
    let db = sqlite::open(store.options().with_disk_reserve(1 << 55)).unwrap();
    if db.commit(put("ordinary", b"")).await.is_ok() {
        return; // This machine's file system can't reserve space.
    }
    let sign_in = |n: usize| {
        let mut txn = put(&format!("sign-in {n}"), b"");
        txn.use_some_disk_reserve();
        db.commit(txn)
    };
    let taken = join_all((0..600).map(sign_in)).await.into_iter().flatten().count();
    assert_eq!(taken, 500);
    db.commit(revocation("revoked")).await.unwrap();
    db.close().await;
}

#[tokio::test]
async fn a_disk_that_fills_up_within_a_statement_refuses_the_whole_group() {
    let (_turn, recorder) = recorder().await;
    let store = Store::new();
    let mut options = store.options().through_vfs("failing");
    // So small a cache that pages go to the log before the commit.
    options.writer_cache_kib = 16;
    let db = sqlite::open(options).unwrap();
    db.commit(put("before", b"")).await.unwrap();
    recorder.fail(fail(Call::Write, FileKind::Wal, 3, ffi::SQLITE_FULL));
    let group = (0..8).map(|n| db.commit(with_event(put(&format!("during {n}"), &vec![7; 100_000]))));
    let outcomes = join_all(group).await;
    let there = names(&db).await;
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(CommitError::Unavailable { .. }))).count();
    let applied = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(refused > 0 && refused + applied == 8, "{outcomes:?}");
    assert_eq!(there.len(), 1 + applied);
    assert_eq!(db.events(0, 100).await.unwrap().len(), applied);
    db.commit(put("after", b"")).await.unwrap();
    db.close().await;
}

#[tokio::test]
async fn a_failed_checkpoint_stops_all_writes() {
    for (call, code) in [(Call::Write, ffi::SQLITE_IOERR_WRITE), (Call::Sync, ffi::SQLITE_IOERR_FSYNC)] {
        let (_turn, recorder) = recorder().await;
        let store = Store::new();
        let mut options = store.options().through_vfs("failing");
        // The second commit waits for a pass of the checkpoint.
        (options.checkpoint_pages, options.wal_pages_max) = (1, 1);
        let db = sqlite::open(options.clone()).unwrap();
        db.commit(put("before", b"")).await.unwrap();
        recorder.fail(fail(call, FileKind::Main, 0, code));
        let mut acknowledged = vec!["before".to_owned()];
        let mut refused = false;
        for n in 0..20 {
            let name = format!("during {n}");
            match db.commit(put(&name, b"")).await {
                Ok(_) => acknowledged.push(name),
                Err(error) => {
                    assert!(matches!(error, CommitError::Unavailable { .. }), "{error:?}");
                    refused = true;
                }
            }
        }
        assert!(refused, "writes went on after a failed checkpoint");
        db.close().await;
        recorder.heal();
        let db = sqlite::open(options).unwrap();
        acknowledged.sort();
        assert_eq!(names(&db).await, acknowledged, "what was acknowledged is still in the log");
        db.close().await;
    }
}

#[tokio::test]
async fn an_opening_that_fails_can_be_repeated() {
    let (_turn, recorder) = recorder().await;
    let store = Store::new();
    let options = store.options().through_vfs("failing");
    let mut failures = 0;
    // The n-th write or sync fails, for every n there is: what is left is always a store that can be opened.
    for kind in [FileKind::Main, FileKind::Wal, FileKind::Journal] {
        for (call, code) in [(Call::Write, ffi::SQLITE_FULL), (Call::Sync, ffi::SQLITE_IOERR_FSYNC)] {
            for after in 0.. {
                drop(std::fs::remove_dir_all(store.file().parent().unwrap()));
                recorder.fail(fail(call, kind, after, code));
                let opened = sqlite::open(options.clone()).map(drop);
                recorder.heal();
                let db = sqlite::open(options.clone()).unwrap();
                db.commit(put("a", b"")).await.unwrap();
                db.close().await;
                if opened.is_ok() {
                    break;
                }
                failures += 1;
            }
        }
    }
    assert!(failures > 20, "only {failures} ways to fail");
}

#[tokio::test]
async fn numbers_begin_above_the_floor_and_a_lower_one_changes_nothing() {
    let store = Store::new();
    let open = |sequence_floor| {
        let mut options = store.options();
        options.sequence_floor = sequence_floor;
        sqlite::open(options).unwrap()
    };
    let db = open(5_000);
    assert_eq!(*db.watch().borrow(), 5_000);
    assert_eq!(db.commit(with_event(Txn::new())).await.unwrap().first_seq, Some(5_001));
    db.close().await;
    let db = open(10);
    assert_eq!(db.commit(with_event(Txn::new())).await.unwrap().first_seq, Some(5_002));
    db.close().await;
    let db = open(i64::MAX);
    assert_eq!(*db.watch().borrow(), allod_store::SEQ_MAX);
    db.close().await;
    // Nothing was numbered above it.
    let db = store.open();
    assert_eq!(*db.watch().borrow(), 5_002);
    db.close().await;
}

#[tokio::test]
async fn a_file_is_looked_into_while_a_server_uses_it_and_when_none_does() {
    let store = Store::new();
    let db = store.open();
    db.commit(put("hostname", b"pds.example.com")).await.unwrap();
    for _ in 0..2 {
        let seen = sqlite::inspect(&store.file()).unwrap();
        assert_eq!(seen.facts.get("hostname").map(|value| &value[..]), Some(&b"pds.example.com"[..]));
        assert!(!seen.is_in_use);
        db.close().await;
    }
    let connection = Connection::open(store.file()).unwrap();
    connection
        .execute_batch("INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, '9999_x', x'00')")
        .unwrap();
    drop(connection);
    for error in [sqlite::inspect(&store.file()).unwrap_err(), sqlite::open(store.options()).err().unwrap()] {
        assert!(matches!(error, OpenError::SchemaNewer { found: 9999, .. }), "{error}");
        assert!(error.to_string().contains("newer Allod"), "{error}");
    }
    let other = store.folder.path().join("other.sqlite");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(matches!(sqlite::inspect(&other), Err(OpenError::NotOurs)));
}
