//! `com.atproto.identity.getRecommendedDidCredentials`: what the DID of an account here should say.
//!
//! Lexicon: `lexicons/com/atproto/identity/getRecommendedDidCredentials.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::identity::get_recommended_did_credentials::{GetRecommendedDidCredentials, Output};
use serde_json::json;

use crate::{
    app::App,
    domain::{
        identity::published,
        identity_lookup::hosted::{PDS_SERVICE_NAME, PDS_SERVICE_TYPE, SIGNING_KEY_NAME},
    },
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Access},
};

/// Tells it for the account of the session.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<GetRecommendedDidCredentials, Access>,
) -> XrpcResult<GetRecommendedDidCredentials> {
    let advised = published::credentials(&app, &request.auth.0.account).await?;
    Ok(XrpcResponse::new(Output {
        rotation_keys: advised.rotation_keys.map(|keys| keys.iter().map(ToString::to_string).collect()),
        also_known_as: Some(vec![format!("at://{}", advised.handle)]),
        verification_methods: Some(json!({ SIGNING_KEY_NAME: advised.signing_key })),
        services: Some(json!({ PDS_SERVICE_NAME: { "type": PDS_SERVICE_TYPE, "endpoint": advised.endpoint } })),
    }))
}
