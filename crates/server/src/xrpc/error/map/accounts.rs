//! What changes of accounts fail with.

use super::STORE_RETRY_SECS;
use crate::{
    domain::accounts::deletion::DeleteError,
    xrpc::error::{CommonError, XrpcError},
};

impl<E> From<DeleteError> for XrpcError<E> {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::NotFound => Self::invalid_request(error.to_string()),
            DeleteError::SignInTooOld => Self::common(CommonError::AuthenticationRequired, error.to_string()),
            DeleteError::Busy(error) => {
                let later = CommonError::NotEnoughResources { retry_after_secs: STORE_RETRY_SECS };
                Self::common(later, error.to_string())
            }
            DeleteError::Read(error) => error.into(),
            DeleteError::Commit(error) => error.into(),
        }
    }
}
