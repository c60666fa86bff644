//! Finding accounts.

use allod_atproto::{AtIdentifier, Did, Handle};
use allod_store::{
    ReadError,
    tables::accounts::{self, Account},
};

use super::{account_status::Status, core::Core, emails};

/// How many accounts one page lists at the most.
pub const ACCOUNTS_PER_PAGE_MAX: i64 = 1_000;

/// Finds the accounts of one server.
#[derive(Clone)]
pub struct AccountLookup {
    core: Core,
}

/// A page of accounts.
pub struct Page {
    /// The accounts, oldest first.
    pub accounts: Vec<Account>,
    /// What asks for the next page; none at the end.
    pub cursor: Option<String>,
}

impl AccountLookup {
    /// Reads the store.
    pub fn new(core: Core) -> Self {
        Self { core }
    }

    /// Finds an account by DID, handle or e-mail address.
    pub async fn find(&self, identifier: &str) -> Result<Option<Account>, ReadError> {
        let identifier = identifier.trim();
        if identifier.contains('@') {
            return accounts::by_email_key(&*self.core.db, &emails::lookup_key(identifier)).await;
        }
        match AtIdentifier::parse(identifier) {
            Ok(AtIdentifier::Did(did)) => accounts::by_did(&*self.core.db, &did).await,
            Ok(AtIdentifier::Handle(handle)) => accounts::by_handle(&*self.core.db, &handle).await,
            Err(_) => Ok(None),
        }
    }

    /// Reads the active account with this handle.
    pub async fn active_by_handle(&self, handle: &Handle) -> Result<Option<Account>, ReadError> {
        let account = accounts::by_handle(&*self.core.db, handle).await?;
        Ok(account.filter(|account| Status::of(account).is_active()))
    }

    /// Reads the account with this DID.
    pub async fn by_did(&self, did: &Did) -> Result<Option<Account>, ReadError> {
        accounts::by_did(&*self.core.db, did).await
    }

    /// Lists accounts, oldest first. A cursor that is none of ours lists from the start.
    pub async fn list(&self, cursor: Option<&str>, limit: i64) -> Result<Page, ReadError> {
        let limit = limit.clamp(1, ACCOUNTS_PER_PAGE_MAX);
        let after = cursor.and_then(|cursor| cursor.split_once("::"));
        let after = after.and_then(|(time, did)| Some((time.parse().ok()?, did)));
        let accounts = accounts::page(&*self.core.db, after, limit).await?;
        let full = i64::try_from(accounts.len()).is_ok_and(|count| count == limit);
        let cursor = accounts.last().filter(|_| full).map(|last| format!("{}::{}", last.created_at, last.did));
        Ok(Page { accounts, cursor })
    }
}
