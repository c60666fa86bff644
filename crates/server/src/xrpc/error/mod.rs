//! How a request fails: with a name its lexicon declares, with one every method shares, or through a fault of ours.
//!
//! Every error leaves through [`respond`]: the status comes from [`status`], the client reads the name and the
//! message, and what only we may know goes to the log beside the request's id.

pub mod map;
pub mod status;

use std::{borrow::Cow, error::Error as StdError};

use allod_http::{body::ResponseBody, websocket};
use allod_lexicon::{DeclaredError, method::NoErrors};
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONNECTION, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE},
};

use crate::{cors::X_REQUEST_ID, reply, service::RequestId};

/// A source that is logged and never shown.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What the client reads.
pub type Message = Cow<'static, str>;

/// Why a method call fails. `E` is the enum of exactly the names the method's lexicon declares.
#[derive(Debug)]
pub enum XrpcError<E = NoErrors> {
    /// A name of the method's own.
    Declared(E, Message),
    /// A name any method may answer.
    Common(CommonError, Message),
    /// A fault of ours: logged with its sources, answered with nothing but a request id.
    Internal(BoxError),
}

impl<E> XrpcError<E> {
    /// Answers with a name of the method's own.
    pub fn declared(error: E, message: impl Into<Message>) -> Self {
        Self::Declared(error, message.into())
    }

    /// Answers with a name any method may answer.
    pub fn common(error: CommonError, message: impl Into<Message>) -> Self {
        Self::Common(error, message.into())
    }

    /// Answers that the request is wrong.
    pub fn invalid_request(message: impl Into<Message>) -> Self {
        Self::common(CommonError::InvalidRequest, message)
    }

    /// Answers a 500; the source is for the log alone.
    pub fn internal(source: impl Into<BoxError>) -> Self {
        Self::Internal(source.into())
    }
}

impl XrpcError<NoErrors> {
    /// What the client reads.
    pub fn message(self) -> Message {
        match self {
            Self::Declared(never, _) => match never {},
            Self::Common(_, message) => message,
            Self::Internal(_) => Message::Borrowed("Internal Server Error"),
        }
    }

    /// Takes an error that every method may answer as one of this method's.
    pub fn widen<E>(self) -> XrpcError<E> {
        match self {
            Self::Declared(never, _) => match never {},
            Self::Common(error, message) => XrpcError::Common(error, message),
            Self::Internal(source) => XrpcError::Internal(source),
        }
    }
}

/// Names that any method may answer; their statuses are in [`status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommonError {
    /// The request is wrong in a way no other name says.
    InvalidRequest,
    /// No credential was sent where one is needed.
    AuthMissing,
    /// The credential is not good, or of a kind this method does not take.
    AuthenticationRequired,
    /// The token is none of ours, or allows something else.
    InvalidToken,
    /// The token has ended: refresh the session.
    ExpiredToken,
    /// The account was taken down.
    AccountTakedown,
    /// The account is deactivated.
    AccountDeactivated,
    /// There is no such account, or it is taken down.
    AccountNotFound,
    /// `AccountNotFound` of a write to a repository, which has a status of its own.
    WriterNotFound,
    /// There is no such repository; for methods whose lexicon names no error.
    RepoNotFound,
    /// The repository's account was taken down; likewise.
    RepoTakendown,
    /// The repository's account is deactivated; likewise.
    RepoDeactivated,
    /// A handle is none, or one that nobody can have here.
    InvalidHandle,
    /// A handle is somebody else's, or nobody's to have.
    HandleNotAvailable,
    /// A service token is malformed.
    BadJwt,
    /// A service token is of another type.
    BadJwtType,
    /// A service token has ended.
    JwtExpired,
    /// A service token is for another audience.
    BadJwtAudience,
    /// A service token is for another method.
    BadJwtLexiconMethod,
    /// A service token's issuer is none, or not the one needed.
    BadJwtIss,
    /// A service token's signature is wrong.
    BadJwtSignature,
    /// A service token's issuer is not one that may call this method.
    UntrustedIss,
    /// The caller may not do this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// A record refers to a blob that is not there.
    BlobNotFound,
    /// A record says of a blob's type what is not so.
    InvalidMimeType,
    /// A record says of a blob's size what is not so.
    InvalidSize,
    /// A stream is opened with GET alone.
    MethodNotAllowed,
    /// A stream is a WebSocket, which was not asked for.
    UpgradeRequired,
    /// The body came too slowly.
    RequestTimeout,
    /// The body is larger than this method takes.
    PayloadTooLarge,
    /// The body's content coding is unknown.
    UnsupportedMediaType,
    /// The caller asked too often.
    RateLimitExceeded {
        /// When to come back, in seconds.
        retry_after_secs: u32,
    },
    /// The server can't do this now; nothing was changed, or the same request may be sent again.
    NotEnoughResources {
        /// When to come back, in seconds.
        retry_after_secs: u32,
    },
    /// What is stored of this is damaged; the operator has to mend it.
    DataDamaged {
        /// When to come back, in seconds.
        retry_after_secs: u32,
    },
    /// Another server failed us.
    UpstreamFailure,
    /// Another server did not answer in time.
    UpstreamTimeout,
    /// No such method here.
    MethodNotImplemented,
}

impl CommonError {
    /// Gives the name as clients read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "InvalidRequest",
            Self::AuthMissing => "AuthMissing",
            Self::AuthenticationRequired => "AuthenticationRequired",
            Self::InvalidToken => "InvalidToken",
            Self::ExpiredToken => "ExpiredToken",
            Self::AccountTakedown => "AccountTakedown",
            Self::AccountDeactivated => "AccountDeactivated",
            Self::AccountNotFound | Self::WriterNotFound => "AccountNotFound",
            Self::RepoNotFound => "RepoNotFound",
            Self::RepoTakendown => "RepoTakendown",
            Self::RepoDeactivated => "RepoDeactivated",
            Self::InvalidHandle => "InvalidHandle",
            Self::HandleNotAvailable => "HandleNotAvailable",
            Self::BadJwt => "BadJwt",
            Self::BadJwtType => "BadJwtType",
            Self::JwtExpired => "JwtExpired",
            Self::BadJwtAudience => "BadJwtAudience",
            Self::BadJwtLexiconMethod => "BadJwtLexiconMethod",
            Self::BadJwtIss => "BadJwtIss",
            Self::BadJwtSignature => "BadJwtSignature",
            Self::UntrustedIss => "UntrustedIss",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::BlobNotFound => "BlobNotFound",
            Self::InvalidMimeType => "InvalidMimeType",
            Self::InvalidSize => "InvalidSize",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::UpgradeRequired => "UpgradeRequired",
            Self::RequestTimeout => "RequestTimeout",
            Self::PayloadTooLarge => "PayloadTooLarge",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::RateLimitExceeded { .. } => "RateLimitExceeded",
            Self::NotEnoughResources { .. } => "NotEnoughResources",
            Self::DataDamaged { .. } => "DataDamaged",
            Self::UpstreamFailure => "UpstreamFailure",
            Self::UpstreamTimeout => "UpstreamTimeout",
            Self::MethodNotImplemented => "MethodNotImplemented",
        }
    }

    const fn retry_after_secs(self) -> Option<u32> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "few say when to come back")]
        match self {
            Self::RateLimitExceeded { retry_after_secs }
            | Self::NotEnoughResources { retry_after_secs }
            | Self::DataDamaged { retry_after_secs } => Some(retry_after_secs),
            _ => None,
        }
    }
}

/// Answers an error. A 401 carries `challenge`; whatever is our fault is logged under the request's id, which the
/// client gets in `X-Request-Id`.
pub fn respond<E: DeclaredError>(
    error: XrpcError<E>,
    challenge: &'static str,
    request: RequestId,
) -> Response<ResponseBody> {
    let (status, name, message, retry_after_secs) = match error {
        XrpcError::Declared(error, message) => (status::of(error.name()), error.name(), message, None),
        XrpcError::Common(error, message) => (status::common(error), error.name(), message, error.retry_after_secs()),
        XrpcError::Internal(source) => {
            tracing::error!(%request, error = %Chain(&*source), "internal error");
            (StatusCode::INTERNAL_SERVER_ERROR, status::INTERNAL, Message::Borrowed("Internal Server Error"), None)
        }
    };
    if status.is_server_error() && status != StatusCode::INTERNAL_SERVER_ERROR {
        tracing::warn!(%request, name, reason = %message, "request refused");
    }
    let mut response = reply::error(status, name, &message);
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if status == StatusCode::UPGRADE_REQUIRED {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, websocket::VERSION);
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET"));
    }
    if let Some(secs) = retry_after_secs {
        headers.insert(RETRY_AFTER, HeaderValue::from(secs));
    }
    if status.is_server_error() {
        headers.insert(X_REQUEST_ID, request.header());
    }
    response
}

/// An error and its sources on one line.
struct Chain<'a>(&'a (dyn StdError + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
