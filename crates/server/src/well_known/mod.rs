//! `/.well-known/*`: whose handle a host name is, and the DID documents that this server keeps.

use std::sync::Arc;

use allod_atproto::{Handle, did_doc::DidDocument};
use allod_lexicon::method::NoErrors;
use allod_store::ReadError;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, HOST},
};
use serde_json::json;

use crate::{
    app::App,
    config::ServiceConfig,
    domain::{accounts, identity::hosted},
    http::{RequestContext, body::ResponseBody, reply},
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
    headers: &HeaderMap,
    context: RequestContext,
) -> Response<ResponseBody> {
    match name {
        "atproto-did" => atproto_did(app, headers, context).await,
        "did.json" => did_json(app, headers, context).await,
        _ => not_found(),
    }
}

/// Tells the DID of the account whose handle is the host name.
///
/// Spec: <https://atproto.com/specs/handle#handle-resolution>
async fn atproto_did(app: &Arc<App>, headers: &HeaderMap, context: RequestContext) -> Response<ResponseBody> {
    let account = match host(headers).and_then(|host| Handle::parse(host).ok()) {
        Some(handle) => accounts::active_by_handle(app, &handle).await,
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
async fn did_json(app: &Arc<App>, headers: &HeaderMap, context: RequestContext) -> Response<ResponseBody> {
    let service = &app.config.service;
    if host(headers).is_some_and(|host| host.eq_ignore_ascii_case(&service.hostname)) {
        return if service.did.as_str().starts_with("did:web:") { service_document(service) } else { not_found() };
    }
    match hosted_document(app, headers).await {
        Ok(Some(document)) => {
            let mut response = reply::bytes(StatusCode::OK, JSON, document.json().to_string());
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(DOCUMENT_CACHE_CONTROL));
            response
        }
        Ok(None) => not_found(),
        Err(error) => respond(XrpcError::<NoErrors>::from(error), "", context.id),
    }
}

async fn hosted_document(app: &App, headers: &HeaderMap) -> Result<Option<DidDocument>, ReadError> {
    let host = host(headers).and_then(|host| Handle::parse(host).ok());
    let Some(did) = host.as_ref().and_then(hosted::did_of) else { return Ok(None) };
    let made = hosted::find(app, &did).await?;
    Ok(made.and_then(|made| hosted::document(app, &made)))
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

/// Reads the host name without its port.
fn host(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(HOST)?.to_str().ok()?;
    Some(value.rsplit_once(':').map_or(value, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_no_part_of_the_host_name() {
        for (value, name) in [("alice.test", "alice.test"), ("alice.test:2583", "alice.test"), ("[::1]:80", "[::1]")] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(value));
            assert_eq!(host(&headers), Some(name));
        }
        assert_eq!(host(&HeaderMap::new()), None);
    }
}
