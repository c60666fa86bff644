//! The event log: what the firehose serves, numbered in commit order.

use bytes::Bytes;

/// A sequence number of the event log: positive, increasing in commit order, below 2^53, never given twice.
pub type Seq = i64;

/// What an event tells, with the names of the firehose's message types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// `#commit`
    Commit,
    /// `#sync`
    Sync,
    /// `#identity`
    Identity,
    /// `#account`
    Account,
}

impl EventKind {
    /// The column's value.
    pub fn code(self) -> i64 {
        match self {
            Self::Commit => 1,
            Self::Sync => 2,
            Self::Identity => 3,
            Self::Account => 4,
        }
    }

    /// Reads the column's value back.
    pub fn from_code(code: i64) -> Option<Self> {
        [Self::Commit, Self::Sync, Self::Identity, Self::Account].into_iter().find(|kind| kind.code() == code)
    }
}

/// An event to be appended; the engine gives it its number when the transaction commits.
///
/// The whole frame is `before ++ cbor(seq) ++ after`: the number's CBOR encoding varies in length,
/// so the encoded frame is kept as the bytes around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The account the event is about.
    pub did: String,
    /// Which message it is.
    pub kind: EventKind,
    /// When it was made, in microseconds since the Unix epoch; decides its day's table.
    pub time_micros: i64,
    /// The frame's bytes up to where the sequence number goes.
    pub before: Bytes,
    /// The frame's bytes behind the sequence number.
    pub after: Bytes,
}

/// A durable, numbered event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The number.
    pub seq: Seq,
    /// The account the event is about.
    pub did: String,
    /// Which message it is.
    pub kind: EventKind,
    /// When it was made, in microseconds since the Unix epoch.
    pub time_micros: i64,
    /// The frame's bytes up to the sequence number.
    pub before: Bytes,
    /// The frame's bytes behind the sequence number.
    pub after: Bytes,
}
