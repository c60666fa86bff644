//! `com.atproto.server.requestEmailConfirmation`: mails a code that confirms the account's address.
//!
//! Lexicon: `lexicons/com/atproto/server/requestEmailConfirmation.json`.

use std::sync::Arc;

use allod_lexicon::{com_atproto::server::request_email_confirmation::RequestEmailConfirmation, method::NoBody};

use crate::{
    app::App,
    domain::email_codes::Purpose,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Access},
};

/// Mails the code.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<RequestEmailConfirmation, Access>,
) -> XrpcResult<RequestEmailConfirmation> {
    app.mail.send_code(&request.auth.0.account, Purpose::ConfirmEmail).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
