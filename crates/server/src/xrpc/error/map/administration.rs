//! What administration and moderation fail with.

use allod_lexicon::{
    com_atproto::{server::get_account_invite_codes, temp::check_handle_availability},
    method::NoErrors,
};

use super::STORE_RETRY_SECS;
use crate::{
    domain::{
        administration::{
            accounts::AdminError,
            handles::{AvailabilityError, ReserveError},
        },
        invites::{DisableError, ListError, owned::OwnCodesError},
        moderation::ModerationError,
        repos::AnnounceError,
    },
    xrpc::error::{CommonError, XrpcError},
};

const LATER: CommonError = CommonError::NotEnoughResources { retry_after_secs: STORE_RETRY_SECS };

impl<E> From<AdminError> for XrpcError<E> {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::NotFound => Self::common(CommonError::NotFound, error.to_string()),
            AdminError::Note | AdminError::NoRecipient | AdminError::NoAddress | AdminError::Subject => {
                Self::invalid_request(error.to_string())
            }
            AdminError::Email(error) => XrpcError::<NoErrors>::from(error).widen(),
            AdminError::Password(error) => XrpcError::<NoErrors>::from(error).widen(),
            AdminError::Read(error) => error.into(),
            AdminError::Commit(error) => error.into(),
        }
    }
}

impl<E> From<ModerationError> for XrpcError<E> {
    fn from(error: ModerationError) -> Self {
        let message = error.to_string();
        match error {
            ModerationError::ActivateAndTakedown | ModerationError::NotAnAccount | ModerationError::Reference => {
                Self::invalid_request(message)
            }
            ModerationError::NotFound => Self::common(CommonError::NotFound, message),
            ModerationError::TakenDown => Self::common(CommonError::AccountNotFound, message),
            ModerationError::Waits => Self::invalid_request(message),
            ModerationError::Contended => Self::common(LATER, message),
            ModerationError::Announce(error) => match error {
                AnnounceError::NotFound(_) => Self::common(CommonError::NotFound, message),
                AnnounceError::Busy(_) | AnnounceError::BrokenOff => Self::common(LATER, message),
                AnnounceError::NoKey(_) | AnnounceError::Key(_) => Self::internal(error),
                AnnounceError::Read(error) => error.into(),
                AnnounceError::Commit(error) => error.into(),
            },
            ModerationError::Read(error) => error.into(),
            ModerationError::Commit(error) => error.into(),
        }
    }
}

impl<E> From<ReserveError> for XrpcError<E> {
    fn from(error: ReserveError) -> Self {
        match error {
            ReserveError::Handle(_) | ReserveError::Taken(_) => Self::invalid_request(error.to_string()),
            ReserveError::Commit(error) => error.into(),
        }
    }
}

impl From<AvailabilityError> for XrpcError<check_handle_availability::Error> {
    fn from(error: AvailabilityError) -> Self {
        let message = error.to_string();
        match error {
            AvailabilityError::Email(_) => Self::declared(check_handle_availability::Error::InvalidEmail, message),
            AvailabilityError::Handle(_) | AvailabilityError::Domain => Self::invalid_request(message),
            AvailabilityError::Read(error) => error.into(),
        }
    }
}

impl<E> From<ListError> for XrpcError<E> {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Sort(_) | ListError::Cursor => Self::invalid_request(error.to_string()),
            ListError::Read(error) => error.into(),
        }
    }
}

impl From<OwnCodesError> for XrpcError<get_account_invite_codes::Error> {
    fn from(error: OwnCodesError) -> Self {
        let message = error.to_string();
        match error {
            OwnCodesError::Deactivated => Self::common(CommonError::NotFound, message),
            OwnCodesError::Duplicate => Self::declared(get_account_invite_codes::Error::DuplicateCreate, message),
            OwnCodesError::Read(error) => error.into(),
            OwnCodesError::Commit(error) => error.into(),
        }
    }
}

impl<E> From<DisableError> for XrpcError<E> {
    fn from(error: DisableError) -> Self {
        match error {
            DisableError::Admin | DisableError::TooMany => Self::invalid_request(error.to_string()),
            DisableError::Commit(error) => error.into(),
        }
    }
}
