//! Repositories as the network reads them: who may be read, the newest commit, and the whole as a CAR file.

pub mod genesis;
mod open;
pub mod read;
pub mod record;
mod turns;
pub mod write;

use allod_atproto::{
    Cid, Did, Tid,
    car::Writer,
    repo::{self, CommitPlan, Step, Tree, TreeError},
};
use allod_store::{
    ReadError,
    tables::{
        accounts::{self, Account},
        records::{self, RecordSet},
        repos::{self, Head},
    },
};
use bytes::Bytes;

pub use open::{OpenError, OpenRepo, Repositories, open};
pub use turns::{Busy, Turn, turn};

use super::accounts::Status;
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
    /// The stored records do not make the stored head's tree; it is not shown.
    #[error("the records of {did} make the tree {found}, but its head says {expected}")]
    Damaged {
        /// Whose.
        did: Did,
        /// What the head says.
        expected: Cid,
        /// What the records make.
        found: Cid,
    },
    /// The stored records make no tree.
    #[error("the records of a repository make no tree: {0}")]
    Tree(#[from] TreeError),
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

/// Exports a whole repository: the commit first, then the tree in pre-order with each record behind its entry.
pub async fn export(app: &App, did: &Did, reader: &Reader) -> Result<Bytes, RepoError> {
    let head = readable_head(app, did, reader).await?;
    let records = records::blocks(&*app.db, head.record_set, "", i64::MAX).await?;
    let tree = Tree::from_sorted(records.iter().map(|record| (&record.path, record.cid)))?;
    let found = tree.root();
    if found != head.data {
        return Err(RepoError::Damaged { did: did.clone(), expected: head.data, found });
    }
    let mut blocks = records.iter();
    let mut car = Writer::new(&head.commit);
    car.block(&head.commit, &head.commit_block);
    for step in tree.walk() {
        match step {
            Step::Node { cid, block } => car.block(&cid, &block),
            Step::Entry { .. } => {
                if let Some(record) = blocks.next() {
                    car.block(&record.cid, &record.block);
                }
            }
        }
    }
    Ok(car.finish())
}

/// The head that a plan leaves, as it is stored.
fn stored_head(plan: &CommitPlan, record_set: RecordSet) -> Head {
    let repo::Head { commit, rev, data } = plan.head();
    Head { commit, rev, data, commit_block: plan.commit.bytes().clone(), record_set }
}

async fn account(app: &App, did: &Did) -> Result<Account, RepoError> {
    accounts::by_did(&*app.db, did).await?.ok_or_else(|| RepoError::NotFound(did.clone()))
}

async fn readable_head(app: &App, did: &Did, reader: &Reader) -> Result<Head, RepoError> {
    let account = account(app, did).await?;
    let privileged = match reader {
        Reader::Public => false,
        Reader::Account(own) => own == did,
        Reader::Admin => true,
    };
    match Status::of(&account) {
        Status::TakenDown if !privileged => return Err(RepoError::TakenDown(did.clone())),
        Status::Deactivated if !privileged => return Err(RepoError::Deactivated(did.clone())),
        Status::Active | Status::TakenDown | Status::Deactivated => {}
    }
    repos::head_of(&*app.db, did).await?.ok_or_else(|| RepoError::NotFound(did.clone()))
}
