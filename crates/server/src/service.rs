//! The PDS as a [`Service`]: gives a request its id and sends it where its path belongs.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use allod_atproto::Did;
use allod_base::{printable::Shown, randomness};
use allod_http::{
    Admission, Service,
    body::{BudgetExceeded, RequestBody, Reservation, ResponseBody},
    coding::{Accepted, Coder},
    host::Host,
    log_throttle::LogThrottle,
};
use futures_util::FutureExt;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH, RANGE, RETRY_AFTER},
    request::Parts,
};
use http_body::Body;
use tokio::net::TcpListener;
use tracing::Instrument;

use crate::{
    access::{self, Line},
    app::App,
    cors,
    domain::shares::{Crowded, Place, Taker},
    limits, pages, reply,
    streams::jetstream,
    well_known,
    xrpc::{self, Routes},
};

/// Where whoever watches the server asks whether it is well.
const HEALTH_PATH: &str = "/xrpc/_health";

/// When a caller for whose answer there was no room comes back, in seconds.
const ANSWER_RETRY_SECS: u32 = 5;

/// Names a request in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(u64);

impl RequestId {
    /// Makes an id of a number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Gives the id as a header.
    pub fn header(self) -> HeaderValue {
        HeaderValue::from_str(&self.to_string()).unwrap_or_else(|_| HeaderValue::from_static("?"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What is known of a request beside its content.
#[derive(Debug, Clone, Copy)]
pub struct RequestContext {
    /// Its name in the log.
    pub id: RequestId,
    /// Who sent it, behind the trusted proxies.
    pub client: IpAddr,
    /// Whether the client is counted by its address. In development mode a process on this machine is not.
    pub is_counted: bool,
}

impl RequestContext {
    /// Whose share of limited places the request takes; `account` is who is signed in.
    pub fn taker(&self, account: Option<&Did>) -> Taker {
        Taker::new(self.client, account.cloned())
    }
}

/// The PDS's answers to HTTP requests.
pub struct PdsService {
    app: Arc<App>,
    routes: Routes<App>,
    next_id: AtomicU64,
    coder: Coder,
    no_room: LogThrottle,
    /// Whether the operator was told of a proxy that is not trusted.
    has_told_of_proxy: AtomicBool,
}

impl PdsService {
    /// Answers for this server.
    pub fn new(app: Arc<App>) -> Self {
        let first_id = u64::from_be_bytes(randomness::bytes(&*app.randomness));
        Self {
            app,
            routes: xrpc::routes(),
            next_id: AtomicU64::new(first_id),
            coder: Coder::default(),
            no_room: LogThrottle::every_secs(limits::NO_ROOM_WARNING_SECS),
            has_told_of_proxy: AtomicBool::new(false),
        }
    }

    /// Reserves memory for a response until its client has taken it, or refuses to give it. A response to a write that
    /// was carried out is given in any case, within what was `reserved` for it before.
    fn within_budget(
        &self,
        response: Response<ResponseBody>,
        reserved: Option<Place>,
        context: RequestContext,
    ) -> Response<ResponseBody> {
        match (self.app.answers.take(&context.taker(None), response.body().held_bytes()), reserved) {
            (Ok(place), _) | (Err(_), Some(place)) => response.map(|body| body.holding(place)),
            (Err(crowded), None) => {
                let mut refusal = self.no_room(context, crowded);
                *refusal.extensions_mut() = response.into_parts().0.extensions;
                refusal
            }
        }
    }

    /// Refuses for want of memory for the response.
    fn no_room(&self, context: RequestContext, crowded: Crowded) -> Response<ResponseBody> {
        self.tell_no_room(context, crowded);
        let message = "Too many responses are waiting for their clients; try again later";
        let mut refusal = reply::error(StatusCode::SERVICE_UNAVAILABLE, "NotEnoughResources", message);
        refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from(ANSWER_RETRY_SECS));
        cors::allow(refusal.headers_mut());
        refusal
    }

    /// Logs a refusal, unless that was done a moment ago.
    fn tell_no_room(&self, context: RequestContext, crowded: Crowded) {
        if let Some(refused) = self.no_room.count() {
            let held_bytes = self.app.answers.held_bytes();
            tracing::warn!(client = %context.client, ?crowded, held_bytes, refused, "no room in memory for an answer");
        }
    }

    /// Reserves memory for the response to what may change something: once it was carried out, refusing would have the
    /// client do it again.
    fn reserve_for_write(&self, method: &Method, context: RequestContext) -> Result<Option<Place>, Crowded> {
        if is_read(method) || method == Method::OPTIONS {
            return Ok(None);
        }
        self.app.answers.take(&context.taker(None), limits::WRITE_ANSWER_BYTES_RESERVED).map(Some)
    }

    /// Finds out who sent a request.
    fn context(&self, peer: SocketAddr, headers: &HeaderMap) -> RequestContext {
        let config = &self.app.config;
        let client = config.trusted_proxies.client_address(peer.ip(), headers);
        if !self.has_told_of_proxy.load(Relaxed)
            && config.trusted_proxies.looks_forgotten(peer.ip(), headers)
            && !self.has_told_of_proxy.swap(true, Relaxed)
        {
            tracing::warn!(
                peer = %peer.ip(),
                trusted = %config.trusted_proxies,
                "a proxy that is not in `trusted_proxies` forwards requests: all its clients share one address's limits"
            );
        }
        let id = RequestId(self.next_id.fetch_add(1, Relaxed));
        RequestContext { id, client, is_counted: !(config.dev_mode && client.is_loopback()) }
    }

    async fn answer(&self, parts: Parts, body: RequestBody, context: RequestContext) -> Response<ResponseBody> {
        let uri = parts.uri.clone();
        let (area, name) = Area::of(uri.path());
        let is_open = area != Area::Pages;
        let mut response = match unambiguous(&parts) {
            Err(message) => reply::error(StatusCode::BAD_REQUEST, "InvalidRequest", &message),
            Ok(_) if is_open && parts.method == Method::OPTIONS => cors::preflight(&parts.headers),
            Ok(host) => match area {
                Area::Xrpc if name == "_health" && is_read(&parts.method) => xrpc::health(&self.app).await,
                Area::Xrpc => self.routes.answer(Arc::clone(&self.app), name, parts, body, context).await,
                Area::WellKnown if is_read(&parts.method) => {
                    well_known::answer(&self.app, name, host.as_ref(), context).await
                }
                Area::WellKnown => reply::error(StatusCode::METHOD_NOT_ALLOWED, "InvalidRequest", "Method Not Allowed"),
                Area::Jetstream if self.app.config.firehose.jetstream => jetstream::answer(&self.app, parts, context),
                Area::Jetstream | Area::Pages => pages::answer(&self.app, &parts, host.as_ref()),
            },
        };
        if is_open {
            cors::allow(response.headers_mut());
        }
        response
    }
}

/// Who answers a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    Xrpc,
    WellKnown,
    Jetstream,
    Pages,
}

impl Area {
    /// Tells the area of a path, and the path within it.
    fn of(path: &str) -> (Self, &str) {
        if let Some(name) = path.strip_prefix("/xrpc/") {
            (Self::Xrpc, name)
        } else if let Some(name) = path.strip_prefix("/.well-known/") {
            (Self::WellKnown, name)
        } else if path == "/xrpc" {
            (Self::Xrpc, "")
        } else if path == "/subscribe" {
            (Self::Jetstream, path)
        } else {
            (Self::Pages, path)
        }
    }
}

impl Reservation for Place {
    fn resize(&mut self, bytes: usize) -> Result<(), BudgetExceeded> {
        Self::resize(self, bytes).map_err(|_| BudgetExceeded)
    }
}

/// Serves the PDS on the listener until `shutdown` completes, then lets running requests end.
///
/// Returns when every connection is closed, at the latest [`allod_http::limits::SHUTDOWN_SECS`] after `shutdown`.
pub async fn serve(listener: TcpListener, app: Arc<App>, shutdown: impl Future<Output = ()>) {
    if let Err(error) = app.newest_time.load(&*app.db).await {
        tracing::error!(%error, "could not read the newest time this server has seen");
    }
    let admission =
        Admission { connections_max: app.config.connections_max, proxies: app.config.trusted_proxies.clone() };
    allod_http::serve(listener, Arc::new(PdsService::new(app)), admission, shutdown).await;
}

impl Service for PdsService {
    fn connections_refused(&self, client: IpAddr) {
        access::connections_refused(client);
    }

    async fn call(&self, peer: SocketAddr, request: Request<RequestBody>) -> Response<ResponseBody> {
        let context = self.context(peer, request.headers());
        let line = self.app.config.access_log.then(|| Line::begin(&request, &context));
        let (mut parts, body) = request.into_parts();
        let path = Shown(parts.uri.path(), limits::LOGGED_PATH_CHARS_MAX);
        let span = tracing::info_span!("request", id = %context.id, %path);
        let is_head = parts.method == Method::HEAD;
        if parts.method != Method::GET {
            // Ranges are defined for GET alone: RFC 9110, section 14.2.
            parts.headers.remove(RANGE);
        }
        // Pages of development mode show secrets, and others are short.
        let (area, _) = Area::of(parts.uri.path());
        let accepted = Accepted::read(&parts.method, &parts.headers).filter(|_| area == Area::Xrpc);
        let is_open = area != Area::Pages;
        let is_health = parts.uri.path() == HEALTH_PATH;
        let reserved = match self.reserve_for_write(&parts.method, context) {
            Ok(reserved) => reserved,
            Err(crowded) => {
                let refusal = self.no_room(context, crowded);
                return match line {
                    Some(line) => line.answered(refusal),
                    None => refusal,
                };
            }
        };
        let answered = async {
            let response = self.answer(parts, body, context).await;
            let response = self.coder.code(accepted, response).await;
            tracing::debug!(status = response.status().as_u16(), client = %context.client, "answered");
            response
        };
        let response = AssertUnwindSafe(answered.instrument(span)).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(id = %context.id, "a request's handler panicked");
            let mut response =
                reply::error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", "Internal Server Error");
            if is_open {
                cors::allow(response.headers_mut());
            }
            response
        });
        let response = if is_head {
            without_body(response)
        } else if is_health {
            // Who watches the server must see that it is well.
            response
        } else {
            self.within_budget(response, reserved, context)
        };
        match line {
            Some(line) => line.answered(response),
            None => response,
        }
    }
}

/// Whether a verb only reads.
fn is_read(verb: &Method) -> bool {
    verb == Method::GET || verb == Method::HEAD
}

/// Refuses a request that two servers could understand differently; otherwise finds the host that it is for.
fn unambiguous(parts: &Parts) -> Result<Option<Host<'_>>, String> {
    for name in [AUTHORIZATION, http::HeaderName::from_static("dpop")] {
        let mut values = parts.headers.get_all(&name).iter();
        if values.next().is_some() && values.next().is_some() {
            return Err(format!("More than one {name} header"));
        }
    }
    Host::of(parts).map_err(|error| error.to_string())
}

/// Answers a HEAD: what a GET would say of its body, without it.
fn without_body(response: Response<ResponseBody>) -> Response<ResponseBody> {
    let (mut parts, body) = response.into_parts();
    if let Some(bytes) = body.size_hint().exact() {
        parts.headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(bytes));
    }
    Response::from_parts(parts, ResponseBody::empty())
}
