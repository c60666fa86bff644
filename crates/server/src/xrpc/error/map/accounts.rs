//! What changes of accounts fail with.

use allod_lexicon::{
    com_atproto::{account, server},
    method::NoErrors,
};
use allod_store::ConflictKey;

use super::{STORE_RETRY_SECS, StoreError};
use crate::{
    domain::{
        accounts::{deletion::DeleteError, email::EmailError, password::PasswordError},
        email_codes::CodeError,
        identity::owner::RequestCodeError,
        mail::SendCodeError,
        preferences::PreferencesError,
    },
    xrpc::error::{CommonError, XrpcError},
};

/// When a caller comes back whose mailbox got enough letters, in seconds.
const LETTERS_RETRY_SECS: u32 = 60 * 60;

/// Maps what a mailed code fails with to a method's own names for it.
macro_rules! code_errors {
    ($error:expr, $names:ty) => {
        match $error {
            CodeError::Invalid => Self::declared(<$names>::InvalidToken, CodeError::Invalid.to_string()),
            CodeError::Expired => Self::declared(<$names>::ExpiredToken, CodeError::Expired.to_string()),
            CodeError::Read(error) => error.into(),
            CodeError::Commit(error) => error.into(),
        }
    };
}

impl From<DeleteError> for XrpcError<NoErrors> {
    fn from(error: DeleteError) -> Self {
        let message = error.to_string();
        match error {
            DeleteError::NotFound | DeleteError::Code(CodeError::Invalid | CodeError::Expired) => {
                Self::invalid_request(message)
            }
            DeleteError::SignInTooOld | DeleteError::Credentials | DeleteError::PasswordTooLong => {
                Self::common(CommonError::AuthenticationRequired, message)
            }
            DeleteError::Busy(_) | DeleteError::BeingLetIn => {
                Self::common(CommonError::NotEnoughResources { retry_after_secs: STORE_RETRY_SECS }, message)
            }
            DeleteError::Hash(error) => error.into(),
            DeleteError::Code(CodeError::Read(error)) | DeleteError::Read(error) => error.into(),
            DeleteError::Code(CodeError::Commit(error)) | DeleteError::Commit(error) => error.into(),
        }
    }
}

impl From<DeleteError> for XrpcError<server::delete_account::Error> {
    fn from(error: DeleteError) -> Self {
        if let DeleteError::Code(error) = error {
            return code_errors!(error, server::delete_account::Error);
        }
        XrpcError::<NoErrors>::from(error).widen()
    }
}

impl<E> From<RequestCodeError> for XrpcError<E> {
    fn from(error: RequestCodeError) -> Self {
        match error {
            RequestCodeError::NotPlc => Self::invalid_request(error.to_string()),
            RequestCodeError::Send(error) => error.into(),
        }
    }
}

impl<E> From<SendCodeError> for XrpcError<E> {
    fn from(error: SendCodeError) -> Self {
        let message = error.to_string();
        match error {
            SendCodeError::NoAddress => Self::invalid_request(message),
            SendCodeError::TooMany => {
                Self::common(CommonError::RateLimitExceeded { retry_after_secs: LETTERS_RETRY_SECS }, message)
            }
            SendCodeError::Commit(error) => error.into(),
        }
    }
}

impl From<EmailError> for XrpcError<NoErrors> {
    fn from(error: EmailError) -> Self {
        let message = error.to_string();
        match error {
            EmailError::NotTheAccounts
            | EmailError::Unsupported(_)
            | EmailError::Taken
            | EmailError::TokenRequired
            | EmailError::NotConfirmed
            | EmailError::Changed
            | EmailError::Code(CodeError::Invalid | CodeError::Expired) => Self::invalid_request(message),
            EmailError::Send(error) => error.into(),
            EmailError::Code(CodeError::Read(error)) => error.into(),
            EmailError::Code(CodeError::Commit(error)) => error.into(),
        }
    }
}

impl From<EmailError> for XrpcError<server::confirm_email::Error> {
    fn from(error: EmailError) -> Self {
        if let EmailError::Code(error) = error {
            return code_errors!(error, server::confirm_email::Error);
        }
        if matches!(error, EmailError::NotTheAccounts) {
            return Self::declared(server::confirm_email::Error::InvalidEmail, error.to_string());
        }
        XrpcError::<NoErrors>::from(error).widen()
    }
}

impl From<EmailError> for XrpcError<server::update_email::Error> {
    fn from(error: EmailError) -> Self {
        if let EmailError::Code(error) = error {
            return code_errors!(error, server::update_email::Error);
        }
        if matches!(error, EmailError::TokenRequired) {
            return Self::declared(server::update_email::Error::TokenRequired, error.to_string());
        }
        XrpcError::<NoErrors>::from(error).widen()
    }
}

impl From<PasswordError> for XrpcError<NoErrors> {
    fn from(error: PasswordError) -> Self {
        let message = error.to_string();
        match error {
            PasswordError::Length
            | PasswordError::NotFound
            | PasswordError::Code(CodeError::Invalid | CodeError::Expired) => Self::invalid_request(message),
            PasswordError::Hash(error) => error.into(),
            PasswordError::Code(CodeError::Read(error)) | PasswordError::Read(error) => error.into(),
            PasswordError::Code(CodeError::Commit(error)) => error.into(),
            PasswordError::TooManyLetters => SendCodeError::TooMany.into(),
        }
    }
}

impl From<PasswordError> for XrpcError<server::reset_password::Error> {
    fn from(error: PasswordError) -> Self {
        if let PasswordError::Code(error) = error {
            return code_errors!(error, server::reset_password::Error);
        }
        XrpcError::<NoErrors>::from(error).widen()
    }
}

impl From<PasswordError> for XrpcError<account::reset_password::Error> {
    fn from(error: PasswordError) -> Self {
        if let PasswordError::Code(error) = error {
            return code_errors!(error, account::reset_password::Error);
        }
        XrpcError::<NoErrors>::from(error).widen()
    }
}

impl From<PreferencesError> for XrpcError<NoErrors> {
    fn from(error: PreferencesError) -> Self {
        match error {
            PreferencesError::NoType
            | PreferencesError::Namespace
            | PreferencesError::NotAllowed
            | PreferencesError::TooMany => Self::invalid_request(error.to_string()),
            PreferencesError::Commit(StoreError::Conflict(ConflictKey::AccountMissing)) => {
                Self::invalid_request("account not found")
            }
            PreferencesError::Read(error) => error.into(),
            PreferencesError::Commit(error) => error.into(),
        }
    }
}
