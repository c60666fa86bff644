//! `com.atproto.identity.resolveHandle`: a handle's DID, of an account here or anywhere.
//!
//! Lexicon: `lexicons/com/atproto/identity/resolveHandle.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::identity::resolve_handle::{Error, Output, ResolveHandle};
use allod_net::resolver::Freshness;

use crate::{
    app::App,
    xrpc::{XrpcError, XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Resolves a handle.
pub async fn handler(app: Arc<App>, request: XrpcRequest<ResolveHandle, Anonymous>) -> XrpcResult<ResolveHandle> {
    match app.identities.resolve_handle(&request.params.handle, Freshness::Cached).await? {
        Some(did) => Ok(XrpcResponse::new(Output { did })),
        None => Err(XrpcError::declared(Error::HandleNotFound, "Unable to resolve handle")),
    }
}
