//! The endpoints. Errors are JSON with a `message`, as clients of plc.directory expect.

use std::time::Duration;

use allod_atproto::{
    Did,
    json::{self, Limits},
    plc::Operation,
};
use allod_store::{CommitError, ReadError, tables::plc};
use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, Path, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{
    HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_MAX_AGE, CONTENT_TYPE,
    },
    request::Parts,
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Value as Json, json};
use tokio::sync::watch;

use super::{Directory, SubmitError, export, stream};
use crate::{
    limits::{BODY_BYTES_MAX, REQUEST_SECS_MAX},
    rules::LogEntry,
    time::format_millis,
};

const JSON_TYPE: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const DID_DOCUMENT_TYPE: HeaderValue = HeaderValue::from_static("application/did+ld+json; charset=utf-8");
const PREFLIGHT_SECS: HeaderValue = HeaderValue::from_static("86400");

/// What every endpoint is given.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) directory: Directory,
    /// Turns true when the service is to end.
    pub(super) stop: watch::Receiver<bool>,
}

/// Lists the endpoints.
pub(super) fn router(service: Service) -> Router {
    Router::new()
        .route("/_health", get(health))
        .route("/export", get(export::export))
        .route("/export/stream", get(stream::stream))
        .route("/{did}", get(document).post(submit))
        .route("/{did}/data", get(data))
        .route("/{did}/log", get(log))
        .route("/{did}/log/audit", get(audit_log))
        .route("/{did}/log/last", get(last_operation))
        .fallback(async || Failure::new(StatusCode::NOT_FOUND, "Not found"))
        .method_not_allowed_fallback(async || Failure::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"))
        .layer(middleware::from_fn(around))
        .with_state(service)
}

/// Gives every answer its cross-origin headers and every request its time limit.
async fn around(request: Request, next: Next) -> Response {
    let mut response = if request.method() == Method::OPTIONS {
        preflight()
    } else {
        let limit = Duration::from_secs(REQUEST_SECS_MAX);
        let timed_out = |_| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "Request timed out").into_response();
        tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(timed_out)
    };
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

fn preflight() -> Response {
    let headers = [
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET,HEAD,POST")),
        (ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*")),
        (ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECS),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

async fn health(State(service): State<Service>) -> Response {
    let version = env!("CARGO_PKG_VERSION");
    match plc::newest_seq(&*service.directory.shared.db).await {
        Ok(_) => json_response(StatusCode::OK, &json!({ "version": version })),
        Err(error) => {
            tracing::error!(%error, "can't read the directory's store");
            let body = json!({ "version": version, "error": "Service Unavailable" });
            json_response(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
    }
}

async fn document(State(service): State<Service>, DidPath(did): DidPath) -> Result<Response, Failure> {
    let data = last(&service, &did).await?.operation.data().ok_or_else(|| ended(&did))?;
    let body = Body::from(data.document(&did).json().to_string());
    Ok(([(CONTENT_TYPE, DID_DOCUMENT_TYPE)], body).into_response())
}

async fn data(State(service): State<Service>, DidPath(did): DidPath) -> Result<Response, Failure> {
    let data = last(&service, &did).await?.operation.data().ok_or_else(|| ended(&did))?;
    Ok(json_response(StatusCode::OK, &data.to_json(&did)))
}

async fn log(State(service): State<Service>, DidPath(did): DidPath) -> Result<Response, Failure> {
    let log = some_log(&service, &did).await?;
    let valid: Vec<Json> = log.iter().filter(|entry| !entry.nullified).map(|entry| entry.operation.to_json()).collect();
    Ok(json_response(StatusCode::OK, &valid.into()))
}

async fn audit_log(State(service): State<Service>, DidPath(did): DidPath) -> Result<Response, Failure> {
    let entries: Vec<Json> = some_log(&service, &did).await?.iter().map(audit_entry).collect();
    Ok(json_response(StatusCode::OK, &entries.into()))
}

async fn last_operation(State(service): State<Service>, DidPath(did): DidPath) -> Result<Response, Failure> {
    Ok(json_response(StatusCode::OK, &last(&service, &did).await?.operation.to_json()))
}

async fn submit(State(service): State<Service>, DidPath(did): DidPath, request: Request) -> Result<Response, Failure> {
    let body = read_body(request.into_body()).await?;
    let json = json::parse(&body, &Limits::bytes(BODY_BYTES_MAX));
    let json = json.map_err(|_| Failure::new(StatusCode::BAD_REQUEST, "Not valid JSON"))?;
    let operation =
        Operation::parse(&json).map_err(|error| Failure::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    service.directory.submit(&did, &operation).await?;
    Ok((StatusCode::OK, "OK").into_response())
}

async fn last(service: &Service, did: &Did) -> Result<LogEntry, Failure> {
    service.directory.last(did).await?.ok_or_else(|| unknown(did.as_str()))
}

async fn some_log(service: &Service, did: &Did) -> Result<Vec<LogEntry>, Failure> {
    let log = service.directory.log(did).await?;
    if log.is_empty() { Err(unknown(did.as_str())) } else { Ok(log) }
}

fn audit_entry(entry: &LogEntry) -> Json {
    json!({
        "did": entry.did,
        "operation": entry.operation.to_json(),
        "cid": entry.cid,
        "nullified": entry.nullified,
        "createdAt": format_millis(entry.created_at_millis),
    })
}

async fn read_body(body: Body) -> Result<bytes::Bytes, Failure> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, format!("Body too large (max {BODY_BYTES_MAX} bytes)")))
        }
        Err(_) => Err(Failure::new(StatusCode::BAD_REQUEST, "The body could not be read")),
    }
}

pub(super) fn json_response(status: StatusCode, body: &Json) -> Response {
    (status, [(CONTENT_TYPE, JSON_TYPE)], body.to_string()).into_response()
}

/// The DID of the path; percent-encoding is undone.
struct DidPath(Did);

impl<S: Send + Sync> FromRequestParts<S> for DidPath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) = path.map_err(|_| Failure::new(StatusCode::BAD_REQUEST, "Invalid path"))?;
        match Did::parse(&text) {
            Ok(did) if did.is_plc() => Ok(Self(did)),
            _ if parts.method == Method::POST => {
                Err(Failure::new(StatusCode::BAD_REQUEST, "Invalid did:plc identifier"))
            }
            _ => Err(unknown(&text)),
        }
    }
}

/// An answer that is not what was asked for.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    message: String,
}

impl Failure {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

fn unknown(did: &str) -> Failure {
    Failure::new(StatusCode::NOT_FOUND, format!("DID not registered: {did}"))
}

/// 404 and not 410, as plc.directory's code has it: resolvers take a 404 as "there is none" and anything else as a
/// directory in trouble, to be asked again.
fn ended(did: &Did) -> Failure {
    Failure::new(StatusCode::NOT_FOUND, format!("DID not available: {did}"))
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        json_response(self.status, &json!({ "message": self.message }))
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        tracing::error!(%error, "can't read the directory's store");
        match error {
            ReadError::Unavailable { .. }
            | ReadError::Damaged { .. }
            | ReadError::Column { .. }
            | ReadError::Corrupt { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
            ReadError::Refused { .. } => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        }
    }
}

impl From<SubmitError> for Failure {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Rule(error) => Self::new(StatusCode::BAD_REQUEST, error.to_string()),
            SubmitError::Contended => Self::new(StatusCode::CONFLICT, error.to_string()),
            SubmitError::Read(error) => error.into(),
            SubmitError::Commit(error) => {
                tracing::error!(%error, "could not write an operation");
                match error {
                    CommitError::Unavailable { .. } | CommitError::Unknown { .. } => {
                        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
                    }
                    CommitError::Conflict(_) | CommitError::Refused { .. } => {
                        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
                    }
                }
            }
        }
    }
}
