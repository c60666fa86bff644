//! `com.atproto.server.updateEmail`: changes the account's address, or whether signing in needs a code sent there.
//!
//! Lexicon: `lexicons/com/atproto/server/updateEmail.json`.

use std::sync::Arc;

use allod_lexicon::{com_atproto::server::update_email::UpdateEmail, method::NoBody};

use crate::{
    app::App,
    domain::accounts::email,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::FullAccess},
};

/// Changes the address.
pub async fn handler(app: Arc<App>, request: XrpcRequest<UpdateEmail, FullAccess>) -> XrpcResult<UpdateEmail> {
    let input = &request.input;
    let account = &request.auth.0.account;
    email::update(&app, account, &input.email, input.email_auth_factor, input.token.as_deref()).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
