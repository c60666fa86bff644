//! `com.atproto.server.deactivateAccount`: takes an account out of the network until it is activated again.
//!
//! Lexicon: `lexicons/com/atproto/server/deactivateAccount.json`.

use std::sync::Arc;

use allod_lexicon::{com_atproto::server::deactivate_account::DeactivateAccount, method::NoBody};

use crate::{
    app::App,
    domain::accounts::activation,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::FullOrTakenDown},
};

/// Deactivates the account of the session.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<DeactivateAccount, FullOrTakenDown>,
) -> XrpcResult<DeactivateAccount> {
    activation::deactivate(&app, &request.auth.0.account, request.input.delete_after.as_ref()).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
