//! The crash rig: a child writes under load and reports every acknowledgement over a pipe; it is killed at a random
//! moment; the file is opened again and must hold everything that was acknowledged, whole and in order.
//!
//! `ALLOD_CRASH_CYCLES` sets how many times (200), `ALLOD_CRASH_SEED` repeats a run's choices.
#![expect(clippy::unwrap_used, reason = "a rig fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a rig is set through the environment")]

mod rig;

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use allod_store::{
    CommitError, ConflictKey, Db, Seq,
    sqlite::{self, SqliteOptions},
};
use rig::{Ack, Rng};

const CYCLES_DEFAULT: u64 = 200;
/// After so many crashes a fresh file is begun, so that checking stays quick.
const CYCLES_PER_FILE: u64 = 10;
const WRITERS: i64 = 12;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--child", file] => child(Path::new(file)),
        // What test runners ask for.
        [.., "--list"] | ["--list", ..] => report("crash: test\n"),
        _ if words.iter().any(|word| !word.starts_with('-') && !"crash".contains(word)) => {}
        _ => cycles(),
    }
}

fn cycles() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let cycles = number("ALLOD_CRASH_CYCLES").unwrap_or(CYCLES_DEFAULT);
    let seed = number("ALLOD_CRASH_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut rng = Rng(seed);
    let (mut acks, mut seen) = (Vec::new(), Vec::new());
    let (mut acked_in_all, mut seen_in_all, mut idle) = (0, 0, 0);
    let mut folder = tempfile::tempdir().unwrap();
    for cycle in 0..cycles {
        if cycle % CYCLES_PER_FILE == 0 {
            folder = tempfile::tempdir().unwrap();
            acks.clear();
            seen.clear();
        }
        let file = folder.path().join("data").join("allod.sqlite");
        let before = (acks.len(), seen.len());
        run_and_kill(&file, &mut rng, &mut acks, &mut seen);
        acked_in_all += acks.len() - before.0;
        seen_in_all += seen.len() - before.1;
        idle += u64::from(acks.len() == before.0);
        let found = runtime.block_on(async {
            let db = open(&file);
            let found = rig::check(&db, &acks, &seen).await;
            db.close().await;
            found
        });
        assert!(found.lost == 0 && found.wrong.is_empty(), "seed {seed}, cycle {cycle}: {found:?}");
    }
    assert!(acked_in_all > 0 && seen_in_all > 0, "seed {seed}: no child was given the time to write");
    report(&format!(
        "crash: {cycles} kills, {acked_in_all} acknowledged transactions and {seen_in_all} events read, \
         all there ({idle} kills before the first; seed {seed})\n"
    ));
}

/// Starts a child, kills it after a random number of reports or a random time, and gathers what it reported.
fn run_and_kill(file: &Path, rng: &mut Rng, acks: &mut Vec<Ack>, seen: &mut Vec<(Seq, String)>) {
    let mut child =
        Command::new(std::env::current_exe().unwrap()).arg("--child").arg(file).stdout(Stdio::piped()).spawn().unwrap();
    let pipe = child.stdout.take().unwrap();
    let (sender, reports) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = String::new();
        // A line without its end was cut off by the kill: nobody has been told.
        while pipe.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
            sender.send(std::mem::take(&mut line)).unwrap();
        }
    });
    let mut lines = Vec::new();
    if rng.below(10) == 0 {
        // Also while it opens the file.
        let pause = Duration::from_micros(rng.below(20_000));
        lines.extend(reports.recv_timeout(pause).ok());
    } else {
        for _ in 0..=rng.below(400) {
            lines.push(reports.recv_timeout(Duration::from_secs(20)).unwrap());
        }
        // And not just after a report.
        let _ = reports.recv_timeout(Duration::from_micros(rng.below(3_000))).map(|line| lines.push(line));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    lines.extend(reports.try_iter());
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["ack", writer, n, seq] => acks.push(Ack {
                writer: writer.parse().unwrap(),
                n: n.parse().unwrap(),
                first_seq: seq.parse().unwrap(),
            }),
            ["seen", seq, did] => seen.push((seq.parse().unwrap(), (*did).to_owned())),
            _ => panic!("the child said {line:?}"),
        }
    }
}

fn open(file: &Path) -> Db {
    let mut options = SqliteOptions::new(PathBuf::from(file));
    // Small, so that checkpoints and new logs are among the moments.
    (options.checkpoint_pages, options.wal_pages_max) = (40, 200);
    sqlite::open(options).unwrap()
}

fn child(file: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let db = open(file);
        db.commit(rig::setup()).await.unwrap();
        let heads = rig::check(&db, &[], &[]).await.heads;
        let mut tasks: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write(db.clone(), writer, heads.get(&writer).copied().unwrap_or(0))))
            .collect();
        tasks.push(tokio::spawn(tail(db.clone())));
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn write(db: Db, writer: i64, first: i64) {
    for n in first.. {
        if n % 7 == 3 {
            let refused = db.commit(rig::conflicting(writer)).await;
            assert!(matches!(refused, Err(CommitError::Conflict(ConflictKey::Test("head")))), "{refused:?}");
        }
        let committed = db.commit(rig::write(writer, n)).await.unwrap();
        report(&format!("ack {writer} {n} {}\n", committed.first_seq.unwrap()));
    }
}

/// Reads the log as a subscriber would: whatever it has seen must stay.
async fn tail(db: Db) {
    let mut newest = db.watch();
    let mut after = *newest.borrow_and_update();
    loop {
        newest.changed().await.unwrap();
        for event in db.events(after, 1000).await.unwrap() {
            after = event.seq;
            report(&format!("seen {} {}\n", event.seq, event.did));
        }
    }
}

/// One write for one line, so that lines never mix.
fn report(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}
