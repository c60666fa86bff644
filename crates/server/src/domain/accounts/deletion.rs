//! The end of an account: by its owner, by the operator, or because its time is over.
//!
//! One transaction takes everything away and tells the network. What is large, records and blobs, only loses its owner
//! in it, and is deleted in portions later.

use std::{net::IpAddr, sync::Arc};

use allod_atproto::{
    Datetime, Did,
    frame::{self, AccountStatus, EncodedFrame},
};
use allod_base::{
    clock::{self, MICROS_PER_SEC},
    secret::Secret,
};
use allod_store::{
    CommitError, EventKind, NewEvent, ReadError, Txn,
    tables::{
        accounts::{self, Account},
        invites, phones, sessions, sign_up_queue,
    },
};

use crate::{
    app::App,
    domain::{
        account_status::was_ever_active,
        email_codes::{CodeError, Purpose},
        passwords::{HashError, Requester, VERIFIED_PASSWORD_CHARS_MAX},
        repos,
        sessions::Session,
    },
};

/// How many due accounts one pass removes.
const REMOVALS_PER_PASS_MAX: i64 = 100;

/// How fresh a sign-in must be that deletes its account without a code, in seconds.
pub const FRESH_SIGN_IN_SECS: u64 = 10 * 60;

/// Why an account was not deleted. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// There is no such account.
    #[error("account not found")]
    NotFound,
    /// The sign-in is older than [`FRESH_SIGN_IN_SECS`].
    #[error("Sign in again to delete the account")]
    SignInTooOld,
    /// The account is just being let in.
    #[error("The account is being let in; try again")]
    BeingLetIn,
    /// The password is not the account's.
    #[error("Invalid did or password")]
    Credentials,
    /// The password is longer than any that could be stored.
    #[error("Password too long. Consider resetting your password.")]
    PasswordTooLong,
    /// The code is not good.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// Too many passwords are waiting to be checked.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// Too much waits for the repository.
    #[error(transparent)]
    Busy(#[from] repos::Busy),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The deletion could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Deletes an account for good.
pub async fn delete(app: &Arc<App>, did: &Did) -> Result<(), DeleteError> {
    delete_with(app, did, Txn::new()).await
}

/// Deletes an account for good, together with what `permission` asserts and uses up. A conflict in there is the
/// caller's to name.
pub async fn delete_with(app: &Arc<App>, did: &Did, permission: Txn) -> Result<(), DeleteError> {
    let account = accounts::by_did(&*app.db, did).await?.ok_or(DeleteError::NotFound)?;
    match remove(app, &account, None, permission).await {
        Err(DeleteError::Commit(CommitError::Conflict { which: accounts::ACCOUNT_CHANGED })) => {
            Err(DeleteError::NotFound)
        }
        Err(DeleteError::Commit(CommitError::Conflict { which: sign_up_queue::BEING_LET_IN })) => {
            Err(DeleteError::BeingLetIn)
        }
        outcome => outcome,
    }
}

/// Deletes an account by its password and a mailed code, for a client at `address`.
pub async fn delete_by_owner(
    app: &Arc<App>,
    did: &Did,
    password: Secret<String>,
    code: &str,
    address: IpAddr,
) -> Result<(), DeleteError> {
    if password.expose().chars().count() > VERIFIED_PASSWORD_CHARS_MAX {
        return Err(DeleteError::PasswordTooLong);
    }
    let account = accounts::by_did(&*app.db, did).await?.ok_or(DeleteError::NotFound)?;
    let by = Requester { address: Some(address), account: did.as_str() };
    if !app.passwords.verify(by, password, account.password_hash.as_deref()).await? {
        return Err(DeleteError::Credentials);
    }
    let mut txn = Txn::new();
    accounts::assert_same_password(&mut txn, &account);
    app.email_codes.redeem(&mut txn, did, Purpose::DeleteAccount, code).await?;
    match delete_with(app, did, txn).await {
        Err(DeleteError::Commit(error)) => Err(CodeError::from(error).into()),
        outcome => outcome,
    }
}

/// Deletes the account of a session whose password was typed a moment ago.
pub async fn delete_by_session(app: &Arc<App>, session: &Session) -> Result<(), DeleteError> {
    let did = &session.account.did;
    let since = clock::to_store(app.newest_time.now_micros().saturating_sub(FRESH_SIGN_IN_SECS * MICROS_PER_SEC));
    if !sessions::opened_after(&*app.db, did, &session.family, since).await? {
        return Err(DeleteError::SignInTooOld);
    }
    delete(app, did).await
}

/// Removes deactivated accounts whose time is over; tells how many. Those that were never activated give their invites
/// back, and nobody is told of them, for nobody had heard of them.
pub async fn delete_due(app: &Arc<App>) -> Result<usize, DeleteError> {
    let now = clock::to_store(app.clock.now_micros());
    let mut removed = 0;
    for account in accounts::due_for_removal(&*app.db, now, REMOVALS_PER_PASS_MAX).await? {
        let mut txn = Txn::new();
        if !was_ever_active(&account) {
            phones::give_back(&mut txn, &account.did);
            if let Some(code) = &account.invite_code {
                invites::give_back_use(&mut txn, code, &account.did);
            }
        }
        match remove(app, &account, Some(now), txn).await {
            Ok(()) => removed += 1,
            Err(DeleteError::Commit(CommitError::Conflict { .. })) => {}
            // A store that fails for one fails for the next one too; what else there is concerns one account.
            Err(error @ (DeleteError::Commit(_) | DeleteError::Read(_))) => return Err(error),
            Err(error) => tracing::warn!(did = %account.did, %error, "an account is not deleted yet"),
        }
    }
    Ok(removed)
}

async fn remove(app: &Arc<App>, account: &Account, due_at: Option<i64>, mut txn: Txn) -> Result<(), DeleteError> {
    let did = &account.did;
    // What is being written to the repository comes before; what comes after finds no repository.
    let turn = repos::turn(app, did).await?;
    let now_micros = app.clock.now_micros();
    let until = app.handles.held_until(now_micros);
    accounts::end_holds(&mut txn, did, until.unwrap_or(clock::to_store(now_micros)));
    let is_ours = app.handles.is_under_service_domain(&account.handle);
    if let Some(until) = until.filter(|_| is_ours && was_ever_active(account)) {
        accounts::keep_handle(&mut txn, did, until);
    }
    accounts::remove(&mut txn, did, due_at, clock::to_store(now_micros));
    if was_ever_active(account) {
        let time = Datetime::from_unix_micros(now_micros);
        let gone = frame::Account { did: did.clone(), active: false, status: Some(AccountStatus::Deleted), time };
        let EncodedFrame { before, after } = frame::account(&gone);
        let time_micros = clock::to_store(now_micros);
        txn.event(NewEvent { did: did.to_string(), kind: EventKind::Account, time_micros, before, after });
    }
    let (app, did) = (Arc::clone(app), did.clone());
    // A task of its own, so that the turn lasts until it is known what became of the transaction.
    let removed = tokio::spawn(async move {
        let outcome = app.db.commit(txn).await;
        app.repos.forget(&did);
        drop(turn);
        outcome
    });
    match removed.await {
        Ok(outcome) => Ok(outcome.map(|_| ())?),
        Err(error) => Err(CommitError::Unknown { reason: error.to_string() }.into()),
    }
}
