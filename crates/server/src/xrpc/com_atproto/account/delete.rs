//! `com.atproto.account.delete`: deletes the account whose owner has just signed in.
//!
//! Lexicon: `lexicons/legacy/com/atproto/account/delete.json`. It has no input: that the password is known shows in a
//! fresh sign-in.

use std::sync::Arc;

use allod_lexicon::{com_atproto::account::delete::Delete, method::NoBody};

use crate::{
    app::App,
    domain::accounts::deletion,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::FullAccess},
};

/// Deletes the account.
pub async fn handler(app: Arc<App>, request: XrpcRequest<Delete, FullAccess>) -> XrpcResult<Delete> {
    deletion::delete_by_session(&app, &request.auth.0).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
