//! From an HTTP request to a WebSocket.
//!
//! Spec: <https://www.rfc-editor.org/rfc/rfc6455#section-4.2>

use data_encoding::BASE64;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version,
    header::{
        CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
    request::Parts,
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tracing::Instrument;

use super::session::{self, Source};
use crate::{body::ResponseBody, connection::ConnectionGuard};

/// The one version of the protocol.
pub const VERSION: HeaderValue = HeaderValue::from_static("13");
/// How many bytes a key stands for.
const KEY_BYTES: usize = 16;

/// Why a request does not become a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// It is not a GET.
    #[error("A WebSocket is opened with GET")]
    Method,
    /// It does not ask for one, or asks where there can't be one (HTTP/2).
    #[error("This is a WebSocket: send Connection: Upgrade and Upgrade: websocket over HTTP/1.1")]
    NotAsked,
    /// It asks for a version other than 13.
    #[error("Sec-WebSocket-Version must be 13")]
    Version,
    /// The key is not one.
    #[error("Sec-WebSocket-Key must be one value of 16 bytes in base64")]
    Key,
}

/// A request that may become a WebSocket.
#[derive(Debug)]
pub struct Handshake {
    accept: HeaderValue,
    protocol: Option<HeaderValue>,
    upgrade: OnUpgrade,
    guard: ConnectionGuard,
}

impl Handshake {
    /// Checks a request, without answering it. Of the subprotocols that are offered `protocol` is taken, if it is among
    /// them; others are tolerated.
    pub fn read(parts: &mut Parts, protocol: &'static str) -> Result<Self, HandshakeError> {
        if parts.method != Method::GET {
            return Err(HandshakeError::Method);
        }
        let headers = &parts.headers;
        let asked = has_token(headers, &CONNECTION, "upgrade") && has_token(headers, &UPGRADE, "websocket");
        if !asked || parts.version != Version::HTTP_11 {
            return Err(HandshakeError::NotAsked);
        }
        if headers.get_all(SEC_WEBSOCKET_VERSION).iter().ne([&VERSION]) {
            return Err(HandshakeError::Version);
        }
        let accept = accept_key(headers).ok_or(HandshakeError::Key)?;
        let protocol =
            has_token(headers, &SEC_WEBSOCKET_PROTOCOL, protocol).then(|| HeaderValue::from_static(protocol));
        let (Some(upgrade), Some(guard)) = (parts.extensions.remove(), parts.extensions.remove()) else {
            return Err(HandshakeError::NotAsked);
        };
        Ok(Self { accept, protocol, upgrade, guard })
    }

    /// Answers that it becomes one, and serves `source` over it until either side ends it.
    pub fn accept(self, source: impl Source + 'static) -> Response<ResponseBody> {
        let Self { accept, protocol, upgrade, guard } = self;
        let tasks = guard.tasks.clone();
        let serve = async move {
            match upgrade.await {
                Ok(upgraded) => {
                    tokio::select! {
                        () = session::run(TokioIo::new(upgraded), source, &guard.stopping) => {}
                        () = guard.aborting.cancelled() => {}
                    }
                }
                Err(error) => tracing::debug!(%error, "the connection closed before the WebSocket upgrade"),
            }
        };
        tasks.spawn(serve.in_current_span());
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        if let Some(protocol) = protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        response
    }
}

/// Whether a header's comma-separated list has this token, in whatever case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|offered| offered.trim().eq_ignore_ascii_case(token))
}

fn accept_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else { return None };
    BASE64.decode(key.as_bytes()).ok().filter(|bytes| bytes.len() == KEY_BYTES)?;
    HeaderValue::from_str(&tungstenite::handshake::derive_accept_key(key.as_bytes())).ok()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn refused(change: impl FnOnce(&mut Parts)) -> HandshakeError {
        let request = Request::builder()
            .uri("/xrpc/x")
            .header("Connection", "keep-alive, Upgrade")
            .header("Upgrade", "WebSocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        change(&mut parts);
        Handshake::read(&mut parts, "xrpc.v0.cbor").unwrap_err()
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        // Everything right, but no connection behind it.
        assert_eq!(refused(|_| {}), HandshakeError::NotAsked);
        assert_eq!(refused(|parts| parts.method = Method::POST), HandshakeError::Method);
        assert_eq!(refused(|parts| parts.version = Version::HTTP_2), HandshakeError::NotAsked);
        for name in ["connection", "upgrade"] {
            assert_eq!(refused(|parts| drop(parts.headers.remove(name))), HandshakeError::NotAsked, "{name}");
        }
        let put = |name: &'static str, value: &'static str| {
            refused(|parts| drop(parts.headers.insert(name, HeaderValue::from_static(value))))
        };
        assert_eq!(put("upgrade", "h2c"), HandshakeError::NotAsked);
        assert_eq!(put("sec-websocket-version", "8"), HandshakeError::Version);
        assert_eq!(refused(|parts| drop(parts.headers.remove("sec-websocket-version"))), HandshakeError::Version);
        for key in ["", "short", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZSBsb25nZXI="] {
            assert_eq!(put("sec-websocket-key", key), HandshakeError::Key, "{key}");
        }
        let twice = refused(|parts| {
            parts.headers.append("sec-websocket-key", HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        });
        assert_eq!(twice, HandshakeError::Key);
    }

    #[test]
    fn the_key_is_answered_as_the_specification_shows() {
        let mut headers = HeaderMap::new();
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(accept_key(&headers).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn tokens_are_found_in_lists_over_several_lines() {
        let mut headers = HeaderMap::new();
        headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("xrpc.v1.json, xrpc.v1.cbor"));
        headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("xrpc.v0.cbor"));
        assert!(has_token(&headers, &SEC_WEBSOCKET_PROTOCOL, "xrpc.v0.cbor"));
        assert!(!has_token(&headers, &SEC_WEBSOCKET_PROTOCOL, "xrpc"));
    }
}
