//! Taking part in the network, and not: activation, deactivation, and how far a move has come.

use std::sync::Arc;

use allod_atproto::{
    Cid, Datetime, Tid,
    frame::{self, AccountStatus, EncodedFrame},
};
use allod_base::clock::{self, MICROS_PER_SEC};
use allod_store::{
    CommitError, ConflictKey, EventKind, NewEvent, ReadError, Txn,
    tables::{
        accounts::{self, Account},
        blobs, sign_up_queue,
    },
};

use crate::{
    app::App,
    domain::{
        account_status::Status,
        identity::published::{self, Misfit, PublishedError},
        repos::{self, AnnounceError, OpenError},
    },
};

/// How long a deactivated account is kept at the least, in seconds: for as long its identity can still be won back.
pub const DEACTIVATED_SECS_MIN: u64 = 72 * 60 * 60;

/// Why an account was not activated. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ActivateError {
    /// There is none, or it was taken down.
    #[error("user not found")]
    NotFound,
    /// Its DID does not say that it is here.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// It is not known what its DID says.
    #[error(transparent)]
    Published(#[from] PublishedError),
    /// It could not be announced.
    #[error(transparent)]
    Announce(AnnounceError),
}

impl From<AnnounceError> for ActivateError {
    fn from(error: AnnounceError) -> Self {
        match error {
            AnnounceError::NotFound(_)
            | AnnounceError::Commit(CommitError::Conflict(
                ConflictKey::AccountChanged | ConflictKey::AccountInactive | ConflictKey::AccountQueued,
            )) => Self::NotFound,
            error @ (AnnounceError::NoKey(_)
            | AnnounceError::Key(_)
            | AnnounceError::Busy(_)
            | AnnounceError::BrokenOff
            | AnnounceError::Read(_)
            | AnnounceError::Commit(_)) => Self::Announce(error),
        }
    }
}

/// Activates an account whose DID says that it is here, and tells the network; one that is active is told of again.
pub async fn activate(app: &Arc<App>, account: &Account) -> Result<(), ActivateError> {
    let misfits = published::misfits(app, account).await?;
    if let Some(misfit) = misfits.into_iter().find(|misfit| misfit.forbids_activity()) {
        return Err(misfit.into());
    }
    let did = account.did.clone();
    let activate = move |txn: &mut Txn| {
        sign_up_queue::assert_not_waiting(txn, &did);
        accounts::activate(txn, &did);
    };
    repos::announce(app, &account.did, activate).await?;
    Ok(())
}

/// Deactivates an account and tells the network, unless that has never heard of it. `delete_after` is when the account
/// is deleted; not sooner than [`DEACTIVATED_SECS_MIN`] from now.
pub async fn deactivate(app: &App, account: &Account, delete_after: Option<&Datetime>) -> Result<(), CommitError> {
    let now_micros = app.clock.now_micros();
    let earliest = clock::to_store(now_micros + DEACTIVATED_SECS_MIN * MICROS_PER_SEC);
    let delete_after = delete_after.map(|time| time.unix_micros().max(earliest));
    let mut txn = Txn::new();
    if account.was_activated {
        accounts::deactivate(&mut txn, &account.did, clock::to_store(now_micros), delete_after);
        txn.event(inactive_event(account, now_micros));
    } else {
        // It keeps its own deadline, by which it must have moved in.
        let delete_after = delete_after.or(account.delete_after);
        accounts::deactivate(&mut txn, &account.did, clock::to_store(now_micros), delete_after);
    }
    app.db.commit(txn).await.map(|_| ())
}

fn inactive_event(account: &Account, now_micros: u64) -> NewEvent {
    let status = match Status::of(account) {
        Status::TakenDown => AccountStatus::TakenDown,
        Status::Active | Status::Deactivated | Status::Queued => AccountStatus::Deactivated,
    };
    let time = Datetime::from_unix_micros(now_micros);
    let inactive = frame::Account { did: account.did.clone(), active: false, status: Some(status), time };
    let EncodedFrame { before, after } = frame::account(&inactive);
    let time_micros = clock::to_store(now_micros);
    NewEvent { did: account.did.to_string(), kind: EventKind::Account, time_micros, before, after }
}

/// How far an account has come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Whether its owner lets it take part.
    pub is_activated: bool,
    /// Whether its DID says that it is here; false also when it could not be asked.
    pub is_did_valid: bool,
    /// The newest commit.
    pub commit: Cid,
    /// Its revision.
    pub rev: Tid,
    /// How many blocks the repository has: records, nodes and the commit.
    pub blocks: u64,
    /// How many records it has.
    pub records: u64,
    /// How many blobs its records refer to.
    pub blobs_expected: i64,
    /// How many of these are stored.
    pub blobs_stored: i64,
}

/// Why an account's progress can't be told.
#[derive(Debug, thiserror::Error)]
pub enum ProgressError {
    /// Its repository can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Counts what an account has here.
pub async fn progress(app: &Arc<App>, account: &Account) -> Result<Progress, ProgressError> {
    let is_did_valid = match published::misfits(app, account).await {
        Ok(misfits) => !misfits.into_iter().any(Misfit::forbids_activity),
        Err(error) => {
            tracing::info!(did = %account.did, %error, "an account's DID could not be checked");
            false
        }
    };
    let size = repos::size(app, &account.did).await?;
    Ok(Progress {
        is_activated: account.deactivated_at.is_none(),
        is_did_valid,
        commit: size.commit,
        rev: size.rev,
        blocks: size.blocks,
        records: size.records,
        blobs_expected: blobs::referenced_count(&*app.db, &account.did).await?,
        blobs_stored: blobs::referenced_stored_count(&*app.db, &account.did).await?,
    })
}
