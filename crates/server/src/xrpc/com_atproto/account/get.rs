//! `com.atproto.account.get`: the caller's account. Its lexicon declares no output, so the shape is getSession's.
//!
//! Lexicon: `lexicons/legacy/com/atproto/account/get.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::account::get::Get;
use http::HeaderValue;

use crate::{
    app::App,
    xrpc::{XrpcError, XrpcRequest, XrpcResponse, XrpcResult, auth::Access, com_atproto::server::get_session},
};

/// Tells the account of the session.
pub async fn handler(app: Arc<App>, request: XrpcRequest<Get, Access>) -> XrpcResult<Get> {
    let output = get_session::output(&app, &request.auth.0.account).await?;
    let body = serde_json::to_vec(&output).map_err(XrpcError::internal)?;
    Ok(XrpcResponse::bytes(HeaderValue::from_static("application/json"), body))
}
