//! `com.atproto.server.resetPassword`: sets another password with a mailed code, and ends every sign-in.
//!
//! Lexicon: `lexicons/com/atproto/server/resetPassword.json`.

use std::sync::Arc;

use allod_base::secret::Secret;
use allod_lexicon::{com_atproto::server::reset_password::ResetPassword, method::NoBody};

use crate::{
    app::App,
    domain::accounts::password,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Sets the password.
pub async fn handler(app: Arc<App>, request: XrpcRequest<ResetPassword, Anonymous>) -> XrpcResult<ResetPassword> {
    let (input, address) = (request.input, request.context.client);
    password::reset(&app, &input.token, Secret::new(input.password), address).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
