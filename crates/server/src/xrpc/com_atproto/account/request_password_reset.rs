//! `com.atproto.account.requestPasswordReset`: the old name of `com.atproto.server.requestPasswordReset`.
//!
//! Lexicon: `lexicons/legacy/com/atproto/account/requestPasswordReset.json`.

use std::sync::Arc;

use allod_lexicon::{com_atproto::account::request_password_reset::RequestPasswordReset, method::NoBody};

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
