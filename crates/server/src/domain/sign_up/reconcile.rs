//! Brings sign-ups whose driver is gone to their end: forward when the directory has the DID, else released.

use std::sync::Arc;

use allod_store::{
    CommitError, Txn,
    tables::sign_ups::{self, SignUp, SignUpState},
};

use super::{Driver, SignUpError, Waiter, machine, resume};
use crate::{
    app::App,
    domain::clock::{self, MICROS_PER_SEC},
};

/// How long the reconciler rests between passes, in seconds.
pub const PASS_EVERY_SECS: u64 = 30;
/// How many sign-ups one pass looks at.
const LOOKS_PER_PASS_MAX: i64 = 200;
/// The longest pause before a sign-up is looked at again, in seconds.
const RETRY_PAUSE_SECS_MAX: u64 = 60;

/// What a pass did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reconciled {
    /// Sign-ups that became accounts.
    pub finished: usize,
    /// Sign-ups whose names are free again.
    pub released: usize,
    /// Sign-ups that wait for the directory.
    pub waiting: usize,
}

enum Outcome {
    Finished,
    Released,
    Nothing,
}

/// Looks at what earlier runs of the process left, due or not; to be called once at start.
pub async fn recover(app: &Arc<App>) -> Result<Reconciled, SignUpError> {
    reconcile(app, i64::MAX).await
}

/// Looks at every sign-up whose time has come.
pub async fn pass(app: &Arc<App>) -> Result<Reconciled, SignUpError> {
    let now = clock::to_store(app.clock.now_micros());
    reconcile(app, now).await
}

async fn reconcile(app: &App, due_by: i64) -> Result<Reconciled, SignUpError> {
    let mut reconciled = Reconciled::default();
    for row in sign_ups::due(&*app.db, due_by, LOOKS_PER_PASS_MAX).await? {
        match look_at(app, &row).await {
            Ok(Outcome::Finished) => reconciled.finished += 1,
            Ok(Outcome::Released) => reconciled.released += 1,
            Ok(Outcome::Nothing) | Err(SignUpError::Commit(CommitError::Conflict { .. })) => {}
            Err(error) => {
                reconciled.waiting += 1;
                postpone(app, &row, &error).await?;
            }
        }
    }
    Ok(reconciled)
}

async fn look_at(app: &App, row: &SignUp) -> Result<Outcome, SignUpError> {
    let Some(_driving) = app.sign_ups.drive(&row.did, Driver::Reconciler) else { return Ok(Outcome::Nothing) };
    let now = clock::to_store(app.clock.now_micros());
    match row.state {
        SignUpState::Reserved => {
            machine::release(app, row).await?;
            Ok(Outcome::Released)
        }
        SignUpState::Submitted => {
            let operation = resume::stored_operation(row)?;
            if machine::is_accepted(app, &row.did, &operation).await? {
                machine::finish(app, row, Waiter::Nobody).await?;
                Ok(Outcome::Finished)
            } else if row.deadline <= now {
                machine::release(app, row).await?;
                Ok(Outcome::Released)
            } else {
                Err(SignUpError::Pending)
            }
        }
        SignUpState::Active if row.next_try_at <= now => {
            let mut txn = Txn::new();
            sign_ups::remove(&mut txn, &row.did, SignUpState::Active);
            app.db.commit(txn).await?;
            Ok(Outcome::Nothing)
        }
        SignUpState::Active => Ok(Outcome::Nothing),
    }
}

async fn postpone(app: &App, row: &SignUp, error: &SignUpError) -> Result<(), SignUpError> {
    let tries = u32::try_from(row.tries).unwrap_or(u32::MAX).min(10);
    let pause_secs = (1_u64 << tries).min(RETRY_PAUSE_SECS_MAX);
    let again = clock::to_store(app.clock.now_micros() + pause_secs * MICROS_PER_SEC);
    tracing::info!(did = %row.did, %error, pause_secs, "a sign-up waits for the directory");
    let mut txn = Txn::new();
    sign_ups::postpone(&mut txn, &row.did, again, &error.to_string());
    app.db.commit(txn).await?;
    Ok(())
}
