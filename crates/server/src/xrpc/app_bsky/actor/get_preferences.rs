//! `app.bsky.actor.getPreferences`: what the account's apps keep for it.
//!
//! Lexicon: `lexicons/app/bsky/actor/getPreferences.json`.

use std::sync::Arc;

use allod_lexicon::app_bsky::actor::get_preferences::{GetPreferences, Output};

use crate::{
    app::App,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::AccessOrTakenDown},
};

/// Reads the preferences.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<GetPreferences, AccessOrTakenDown>,
) -> XrpcResult<GetPreferences> {
    Ok(XrpcResponse::new(Output { preferences: app.preferences.get(&request.auth.0).await? }))
}
