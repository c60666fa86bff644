//! Handles that nobody gets, and whether one can be had.

use allod_atproto::Handle;
use allod_store::{
    CommitError, ReadError, Txn,
    tables::accounts::{self, HANDLE_TAKEN},
};

use super::{By, audit};
use crate::{
    app::App,
    domain::{
        clock,
        emails::{EmailAddress, EmailUnsupported},
        handles::{self, AdmissibleHandle, FRONT_CHARS_MAX, HandleError},
    },
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
        audit::refused(app, by, typed, error).await;
    }
    outcome
}

async fn try_reserve(app: &App, by: &By, typed: &str) -> Result<(), ReserveError> {
    let word = typed.trim();
    let domains = if word.contains('.') { &[String::new()][..] } else { &app.config.sign_up.handle_domains };
    let now = clock::to_store(app.clock.now_micros());
    for domain in domains {
        let handle = Handle::parse(&format!("{word}{domain}")).map_err(|e| ReserveError::Handle(e.to_string()))?;
        let mut txn = Txn::new();
        accounts::reserve_handle(&mut txn, &handle, now);
        audit::note(app, &mut txn, by, handle.as_str());
        match app.db.commit(txn).await {
            Ok(_) => {}
            Err(CommitError::Conflict { which: HANDLE_TAKEN }) => return Err(ReserveError::Taken(handle)),
            Err(error) => return Err(ReserveError::Commit(error)),
        }
    }
    Ok(())
}

/// Tells whether somebody can sign up with a handle, and if not, with which others.
pub async fn availability(
    app: &App,
    handle: &Handle,
    email: Option<&str>,
) -> Result<Result<(), Vec<Handle>>, AvailabilityError> {
    email.map(EmailAddress::parse).transpose()?;
    let domains = &app.config.sign_up.handle_domains;
    let is_reserved = match handles::admit(handle.as_str(), domains) {
        Ok(AdmissibleHandle::Service(_)) => false,
        Ok(AdmissibleHandle::Own(_)) => return Err(AvailabilityError::Domain),
        Err(HandleError::Invalid(why)) => return Err(AvailabilityError::Handle(why)),
        Err(HandleError::Reserved) => true,
    };
    if !is_reserved && accounts::handle_holder(&*app.db, handle).await?.is_none() {
        return Ok(Ok(()));
    }
    let mut suggestions = Vec::new();
    let Some((front, domain)) = handle.as_str().split_once('.') else { return Ok(Err(suggestions)) };
    for number in 1..=TRIED_MAX {
        let digits = number.to_string();
        let front = front.get(..FRONT_CHARS_MAX.saturating_sub(digits.len()).min(front.len())).unwrap_or(front);
        let Ok(AdmissibleHandle::Service(other)) = handles::admit(&format!("{front}{digits}.{domain}"), domains) else {
            continue;
        };
        if accounts::handle_holder(&*app.db, &other).await?.is_none() {
            suggestions.push(other);
        }
        if suggestions.len() == SUGGESTIONS_MAX {
            break;
        }
    }
    Ok(Err(suggestions))
}
