//! Reading all of an account's blobs and checking each against its CID.

use allod_atproto::{Cid, Did, cid::Codec};
use allod_blobstore::{
    checksums::Summing,
    objects::{Folder, ObjectError},
};
use allod_store::{
    CommitError, ReadError, Txn,
    tables::blobs::{self, Blob},
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use sha2::{Digest, Sha256};

use super::Blobs;
use crate::domain::{integrity, pace::Pace};

/// How many blobs are looked up at once.
const BLOBS_PER_READ: i64 = 100;

/// What is wrong with a blob whose file is not there or has another length.
const MISSING: &str = "its bytes are missing or cut short";
/// What is wrong with a blob whose file can't be read.
const UNREADABLE: &str = "its bytes can't be read";

/// What is kept in place of the checksums of bytes that are not the blob's: nothing is given that has them.
const OF_CHANGED_BYTES: &[u8] = &[];

/// Why blobs could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum BlobScrubError {
    /// An object could not be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Checksums could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// What was found of some blobs of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlobsChecked {
    /// How many were checked.
    pub blobs: u64,
    /// The damaged ones, and what is wrong.
    pub damaged: Vec<(Cid, &'static str)>,
    /// The last one, which the next call begins behind; none when there are no more.
    pub last: Option<Cid>,
}

impl Blobs {
    /// Checks the next blobs of an account behind `after`, and gives those their checksums that have none.
    ///
    /// Checksums that differ from those of bytes that are right are replaced.
    pub async fn check(&self, did: &Did, after: &[u8], pace: &Pace) -> Result<BlobsChecked, BlobScrubError> {
        let mut checked = BlobsChecked::default();
        for (blob, sums) in blobs::stored_after(&*self.core.db, did, after, BLOBS_PER_READ).await? {
            checked.blobs += 1;
            checked.last = Some(blob.cid);
            let subject = integrity::blob(did, &blob.cid);
            let looked = match self.look(did, &blob, pace).await {
                // Damage must not keep the scrub from what comes after it.
                Err(error @ ObjectError::Failed(_)) => {
                    tracing::warn!(%error, subject, "the bytes of a blob can't be read");
                    Err(UNREADABLE)
                }
                looked => looked?,
            };
            match looked {
                Ok(found) => {
                    self.integrity.is_whole(&subject);
                    if sums.as_deref() != Some(&found[..]) {
                        self.set_checksums(&blob, &found).await?;
                    }
                }
                // Removed or replaced meanwhile.
                Err(_)
                    if blobs::by_cid(&*self.core.db, did, &blob.cid)
                        .await?
                        .is_none_or(|now| now.object != blob.object) => {}
                Err(what) => {
                    self.integrity.report(&subject, what);
                    checked.damaged.push((blob.cid, what));
                    if what == integrity::BYTES_CHANGED && sums.as_deref() != Some(OF_CHANGED_BYTES) {
                        self.set_checksums(&blob, OF_CHANGED_BYTES).await?;
                    }
                }
            }
        }
        Ok(checked)
    }

    /// Computes and keeps the checksums of a blob that has none yet; none when its bytes are not there. What is wrong
    /// with them is reported.
    pub(super) async fn first_checksums(&self, did: &Did, blob: &Blob) -> Result<Option<Vec<u8>>, ObjectError> {
        let (checksums, outcome) = match self.look(did, blob, &Pace::unlimited()).await? {
            Ok(found) => (found.clone(), Ok(Some(found))),
            Err(what) => {
                self.integrity.report(&integrity::blob(did, &blob.cid), what);
                if what == MISSING {
                    return Ok(None);
                }
                (OF_CHANGED_BYTES.to_vec(), Err(ObjectError::Damaged { position: 0 }))
            }
        };
        if let Err(error) = self.set_checksums(blob, &checksums).await {
            tracing::debug!(%error, "the checksums of a blob could not be kept; the next reader computes them");
        }
        outcome
    }

    async fn set_checksums(&self, blob: &Blob, checksums: &[u8]) -> Result<(), CommitError> {
        let mut txn = Txn::new();
        blobs::set_checksums(&mut txn, &blob.object, checksums);
        self.core.db.commit(txn).await.map(drop)
    }

    /// Reads a blob and gives its checksums, or what is wrong with it.
    async fn look(&self, did: &Did, blob: &Blob, pace: &Pace) -> Result<Result<Vec<u8>, &'static str>, ObjectError> {
        let opened = self.objects.read(&Folder::of(did), &blob.object, 0..blob.size).await?;
        let Some(opened) = opened.filter(|opened| opened.size == blob.size) else { return Ok(Err(MISSING)) };
        let (mut hash, mut sums) = (Sha256::new(), Summing::default());
        let mut take = |piece: &Bytes| {
            hash.update(piece);
            sums.update(piece);
        };
        take(&opened.first);
        pace.spend(&*self.core.clock, opened.first.len() as u64).await;
        let mut rest = opened.rest;
        while let Some(rest) = &mut rest
            && let Some(piece) = rest.next().await
        {
            let piece = piece?;
            take(&piece);
            pace.spend(&*self.core.clock, piece.len() as u64).await;
        }
        let is_theirs = Cid::from_digest(Codec::Raw, hash.finalize().into()) == blob.cid;
        Ok(if is_theirs { Ok(sums.finish()) } else { Err(integrity::BYTES_CHANGED) })
    }

    /// Whether an object holds the bytes of a blob: reads all of it and computes its CID.
    pub(super) async fn is_intact(&self, did: &Did, blob: &Blob) -> Result<bool, ObjectError> {
        match self.look(did, blob, &Pace::unlimited()).await {
            Err(ObjectError::Failed(_)) => Ok(false),
            looked => Ok(looked?.is_ok()),
        }
    }
}
