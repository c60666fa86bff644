//! `com.atproto.temp.requestPhoneVerification`: sends a code to a telephone, to be shown at sign-up.
//!
//! Lexicon: `lexicons/com/atproto/temp/requestPhoneVerification.json`.

use std::sync::Arc;

use allod_lexicon::{com_atproto::temp::request_phone_verification::RequestPhoneVerification, method::NoBody};

use crate::{
    app::App,
    domain::phone,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Sends a code.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<RequestPhoneVerification, Anonymous>,
) -> XrpcResult<RequestPhoneVerification> {
    phone::request_code(&app, &request.input.phone_number).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
