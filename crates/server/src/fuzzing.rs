//! Ways in that nobody outside needs but those who fuzz them. No code of the server uses this module.

use allod_lexicon::schema::SchemaSet;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use crate::xrpc;

/// Undoes the codings that a `Content-Encoding` names; `None` where names or bytes are refused.
pub fn undo_codings(names: &str, body: &[u8], bytes_max: usize) -> Option<Bytes> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_str(names).ok()?);
    xrpc::fuzzing::undo_codings(headers.get_all(header::CONTENT_ENCODING), body, bytes_max)
}

/// Reads the type and subtype of a `Content-Type`.
pub fn media_type(value: &[u8]) -> Option<String> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_bytes(value).ok()?);
    xrpc::fuzzing::media_type(&headers)
}

/// Reads a query string as the parameters of some methods; tells for how many it is taken.
pub fn query(schemas: &SchemaSet, text: &str) -> usize {
    xrpc::fuzzing::query(schemas, text)
}
