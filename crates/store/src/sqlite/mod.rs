//! The `SQLite` engine: one file, a write-ahead log synced at every commit, one writer thread, some reader threads.
//!
//! Threads: the [`writer`] groups waiting transactions into one sync, the [`checkpoint`] thread moves the log into the
//! main file, the [`reader`] threads answer queries. Async callers hand work over and wait for a message; they never
//! touch the file. What an error means is decided in [`failure`] and nowhere else.

mod backup;
mod checkpoint;
mod connection;
mod event_tables;
mod failure;
mod health;
mod inspect;
mod lock;
mod migrate;
mod queue;
mod reader;
mod reserve;
mod statement;
mod writer;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, oneshot, watch};

use crate::{
    CommitError, Committed, Database, Db, Event, EventDay, ReadError, Rows, SEQ_MAX, Seq, Statement, StoreState, Txn,
    migrations,
};

use checkpoint::Checkpointer;
use connection::Role;
use event_tables::{EventLog, LogError};
use health::Health;
use lock::FileLock;
use queue::Queue;
use reader::ReadJob;
use reserve::Reserve;
use writer::{Done, Job, Work, Writer};

pub use inspect::{Inspection, inspect};

/// How to open a file.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The file; it and its directory are made when missing, readable by their owner alone.
    pub path: PathBuf,
    /// How many threads and connections read.
    pub readers: usize,
    /// The writer's page cache, in KiB.
    pub writer_cache_kib: u32,
    /// Each reader's page cache, in KiB.
    pub reader_cache_kib: u32,
    /// How many pages of 4 KiB the log grows between two checkpoints, which move them into the main file.
    pub checkpoint_pages: u32,
    /// The log's bound, in pages of 4 KiB: writes wait for a checkpoint from here on. Only a read that lasts
    /// (a backup) can make the log larger.
    pub wal_pages_max: u32,
    /// Every event's number is larger than this, whatever the file says: numbers that may have been seen before the
    /// file was restored from a copy are not given again. 0 for no such bound.
    pub sequence_floor: Seq,
    /// How many bytes of the disk are kept back; 0 for none.
    pub(crate) disk_reserve_bytes: u64,
    /// What a commit waits for.
    pub(crate) synchronous: Synchronous,
    /// The name of the `SQLite` virtual file system; the system's own when `None`.
    pub(crate) vfs: Option<&'static str>,
}

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Synchronous {
    /// The log's sync: an acknowledged write survives a power cut.
    Full,
    /// Nothing: a power cut loses acknowledged writes. Shows that the power-cut rig sees such losses.
    #[cfg(feature = "rig")]
    Normal,
}

impl SqliteOptions {
    /// The defaults for a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            readers: 2,
            writer_cache_kib: 2048,
            reader_cache_kib: 512,
            checkpoint_pages: 4000,
            wal_pages_max: 16 * 1024,
            sequence_floor: 0,
            disk_reserve_bytes: 0,
            synchronous: Synchronous::Full,
            vfs: None,
        }
    }

    /// Keeps so many bytes of the disk back for [`Txn::use_disk_reserve`].
    #[must_use]
    pub fn with_disk_reserve(mut self, bytes: u64) -> Self {
        self.disk_reserve_bytes = bytes;
        self
    }

    /// Opens the file through another virtual file system, one that records or injects faults.
    #[cfg(feature = "rig")]
    #[must_use]
    pub fn through_vfs(mut self, name: &'static str) -> Self {
        self.vfs = Some(name);
        self
    }

    /// Gives up durability, to show that a rig notices.
    #[cfg(feature = "rig")]
    #[must_use]
    pub fn without_durability(mut self) -> Self {
        self.synchronous = Synchronous::Normal;
        self
    }
}

/// Why a file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process (or another handle of this one) has it open.
    #[error("the database {path} is in use by another process")]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// The operating system refused something.
    #[error("can't {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file is a database of another program.
    #[error("the file is not an Allod database")]
    NotOurs,
    /// A newer build has written the file.
    #[error(
        "the data was written by a newer Allod (schema {found}; this one knows schemas up to {known}): install the newer \
         version again, or restore the copy that was made before the upgrade"
    )]
    SchemaNewer {
        /// The file's newest step.
        found: i64,
        /// The newest step of this build.
        known: i64,
    },
    /// A step that was applied to the file differs from the one in this build.
    #[error("the migration {name} differs from the one that was applied to this database")]
    MigrationChanged {
        /// The step's name.
        name: &'static str,
    },
    /// A step failed; the file is as it was before it.
    #[error("the migration {name} failed: {source}")]
    Migration {
        /// The step's name.
        name: &'static str,
        /// Why.
        source: rusqlite::Error,
    },
    /// The file contradicts itself.
    #[error("the database is damaged: {reason}")]
    Damaged {
        /// In which way.
        reason: String,
    },
    /// The engine failed.
    #[error("can't {what}: {source}")]
    Engine {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: rusqlite::Error,
    },
}

/// Opens a file, bringing its schema up to date; ready for reads and writes when it returns.
///
/// # Errors
/// [`OpenError`]; the file's data is as it was, but for schema steps that were complete.
pub fn open(options: SqliteOptions) -> Result<Db, OpenError> {
    Ok(Arc::new(Sqlite::open(options)?))
}

struct Sqlite {
    options: SqliteOptions,
    writes: Arc<Queue<Job>>,
    reads: Arc<Queue<ReadJob>>,
    checkpointer: Arc<Checkpointer>,
    health: Arc<Health>,
    newest: watch::Receiver<Seq>,
    threads: Mutex<Option<Threads>>,
}

/// What has to end before the file may be opened again.
struct Threads {
    writer: JoinHandle<()>,
    readers: Vec<JoinHandle<()>>,
    checkpointer: JoinHandle<()>,
    lock: FileLock,
}

impl Sqlite {
    fn open(options: SqliteOptions) -> Result<Self, OpenError> {
        let new = connection::prepare_file(&options.path)?;
        let lock = FileLock::take(&options.path)?;
        let mut writer_connection = connection::connect(&options, Role::Writer)?;
        let migrated = migrate::migrate(&mut writer_connection, migrations::SQLITE)?;
        if new || migrated {
            // Also makes the removal of the journal durable that the switch to the write-ahead log used.
            let io = |source| OpenError::Io { what: "sync the directory of", path: options.path.clone(), source };
            connection::sync_directory(connection::directory_of(&options.path)).map_err(io)?;
        }
        let mut log = EventLog::load(&writer_connection).map_err(|error| match error {
            LogError::Engine(source) => OpenError::Engine { what: "read the event log", source },
            LogError::Invalid(reason) => OpenError::Damaged { reason },
        })?;
        // Not written: the first event's transaction writes its own number, and before that none has been given.
        log.seq = log.seq.max(options.sequence_floor.min(SEQ_MAX));

        let health = Health::new(&options);
        let checkpointer = Checkpointer::new(options.checkpoint_pages, options.wal_pages_max);
        let (newest_sender, newest) = watch::channel(log.seq);
        let reserve = Reserve::take(&options.path, options.disk_reserve_bytes).map_err(|source| OpenError::Io {
            what: "create the disk reserve of",
            path: options.path.clone(),
            source,
        })?;
        let writer = Writer::new(writer_connection, log, newest_sender, &checkpointer, &health, reserve)
            .map_err(|source| OpenError::Engine { what: "watch the log's size", source })?;
        let writes = Arc::new(Queue::new(writer::WRITE_QUEUE_TXNS_MAX));
        let reads = Arc::new(Queue::new(reader::READ_QUEUE_LEN_MAX));

        let checkpoint_connection = connection::connect(&options, Role::Checkpointer)?;
        let readers = (0..options.readers.max(1))
            .map(|_| connection::connect(&options, Role::Reader))
            .collect::<Result<Vec<_>, _>>()?;
        let threads = Threads {
            writer: spawn("store-writer", {
                let writes = Arc::clone(&writes);
                move || writer.run(&writes)
            })?,
            readers: readers
                .into_iter()
                .map(|connection| {
                    let (reads, health) = (Arc::clone(&reads), Arc::clone(&health));
                    spawn("store-reader", move || reader::run(&connection, &reads, &health))
                })
                .collect::<Result<_, _>>()?,
            checkpointer: spawn("store-checkpoint", {
                let (checkpointer, health) = (Arc::clone(&checkpointer), Arc::clone(&health));
                move || checkpointer.run(&checkpoint_connection, &health)
            })?,
            lock,
        };
        let threads = Mutex::new(Some(threads));
        Ok(Self { options, writes, reads, checkpointer, health, newest, threads })
    }

    async fn write(&self, work: Work) -> Result<Done, CommitError> {
        if let Some(reason) = self.health.broken() {
            return Err(CommitError::Unavailable { reason: reason.to_owned() });
        }
        let (reply, answer) = oneshot::channel();
        self.writes
            .push(Job { work, reply })
            .map_err(|error| CommitError::Unavailable { reason: format!("the writer: {error}") })?;
        answer
            .await
            .unwrap_or_else(|_| Err(CommitError::Unknown { reason: "the writer thread has stopped".to_owned() }))
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T, ReadError>>) -> ReadJob) -> Result<T, ReadError> {
        let (reply, answer) = oneshot::channel();
        let unavailable = |reason| ReadError::Unavailable { reason };
        self.reads.push(job(reply)).map_err(|error| unavailable(format!("the readers: {error}")))?;
        answer.await.unwrap_or_else(|_| Err(unavailable("the reader threads have stopped".to_owned())))
    }
}

impl Database for Sqlite {
    fn read(&self, query: Statement) -> BoxFuture<'_, Result<Rows, ReadError>> {
        Box::pin(self.ask(|reply| ReadJob::Query { query, reply }))
    }

    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<Committed, CommitError>> {
        Box::pin(async move {
            let done = self.write(Work::Commit(txn)).await?;
            Ok(Committed { first_seq: done.first_seq })
        })
    }

    fn events(&self, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, ReadError>> {
        Box::pin(self.ask(move |reply| ReadJob::Events { after, limit, reply }))
    }

    fn watch(&self) -> watch::Receiver<Seq> {
        self.newest.clone()
    }

    fn drop_events_before(&self, day: EventDay) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            while self.write(Work::Trim(day)).await?.more {}
            Ok(())
        })
    }

    fn raise_sequence(&self, floor: Seq) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move { self.write(Work::RaiseSequence(floor)).await.map(drop) })
    }

    fn state(&self) -> StoreState {
        self.health.state()
    }

    fn backup<'a>(&'a self, to: &'a Path) -> BoxFuture<'a, Result<(), ReadError>> {
        let (options, to) = (self.options.clone(), to.to_owned());
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let unavailable = |reason| ReadError::Unavailable { reason };
            spawn("store-backup", move || drop(reply.send(backup::copy(&options, &to))))
                .map_err(|error| unavailable(error.to_string()))?;
            match answer.await {
                Ok(copied) => copied.map_err(|error| unavailable(format!("backup: {error}"))),
                Err(_) => Err(unavailable("the backup thread has stopped".to_owned())),
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // A second caller waits here until the first is done.
            let mut threads = self.threads.lock().await;
            self.writes.close();
            let Some(ending) = threads.take() else { return };
            let (writes, reads, checkpointer) = (&self.writes, &self.reads, &self.checkpointer);
            let (reply, answer) = oneshot::channel();
            let end = {
                let (writes, reads, checkpointer) = (Arc::clone(writes), Arc::clone(reads), Arc::clone(checkpointer));
                let health = Arc::clone(&self.health);
                move || {
                    ending.end(&writes, &reads, &checkpointer, &health);
                    let _ = reply.send(());
                }
            };
            match spawn("store-close", end) {
                Ok(_) => drop(answer.await),
                Err(error) => tracing::error!(%error, "could not close the database cleanly"),
            }
        })
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.get_mut().take() {
            threads.end(&self.writes, &self.reads, &self.checkpointer, &self.health);
        }
    }
}

impl Threads {
    /// Finishes what is waiting, ends all threads, and lets the file go last.
    fn end(self, writes: &Queue<Job>, reads: &Queue<ReadJob>, checkpointer: &Checkpointer, health: &Health) {
        let join = |thread: JoinHandle<()>| {
            if thread.join().is_err() {
                tracing::error!("a database thread panicked");
            }
        };
        writes.close();
        join(self.writer);
        reads.close();
        self.readers.into_iter().for_each(join);
        checkpointer.close();
        join(self.checkpointer);
        health.close();
        drop(self.lock);
    }
}

fn spawn(name: &'static str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(|source| OpenError::Io {
        what: "start a thread for",
        path: PathBuf::from(name),
        source,
    })
}

#[cfg(test)]
mod panics;
