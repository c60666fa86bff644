//! The seam itself.

use std::{path::Path, sync::Arc};

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::{CommitError, Committed, Event, ReadError, Rows, Seq, Statement, Txn};

/// A database as the domain sees it.
///
/// Object-safe, so that the binary chooses the engine and tests wrap it with faults.
pub trait Database: Send + Sync + 'static {
    /// Runs a query on a reader connection; sees every transaction acknowledged before the call.
    fn read(&self, query: Statement) -> BoxFuture<'_, Result<Rows, ReadError>>;

    /// Applies a transaction; durable when it answers `Ok`.
    ///
    /// What each failure means for the data is said at [`CommitError`].
    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<Committed, CommitError>>;

    /// Reads up to `limit` events with a number above `after`, in order, none missing.
    fn events(&self, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, ReadError>>;

    /// Tells the newest durable event's number (0 when there is none) and wakes on every new one.
    fn watch(&self) -> watch::Receiver<Seq>;

    /// Copies a consistent snapshot to a new file while writes go on.
    fn backup<'a>(&'a self, to: &'a Path) -> BoxFuture<'a, Result<(), ReadError>>;

    /// Takes no further writes, finishes the waiting ones and closes the files.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// A shared handle to whichever engine was chosen.
pub type Db = Arc<dyn Database>;
