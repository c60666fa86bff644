//! `/.well-known/*`: whose handle a host name is, and the server's own DID document.

use std::sync::Arc;

use allod_atproto::Handle;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header::HOST};
use serde_json::json;

use crate::{
    app::App,
    domain::accounts,
    http::{RequestContext, body::ResponseBody, reply},
    xrpc::error::{XrpcError, respond},
};

/// Answers `/.well-known/<name>`.
pub async fn answer(
    app: &Arc<App>,
    name: &str,
    headers: &HeaderMap,
    context: RequestContext,
) -> Response<ResponseBody> {
    match name {
        "atproto-did" => atproto_did(app, headers, context).await,
        "did.json" => did_json(app, headers),
        _ => reply::error(StatusCode::NOT_FOUND, "NotFound", "Not Found"),
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
        Err(error) => respond(XrpcError::<allod_lexicon::method::NoErrors>::internal(error), "", context.id),
    }
}

/// Shows the document of the service's did:web, under its own host name alone.
///
/// Spec: <https://w3c-ccg.github.io/did-method-web/>
fn did_json(app: &Arc<App>, headers: &HeaderMap) -> Response<ResponseBody> {
    let service = &app.config.service;
    let is_ours = host(headers).is_some_and(|host| host.eq_ignore_ascii_case(&service.hostname));
    if !is_ours || !service.did.as_str().starts_with("did:web:") {
        return reply::error(StatusCode::NOT_FOUND, "NotFound", "Not Found");
    }
    let document = json!({
        "@context": ["https://www.w3.org/ns/did/v1"],
        "id": service.did,
        "service": [{
            "id": "#atproto_pds",
            "type": "AtprotoPersonalDataServer",
            "serviceEndpoint": service.public_url,
        }],
    });
    reply::bytes(StatusCode::OK, HeaderValue::from_static("application/json"), document.to_string())
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
