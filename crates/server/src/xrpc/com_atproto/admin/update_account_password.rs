//! `com.atproto.admin.updateAccountPassword`: gives an account another password.
//!
//! Lexicon: `lexicons/com/atproto/admin/updateAccountPassword.json`.

use std::sync::Arc;

use allod_base::secret::Secret;
use allod_lexicon::{Method, com_atproto::admin::update_account_password::UpdateAccountPassword, method::NoBody};

use crate::{
    app::App,
    domain::administration::accounts,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Admin},
};

/// Changes the password.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<UpdateAccountPassword, Admin>,
) -> XrpcResult<UpdateAccountPassword> {
    let by = request.auth.by(UpdateAccountPassword::NSID);
    let input = request.input;
    accounts::set_password(&app, &by, &input.did, Secret::new(input.password)).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
