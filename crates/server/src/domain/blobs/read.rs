//! Showing blobs: their bytes, which there are, and which are missing.

use std::ops::Range;

use allod_atproto::{Cid, Did, Tid};
use allod_store::{
    ReadError,
    tables::blobs::{self, Blob, MissingBlob},
};

use super::objects::{Folder, ObjectError, Opened};
use crate::{
    app::App,
    domain::repos::{self, Reader, RepoError},
};

/// Why a blob is not shown.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Its repository is not shown.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// There is none, no record refers to it, or it was taken down.
    #[error("Blob not found")]
    NotFound,
    /// The bytes can't be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Finds a blob that this reader may see.
pub async fn find(app: &App, did: &Did, cid: &Cid, reader: &Reader) -> Result<Blob, BlobError> {
    repos::readable(app, did, reader).await?;
    let blob = blobs::by_cid(&*app.db, did, cid).await?;
    blob.filter(|blob| blob.unreferenced_since.is_none() && blob.takedown_ref.is_none()).ok_or(BlobError::NotFound)
}

/// Opens a range of a blob's bytes.
pub async fn open(app: &App, did: &Did, blob: &Blob, range: Range<u64>) -> Result<Opened, BlobError> {
    let opened = app.blobs.objects.read(&Folder::of(did), &blob.object, range).await?;
    let whole = opened.filter(|opened| opened.size == blob.size);
    whole.ok_or_else(|| {
        tracing::error!(%did, cid = %blob.cid, object = blob.object, "the bytes of a blob are missing or cut short");
        BlobError::NotFound
    })
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What asks for the next page; none at the end.
    pub cursor: Option<Cid>,
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
    let head = repos::readable_head(app, did, reader).await?;
    let items = blobs::referenced(&*app.db, head.record_set, since, after.as_ref(), limit).await?;
    let cursor = items.last().copied();
    Ok(page(items, cursor, limit))
}

/// Lists the blobs that an account's records refer to and that are not stored.
pub async fn missing(app: &App, did: &Did, after: Option<Cid>, limit: i64) -> Result<Page<MissingBlob>, ReadError> {
    let items = blobs::missing(&*app.db, did, after.as_ref(), limit).await?;
    let cursor = items.last().map(|missing| missing.cid);
    Ok(page(items, cursor, limit))
}

fn page<T>(items: Vec<T>, last: Option<Cid>, limit: i64) -> Page<T> {
    let is_full = i64::try_from(items.len()).is_ok_and(|count| count >= limit);
    Page { items, cursor: last.filter(|_| is_full) }
}
