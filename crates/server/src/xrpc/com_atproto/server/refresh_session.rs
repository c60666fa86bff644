//! `com.atproto.server.refreshSession`: exchanges a refresh token for the next pair.
//!
//! Lexicon: `lexicons/com/atproto/server/refreshSession.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::server::refresh_session::{Output, RefreshSession};

use crate::{
    app::App,
    domain::{account_status::Status, sessions},
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::RefreshToken},
};

/// Rotates the session's tokens.
pub async fn handler(app: Arc<App>, request: XrpcRequest<RefreshSession, RefreshToken>) -> XrpcResult<RefreshSession> {
    let (account, tokens) = sessions::refresh(&app, request.auth.0.expose()).await?;
    let status = Status::of(&account);
    let did_doc = app.identities.session_document(&account.did).await;
    Ok(XrpcResponse::new(Output {
        access_jwt: tokens.access,
        refresh_jwt: tokens.refresh,
        handle: account.handle,
        did: account.did,
        did_doc,
        email: account.email,
        email_confirmed: Some(account.email_confirmed_at.is_some()),
        email_auth_factor: Some(account.email_auth_factor),
        active: Some(status.is_active()),
        status: status.name().map(str::to_owned),
    }))
}
