//! Writing records: what can be asked of a repository, and how it is answered.
//!
//! Every write of records goes through [`apply_writes`]. It waits for the repository's turn ([`super::turns`]); there
//! [`group`] decides, plans and commits, several waiting requests in one commit where they do not touch each other.

mod decide;
pub(super) mod group;

use std::sync::Arc;

use allod_atproto::{
    AtIdentifier, Cid, Did, Tid,
    repo::{BLOCKS_BYTES_MAX, OPS_MAX, PlanError, RecordPath, TreeError},
};
use allod_store::{
    CommitError, ReadError,
    tables::accounts::{self, Account},
};
use tokio::sync::oneshot;

use super::{
    open::OpenError,
    record::Prepared,
    turns::{self, Job},
};
use crate::{
    app::App,
    domain::{account_status::Status, blobs::references::ReferenceError},
};

/// What is asked of a repository: all of it or nothing.
#[derive(Debug)]
pub struct Request {
    /// The writes, in order; several to one record count together as one.
    pub writes: Vec<RecordWrite>,
    /// The commit that must be the newest one.
    pub swap_commit: Option<Cid>,
    /// Whether a request that changes nothing makes a commit all the same.
    pub commits_always: bool,
}

/// What is asked of one record.
#[derive(Debug)]
pub struct RecordWrite {
    /// Which record.
    pub path: RecordPath,
    /// What happens to it.
    pub action: Action,
}

/// What must be at a record's path before a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// Anything or nothing.
    Any,
    /// This record, or nothing.
    Is(Option<Cid>),
}

/// What happens to a record.
#[derive(Debug)]
pub enum Action {
    /// It comes to be; there must be none.
    Create {
        /// The record.
        record: Prepared,
        /// Whether older records of its kind about the same subject go.
        replaces_same_subject: bool,
    },
    /// It is replaced; there must be one.
    Update {
        /// The record.
        record: Prepared,
    },
    /// It is there afterwards, whatever was there before.
    Put {
        /// The record.
        record: Prepared,
        /// What must be there before.
        swap: Swap,
    },
    /// It goes.
    Delete {
        /// What must be there before.
        swap: Swap,
        /// Whether there may be none.
        may_be_missing: bool,
    },
}

/// The commit that a request ended in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitMade {
    /// The commit.
    pub cid: Cid,
    /// Its revision.
    pub rev: Tid,
}

/// Why nothing was written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    /// The newest commit is another one.
    #[error("Commit was at {found}")]
    SwapCommit {
        /// The newest commit.
        found: Cid,
    },
    /// The record is another one.
    #[error("Record was at {}", found.map_or_else(|| "null".to_owned(), |cid| cid.to_string()))]
    SwapRecord {
        /// The record that is there.
        found: Option<Cid>,
    },
    /// A record to be created is there already.
    #[error("There is a record at {0} already")]
    RecordExists(RecordPath),
    /// A record to be updated or deleted is not there.
    #[error("There is no record at {0}")]
    NoSuchRecord(RecordPath),
    /// There are more writes than one commit may have.
    #[error("Too many writes. Max: {OPS_MAX}")]
    TooManyWrites,
    /// The writes together are larger than one commit may be.
    #[error("Too many writes. Max event size: {}MB", BLOCKS_BYTES_MAX / 1_000_000)]
    TooLarge,
    /// The tree refuses a key.
    #[error("The record keys can't be taken: {0}")]
    Tree(TreeError),
    /// A record refers to a blob that is not there, or not as it says.
    #[error(transparent)]
    Blobs(#[from] ReferenceError),
    /// A blob that a record refers to was collected meanwhile.
    #[error("Could not find blob: it was not referred to for too long; upload it again")]
    BlobGone,
    /// The account was deactivated or taken down meanwhile.
    #[error("Account is deactivated")]
    Inactive,
    /// Too many writes wait for the repository.
    #[error("Too many writes to this repository are waiting; try again")]
    Busy,
    /// The repository can't be opened.
    #[error(transparent)]
    Open(OpenError),
    /// The commit does not pass its own check: a bug of ours. Nothing was written.
    #[error("the commit could not be made: {0}")]
    Plan(PlanError),
    /// The stored records are not what the tree says. Nothing was written.
    #[error("the stored records of {0} are not what its tree says")]
    Damaged(Did),
    /// The store could not be read.
    #[error(transparent)]
    Read(Arc<ReadError>),
    /// The commit could not be stored.
    #[error(transparent)]
    Commit(Arc<CommitError>),
}

impl From<ReadError> for WriteError {
    fn from(error: ReadError) -> Self {
        Self::Read(Arc::new(error))
    }
}

impl From<OpenError> for WriteError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Busy(_) => Self::Busy,
            OpenError::NotFound(_)
            | OpenError::Damaged { .. }
            | OpenError::Tree(..)
            | OpenError::Commit(_)
            | OpenError::NoKey(_)
            | OpenError::Key(_)
            | OpenError::Read(_) => Self::Open(error),
        }
    }
}

impl From<PlanError> for WriteError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::TooManyOps { .. } => Self::TooManyWrites,
            PlanError::BlocksTooLarge { .. } | PlanError::RecordTooLarge { .. } => Self::TooLarge,
            PlanError::Tree(error) => Self::Tree(error),
            // What these say was decided before the plan.
            PlanError::DuplicatePath { .. }
            | PlanError::RecordExists { .. }
            | PlanError::NoSuchRecord { .. }
            | PlanError::RevNotAscending { .. }
            | PlanError::TreeMismatch { .. }
            | PlanError::SelfCheck(_) => Self::Plan(error),
        }
    }
}

/// Why somebody may not write to a repository.
#[derive(Debug, thiserror::Error)]
pub enum NotAllowed {
    /// There is no such account.
    #[error("Account not found")]
    NoAccount,
    /// It is somebody else's.
    #[error("Authentication Required")]
    NotTheirs,
    /// The account was taken down.
    #[error("Account has been taken down")]
    TakenDown,
    /// The account is deactivated.
    #[error("Account is deactivated")]
    Deactivated,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Checks that `caller` may write to the repository it names.
pub async fn authorise(app: &App, caller: &Account, repo: &AtIdentifier) -> Result<(), NotAllowed> {
    let is_own = match repo {
        AtIdentifier::Did(did) => *did == caller.did,
        AtIdentifier::Handle(handle) => *handle == caller.handle,
    };
    if !is_own {
        let account = match repo {
            AtIdentifier::Did(did) => accounts::by_did(&*app.db, did).await?,
            AtIdentifier::Handle(handle) => accounts::by_handle(&*app.db, handle).await?,
        };
        return Err(if account.is_some() { NotAllowed::NotTheirs } else { NotAllowed::NoAccount });
    }
    match Status::of(caller) {
        Status::Active => Ok(()),
        Status::TakenDown => Err(NotAllowed::TakenDown),
        Status::Deactivated | Status::Queued => Err(NotAllowed::Deactivated),
    }
}

/// What a request is answered with: the commit it ended in, none when it changed nothing.
pub type Outcome = Result<Option<CommitMade>, WriteError>;

/// A request that waits for its repository's turn.
pub(super) struct WriteJob {
    request: Request,
    reply: oneshot::Sender<Outcome>,
}

/// Writes records; durable when it returns. The caller has made sure that the account may write.
///
/// The write is carried out even if the caller goes away.
pub async fn apply_writes(app: &Arc<App>, did: &Did, request: Request) -> Outcome {
    if request.writes.len() > OPS_MAX {
        return Err(WriteError::TooManyWrites);
    }
    let (reply, answer) = oneshot::channel();
    turns::submit(app, did, Job::Write(WriteJob { request, reply }))?;
    answer.await.unwrap_or(Err(WriteError::Busy))
}
