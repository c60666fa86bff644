//! The route table's machinery: NSID to handler in one look-up, and the one order in which a call is checked.
//!
//! Verb, query parameters, caller, body, handler. So a caller without the right credential learns nothing of what
//! is wrong with the body.

use std::{collections::HashMap, future::Future, sync::Arc};

use allod_atproto::{Did, Nsid};
use allod_http::{
    address::network,
    body::{RequestBody, ResponseBody},
    websocket::Handshake,
};
use allod_lexicon::{Kind, Method, method::NoErrors, schema::SchemaSet};
use allod_net::lookups;
use futures_util::future::BoxFuture;
use http::{
    HeaderMap, HeaderValue, Method as Verb, Response,
    header::{CACHE_CONTROL, EXPECT, VARY},
    request::Parts,
};

use super::{
    auth::{Anonymous, AuthRequest, Authenticate},
    body,
    error::{self, CommonError, XrpcError},
    params,
    rate_limit::{self, Limit},
    request::{XrpcRequest, XrpcSubscription},
    response::XrpcResponse,
};
use crate::{
    access::Caller,
    config::RateLimitConfig,
    domain::rate_limits::{RateLimits, Standing},
    limits,
    service::RequestContext,
};

/// What every route asks of the state that handlers get.
pub trait RouteState {
    /// The lexicons that requests are checked against.
    fn schemas(&self) -> &SchemaSet;

    /// The counts of calls, and who is not counted. A state without limits counts nothing.
    fn rate_limits(&self) -> Option<(&RateLimits, &RateLimitConfig)> {
        None
    }
}

/// A method and what answers it.
pub struct Route<S> {
    nsid: &'static str,
    kind: Kind,
    answer: Answer<S>,
}

type Answer<S> = Box<dyn Fn(Call<S>) -> BoxFuture<'static, Response<ResponseBody>> + Send + Sync>;

/// One request on its way to a handler.
struct Call<S> {
    state: Arc<S>,
    parts: Parts,
    body: RequestBody,
    context: RequestContext,
    /// Where the caller stands with the rule for all calls.
    standing: Option<Standing>,
}

/// What a method answers.
pub type XrpcResult<M> = Result<XrpcResponse<M>, XrpcError<<M as Method>::Error>>;

/// What a subscription answers before it is a stream.
pub type SubscriptionResult<M> = Result<Response<ResponseBody>, XrpcError<<M as Method>::Error>>;

/// The one subprotocol of streams so far. Clients that offer none get it too.
const SUBPROTOCOL: &str = "xrpc.v0.cbor";

/// The method whose calls are counted under a rule of its own instead of that for all.
const COUNTED_APART: &str = "com.atproto.sync.getRepo";

/// Makes a route of a handler; which method and which kind of caller is read off the handler's argument.
///
/// A JSON body may have [`limits::JSON_BYTES_MAX`] bytes.
pub fn route<S, M, A, H, F>(handler: H) -> Route<S>
where
    S: RouteState + Send + Sync + 'static,
    M: Method,
    A: Authenticate<S>,
    H: Fn(Arc<S>, XrpcRequest<M, A>) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = XrpcResult<M>> + Send + 'static,
{
    limited_with(handler, &[], limits::JSON_BYTES_MAX)
}

/// As [`route`], for a method with rules of its own for how often it is called.
pub fn limited<S, M, A, H, F>(handler: H, rules: &'static [Limit<M, A>]) -> Route<S>
where
    S: RouteState + Send + Sync + 'static,
    M: Method,
    A: Authenticate<S>,
    H: Fn(Arc<S>, XrpcRequest<M, A>) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = XrpcResult<M>> + Send + 'static,
{
    limited_with(handler, rules, limits::JSON_BYTES_MAX)
}

/// Makes a route of a subscription's handler. A stream is for anybody, and opened by a WebSocket handshake, which is
/// checked first; what is wrong with the parameters is told on the stream.
pub fn subscription<S, M, H>(handler: H) -> Route<S>
where
    S: RouteState + Send + Sync + 'static,
    M: Method,
    H: Fn(Arc<S>, XrpcSubscription<M>) -> SubscriptionResult<M> + Copy + Send + Sync + 'static,
{
    let answer = move |call: Call<S>| -> BoxFuture<'static, Response<ResponseBody>> {
        Box::pin(async move {
            let Call { state, mut parts, body, context, standing } = call;
            let opened = Handshake::read(&mut parts, SUBPROTOCOL).map_err(XrpcError::from).and_then(|handshake| {
                let params = params::read_filled::<M>(state.schemas(), parts.uri.query()).map_err(XrpcError::message);
                handler(state, XrpcSubscription { params, handshake, context })
            });
            let mut response = match opened {
                Ok(response) => response,
                Err(error) => {
                    drain(&parts.headers, body).await;
                    error::respond(error, <Anonymous as Authenticate<S>>::CHALLENGE, context.id)
                }
            };
            rate_limit::tell(standing.as_ref(), response.headers_mut());
            response
        })
    };
    Route { nsid: M::NSID, kind: M::KIND, answer: Box::new(answer) }
}

/// As [`limited`], with a JSON body of at most `json_bytes_max` bytes.
pub fn limited_with<S, M, A, H, F>(handler: H, rules: &'static [Limit<M, A>], json_bytes_max: usize) -> Route<S>
where
    S: RouteState + Send + Sync + 'static,
    M: Method,
    A: Authenticate<S>,
    H: Fn(Arc<S>, XrpcRequest<M, A>) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = XrpcResult<M>> + Send + 'static,
{
    let answer = move |call: Call<S>| -> BoxFuture<'static, Response<ResponseBody>> {
        Box::pin(async move {
            let id = call.context.id;
            let (mut standing, mut caller) = (call.standing, None);
            let answered = run::<S, M, A, H, F>(call, handler, rules, json_bytes_max, &mut standing, &mut caller).await;
            let mut response = match answered {
                Ok(response) => response,
                Err(error) => error::respond(error, A::CHALLENGE, id),
            };
            rate_limit::tell(standing.as_ref(), response.headers_mut());
            if let Some(caller) = caller {
                response.extensions_mut().insert(Caller(caller));
            }
            if A::IS_PRIVATE {
                let headers = response.headers_mut();
                headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private"));
                headers.append(VARY, HeaderValue::from_static("Authorization"));
            }
            response
        })
    };
    Route { nsid: M::NSID, kind: M::KIND, answer: Box::new(answer) }
}

async fn run<S, M, A, H, F>(
    call: Call<S>,
    handler: H,
    rules: &'static [Limit<M, A>],
    json_bytes_max: usize,
    standing: &mut Option<Standing>,
    caller: &mut Option<Did>,
) -> Result<Response<ResponseBody>, XrpcError<M::Error>>
where
    S: RouteState + Send + Sync + 'static,
    M: Method,
    A: Authenticate<S>,
    H: Fn(Arc<S>, XrpcRequest<M, A>) -> F,
    F: Future<Output = XrpcResult<M>> + Send,
{
    let Call { state, parts, mut body, context, .. } = call;
    let request = match check::<S, M, A>(&state, parts, &mut body, context, json_bytes_max).await {
        Ok(request) => request,
        Err((error, headers)) => {
            drain(&headers, body).await;
            return Err(error.widen());
        }
    };
    *caller = request.auth.account().cloned();
    if let Some(counted) = rate_limit::count(&*state, rules, &request) {
        *standing = Some(standing.map_or(counted, |before| rate_limit::tighter(before, counted)));
        rate_limit::refuse(Some(&counted))?;
    }
    let response = handler(state, request).await?;
    response.into_response().map_err(XrpcError::internal)
}

async fn check<S, M, A>(
    state: &Arc<S>,
    parts: Parts,
    body: &mut RequestBody,
    context: RequestContext,
    json_bytes_max: usize,
) -> Result<XrpcRequest<M, A>, (XrpcError<NoErrors>, HeaderMap)>
where
    S: RouteState + Send + Sync + 'static,
    M: Method,
    A: Authenticate<S>,
{
    let headers = parts.headers;
    let checked = async {
        let params = params::read::<M>(state.schemas(), parts.uri.query())?;
        let auth =
            A::authenticate(AuthRequest { headers: &headers, client: context.client, nsid: M::NSID, state }).await?;
        let input = match M::KIND {
            Kind::Procedure => body::read::<M>(state.schemas(), &headers, body, json_bytes_max).await?,
            Kind::Query | Kind::Subscription => body::none::<M>()?,
        };
        Ok((params, auth, input))
    };
    match checked.await {
        Ok((params, auth, body::Input { typed, raw })) => {
            Ok(XrpcRequest { params, input: typed, raw_body: raw, auth, context, headers })
        }
        Err(error) => Err((error, headers)),
    }
}

/// Reads on after a refusal, unless the client waits to be told to send at all.
pub(super) async fn drain(headers: &HeaderMap, body: RequestBody) {
    if !headers.contains_key(EXPECT) {
        body.drain().await;
    }
}

/// Every method this server answers.
pub struct Routes<S> {
    by_nsid: HashMap<&'static str, Route<S>>,
}

impl<S: RouteState + Send + Sync + 'static> Routes<S> {
    /// Collects routes.
    ///
    /// # Panics
    ///
    /// When two are for one method: which of them answers is not left to their order.
    pub fn new(routes: impl IntoIterator<Item = Route<S>>) -> Self {
        let mut by_nsid = HashMap::new();
        for route in routes {
            let nsid = route.nsid;
            assert!(by_nsid.insert(nsid, route).is_none(), "two routes for {nsid}");
        }
        Self { by_nsid }
    }

    /// How many methods there are.
    pub fn len(&self) -> usize {
        self.by_nsid.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_nsid.is_empty()
    }

    /// Lists the methods' NSIDs, in no order.
    pub fn nsids(&self) -> impl Iterator<Item = &'static str> {
        self.by_nsid.keys().copied()
    }

    /// Answers a call of `/xrpc/<name>`.
    pub async fn answer(
        &self,
        state: Arc<S>,
        name: &str,
        parts: Parts,
        body: RequestBody,
        context: RequestContext,
    ) -> Response<ResponseBody> {
        let nsid = name.strip_suffix('/').unwrap_or(name);
        let standing = match nsid {
            COUNTED_APART => None,
            _ => rate_limit::count_call(&*state, &parts.headers, &context, nsid),
        };
        let found = rate_limit::refuse(standing.as_ref()).and_then(|()| self.find(nsid, &parts.method));
        match found {
            Ok(route) => {
                let client = network(context.client);
                let answering = (route.answer)(Call { state, parts, body, context, standing });
                lookups::on_behalf_of(client, answering).await
            }
            Err(error) => {
                drain(&parts.headers, body).await;
                let mut response = error::respond(error, <Anonymous as Authenticate<S>>::CHALLENGE, context.id);
                rate_limit::tell(standing.as_ref(), response.headers_mut());
                response
            }
        }
    }

    fn find(&self, nsid: &str, verb: &Verb) -> Result<&Route<S>, XrpcError<NoErrors>> {
        let Some(route) = self.by_nsid.get(nsid) else {
            return Err(match Nsid::parse(nsid) {
                Ok(_) => XrpcError::common(CommonError::MethodNotImplemented, "Method Not Implemented"),
                Err(_) => XrpcError::invalid_request("invalid xrpc path"),
            });
        };
        let expected = match route.kind {
            Kind::Query if verb == Verb::GET || verb == Verb::HEAD => return Ok(route),
            Kind::Procedure if verb == Verb::POST => return Ok(route),
            // The handshake says what is wrong with the verb.
            Kind::Subscription => return Ok(route),
            Kind::Query => "GET",
            Kind::Procedure => "POST",
        };
        Err(XrpcError::invalid_request(format!("Incorrect HTTP method ({verb}) expected {expected}")))
    }
}
