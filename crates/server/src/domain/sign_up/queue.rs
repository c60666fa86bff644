//! The sign-up queue: accounts that wait until the operator lets them in, or their turn comes.
//!
//! Whoever waits has an account and its names, and nobody else has heard of it: no operation was sent and no event
//! told. Letting in is decided durably, and then only goes forward: the operation is sent, and one transaction
//! activates the account, takes it out of the queue and tells the network. What a crash breaks off, a pass takes up
//! again.

use std::sync::Arc;

use allod_atproto::Did;
use allod_base::clock::{self, MICROS_PER_SEC};
use allod_plc::client::{ReadError as DirectoryError, SubmitError};
use allod_store::{
    CommitError, ReadError, Txn,
    tables::{
        accounts::{self, ACCOUNT_CHANGED, Account},
        did_web,
        sign_up_queue::{self, PLACE_MOVED, Waiting},
    },
};
use tokio::sync::Mutex;

use super::{
    Driver, MOVE_IN_SECS, SignUpError,
    failpoint::{Failpoint, pass as pass_by},
    machine, resume,
};
use crate::{
    app::App,
    domain::{
        accounts::deletion::{self, DeleteError},
        audit::By,
        mail::{Content, Letter},
        repos::{self, AnnounceError},
    },
};

/// How far the accounts that wait before another are counted.
pub const PLACE_MAX: i64 = 10_000;
/// How many accounts are let in each hour at the most, when they are let in by themselves.
pub const PER_HOUR_MAX: u32 = 5_000;

/// How often it is looked whose turn it is, in seconds.
pub const PASS_EVERY_SECS: u64 = 5;

const HOUR_MICROS: u64 = 60 * 60 * MICROS_PER_SEC;
/// How many accounts one pass sees to.
const LOOKS_PER_PASS_MAX: i64 = 50;
/// How late a turn may be and still be made up for, in seconds: some passes, and no outage.
const LATE_SECS_MAX: u64 = 60;
/// How soon a pass looks at an account that is being let in, in seconds.
const FIRST_LOOK_SECS: u64 = 30;
/// The longest pause before letting an account in is tried again, in seconds.
const RETRY_PAUSE_SECS_MAX: u64 = 10 * 60;

/// Who waits, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueConfig {
    /// How many accounts are let in each hour, oldest first; 0 for none but by the operator.
    pub per_hour: u32,
}

/// When the next account is let in by itself.
#[derive(Debug, Default)]
pub struct Timetable {
    /// Held by the pass under way.
    next_at_micros: Mutex<Option<u64>>,
}

/// An account's place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its place, counted from 1, and no further than [`PLACE_MAX`].
    pub place: i64,
    /// How long it will wait, in milliseconds, where accounts are let in by themselves.
    pub wait_millis: Option<u64>,
}

/// Why an account was not let in, or not refused. Unless the variant says otherwise nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// It does not wait, or no longer.
    #[error("the account does not wait to be let in")]
    NotWaiting,
    /// It is taken down.
    #[error("the account is taken down")]
    TakenDown,
    /// It is being let in by somebody else.
    #[error("the account is being let in already")]
    UnderWay,
    /// The directory refused its operation, with its own words; it waits on.
    #[error("the DID directory refused the account's operation: {0}")]
    Refused(String),
    /// The directory's answer is not known; it is asked again.
    #[error("the DID directory has not answered; the account is let in as soon as it does")]
    Pending,
    /// What the directory says of its DID can't be read; it is asked again.
    #[error("the DID directory's log of this DID can't be read; the account is let in when it can")]
    LogUnreadable,
    /// It could not be announced; it is tried again.
    #[error(transparent)]
    Announce(#[from] AnnounceError),
    /// It could not be deleted.
    #[error(transparent)]
    Delete(#[from] DeleteError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// Something that can't happen did.
    #[error("{0}")]
    Internal(String),
}

/// What goes wrong at a place, or with what was stored, is no caller's mistake.
fn internal(error: &SignUpError) -> QueueError {
    QueueError::Internal(error.to_string())
}

/// Adds: a new account waits. `operation` is what makes its DID, if anything has to be sent.
pub(super) fn join(txn: &mut Txn, account: &Account, operation: Option<String>, moves_in: bool) {
    let since = account.created_at;
    let did = account.did.clone();
    let waiting =
        Waiting { did, since, operation, moves_in, let_in_at: None, next_try_at: since, tries: 0, last_error: None };
    sign_up_queue::insert(txn, &waiting);
}

/// Finds an account's place; none when it does not wait.
pub async fn place(app: &App, did: &Did) -> Result<Option<Place>, ReadError> {
    let Some(waiting) = sign_up_queue::by_did(&*app.db, did).await? else { return Ok(None) };
    let place = sign_up_queue::ahead(&*app.db, waiting.since, did, PLACE_MAX - 1).await? + 1;
    let per_hour = app.config.sign_up.queue.map_or(0, |queue| queue.per_hour);
    let wait_millis = every_micros(per_hour).map(|every| every / 1_000 * u64::try_from(place).unwrap_or(1));
    Ok(Some(Place { place, wait_millis }))
}

/// Lists accounts that wait or are being let in, oldest first. A cursor that is none of ours lists from the start.
pub async fn list(
    app: &App,
    cursor: Option<&str>,
    limit: i64,
) -> Result<(Vec<(Waiting, Account)>, Option<String>), ReadError> {
    let after = cursor.and_then(|cursor| cursor.split_once("::"));
    let after = after.and_then(|(since, did)| Some((since.parse().ok()?, did)));
    let rows = sign_up_queue::page(&*app.db, after, limit).await?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|len| len >= limit);
    let cursor = rows.last().filter(|_| is_full).map(|last| format!("{}::{}", last.since, last.did));
    let mut list = Vec::with_capacity(rows.len());
    for row in rows {
        if let Some(account) = accounts::by_did(&*app.db, &row.did).await? {
            list.push((row, account));
        }
    }
    Ok((list, cursor))
}

/// Lets an account in. Runs to its end even when the caller goes away.
pub async fn let_in(app: &Arc<App>, by: &By, did: &Did) -> Result<(), QueueError> {
    decide(app, did, |txn| app.audit.note(txn, by, did.as_str())).await?;
    let (app, did) = (Arc::clone(app), did.clone());
    let task = tokio::spawn(async move { carry_in(&app, &did).await });
    task.await.map_err(|error| QueueError::Internal(error.to_string()))?
}

/// Refuses an account that waits: it goes, with its names, and nobody hears of it.
pub async fn refuse(app: &Arc<App>, by: &By, did: &Did) -> Result<(), QueueError> {
    let mut txn = Txn::new();
    sign_up_queue::assert_undecided(&mut txn, did);
    did_web::unmake(&mut txn, did);
    app.audit.note(&mut txn, by, did.as_str());
    match deletion::delete_with(app, did, txn).await {
        Err(DeleteError::NotFound | DeleteError::Commit(CommitError::Conflict { which: PLACE_MOVED })) => {
            Err(QueueError::NotWaiting)
        }
        outcome => Ok(outcome?),
    }
}

/// Takes up what was broken off, and lets in whose turn it is. Tells how many were let in; none by a pass beside
/// another.
///
/// An account whose operation was refused is passed over: the operator decides about it.
pub async fn pass(app: &Arc<App>) -> Result<usize, QueueError> {
    let Ok(mut next_at) = app.timetable.next_at_micros.try_lock() else { return Ok(0) };
    let mut let_in = 0;
    match let_in_due(app, &mut next_at, &mut let_in).await {
        // A directory that does not answer does not answer for the next one either.
        Ok(()) | Err(QueueError::Pending) => Ok(let_in),
        Err(error) => Err(error),
    }
}

async fn let_in_due(app: &Arc<App>, next_at: &mut Option<u64>, let_in: &mut usize) -> Result<(), QueueError> {
    let now = app.clock.now_micros();
    for row in sign_up_queue::due(&*app.db, clock::to_store(now), LOOKS_PER_PASS_MAX).await? {
        *let_in += usize::from(seen_to(carry_in(app, &row.did).await)?);
    }
    let Some(every) = app.config.sign_up.queue.and_then(|queue| every_micros(queue.per_hour)) else {
        return Ok(());
    };
    for _ in 0..LOOKS_PER_PASS_MAX {
        let Some(turn_at) = turn(*next_at, now) else { break };
        let Some(did) = sign_up_queue::oldest(&*app.db).await? else {
            *next_at = Some(now);
            break;
        };
        *next_at = Some(turn_at + every);
        let outcome = match decide(app, &did, |_| ()).await {
            Ok(()) => carry_in(app, &did).await,
            Err(error) => Err(error),
        };
        *let_in += usize::from(seen_to(outcome)?);
    }
    Ok(())
}

/// How far apart accounts are let in; none when they are not by themselves.
fn every_micros(per_hour: u32) -> Option<u64> {
    HOUR_MICROS.checked_div(u64::from(per_hour))
}

/// When the turn was that is due now, or none yet. What nobody used is not saved up, nor what nobody could use: a turn
/// that is later than [`LATE_SECS_MAX`] is now.
fn turn(next_at: Option<u64>, now: u64) -> Option<u64> {
    let next_at = next_at.filter(|next_at| next_at + LATE_SECS_MAX * MICROS_PER_SEC >= now).unwrap_or(now);
    (next_at <= now).then_some(next_at)
}

/// Whether an account is in now. What concerns it alone must not hold up the others.
fn seen_to(outcome: Result<(), QueueError>) -> Result<bool, QueueError> {
    match outcome {
        Ok(()) => Ok(true),
        Err(
            QueueError::NotWaiting
            | QueueError::TakenDown
            | QueueError::UnderWay
            | QueueError::Refused(_)
            | QueueError::LogUnreadable
            | QueueError::Announce(_),
        ) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn decide(app: &App, did: &Did, note: impl FnOnce(&mut Txn)) -> Result<(), QueueError> {
    let account = accounts::by_did(&*app.db, did).await?.ok_or(QueueError::NotWaiting)?;
    if account.takedown_ref.is_some() {
        return Err(QueueError::TakenDown);
    }
    let now = app.clock.now_micros();
    let mut txn = Txn::new();
    let first_look = clock::to_store(now + FIRST_LOOK_SECS * MICROS_PER_SEC);
    sign_up_queue::decide(&mut txn, did, clock::to_store(now), first_look);
    note(&mut txn);
    match app.db.commit(txn).await {
        Ok(_) => Ok(()),
        Err(CommitError::Conflict { which: PLACE_MOVED }) => Err(QueueError::NotWaiting),
        Err(error) => Err(error.into()),
    }
}

/// Lets in an account of which that was decided, or notes what stands in the way.
async fn carry_in(app: &Arc<App>, did: &Did) -> Result<(), QueueError> {
    let _driving = app.sign_ups.drive(did, Driver::Request).ok_or(QueueError::UnderWay)?;
    let row = sign_up_queue::by_did(&*app.db, did).await?;
    let Some(row) = row.filter(|row| row.let_in_at.is_some()) else { return Err(QueueError::NotWaiting) };
    let outcome = match send(app, &row).await {
        Ok(()) => open(app, &row).await,
        Err(error) => Err(error),
    };
    let Err(error) = &outcome else { return outcome };
    let mut txn = Txn::new();
    match error {
        // Somebody else was first, or the account is gone.
        QueueError::NotWaiting => return outcome,
        QueueError::Refused(_) | QueueError::TakenDown => sign_up_queue::put_back(&mut txn, did, &error.to_string()),
        QueueError::UnderWay
        | QueueError::Pending
        | QueueError::LogUnreadable
        | QueueError::Announce(_)
        | QueueError::Delete(_)
        | QueueError::Read(_)
        | QueueError::Commit(_)
        | QueueError::Internal(_) => {
            let tries = u32::try_from(row.tries).unwrap_or(u32::MAX).min(10);
            let pause_secs = (FIRST_LOOK_SECS << tries).min(RETRY_PAUSE_SECS_MAX);
            let again = clock::to_store(app.clock.now_micros() + pause_secs * MICROS_PER_SEC);
            sign_up_queue::postpone(&mut txn, did, again, &error.to_string());
        }
    }
    tracing::warn!(%did, %error, "an account could not be let in");
    app.db.commit(txn).await?;
    outcome
}

/// Sends the operation that makes the DID, if there is one that the directory does not have.
async fn send(app: &App, row: &Waiting) -> Result<(), QueueError> {
    pass_by(app, Failpoint::LettingIn).await.map_err(|error| internal(&error))?;
    let Some(operation) = &row.operation else { return Ok(()) };
    let operation = resume::read_operation(app, &row.did, operation).map_err(|error| internal(&error))?;
    let error = match app.plc.submit(&row.did, &operation).await {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    // A directory that refuses what it already has, has it.
    match machine::has_operation(app, &row.did, &operation).await {
        Ok(true) => return Ok(()),
        Ok(false) => {}
        Err(unread @ DirectoryError::Unavailable { .. }) => {
            tracing::warn!(did = %row.did, %unread, "the directory could not be asked about a sign-up");
            return Err(QueueError::Pending);
        }
        Err(unread) => {
            tracing::warn!(did = %row.did, %unread, "the directory could not be asked about a sign-up");
            return Err(QueueError::LogUnreadable);
        }
    }
    Err(match error {
        SubmitError::Refused { message, .. } => QueueError::Refused(message),
        SubmitError::Unreachable { .. } | SubmitError::Unknown { .. } => QueueError::Pending,
    })
}

/// Takes an account out of the queue, and into the network unless it moves in.
async fn open(app: &Arc<App>, row: &Waiting) -> Result<(), QueueError> {
    pass_by(app, Failpoint::LetIn).await.map_err(|error| internal(&error))?;
    let did = &row.did;
    let account = accounts::by_did(&*app.db, did).await?.ok_or(QueueError::NotWaiting)?;
    let now = app.clock.now_micros();
    let mut txn = Txn::new();
    sign_up_queue::remove(&mut txn, did);
    if let Some(to) = &account.email {
        let content = Content::LetIn { handle: account.handle.clone() };
        app.mail.post(&mut txn, Letter { to: to.clone(), account: Some(did.clone()), content });
    }
    let outcome = if row.moves_in {
        let until = clock::to_store(now + MOVE_IN_SECS * MICROS_PER_SEC);
        accounts::deactivate(&mut txn, did, clock::to_store(now), Some(until));
        app.db.commit(txn).await.map(|_| ())
    } else {
        accounts::activate(&mut txn, did);
        match repos::announce(app, did, move |announced| announced.append(txn)).await {
            Ok(_) => Ok(()),
            Err(AnnounceError::Commit(error)) => Err(error),
            Err(error) => return Err(error.into()),
        }
    };
    match outcome {
        Ok(()) => Ok(()),
        Err(CommitError::Conflict { which: PLACE_MOVED }) => Err(QueueError::NotWaiting),
        Err(CommitError::Conflict { which: ACCOUNT_CHANGED | accounts::ACCOUNT_INACTIVE }) => {
            Err(QueueError::TakenDown)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_keep_their_distance_and_an_outage_is_not_made_up_for() {
        let (now, late) = (1_000_000 * MICROS_PER_SEC, LATE_SECS_MAX * MICROS_PER_SEC);
        assert_eq!(turn(None, now), Some(now));
        assert_eq!(turn(Some(now + 1), now), None);
        assert_eq!(turn(Some(now - late), now), Some(now - late), "a pass or two");
        assert_eq!(turn(Some(now - late - 1), now), Some(now), "an outage");
    }
}
