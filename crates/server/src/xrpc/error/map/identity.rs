//! What identities, and taking part in the network, fail with.

use allod_lexicon::{com_atproto::identity, method::NoErrors};

use super::STORE_RETRY_SECS;
use crate::{
    domain::{
        accounts::activation::{ActivateError, ProgressError},
        email_codes::CodeError,
        handles::HandleError,
        identity::{
            changes::ChangeError,
            handle::UpdateHandleError,
            owner::{SignError, SubmitError},
            published::PublishedError,
            resolution::IdentityError,
        },
        identity_lookup::HandleLookupError,
        repos::{AnnounceError, RepoError},
    },
    xrpc::error::{CommonError, XrpcError},
};

/// When a caller comes back whose change waits for the directory, in seconds.
const PENDING_RETRY_SECS: u32 = 10;

/// When a caller comes back for whom nothing could be looked up, in seconds.
const LOOKUP_RETRY_SECS: u32 = 5;

/// What a caller is told when somebody else's server, which we have to ask, does not answer.
fn not_answered<E>(error: &(dyn std::error::Error + 'static)) -> XrpcError<E> {
    tracing::warn!(%error, "an identity could not be looked up");
    XrpcError::common(CommonError::UpstreamFailure, "The identity could not be looked up; try again")
}

impl<E> From<HandleLookupError> for XrpcError<E> {
    fn from(error: HandleLookupError) -> Self {
        match error {
            HandleLookupError::Busy(busy) => {
                let later = CommonError::NotEnoughResources { retry_after_secs: LOOKUP_RETRY_SECS };
                Self::common(later, format!("{busy}; try again"))
            }
            HandleLookupError::Read(error) => error.into(),
        }
    }
}

impl<E> From<PublishedError> for XrpcError<E> {
    fn from(error: PublishedError) -> Self {
        match error {
            PublishedError::Unresolvable => Self::invalid_request(error.to_string()),
            PublishedError::Unavailable { .. } | PublishedError::Unusable { .. } => not_answered(&error),
            PublishedError::NoKey(_) => Self::internal(error),
            PublishedError::Read(error) => error.into(),
        }
    }
}

impl<E> From<AnnounceError> for XrpcError<E> {
    fn from(error: AnnounceError) -> Self {
        match error {
            AnnounceError::NotFound(_) => Self::invalid_request(error.to_string()),
            AnnounceError::Busy(_) | AnnounceError::BrokenOff => {
                Self::common(CommonError::NotEnoughResources { retry_after_secs: STORE_RETRY_SECS }, error.to_string())
            }
            AnnounceError::NoKey(_) | AnnounceError::Key(_) => Self::internal(error),
            AnnounceError::Read(error) => error.into(),
            AnnounceError::Commit(error) => error.into(),
        }
    }
}

impl<E> From<ActivateError> for XrpcError<E> {
    fn from(error: ActivateError) -> Self {
        match error {
            ActivateError::NotFound => Self::common(CommonError::AccountNotFound, error.to_string()),
            ActivateError::Misfit(_) => Self::invalid_request(error.to_string()),
            ActivateError::Published(error) => error.into(),
            ActivateError::Announce(error) => error.into(),
        }
    }
}

impl From<ProgressError> for XrpcError<NoErrors> {
    fn from(error: ProgressError) -> Self {
        match error {
            ProgressError::Open(error) => RepoError::from(error).into(),
            ProgressError::Read(error) => error.into(),
        }
    }
}

impl<E> From<HandleError> for XrpcError<E> {
    fn from(error: HandleError) -> Self {
        let name = match error {
            HandleError::Invalid(_) => CommonError::InvalidHandle,
            HandleError::Reserved => CommonError::HandleNotAvailable,
        };
        Self::common(name, error.to_string())
    }
}

impl<E> From<ChangeError> for XrpcError<E> {
    fn from(error: ChangeError) -> Self {
        let message = error.to_string();
        match error {
            ChangeError::NotFound
            | ChangeError::Tombstoned
            | ChangeError::Waits
            | ChangeError::NotReserved
            | ChangeError::Misfit(_)
            | ChangeError::Operation(_)
            | ChangeError::Refused(_) => Self::invalid_request(message),
            ChangeError::HandleTaken(_) => Self::common(CommonError::HandleNotAvailable, message),
            ChangeError::Unreachable => Self::common(CommonError::UpstreamFailure, message),
            ChangeError::Pending | ChangeError::LogUnreadable | ChangeError::UnderWay => {
                Self::common(CommonError::NotEnoughResources { retry_after_secs: PENDING_RETRY_SECS }, message)
            }
            ChangeError::Published(error) => error.into(),
            ChangeError::Read(error) => error.into(),
            ChangeError::Commit(error) => error.into(),
            ChangeError::Announce(error) => error.into(),
            ChangeError::Internal(_) => Self::internal(error),
        }
    }
}

impl<E> From<UpdateHandleError> for XrpcError<E> {
    fn from(error: UpdateHandleError) -> Self {
        match error {
            UpdateHandleError::Handle(error) => error.into(),
            UpdateHandleError::Unproven | UpdateHandleError::NotClaimed => Self::invalid_request(error.to_string()),
            UpdateHandleError::Change(error) => error.into(),
        }
    }
}

impl<E> From<SignError> for XrpcError<E> {
    fn from(error: SignError) -> Self {
        let message = error.to_string();
        match error {
            SignError::CodeMissing | SignError::NotPlc => Self::invalid_request(message),
            SignError::Code(CodeError::Invalid) => Self::common(CommonError::InvalidToken, message),
            SignError::Code(CodeError::Expired) => Self::common(CommonError::ExpiredToken, message),
            SignError::Code(CodeError::Read(error)) => error.into(),
            SignError::Code(CodeError::Commit(error)) => error.into(),
            SignError::Change(error) => error.into(),
        }
    }
}

impl<E> From<SubmitError> for XrpcError<E> {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Invalid
            | SubmitError::NotPlc
            | SubmitError::RotationKey
            | SubmitError::ServiceType
            | SubmitError::Endpoint
            | SubmitError::SigningKey
            | SubmitError::Handle => Self::invalid_request(error.to_string()),
            SubmitError::Change(error) => error.into(),
        }
    }
}

impl From<IdentityError> for XrpcError<identity::resolve_did::Error> {
    fn from(error: IdentityError) -> Self {
        use identity::resolve_did::Error as Name;
        let message = error.to_string();
        match error {
            IdentityError::HandleNotFound => Self::invalid_request(message),
            IdentityError::DidNotFound(_) => Self::declared(Name::DidNotFound, message),
            IdentityError::DidDeactivated(_) => Self::declared(Name::DidDeactivated, message),
            IdentityError::Unavailable { .. } => not_answered(&error),
            IdentityError::Read(error) => error.into(),
        }
    }
}

/// Maps what keeps an identity from being resolved to the names each method declares for it.
macro_rules! identity_error {
    ($($method:ident),+) => {$(
        impl From<IdentityError> for XrpcError<identity::$method::Error> {
            fn from(error: IdentityError) -> Self {
                use identity::$method::Error as Name;
                let message = error.to_string();
                match error {
                    IdentityError::HandleNotFound => Self::declared(Name::HandleNotFound, message),
                    IdentityError::DidNotFound(_) => Self::declared(Name::DidNotFound, message),
                    IdentityError::DidDeactivated(_) => Self::declared(Name::DidDeactivated, message),
                    IdentityError::Unavailable { .. } => not_answered(&error),
                    IdentityError::Read(error) => error.into(),
                }
            }
        }
    )+};
}

identity_error!(resolve_identity, refresh_identity);
