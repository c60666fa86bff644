//! `com.atproto.server.describeServer`: what a sign-up here needs, and who runs the server.
//!
//! Lexicon: `lexicons/com/atproto/server/describeServer.json`.

use std::sync::Arc;

use allod_atproto::Uri;
use allod_lexicon::com_atproto::server::describe_server::{Contact, DescribeServer, Links, Output};

use crate::{
    app::App,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Answers from the configuration alone.
pub async fn handler(app: Arc<App>, _: XrpcRequest<DescribeServer, Anonymous>) -> XrpcResult<DescribeServer> {
    let service = &app.config.service;
    let uri = |text: &Option<String>| text.as_deref().and_then(|text| Uri::parse(text).ok());
    Ok(XrpcResponse::new(Output {
        did: service.did.clone(),
        available_user_domains: app.config.sign_up.handle_domains.clone(),
        invite_code_required: Some(app.config.sign_up.invite_required),
        phone_verification_required: app.phone.as_ref().map(|_| true),
        blob_upload_limit: i64::try_from(app.config.blob_upload_bytes_max).ok(),
        links: Some(Links {
            privacy_policy: uri(&service.privacy_policy_url),
            terms_of_service: uri(&service.terms_of_service_url),
        }),
        contact: Some(Contact { email: service.contact_email.clone() }),
    }))
}
