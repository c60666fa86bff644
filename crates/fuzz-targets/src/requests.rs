//! What comes with a request before its body is read, and what comes on other sockets.

use allod_atproto::json::{self, Limits};
use allod_http::websocket;
use allod_server::{
    control::{Command, REQUEST_BYTES_MAX},
    domain::sessions::{SessionKeys, TokenKind},
    fuzzing,
    streams::filter::Filter,
};
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::records::schemas;

const SECRET: &[u8] = b"the secret of tokens that are made here";
const AUDIENCE: &str = "did:web:pds.test";

/// How large a decoded body may get here, in bytes.
const DECODED_BYTES_MAX: usize = 100_000;

/// A body that was coded: the first byte says how.
pub(crate) fn content_coding(data: &[u8]) {
    let Some((kind, coded)) = data.split_first() else { return };
    let codings = ["gzip", "deflate", "br", "gzip, br", "identity", "x-gzip, deflate"][usize::from(kind % 6)];
    if let Some(decoded) = fuzzing::undo_codings(codings, coded, DECODED_BYTES_MAX) {
        assert!(decoded.len() <= DECODED_BYTES_MAX);
    }
    if let Ok(names) = std::str::from_utf8(coded) {
        let _ = fuzzing::undo_codings(names, b"", DECODED_BYTES_MAX);
    }
}

/// A Content-Type.
pub(crate) fn media_type(data: &[u8]) {
    let Some(found) = fuzzing::media_type(data) else { return };
    let (kind, subkind) = found.split_once('/').expect("a type and a subtype");
    assert!(!kind.is_empty() && !subkind.is_empty() && !found.contains(char::is_whitespace));
    assert_eq!(fuzzing::media_type(found.as_bytes()).as_deref(), Some(found.as_str()));
}

/// A query string, for methods with parameters of each kind.
pub(crate) fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = fuzzing::query(schemas(), text);
}

/// A line on the control socket.
pub(crate) fn control_command(data: &[u8]) {
    let limits = Limits::bytes(REQUEST_BYTES_MAX);
    let Ok(command) = json::read::<Command>(data, &limits) else { return };
    let written = serde_json::to_vec(&command).expect("commands can be sent");
    let again = json::read::<Command>(&written, &Limits::bytes(usize::MAX)).expect("what is sent is read");
    assert_eq!(serde_json::to_vec(&again).unwrap(), written);
}

/// What a listener of the JSON stream sends.
pub(crate) fn listener_message(data: &[u8]) {
    if let Ok(filter) = Filter::update(data) {
        assert_eq!(filter, filter.clone());
    }
}

/// What a client sends on a WebSocket: it reads the same in one piece and byte by byte.
pub(crate) fn websocket(data: &[u8]) {
    assert_eq!(websocket::received(data, data.len().max(1)), websocket::received(data, 1));
}

/// A session's token, as it is and as a payload with a right signature.
pub(crate) fn session_token(data: &[u8]) {
    let keys = SessionKeys::new(SECRET);
    let read = |token: &str| {
        for kind in [TokenKind::Access, TokenKind::Refresh] {
            let Ok(claims) = keys.read_expired_too(kind, token, AUDIENCE) else { continue };
            assert_eq!(claims.aud, AUDIENCE);
            assert_eq!(claims.access_scope().is_some(), kind == TokenKind::Access);
        }
    };
    if let Ok(token) = std::str::from_utf8(data) {
        read(token);
    }
    for typ in ["at+jwt", "refresh+jwt"] {
        let header = format!(r#"{{"typ":"{typ}","alg":"HS256"}}"#);
        let signed = format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(data));
        let mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("a key of any length");
        let signature = mac.chain_update(signed.as_bytes()).finalize().into_bytes();
        read(&format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)));
    }
}
