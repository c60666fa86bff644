//! Blobs: bytes that an account uploads and its records refer to.
//!
//! A blob is stored before any record refers to it, and shown only while one does. Its bytes are in an object, which its
//! row names: the object is durable before the row, and the row is gone before the object.

pub mod collect;
pub mod disk;
pub mod kind;
pub mod objects;
pub mod read;
pub mod references;
pub mod upload;

use std::{collections::HashMap, sync::Arc};

use allod_atproto::Did;
use parking_lot::Mutex;

use self::objects::ObjectStore;
use crate::limits;

/// Blobs as one running server has them.
pub struct Blobs {
    /// Where their bytes are.
    pub objects: Arc<dyn ObjectStore>,
    uploads: Arc<Mutex<Uploads>>,
}

/// The uploads under way.
#[derive(Default)]
struct Uploads {
    count: usize,
    by_account: HashMap<Did, usize>,
}

/// Why an upload can't start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crowded {
    /// There are too many.
    Server,
    /// There are too many of this account.
    Account,
}

/// An upload's place among those under way.
struct Slot {
    did: Did,
    uploads: Arc<Mutex<Uploads>>,
}

impl Blobs {
    /// Keeps blobs' bytes there.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, uploads: Arc::default() }
    }

    fn slot(&self, did: &Did) -> Result<Slot, Crowded> {
        let mut uploads = self.uploads.lock();
        let of_account = uploads.by_account.get(did).copied().unwrap_or_default();
        if of_account >= limits::UPLOADS_PER_ACCOUNT_MAX {
            return Err(Crowded::Account);
        }
        if uploads.count >= limits::UPLOADS_MAX {
            return Err(Crowded::Server);
        }
        uploads.count += 1;
        uploads.by_account.insert(did.clone(), of_account + 1);
        Ok(Slot { did: did.clone(), uploads: Arc::clone(&self.uploads) })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut uploads = self.uploads.lock();
        uploads.count = uploads.count.saturating_sub(1);
        if let Some(of_account) = uploads.by_account.get_mut(&self.did) {
            *of_account = of_account.saturating_sub(1);
            if *of_account == 0 {
                uploads.by_account.remove(&self.did);
            }
        }
    }
}
