//! `com.atproto.server.deleteAccount`: deletes an account by its password and a mailed code.
//!
//! Lexicon: `lexicons/com/atproto/server/deleteAccount.json`.

use std::sync::Arc;

use allod_base::secret::Secret;
use allod_lexicon::{Method, com_atproto::server::delete_account::DeleteAccount, method::NoBody};

use crate::{
    access,
    app::App,
    domain::accounts::deletion::{self, DeleteError},
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Deletes the account, of whatever status.
pub async fn handler(app: Arc<App>, request: XrpcRequest<DeleteAccount, Anonymous>) -> XrpcResult<DeleteAccount> {
    let XrpcRequest { input, context, .. } = request;
    let password = Secret::new(input.password);
    let deleted = deletion::delete_by_owner(&app, &input.did, password, &input.token, context.client).await;
    deleted.inspect_err(|error| {
        if matches!(error, DeleteError::Credentials | DeleteError::PasswordTooLong) {
            access::sign_in_failed(&context, DeleteAccount::NSID);
        }
    })?;
    Ok(XrpcResponse::new(NoBody {}))
}
