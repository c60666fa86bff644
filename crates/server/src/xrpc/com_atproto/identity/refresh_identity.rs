//! `com.atproto.identity.refreshIdentity`: looks an identity up anew.
//!
//! Lexicon: `lexicons/com/atproto/identity/refreshIdentity.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::identity::refresh_identity::RefreshIdentity;
use allod_net::resolver::Freshness;

use super::resolve_identity::info;
use crate::{
    app::App,
    domain::identity::resolution,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Access},
};

/// Resolves the identity anew. Not for everybody: each call asks other servers.
pub async fn handler(app: Arc<App>, request: XrpcRequest<RefreshIdentity, Access>) -> XrpcResult<RefreshIdentity> {
    let identity = resolution::identity(&app, &request.input.identifier, Freshness::Fresh).await?;
    Ok(XrpcResponse::new(info(identity)?))
}
