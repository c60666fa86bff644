//! `com.atproto.temp.revokeAccountCredentials`: ends an account's sign-ins, password and app passwords.
//!
//! Lexicon: `lexicons/com/atproto/temp/revokeAccountCredentials.json`.

use std::sync::Arc;

use allod_lexicon::{Method, com_atproto::temp::revoke_account_credentials::RevokeAccountCredentials, method::NoBody};

use crate::{
    app::App,
    domain::administration::accounts,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Admin},
};

/// Takes them away.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<RevokeAccountCredentials, Admin>,
) -> XrpcResult<RevokeAccountCredentials> {
    let by = request.auth.by(RevokeAccountCredentials::NSID);
    accounts::revoke_credentials(&app, &by, &request.input.account).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
