//! The seam itself.

use std::{path::Path, sync::Arc};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::{CommitError, Committed, Event, EventDay, ReadError, Rows, Seq, Statement, StoreState, Txn};

/// A database as the domain sees it.
///
/// Object-safe, so that the binary chooses the engine and tests wrap it with faults.
/// Every future may be dropped at any moment: work that was handed over is finished all the same.
pub trait Database: Send + Sync + 'static {
    /// Runs a query on a reader connection; sees every transaction acknowledged before the call.
    ///
    /// # Errors
    /// [`ReadError`]; a read changes nothing, so it may be repeated.
    fn read(&self, query: Statement) -> BoxFuture<'_, Result<Rows, ReadError>>;

    /// Applies a transaction, all of it or nothing; durable when it answers `Ok`.
    ///
    /// Transactions take effect one after another. A reader sees one as soon as it is durable,
    /// which may be a moment before its caller has the answer.
    ///
    /// # Errors
    /// What each means for the data:
    ///
    /// | error | the data | what to do |
    /// |---|---|---|
    /// | [`Conflict`](CommitError::Conflict) | nothing applied; the assertion was false of durable data | answer the caller, or read again and plan anew |
    /// | [`Unavailable`](CommitError::Unavailable) | nothing applied, now or later | answer 503; the same transaction may be tried again |
    /// | [`Unknown`](CommitError::Unknown) | all or nothing applied, and only a read after the engine is opened again tells which | never repeat blindly, never undo; leave it to a reconciler |
    /// | [`Refused`](CommitError::Refused) | nothing applied | a bug of ours: log it |
    ///
    /// After `Unknown` the engine takes no further writes (each is `Unavailable`) until it is opened again,
    /// because what is on disk can no longer be trusted to be what was written.
    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<Committed, CommitError>>;

    /// Reads events with a number above `after`, in order, none missing between the first and the last.
    ///
    /// Gives at most `limit`, and fewer when they are large; an empty answer means there is none.
    fn events(&self, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, ReadError>>;

    /// Tells the newest number given (0 when there was none) and wakes on every new one.
    ///
    /// An event is durable and readable before its number is told here.
    fn watch(&self) -> watch::Receiver<Seq>;

    /// Removes the events of all days before `day`, oldest first and in portions, so that writes go on meanwhile.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); what was removed before the failure stays removed, and repeating it is safe.
    fn drop_events_before(&self, day: EventDay) -> BoxFuture<'_, Result<(), CommitError>>;

    /// Makes every later event's number larger than `floor`; does nothing when that is so already.
    ///
    /// For restores: numbers given after the backup was taken may have been seen and must not come again.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    fn raise_sequence(&self, floor: Seq) -> BoxFuture<'_, Result<(), CommitError>>;

    /// Tells whether writes are taken, and what damage was found.
    fn state(&self) -> StoreState;

    /// Copies a consistent snapshot to a new file while writes go on; the file is durable when it answers `Ok`.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] also when `to` exists or can't be written; then no file is left at `to`.
    fn backup<'a>(&'a self, to: &'a Path) -> BoxFuture<'a, Result<(), ReadError>>;

    /// Takes no further reads and writes, finishes the waiting ones and closes the files.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// A shared handle to whichever engine was chosen.
pub type Db = Arc<dyn Database>;
