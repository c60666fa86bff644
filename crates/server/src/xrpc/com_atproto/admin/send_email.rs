//! `com.atproto.admin.sendEmail`: writes to an account's owner.
//!
//! Lexicon: `lexicons/com/atproto/admin/sendEmail.json`.

use std::sync::Arc;

use allod_lexicon::{
    Method,
    com_atproto::admin::send_email::{Output, SendEmail},
};

use crate::{
    app::App,
    domain::administration::accounts,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Moderator},
};

/// Posts the letter.
pub async fn handler(app: Arc<App>, request: XrpcRequest<SendEmail, Moderator>) -> XrpcResult<SendEmail> {
    let by = request.auth.by(SendEmail::NSID);
    let input = request.input;
    accounts::send_email(&app, &by, &input.recipient_did, input.subject, input.content).await?;
    Ok(XrpcResponse::new(Output { sent: true }))
}
