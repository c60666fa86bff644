//! The framework's checks, their order and their texts, on real lexicons with handlers that do nothing.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use allod_atproto::json::{self, Limits};
use allod_http::body::RequestBody;
use allod_lexicon::{
    com_atproto::{
        server::{
            activate_account::ActivateAccount,
            create_session::{CreateSession, Error as CreateSessionError, Output as SessionOutput},
            delete_session::DeleteSession,
        },
        sync::list_repos::{ListRepos, Output as ListReposOutput},
    },
    schema::SchemaSet,
};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;

use super::{
    auth::{Anonymous, AuthError, AuthRequest, Authenticate, Credential},
    *,
};
use crate::{
    limits,
    service::{RequestContext, RequestId},
};

/// The state handlers get: whether one was reached.
struct Reached {
    reached: AtomicBool,
    schemas: SchemaSet,
}

impl RouteState for Reached {
    fn schemas(&self) -> &SchemaSet {
        &self.schemas
    }
}

/// A caller with any bearer token.
struct Token;

impl Authenticate<Reached> for Token {
    async fn authenticate(request: AuthRequest<'_, Reached>) -> Result<Self, AuthError> {
        match request.credential()? {
            Credential::Bearer(_) => Ok(Self),
            Credential::None | Credential::Dpop(_) | Credential::Basic { .. } | Credential::UnreadableBasic => {
                Err(XrpcError::common(CommonError::AuthMissing, "Authentication Required"))
            }
        }
    }
}

async fn create_session(
    state: Arc<Reached>,
    request: XrpcRequest<CreateSession, Anonymous>,
) -> XrpcResult<CreateSession> {
    state.reached.store(true, Relaxed);
    match request.input.identifier.as_str() {
        "taken-down" => Err(XrpcError::declared(CreateSessionError::AccountTakedown, "Account has been taken down")),
        "busy" => Err(XrpcError::common(CommonError::NotEnoughResources { retry_after_secs: 7 }, "Try again")),
        "broken" => Err(XrpcError::internal(std::io::Error::other("the secret reason"))),
        _ => Ok(XrpcResponse::new(SessionOutput {
            access_jwt: "a".to_owned(),
            active: None,
            did: "did:plc:ewvi7nxzyoun6zhxrhs64oiz".parse().unwrap(),
            did_doc: None,
            email: None,
            email_auth_factor: None,
            email_confirmed: None,
            handle: "alice.test".parse().unwrap(),
            refresh_jwt: "r".to_owned(),
            status: None,
        })),
    }
}

async fn list_repos(_: Arc<Reached>, request: XrpcRequest<ListRepos, Token>) -> XrpcResult<ListRepos> {
    let cursor = Some(request.params.limit.to_string());
    Ok(XrpcResponse::new(ListReposOutput { cursor, repos: Vec::new() }))
}

async fn delete_session(state: Arc<Reached>, _: XrpcRequest<DeleteSession, Anonymous>) -> XrpcResult<DeleteSession> {
    state.reached.store(true, Relaxed);
    Ok(XrpcResponse::new(allod_lexicon::method::NoBody {}))
}

async fn activate(_: Arc<Reached>, _: XrpcRequest<ActivateAccount, Token>) -> XrpcResult<ActivateAccount> {
    Ok(XrpcResponse::new(allod_lexicon::method::NoBody {}))
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    reached: bool,
}

impl Answered {
    fn json(&self) -> Value {
        json::parse(&self.body, &Limits::OWN).unwrap()
    }

    #[track_caller]
    fn is_error(&self, status: u16, name: &str, message: &str) {
        let json = self.json();
        let seen = (self.status.as_u16(), json["error"].as_str().unwrap(), json["message"].as_str().unwrap());
        assert_eq!(seen, (status, name, message));
        assert_eq!(self.headers["content-type"], "application/json; charset=utf-8");
        assert!(!self.reached, "the handler was reached");
    }
}

fn test_routes() -> Routes<Reached> {
    Routes::new([route(create_session), route(list_repos), route(delete_session), route(activate)])
}

async fn call(request: Request<RequestBody>) -> Answered {
    let state = Arc::new(Reached { reached: AtomicBool::new(false), schemas: SchemaSet::built_in() });
    let (parts, body) = request.into_parts();
    let name = parts.uri.path().strip_prefix("/xrpc/").unwrap().to_owned();
    let context =
        RequestContext { id: RequestId::new(0xab), client: IpAddr::V4(Ipv4Addr::LOCALHOST), is_counted: true };
    let response = test_routes().answer(Arc::clone(&state), &name, parts, body, context).await;
    let (parts, body) = response.into_parts();
    Answered {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes().to_vec(),
        reached: state.reached.load(Relaxed),
    }
}

#[test]
#[should_panic(expected = "two routes for com.atproto.server.createSession")]
fn two_routes_for_one_method_do_not_start() {
    Routes::new([route(create_session), route(list_repos), route(create_session)]);
}

async fn get(path: &str, headers: &[(&str, &str)]) -> Answered {
    call(request("GET", path, headers, b"")).await
}

/// Posts with the Content-Length a client would send.
async fn post(nsid: &str, headers: &[(&str, &str)], body: &[u8]) -> Answered {
    let length = body.len().to_string();
    let headers = [headers, &[("content-length", length.as_str())]].concat();
    call(request("POST", nsid, &headers, body)).await
}

async fn post_json(nsid: &str, body: &str) -> Answered {
    post(nsid, &[("content-type", "application/json")], body.as_bytes()).await
}

fn request(verb: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Request<RequestBody> {
    let mut builder = Request::builder().method(verb).uri(format!("http://pds.test/xrpc/{path}"));
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(RequestBody::memory(body.to_vec())).unwrap()
}

const SESSION: &str = "com.atproto.server.createSession";
const LIST: &str = "com.atproto.sync.listRepos";
const DELETE: &str = "com.atproto.server.deleteSession";
const BEARER: (&str, &str) = ("authorization", "Bearer t");

#[tokio::test]
async fn a_good_call_reaches_its_handler() {
    let answered = post_json(SESSION, r#"{"identifier":"alice.test","password":"p","unknown":1}"#).await;
    assert_eq!(answered.status, 200);
    assert!(answered.reached);
    assert_eq!(answered.json()["handle"], "alice.test");
    assert!(answered.json().get("email").is_none());
    assert!(!answered.headers.contains_key("cache-control"));
}

#[tokio::test]
async fn what_is_not_there_is_told_apart() {
    get("com.atproto.server.noSuchMethod", &[]).await.is_error(501, "MethodNotImplemented", "Method Not Implemented");
    for path in ["nonsense", "", "com.atproto.sync.listRepos//", "com.atproto.sync/listRepos", "a..b.c"] {
        get(path, &[]).await.is_error(400, "InvalidRequest", "invalid xrpc path");
    }
    assert_eq!(get("com.atproto.sync.listRepos/", &[BEARER]).await.status, 200);
}

#[tokio::test]
async fn the_verb_comes_first() {
    get(SESSION, &[]).await.is_error(400, "InvalidRequest", "Incorrect HTTP method (GET) expected POST");
    post(LIST, &[], b"").await.is_error(400, "InvalidRequest", "Incorrect HTTP method (POST) expected GET");
    call(request("DELETE", LIST, &[], b"")).await.is_error(
        400,
        "InvalidRequest",
        "Incorrect HTTP method (DELETE) expected GET",
    );
    assert_eq!(call(request("HEAD", LIST, &[BEARER], b"")).await.status, 200);
}

#[tokio::test]
async fn parameters_are_checked_before_the_caller() {
    let message = "Invalid com.atproto.sync.listRepos params: integer too big (maximum 1000, got 1001)";
    get("com.atproto.sync.listRepos?limit=1001", &[]).await.is_error(400, "InvalidRequest", message);
    get("com.atproto.sync.listRepos?limit=1000", &[]).await.is_error(401, "AuthMissing", "Authentication Required");
}

#[tokio::test]
async fn parameters_are_typed_with_their_defaults() {
    for (query, limit) in [("", "500"), ("?limit=7", "7"), ("?limit%5B%5D=7&unknown=1", "7"), ("?limit=1000", "1000")] {
        let answered = get(&format!("{LIST}{query}"), &[BEARER]).await;
        assert_eq!((answered.status.as_u16(), answered.json()["cursor"].as_str()), (200, Some(limit)), "{query}");
    }
    let many = "a=1&".repeat(limits::QUERY_PARAMS_MAX + 1);
    let answered = get(&format!("{LIST}?{many}"), &[BEARER]).await;
    answered.is_error(400, "InvalidRequest", "Too many query parameters (maximum 200)");
}

#[tokio::test]
async fn the_caller_is_checked_before_the_body() {
    let activate = "com.atproto.server.activateAccount";
    let body = b"unexpected";
    post(activate, &[], body).await.is_error(401, "AuthMissing", "Authentication Required");
    let message = "A request body was provided when none was expected";
    post(activate, &[BEARER], body).await.is_error(400, "InvalidRequest", message);
    let malformed = ("authorization", "Bearer");
    post(activate, &[malformed], b"").await.is_error(400, "InvalidToken", "Malformed authorization header");
    let digest = ("authorization", "Digest x");
    post(activate, &[digest], b"").await.is_error(400, "InvalidToken", "Unsupported authorization type: Digest");
}

#[tokio::test]
async fn private_answers_say_so_also_when_refused() {
    for headers in [&[BEARER][..], &[]] {
        let answered = get(LIST, headers).await;
        assert_eq!(answered.headers["cache-control"], "private");
        assert_eq!(answered.headers["vary"], "Authorization");
    }
    assert_eq!(get(LIST, &[]).await.headers["www-authenticate"], "Bearer");
}

#[tokio::test]
async fn a_body_must_be_there_typed_and_right() {
    let refused = |message: &'static str| move |answered: Answered| answered.is_error(400, "InvalidRequest", message);
    refused("A request body is expected but none was provided")(
        call(request("POST", SESSION, &[("content-type", "application/json")], b"")).await,
    );
    let untyped = refused("Request encoding (Content-Type) required but not provided");
    untyped(post(SESSION, &[], b"{}").await);
    let untyped = refused("Request encoding (Content-Type) required but not provided");
    untyped(post(SESSION, &[("content-type", "nonsense")], b"{}").await);
    refused("Wrong request encoding (Content-Type): text/plain")(
        post(SESSION, &[("content-type", "Text/Plain; charset=utf-8")], b"{}").await,
    );
    refused("Missing required key \"identifier\" at $")(post_json(SESSION, "{}").await);
    refused("Missing required key \"identifier\" at $")(post_json(SESSION, "").await);
    assert!(post_json(SESSION, "{\"a\":").await.json()["message"].as_str().unwrap().starts_with("Invalid JSON: "));
    for body in ["null", "[]", "1", "\"a\"", r#"{"identifier":1,"password":"p"}"#, r#"{"identifier":null}"#] {
        let answered = post_json(SESSION, body).await;
        assert_eq!((answered.status.as_u16(), answered.reached), (400, false), "{body}");
        assert_eq!(answered.json()["error"], "InvalidRequest", "{body}");
    }
}

#[tokio::test]
async fn a_json_type_may_have_parameters() {
    let headers = [("content-type", "Application/JSON; charset=utf-8")];
    let body = br#"{"identifier":"alice.test","password":"p"}"#;
    assert_eq!(post(SESSION, &headers, body).await.status, 200);
}

#[tokio::test]
async fn an_empty_body_is_taken_where_none_is_defined() {
    assert!(call(request("POST", DELETE, &[], b"")).await.reached);
    assert!(post(DELETE, &[("content-type", "application/json")], b"").await.reached);
    let chunked = call(request("POST", DELETE, &[("transfer-encoding", "chunked")], b"")).await;
    assert_eq!((chunked.status.as_u16(), chunked.body.as_slice()), (200, &b""[..]));
    let message = "A request body was provided when none was expected";
    call(request("POST", DELETE, &[("transfer-encoding", "chunked")], b"{}")).await.is_error(
        400,
        "InvalidRequest",
        message,
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_declared_or_not() {
    let json = ("content-type", "application/json");
    let large = format!("{{\"identifier\":\"{}\",\"password\":\"p\"}}", "a".repeat(limits::JSON_BYTES_MAX));
    for headers in [&[json, ("content-length", "153601")][..], &[json, ("transfer-encoding", "chunked")]] {
        let answered = call(request("POST", SESSION, headers, large.as_bytes())).await;
        answered.is_error(413, "PayloadTooLarge", "request entity too large");
    }
    let declared = call(request("POST", SESSION, &[json, ("content-length", "153601")], b"{}")).await;
    declared.is_error(413, "PayloadTooLarge", "request entity too large");
    let padding = " ".repeat(limits::JSON_BYTES_MAX - 42);
    let body = format!("{{\"identifier\":\"alice.test\",\"password\":\"p\"}}{padding}");
    assert_eq!(body.len(), limits::JSON_BYTES_MAX);
    assert_eq!(post(SESSION, &[json], body.as_bytes()).await.status, 200);
}

#[tokio::test]
async fn an_unknown_content_coding_is_refused() {
    let headers = [("content-type", "application/json"), ("content-encoding", "zstd")];
    let message = "unsupported content encoding \"zstd\"";
    post(SESSION, &headers, b"{}").await.is_error(415, "UnsupportedMediaType", message);
}

#[tokio::test]
async fn errors_have_the_status_of_their_name() {
    let with = |identifier: &str| format!("{{\"identifier\":\"{identifier}\",\"password\":\"p\"}}");
    let taken_down = post_json(SESSION, &with("taken-down")).await;
    assert_eq!(taken_down.status, 401);
    assert_eq!(taken_down.json()["error"], "AccountTakedown");

    let busy = post_json(SESSION, &with("busy")).await;
    assert_eq!((busy.status.as_u16(), busy.headers["retry-after"].to_str().unwrap()), (503, "7"));
    assert_eq!(busy.headers["x-request-id"], "00000000000000ab");
}

#[tokio::test]
async fn our_own_faults_are_not_told() {
    let broken = post_json(SESSION, r#"{"identifier":"broken","password":"p"}"#).await;
    assert_eq!(broken.status, 500);
    let expected = serde_json::json!({"error": "InternalServerError", "message": "Internal Server Error"});
    assert_eq!(broken.json(), expected);
    assert_eq!(broken.headers["x-request-id"], "00000000000000ab");
}

#[test]
fn every_common_name_has_the_status_clients_expect() {
    let statuses = [
        (CommonError::InvalidRequest, 400),
        (CommonError::InvalidToken, 400),
        (CommonError::ExpiredToken, 400),
        (CommonError::AuthMissing, 401),
        (CommonError::AuthenticationRequired, 401),
        (CommonError::JwtExpired, 401),
        (CommonError::UntrustedIss, 401),
        (CommonError::AccountNotFound, 400),
        (CommonError::WriterNotFound, 403),
        (CommonError::Forbidden, 403),
        (CommonError::NotFound, 404),
        (CommonError::RequestTimeout, 408),
        (CommonError::PayloadTooLarge, 413),
        (CommonError::UnsupportedMediaType, 415),
        (CommonError::RateLimitExceeded { retry_after_secs: 1 }, 429),
        (CommonError::MethodNotAllowed, 405),
        (CommonError::UpgradeRequired, 426),
        (CommonError::MethodNotImplemented, 501),
        (CommonError::UpstreamFailure, 502),
        (CommonError::NotEnoughResources { retry_after_secs: 1 }, 503),
        (CommonError::UpstreamTimeout, 504),
    ];
    for (error, status) in statuses {
        assert_eq!(error::status::common(error).as_u16(), status, "{}", error.name());
    }
}
