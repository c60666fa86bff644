//! What a handler gets.

use allod_lexicon::Method;
use http::HeaderMap;

use super::error::Message;
use allod_http::{body::RequestBody, websocket::Handshake};

use crate::service::RequestContext;

/// A call of method `M` by a caller of kind `A`, everything checked.
#[derive(Debug)]
pub struct XrpcRequest<M: Method, A> {
    /// The query parameters, defaults filled.
    pub params: M::Params,
    /// The body.
    pub input: M::Input,
    /// The body as bytes, unread, of a method that takes something else than JSON; its content coding is not undone.
    pub raw_body: RequestBody,
    /// The caller.
    pub auth: A,
    /// Where the request came from, and its id.
    pub context: RequestContext,
    /// The request's headers.
    pub headers: HeaderMap,
}

/// A call of subscription `M`: a WebSocket that may be opened.
#[derive(Debug)]
pub struct XrpcSubscription<M: Method> {
    /// The query parameters, or what is wrong with them.
    pub params: Result<M::Params, Message>,
    /// Opens the stream.
    pub handshake: Handshake,
    /// Where the request came from, and its id.
    pub context: RequestContext,
}
