//! Domain errors to what clients read: the only place where one becomes the other.
//!
//! Every `match` lists every variant, so that a new domain error has to be given a name here.

mod accounts;
mod administration;
mod blobs;
mod captcha;
mod identity;
mod phone;
mod repos;
mod sessions;

use allod_atproto::service_auth;
use allod_lexicon::{
    com_atproto::{account, server},
    method::NoErrors,
};
use allod_store::{CommitError as StoreError, ReadError};

use super::{CommonError, XrpcError};
use crate::domain::{
    firehose::seats::SeatError, handles::HandleError, invites::CreateInvitesError, passwords::HashError,
    reserved_keys::ReserveKeyError, shares::Crowded, sign_up::SignUpError,
};
use allod_http::websocket::HandshakeError;

/// When a caller whose password could not be hashed in time comes back, in seconds.
const OVERLOADED_RETRY_SECS: u32 = 2;
/// When a caller whose sign-up waits for the directory comes back, in seconds.
const PENDING_RETRY_SECS: u32 = 10;
/// When a caller whom the store could not serve comes back, in seconds.
const STORE_RETRY_SECS: u32 = 5;

/// When a caller whose data is damaged comes back, in seconds: somebody has to mend it.
const DAMAGED_RETRY_SECS: u32 = 60;

/// When a stream's client that found no place comes back, in seconds.
const SEAT_RETRY_SECS: u32 = 30;

/// How a caller is refused for whom there is no place: one who has its share did too much at once.
fn crowded(crowded: Crowded, retry_after_secs: u32) -> CommonError {
    match crowded {
        Crowded::Server => CommonError::NotEnoughResources { retry_after_secs },
        Crowded::Address | Crowded::Account => CommonError::RateLimitExceeded { retry_after_secs },
    }
}

impl<E> From<HandshakeError> for XrpcError<E> {
    fn from(error: HandshakeError) -> Self {
        let name = match error {
            HandshakeError::Method => CommonError::MethodNotAllowed,
            HandshakeError::NotAsked | HandshakeError::Version => CommonError::UpgradeRequired,
            HandshakeError::Key => CommonError::InvalidRequest,
        };
        Self::common(name, error.to_string())
    }
}

impl<E> From<SeatError> for XrpcError<E> {
    fn from(error: SeatError) -> Self {
        match error {
            SeatError::Full | SeatError::AddressFull => {
                let later = CommonError::RateLimitExceeded { retry_after_secs: SEAT_RETRY_SECS };
                Self::common(later, error.to_string())
            }
        }
    }
}

impl<E> From<ReadError> for XrpcError<E> {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable { .. } => unreadable(&error),
            ReadError::Damaged { .. } | ReadError::Column { .. } | ReadError::Corrupt { .. } => damaged(),
            ReadError::Refused { .. } => Self::internal(error),
        }
    }
}

/// What a caller is told while the store can't be read.
fn unreadable<E>(error: &ReadError) -> XrpcError<E> {
    tracing::warn!(%error, "something could not be read");
    let retry = CommonError::NotEnoughResources { retry_after_secs: STORE_RETRY_SECS };
    XrpcError::common(retry, "The server can't read at the moment; try again")
}

/// What a caller is told whose data is damaged. Whoever found it has logged it.
fn damaged<E>() -> XrpcError<E> {
    let retry = CommonError::DataDamaged { retry_after_secs: DAMAGED_RETRY_SECS };
    XrpcError::common(retry, "What the server has stored of this is damaged; its operator has been told")
}

impl<E> From<StoreError> for XrpcError<E> {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } | StoreError::Unknown { .. } => unwritable(&error),
            StoreError::Conflict(_) | StoreError::Refused { .. } => Self::internal(error),
        }
    }
}

/// What a caller is told while the store can't be written to.
fn unwritable<E>(error: &StoreError) -> XrpcError<E> {
    tracing::warn!(%error, "a write was not taken");
    let retry = CommonError::NotEnoughResources { retry_after_secs: STORE_RETRY_SECS };
    XrpcError::common(retry, "The server can't write at the moment; try again")
}

impl<E> From<HashError> for XrpcError<E> {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded => Self::common(
                CommonError::NotEnoughResources { retry_after_secs: OVERLOADED_RETRY_SECS },
                "Too many sign-ins at the moment; try again",
            ),
            HashError::Failed(_) => Self::internal(error),
        }
    }
}

impl<E> From<service_auth::ServiceAuthError> for XrpcError<E> {
    fn from(error: service_auth::ServiceAuthError) -> Self {
        use service_auth::ServiceAuthError as Token;
        let name = match error {
            Token::Malformed | Token::NotYetValid | Token::Lifetime => CommonError::BadJwt,
            Token::WrongType => CommonError::BadJwtType,
            Token::Expired => CommonError::JwtExpired,
            Token::Audience => CommonError::BadJwtAudience,
            Token::LexiconMethod => CommonError::BadJwtLexiconMethod,
            Token::Issuer => CommonError::BadJwtIss,
            Token::Signature => CommonError::BadJwtSignature,
        };
        Self::common(name, error.to_string())
    }
}

impl From<SignUpError> for XrpcError<server::create_account::Error> {
    fn from(error: SignUpError) -> Self {
        use server::create_account::Error as Name;
        let message = error.to_string();
        match error {
            SignUpError::Handle(HandleError::Invalid(_)) => Self::declared(Name::InvalidHandle, message),
            SignUpError::Handle(HandleError::Reserved) | SignUpError::HandleTaken(_) => {
                Self::declared(Name::HandleNotAvailable, message)
            }
            SignUpError::UnsupportedDomain => Self::declared(Name::UnsupportedDomain, message),
            SignUpError::PasswordMissing | SignUpError::PasswordTooShort(_) | SignUpError::PasswordTooLong(_) => {
                Self::declared(Name::InvalidPassword, message)
            }
            SignUpError::InviteMissing | SignUpError::InviteUnusable => {
                Self::declared(Name::InvalidInviteCode, message)
            }
            SignUpError::UnresolvableDid(_) => Self::declared(Name::UnresolvableDid, message),
            SignUpError::IncompatibleDidDoc(_) => Self::declared(Name::IncompatibleDidDoc, message),
            SignUpError::HandleUnresolved
            | SignUpError::EmailMissing
            | SignUpError::Email(_)
            | SignUpError::EmailTaken(_)
            | SignUpError::OperationCantWait
            | SignUpError::RecoveryKey
            | SignUpError::RecoveryKeyUnused
            | SignUpError::AccountExists
            | SignUpError::DirectoryRefused(_) => Self::invalid_request(message),
            SignUpError::AuthMissing(_) => Self::common(CommonError::AuthenticationRequired, message),
            SignUpError::AuthReplayed => Self::common(CommonError::BadJwt, message),
            SignUpError::DirectoryUnreachable => Self::common(CommonError::UpstreamFailure, message),
            SignUpError::Pending => {
                Self::common(CommonError::NotEnoughResources { retry_after_secs: PENDING_RETRY_SECS }, message)
            }
            SignUpError::Phone(error) => error.into(),
            SignUpError::Captcha(error) => error.into(),
            SignUpError::Hash(error) => error.into(),
            SignUpError::Read(error) => error.into(),
            SignUpError::Commit(error) => error.into(),
            SignUpError::Key(error) => Self::internal(error),
            SignUpError::Internal(_) => Self::internal(error),
        }
    }
}

impl From<SignUpError> for XrpcError<account::create::Error> {
    fn from(error: SignUpError) -> Self {
        use account::create::Error as Old;
        use server::create_account::Error as Name;
        match XrpcError::<Name>::from(error) {
            XrpcError::Declared(name, message) => match name {
                // The old method has no name for a domain that is not ours.
                Name::InvalidHandle | Name::UnsupportedDomain => Self::Declared(Old::InvalidHandle, message),
                Name::InvalidPassword => Self::Declared(Old::InvalidPassword, message),
                Name::InvalidInviteCode => Self::Declared(Old::InvalidInviteCode, message),
                Name::HandleNotAvailable => Self::Declared(Old::HandleNotAvailable, message),
                Name::UnresolvableDid | Name::IncompatibleDidDoc => Self::Common(CommonError::InvalidRequest, message),
            },
            XrpcError::Common(name, message) => Self::Common(name, message),
            XrpcError::Internal(source) => Self::Internal(source),
        }
    }
}

impl From<CreateInvitesError> for XrpcError<NoErrors> {
    fn from(error: CreateInvitesError) -> Self {
        match error {
            CreateInvitesError::UseCount | CreateInvitesError::CodeCount => Self::invalid_request(error.to_string()),
            CreateInvitesError::Store(error) => error.into(),
        }
    }
}

impl From<ReserveKeyError> for XrpcError<NoErrors> {
    fn from(error: ReserveKeyError) -> Self {
        match error {
            ReserveKeyError::Full => {
                Self::common(CommonError::NotEnoughResources { retry_after_secs: STORE_RETRY_SECS }, error.to_string())
            }
            ReserveKeyError::Read(error) => error.into(),
            ReserveKeyError::Commit(error) => error.into(),
        }
    }
}
