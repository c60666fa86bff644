//! `/.well-known/*`: whose handle a host name is, and the DID documents that this server keeps.

use std::sync::Arc;

use allod_atproto::{Handle, did_doc::DidDocument};
use allod_http::{body::ResponseBody, host::Host};
use allod_lexicon::method::NoErrors;
use allod_store::ReadError;
use http::{HeaderValue, Response, StatusCode, header::CACHE_CONTROL};
use serde_json::json;

use crate::{
    app::App,
    config::ServiceConfig,
    domain::identity_lookup::hosted,
    reply,
    service::RequestContext,
    xrpc::error::{XrpcError, respond},
};

/// A document is plain JSON, without a character set.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// For how long others may keep the document of an account: a minute, so that a change is seen soon.
const DOCUMENT_CACHE_CONTROL: &str = "public, max-age=60";

/// Answers `/.well-known/<name>`.
pub async fn answer(
    app: &Arc<App>,
    name: &str,
    host: Option<&Host<'_>>,
    context: RequestContext,
) -> Response<ResponseBody> {
    match name {
        "atproto-did" => atproto_did(app, host, context).await,
        "did.json" => did_json(app, host, context).await,
        _ => not_found(),
    }
}

/// Tells the DID of the account whose handle is the host name.
///
/// Spec: <https://atproto.com/specs/handle#handle-resolution>
async fn atproto_did(app: &Arc<App>, host: Option<&Host<'_>>, context: RequestContext) -> Response<ResponseBody> {
    let account = match handle_of(host) {
        Some(handle) => app.accounts.active_by_handle(&handle).await,
        None => Ok(None),
    };
    match account {
        Ok(Some(account)) => reply::text(StatusCode::OK, account.did.as_str().to_owned()),
        Ok(None) => reply::text(StatusCode::NOT_FOUND, "User not found"),
        Err(error) => respond(XrpcError::<NoErrors>::from(error), "", context.id),
    }
}

/// Shows the document of the did:web that the host name stands for: the service's, or one that was made here.
///
/// Spec: <https://w3c-ccg.github.io/did-method-web/>
async fn did_json(app: &Arc<App>, host: Option<&Host<'_>>, context: RequestContext) -> Response<ResponseBody> {
    let service = &app.config.service;
    if host.is_some_and(|host| host.is(&service.hostname)) {
        return if service.did.as_str().starts_with("did:web:") { service_document(service) } else { not_found() };
    }
    match hosted_document(app, host).await {
        Ok(Some(document)) => {
            let mut response = reply::bytes(StatusCode::OK, JSON, document.json().to_string());
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(DOCUMENT_CACHE_CONTROL));
            response
        }
        Ok(None) => not_found(),
        Err(error) => respond(XrpcError::<NoErrors>::from(error), "", context.id),
    }
}

async fn hosted_document(app: &App, host: Option<&Host<'_>>) -> Result<Option<DidDocument>, ReadError> {
    let handle = handle_of(host);
    let Some(did) = handle.as_ref().and_then(hosted::did_of) else { return Ok(None) };
    let made = app.identities.find_hosted(&did).await?;
    Ok(made.and_then(|made| app.identities.hosted_document(&made)))
}

fn not_found() -> Response<ResponseBody> {
    reply::error(StatusCode::NOT_FOUND, "NotFound", "Not Found")
}

fn service_document(service: &ServiceConfig) -> Response<ResponseBody> {
    let document = json!({
        "@context": ["https://www.w3.org/ns/did/v1"],
        "id": service.did,
        "service": [{
            "id": "#atproto_pds",
            "type": "AtprotoPersonalDataServer",
            "serviceEndpoint": service.public_url,
        }],
    });
    reply::bytes(StatusCode::OK, JSON, document.to_string())
}

/// The handle that a host name may be.
fn handle_of(host: Option<&Host<'_>>) -> Option<Handle> {
    Handle::parse(host?.name()).ok()
}
