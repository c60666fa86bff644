//! XRPC calls from a test, with the answer checked against the method's lexicon.

use std::{fmt::Display, sync::Arc};

use allod_atproto::json::{self, Limits};
use allod_lexicon::schema::SchemaSet;
use bytes::Bytes;
use data_encoding::BASE64;
use futures_util::Stream;
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::Value;

use crate::{canaries::canaries, options::ADMIN_PASSWORD};

/// A call that is being put together.
#[must_use = "a call is made by `send`, `ok` or `error`"]
pub struct Call {
    nsid: String,
    request: reqwest::RequestBuilder,
    schemas: Arc<SchemaSet>,
}

impl Call {
    pub(crate) fn new(
        client: &reqwest::Client,
        origin: &str,
        method: Method,
        nsid: &str,
        schemas: &Arc<SchemaSet>,
    ) -> Self {
        let request = client.request(method, format!("{origin}/xrpc/{nsid}"));
        Self { nsid: nsid.to_owned(), request, schemas: Arc::clone(schemas) }
    }

    /// Adds a query parameter.
    pub fn param(mut self, name: &str, value: impl Display) -> Self {
        let value = value.to_string();
        self.request = self.request.query(&[(name, value)]);
        self
    }

    /// Adds a token.
    pub fn bearer(mut self, token: &str) -> Self {
        if let Some(canaries) = canaries() {
            canaries.note_bearer(token);
        }
        self.request = self.request.bearer_auth(token);
        self
    }

    /// Speaks as the administrator.
    pub fn admin(self) -> Self {
        let credentials = BASE64.encode(format!("admin:{ADMIN_PASSWORD}").as_bytes());
        self.header(header::AUTHORIZATION.as_str(), &format!("Basic {credentials}"))
    }

    /// Adds a header; a second one of the same name stays beside the first.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Gives a JSON body.
    pub fn json(mut self, body: &Value) -> Self {
        if let Some(canaries) = canaries() {
            canaries.note_body(body);
        }
        self.request = self.request.json(body);
        self
    }

    /// Gives a body that comes piece by piece; an error breaks it off.
    pub fn stream<S>(mut self, content_type: &str, pieces: S) -> Self
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        let body = reqwest::Body::wrap_stream(pieces);
        self.request = self.request.header(header::CONTENT_TYPE, content_type).body(body);
        self
    }

    /// Gives any body.
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.request = self.request.header(header::CONTENT_TYPE, content_type).body(body.into());
        self
    }

    /// Makes the call. Panics when there is no answer, or one that is not as the protocol says.
    pub async fn send(self) -> Reply {
        match self.try_send().await {
            Ok(reply) => reply,
            Err(error) => panic!("no answer: {error:?}"),
        }
    }

    /// Makes the call; there may be no answer, when the server is made to stop under it.
    pub async fn try_send(self) -> Result<Reply, reqwest::Error> {
        let response = self.request.send().await?;
        let reply = Reply {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await?,
            nsid: self.nsid,
        };
        reply.check(&self.schemas);
        if let Some(canaries) = canaries().filter(|_| reply.is_json()) {
            canaries.note_body(&reply.json());
        }
        Ok(reply)
    }

    /// Makes the call, which must succeed, and gives its JSON.
    pub async fn ok(self) -> Value {
        let reply = self.send().await;
        assert_eq!(reply.status, StatusCode::OK, "{}: {}", reply.nsid, reply.text());
        reply.json()
    }

    /// Makes the call, which must fail, and gives status, error name and message.
    pub async fn error(self) -> (u16, String, String) {
        let reply = self.send().await;
        assert!(!reply.status.is_success(), "{} succeeded: {}", reply.nsid, reply.text());
        let body = reply.json();
        let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (reply.status.as_u16(), field("error"), field("message"))
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    nsid: String,
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null for an empty one. Panics when it is something else.
    pub fn json(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        match json::parse(&self.body, &Limits::OWN) {
            Ok(value) => value,
            Err(error) => panic!("{} did not answer JSON ({error}): {}", self.nsid, self.text()),
        }
    }

    /// Whether it is JSON as it came, not coded for the way.
    fn is_json(&self) -> bool {
        if self.headers.contains_key(header::CONTENT_ENCODING) {
            return false;
        }
        let content_type = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        content_type.is_some_and(|value| value.starts_with("application/json"))
    }

    /// Every success with JSON is as the lexicon says, every failure is an error body.
    fn check(&self, schemas: &SchemaSet) {
        if self.status == StatusCode::OK {
            if self.is_json()
                && self.nsid.contains('.')
                && let Err(invalid) = schemas.validate_output(&self.nsid, &self.json())
            {
                panic!("{} answered against its lexicon: {invalid}\n{}", self.nsid, self.text());
            }
        } else if !self.status.is_success() && self.status != StatusCode::NOT_MODIFIED {
            let body = self.json();
            let named = body["error"].as_str().is_some_and(|name| !name.is_empty());
            assert!(named && body["message"].is_string(), "{} failed without a name: {}", self.nsid, self.text());
        }
    }
}
