//! `com.atproto.server.createInviteCode`: one invite code, by the operator.
//!
//! Lexicon: `lexicons/com/atproto/server/createInviteCode.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::server::create_invite_code::{CreateInviteCode, Output};

use crate::{
    app::App,
    domain::invites,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Admin},
};

/// Makes a code.
pub async fn handler(app: Arc<App>, request: XrpcRequest<CreateInviteCode, Admin>) -> XrpcResult<CreateInviteCode> {
    let owner = request.input.for_account.map_or_else(|| invites::ADMIN.to_owned(), |did| did.to_string());
    let code = app.invites.create_one(request.input.use_count, owner).await?;
    Ok(XrpcResponse::new(Output { code }))
}
