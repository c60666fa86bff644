//! A server on a disk of its own whose power can be cut.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use allod_sqlite_recorder::{
    Op, Recorder,
    disk::{Cut, Disk},
};
use allod_testkit::{Options, TestPds};

/// Notes that the store was opened, which syncs the directory.
const OPENED: u64 = 0;
/// How often it is looked whether a server has come to rest, and whether a call hangs.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How many looks in a row must find nothing new.
const QUIET_LOOKS: usize = 8;
/// How many looks are enough for anything; it takes longer only when a test fails.
const LOOKS_MAX: usize = 5_000;

/// A server, and what is durable of its store.
pub(super) struct Site {
    pub(super) pds: TestPds,
    recorder: &'static Recorder,
    disk: Disk,
}

impl Site {
    /// Starts one, beside another if there is one.
    pub(super) async fn start(options: Options, other: Option<&Site>) -> Self {
        static DISKS: AtomicU64 = AtomicU64::new(0);
        let name: &'static str = format!("moving-{}", DISKS.fetch_add(1, Ordering::Relaxed)).leak();
        let recorder = Recorder::register(name);
        recorder.start();
        let options = options.store(move |options| options.through_vfs(name));
        let pds = match other {
            Some(other) => options.start_beside(&other.pds).await,
            None => options.start().await,
        };
        recorder.mark(OPENED);
        Self { pds, recorder, disk: Disk::default() }
    }

    /// Cuts the power: what was not synced is lost. Starts the server again on what is left.
    pub(super) async fn power_cut(&mut self) {
        // From here on nothing reaches the disk.
        for op in self.recorder.stop() {
            match op {
                Op::Mark(_) => self.disk.sync_directory(),
                op @ (Op::Open { .. }
                | Op::Write { .. }
                | Op::Truncate { .. }
                | Op::Sync { .. }
                | Op::Delete { .. }) => {
                    self.disk.apply(&op);
                }
            }
        }
        let found = self.disk.after(Cut::Nothing, &mut || 0);
        // Nobody tidies up any more either: other files stay as they are at this moment.
        let folders = [self.pds.imports(), self.pds.blobs()];
        let mut beside = Vec::new();
        for folder in folders {
            files(&folder, &mut beside);
        }
        let (recorder, database) = (self.recorder, self.pds.database());
        let put_back = || {
            for ending in ["", "-wal", "-shm"] {
                let mut name = database.clone().into_os_string();
                name.push(ending);
                // What is not there need not go.
                let _ = fs::remove_file(name);
            }
            for (path, content) in &found {
                fs::write(Path::new(&**path), content).unwrap();
            }
            for (path, content) in &beside {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
            recorder.start();
        };
        self.pds.crash_and(put_back).await;
        recorder.mark(OPENED);
        self.disk = Disk::holding(&found);
    }

    /// Waits until the server does nothing by itself any more.
    pub(super) async fn rests(&self) {
        let (mut last, mut quiet) = ((0, 0), 0);
        for _ in 0..LOOKS_MAX {
            let now = (self.pds.store().reads(), self.pds.store().commits());
            quiet = if now == last { quiet + 1 } else { 0 };
            last = now;
            if quiet == QUIET_LOOKS {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        panic!("the server does not come to rest");
    }

    /// Waits until a call of the store hangs.
    pub(super) async fn hangs(&self) {
        while self.pds.store().hanging() == 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Reads every file in a folder and below; none where it is not there.
fn files(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.clone(), fs::read(path).unwrap()));
        }
    }
}
