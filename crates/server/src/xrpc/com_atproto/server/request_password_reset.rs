//! `com.atproto.server.requestPasswordReset`: mails a code that sets another password, if an account has the address.
//!
//! Lexicon: `lexicons/com/atproto/server/requestPasswordReset.json`.

use std::sync::Arc;

use allod_lexicon::{com_atproto::server::request_password_reset::RequestPasswordReset, method::NoBody};

use crate::{
    app::App,
    domain::accounts::password,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Mails the code. The answer does not tell whether there is such an account.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<RequestPasswordReset, Anonymous>,
) -> XrpcResult<RequestPasswordReset> {
    password::request_reset(&app, &request.input.email).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
