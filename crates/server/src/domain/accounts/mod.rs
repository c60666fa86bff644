//! Accounts as others see them.

pub mod activation;
pub mod deletion;
pub mod email;
pub mod password;

use allod_atproto::{AtIdentifier, Did, Handle};
use allod_store::{
    ReadError,
    tables::accounts::{self, Account},
};

use super::emails;
use crate::app::App;

/// How many accounts one page lists at the most.
pub const ACCOUNTS_PER_PAGE_MAX: i64 = 1_000;
/// Whether an account takes part in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Active,
    /// Its owner, or its not having moved in yet, keeps it out.
    Deactivated,
    /// It waits in the sign-up queue, or is just being admitted.
    Queued,
    /// A moderation decision keeps it out.
    TakenDown,
}

impl Status {
    /// Reads an account's status.
    pub fn of(account: &Account) -> Self {
        let status = Self::with(account.takedown_ref.is_some(), account.deactivated_at.is_some());
        if status == Self::Deactivated && account.is_queued { Self::Queued } else { status }
    }

    /// Tells the status of an account that is taken down or not, deactivated or not.
    pub fn with(is_taken_down: bool, is_deactivated: bool) -> Self {
        if is_taken_down {
            Self::TakenDown
        } else if is_deactivated {
            Self::Deactivated
        } else {
            Self::Active
        }
    }

    /// Whether the account takes part.
    pub fn is_active(self) -> bool {
        self == Self::Active
    }

    /// The protocol's name for an inactive status.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Active => None,
            // Nobody else is to know of the queue.
            Self::Deactivated | Self::Queued => Some("deactivated"),
            Self::TakenDown => Some("takendown"),
        }
    }
}

/// A page of accounts.
pub struct Page {
    /// The accounts, oldest first.
    pub accounts: Vec<Account>,
    /// What asks for the next page; none at the end.
    pub cursor: Option<String>,
}

/// Finds an account by DID, handle or e-mail address.
pub async fn find(app: &App, identifier: &str) -> Result<Option<Account>, ReadError> {
    let identifier = identifier.trim();
    if identifier.contains('@') {
        return accounts::by_email_key(&*app.db, &emails::lookup_key(identifier)).await;
    }
    match AtIdentifier::parse(identifier) {
        Ok(AtIdentifier::Did(did)) => accounts::by_did(&*app.db, &did).await,
        Ok(AtIdentifier::Handle(handle)) => accounts::by_handle(&*app.db, &handle).await,
        Err(_) => Ok(None),
    }
}

/// Reads the active account with this handle.
pub async fn active_by_handle(app: &App, handle: &Handle) -> Result<Option<Account>, ReadError> {
    let account = accounts::by_handle(&*app.db, handle).await?;
    Ok(account.filter(|account| Status::of(account).is_active()))
}

/// Reads the account with this DID.
pub async fn by_did(app: &App, did: &Did) -> Result<Option<Account>, ReadError> {
    accounts::by_did(&*app.db, did).await
}

/// Lists accounts, oldest first. A cursor that is none of ours lists from the start.
pub async fn list(app: &App, cursor: Option<&str>, limit: i64) -> Result<Page, ReadError> {
    let limit = limit.clamp(1, ACCOUNTS_PER_PAGE_MAX);
    let after = cursor.and_then(|cursor| cursor.split_once("::"));
    let after = after.and_then(|(time, did)| Some((time.parse().ok()?, did)));
    let accounts = accounts::page(&*app.db, after, limit).await?;
    let full = i64::try_from(accounts.len()).is_ok_and(|count| count == limit);
    let cursor = accounts.last().filter(|_| full).map(|last| format!("{}::{}", last.created_at, last.did));
    Ok(Page { accounts, cursor })
}
