//! `com.atproto.temp.addReservedHandle`: keeps a handle from being had.
//!
//! Lexicon: `lexicons/com/atproto/temp/addReservedHandle.json`.

use std::sync::Arc;

use allod_lexicon::{
    Method,
    com_atproto::temp::add_reserved_handle::{AddReservedHandle, Output},
};

use crate::{
    app::App,
    domain::administration::handles,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Admin},
};

/// Reserves the handle.
pub async fn handler(app: Arc<App>, request: XrpcRequest<AddReservedHandle, Admin>) -> XrpcResult<AddReservedHandle> {
    let by = request.auth.by(AddReservedHandle::NSID);
    handles::reserve(&app, &by, &request.input.handle).await?;
    Ok(XrpcResponse::new(Output {}))
}
