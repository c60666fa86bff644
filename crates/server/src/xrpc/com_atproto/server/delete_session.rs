//! `com.atproto.server.deleteSession`: ends the sign-in a refresh token belongs to, at once and for all its tokens.
//!
//! Lexicon: `lexicons/com/atproto/server/deleteSession.json`.

use std::sync::Arc;

use allod_lexicon::{com_atproto::server::delete_session::DeleteSession, method::NoBody};

use crate::{
    app::App,
    domain::sessions,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::RefreshToken},
};

/// Signs out.
pub async fn handler(app: Arc<App>, request: XrpcRequest<DeleteSession, RefreshToken>) -> XrpcResult<DeleteSession> {
    sessions::end(&app, request.auth.0.expose()).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
