//! `com.atproto.admin.enableAccountInvites`: opens an account's invites.
//!
//! Lexicon: `lexicons/com/atproto/admin/enableAccountInvites.json`.

use std::sync::Arc;

use allod_lexicon::{Method, com_atproto::admin::enable_account_invites::EnableAccountInvites, method::NoBody};

use crate::{
    app::App,
    domain::administration::accounts,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Moderator},
};

/// Opens them, and keeps the note.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<EnableAccountInvites, Moderator>,
) -> XrpcResult<EnableAccountInvites> {
    let input = request.input;
    accounts::set_invites(&app, &request.auth.by(EnableAccountInvites::NSID), &input.account, false, input.note)
        .await?;
    Ok(XrpcResponse::new(NoBody {}))
}
