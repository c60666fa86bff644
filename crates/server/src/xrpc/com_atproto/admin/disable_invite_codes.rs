//! `com.atproto.admin.disableInviteCodes`: closes invite codes.
//!
//! Lexicon: `lexicons/com/atproto/admin/disableInviteCodes.json`.

use std::sync::Arc;

use allod_lexicon::{Method, com_atproto::admin::disable_invite_codes::DisableInviteCodes, method::NoBody};

use crate::{
    app::App,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Moderator},
};

/// Closes the codes, and those that the accounts have.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<DisableInviteCodes, Moderator>,
) -> XrpcResult<DisableInviteCodes> {
    let (codes, accounts) = (request.input.codes.unwrap_or_default(), request.input.accounts.unwrap_or_default());
    app.invites.disable(&request.auth.by(DisableInviteCodes::NSID), &codes, &accounts).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
