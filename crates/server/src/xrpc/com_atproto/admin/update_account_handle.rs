//! `com.atproto.admin.updateAccountHandle`: gives an account another handle by the operator's word.
//!
//! Lexicon: `lexicons/com/atproto/admin/updateAccountHandle.json`.

use std::sync::Arc;

use allod_lexicon::{Method, com_atproto::admin::update_account_handle::UpdateAccountHandle, method::NoBody};

use crate::{
    app::App,
    domain::administration::identities,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Admin},
};

/// Changes the handle.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<UpdateAccountHandle, Admin>,
) -> XrpcResult<UpdateAccountHandle> {
    let by = request.auth.by(UpdateAccountHandle::NSID);
    identities::set_handle(&app, &by, &request.input.did, request.input.handle.as_str()).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
