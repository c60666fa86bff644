//! A write: what must hold, what to change, what to tell, handed over as one.

use crate::{ConflictKey, NewEvent, Seq, Statement};

/// One step of a transaction, carried out in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Runs the statement; how many rows it touches is not looked at. A constraint violation is a bug: the commit fails.
    Run(Statement),
    /// Runs the statement, which must touch exactly `rows` rows and violate no constraint;
    /// otherwise the whole transaction is refused with [`CommitError::Conflict`] of `key`.
    Expect {
        /// What it conflicts with otherwise.
        key: ConflictKey,
        /// How many rows must be touched.
        rows: u64,
        /// What to run.
        statement: Statement,
    },
    /// The query must give no row; otherwise the transaction is refused with [`CommitError::Conflict`] of `key`.
    Absent {
        /// What it conflicts with otherwise.
        key: ConflictKey,
        /// What must find nothing.
        query: Statement,
    },
}

/// What a transaction changes that its reader may remember from before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// The account of this DID.
    Account(String),
    /// The sign-in of this family.
    Session(String),
    /// What waits to be mailed.
    Outbox,
}

/// A non-interactive transaction: atomic, durable, conditional.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a transaction does nothing until it is committed"]
pub struct Txn {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The events, appended in order behind the steps and numbered in one run.
    pub events: Vec<NewEvent>,
    /// What must not be remembered once it is durable. Engines don't look at it.
    pub touched: Vec<Touched>,
    /// How far it may use the disk space that is kept back.
    pub disk_reserve_use: DiskReserveUse,
}

/// How far a transaction may use the disk space that engines may keep back for when the disk is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskReserveUse {
    /// Not at all.
    #[default]
    None,
    /// A bounded number of such transactions until there is room again.
    Some,
    /// Always.
    All,
}

impl Txn {
    /// Starts an empty transaction.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a statement whose row count does not matter.
    pub fn run(&mut self, statement: Statement) {
        self.steps.push(Step::Run(statement));
    }

    /// Adds a statement that must touch exactly `rows` rows and violate no constraint.
    pub fn expect(&mut self, key: ConflictKey, rows: u64, statement: Statement) {
        self.steps.push(Step::Expect { key, rows, statement });
    }

    /// Adds a query that must find nothing.
    pub fn absent(&mut self, key: ConflictKey, query: Statement) {
        self.steps.push(Step::Absent { key, query });
    }

    /// Says that it changes something which may be remembered.
    pub fn touch(&mut self, touched: Touched) {
        self.touched.push(touched);
    }

    /// Adds everything of another transaction behind what is there.
    pub fn append(&mut self, other: Self) {
        self.steps.extend(other.steps);
        self.events.extend(other.events);
        self.touched.extend(other.touched);
        self.disk_reserve_use = self.disk_reserve_use.max(other.disk_reserve_use);
    }

    /// Says that it must be written also when the disk is full: it ends somebody's access, hides something, or frees
    /// space. Engines may keep space back for such writes.
    pub fn use_disk_reserve(&mut self) {
        self.disk_reserve_use = DiskReserveUse::All;
    }

    /// Says that it is small, and needed by whoever wants to free space or end an access when the disk is full: a
    /// sign-in, a mailed code. A bounded number of such writes is taken until there is room again.
    pub fn use_some_disk_reserve(&mut self) {
        self.disk_reserve_use = self.disk_reserve_use.max(DiskReserveUse::Some);
    }

    /// Adds an event.
    pub fn event(&mut self, event: NewEvent) {
        self.events.push(event);
    }
}

/// What a durable transaction left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The number of the transaction's first event, when it had any; the others follow without a gap.
    pub first_seq: Option<Seq>,
}

/// Why a commit did not succeed, and what that means for the data.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// An assertion failed. Nothing was applied.
    #[error("assertion {0} failed")]
    Conflict(ConflictKey),
    /// The engine could not take the write (closed, poisoned, full queue, full disk). Nothing was applied.
    #[error("the store does not accept writes: {reason}")]
    Unavailable {
        /// For the log.
        reason: String,
    },
    /// The engine failed between writing and answering. The write may have been applied: read before deciding.
    #[error("the outcome of the write is unknown: {reason}")]
    Unknown {
        /// For the log.
        reason: String,
    },
    /// The transaction itself is wrong (bad SQL, a constraint outside an assertion). Nothing was applied; a bug of ours.
    #[error("the engine rejected the write: {reason}")]
    Refused {
        /// For the log.
        reason: String,
    },
}

/// Why a read did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The engine could not answer (closed, I/O error).
    #[error("the store can't be read: {reason}")]
    Unavailable {
        /// For the log.
        reason: String,
    },
    /// What is asked for is damaged. It is logged, and listed in the engine's state.
    #[error("the store is damaged: {reason}")]
    Damaged {
        /// For the log.
        reason: String,
    },
    /// The query is wrong; a bug of ours.
    #[error("the engine rejected the query: {reason}")]
    Refused {
        /// For the log.
        reason: String,
    },
    /// A column is missing or has another type than the code expects.
    #[error("column {index} is missing or of another type")]
    Column {
        /// Counted from 0.
        index: usize,
    },
    /// A stored value does not parse as what the schema says it is.
    #[error("invalid stored {what}")]
    Corrupt {
        /// What was read.
        what: &'static str,
    },
}
