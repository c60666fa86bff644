//! `com.atproto.server.revokeAppPassword`: revokes an app password and ends the sign-ins made with it.
//!
//! Lexicon: `lexicons/com/atproto/server/revokeAppPassword.json`.

use std::sync::Arc;

use allod_lexicon::{com_atproto::server::revoke_app_password::RevokeAppPassword, method::NoBody};

use crate::{
    app::App,
    domain::sessions::app_passwords,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::FullAccess},
};

/// Revokes an app password; one that is not there is revoked already.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<RevokeAppPassword, FullAccess>,
) -> XrpcResult<RevokeAppPassword> {
    app_passwords::revoke(&app, &request.auth.0.account.did, &request.input.name).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
