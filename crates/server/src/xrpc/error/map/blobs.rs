//! What goes wrong with blobs.

use allod_blobstore::objects::ObjectError;
use allod_lexicon::com_atproto::sync;

use super::{CommonError, STORE_RETRY_SECS, XrpcError, damaged};
use crate::domain::{
    blobs::{read::BlobError, references::ReferenceError, upload::UploadError},
    repos::blobs::ReadBlobError,
};

/// When a caller whose upload found no room comes back, in seconds.
const FULL_RETRY_SECS: u32 = 60;

impl<E> From<ObjectError> for XrpcError<E> {
    fn from(error: ObjectError) -> Self {
        let (retry_after_secs, message) = match &error {
            ObjectError::Full(_) => {
                tracing::warn!(%error, "a blob was not taken");
                (FULL_RETRY_SECS, "The server has no room left for blobs; try again later")
            }
            // Named in the log when it was found.
            ObjectError::Damaged { .. } => return damaged(),
            ObjectError::Failed(_) => {
                tracing::error!(%error, "blob storage failed");
                (STORE_RETRY_SECS, "The server can't read or write blobs at the moment; try again")
            }
        };
        Self::common(CommonError::NotEnoughResources { retry_after_secs }, message)
    }
}

impl<E> From<UploadError> for XrpcError<E> {
    fn from(error: UploadError) -> Self {
        let message = error.to_string();
        let retry_after_secs = STORE_RETRY_SECS;
        match error {
            UploadError::TooLarge => Self::common(CommonError::PayloadTooLarge, message),
            UploadError::Crowded | UploadError::Contended => {
                Self::common(CommonError::NotEnoughResources { retry_after_secs }, message)
            }
            UploadError::CallerCrowded => Self::common(CommonError::RateLimitExceeded { retry_after_secs }, message),
            UploadError::OverQuota { .. } | UploadError::TakenDown | UploadError::Undecodable => {
                Self::invalid_request(message)
            }
            UploadError::Object(error) => error.into(),
            UploadError::Read(error) => error.into(),
            UploadError::Commit(error) => error.into(),
        }
    }
}

impl From<ReadBlobError> for XrpcError<sync::get_blob::Error> {
    fn from(error: ReadBlobError) -> Self {
        match error {
            ReadBlobError::Repo(error) => error.into(),
            ReadBlobError::Blob(error) => error.into(),
        }
    }
}

impl From<BlobError> for XrpcError<sync::get_blob::Error> {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::NotFound => Self::declared(sync::get_blob::Error::BlobNotFound, error.to_string()),
            BlobError::Object(error) => error.into(),
            BlobError::Read(error) => error.into(),
        }
    }
}

impl<E> From<ReferenceError> for XrpcError<E> {
    fn from(error: ReferenceError) -> Self {
        let message = error.to_string();
        match error {
            ReferenceError::Legacy(_) => Self::invalid_request(message),
            ReferenceError::NotFound(_) => Self::common(CommonError::BlobNotFound, message),
            ReferenceError::MimeType { .. } => Self::common(CommonError::InvalidMimeType, message),
            ReferenceError::Size { .. } => Self::common(CommonError::InvalidSize, message),
            ReferenceError::Read(error) => Self::internal(error),
        }
    }
}
