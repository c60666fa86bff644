//! Ready-made responses.

use allod_http::body::ResponseBody;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;

/// The content type of every JSON response.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// The content type of plain text.
pub const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The content type of a page.
pub const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Answers these bytes as what `content_type` says they are.
pub fn bytes(status: StatusCode, content_type: HeaderValue, bytes: impl Into<Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::bytes(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// Answers plain text.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<ResponseBody> {
    bytes(status, TEXT, text)
}

/// Answers JSON.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Result<Response<ResponseBody>, serde_json::Error> {
    Ok(bytes(status, JSON, serde_json::to_vec(value)?))
}

/// Answers the error body that every client of the protocol reads.
pub fn error(status: StatusCode, name: &str, message: &str) -> Response<ResponseBody> {
    bytes(status, JSON, serde_json::json!({ "error": name, "message": message }).to_string())
}
