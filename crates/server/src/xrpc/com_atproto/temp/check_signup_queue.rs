//! `com.atproto.temp.checkSignupQueue`: the account's place among those that wait to be let in.
//!
//! Lexicon: `lexicons/com/atproto/temp/checkSignupQueue.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::temp::check_signup_queue::{CheckSignupQueue, Output};

use crate::{
    app::App,
    domain::sign_up::queue,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::AccessOrQueued},
};

/// Tells whether the account is let in, else its place and, where that can be told, for how long it waits.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<CheckSignupQueue, AccessOrQueued>,
) -> XrpcResult<CheckSignupQueue> {
    let account = &request.auth.0.account;
    let place = if app.accounts.waits(account).await? { queue::place(&app, &account.did).await? } else { None };
    Ok(XrpcResponse::new(match place {
        Some(place) => Output {
            activated: false,
            place_in_queue: Some(place.place),
            estimated_time_ms: place.wait_millis.and_then(|millis| i64::try_from(millis).ok()),
        },
        None => Output { activated: true, place_in_queue: None, estimated_time_ms: None },
    }))
}
