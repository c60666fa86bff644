//! Identities: the DIDs and handles of accounts here, and those of others as far as this server answers for them.
//!
//! A DID or handle of this server is answered from the store; [`Resolver`](allod_net::resolver::Resolver) looks up all
//! others.

pub mod changes;
pub mod handle;
pub mod hosted;
mod operations;
pub mod owner;
pub mod published;
pub mod recheck;
pub mod recovery_key;
pub mod resolution;
pub mod signing_key;

use std::sync::Arc;

use allod_atproto::{Did, Handle, did_doc::DidDocument};
use allod_net::{
    lookups::Busy,
    resolver::{Freshness, ResolveError},
};
use allod_store::ReadError as StoreError;

use crate::app::App;

/// Why there is no document for a DID.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The DID could not be resolved.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Whether the DID was made here could not be read.
    #[error(transparent)]
    Read(#[from] StoreError),
}

/// Why a handle was not looked up.
#[derive(Debug, thiserror::Error)]
pub enum HandleLookupError {
    /// Too many lookups are running.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// Whether an account here has the handle could not be read.
    #[error(transparent)]
    Read(#[from] StoreError),
}

/// Resolves a handle for any caller: to an active account here, or by looking it up. A handle under one of this
/// server's domains is never looked up.
pub async fn resolve_handle(
    app: &App,
    handle: &Handle,
    freshness: Freshness,
) -> Result<Option<Did>, HandleLookupError> {
    if let Some(account) = app.accounts.active_by_handle(handle).await? {
        return Ok(Some(account.did));
    }
    if app.handles.is_under_service_domain(handle) {
        return Ok(None);
    }
    Ok(app.resolver.cached_handle(handle, freshness).await?)
}

/// Resolves a DID to its document, which names that DID: from the store if the DID was made here, or by looking it up.
pub async fn resolve_document(app: &App, did: &Did, freshness: Freshness) -> Result<Arc<DidDocument>, DocumentError> {
    match hosted::find(app, did).await? {
        Some(hosted) => {
            let document = hosted::document(app, &hosted).ok_or_else(|| ResolveError::NotFound(did.clone()))?;
            Ok(Arc::new(document))
        }
        None => Ok(app.resolver.document(did, freshness).await?),
    }
}

/// Returns the DID document for an answer about a session; `None` if the operator disabled it, or if no document is
/// available quickly. A document that names another server is left out too: clients send all further calls, and with
/// them the session's tokens, to the server in the document, which is wrong until an account that moves in has changed
/// its DID.
pub async fn session_document(app: &App, did: &Did) -> Option<serde_json::Value> {
    if !app.config.identity.document_with_session {
        return None;
    }
    if let Ok(Some(hosted)) = hosted::find(app, did).await {
        return hosted::document(app, &hosted).map(DidDocument::into_json);
    }
    let document = app.resolver.document_quickly(did).await?;
    let endpoint = document.pds_endpoint()?;
    published::is_same_endpoint(endpoint, &app.config.service.public_url).then(|| document.json().clone())
}

/// Whether a DID that was not made here has a document, as far as can be found out.
pub async fn exists_elsewhere(app: &App, did: &Did) -> bool {
    app.resolver.document(did, Freshness::Fresh).await.is_ok()
}
