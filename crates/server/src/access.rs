//! The access log, one line for each request, and the lines of fixed form that tools like fail2ban read.
//!
//! Never in them: query strings, headers, bodies. Every line stands outside the request's span, so that nothing a
//! client chose comes before its fixed part. docs/operations.md shows the lines: they change only with it.

use std::net::IpAddr;

use allod_atproto::Did;
use allod_base::printable::Shown;
use allod_http::body::{BodyObserver, RequestBody, ResponseBody};
use http::{Method, Request, Response, Uri, header::CONTENT_LENGTH};
use tokio::time::Instant;
use tracing::field::display;

use crate::{
    limits,
    service::{RequestContext, RequestId},
};

/// Whose request it turned out to be; travels as an extension of the response.
#[derive(Debug, Clone)]
pub struct Caller(pub Did);

/// Says that somebody failed to sign in.
pub fn sign_in_failed(context: &RequestContext, method: &str) {
    let RequestContext { id, client, .. } = context;
    tracing::warn!(target: "security", parent: None, %client, %method, %id, "sign-in failed");
}

/// Says that a caller reached a limit; once for each window of a rule.
pub fn limit_reached(context: &RequestContext, method: &str, rule: &str) {
    let RequestContext { id, client, .. } = context;
    let method = display(Shown(method, limits::LOGGED_PATH_CHARS_MAX));
    tracing::warn!(target: "security", parent: None, %client, method, %id, rule, "limit reached");
}

/// Says that an address holds as many connections as it may; once until it has closed them.
pub(crate) fn connections_refused(client: IpAddr) {
    tracing::warn!(target: "security", parent: None, %client, "too many connections");
}

/// A request's line. Written when it is dropped: when the answer's last byte is handed over, or when the client left.
#[derive(Debug)]
pub(crate) struct Line {
    id: RequestId,
    client: IpAddr,
    method: Method,
    uri: Uri,
    began: Instant,
    caller: Option<Did>,
    status: Option<u16>,
    bytes: u64,
    /// What `Content-Length` promises: hyper drops a body at its last promised byte, without polling for the end.
    length: Option<u64>,
    is_whole: bool,
}

impl Line {
    /// Begins the line of a request.
    pub(crate) fn begin(request: &Request<RequestBody>, context: &RequestContext) -> Self {
        Self {
            id: context.id,
            client: context.client,
            method: request.method().clone(),
            uri: request.uri().clone(),
            began: Instant::now(),
            caller: None,
            status: None,
            bytes: 0,
            length: None,
            is_whole: false,
        }
    }

    /// Notes the answer, and stays with its body until it has gone.
    pub(crate) fn answered(mut self, mut response: Response<ResponseBody>) -> Response<ResponseBody> {
        self.caller = response.extensions_mut().remove().map(|Caller(did)| did);
        self.status = Some(response.status().as_u16());
        let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        self.length = length.and_then(|length| length.parse().ok());
        response.map(|body| body.observed(self))
    }
}

impl BodyObserver for Line {
    fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.is_whole |= self.length == Some(self.bytes);
    }

    fn ended(&mut self) {
        self.is_whole = true;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        tracing::info!(
            target: "access",
            parent: None,
            client = %self.client,
            method = %self.method,
            path = %Shown(self.uri.path(), limits::LOGGED_PATH_CHARS_MAX),
            status = self.status,
            ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            bytes = self.bytes,
            did = self.caller.as_ref().map(display),
            broken_off = (!self.is_whole).then_some(true),
            id = %self.id,
        );
    }
}
