//! Frames of the firehose, `com.atproto.sync.subscribeRepos`: a header and a body, both DAG-CBOR.
//!
//! A frame is encoded once, before its sequence number is known. The number's encoding varies in
//! length, so an [`EncodedFrame`] is the bytes on either side of it.
//!
//! Spec: <https://atproto.com/specs/event-stream>

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use self::decode::{Frame, FrameError, decode};
pub use self::encode::{EncodedFrame, account, commit, error, identity, info, sync};
use crate::repo::RepoOp;
use crate::{Cid, Datetime, Did, Handle, Tid};

/// The longest frame, in bytes.
pub const FRAME_BYTES_MAX: usize = 5_000_000;

/// A message of the firehose, without its sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// `#commit`
    Commit(Commit),
    /// `#sync`
    Sync(Sync),
    /// `#identity`
    Identity(Identity),
    /// `#account`
    Account(Account),
    /// `#info`
    Info(Info),
    /// An error, after which the stream ends.
    Error(Error),
    /// A message of a type that this version does not know.
    Other {
        /// The type, such as `#labels`.
        kind: String,
    },
}

/// A repository changed. The deprecated fields that the lexicon still requires are written as it
/// says and not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The account.
    pub repo: Did,
    /// The commit.
    pub commit: Cid,
    /// Its revision.
    pub rev: Tid,
    /// The revision before; none for a repository's first commit.
    pub since: Option<Tid>,
    /// A CAR of the commit, the new records and the nodes needed to check them.
    pub blocks: Bytes,
    /// What was done to records.
    pub ops: Vec<RepoOp>,
    /// The tree before; none for a repository's first commit, and in messages of the first version
    /// of the protocol.
    pub prev_data: Option<Cid>,
    /// When the message was made.
    pub time: Datetime,
}

/// A repository is now this, whatever it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// The account.
    pub did: Did,
    /// The commit's revision.
    pub rev: Tid,
    /// A CAR of the commit alone.
    pub blocks: Bytes,
    /// When the message was made.
    pub time: Datetime,
}

/// Something about an account's identity may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub did: Did,
    /// The handle, if the sender tells it.
    pub handle: Option<Handle>,
    /// When the message was made.
    pub time: Datetime,
}

/// An account's state on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account.
    pub did: Did,
    /// Whether the host serves the account's content.
    pub active: bool,
    /// Why not, or what else is to be known.
    pub status: Option<AccountStatus>,
    /// When the message was made.
    pub time: Datetime,
}

/// Why an account is as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountStatus {
    /// Taken down by the host.
    TakenDown,
    /// Suspended by the host for a time.
    Suspended,
    /// Deleted.
    Deleted,
    /// Deactivated by its owner.
    Deactivated,
    /// The host has lost touch with the repository.
    Desynchronized,
    /// The host takes events slowly.
    Throttled,
}

impl AccountStatus {
    const ALL: [Self; 6] =
        [Self::TakenDown, Self::Suspended, Self::Deleted, Self::Deactivated, Self::Desynchronized, Self::Throttled];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::TakenDown => "takendown",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
            Self::Deactivated => "deactivated",
            Self::Desynchronized => "desynchronized",
            Self::Throttled => "throttled",
        }
    }

    /// Reads the name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// Something about the stream itself; has no sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Such as `OutdatedCursor`.
    pub name: String,
    /// Text for people.
    pub message: Option<String>,
}

/// Why the stream ends; has no sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Such as `FutureCursor` or `ConsumerTooSlow`.
    pub error: String,
    /// Text for people.
    pub message: Option<String>,
}
