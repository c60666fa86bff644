//! `com.atproto.server.getServiceAuth`: a token with which another service knows the account.
//!
//! Lexicon: `lexicons/com/atproto/server/getServiceAuth.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::server::get_service_auth::{GetServiceAuth, Output};

use crate::{
    app::App,
    domain::service_auth::TokenRequest,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::AccessOrTakenDown},
};

/// Signs a token with the account's key.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<GetServiceAuth, AccessOrTakenDown>,
) -> XrpcResult<GetServiceAuth> {
    let XrpcRequest { auth: AccessOrTakenDown(session), params, .. } = request;
    let wanted = TokenRequest { audience: &params.aud, expires_at_secs: params.exp, method: params.lxm };
    let token = app.service_auth.mint(&session, wanted).await?;
    Ok(XrpcResponse::new(Output { token }))
}
