//! Handles that nobody gets, and whether one can be had.

use allod_atproto::Handle;
use allod_base::clock;
use allod_store::{
    CommitError, ConflictKey, ReadError, Txn,
    tables::accounts::{self, HeldHandle},
};

use crate::domain::audit::By;
use crate::{
    app::App,
    domain::{
        emails::EmailUnsupported,
        handles::{AdmissibleHandle, FRONT_CHARS_MAX, HandleError},
    },
    limits::HELD_HANDLES_PER_PAGE_MAX,
};

/// How many other handles are suggested for one that can't be had.
pub const SUGGESTIONS_MAX: usize = 5;

/// How many are looked up for that at the most.
const TRIED_MAX: u32 = 20;

/// Why a handle was not reserved.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// It is none.
    #[error("{0}")]
    Handle(String),
    /// Somebody has it.
    #[error("Handle already taken: {0}")]
    Taken(Handle),
    /// It could not be written.
    #[error(transparent)]
    Commit(CommitError),
}

/// Why it is not told whether a handle can be had.
#[derive(Debug, thiserror::Error)]
pub enum AvailabilityError {
    /// The address is none.
    #[error("Invalid email")]
    Email(#[from] EmailUnsupported),
    /// The handle is none, or breaks a rule.
    #[error("{0}")]
    Handle(String),
    /// It is not under a domain of this server's.
    #[error("Not a supported handle domain")]
    Domain,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Keeps a handle from being had. A single word is kept under each of the server's domains.
pub async fn reserve(app: &App, by: &By, typed: &str) -> Result<(), ReserveError> {
    let outcome = try_reserve(app, by, typed).await;
    if let Err(error) = &outcome {
        app.audit.refused(by, typed, error).await;
    }
    outcome
}

async fn try_reserve(app: &App, by: &By, typed: &str) -> Result<(), ReserveError> {
    let word = typed.trim();
    let domains = if word.contains('.') { &[String::new()][..] } else { app.handles.domains() };
    let now = clock::to_store(app.clock.now_micros());
    for domain in domains {
        let handle = Handle::parse(&format!("{word}{domain}")).map_err(|e| ReserveError::Handle(e.to_string()))?;
        let mut txn = Txn::new();
        accounts::reserve_handle(&mut txn, &handle, now);
        app.audit.note(&mut txn, by, handle.as_str());
        match app.db.commit(txn).await {
            Ok(_) => {}
            Err(CommitError::Conflict(ConflictKey::HandleTaken)) => return Err(ReserveError::Taken(handle)),
            Err(error) => return Err(ReserveError::Commit(error)),
        }
    }
    Ok(())
}

/// A page of handles that are held or reserved.
pub struct HeldPage {
    /// The handles, in order.
    pub handles: Vec<HeldHandle>,
    /// What asks for the next page; none at the end.
    pub cursor: Option<String>,
}

/// Lists handles that no account has and nobody else gets: held for the account that had them, or reserved.
pub async fn held(app: &App, cursor: Option<&str>, limit: i64) -> Result<HeldPage, ReadError> {
    let now = clock::to_store(app.clock.now_micros());
    let limit = limit.clamp(1, HELD_HANDLES_PER_PAGE_MAX);
    let handles = accounts::held_handles(&*app.db, cursor.unwrap_or_default(), now, limit).await?;
    let is_full = i64::try_from(handles.len()).is_ok_and(|count| count == limit);
    let cursor = handles.last().filter(|_| is_full).map(|last| last.handle.clone());
    Ok(HeldPage { handles, cursor })
}

/// Why a handle was not released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// It is none.
    #[error("{0}")]
    Handle(String),
    /// It is free, or an account has it, or it is the host of an account's did:web.
    #[error("{0} is not held: it is free, an account has it, or it is the host name of an account's did:web")]
    NotHeld(Handle),
    /// It could not be written.
    #[error(transparent)]
    Commit(CommitError),
}

/// Frees a handle that is held or reserved, and notes it.
pub async fn release(app: &App, by: &By, typed: &str) -> Result<Handle, ReleaseError> {
    let outcome = async {
        let handle = Handle::parse(typed.trim()).map_err(|error| ReleaseError::Handle(error.to_string()))?;
        let mut txn = Txn::new();
        accounts::release_handle(&mut txn, &handle);
        app.audit.note(&mut txn, by, handle.as_str());
        match app.db.commit(txn).await {
            Ok(_) => Ok(handle),
            Err(CommitError::Conflict(ConflictKey::HandleNotHeld)) => Err(ReleaseError::NotHeld(handle)),
            Err(error) => Err(ReleaseError::Commit(error)),
        }
    };
    let outcome = outcome.await;
    if let Err(error) = &outcome {
        app.audit.refused(by, typed, error).await;
    }
    outcome
}

/// Tells whether nobody has a handle, and it is held for nobody.
async fn is_free(app: &App, handle: &Handle) -> Result<bool, ReadError> {
    let hold = accounts::handle_hold(&*app.db, handle).await?;
    let now = clock::to_store(app.clock.now_micros());
    Ok(hold.is_none_or(|(_, until)| until.is_some_and(|until| until <= now)))
}

/// Tells whether somebody can sign up with a handle, and if not, with which others.
pub async fn availability(
    app: &App,
    handle: &Handle,
    email: Option<&str>,
) -> Result<Result<(), Vec<Handle>>, AvailabilityError> {
    email.map(|email| app.emails.admit(email)).transpose()?;
    let is_reserved = match app.handles.admit(handle.as_str()) {
        Ok(AdmissibleHandle::Service(_)) => false,
        Ok(AdmissibleHandle::Own(_)) => return Err(AvailabilityError::Domain),
        Err(HandleError::Invalid(why)) => return Err(AvailabilityError::Handle(why)),
        Err(HandleError::Reserved) => true,
    };
    if !is_reserved && is_free(app, handle).await? {
        return Ok(Ok(()));
    }
    let mut suggestions = Vec::new();
    let Some((front, domain)) = handle.as_str().split_once('.') else { return Ok(Err(suggestions)) };
    for number in 1..=TRIED_MAX {
        let digits = number.to_string();
        let front = front.get(..FRONT_CHARS_MAX.saturating_sub(digits.len()).min(front.len())).unwrap_or(front);
        let Ok(AdmissibleHandle::Service(other)) = app.handles.admit(&format!("{front}{digits}.{domain}")) else {
            continue;
        };
        if is_free(app, &other).await? {
            suggestions.push(other);
        }
        if suggestions.len() == SUGGESTIONS_MAX {
            break;
        }
    }
    Ok(Err(suggestions))
}
