//! Taking a blob in.

use std::{fmt, mem};

use allod_atproto::{Cid, Did};
use allod_blobstore::{
    limits::BLOB_PIECE_BYTES,
    objects::{Decode, DecodeError, Finished, Folder, NewObject, ObjectError, object_name},
};
use allod_store::{
    CommitError, ConflictKey, ReadError, Txn,
    tables::{
        blobs::{self, Blob, NewBlob},
        denied_blobs,
    },
};
use bytes::Bytes;

use super::{
    Blobs,
    kind::{self, Kind},
    references::BlobRef,
};
use crate::domain::{
    integrity,
    shares::{Crowded, Place, Taker},
};

/// How often an upload that meets a change of the blob's row looks again.
const TRIES_MAX: usize = 5;

/// Why a blob was not taken. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// It is larger than the server takes.
    #[error("request entity too large")]
    TooLarge,
    /// Too many uploads are under way.
    #[error("Too many uploads at the moment; try again")]
    Crowded,
    /// Too many uploads of this account or from this address are under way.
    #[error("Too many uploads at once; try again when others are done")]
    CallerCrowded,
    /// The account would hold more than it may.
    #[error("The account's blobs would come to more than it may hold ({quota_bytes} bytes)")]
    OverQuota {
        /// How much it may hold.
        quota_bytes: u64,
    },
    /// The same bytes were taken down, of this account or another.
    #[error("Blob has been takendown, cannot re-upload")]
    TakenDown,
    /// The bytes are not coded as the client says.
    #[error("unable to decode the request body")]
    Undecodable,
    /// The blob's row changed each time it was looked at.
    #[error("The blob is being changed by another request; try again")]
    Contended,
    /// The bytes can't be kept.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The blob could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl From<DecodeError> for UploadError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Undecodable(_) => Self::Undecodable,
            DecodeError::TooLarge => Self::TooLarge,
            DecodeError::Object(error) => Self::Object(error),
        }
    }
}

/// A blob on its way in. Dropped before [`Upload::finish`] is done, it leaves nothing.
pub struct Upload<'a> {
    blobs: &'a Blobs,
    did: Did,
    object: Box<dyn NewObject>,
    pieces: Vec<Bytes>,
    pieces_bytes: usize,
    bytes: u64,
    _place: Place,
}

impl fmt::Debug for Upload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("did", &self.did).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl<'a> Upload<'a> {
    /// Begins. `declared_bytes` is how much the client says will come.
    pub fn begin(blobs: &'a Blobs, did: &Did, taker: &Taker, declared_bytes: Option<u64>) -> Result<Self, UploadError> {
        if declared_bytes.is_some_and(|bytes| bytes > blobs.upload_bytes_max) {
            return Err(UploadError::TooLarge);
        }
        let place = blobs.uploads.take(taker, 1).map_err(|crowded| match crowded {
            Crowded::Server => UploadError::Crowded,
            Crowded::Address | Crowded::Account => UploadError::CallerCrowded,
        })?;
        let object = blobs.objects.create();
        Ok(Self { blobs, did: did.clone(), object, pieces: Vec::new(), pieces_bytes: 0, bytes: 0, _place: place })
    }

    /// Takes the next bytes.
    pub async fn push(&mut self, piece: Bytes) -> Result<(), UploadError> {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        if self.bytes > self.blobs.upload_bytes_max {
            return Err(UploadError::TooLarge);
        }
        self.pieces_bytes += piece.len();
        self.pieces.push(piece);
        if self.pieces_bytes >= BLOB_PIECE_BYTES {
            self.hand_over().await?;
        }
        Ok(())
    }

    /// How many bytes came so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    async fn hand_over(&mut self) -> Result<(), UploadError> {
        self.pieces_bytes = 0;
        self.object.write(mem::take(&mut self.pieces)).await?;
        Ok(())
    }

    /// Stores the blob, durably. `said` is what the client says the bytes are; the answer tells what they count as.
    pub async fn finish(mut self, said: &str, decode: Option<Decode>) -> Result<BlobRef, UploadError> {
        if !self.pieces.is_empty() {
            self.hand_over().await?;
        }
        if let Some(decode) = decode {
            self.object.decode(decode, self.blobs.upload_bytes_max).await?;
        }
        let Finished { cid, size, head, checksums } = self.object.finish().await?;
        let kind = kind::of(&head, said);
        let Self { blobs, did, object, _place, .. } = self;
        let mut staged =
            Staged { blobs, did: &did, cid, size, checksums, object: Some(object), kept: None, checked: None };
        let stored = staged.store(kind).await;
        staged.clean_up(&stored).await;
        stored
    }
}

/// A blob whose bytes are all there, before it is known whether they are needed.
struct Staged<'a> {
    blobs: &'a Blobs,
    did: &'a Did,
    cid: Cid,
    size: u64,
    checksums: Vec<u8>,
    object: Option<Box<dyn NewObject>>,
    /// The name of the object that was kept and is not in a row yet.
    kept: Option<String>,
    /// The object that was there before, and whether it was found intact: it is read as a whole to tell.
    checked: Option<(String, bool)>,
}

impl Staged<'_> {
    async fn store(&mut self, kind: Kind) -> Result<BlobRef, UploadError> {
        for _ in 0..TRIES_MAX {
            if denied_blobs::takedown_of(&*self.blobs.core.db, &self.cid).await?.is_some() {
                return Err(UploadError::TakenDown);
            }
            let stored = match blobs::by_cid(&*self.blobs.core.db, self.did, &self.cid).await? {
                Some(blob) => self.store_again(blob, &kind).await,
                None => self.store_first(&kind).await,
            };
            match stored {
                Ok(mime_type) => return Ok(BlobRef { cid: self.cid, mime_type, size: self.size }),
                Err(UploadError::Commit(CommitError::Conflict(ConflictKey::BlobMoved))) => {}
                Err(UploadError::Commit(CommitError::Conflict(ConflictKey::BlobDenied))) => {
                    return Err(UploadError::TakenDown);
                }
                Err(UploadError::Commit(CommitError::Conflict(ConflictKey::BlobQuotaExceeded))) => {
                    return Err(UploadError::OverQuota { quota_bytes: self.blobs.quota_bytes });
                }
                Err(error) => return Err(error),
            }
        }
        Err(UploadError::Contended)
    }

    async fn store_first(&mut self, kind: &Kind) -> Result<String, UploadError> {
        let quota_bytes_max = match self.blobs.quota_bytes {
            0 => u64::MAX,
            bytes => bytes,
        };
        if self.size > quota_bytes_max {
            return Err(UploadError::OverQuota { quota_bytes: quota_bytes_max });
        }
        let object = self.keep().await?;
        let mut txn = Txn::new();
        blobs::insert(&mut txn, self.did, &self.row(kind, &object), self.now(), quota_bytes_max);
        self.commit(txn).await?;
        self.kept = None;
        Ok(kind.mime_type.clone())
    }

    fn row<'r>(&'r self, kind: &'r Kind, object: &'r str) -> NewBlob<'r> {
        NewBlob {
            cid: self.cid,
            mime_type: &kind.mime_type,
            size: self.size,
            object,
            checksums: &self.checksums,
            is_type_guessed: kind.is_guessed,
        }
    }

    /// The bytes are stored already: theirs is the object that stays, unless it was lost or damaged. Of a blob that a
    /// record refers to nothing else changes; any other counts as uploaded now, as what it is now said to be.
    async fn store_again(&mut self, blob: Blob, kind: &Kind) -> Result<String, UploadError> {
        let is_intact = self.is_intact(&blob).await?;
        let is_referenced = blob.unreferenced_since.is_none();
        if is_intact && is_referenced {
            return Ok(blob.mime_type);
        }
        let mut txn = Txn::new();
        let mut object = blob.object.clone();
        if !is_intact {
            tracing::warn!(did = %self.did, cid = %self.cid, "an upload replaces a lost or damaged blob");
            object = self.keep().await?;
            blobs::replace_object(&mut txn, self.did, &self.cid, &blob.object, &object, &self.checksums);
        }
        if !is_referenced {
            blobs::renew(&mut txn, self.did, &self.row(kind, &object), self.now());
        }
        self.commit(txn).await?;
        if !is_intact {
            self.kept = None;
            self.blobs.integrity.is_whole(&integrity::blob(self.did, &self.cid));
        }
        Ok(if is_referenced { blob.mime_type } else { kind.mime_type.clone() })
    }

    /// Whether the stored blob is intact. Its object is read once, however often the row moves.
    async fn is_intact(&mut self, blob: &Blob) -> Result<bool, ObjectError> {
        if let Some((object, is_intact)) = &self.checked
            && *object == blob.object
        {
            return Ok(*is_intact);
        }
        let is_intact = self.blobs.is_intact(self.did, blob).await?;
        self.checked = Some((blob.object.clone(), is_intact));
        Ok(is_intact)
    }

    /// Keeps the object, once.
    async fn keep(&mut self) -> Result<String, ObjectError> {
        if let (Some(object), None) = (self.object.take(), &self.kept) {
            let name = object_name(&self.cid, self.blobs.core.random_bytes());
            object.keep(&Folder::of(self.did), &name, self.blobs.core.clock.now_micros()).await?;
            self.kept = Some(name);
        }
        self.kept.clone().ok_or_else(|| ObjectError::Failed(std::io::Error::other("the object was not kept")))
    }

    async fn commit(&mut self, mut txn: Txn) -> Result<(), UploadError> {
        denied_blobs::assert_allowed(&mut txn, &self.cid);
        self.blobs.core.db.commit(txn).await?;
        Ok(())
    }

    fn now(&self) -> i64 {
        self.blobs.core.stored_now()
    }

    /// Removes an object that was kept and that no row names. Where that is not known, the sweep finds out.
    async fn clean_up(self, stored: &Result<BlobRef, UploadError>) {
        let Some(name) = self.kept else { return };
        let may_be_named = matches!(stored, Err(UploadError::Commit(CommitError::Unknown { .. })));
        if !may_be_named && let Err(error) = self.blobs.objects.remove(&Folder::of(self.did), &name).await {
            tracing::warn!(%error, "an upload that failed could not be removed; the sweep does it");
        }
    }
}
