//! `com.atproto.server.confirmEmail`: confirms the account's address with a mailed code.
//!
//! Lexicon: `lexicons/com/atproto/server/confirmEmail.json`.

use std::sync::Arc;

use allod_lexicon::{com_atproto::server::confirm_email::ConfirmEmail, method::NoBody};

use crate::{
    app::App,
    domain::accounts::email,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Access},
};

/// Confirms the address.
pub async fn handler(app: Arc<App>, request: XrpcRequest<ConfirmEmail, Access>) -> XrpcResult<ConfirmEmail> {
    let input = &request.input;
    email::confirm(&app, &request.auth.0.account, &input.email, &input.token).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
