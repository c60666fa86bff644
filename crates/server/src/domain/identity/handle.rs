//! Changing an account's handle.

use std::sync::Arc;

use allod_atproto::{Did, Handle};
use allod_net::{lookups, resolver::Freshness};
use allod_store::tables::accounts::Account;

use super::{
    changes::{ChangeError, Planned, Turn},
    operations,
    published::{self, PublishedError},
};
use crate::{
    app::App,
    domain::handles::{AdmissibleHandle, HandleError},
};

/// Who changes a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The account's owner.
    Owner,
    /// The operator, who may give out reserved names.
    Operator,
}

/// Why a handle was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateHandleError {
    /// It is one that an account here can't have.
    #[error(transparent)]
    Handle(#[from] HandleError),
    /// It is under a domain of the owner's own, which does not name the account.
    #[error("External handle did not resolve to DID")]
    Unproven,
    /// The DID is kept by its owner, and does not claim the handle.
    #[error("DID is not properly configured for handle")]
    NotClaimed,
    /// The change itself.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// Gives an account another handle: the directory first, then here, then the network is told. Runs to its end even when
/// the caller goes away.
pub async fn update_handle(app: &Arc<App>, did: &Did, typed: &str, by: By) -> Result<(), UpdateHandleError> {
    let admissible = match by {
        By::Owner => app.handles.admit(typed)?,
        By::Operator => app.handles.admit_by_operator(typed)?,
    };
    if let AdmissibleHandle::Own(handle) = &admissible {
        match app.resolver.handle(handle).await {
            Ok(Some(owner)) if owner == *did => {}
            Ok(_) | Err(_) => return Err(UpdateHandleError::Unproven),
        }
    }
    let (app, did, handle) = (Arc::clone(app), did.clone(), admissible.handle().clone());
    let task = lookups::spawn(async move { carry_out(&app, &did, handle).await });
    task.await.map_err(|error| ChangeError::Internal(error.to_string()))?
}

async fn carry_out(app: &Arc<App>, did: &Did, handle: Handle) -> Result<(), UpdateHandleError> {
    let (turn, account) = Turn::begin(app, did).await?;
    if !published::is_plc(did) {
        return if app.identities.is_ours(did).await.map_err(ChangeError::from)? {
            // The document follows the account.
            Ok(turn.adopt_handle(&account, &handle).await?)
        } else {
            adopt_claimed(app, &turn, &account, &handle).await
        };
    }
    let (before, prev) = operations::current(app, did).await?;
    let mut data = before.clone();
    operations::claim(&mut data.also_known_as, &handle);
    if data == before {
        // The directory has it already, as when the owner has changed it there.
        return Ok(turn.adopt_handle(&account, &handle).await?);
    }
    if published::is_left_to_owner(app, &before) {
        return if published::claimed_handle(&before.also_known_as).as_ref() == Some(&handle) {
            Ok(turn.adopt_handle(&account, &handle).await?)
        } else {
            Err(UpdateHandleError::NotClaimed)
        };
    }
    let operation = operations::sign(app, &before, data, prev)?;
    Ok(turn.submit(&account, Planned { operation, handle: Some(handle), key: None }).await?)
}

/// Whoever keeps their own document says there what their handle is.
async fn adopt_claimed(app: &App, turn: &Turn, account: &Account, handle: &Handle) -> Result<(), UpdateHandleError> {
    let document = app.identities.resolve_document(&account.did, Freshness::Fresh).await;
    let document = document.map_err(PublishedError::from).map_err(ChangeError::from)?;
    if document.handle().as_ref() != Some(handle) {
        return Err(UpdateHandleError::NotClaimed);
    }
    Ok(turn.adopt_handle(account, handle).await?)
}
