//! The power-cut rig: a real run of the engine is recorded write by write; the power is cut after every one of them;
//! what a disk may then hold is opened by the ordinary engine and must have everything that was acknowledged.
//!
//! `ALLOD_POWER_CUT_ROUNDS` sets how many runs are recorded and cut (1), `ALLOD_POWER_CUT_SEED` repeats the choices.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a rig fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a rig is set through the environment")]
#![expect(clippy::cast_possible_truncation, reason = "numbers of a rig are small")]

mod rig;

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    hash::BuildHasher as _,
    path::Path,
    sync::{Arc, Mutex, OnceLock, mpsc},
    thread,
};

use allod_sqlite_recorder::{
    Op, Recorder,
    disk::{Cut, Disk},
};
use allod_store::sqlite::{self, SqliteOptions};
use rig::{Ack, Found, Rng};
use tokio::runtime::Runtime;

const WRITERS: i64 = 6;
const TXNS_PER_SESSION: i64 = 9;
/// How many cuts are opened and checked at once.
const CHECKERS: usize = 2;
/// The mark for the moment the engine was opened first, having synced the directory; others are acknowledgements.
const OPENED: u64 = u64::MAX;

/// One run: what went to the disk, and what was acknowledged in between.
struct Recording {
    ops: Vec<Op>,
    acks: Vec<Ack>,
}

/// What came of cutting a run.
#[derive(Debug, Default)]
struct Tally {
    cuts: u64,
    lost: u64,
    wrong: Vec<String>,
    by_kind: BTreeMap<Cut, u64>,
}

#[test]
fn no_acknowledged_transaction_is_lost() {
    let rounds = number("ALLOD_POWER_CUT_ROUNDS").unwrap_or(1);
    let seed = number("ALLOD_POWER_CUT_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let mut rng = Rng(seed);
    for round in 0..rounds {
        let recording = record(|options| options);
        let writes = recording.ops.iter().filter(|op| matches!(op, Op::Write { .. })).count();
        let syncs = recording.ops.iter().filter(|op| matches!(op, Op::Sync { .. })).count();
        let tally = cut_everywhere(&recording, &mut rng);
        eprintln!(
            "power cut: round {round}, {} acknowledged, {writes} writes, {syncs} syncs, {} cuts {:?}, seed {seed}",
            recording.acks.len(),
            tally.cuts,
            tally.by_kind
        );
        assert!(tally.cuts > 2_000, "{tally:?}");
        assert!(tally.lost == 0 && tally.wrong.is_empty(), "seed {seed}, round {round}: {tally:?}");
    }
}

#[test]
fn the_rig_sees_acknowledged_transactions_lost_without_syncs() {
    let recording = record(SqliteOptions::without_durability);
    let mut rng = Rng(1);
    let tally = cut_at(&recording, &mut rng, |index, _| if index % 16 == 0 { vec![Cut::Nothing] } else { vec![] });
    assert!(tally.lost > 0, "{tally:?}");
    assert!(tally.wrong.is_empty(), "losing whole transactions is all that is wrong with it: {tally:?}");
}

#[test]
fn the_rig_sees_a_disk_that_lies_about_syncs() {
    let mut recording = record(|options| options);
    let mut syncs = 0;
    recording.ops.retain(|op| {
        syncs += usize::from(matches!(op, Op::Sync { .. }));
        !matches!(op, Op::Sync { .. }) || syncs % 3 != 0
    });
    let tally = cut_at(&recording, &mut Rng(1), |index, _| if index % 16 == 0 { vec![Cut::Nothing] } else { vec![] });
    assert!(tally.lost > 0, "{tally:?}");
}

/// Runs the engine twice over one file, with many small transactions, checkpoints and new logs.
fn record(change: impl Fn(SqliteOptions) -> SqliteOptions) -> Recording {
    static RECORDER: OnceLock<&'static Recorder> = OnceLock::new();
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock();
    let recorder = *RECORDER.get_or_init(|| Recorder::register("power-cut"));
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let acks = Arc::new(Mutex::new(Vec::new()));
    recorder.start();
    for session in 0..2 {
        let mut options = small(&folder.path().join("allod.sqlite")).through_vfs("power-cut");
        options = change(options);
        runtime.block_on(async {
            let db = sqlite::open(options).unwrap();
            if session == 0 {
                recorder.mark(OPENED);
                db.commit(rig::setup()).await.unwrap();
            }
            let tasks: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let (db, acks) = (db.clone(), Arc::clone(&acks));
                    tokio::spawn(async move {
                        for n in session * TXNS_PER_SESSION..(session + 1) * TXNS_PER_SESSION {
                            if n % 5 == 2 {
                                db.commit(rig::conflicting(writer)).await.unwrap_err();
                            }
                            let first_seq = db.commit(rig::write(writer, n)).await.unwrap().first_seq.unwrap();
                            let mut acks = acks.lock().unwrap();
                            recorder.mark(acks.len() as u64);
                            acks.push(Ack { writer, n, first_seq });
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            db.close().await;
        });
    }
    let ops = recorder.stop();
    let acks = std::mem::take(&mut *acks.lock().unwrap());
    Recording { ops, acks }
}

/// Every kind of cut around each sync, and some kind of it after each write.
fn cut_everywhere(recording: &Recording, rng: &mut Rng) -> Tally {
    let mut choose = rng.clone();
    rng.next();
    cut_at(recording, rng, |index, unsynced| {
        let op = |index: usize| recording.ops.get(index);
        let boundary = [op(index), op(index + 1)].into_iter().flatten().any(|op| {
            matches!(op, Op::Sync { .. } | Op::Delete { .. } | Op::Truncate { .. } | Op::Open { .. } | Op::Mark(OPENED))
        });
        match op(index) {
            Some(Op::Mark(_)) | None if !boundary => vec![],
            // With nothing to lose, every cut leaves the same.
            _ if boundary && unsynced == 0 => vec![Cut::Nothing, Cut::Some],
            _ if boundary => Cut::ALL.to_vec(),
            _ => vec![Cut::ALL[2 + choose.below(5) as usize]],
        }
    })
}

/// A cut that waits for being opened and checked.
struct Job<'a> {
    name: (Cut, usize),
    files: Vec<(Arc<str>, Vec<u8>)>,
    acks: &'a [Ack],
}

/// Cuts after each operation in the ways that `cuts` names for its index and the number of unsynced changes.
fn cut_at(recording: &Recording, rng: &mut Rng, mut cuts: impl FnMut(usize, usize) -> Vec<Cut>) -> Tally {
    let tally = Mutex::new(Tally::default());
    let (sender, jobs) = mpsc::sync_channel(CHECKERS);
    let jobs = Mutex::new(jobs);
    thread::scope(|scope| {
        for _ in 0..CHECKERS {
            scope.spawn(|| check_jobs(&jobs, &tally));
        }
        let mut disk = Disk::default();
        let mut acked = 0;
        for (index, op) in recording.ops.iter().enumerate() {
            match op {
                Op::Mark(OPENED) => disk.sync_directory(),
                Op::Mark(ack) => acked = *ack as usize + 1,
                Op::Open { .. } | Op::Write { .. } | Op::Truncate { .. } | Op::Sync { .. } | Op::Delete { .. } => {
                    disk.apply(op);
                }
            }
            for cut in cuts(index, disk.unsynced()) {
                let files = disk.after(cut, &mut || rng.next());
                sender.send(Job { name: (cut, index), files, acks: &recording.acks[..acked] }).unwrap();
            }
        }
        drop(sender);
    });
    tally.into_inner().unwrap()
}

fn check_jobs(jobs: &Mutex<mpsc::Receiver<Job<'_>>>, tally: &Mutex<Tally>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // In memory where there is such a place: what is checked here has been cut already.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    loop {
        let Ok(Job { name: (cut, index), files, acks }) = jobs.lock().unwrap().recv() else { return };
        let found = reopen(&runtime, folder.path(), &files, acks);
        let mut tally = tally.lock().unwrap();
        tally.cuts += 1;
        tally.lost += found.lost;
        *tally.by_kind.entry(cut).or_default() += 1;
        if !found.wrong.is_empty() {
            tally.wrong.push(format!("{cut:?} after operation {index}: {}", found.wrong));
        }
    }
}

/// Opens what a cut has left with the ordinary engine, checks it, and sees that it goes on.
fn reopen(runtime: &Runtime, folder: &Path, files: &[(Arc<str>, Vec<u8>)], acks: &[Ack]) -> Found {
    // A folder of its own: a search for damaged pages may still have the last one's files open.
    let data = tempfile::tempdir_in(folder).unwrap();
    let data = data.path();
    for (path, content) in files {
        std::fs::write(data.join(Path::new(&**path).file_name().unwrap()), content).unwrap();
    }
    runtime.block_on(async {
        let db = match sqlite::open(small(&data.join("allod.sqlite"))) {
            Ok(db) => db,
            Err(error) => {
                return Found { lost: acks.len() as u64, wrong: format!("not opened: {error}"), ..Found::default() };
            }
        };
        let mut found = rig::check(&db, acks, &[]).await;
        let before = *db.watch().borrow();
        if found.wrong.is_empty() && !found.heads.is_empty() {
            let n = found.heads.get(&0).copied().unwrap_or(0);
            let first_seq = db.commit(rig::write(0, n)).await.unwrap().first_seq;
            if first_seq != Some(before + 1) {
                found.wrong = format!("after event {before} came {first_seq:?}");
            }
        }
        drop(db);
        found
    })
}

fn small(file: &Path) -> SqliteOptions {
    let mut options = SqliteOptions::new(file);
    (options.readers, options.checkpoint_pages, options.wal_pages_max) = (1, 24, 120);
    options
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}
