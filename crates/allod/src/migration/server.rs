//! One of the two servers of a move.

use std::{fmt, time::Duration};

use allod_atproto::json::{self, Limits};
use reqwest::{Body, Client, RequestBuilder, Response, header::CONTENT_TYPE};
use serde_json::{Value, json};
use url::Url;

/// How long a server may take over an answer's beginning.
const ANSWER_SECS_MAX: u64 = 300;
/// How long connecting may take.
const CONNECT_SECS_MAX: u64 = 10;
/// The largest answer in JSON that is read, in bytes.
const JSON_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What an answer in JSON may have.
const ANSWER: Limits = Limits::bytes(JSON_BYTES_MAX);

/// Why a step of a move failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MoveError {
    /// The server could not be reached, or broke off.
    #[error("{server}: {reason}")]
    Unreachable {
        /// Which.
        server: String,
        /// Why.
        reason: String,
    },
    /// The server refused, with its own name and words.
    #[error("{server} rejected {method}: {name}: {message}")]
    Refused {
        /// Which.
        server: String,
        /// What it refused.
        method: String,
        /// The error's name.
        name: String,
        /// What it says.
        message: String,
    },
}

/// What is where an answer has nothing.
static NOTHING: Value = Value::Null;

/// Reads an answer that may be of any shape.
pub(super) trait Answer {
    /// Gives a field; null when it is not there.
    fn at(&self, field: &str) -> &Value;
}

impl Answer for Value {
    fn at(&self, field: &str) -> &Value {
        self.get(field).unwrap_or(&NOTHING)
    }
}

/// A server.
pub(crate) struct Remote {
    client: Client,
    url: Url,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

/// A sign-in at one of them. Has no Debug, for it holds a token.
pub(crate) struct Session {
    pub(super) did: String,
    pub(super) handle: String,
    pub(super) email: Option<String>,
    access: String,
}

/// A blob on its way.
pub(super) struct Blob {
    content_type: String,
    response: Response,
}

impl Remote {
    /// Speaks to the server at this address, which its user chose.
    pub(crate) fn new(url: Url) -> Result<Self, reqwest::Error> {
        // A provider that is already there is the same one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        #[expect(
            clippy::disallowed_methods,
            reason = "whoever moves chose both servers; one may well be on this machine"
        )]
        let builder = Client::builder();
        let client = builder
            .connect_timeout(Duration::from_secs(CONNECT_SECS_MAX))
            .read_timeout(Duration::from_secs(ANSWER_SECS_MAX))
            .build()?;
        Ok(Self { client, url })
    }

    /// Tells what the server says of itself.
    pub(super) async fn describe(&self) -> Result<Value, MoveError> {
        let method = "com.atproto.server.describeServer";
        self.json(method, self.client.get(self.address(method))).await
    }

    /// Signs in.
    pub(super) async fn sign_in(
        &self,
        identifier: &str,
        password: &str,
        auth_factor_code: Option<&str>,
    ) -> Result<Session, MoveError> {
        let method = "com.atproto.server.createSession";
        let mut body = json!({ "identifier": identifier, "password": password });
        if let (Some(code), Some(fields)) = (auth_factor_code, body.as_object_mut()) {
            fields.insert("authFactorToken".to_owned(), json!(code));
        }
        let answer = self.json(method, self.client.post(self.address(method)).json(&body)).await?;
        self.session(method, &answer)
    }

    /// Makes an account of an identity that exists, by the token of the server where it is.
    pub(super) async fn create_account(&self, token: &str, body: &Value) -> Result<Session, MoveError> {
        let method = "com.atproto.server.createAccount";
        let request = self.client.post(self.address(method)).bearer_auth(token).json(body);
        let answer = self.json(method, request).await?;
        self.session(method, &answer)
    }

    /// Asks a query.
    pub(super) async fn query(
        &self,
        session: &Session,
        method: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Value, MoveError> {
        let mut url = self.address(method);
        url.query_pairs_mut().extend_pairs(parameters);
        self.json(method, self.client.get(url).bearer_auth(&session.access)).await
    }

    /// Calls a procedure.
    pub(super) async fn procedure(
        &self,
        session: &Session,
        method: &str,
        body: Option<Value>,
    ) -> Result<Value, MoveError> {
        let request = self.client.post(self.address(method)).bearer_auth(&session.access);
        let request = match body {
            Some(body) => request.json(&body),
            None => request.header("content-length", "0"),
        };
        self.json(method, request).await
    }

    /// Begins to read the repository.
    pub(super) async fn export(&self, session: &Session) -> Result<Response, MoveError> {
        let method = "com.atproto.sync.getRepo";
        let mut url = self.address(method);
        url.query_pairs_mut().append_pair("did", &session.did);
        self.send(method, self.client.get(url).bearer_auth(&session.access)).await
    }

    /// Hands a repository over as it is read.
    pub(super) async fn import(&self, session: &Session, repository: Response) -> Result<(), MoveError> {
        let method = "com.atproto.repo.importRepo";
        let request = self.client.post(self.address(method)).bearer_auth(&session.access);
        let request = request.header(CONTENT_TYPE, "application/vnd.ipld.car").body(streamed(repository));
        self.send(method, request).await.map(|_| ())
    }

    /// Begins to read a blob.
    pub(super) async fn blob(&self, session: &Session, cid: &str) -> Result<Blob, MoveError> {
        let method = "com.atproto.sync.getBlob";
        let mut url = self.address(method);
        url.query_pairs_mut().append_pair("did", &session.did).append_pair("cid", cid);
        let response = self.send(method, self.client.get(url).bearer_auth(&session.access)).await?;
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Ok(Blob { content_type: content_type.unwrap_or("application/octet-stream").to_owned(), response })
    }

    /// Hands a blob over as it is read.
    pub(super) async fn upload(&self, session: &Session, blob: Blob) -> Result<(), MoveError> {
        let method = "com.atproto.repo.uploadBlob";
        let request = self.client.post(self.address(method)).bearer_auth(&session.access);
        let request = request.header(CONTENT_TYPE, blob.content_type).body(streamed(blob.response));
        self.send(method, request).await.map(|_| ())
    }

    fn address(&self, method: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("/xrpc/{method}"));
        url
    }

    fn session(&self, method: &str, answer: &Value) -> Result<Session, MoveError> {
        let field = |name: &str| answer.at(name).as_str().map(str::to_owned);
        let (Some(did), Some(handle), Some(access)) = (field("did"), field("handle"), field("accessJwt")) else {
            return Err(self.unreachable(format!("the response to {method} has no session")));
        };
        Ok(Session { did, handle, access, email: field("email") })
    }

    async fn send(&self, method: &str, request: RequestBuilder) -> Result<Response, MoveError> {
        let response = request.send().await.map_err(|error| self.unreachable(error.without_url()))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = self.body(response).await.unwrap_or_default();
        let body = json::parse(&body, &ANSWER).unwrap_or_default();
        let field = |name: &str| body.at(name).as_str().unwrap_or_default().to_owned();
        let name = if field("error").is_empty() { status.to_string() } else { field("error") };
        Err(MoveError::Refused { server: self.to_string(), method: method.to_owned(), name, message: field("message") })
    }

    async fn json(&self, method: &str, request: RequestBuilder) -> Result<Value, MoveError> {
        let response = self.send(method, request).await?;
        let body = self.body(response).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        json::parse(&body, &ANSWER).map_err(|_| self.unreachable(format!("the response to {method} is not JSON")))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, MoveError> {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.unreachable(error.without_url()))? {
            if body.len() + piece.len() > JSON_BYTES_MAX {
                return Err(self.unreachable("the response is too long"));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    fn unreachable(&self, reason: impl fmt::Display) -> MoveError {
        MoveError::Unreachable { server: self.to_string(), reason: reason.to_string() }
    }
}

/// What one server sends is what the other gets, piece by piece.
fn streamed(response: Response) -> Body {
    Body::wrap_stream(response.bytes_stream())
}
