//! `app.bsky.actor.getPreferences`: what the account's apps keep for it.
//!
//! Lexicon: `lexicons/app/bsky/actor/getPreferences.json`.

use std::sync::Arc;

use allod_lexicon::app_bsky::actor::get_preferences::{GetPreferences, Output};

use crate::{
    app::App,
    domain::preferences,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::AccessOrTakenDown},
};

/// Reads the preferences.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<GetPreferences, AccessOrTakenDown>,
) -> XrpcResult<GetPreferences> {
    Ok(XrpcResponse::new(Output { preferences: preferences::get(&app, &request.auth.0).await? }))
}
