//! `com.atproto.admin.getInviteCodes`: every invite code, a page at a time.
//!
//! Lexicon: `lexicons/com/atproto/admin/getInviteCodes.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::admin::get_invite_codes::{GetInviteCodes, Output};

use super::invite_view;
use crate::{
    app::App,
    domain::invites::Sort,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Moderator},
};

/// Lists the codes.
pub async fn handler(app: Arc<App>, request: XrpcRequest<GetInviteCodes, Moderator>) -> XrpcResult<GetInviteCodes> {
    let params = request.params;
    let sort = Sort::named(&params.sort)?;
    let page = app.invites.page(sort, params.cursor.as_deref(), params.limit).await?;
    let codes = page.codes.into_iter().map(invite_view).collect();
    Ok(XrpcResponse::new(Output { codes, cursor: page.cursor }))
}
