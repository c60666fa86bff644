//! `com.atproto.account.get`: the caller's account. Its lexicon declares no output, so the shape is getSession's.
//!
//! Lexicon: `lexicons/legacy/com/atproto/account/get.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::{account::get::Get, server::get_session::Output};
use http::HeaderValue;

use crate::{
    app::App,
    domain::accounts::Status,
    xrpc::{XrpcError, XrpcRequest, XrpcResponse, XrpcResult, auth::Access},
};

/// Tells the account of the session.
pub async fn handler(_: Arc<App>, request: XrpcRequest<Get, Access>) -> XrpcResult<Get> {
    let account = request.auth.0.account;
    let status = Status::of(&account);
    let output = Output {
        handle: account.handle,
        did: account.did,
        did_doc: None,
        email: account.email,
        email_confirmed: Some(account.email_confirmed_at.is_some()),
        email_auth_factor: Some(false),
        active: Some(status.is_active()),
        status: status.name().map(str::to_owned),
    };
    let body = serde_json::to_vec(&output).map_err(XrpcError::internal)?;
    Ok(XrpcResponse::bytes(HeaderValue::from_static("application/json"), body))
}
