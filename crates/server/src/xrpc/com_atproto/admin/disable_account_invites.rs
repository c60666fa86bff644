//! `com.atproto.admin.disableAccountInvites`: closes an account's invites.
//!
//! Lexicon: `lexicons/com/atproto/admin/disableAccountInvites.json`.

use std::sync::Arc;

use allod_lexicon::{Method, com_atproto::admin::disable_account_invites::DisableAccountInvites, method::NoBody};

use crate::{
    app::App,
    domain::administration::accounts,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Moderator},
};

/// Closes them, and keeps the note.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<DisableAccountInvites, Moderator>,
) -> XrpcResult<DisableAccountInvites> {
    let input = request.input;
    accounts::set_invites(&app, &request.auth.by(DisableAccountInvites::NSID), &input.account, true, input.note)
        .await?;
    Ok(XrpcResponse::new(NoBody {}))
}
