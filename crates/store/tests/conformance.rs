//! The suite of [`allod_store::conformance`] on the `SQLite` engine, bare and behind the fault wrapper.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::PathBuf, sync::Arc};

use allod_store::{
    Db,
    conformance::{self, Engine},
    fault::Faulty,
    sqlite::{self, SqliteOptions},
};
use tempfile::TempDir;

struct Bare(TempDir);

impl Engine for Bare {
    fn open(&self) -> Db {
        sqlite::open(SqliteOptions::new(file(&self.0))).unwrap()
    }

    fn backup_path(&self) -> PathBuf {
        self.0.path().join("copy")
    }
}

/// A log so small that it is begun anew all the time, and a single reader.
struct Cramped(TempDir);

impl Engine for Cramped {
    fn open(&self) -> Db {
        let mut options = SqliteOptions::new(file(&self.0));
        (options.readers, options.checkpoint_pages, options.wal_pages_max) = (1, 4, 8);
        (options.reader_cache_kib, options.writer_cache_kib) = (16, 16);
        sqlite::open(options).unwrap()
    }

    fn backup_path(&self) -> PathBuf {
        self.0.path().join("copy")
    }
}

struct Wrapped(Bare);

impl Engine for Wrapped {
    fn open(&self) -> Db {
        Faulty::new(self.0.open())
    }

    fn backup_path(&self) -> PathBuf {
        self.0.backup_path()
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("data").join("allod.sqlite")
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_conforms() {
    conformance::run(|| Arc::new(Bare(folder()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_with_a_tiny_log_conforms() {
    conformance::run(|| Arc::new(Cramped(folder()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_behind_the_fault_wrapper_conforms() {
    conformance::run(|| Arc::new(Wrapped(Bare(folder())))).await;
}
