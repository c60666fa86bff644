//! `com.atproto.server.getAccountInviteCodes`: the codes that an account may give away.
//!
//! Lexicon: `lexicons/com/atproto/server/getAccountInviteCodes.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::server::get_account_invite_codes::{GetAccountInviteCodes, Output};

use crate::{
    app::App,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::FullAccess, com_atproto::admin::invite_view},
};

/// Lists the codes.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<GetAccountInviteCodes, FullAccess>,
) -> XrpcResult<GetAccountInviteCodes> {
    let account = &request.auth.0.account;
    let params = request.params;
    let codes = app.invites.of_account(account, params.include_used, params.create_available).await?;
    Ok(XrpcResponse::new(Output { codes: codes.into_iter().map(invite_view).collect() }))
}
