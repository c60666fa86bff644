//! `com.atproto.admin.updateAccountSigningKey`: gives an account another signing key, one that was reserved here.
//!
//! Lexicon: `lexicons/com/atproto/admin/updateAccountSigningKey.json`.

use std::sync::Arc;

use allod_atproto::crypto::DidKey;
use allod_lexicon::{Method, com_atproto::admin::update_account_signing_key::UpdateAccountSigningKey, method::NoBody};

use crate::{
    app::App,
    domain::administration::identities,
    xrpc::{XrpcError, XrpcRequest, XrpcResponse, XrpcResult, auth::Admin},
};

/// Publishes the key, and signs with it from then on.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<UpdateAccountSigningKey, Admin>,
) -> XrpcResult<UpdateAccountSigningKey> {
    let by = request.auth.by(UpdateAccountSigningKey::NSID);
    let input = request.input;
    let key = DidKey::parse(input.signing_key.as_str());
    let key = key.map_err(|error| XrpcError::invalid_request(format!("signingKey: {error}")))?;
    identities::set_signing_key(&app, &by, &input.did, &key).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
