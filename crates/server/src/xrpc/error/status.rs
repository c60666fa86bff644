//! Which HTTP status goes with which error name: the one table.

use http::StatusCode;

use super::CommonError;

/// The name of every fault of ours.
pub const INTERNAL: &str = "InternalServerError";

/// Tells the status of a name that any method may answer.
pub fn common(error: CommonError) -> StatusCode {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the one name that has two statuses")]
    match error {
        CommonError::WriterNotFound => StatusCode::FORBIDDEN,
        error => of(error.name()),
    }
}

/// Tells the status of an error name.
///
/// A name that is not listed is a 400, and so is nearly every name a lexicon declares: clients refresh a session
/// on 400 `ExpiredToken`, for instance.
pub fn of(name: &str) -> StatusCode {
    match name {
        "AuthMissing"
        | "AuthenticationRequired"
        | "AuthFactorTokenRequired"
        | "AccountTakedown"
        | "AccountDeactivated"
        | "BadJwt"
        | "BadJwtType"
        | "JwtExpired"
        | "BadJwtAudience"
        | "BadJwtLexiconMethod"
        | "BadJwtIss"
        | "BadJwtSignature"
        | "UntrustedIss" => StatusCode::UNAUTHORIZED,
        "Forbidden" => StatusCode::FORBIDDEN,
        "NotFound" => StatusCode::NOT_FOUND,
        "MethodNotAllowed" => StatusCode::METHOD_NOT_ALLOWED,
        "UpgradeRequired" => StatusCode::UPGRADE_REQUIRED,
        "RequestTimeout" => StatusCode::REQUEST_TIMEOUT,
        "PayloadTooLarge" => StatusCode::PAYLOAD_TOO_LARGE,
        "UnsupportedMediaType" => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "RateLimitExceeded" => StatusCode::TOO_MANY_REQUESTS,
        INTERNAL => StatusCode::INTERNAL_SERVER_ERROR,
        "MethodNotImplemented" => StatusCode::NOT_IMPLEMENTED,
        "UpstreamFailure" => StatusCode::BAD_GATEWAY,
        "NotEnoughResources" | "DataDamaged" => StatusCode::SERVICE_UNAVAILABLE,
        "UpstreamTimeout" => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_REQUEST,
    }
}
