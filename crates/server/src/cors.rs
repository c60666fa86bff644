//! Cross-origin access: any web page may call the API, for no cookie is ever read there.

use allod_http::body::ResponseBody;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_LENGTH, VARY,
    },
};

const ANY: HeaderValue = HeaderValue::from_static("*");
const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE");
const MAX_AGE_SECS: HeaderValue = HeaderValue::from_static("86400");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Accept-Ranges, Atproto-Content-Labelers, Atproto-Repo-Rev, Atproto-Upstream-Lag, Content-Disposition, \
     Content-Range, DPoP-Nonce, ETag, \
     RateLimit-Limit, RateLimit-Policy, RateLimit-Remaining, RateLimit-Reset, Retry-After, WWW-Authenticate, \
     X-Request-Id",
);

/// The header that names a request in our log.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Lets pages of any origin read a response and the headers that clients use.
pub fn allow(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

/// Answers a preflight: every method, and whichever headers the page asks for.
pub fn preflight(request: &HeaderMap) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECS);
    headers.insert(VARY, HeaderValue::from_name(ACCESS_CONTROL_REQUEST_HEADERS));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    if let Some(asked) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    response
}
