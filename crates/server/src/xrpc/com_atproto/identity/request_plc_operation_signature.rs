//! `com.atproto.identity.requestPlcOperationSignature`: mails the code that signPlcOperation needs.
//!
//! Lexicon: `lexicons/com/atproto/identity/requestPlcOperationSignature.json`.

use std::sync::Arc;

use allod_lexicon::{
    com_atproto::identity::request_plc_operation_signature::RequestPlcOperationSignature, method::NoBody,
};

use crate::{
    app::App,
    domain::identity::owner,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::FullOrTakenDown},
};

/// Mails the code.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<RequestPlcOperationSignature, FullOrTakenDown>,
) -> XrpcResult<RequestPlcOperationSignature> {
    owner::request_code(&app, &request.auth.0.account).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
