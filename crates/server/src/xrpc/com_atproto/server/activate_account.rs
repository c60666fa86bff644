//! `com.atproto.server.activateAccount`: takes an account that has moved in, or was deactivated, into the network.
//!
//! Lexicon: `lexicons/com/atproto/server/activateAccount.json`.

use std::sync::Arc;

use allod_lexicon::{com_atproto::server::activate_account::ActivateAccount, method::NoBody};

use crate::{
    app::App,
    domain::accounts::activation,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::FullAccess},
};

/// Activates the account of the session.
pub async fn handler(app: Arc<App>, request: XrpcRequest<ActivateAccount, FullAccess>) -> XrpcResult<ActivateAccount> {
    activation::activate(&app, &request.auth.0.account).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
