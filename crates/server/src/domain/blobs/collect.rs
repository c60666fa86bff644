//! Removing blobs that no record has referred to for long, and objects that no row names.

use allod_base::clock::{self, MICROS_PER_SEC};
use allod_blobstore::objects::{Folder, ObjectError};
use allod_store::{
    CommitError, ConflictKey, ReadError, Txn,
    tables::blobs::{self, DueBlob},
};

use super::Blobs;
use crate::domain::integrity;

/// How long a blob is kept while no record refers to it, in seconds; also how old an object must be that no row names.
pub const UNREFERENCED_SECS: u64 = 6 * 60 * 60;
/// How often all objects are gone through, in seconds.
pub const SWEEP_EVERY_SECS: u64 = 24 * 60 * 60;
/// How many blobs one pass removes.
const REMOVALS_PER_PASS_MAX: i64 = 1_000;
/// How many accounts' counters one read gives.
const ACCOUNTS_PER_READ: i64 = 100;
/// How many objects are looked up at once.
const OBJECTS_PER_READ: usize = blobs::OBJECTS_PER_READ;

/// Why blobs could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// An object could not be listed or removed.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A row could not be removed.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// What a sweep found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many objects were removed.
    pub objects: usize,
    /// How many accounts' counters were wrong.
    pub counters: usize,
}

impl Blobs {
    /// Removes blobs that no record has referred to for [`UNREFERENCED_SECS`]; tells how many.
    ///
    /// The row goes first: it says whether the blob is still unreferenced. What then fails is left to the sweep.
    pub async fn collect(&self) -> Result<usize, CollectError> {
        let until = clock::to_store(self.core.clock.now_micros().saturating_sub(UNREFERENCED_SECS * MICROS_PER_SEC));
        let due = blobs::unreferenced_until(&*self.core.db, until, REMOVALS_PER_PASS_MAX).await?;
        let mut removed = 0;
        for DueBlob { did, blob } in due {
            let mut txn = Txn::new();
            blobs::remove_unreferenced(&mut txn, &did, &blob, until);
            match self.core.db.commit(txn).await {
                Ok(_) => {
                    removed += 1;
                    self.integrity.is_whole(&integrity::blob(&did, &blob.cid));
                }
                // Uploaded again or referred to meanwhile.
                Err(CommitError::Conflict(ConflictKey::BlobMoved)) => continue,
                Err(error) => return Err(error.into()),
            }
            self.objects.remove(&Folder::of(&did), &blob.object).await?;
        }
        Ok(removed)
    }

    /// Goes through all objects and removes those that no row names, and counts what each account holds.
    pub async fn sweep(&self) -> Result<Swept, CollectError> {
        let mut swept = Swept::default();
        for shard in 0..=u8::MAX {
            for folder in self.objects.folders(&format!("{shard:02x}")).await? {
                swept.objects += self.sweep_folder(&folder).await?;
            }
        }
        swept.counters = self.recount().await?;
        Ok(swept)
    }

    async fn sweep_folder(&self, folder: &Folder) -> Result<usize, CollectError> {
        let until = self.core.clock.now_micros().saturating_sub(UNREFERENCED_SECS * MICROS_PER_SEC);
        let names = self.objects.kept_before(folder, until).await?;
        let mut removed = 0;
        for names in names.chunks(OBJECTS_PER_READ) {
            let known = blobs::known_objects(&*self.core.db, names).await?;
            for name in names.iter().filter(|name| !known.contains(name)) {
                self.objects.remove(folder, name).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    async fn recount(&self) -> Result<usize, CollectError> {
        let (mut after, mut corrected) = (String::new(), 0);
        loop {
            let usages = blobs::usages(&*self.core.db, &after, ACCOUNTS_PER_READ).await?;
            let Some(last) = usages.last() else { return Ok(corrected) };
            after.clone_from(&last.did);
            for usage in usages.iter().filter(|usage| usage.counted_bytes != usage.stored_bytes) {
                let mut txn = Txn::new();
                blobs::recount(&mut txn, &usage.did);
                self.core.db.commit(txn).await?;
                corrected += 1;
            }
        }
    }
}
