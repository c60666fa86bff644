//! `com.atproto.identity.submitPlcOperation`: sends an operation that leaves the account working here.
//!
//! Lexicon: `lexicons/com/atproto/identity/submitPlcOperation.json`.

use std::sync::Arc;

use allod_lexicon::{com_atproto::identity::submit_plc_operation::SubmitPlcOperation, method::NoBody};

use crate::{
    app::App,
    domain::identity::owner,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::FullAccess},
};

/// Checks the operation and sends it.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<SubmitPlcOperation, FullAccess>,
) -> XrpcResult<SubmitPlcOperation> {
    owner::submit(&app, &request.auth.0.account.did, &request.input.operation).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
