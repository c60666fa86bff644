//! `com.atproto.server.requestEmailUpdate`: tells whether another address needs a code, and mails it.
//!
//! Lexicon: `lexicons/com/atproto/server/requestEmailUpdate.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::server::request_email_update::{Output, RequestEmailUpdate};

use crate::{
    app::App,
    domain::accounts::email,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::FullAccess},
};

/// Mails the code, if one is needed.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<RequestEmailUpdate, FullAccess>,
) -> XrpcResult<RequestEmailUpdate> {
    let token_required = email::prepare_update(&app, &request.auth.0.account).await?;
    Ok(XrpcResponse::new(Output { token_required }))
}
