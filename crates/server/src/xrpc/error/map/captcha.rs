//! What checking a captcha fails with.

use super::phone::PROVIDER_RETRY_SECS;
use crate::{
    domain::captcha::CaptchaError,
    xrpc::error::{CommonError, XrpcError},
};

impl<E> From<CaptchaError> for XrpcError<E> {
    fn from(error: CaptchaError) -> Self {
        let message = error.to_string();
        match error {
            CaptchaError::Missing | CaptchaError::Unsolved => Self::invalid_request(message),
            CaptchaError::Unavailable(reason) => {
                tracing::warn!(reason, "captchas can't be checked at the moment");
                let later = CommonError::NotEnoughResources { retry_after_secs: PROVIDER_RETRY_SECS };
                Self::common(later, "Captchas can't be checked at the moment; try again")
            }
        }
    }
}
