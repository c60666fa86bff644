//! The one thread that writes: it drains its queue into a group, one `COMMIT` and so one sync for all of it.
//!
//! Each transaction of a group stands in a savepoint of its own. Nobody is answered before the group's `COMMIT`,
//! not even a conflict: it may rest on a neighbour's change that is not durable yet.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use crate::{CommitError, ConflictKey, DiskReserveUse, EventDay, SEQ_MAX, Seq, Step, Txn};

use super::{
    checkpoint::Checkpointer,
    event_tables::{EventLog, LogError},
    failure::{self, Broken, Cause, Failure, Kind},
    health::{BreakOnPanic, Health},
    queue::{AbandonOnDrop, Queue},
    reserve::{self, Reserve},
    statement,
};

/// How many transactions may wait for the writer; more are refused with [`CommitError::Unavailable`].
pub(super) const WRITE_QUEUE_TXNS_MAX: usize = 4096;
/// How many transactions share one sync at most, so that the first of them does not wait for ever.
const GROUP_TXNS_MAX: usize = 256;

/// Something to be written.
#[derive(Debug)]
pub(super) enum Work {
    Commit(Txn),
    /// Removes one portion of the events before a day.
    Trim(EventDay),
    RaiseSequence(Seq),
    #[cfg(test)]
    Panic,
}

impl Work {
    /// How far it is written also when the disk is full.
    fn disk_reserve_use(&self) -> DiskReserveUse {
        match self {
            Self::Commit(txn) => txn.disk_reserve_use,
            Self::Trim(_) => DiskReserveUse::All,
            Self::RaiseSequence(_) => DiskReserveUse::None,
            #[cfg(test)]
            Self::Panic => DiskReserveUse::None,
        }
    }
}

/// What durable work left.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    /// The first number of a transaction with events.
    pub(super) first_seq: Option<Seq>,
    /// There is more of this kind to do.
    pub(super) more: bool,
}

/// Work and whom to answer.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) reply: oneshot::Sender<Result<Done, CommitError>>,
}

/// The writer thread's state.
pub(super) struct Writer {
    connection: Connection,
    log: EventLog,
    newest: watch::Sender<Seq>,
    wal_pages: Arc<AtomicU32>,
    checkpointer: Arc<Checkpointer>,
    health: Arc<Health>,
    reserve: Reserve,
    /// Whether the group that was tried last has met a full disk.
    found_full: bool,
}

impl Writer {
    pub(super) fn new(
        mut connection: Connection,
        log: EventLog,
        newest: watch::Sender<Seq>,
        checkpointer: &Arc<Checkpointer>,
        health: &Arc<Health>,
        reserve: Reserve,
    ) -> rusqlite::Result<Self> {
        let wal_pages = Arc::new(AtomicU32::new(0));
        let told = Arc::clone(&wal_pages);
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
            told.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        let (checkpointer, health) = (Arc::clone(checkpointer), Arc::clone(health));
        Ok(Self { connection, log, newest, wal_pages, checkpointer, health, reserve, found_full: false })
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self, queue: &Queue<Job>) {
        // After a panic these are answered last, by their end: whoever then writes again is refused.
        let mut jobs = Vec::new();
        let _abandon = AbandonOnDrop(queue);
        let health = Arc::clone(&self.health);
        let _poison = BreakOnPanic { health: &health, thread: "writer" };
        while queue.pop_group(&mut jobs, GROUP_TXNS_MAX) {
            self.run_group(&mut jobs);
            self.checkpointer.wal_grew(self.wal_pages.load(Ordering::Relaxed));
        }
    }

    fn run_group(&mut self, jobs: &mut Vec<Job>) {
        if let Some(reason) = self.health.broken() {
            return answer_unavailable(jobs.drain(..), reason);
        }
        if self.reserve.is_given_up() {
            answer_unavailable(
                jobs.extract_if(.., |job| !self.reserve.admits(job.work.disk_reserve_use())),
                reserve::REFUSED,
            );
        }
        if jobs.is_empty() {
            return;
        }
        let outcomes = self.write_group(jobs);
        let mut again = Vec::new();
        for (job, outcome) in jobs.drain(..).zip(outcomes) {
            let uses_reserve = job.work.disk_reserve_use() != DiskReserveUse::None;
            if self.found_full && uses_reserve && matches!(outcome, Err(CommitError::Unavailable { .. })) {
                again.push((job, outcome));
            } else {
                answer(job, outcome);
            }
        }
        if again.is_empty() {
            return;
        }
        if self.health.broken().is_none() && self.reserve.give_up() {
            jobs.extend(again.into_iter().map(|(job, _)| job));
            let outcomes = self.write_group(jobs);
            for (job, outcome) in jobs.drain(..).zip(outcomes) {
                answer(job, outcome);
            }
        } else {
            for (job, outcome) in again {
                answer(job, outcome);
            }
        }
    }

    /// Writes a group, and says of each of its transactions what became of it.
    fn write_group(&mut self, jobs: &[Job]) -> Vec<Result<Done, CommitError>> {
        let seq_before = self.log.seq;
        self.found_full = false;
        let outcomes = match self.apply_group(jobs) {
            Ok(outcomes) => outcomes,
            Err(failed) => {
                self.undo_group(seq_before, &failed);
                return jobs.iter().map(|_| unavailable(failed.reason())).collect();
            }
        };
        // A group of nothing but failures leaves nothing to sync.
        let ended = if outcomes.iter().any(Result::is_ok) {
            self.commit(seq_before)
        } else {
            self.undo_group(seq_before, &GroupFailure::Passing(String::new()));
            Ok(())
        };
        match ended {
            Ok(()) => {
                if self.log.seq > seq_before {
                    self.newest.send_replace(self.log.seq);
                }
                outcomes
            }
            Err(EndFailure::NothingApplied(reason)) => jobs.iter().map(|_| unavailable(&reason)).collect(),
            Err(EndFailure::Unknown(reason)) => {
                let unknown = |outcome| match outcome {
                    Ok(_) => Err(CommitError::Unknown { reason: reason.clone() }),
                    Err(_) => unavailable(&reason),
                };
                outcomes.into_iter().map(unknown).collect()
            }
        }
    }

    /// Carries out a group inside an open transaction.
    fn apply_group(&mut self, jobs: &[Job]) -> Result<Vec<Result<Done, CommitError>>, GroupFailure> {
        self.control("BEGIN IMMEDIATE")?;
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            outcomes.push(self.apply_in_savepoint(&job.work)?);
        }
        Ok(outcomes)
    }

    fn apply_in_savepoint(&mut self, work: &Work) -> Result<Result<Done, CommitError>, GroupFailure> {
        self.control("SAVEPOINT txn")?;
        let seq_before = self.log.seq;
        let applied = self.apply(work);
        if self.connection.is_autocommit() {
            // A full disk or a lack of memory can make the engine roll back all of it by itself.
            let reason = match applied {
                Ok(_) => "a statement ended the group's transaction".to_owned(),
                Err(Failure::Store(broken)) => return Err(GroupFailure::Breaking(broken)),
                Err(Failure::DiskFull(reason)) => return Err(GroupFailure::DiskFull(reason)),
                Err(Failure::Group(reason)) => reason,
                Err(Failure::Transaction(error)) => error.to_string(),
            };
            return Err(GroupFailure::Passing(reason));
        }
        let applied = match applied {
            Err(Failure::DiskFull(reason)) => {
                self.found_full = true;
                Err(Failure::Transaction(CommitError::Unavailable { reason }))
            }
            applied => applied,
        };
        match applied {
            Ok(done) => {
                self.control("RELEASE txn")?;
                Ok(Ok(done))
            }
            Err(Failure::Transaction(error)) => {
                self.control("ROLLBACK TO txn")?;
                self.control("RELEASE txn")?;
                self.log.seq = seq_before;
                if self.log.days_changed {
                    self.log.reload_days(&self.connection).map_err(GroupFailure::from)?;
                }
                Ok(Err(error))
            }
            Err(Failure::Group(reason)) => Err(GroupFailure::Passing(reason)),
            Err(Failure::DiskFull(reason)) => Err(GroupFailure::DiskFull(reason)),
            Err(Failure::Store(broken)) => Err(GroupFailure::Breaking(broken)),
        }
    }

    fn apply(&mut self, work: &Work) -> Result<Done, Failure> {
        match work {
            Work::Commit(txn) => self.apply_txn(txn),
            Work::Trim(before) => {
                let more = self.log.trim(&self.connection, *before);
                more.map(|more| Done { more, ..Done::default() }).map_err(|error| failure::of_statement(&error, None))
            }
            Work::RaiseSequence(floor) if (0..=SEQ_MAX).contains(floor) => {
                self.log.seq = self.log.seq.max(*floor);
                Ok(Done::default())
            }
            #[cfg(test)]
            Work::Panic => panic!("a test's panic in the writer"),
            Work::RaiseSequence(_) => {
                let reason = "the floor is not a sequence number".to_owned();
                Err(Failure::Transaction(CommitError::Refused { reason }))
            }
        }
    }

    fn apply_txn(&mut self, txn: &Txn) -> Result<Done, Failure> {
        for step in &txn.steps {
            self.apply_step(step)?;
        }
        let mut first_seq = None;
        for event in &txn.events {
            let seq = self.log.append(&self.connection, event)?;
            first_seq.get_or_insert(seq);
        }
        Ok(Done { first_seq, more: false })
    }

    fn apply_step(&self, step: &Step) -> Result<(), Failure> {
        let connection = &self.connection;
        let conflict = |key: ConflictKey| Err(Failure::Transaction(CommitError::Conflict(key)));
        match step {
            Step::Run(run) => match statement::execute(connection, run) {
                Ok(_) => Ok(()),
                Err(error) => Err(failure::of_statement(&error, None)),
            },
            Step::Expect { key, rows, statement } => match statement::execute(connection, statement) {
                Ok(touched) if touched == *rows => Ok(()),
                Ok(_) => conflict(*key),
                Err(error) => Err(failure::of_statement(&error, Some(*key))),
            },
            Step::Absent { key, query } => match statement::finds(connection, query) {
                Ok(false) => Ok(()),
                Ok(true) => conflict(*key),
                Err(error) => Err(failure::of_statement(&error, None)),
            },
        }
    }

    /// Makes the group durable: the counter row last, then `COMMIT`, which syncs.
    fn commit(&mut self, seq_before: Seq) -> Result<(), EndFailure> {
        let written = if self.log.seq > seq_before { self.log.store_counter(&self.connection) } else { Ok(()) };
        if let Err(error) = written {
            let failed = GroupFailure::from(error);
            self.undo_group(seq_before, &failed);
            return Err(EndFailure::NothingApplied(failed.reason().to_owned()));
        }
        let Err(error) = self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])) else {
            self.log.days_changed = false;
            return Ok(());
        };
        let reason = error.to_string();
        match failure::kind(&error) {
            // Before the group's last page, the one that makes it count, was written.
            Kind::Full => {
                self.undo_group(seq_before, &GroupFailure::DiskFull(reason.clone()));
                Err(EndFailure::NothingApplied(reason))
            }
            // Likewise; or a lock or a deferred constraint stood in the way.
            Kind::Resource | Kind::Busy | Kind::Constraint | Kind::Statement => {
                self.undo_group(seq_before, &GroupFailure::Passing(reason.clone()));
                Err(EndFailure::NothingApplied(reason))
            }
            Kind::Broken(cause) => {
                self.health.break_with(cause, &format!("commit: {reason}"));
                self.undo_group(seq_before, &GroupFailure::Passing(reason.clone()));
                Err(EndFailure::Unknown(reason))
            }
        }
    }

    /// Rolls the open transaction back, if there is one, and the log's state with it.
    fn undo_group(&mut self, seq_before: Seq, failed: &GroupFailure) {
        match failed {
            GroupFailure::Passing(_) => {}
            GroupFailure::DiskFull(_) => self.found_full = true,
            GroupFailure::Breaking(broken) => self.health.break_with(broken.cause, &broken.reason),
        }
        self.log.seq = seq_before;
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            self.health.break_with(Cause::Failure, &format!("rollback: {error}"));
        }
        if self.log.days_changed
            && let Err(error) = self.log.reload_days(&self.connection)
        {
            self.health.break_with(Cause::Failure, &format!("rollback: {error}"));
        }
    }

    fn control(&self, sql: &'static str) -> Result<(), GroupFailure> {
        self.connection.prepare_cached(sql).and_then(|mut prepared| prepared.execute([])).map(drop).map_err(Into::into)
    }
}

/// Why a group was given up before its `COMMIT`: nothing of it is applied.
#[derive(Debug)]
enum GroupFailure {
    Passing(String),
    DiskFull(String),
    Breaking(Broken),
}

impl GroupFailure {
    fn reason(&self) -> &str {
        match self {
            Self::Passing(reason) | Self::DiskFull(reason) => reason,
            Self::Breaking(broken) => &broken.reason,
        }
    }
}

impl From<rusqlite::Error> for GroupFailure {
    fn from(error: rusqlite::Error) -> Self {
        match failure::kind(&error) {
            Kind::Broken(cause) => Self::Breaking(Broken { cause, reason: error.to_string() }),
            Kind::Full => Self::DiskFull(error.to_string()),
            Kind::Constraint | Kind::Resource | Kind::Busy | Kind::Statement => Self::Passing(error.to_string()),
        }
    }
}

impl From<LogError> for GroupFailure {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Engine(error) => error.into(),
            LogError::Invalid(reason) => Self::Breaking(Broken { cause: Cause::Damage, reason }),
        }
    }
}

/// How a `COMMIT` failed.
#[derive(Debug)]
enum EndFailure {
    NothingApplied(String),
    Unknown(String),
}

fn answer(job: Job, outcome: Result<Done, CommitError>) {
    // Ignore: the receiver was dropped.
    drop(job.reply.send(outcome));
}

fn unavailable(reason: &str) -> Result<Done, CommitError> {
    Err(CommitError::Unavailable { reason: reason.to_owned() })
}

fn answer_unavailable(jobs: impl Iterator<Item = Job>, reason: &str) {
    for job in jobs {
        answer(job, unavailable(reason));
    }
}
