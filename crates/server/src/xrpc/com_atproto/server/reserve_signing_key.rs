//! `com.atproto.server.reserveSigningKey`: a signing key for an account to come.
//!
//! Lexicon: `lexicons/com/atproto/server/reserveSigningKey.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::server::reserve_signing_key::{Output, ReserveSigningKey};

use crate::{
    app::App,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Reserves a key; the same one for the same DID.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<ReserveSigningKey, Anonymous>,
) -> XrpcResult<ReserveSigningKey> {
    let did_key = app.reserved_keys.reserve(request.input.did.as_ref()).await?;
    Ok(XrpcResponse::new(Output { signing_key: did_key.as_str().to_owned() }))
}
