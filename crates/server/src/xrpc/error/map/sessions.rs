//! What signing in, tokens and app passwords fail with.

use allod_lexicon::com_atproto::server;

use crate::{
    domain::{
        email_codes::CodeError,
        service_auth::MintError,
        sessions::{OpenError, SessionError, SignInError, TokenError, app_passwords::CreateError},
    },
    xrpc::error::{CommonError, XrpcError},
};

impl<E> From<SessionError> for XrpcError<E> {
    fn from(error: SessionError) -> Self {
        let message = error.to_string();
        match error {
            SessionError::Token(TokenError::Invalid | TokenError::Scope) => {
                Self::common(CommonError::InvalidToken, message)
            }
            SessionError::Token(TokenError::Expired) | SessionError::Revoked => {
                Self::common(CommonError::ExpiredToken, message)
            }
            SessionError::AccountGone(_) => Self::invalid_request(message),
            SessionError::TakenDown => Self::common(CommonError::AccountTakedown, message),
            SessionError::Read(error) => error.into(),
            SessionError::Commit(error) => error.into(),
        }
    }
}

impl From<SignInError> for XrpcError<server::create_session::Error> {
    fn from(error: SignInError) -> Self {
        let message = error.to_string();
        match error {
            SignInError::Credentials | SignInError::PasswordTooLong => {
                Self::common(CommonError::AuthenticationRequired, message)
            }
            SignInError::Open(OpenError::TakenDown) => {
                Self::declared(server::create_session::Error::AccountTakedown, message)
            }
            SignInError::Open(OpenError::AuthFactorRequired) => {
                Self::declared(server::create_session::Error::AuthFactorTokenRequired, message)
            }
            SignInError::Open(OpenError::AuthFactor(CodeError::Invalid)) => {
                Self::common(CommonError::InvalidToken, message)
            }
            SignInError::Open(OpenError::AuthFactor(CodeError::Expired)) => {
                Self::common(CommonError::ExpiredToken, message)
            }
            SignInError::Open(OpenError::AuthFactor(CodeError::Commit(error))) => error.into(),
            SignInError::Open(OpenError::AuthFactorSend(error)) => error.into(),
            SignInError::Hash(error) => error.into(),
            SignInError::Open(OpenError::AuthFactor(CodeError::Read(error)) | OpenError::Read(error))
            | SignInError::Read(error) => error.into(),
        }
    }
}

impl From<CreateError> for XrpcError<server::create_app_password::Error> {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Name | CreateError::NameUnprintable | CreateError::NameTaken | CreateError::TooMany => {
                Self::invalid_request(error.to_string())
            }
            CreateError::Commit(error) => error.into(),
        }
    }
}

impl From<MintError> for XrpcError<server::get_service_auth::Error> {
    fn from(error: MintError) -> Self {
        let message = error.to_string();
        match error {
            MintError::ExpirationPast | MintError::ExpirationFar | MintError::ExpirationWithoutMethod => {
                Self::declared(server::get_service_auth::Error::BadExpiration, message)
            }
            MintError::Audience | MintError::Privileged(_) | MintError::Protected(_) => Self::invalid_request(message),
            MintError::TakenDown => Self::common(CommonError::InvalidToken, message),
            MintError::Read(error) => error.into(),
            MintError::NoKey(_) | MintError::Key(_) => Self::internal(error),
        }
    }
}
