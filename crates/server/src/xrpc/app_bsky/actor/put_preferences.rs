//! `app.bsky.actor.putPreferences`: replaces what the account's apps keep for it.
//!
//! Lexicon: `lexicons/app/bsky/actor/putPreferences.json`.

use std::sync::Arc;

use allod_lexicon::{app_bsky::actor::put_preferences::PutPreferences, method::NoBody};

use crate::{
    app::App,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Access},
};

/// Keeps the preferences.
pub async fn handler(app: Arc<App>, request: XrpcRequest<PutPreferences, Access>) -> XrpcResult<PutPreferences> {
    app.preferences.put(&request.auth.0, request.input.preferences).await?;
    Ok(XrpcResponse::new(NoBody {}))
}
