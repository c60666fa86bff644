//! `com.atproto.server.requestAccountDelete`: mails a code that deletes the account.
//!
//! Lexicon: `lexicons/com/atproto/server/requestAccountDelete.json`.

use std::sync::Arc;

use allod_lexicon::{com_atproto::server::request_account_delete::RequestAccountDelete, method::NoBody};

use crate::{
    app::App,
    domain::email_codes::Purpose,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::FullAccess},
};

/// Mails the code.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<RequestAccountDelete, FullAccess>,
) -> XrpcResult<RequestAccountDelete> {
    app.mail.send_code(&request.auth.0.account, Purpose::DeleteAccount).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
