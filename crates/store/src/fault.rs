//! An engine that fails on command: wraps any other and answers as a broken disk, a hung disk or a lost answer would.
//!
//! For tests of everything above the store. Calls are counted from the moment a fault is set, `1` being the next.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    CommitError, Committed, ConflictKey, Database, Db, Event, EventDay, ReadError, Rows, Seq, Statement, StoreState,
    Txn,
};

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The answer is `Unavailable`; nothing is applied.
    Fail,
    /// The call waits until [`Faulty::release`], then goes on as if nothing had been. Dropping it applies nothing.
    Hang,
    /// A commit is applied and durable, and its answer waits until [`Faulty::release`]. A read hangs.
    HangApplied,
    /// A commit is applied and durable, and the answer is `Unknown`. A read answers `Unavailable`.
    UnknownApplied,
    /// A commit is not applied, and the answer is `Unknown`. A read answers `Unavailable`.
    UnknownLost,
    /// A commit is not applied, and the answer is `Conflict` of this key. A read answers `Unavailable`.
    Conflict(ConflictKey),
    /// The caller panics; nothing is applied.
    Panic,
}

/// A database with faults to order.
pub struct Faulty {
    inner: Db,
    plan: Mutex<Plan>,
    released: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Plan {
    commits: u64,
    reads: u64,
    at_commit: BTreeMap<u64, Fault>,
    at_read: BTreeMap<u64, Fault>,
    at_events: Option<Fault>,
    hanging: u64,
}

impl Faulty {
    /// Wraps an engine; without a fault set it behaves as that one.
    pub fn new(inner: Db) -> Arc<Self> {
        Arc::new(Self { inner, plan: Mutex::default(), released: watch::Sender::new(0) })
    }

    /// Sets what happens to the `n`-th commit from now; `1` is the next one.
    pub fn at_commit(&self, n: u64, fault: Fault) {
        let mut plan = self.plan.lock();
        let call = plan.commits + n;
        plan.at_commit.insert(call, fault);
    }

    /// Sets what happens to the `n`-th read (of rows or events) from now; `1` is the next one.
    pub fn at_read(&self, n: u64, fault: Fault) {
        let mut plan = self.plan.lock();
        let call = plan.reads + n;
        plan.at_read.insert(call, fault);
    }

    /// Sets what happens to the next read of events.
    pub fn at_events(&self, fault: Fault) {
        self.plan.lock().at_events = Some(fault);
    }

    /// Forgets every fault that has not happened yet.
    pub fn clear(&self) {
        let mut plan = self.plan.lock();
        plan.at_commit.clear();
        plan.at_read.clear();
        plan.at_events = None;
    }

    /// Lets every call that hangs go on.
    pub fn release(&self) {
        self.released.send_modify(|count| *count += 1);
    }

    /// How many commits were asked for so far, faults included.
    pub fn commits(&self) -> u64 {
        self.plan.lock().commits
    }

    /// How many reads were asked for so far, faults included.
    pub fn reads(&self) -> u64 {
        self.plan.lock().reads
    }

    /// How many calls hang now.
    pub fn hanging(&self) -> u64 {
        self.plan.lock().hanging
    }

    fn next_commit(&self) -> Option<Fault> {
        let mut plan = self.plan.lock();
        plan.commits += 1;
        let call = plan.commits;
        plan.at_commit.remove(&call)
    }

    fn next_read(&self) -> Option<Fault> {
        let mut plan = self.plan.lock();
        plan.reads += 1;
        let call = plan.reads;
        plan.at_read.remove(&call)
    }

    fn next_events(&self) -> Option<Fault> {
        let next = self.next_read();
        self.plan.lock().at_events.take().or(next)
    }

    async fn hang(&self) {
        let mut released = self.released.subscribe();
        let hanging = Hanging::begin(self);
        // Fails only when the sender is gone, and `self` holds it.
        drop(released.changed().await);
        drop(hanging);
    }

    async fn before_read(&self, fault: Option<Fault>) -> Result<(), ReadError> {
        match fault {
            None => Ok(()),
            Some(Fault::Hang | Fault::HangApplied) => {
                self.hang().await;
                Ok(())
            }
            Some(Fault::Panic) => panic!("{FAULT}"),
            Some(Fault::Fail | Fault::UnknownApplied | Fault::UnknownLost | Fault::Conflict(_)) => {
                Err(ReadError::Unavailable { reason: FAULT.to_owned() })
            }
        }
    }

    async fn write<T>(&self, apply: impl Future<Output = Result<T, CommitError>>) -> Result<T, CommitError> {
        let unknown = || CommitError::Unknown { reason: FAULT.to_owned() };
        match self.next_commit() {
            None => apply.await,
            Some(Fault::Fail) => Err(CommitError::Unavailable { reason: FAULT.to_owned() }),
            Some(Fault::Hang) => {
                self.hang().await;
                apply.await
            }
            Some(Fault::HangApplied) => {
                let outcome = apply.await;
                self.hang().await;
                outcome
            }
            Some(Fault::UnknownApplied) => apply.await.and_then(|_| Err(unknown())),
            Some(Fault::UnknownLost) => Err(unknown()),
            Some(Fault::Conflict(key)) => Err(CommitError::Conflict(key)),
            Some(Fault::Panic) => panic!("{FAULT}"),
        }
    }
}

const FAULT: &str = "a fault was injected";

/// Counts a hanging call for as long as it is awaited.
struct Hanging<'a>(&'a Faulty);

impl<'a> Hanging<'a> {
    fn begin(faulty: &'a Faulty) -> Self {
        faulty.plan.lock().hanging += 1;
        Self(faulty)
    }
}

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        self.0.plan.lock().hanging -= 1;
    }
}

impl Database for Faulty {
    fn read(&self, query: Statement) -> BoxFuture<'_, Result<Rows, ReadError>> {
        Box::pin(async move {
            self.before_read(self.next_read()).await?;
            self.inner.read(query).await
        })
    }

    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<Committed, CommitError>> {
        Box::pin(self.write(self.inner.commit(txn)))
    }

    fn events(&self, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, ReadError>> {
        Box::pin(async move {
            self.before_read(self.next_events()).await?;
            self.inner.events(after, limit).await
        })
    }

    fn watch(&self) -> watch::Receiver<Seq> {
        self.inner.watch()
    }

    fn drop_events_before(&self, day: EventDay) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(self.write(self.inner.drop_events_before(day)))
    }

    fn raise_sequence(&self, floor: Seq) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(self.write(self.inner.raise_sequence(floor)))
    }

    fn state(&self) -> StoreState {
        self.inner.state()
    }

    fn backup<'a>(&'a self, to: &'a Path) -> BoxFuture<'a, Result<(), ReadError>> {
        self.inner.backup(to)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
