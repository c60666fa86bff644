//! Showing blobs: their bytes, which there are, and which are missing.

use std::{ops::Range, sync::Arc};

use allod_atproto::{Cid, Did, Tid, repo::RecordPath};
use allod_blobstore::{
    checksums::{self, Checksums},
    objects::{Folder, ObjectError, Opened},
};
use allod_store::{
    ReadError,
    tables::{
        PageSize,
        blobs::{self, Blob, MissingBlob},
        records::{self, RecordSet},
    },
};

use super::{Blobs, kind, references};
use crate::{domain::integrity, limits::LIST_ANSWER_BYTES_MAX};

/// Why a blob is not shown.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
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

/// A blob that may be shown.
#[derive(Debug)]
pub struct Found {
    /// The blob.
    pub blob: Blob,
    /// What its bytes are: as it was uploaded, or, where the client did not say, as a record says.
    pub mime_type: String,
    checksums: Checksums,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What asks for the next page; none at the end.
    pub cursor: Option<Cid>,
}

impl Blobs {
    /// Finds a blob that is shown to those who may read the repository.
    pub async fn find(&self, did: &Did, cid: &Cid) -> Result<Found, BlobError> {
        let found = blobs::with_checksums(&*self.core.db, did, cid).await?;
        let found = found.filter(|(blob, _)| blob.unreferenced_since.is_none() && blob.takedown_ref.is_none());
        let (blob, sums) = found.ok_or(BlobError::NotFound)?;
        let sums = match sums {
            Some(sums) => sums,
            None => self.first_checksums(did, &blob).await?.ok_or(BlobError::NotFound)?.into(),
        };
        let Some(checksums) = Checksums::new(sums, blob.size) else {
            self.integrity.report(&integrity::blob(did, cid), integrity::BYTES_CHANGED);
            return Err(ObjectError::Damaged { position: 0 }.into());
        };
        let said = if blob.is_type_guessed || kind::is_generic(&blob.mime_type) {
            self.said_by_record(did, cid).await?
        } else {
            None
        };
        let mime_type = said.unwrap_or_else(|| blob.mime_type.clone());
        Ok(Found { blob, mime_type, checksums })
    }

    /// What a record that refers to a blob says that its bytes are.
    async fn said_by_record(&self, did: &Did, cid: &Cid) -> Result<Option<String>, ReadError> {
        let Some(path) = blobs::referring_path(&*self.core.db, did, cid).await? else { return Ok(None) };
        let Some(path) = RecordPath::parse(&path).ok() else { return Ok(None) };
        let record = records::of_account(&*self.core.db, did, &path).await?;
        Ok(record
            .and_then(|record| references::mime_type_of(&record.block, cid))
            .filter(|said| kind::is_specific(said)))
    }

    /// Opens a range of a blob's bytes. Damaged bytes are never given.
    pub async fn open(&self, did: &Did, found: &Found, range: Range<u64>) -> Result<Opened, BlobError> {
        let blob = &found.blob;
        let pieces = checksums::whole_pieces(&range, blob.size);
        let opened = self.objects.read(&Folder::of(did), &blob.object, pieces.clone()).await?;
        let subject = integrity::blob(did, &blob.cid);
        let Some(opened) = opened.filter(|opened| opened.size == blob.size) else {
            self.integrity.report(&subject, "its bytes are missing or cut short");
            return Err(BlobError::NotFound);
        };
        let sums = found.checksums.clone();
        let damaged = Arc::clone(&self.integrity);
        let on_damage = move |position| {
            tracing::debug!(subject, position, "the bytes of a blob from this position on are damaged");
            damaged.report(&subject, "its bytes are not those that were uploaded");
        };
        Ok(checksums::checked(opened, sums, pieces, range, on_damage).await?)
    }

    /// Lists the blobs that the records of a set refer to, or those referred to by records written after `since`.
    pub async fn list(
        &self,
        record_set: RecordSet,
        since: Option<Tid>,
        after: Option<Cid>,
        limit: i64,
    ) -> Result<Page<Cid>, ReadError> {
        let items = blobs::referenced(&*self.core.db, record_set, since, after.as_ref(), limit).await?;
        let is_full = i64::try_from(items.len()).is_ok_and(|count| count >= limit);
        let cursor = items.last().copied().filter(|_| is_full);
        Ok(Page { items, cursor })
    }

    /// Lists the blobs that an account's records refer to and that are not stored.
    pub async fn missing(&self, did: &Did, after: Option<Cid>, limit: i64) -> Result<Page<MissingBlob>, ReadError> {
        let size = PageSize { rows: limit, bytes: LIST_ANSWER_BYTES_MAX };
        let page = blobs::missing(&*self.core.db, did, after.as_ref(), size).await?;
        let cursor = page.items.last().filter(|_| page.may_go_on).map(|missing| missing.cid);
        Ok(Page { items: page.items, cursor })
    }
}
