//! `com.atproto.server.deleteAccount`: deletes an account by its password and a mailed code.
//!
//! Lexicon: `lexicons/com/atproto/server/deleteAccount.json`.

use std::sync::Arc;

use allod_lexicon::{com_atproto::server::delete_account::DeleteAccount, method::NoBody};

use crate::{
    app::App,
    domain::{accounts::deletion, secret::Secret},
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Deletes the account, of whatever status.
pub async fn handler(app: Arc<App>, request: XrpcRequest<DeleteAccount, Anonymous>) -> XrpcResult<DeleteAccount> {
    let (input, address) = (request.input, request.context.client);
    deletion::delete_by_owner(&app, &input.did, Secret::new(input.password), &input.token, address).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
