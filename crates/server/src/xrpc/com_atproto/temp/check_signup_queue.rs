//! `com.atproto.temp.checkSignupQueue`: the account's place among those that wait to be let in.
//!
//! Lexicon: `lexicons/com/atproto/temp/checkSignupQueue.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::temp::check_signup_queue::{CheckSignupQueue, Output};

use crate::{
    app::App,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::AccessOrQueued},
};

/// Nobody waits.
pub async fn handler(_: Arc<App>, _: XrpcRequest<CheckSignupQueue, AccessOrQueued>) -> XrpcResult<CheckSignupQueue> {
    Ok(XrpcResponse::new(Output { activated: true, place_in_queue: None, estimated_time_ms: None }))
}
