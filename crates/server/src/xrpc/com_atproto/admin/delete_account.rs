//! `com.atproto.admin.deleteAccount`: deletes an account by the operator's word.
//!
//! Lexicon: `lexicons/com/atproto/admin/deleteAccount.json`.

use std::sync::Arc;

use allod_lexicon::{Method, com_atproto::admin::delete_account::DeleteAccount, method::NoBody};

use crate::{
    app::App,
    domain::administration::accounts,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Admin},
};

/// Deletes the account.
pub async fn handler(app: Arc<App>, request: XrpcRequest<DeleteAccount, Admin>) -> XrpcResult<DeleteAccount> {
    accounts::delete(&app, &request.auth.by(DeleteAccount::NSID), &request.input.did).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
