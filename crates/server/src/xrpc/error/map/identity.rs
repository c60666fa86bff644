//! What identities, and taking part in the network, fail with.

use allod_lexicon::method::NoErrors;

use super::STORE_RETRY_SECS;
use crate::{
    domain::{
        accounts::activation::{ActivateError, ProgressError},
        identity::published::PublishedError,
        repos::{AnnounceError, RepoError},
    },
    xrpc::error::{CommonError, XrpcError},
};

/// What a caller is told when somebody else's server, which we have to ask, does not answer.
fn not_answered<E>(error: &(dyn std::error::Error + 'static)) -> XrpcError<E> {
    tracing::warn!(%error, "an identity could not be looked up");
    XrpcError::common(CommonError::UpstreamFailure, "The identity could not be looked up; try again")
}

impl<E> From<PublishedError> for XrpcError<E> {
    fn from(error: PublishedError) -> Self {
        match error {
            PublishedError::Unresolvable => Self::invalid_request(error.to_string()),
            PublishedError::Unavailable { .. } => not_answered(&error),
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
            ActivateError::NotFound | ActivateError::Misfit(_) => Self::invalid_request(error.to_string()),
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
