//! `com.atproto.account.createInviteCode`: createInviteCode as it was in the protocol's first year.
//!
//! Lexicon: `lexicons/legacy/com/atproto/account/createInviteCode.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::account::create_invite_code::{CreateInviteCode, Output};

use crate::{
    app::App,
    domain::invites,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Admin},
};

/// Makes a code.
pub async fn handler(app: Arc<App>, request: XrpcRequest<CreateInviteCode, Admin>) -> XrpcResult<CreateInviteCode> {
    let code = app.invites.create_one(request.input.use_count, invites::ADMIN.to_owned()).await?;
    Ok(XrpcResponse::new(Output { code }))
}
