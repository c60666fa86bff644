//! The same request again: a caller who was told to wait, or never got the answer, gets the same DID.

use allod_atproto::{Did, Handle, plc::Operation};
use allod_store::{
    CommitError, ConflictKey, Txn,
    tables::{
        accounts,
        sign_ups::{self, SignUp, SignUpState},
    },
};

use super::{SignUpError, SignUpRequest, SignedUp, Waiter, machine, operation};
use crate::{
    app::App,
    domain::{
        emails,
        plc_operations::{self, Attempt},
        sessions::{self, OpenError, Proof, TokenPair},
    },
};

/// Finds the sign-up this request began and brings it to its end; `None` when there is none of this caller's.
pub(super) async fn resume(app: &App, request: &SignUpRequest) -> Result<Option<SignedUp>, SignUpError> {
    let Ok(handle) = Handle::parse(&request.handle) else { return Ok(None) };
    let Some(row) = sign_ups::by_handle(&*app.db, &handle).await? else { return Ok(None) };
    if request.did.as_ref().is_some_and(|did| *did != row.did) {
        return Ok(None);
    }
    app.sign_ups.reconciled(&row.did).await;
    if !is_abandoned(app, &row) || !is_same_caller(app, &row, request).await? {
        return Ok(None);
    }
    let Some(driving) = app.sign_ups.drive_after_reconciler(&row.did).await else { return Ok(None) };
    // The previous driver may have changed the row.
    let row = sign_ups::by_did(&*app.db, &row.did).await?;
    let Some(row) = row.filter(|row| !is_answered(app, row)) else { return Ok(None) };
    let (operation, waiter) = (stored_operation(app, &row)?, request.waiter());
    let (account, tokens) = match row.state {
        SignUpState::Reserved => return Ok(None),
        SignUpState::Submitted => match plc_operations::is_accepted(&app.plc, &row.did, &operation).await {
            Ok(true) => machine::finish(app, &row, waiter).await?,
            Ok(false) => machine::submit_and_finish(app, &row, &operation, Attempt::Again, waiter).await?,
            Err(undecided) => return Err(machine::pending(&row.did, &undecided.to_string())),
        },
        SignUpState::Active => claim(app, &row, waiter).await?,
    };
    drop(driving);
    let did_document = operation::document(&row.did, &operation);
    Ok(Some(SignedUp { account, tokens, did_document }))
}

/// Reads the operation of a stored sign-up.
pub(super) fn stored_operation(app: &App, row: &SignUp) -> Result<Operation, SignUpError> {
    Ok(plc_operations::stored(&app.integrity, &row.did, &row.operation, "sign_ups.operation")?)
}

/// Nobody is driving it, and nobody in this run of the process has answered it.
fn is_abandoned(app: &App, row: &SignUp) -> bool {
    !is_answered(app, row) && !app.sign_ups.is_driven(&row.did)
}

fn is_answered(app: &App, row: &SignUp) -> bool {
    row.state == SignUpState::Active && row.driver.as_deref() == Some(app.sign_ups.run_id.as_str())
}

async fn is_same_caller(app: &App, row: &SignUp, request: &SignUpRequest) -> Result<bool, SignUpError> {
    let email_key = request.email.as_deref().map(emails::lookup_key).filter(|key| !key.is_empty());
    let (Some(password), Some(hash)) = (&request.password, &row.password_hash) else { return Ok(false) };
    let by = request.waiter().requester(row.handle.as_str());
    Ok(email_key == row.email_key && app.passwords.verify(by, password.clone(), Some(hash)).await?)
}

/// Notes that the caller of a finished sign-up gets the answer: from now on only signing in leads to a session.
pub(super) async fn answered(app: &App, did: &Did) {
    match sign_ups::by_did(&*app.db, did).await {
        Ok(Some(row)) if row.state == SignUpState::Active => {}
        Ok(_) => return,
        Err(error) => return tracing::warn!(%did, %error, "could not read whether a sign-up was answered"),
    }
    let mut txn = Txn::new();
    sign_ups::remove(&mut txn, did, SignUpState::Active);
    match app.db.commit(txn).await {
        // Conflict: the account was used already.
        Ok(_) | Err(CommitError::Conflict(ConflictKey::SignUpMoved)) => {}
        Err(error) => tracing::warn!(%did, %error, "could not note that a sign-up was answered"),
    }
}

/// Answers a finished sign-up whose caller never got the answer. Where the password alone does not open a session, the
/// answer is that the handle is taken.
async fn claim(app: &App, row: &SignUp, waiter: Waiter) -> Result<(accounts::Account, Option<TokenPair>), SignUpError> {
    let gone = || SignUpError::HandleTaken(row.handle.clone());
    let account = accounts::by_did(&*app.db, &row.did).await?.ok_or_else(gone)?;
    // The password may have been changed since the sign-up.
    if account.password_hash != row.password_hash {
        return Err(gone());
    }
    let mut txn = Txn::new();
    sign_ups::remove(&mut txn, &row.did, SignUpState::Active);
    let tokens = match waiter {
        Waiter::Operator | Waiter::Nobody => None,
        Waiter::Client(address) => match sessions::open(app, &mut txn, &account, Proof::SignUpAgain, address).await {
            Ok(tokens) => Some(tokens),
            Err(OpenError::Read(error)) => return Err(error.into()),
            Err(
                OpenError::TakenDown
                | OpenError::AuthFactorRequired
                | OpenError::AuthFactor(_)
                | OpenError::AuthFactorSend(_),
            ) => return Err(gone()),
        },
    };
    match app.db.commit(txn).await {
        Ok(_) => Ok((account, tokens)),
        Err(CommitError::Conflict(ConflictKey::SignUpMoved | ConflictKey::AccountChanged)) => Err(gone()),
        Err(error) => Err(error.into()),
    }
}
