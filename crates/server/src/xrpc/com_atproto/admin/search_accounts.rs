//! `com.atproto.admin.searchAccounts`: accounts by the beginning of their address.
//!
//! Lexicon: `lexicons/com/atproto/admin/searchAccounts.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::admin::search_accounts::{Output, SearchAccounts};

use super::view;
use crate::{
    app::App,
    domain::administration::accounts,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Moderator},
};

/// Finds the accounts.
pub async fn handler(app: Arc<App>, request: XrpcRequest<SearchAccounts, Moderator>) -> XrpcResult<SearchAccounts> {
    let params = request.params;
    let found = accounts::search(&app, params.email.as_deref(), params.cursor.as_deref(), params.limit).await?;
    let accounts = found.accounts.into_iter().map(view).collect();
    Ok(XrpcResponse::new(Output { accounts, cursor: found.cursor }))
}
