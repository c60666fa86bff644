//! What a handler gives.

use allod_atproto::Did;
use allod_http::body::{ResponseBody, StreamError};
use allod_lexicon::Method;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use http_body::Body;

use crate::{access::Caller, reply};

/// The answer of method `M`.
#[derive(Debug)]
pub struct XrpcResponse<M: Method> {
    content: Content<M::Output>,
    headers: Vec<(HeaderName, HeaderValue)>,
    status: StatusCode,
    caller: Option<Did>,
}

#[derive(Debug)]
enum Content<O> {
    Output(O),
    Body(HeaderValue, ResponseBody),
}

impl<M: Method> XrpcResponse<M> {
    /// Answers the method's output.
    pub fn new(output: M::Output) -> Self {
        Self { content: Content::Output(output), headers: Vec::new(), status: StatusCode::OK, caller: None }
    }

    /// Answers bytes of this content type.
    pub fn bytes(content_type: HeaderValue, bytes: impl Into<Bytes>) -> Self {
        Self {
            content: Content::Body(content_type, ResponseBody::bytes(bytes)),
            headers: Vec::new(),
            status: StatusCode::OK,
            caller: None,
        }
    }

    /// Answers a stream of this content type.
    pub fn stream<B>(content_type: HeaderValue, body: B) -> Self
    where
        B: Body<Data = Bytes, Error = StreamError> + Send + 'static,
    {
        Self {
            content: Content::Body(content_type, ResponseBody::stream(body)),
            headers: Vec::new(),
            status: StatusCode::OK,
            caller: None,
        }
    }

    /// Answers with another status than 200.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Names the account that the request turned out to be of, for the access log.
    #[must_use]
    pub fn caller(mut self, did: Did) -> Self {
        self.caller = Some(did);
        self
    }

    pub(super) fn into_response(self) -> Result<Response<ResponseBody>, serde_json::Error> {
        let mut response = match self.content {
            Content::Output(_) if M::OUTPUT_ENCODING.is_none() => Response::new(ResponseBody::empty()),
            Content::Output(output) => reply::json(StatusCode::OK, &output)?,
            Content::Body(content_type, body) => {
                let mut response = Response::new(body);
                response.headers_mut().insert(CONTENT_TYPE, content_type);
                response
            }
        };
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        if let Some(did) = self.caller {
            response.extensions_mut().insert(Caller(did));
        }
        Ok(response)
    }
}
