//! `com.atproto.temp.requestPhoneVerification`: sends a code to a telephone, to be shown at sign-up.
//!
//! Lexicon: `lexicons/com/atproto/temp/requestPhoneVerification.json`.

use std::sync::Arc;

use allod_lexicon::{com_atproto::temp::request_phone_verification::RequestPhoneVerification, method::NoBody};

use crate::{
    app::App,
    domain::phone::PhoneError,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Sends a code.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<RequestPhoneVerification, Anonymous>,
) -> XrpcResult<RequestPhoneVerification> {
    let gate = app.phone.as_ref().ok_or(PhoneError::Off)?;
    gate.request_code(&request.input.phone_number).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
