//! Request bodies: whether there is one, of the right type, within its limits, then parsed, checked against the
//! lexicon and typed. In that order, with the texts that clients know.

pub(super) mod coding;
mod json;

use std::mem;

use allod_http::body::{BodyError, RequestBody};
use allod_lexicon::{Method, method::NoErrors, schema::SchemaSet};
use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
};
use http_body::Body;
use http_body_util::BodyExt;

use super::error::{CommonError, XrpcError};

type Refused = XrpcError<NoErrors>;

const JSON: &str = "application/json";

/// What is left of a request's body for the handler.
pub(super) struct Input<M: Method> {
    /// The checked and typed body.
    pub(super) typed: M::Input,
    /// The body itself, unread, of a method that takes bytes; else empty.
    pub(super) raw: RequestBody,
}

/// Reads a procedure's body; `bytes_max` bounds what is sent and what it decodes to. What is left in `body` was not read.
pub(super) async fn read<M: Method>(
    schemas: &SchemaSet,
    headers: &HeaderMap,
    body: &mut RequestBody,
    bytes_max: usize,
) -> Result<Input<M>, Refused> {
    let Some(expected) = M::INPUT_ENCODING else {
        refuse_unexpected(body).await?;
        return Ok(Input { typed: typed(serde_json::json!({}))?, raw: RequestBody::default() });
    };
    if is_missing(headers, body) {
        return Err(XrpcError::invalid_request("A request body is expected but none was provided"));
    }
    check_type(headers, expected)?;
    if expected != JSON {
        return Ok(Input { typed: typed(serde_json::json!({}))?, raw: mem::take(body) });
    }
    let sent = collect(headers, body, bytes_max).await?;
    let decoded = coding::decode(headers.get_all(CONTENT_ENCODING), sent, bytes_max)?;
    let value = json::parse(&decoded, bytes_max)?;
    schemas.validate_input(M::NSID, &value).map_err(|invalid| XrpcError::invalid_request(invalid.to_string()))?;
    Ok(Input { typed: typed(value)?, raw: RequestBody::default() })
}

/// Reads a query's body: there is nothing to read.
pub(super) fn none<M: Method>() -> Result<Input<M>, Refused> {
    Ok(Input { typed: typed(serde_json::json!({}))?, raw: RequestBody::default() })
}

/// What the schema takes the type takes; where it does not, it is still the client's value that is wrong.
fn typed<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Result<T, Refused> {
    serde_json::from_value(value).map_err(|error| XrpcError::invalid_request(error.to_string()))
}

/// Takes an empty body, also an empty chunked one, and refuses any other.
async fn refuse_unexpected(body: &mut RequestBody) -> Result<(), Refused> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| refuse_broken(&error))?;
        if frame.data_ref().is_some_and(|data| !data.is_empty()) {
            return Err(XrpcError::invalid_request("A request body was provided when none was expected"));
        }
    }
    Ok(())
}

fn is_missing(headers: &HeaderMap, body: &RequestBody) -> bool {
    !headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(TRANSFER_ENCODING) && body.is_end_stream()
}

fn check_type(headers: &HeaderMap, expected: &str) -> Result<(), Refused> {
    let Some(sent) = media_type(headers) else {
        return Err(XrpcError::invalid_request("Request encoding (Content-Type) required but not provided"));
    };
    if expected == "*/*" || expected.split(',').any(|one| one.trim().eq_ignore_ascii_case(sent)) {
        return Ok(());
    }
    let sent = sent.to_ascii_lowercase();
    Err(XrpcError::invalid_request(format!("Wrong request encoding (Content-Type): {sent}")))
}

/// Tells how many bytes a body is said to have.
pub(super) fn declared_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok())
}

/// Reads `type/subtype` and drops the parameters; what is not of that form counts as absent.
pub(super) fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next()?.trim();
    let (kind, subkind) = essence.split_once('/')?;
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&byte))
    };
    (is_token(kind) && is_token(subkind)).then_some(essence)
}

/// Reads the whole body; one that declares itself too large is refused unread.
async fn collect(headers: &HeaderMap, body: &mut RequestBody, bytes_max: usize) -> Result<Bytes, Refused> {
    if declared_bytes(headers).is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| refuse_broken(&error))?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > bytes_max {
            return Err(too_large());
        }
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}

fn too_large() -> Refused {
    XrpcError::common(CommonError::PayloadTooLarge, "request entity too large")
}

/// Tells what became of a body that broke off.
pub(super) fn refuse_broken(error: &BodyError) -> Refused {
    match error {
        BodyError::TooSlow => XrpcError::common(CommonError::RequestTimeout, "request body came too slowly"),
        BodyError::Broken(_) => XrpcError::invalid_request("request aborted"),
    }
}
