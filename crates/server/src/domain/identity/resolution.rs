//! Resolving identities for anybody: document and handle, each confirmed by the other.

use std::sync::Arc;

use allod_atproto::{AtIdentifier, Did, Handle, did_doc::DidDocument, plc::Operation};
use allod_net::resolver::{Freshness, ResolveError};
use allod_store::ReadError;

use super::published;
use crate::app::App;
use crate::domain::identity_lookup::{DocumentError, HandleLookupError};

/// What stands for a handle that is not confirmed.
pub const INVALID_HANDLE: &str = "handle.invalid";

/// An identity as it presents itself.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its DID.
    pub did: Did,
    /// Its handle, if the document claims it and it leads to the DID.
    pub handle: Option<Handle>,
    /// Its document.
    pub document: Arc<DidDocument>,
}

/// Why an identity is not resolved.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The handle leads nowhere.
    #[error("Unable to resolve handle")]
    HandleNotFound,
    /// The DID has no document.
    #[error("Unable to resolve DID: {0}")]
    DidNotFound(Did),
    /// The DID was ended.
    #[error("DID was deactivated: {0}")]
    DidDeactivated(Did),
    /// Whoever keeps it could not be asked.
    #[error("the DID could not be looked up: {reason}")]
    Unavailable {
        /// For the log.
        reason: String,
    },
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<HandleLookupError> for IdentityError {
    fn from(error: HandleLookupError) -> Self {
        match error {
            HandleLookupError::Busy(busy) => Self::Unavailable { reason: busy.to_string() },
            HandleLookupError::Read(error) => error.into(),
        }
    }
}

/// Resolves a DID to its document.
pub async fn document(app: &App, did: &Did, freshness: Freshness) -> Result<Arc<DidDocument>, IdentityError> {
    let error = match app.identities.resolve_document(did, freshness).await {
        Ok(document) => return Ok(document),
        Err(DocumentError::Resolve(error)) => error,
        Err(DocumentError::Read(error)) => return Err(error.into()),
    };
    Err(match error {
        ResolveError::NotFound(_) if published::is_plc(did) => match app.resolver.last_operation(did).await {
            Ok(Some(Operation::Tombstone(_))) => IdentityError::DidDeactivated(did.clone()),
            Ok(_) | Err(_) => IdentityError::DidNotFound(did.clone()),
        },
        ResolveError::Unsupported(_) | ResolveError::NotFound(_) => IdentityError::DidNotFound(did.clone()),
        ResolveError::Unavailable { reason, .. } => IdentityError::Unavailable { reason },
    })
}

/// Resolves a handle or DID to the whole identity.
pub async fn identity(app: &App, identifier: &AtIdentifier, freshness: Freshness) -> Result<Identity, IdentityError> {
    let did = match identifier {
        AtIdentifier::Did(did) => did.clone(),
        AtIdentifier::Handle(handle) => {
            app.identities.resolve_handle(handle, freshness).await?.ok_or(IdentityError::HandleNotFound)?
        }
    };
    let document = document(app, &did, freshness).await?;
    let handle = match document.handle() {
        Some(claimed) => {
            app.identities.resolve_handle(&claimed, freshness).await?.filter(|owner| *owner == did).map(|_| claimed)
        }
        None => None,
    };
    Ok(Identity { did, handle, document })
}
