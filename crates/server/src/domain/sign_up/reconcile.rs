//! Brings sign-ups whose driver is gone to their end: forward when the directory has the DID, else released.

use std::sync::Arc;

use allod_base::clock::{self, MICROS_PER_SEC};
use allod_store::{
    CommitError, ConflictKey, Txn,
    tables::sign_ups::{self, SignUp, SignUpState},
};

use super::{Driver, SignUpError, Waiter, machine, resume};
use crate::{
    app::App,
    domain::plc_operations::{self, BackOff, Undecided},
};

/// How long the reconciler rests between passes, in seconds.
pub const PASS_EVERY_SECS: u64 = 30;
/// How many sign-ups one pass looks at.
const LOOKS_PER_PASS_MAX: i64 = 200;
/// The pauses before a sign-up is looked at again.
const BACK_OFF: BackOff = BackOff { first_secs: 1, max_secs: 60 };

/// What a pass did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reconciled {
    /// Sign-ups that became accounts.
    pub finished: usize,
    /// Sign-ups whose names are free again.
    pub released: usize,
    /// Sign-ups that wait for the directory.
    pub waiting: usize,
    /// Whether the directory did not answer: sign-ups that need it were left alone from then on.
    pub is_outage: bool,
}

enum Outcome {
    Finished,
    Released,
    Nothing,
    /// The directory did not answer.
    Outage(SignUpError),
}

/// Looks at all that earlier runs of the process left, due or not; to be called once at start.
pub async fn recover(app: &Arc<App>) -> Result<Reconciled, SignUpError> {
    let mut reconciled = Reconciled::default();
    let mut after = None;
    loop {
        let rows = sign_ups::page(&*app.db, after.as_ref(), LOOKS_PER_PASS_MAX).await?;
        let Some(last) = rows.last() else { return Ok(reconciled) };
        after = Some(last.did.clone());
        reconcile(app, rows, &mut reconciled).await?;
    }
}

/// Looks at every sign-up whose time has come.
pub async fn pass(app: &Arc<App>) -> Result<Reconciled, SignUpError> {
    let now = clock::to_store(app.clock.now_micros());
    let rows = sign_ups::due(&*app.db, now, LOOKS_PER_PASS_MAX).await?;
    let mut reconciled = Reconciled::default();
    reconcile(app, rows, &mut reconciled).await?;
    Ok(reconciled)
}

async fn reconcile(app: &App, rows: Vec<SignUp>, reconciled: &mut Reconciled) -> Result<(), SignUpError> {
    for row in rows {
        // A directory that did not answer for one does not answer for the next one either.
        if reconciled.is_outage && row.state == SignUpState::Submitted {
            continue;
        }
        let error = match look_at(app, &row).await {
            Ok(Outcome::Finished) => {
                reconciled.finished += 1;
                continue;
            }
            Ok(Outcome::Released) => {
                reconciled.released += 1;
                continue;
            }
            // Moved on meanwhile by a caller who came again.
            Ok(Outcome::Nothing) | Err(SignUpError::Commit(CommitError::Conflict(ConflictKey::SignUpMoved))) => {
                continue;
            }
            Ok(Outcome::Outage(error)) => {
                reconciled.is_outage = true;
                error
            }
            Err(error) => error,
        };
        reconciled.waiting += 1;
        postpone(app, &row, &error).await?;
    }
    Ok(())
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
            let operation = resume::stored_operation(app, row)?;
            let is_accepted = match plc_operations::is_accepted(&app.plc, &row.did, &operation).await {
                Ok(is_accepted) => is_accepted,
                Err(undecided) => {
                    let pending = machine::pending(&row.did, &undecided.to_string());
                    return match undecided {
                        Undecided::Outage(_) => Ok(Outcome::Outage(pending)),
                        Undecided::LogUnreadable(_) => Err(pending),
                    };
                }
            };
            if is_accepted {
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
    let pause_secs = BACK_OFF.pause_secs(row.tries);
    let again = clock::to_store(app.clock.now_micros() + pause_secs * MICROS_PER_SEC);
    if matches!(error, SignUpError::Pending) {
        tracing::info!(did = %row.did, pause_secs, "a sign-up waits for the directory");
    } else {
        tracing::warn!(did = %row.did, %error, pause_secs, "a sign-up could not be finished; it is tried again");
    }
    let mut txn = Txn::new();
    sign_ups::postpone(&mut txn, &row.did, again, &error.to_string());
    app.db.commit(txn).await?;
    Ok(())
}
