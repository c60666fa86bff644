//! Showing blobs: their bytes, which there are, and which are missing.

use std::ops::Range;

use allod_atproto::{Cid, Did, Tid};
use allod_store::{
    ReadError,
    tables::{
        PageSize,
        blobs::{self, Blob, MissingBlob},
    },
};

use super::objects::{Folder, ObjectError, Opened};
use crate::{
    app::App,
    domain::repos::{self, Reader, RepoError},
    limits::LIST_ANSWER_BYTES_MAX,
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
    let is_full = i64::try_from(items.len()).is_ok_and(|count| count >= limit);
    let cursor = items.last().copied().filter(|_| is_full);
    Ok(Page { items, cursor })
}

/// Lists the blobs that an account's records refer to and that are not stored.
pub async fn missing(app: &App, did: &Did, after: Option<Cid>, limit: i64) -> Result<Page<MissingBlob>, ReadError> {
    let size = PageSize { rows: limit, bytes: LIST_ANSWER_BYTES_MAX };
    let page = blobs::missing(&*app.db, did, after.as_ref(), size).await?;
    let cursor = page.items.last().filter(|_| page.may_go_on).map(|missing| missing.cid);
    Ok(Page { items: page.items, cursor })
}
