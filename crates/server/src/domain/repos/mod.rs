//! Repositories as the network reads them: who may be read, the newest commit, and the whole as a CAR file.

mod announce;
pub mod blobs;
pub mod export;
pub mod genesis;
pub mod import;
pub mod legacy;
pub mod list;
mod open;
pub mod read;
pub mod record;
pub mod retired;
mod size;
mod snapshot;
mod turns;
pub mod verify;
pub mod write;

use std::sync::Arc;

use allod_atproto::{
    Cid, Did, Tid,
    repo::{self, CommitPlan},
};
use allod_store::{
    ReadError,
    tables::{
        accounts::Account,
        records::RecordSet,
        repos::{self, Head},
    },
};

pub use announce::{AnnounceError, announce, resign};
pub use open::{OpenError, OpenRepo, Repositories, open};
pub use size::{Size, size};
pub use turns::{Busy, Turn, turn};

use super::{account_status::Status, shares::Crowded};
use crate::app::App;

/// Who asks to read a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reader {
    /// Anybody.
    Public,
    /// Somebody signed in, who may read their own repository whatever its status.
    Account(Did),
    /// The operator.
    Admin,
}

impl Reader {
    /// The account that is signed in.
    pub fn account(&self) -> Option<&Did> {
        match self {
            Self::Account(did) => Some(did),
            Self::Public | Self::Admin => None,
        }
    }
}

/// Why a repository is not shown.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// There is none.
    #[error("Could not find repo for DID: {0}")]
    NotFound(Did),
    /// Its account was taken down.
    #[error("Repo has been takendown: {0}")]
    TakenDown(Did),
    /// Its account is deactivated.
    #[error("Repo has been deactivated: {0}")]
    Deactivated(Did),
    /// It can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A record of the tree is not stored.
    #[error("the record at://{did}/{path} is missing; see `allod repo verify`")]
    RecordMissing {
        /// Whose.
        did: Did,
        /// Which.
        path: String,
    },
    /// The stored bytes of a record are not those of its CID.
    #[error("the record at://{did}/{path} is damaged; see `allod repo verify`")]
    RecordDamaged {
        /// Whose.
        did: Did,
        /// Which.
        path: String,
    },
    /// It changed in more places than could be remembered while it was read, or another has taken its place.
    #[error("The repo has changed too much while it was read: {0}; try again")]
    Overtaken(Did),
    /// As many exports as allowed are under way: in all, or of the caller's.
    #[error("Too many repos are being read at the moment; try again")]
    TooManyReaders(Crowded),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What an account's repository says of itself.
pub struct RepoStatus {
    /// The account's status.
    pub status: Status,
    /// The newest revision of an active account.
    pub rev: Option<Tid>,
}

/// Tells a repository's status to anybody.
pub async fn status(app: &App, did: &Did) -> Result<RepoStatus, RepoError> {
    let account = account(app, did).await?;
    let status = Status::of(&account);
    let head = if status.is_active() { repos::head_of(&*app.db, did).await? } else { None };
    Ok(RepoStatus { status, rev: head.map(|head| head.rev) })
}

/// Reads the newest commit's CID and revision.
pub async fn latest_commit(app: &App, did: &Did, reader: &Reader) -> Result<(Cid, Tid), RepoError> {
    let head = readable_head(app, did, reader).await?;
    Ok((head.commit, head.rev))
}

/// The head that a plan leaves, as it is stored.
fn stored_head(plan: &CommitPlan, record_set: RecordSet) -> Head {
    let repo::Head { commit, rev, data } = plan.head();
    Head { commit, rev, data, commit_block: plan.commit.bytes().clone(), record_set }
}

async fn account(app: &App, did: &Did) -> Result<Arc<Account>, RepoError> {
    app.remembered.account(&*app.db, did).await?.ok_or_else(|| RepoError::NotFound(did.clone()))
}

/// Checks that a reader may see a repository.
pub async fn readable(app: &App, did: &Did, reader: &Reader) -> Result<(), RepoError> {
    let account = account(app, did).await?;
    let privileged = match reader {
        Reader::Public => false,
        Reader::Account(own) => own == did,
        Reader::Admin => true,
    };
    match Status::of(&account) {
        Status::TakenDown if !privileged => Err(RepoError::TakenDown(did.clone())),
        Status::Deactivated | Status::Queued if !privileged => Err(RepoError::Deactivated(did.clone())),
        Status::Active | Status::TakenDown | Status::Deactivated | Status::Queued => Ok(()),
    }
}

/// Reads the newest commit of a repository that a reader may see.
pub async fn readable_head(app: &App, did: &Did, reader: &Reader) -> Result<Head, RepoError> {
    readable(app, did, reader).await?;
    let head = repos::head_of(&*app.db, did).await?.ok_or_else(|| RepoError::NotFound(did.clone()))?;
    open::check_head(app, did, &head)?;
    Ok(head)
}
