//! `com.atproto.admin.getAccountInfo`: one account, as moderators see it.
//!
//! Lexicon: `lexicons/com/atproto/admin/getAccountInfo.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::admin::get_account_info::GetAccountInfo;

use super::view;
use crate::{
    app::App,
    domain::administration::accounts,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Moderator},
};

/// Tells of the account.
pub async fn handler(app: Arc<App>, request: XrpcRequest<GetAccountInfo, Moderator>) -> XrpcResult<GetAccountInfo> {
    let report = accounts::report(&app, &request.params.did).await?;
    Ok(XrpcResponse::new(view(report)))
}
