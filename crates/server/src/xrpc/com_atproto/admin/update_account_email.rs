//! `com.atproto.admin.updateAccountEmail`: gives an account another address.
//!
//! Lexicon: `lexicons/com/atproto/admin/updateAccountEmail.json`.

use std::sync::Arc;

use allod_lexicon::{Method, com_atproto::admin::update_account_email::UpdateAccountEmail, method::NoBody};

use crate::{
    app::App,
    domain::administration::accounts,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Admin},
};

/// Changes the address.
pub async fn handler(app: Arc<App>, request: XrpcRequest<UpdateAccountEmail, Admin>) -> XrpcResult<UpdateAccountEmail> {
    let by = request.auth.by(UpdateAccountEmail::NSID);
    accounts::set_email(&app, &by, &request.input.account, &request.input.email).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
