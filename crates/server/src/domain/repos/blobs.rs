//! The blobs that a repository's records refer to, for those who may read the repository.

use allod_atproto::{Cid, Did, Tid};

use super::{Reader, RepoError, readable, readable_head};
use crate::{
    app::App,
    domain::blobs::read::{BlobError, Found, Page},
};

/// Why a blob is not shown.
#[derive(Debug, thiserror::Error)]
pub enum ReadBlobError {
    /// Its repository is not shown.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The repository is shown, the blob is not.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// Finds a blob that this reader may see.
pub async fn find(app: &App, did: &Did, cid: &Cid, reader: &Reader) -> Result<Found, ReadBlobError> {
    readable(app, did, reader).await?;
    Ok(app.blobs.find(did, cid).await?)
}

/// Lists the blobs that a repository's records refer to, or those referred to by records written after `since`.
pub async fn list(
    app: &App,
    did: &Did,
    since: Option<Tid>,
    after: Option<Cid>,
    limit: i64,
    reader: &Reader,
) -> Result<Page<Cid>, RepoError> {
    let head = readable_head(app, did, reader).await?;
    Ok(app.blobs.list(head.record_set, since, after, limit).await?)
}
