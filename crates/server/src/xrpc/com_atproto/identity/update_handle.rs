//! `com.atproto.identity.updateHandle`: gives the account of the session another handle.
//!
//! Lexicon: `lexicons/com/atproto/identity/updateHandle.json`.

use std::sync::Arc;

use allod_lexicon::{com_atproto::identity::update_handle::UpdateHandle, method::NoBody};

use crate::{
    app::App,
    domain::identity::handle::{self, By},
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::FullAccess},
};

/// Changes the handle.
pub async fn handler(app: Arc<App>, request: XrpcRequest<UpdateHandle, FullAccess>) -> XrpcResult<UpdateHandle> {
    handle::update_handle(&app, &request.auth.0.account.did, &request.input.handle, By::Owner).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
