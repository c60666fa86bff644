//! `com.atproto.admin.getAccountInfos`: several accounts, as moderators see them.
//!
//! Lexicon: `lexicons/com/atproto/admin/getAccountInfos.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::admin::get_account_infos::{GetAccountInfos, Output};

use super::view;
use crate::{
    app::App,
    domain::administration::accounts,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Moderator},
};

/// Tells of those accounts that are here.
pub async fn handler(app: Arc<App>, request: XrpcRequest<GetAccountInfos, Moderator>) -> XrpcResult<GetAccountInfos> {
    let reports = accounts::reports(&app, &request.params.dids).await?;
    Ok(XrpcResponse::new(Output { infos: reports.into_iter().map(view).collect() }))
}
