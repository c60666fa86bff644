//! `com.atproto.temp.checkHandleAvailability`: whether somebody can sign up with a handle.
//!
//! Lexicon: `lexicons/com/atproto/temp/checkHandleAvailability.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::temp::check_handle_availability::{
    CheckHandleAvailability, Output, OutputResult, ResultAvailable, ResultUnavailable, Suggestion,
};

use crate::{
    app::App,
    domain::administration::handles,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Tells, and suggests others if not.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<CheckHandleAvailability, Anonymous>,
) -> XrpcResult<CheckHandleAvailability> {
    let params = request.params;
    let result = match handles::availability(&app, &params.handle, params.email.as_deref()).await? {
        Ok(()) => OutputResult::ResultAvailable(Box::new(ResultAvailable {})),
        Err(others) => {
            let suggestion = |handle| Suggestion { handle, method: "number".to_owned() };
            let suggestions = others.into_iter().map(suggestion).collect();
            OutputResult::ResultUnavailable(Box::new(ResultUnavailable { suggestions }))
        }
    };
    Ok(XrpcResponse::new(Output { handle: params.handle, result }))
}
