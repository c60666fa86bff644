//! Takedowns: of an account, a record or a blob; and the status that an operator gives an account.

use std::{fmt, sync::Arc};

use allod_atproto::{
    Cid, Datetime, Did,
    frame::{self, AccountStatus, EncodedFrame},
    repo::RecordPath,
};
use allod_base::clock;
use allod_store::{
    CommitError, ConflictKey, EventKind, NewEvent, ReadError, Txn,
    tables::{
        accounts::{self, Account},
        blobs, denied_blobs, records, sessions, sign_up_queue,
    },
};

use super::{
    account_status::Status,
    audit::By,
    repos::{self, AnnounceError},
};
use crate::app::App;

/// How often a change that meets another one looks again.
const TRIES_MAX: usize = 5;

/// The longest reference to a decision, in bytes.
pub const REFERENCE_BYTES_MAX: usize = 1_024;

/// What is taken down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An account, and with it everything of it.
    Account(Did),
    /// A record.
    Record(Did, RecordPath),
    /// A blob of an account: its bytes, whoever has them, which nobody may upload again.
    Blob(Did, Cid),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(did) => f.write_str(did.as_str()),
            Self::Record(did, path) => write!(f, "at://{did}/{path}"),
            Self::Blob(did, cid) => write!(f, "{did} blob {cid}"),
        }
    }
}

/// Whether something is so, by which decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Whether it is.
    pub applied: bool,
    /// The decision, for whoever made it.
    pub reference: Option<String>,
}

/// What becomes of a subject; what is not said stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Whether it is taken down.
    pub takedown: Option<Mark>,
    /// Whether it is deactivated; an account alone is.
    pub deactivated: Option<Mark>,
}

/// How a subject stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whether it is taken down.
    pub takedown: Mark,
    /// Whether it is deactivated; an account alone is.
    pub deactivated: Option<Mark>,
    /// The record's CID.
    pub cid: Option<Cid>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ModerationError {
    /// The two exclude each other.
    #[error("Cannot activate and takedown an account at the same time")]
    ActivateAndTakedown,
    /// Only accounts are deactivated.
    #[error("Only an account can be deactivated")]
    NotAnAccount,
    /// The reference is too long.
    #[error("A reference has {REFERENCE_BYTES_MAX} bytes at the most")]
    Reference,
    /// There is no such account, record or blob.
    #[error("Subject not found")]
    NotFound,
    /// An account that is taken down is not activated.
    #[error("user not found")]
    TakenDown,
    /// The account waits to be let in, which is more than activating it.
    #[error("The account waits in the sign-up queue; let it in with: allod queue admit")]
    Waits,
    /// The subject changed each time it was looked at.
    #[error("The subject is being changed by another request; try again")]
    Contended,
    /// The repository could not be announced.
    #[error(transparent)]
    Announce(AnnounceError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The change could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Changes a subject's status, and notes it.
pub async fn change(app: &Arc<App>, by: &By, subject: &Subject, change: Change) -> Result<(), ModerationError> {
    let outcome = try_change(app, by, subject, change).await;
    if let Err(error) = &outcome {
        app.audit.refused(by, &subject.to_string(), error).await;
    }
    outcome
}

async fn try_change(app: &Arc<App>, by: &By, subject: &Subject, change: Change) -> Result<(), ModerationError> {
    check(subject, &change)?;
    for _ in 0..TRIES_MAX {
        let outcome = match subject {
            Subject::Account(did) => change_account(app, by, subject, did, &change).await,
            Subject::Record(did, path) => change_record(app, by, subject, did, path, &change).await,
            Subject::Blob(did, cid) => change_blob(app, by, subject, did, cid, &change).await,
        };
        match outcome {
            Err(
                ModerationError::Commit(CommitError::Conflict(ConflictKey::AccountChanged | ConflictKey::RecordGone))
                | ModerationError::Announce(AnnounceError::Commit(CommitError::Conflict(
                    ConflictKey::AccountChanged
                    | ConflictKey::AccountInactive
                    | ConflictKey::AccountQueued
                    | ConflictKey::HeadMoved,
                ))),
            ) => {}
            outcome => return outcome,
        }
    }
    Err(ModerationError::Contended)
}

/// Checks what is asked for, as far as that can be told without looking.
fn check(subject: &Subject, change: &Change) -> Result<(), ModerationError> {
    let takes_down = change.takedown.as_ref().is_some_and(|mark| mark.applied);
    let activates = change.deactivated.as_ref().is_some_and(|mark| !mark.applied);
    let references = [&change.takedown, &change.deactivated].into_iter().flatten();
    if takes_down && activates {
        return Err(ModerationError::ActivateAndTakedown);
    }
    if change.deactivated.is_some() && !matches!(subject, Subject::Account(_)) {
        return Err(ModerationError::NotAnAccount);
    }
    let mut lengths = references.filter_map(|mark| mark.reference.as_ref()).map(String::len);
    if lengths.any(|length| length > REFERENCE_BYTES_MAX) {
        return Err(ModerationError::Reference);
    }
    Ok(())
}

/// Tells how a subject stands.
pub async fn standing(app: &App, subject: &Subject) -> Result<Standing, ModerationError> {
    let mark = |reference: Option<String>| Mark { applied: reference.is_some(), reference };
    match subject {
        Subject::Account(did) => {
            let account = accounts::by_did(&*app.db, did).await?.ok_or(ModerationError::NotFound)?;
            let deactivated = Mark { applied: account.deactivated_at.is_some(), reference: None };
            Ok(Standing { takedown: mark(account.takedown_ref), deactivated: Some(deactivated), cid: None })
        }
        Subject::Record(did, path) => {
            let record = records::of_account(&*app.db, did, path).await?.ok_or(ModerationError::NotFound)?;
            Ok(Standing { takedown: mark(record.takedown_ref), deactivated: None, cid: Some(record.cid) })
        }
        Subject::Blob(did, cid) => {
            let takedown_ref = denied_blobs::takedown_of(&*app.db, cid).await?;
            // Bytes whose account is gone can still be known.
            if takedown_ref.is_none() && blobs::by_cid(&*app.db, did, cid).await?.is_none() {
                return Err(ModerationError::NotFound);
            }
            let takedown = mark(takedown_ref);
            Ok(Standing { takedown, deactivated: None, cid: None })
        }
    }
}

/// One transaction: the status, the end of every sign-in of an account that is taken down, the event, the note.
async fn change_account(
    app: &Arc<App>,
    by: &By,
    subject: &Subject,
    did: &Did,
    change: &Change,
) -> Result<(), ModerationError> {
    let before = accounts::by_did(&*app.db, did).await?.ok_or(ModerationError::NotFound)?;
    let now = clock::to_store(app.clock.now_micros());
    let takedown_ref = changed(app, change.takedown.as_ref(), before.takedown_ref.as_ref());
    let deactivated_at = match &change.deactivated {
        Some(mark) if mark.applied => before.deactivated_at.or(Some(now)),
        Some(_) => None,
        None => before.deactivated_at,
    };
    let is_activated = before.deactivated_at.is_some() && deactivated_at.is_none();
    let is_to_be_active = change.deactivated.as_ref().is_some_and(|mark| !mark.applied);
    if is_to_be_active && takedown_ref.is_some() {
        return Err(ModerationError::TakenDown);
    }
    if is_activated && before.is_queued {
        return Err(ModerationError::Waits);
    }
    let mut txn = Txn::new();
    if is_activated {
        sign_up_queue::assert_not_waiting(&mut txn, did);
    }
    accounts::set_status(&mut txn, &before, takedown_ref.as_deref(), deactivated_at);
    // Also those that a taken-down account's owner has, when it is none any more.
    if takedown_ref.is_some() != before.takedown_ref.is_some() {
        sessions::revoke_all(&mut txn, did);
    }
    app.audit.note(&mut txn, by, &described(subject, change));
    if is_activated {
        // Others may know its repository from elsewhere, or not at all.
        let activate = move |announced: &mut Txn| announced.append(txn);
        repos::announce(app, did, activate).await.map_err(ModerationError::Announce)?;
    } else {
        if before.was_activated {
            txn.event(account_event(app, &before, Status::with(takedown_ref.is_some(), deactivated_at.is_some())));
        }
        app.db.commit(txn).await?;
    }
    Ok(())
}

async fn change_record(
    app: &App,
    by: &By,
    subject: &Subject,
    did: &Did,
    path: &RecordPath,
    change: &Change,
) -> Result<(), ModerationError> {
    let record = records::of_account(&*app.db, did, path).await?.ok_or(ModerationError::NotFound)?;
    let mut txn = Txn::new();
    let takedown_ref = changed(app, change.takedown.as_ref(), record.takedown_ref.as_ref());
    records::set_takedown(&mut txn, did, path, takedown_ref.as_deref());
    app.audit.note(&mut txn, by, &described(subject, change));
    app.db.commit(txn).await?;
    Ok(())
}

async fn change_blob(
    app: &App,
    by: &By,
    subject: &Subject,
    did: &Did,
    cid: &Cid,
    change: &Change,
) -> Result<(), ModerationError> {
    let before = denied_blobs::takedown_of(&*app.db, cid).await?;
    if before.is_none() && blobs::by_cid(&*app.db, did, cid).await?.is_none() {
        return Err(ModerationError::NotFound);
    }
    let mut txn = Txn::new();
    match changed(app, change.takedown.as_ref(), before.as_ref()) {
        Some(takedown_ref) => {
            let now = clock::to_store(app.clock.now_micros());
            denied_blobs::deny(&mut txn, cid, did, &takedown_ref, now);
        }
        None => denied_blobs::allow(&mut txn, cid),
    }
    app.audit.note(&mut txn, by, &described(subject, change));
    app.db.commit(txn).await?;
    Ok(())
}

/// The reference afterwards. A decision without one is known by its time.
fn changed(app: &App, mark: Option<&Mark>, before: Option<&String>) -> Option<String> {
    match mark {
        None => before.cloned(),
        Some(Mark { applied: false, .. }) => None,
        Some(Mark { applied: true, reference }) => {
            let given = reference.clone().filter(|reference| !reference.is_empty());
            Some(given.unwrap_or_else(|| Datetime::from_unix_micros(app.clock.now_micros()).to_string()))
        }
    }
}

fn described(subject: &Subject, change: &Change) -> String {
    let mark = |name: &str, mark: &Option<Mark>| {
        mark.as_ref().map_or_else(String::new, |mark| format!(" {name}={}", mark.applied))
    };
    format!("{subject}{}{}", mark("takedown", &change.takedown), mark("deactivated", &change.deactivated))
}

/// The event that tells an account's status.
fn account_event(app: &App, account: &Account, status: Status) -> NewEvent {
    let now_micros = app.clock.now_micros();
    let told = match status {
        Status::Active => None,
        Status::Deactivated | Status::Queued => Some(AccountStatus::Deactivated),
        Status::TakenDown => Some(AccountStatus::TakenDown),
    };
    let time = Datetime::from_unix_micros(now_micros);
    let message = frame::Account { did: account.did.clone(), active: status.is_active(), status: told, time };
    let EncodedFrame { before, after } = frame::account(&message);
    let time_micros = clock::to_store(now_micros);
    NewEvent { did: account.did.to_string(), kind: EventKind::Account, time_micros, before, after }
}
