//! `com.atproto.admin.updateAccountHandle`: gives an account another handle by the operator's word.
//!
//! Lexicon: `lexicons/com/atproto/admin/updateAccountHandle.json`.

use std::sync::Arc;

use allod_lexicon::{com_atproto::admin::update_account_handle::UpdateAccountHandle, method::NoBody};

use crate::{
    app::App,
    domain::identity::handle::{self, By},
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Admin},
};

/// Changes the handle.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<UpdateAccountHandle, Admin>,
) -> XrpcResult<UpdateAccountHandle> {
    handle::update_handle(&app, &request.input.did, request.input.handle.as_str(), By::Operator).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
