//! The storage seam: one narrow [`Database`] trait, SQL on both sides of it.
//!
//! Owns the schema, the migrations, every SQL text of the project and the engines.
//! Knows nothing of HTTP, accounts policy or the network. Every write is a
//! *non-interactive* transaction ([`Txn`]): assertions, statements and events are
//! handed over together, and engines group waiting transactions into one durable write.

mod conflict;
#[cfg(feature = "conformance")]
pub mod conformance;
mod database;
mod event;
pub mod fault;
pub mod migrations;
mod sql;
pub mod sqlite;
mod state;
pub mod tables;
mod txn;

pub use conflict::ConflictKey;
pub use database::{Database, Db};
pub use event::{Event, EventDay, EventKind, NewEvent, SEQ_MAX, Seq};
pub use sql::{DamageLog, FromValue, Row, Rows, SqlValue, Statement};
pub use state::{DAMAGES_MAX, Damage, StoreState};
pub use txn::{CommitError, Committed, DiskReserveUse, ReadError, Step, Touched, Txn};
