//! What is written to a repository and what a commit says was written.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Cid, Nsid, RecordKey, SyntaxError};

/// Where a record is in its repository: `collection/rkey`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordPath(Arc<str>);

impl RecordPath {
    /// The path of a record.
    pub fn new(collection: &Nsid, rkey: &RecordKey) -> Self {
        Self(format!("{}/{}", collection.as_str(), rkey.as_str()).into())
    }

    /// Parses `collection/rkey`.
    pub fn parse(path: &str) -> Result<Self, SyntaxError> {
        let (collection, rkey) =
            path.split_once('/').ok_or(SyntaxError { what: "record path", reason: "needs a collection and a key" })?;
        Nsid::parse(collection)?;
        RecordKey::parse(rkey)?;
        Ok(Self(path.into()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The collection's NSID.
    pub fn collection(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(collection, _)| collection)
    }

    /// The record key.
    pub fn rkey(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, rkey)| rkey)
    }
}

impl fmt::Display for RecordPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A change of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which record.
    pub path: RecordPath,
    /// What happens to it.
    pub change: Change,
}

/// What happens to a record. Records are DAG-CBOR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It comes to be; there must be none.
    Create(Bytes),
    /// It is replaced; there must be one.
    Update(Bytes),
    /// It goes; there must be one.
    Delete,
}

/// What a commit did to one record, as the firehose tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoOp {
    /// Which record.
    pub path: RecordPath,
    /// What was done.
    pub action: OpAction,
}

/// What was done to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpAction {
    /// It is new.
    Create {
        /// The record.
        cid: Cid,
    },
    /// It was replaced.
    Update {
        /// The record.
        cid: Cid,
        /// The record before. Commits of the first version of the protocol do not tell.
        prev: Option<Cid>,
    },
    /// It is gone.
    Delete {
        /// The record before. Commits of the first version of the protocol do not tell.
        prev: Option<Cid>,
    },
}

impl OpAction {
    /// The name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Delete { .. } => "delete",
        }
    }

    /// The record that is there now.
    pub fn cid(&self) -> Option<Cid> {
        match self {
            Self::Create { cid } | Self::Update { cid, .. } => Some(*cid),
            Self::Delete { .. } => None,
        }
    }

    /// The record that was there before.
    pub fn prev(&self) -> Option<Cid> {
        match self {
            Self::Create { .. } => None,
            Self::Update { prev, .. } | Self::Delete { prev } => *prev,
        }
    }
}
