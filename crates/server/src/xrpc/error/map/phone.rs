//! What verifying a telephone number fails with.

use crate::{
    domain::phone::{PhoneError, ProviderError},
    xrpc::error::{CommonError, XrpcError},
};

/// When a caller comes back whose number got too many codes, in seconds.
const CODES_RETRY_SECS: u32 = 10 * 60;
/// When a caller comes back whom the provider could not serve, in seconds.
pub(super) const PROVIDER_RETRY_SECS: u32 = 30;

impl<E> From<PhoneError> for XrpcError<E> {
    fn from(error: PhoneError) -> Self {
        let message = error.to_string();
        match error {
            PhoneError::Off
            | PhoneError::Missing
            | PhoneError::Number(_)
            | PhoneError::Code
            | PhoneError::Spent(_)
            | PhoneError::Provider(ProviderError::NumberRefused) => Self::invalid_request(message),
            PhoneError::Provider(ProviderError::TooMany) => {
                Self::common(CommonError::RateLimitExceeded { retry_after_secs: CODES_RETRY_SECS }, message)
            }
            PhoneError::Provider(ProviderError::Unavailable(reason)) => {
                tracing::warn!(reason, "phone numbers can't be verified at the moment");
                let later = CommonError::NotEnoughResources { retry_after_secs: PROVIDER_RETRY_SECS };
                Self::common(later, "Phone verification is not available at the moment; try again")
            }
            PhoneError::Read(error) => error.into(),
            PhoneError::Commit(error) => error.into(),
        }
    }
}
