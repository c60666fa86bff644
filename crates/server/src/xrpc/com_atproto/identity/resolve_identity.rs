//! `com.atproto.identity.resolveIdentity`: document and confirmed handle of a DID or handle.
//!
//! Lexicon: `lexicons/com/atproto/identity/resolveIdentity.json`.

use std::sync::Arc;

use allod_atproto::Handle;
use allod_lexicon::com_atproto::identity::{defs::IdentityInfo, resolve_identity::ResolveIdentity};
use allod_net::resolver::Freshness;

use crate::{
    app::App,
    domain::identity::resolution::{self, INVALID_HANDLE, Identity},
    xrpc::{XrpcError, XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Resolves the identity.
pub async fn handler(app: Arc<App>, request: XrpcRequest<ResolveIdentity, Anonymous>) -> XrpcResult<ResolveIdentity> {
    let identity = resolution::identity(&app, &request.params.identifier, Freshness::Cached).await?;
    Ok(XrpcResponse::new(info(identity)?))
}

/// Tells an identity.
pub(crate) fn info<E>(identity: Identity) -> Result<IdentityInfo, XrpcError<E>> {
    let handle = match identity.handle {
        Some(handle) => handle,
        None => Handle::parse(INVALID_HANDLE).map_err(XrpcError::internal)?,
    };
    Ok(IdentityInfo { did: identity.did, handle, did_doc: identity.document.json().clone() })
}
