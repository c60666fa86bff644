//! Telling the network of a repository that was not part of it: of an account that is activated.

use std::sync::Arc;

use allod_atproto::{
    Datetime, Did,
    crypto::SigningKey,
    frame::{self, EncodedFrame},
    repo::{Commit, SignedCommit},
};
use allod_base::clock;
use allod_store::{
    CommitError, EventKind, NewEvent, ReadError, Txn,
    tables::{
        accounts,
        repos::{self, Head},
        signing_keys,
    },
};

use super::turns::{self, Busy};
use crate::{
    app::App,
    domain::{
        account_status::Status,
        keys::{Purpose, UnwrapError},
    },
};

/// Why nothing was announced. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// There is no such account, or it has no repository.
    #[error("Could not find repo for DID: {0}")]
    NotFound(Did),
    /// The account has no signing key.
    #[error("{0} has no signing key")]
    NoKey(Did),
    /// The signing key can't be unwrapped.
    #[error(transparent)]
    Key(#[from] UnwrapError),
    /// Too much waits for the repository.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The commit was broken off: the server is stopping.
    #[error("the commit was broken off")]
    BrokenOff,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The commit could not be stored, or what `activate` asserts is not so.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Carries out what `activate` adds, and in the same transaction gives the repository a fresh commit and tells the
/// network: account, identity, sync, in this order.
///
/// The commit changes no record. It is ours by its key and later than all that other hosts have told, so that whoever
/// knew the repository from elsewhere takes it as the newest.
pub async fn announce(
    app: &Arc<App>,
    did: &Did,
    activate: impl FnOnce(&mut Txn) + Send + 'static,
) -> Result<SignedCommit, AnnounceError> {
    spawned(app, did, None, activate).await
}

/// Carries out what `change` adds, which puts `key` in the place of the account's signing key, and in the same
/// transaction gives the repository a commit signed by it. Tells the network of an active account: identity, sync.
pub async fn resign(
    app: &Arc<App>,
    did: &Did,
    key: SigningKey,
    change: impl FnOnce(&mut Txn) + Send + 'static,
) -> Result<SignedCommit, AnnounceError> {
    spawned(app, did, Some(key), change).await
}

async fn spawned(
    app: &Arc<App>,
    did: &Did,
    new_key: Option<SigningKey>,
    change: impl FnOnce(&mut Txn) + Send + 'static,
) -> Result<SignedCommit, AnnounceError> {
    let turn = turns::turn(app, did).await?;
    let (app, did) = (Arc::clone(app), did.clone());
    // A task of its own, so that the turn lasts until it is known what became of the transaction.
    let announced = tokio::spawn(async move {
        let outcome = in_turn(&app, &did, new_key, change).await;
        drop(turn);
        outcome
    });
    announced.await.map_err(|_| AnnounceError::BrokenOff)?
}

async fn in_turn(
    app: &App,
    did: &Did,
    new_key: Option<SigningKey>,
    change: impl FnOnce(&mut Txn),
) -> Result<SignedCommit, AnnounceError> {
    let not_found = || AnnounceError::NotFound(did.clone());
    let account = accounts::by_did(&*app.db, did).await?.ok_or_else(not_found)?;
    let before = repos::head_of(&*app.db, did).await?.ok_or_else(not_found)?;
    super::open::check_head(app, did, &before).map_err(|_| ReadError::Corrupt { what: "head of a repository" })?;
    let is_activation = new_key.is_none();
    let is_told = is_activation || Status::of(&account).is_active();
    let key = if let Some(key) = new_key {
        key
    } else {
        let key = signing_keys::by_did(&*app.db, did).await?.ok_or_else(|| AnnounceError::NoKey(did.clone()))?;
        app.keyring.unwrap(&key.wrapped, Purpose::Signing(did))?
    };
    let now_micros = app.clock.now_micros();
    let rev = app.repos.next_rev(&before.rev, now_micros);
    let commit = Commit { did: did.clone(), rev, data: before.data, prev: None }.sign(&key);
    let head = Head { commit: commit.cid(), rev, commit_block: commit.bytes().clone(), ..before.clone() };

    let mut txn = Txn::new();
    change(&mut txn);
    if is_told {
        accounts::assert_active(&mut txn, did);
    } else {
        accounts::assert_inactive(&mut txn, did);
    }
    repos::advance(&mut txn, did, &before.commit, &head);
    let time = Datetime::from_unix_micros(now_micros);
    let active = frame::Account { did: did.clone(), active: true, status: None, time: time.clone() };
    let identity = frame::Identity { did: did.clone(), handle: Some(account.handle), time: time.clone() };
    for (kind, EncodedFrame { before, after }) in [
        (EventKind::Account, frame::account(&active)),
        (EventKind::Identity, frame::identity(&identity)),
        (EventKind::Sync, frame::sync(&commit.sync_message(&time))),
    ] {
        if !is_told || (kind == EventKind::Account && !is_activation) {
            continue;
        }
        let time_micros = clock::to_store(now_micros);
        txn.event(NewEvent { did: did.to_string(), kind, time_micros, before, after });
    }
    app.repos.forget(did);
    app.db.commit(txn).await?;
    Ok(commit)
}
