//! Looking up identities: the DIDs and handles of accounts here, and those of others.
//!
//! A DID or handle of this server is answered from the store; [`Resolver`] looks up all others.

pub mod hosted;

use std::sync::Arc;

use allod_atproto::{Did, Handle, did_doc::DidDocument};
use allod_net::{
    lookups::Busy,
    resolver::{Freshness, ResolveError, Resolver},
};
use allod_store::ReadError as StoreError;

use super::{account_lookup::AccountLookup, core::Core, handles::HandlePolicy};
use crate::config::Config;

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

/// Looks up the identities of accounts here and of others.
pub struct IdentityLookup {
    core: Core,
    resolver: Arc<Resolver>,
    accounts: AccountLookup,
    handles: HandlePolicy,
    /// The origin that the documents of accounts here name.
    public_url: String,
    document_with_session: bool,
}

impl IdentityLookup {
    /// Asks the store and the network.
    pub fn new(
        core: Core,
        resolver: Arc<Resolver>,
        accounts: AccountLookup,
        handles: HandlePolicy,
        config: &Config,
    ) -> Self {
        let public_url = config.service.public_url.clone();
        let document_with_session = config.identity.document_with_session;
        Self { core, resolver, accounts, handles, public_url, document_with_session }
    }

    /// Resolves a handle for any caller: to an active account here, or by looking it up. A handle under one of this
    /// server's domains is never looked up.
    pub async fn resolve_handle(
        &self,
        handle: &Handle,
        freshness: Freshness,
    ) -> Result<Option<Did>, HandleLookupError> {
        if let Some(account) = self.accounts.active_by_handle(handle).await? {
            return Ok(Some(account.did));
        }
        if self.handles.is_under_service_domain(handle) {
            return Ok(None);
        }
        Ok(self.resolver.cached_handle(handle, freshness).await?)
    }

    /// Resolves a DID to its document, which names that DID: from the store if the DID was made here, or by looking it up.
    pub async fn resolve_document(&self, did: &Did, freshness: Freshness) -> Result<Arc<DidDocument>, DocumentError> {
        match self.find_hosted(did).await? {
            Some(hosted) => {
                let document = self.hosted_document(&hosted).ok_or_else(|| ResolveError::NotFound(did.clone()))?;
                Ok(Arc::new(document))
            }
            None => Ok(self.resolver.document(did, freshness).await?),
        }
    }

    /// Returns the DID document for an answer about a session; `None` if the operator disabled it, or if no document is
    /// available quickly. A document that names another server is left out too: clients send all further calls, and with
    /// them the session's tokens, to the server in the document, which is wrong until an account that moves in has changed
    /// its DID.
    pub async fn session_document(&self, did: &Did) -> Option<serde_json::Value> {
        if !self.document_with_session {
            return None;
        }
        if let Ok(Some(hosted)) = self.find_hosted(did).await {
            return self.hosted_document(&hosted).map(DidDocument::into_json);
        }
        let document = self.resolver.document_quickly(did).await?;
        let endpoint = document.pds_endpoint()?;
        is_same_endpoint(endpoint, &self.public_url).then(|| document.json().clone())
    }

    /// Whether a DID that was not made here has a document, as far as can be found out.
    pub async fn exists_elsewhere(&self, did: &Did) -> bool {
        self.resolver.document(did, Freshness::Fresh).await.is_ok()
    }
}

/// Whether two origins are the same but for a slash at the end.
pub fn is_same_endpoint(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}
