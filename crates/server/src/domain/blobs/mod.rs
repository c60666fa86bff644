//! Blobs: bytes that an account uploads and its records refer to.
//!
//! A blob is stored before any record refers to it, and shown only while one does. Its bytes are in an object, which
//! its row names: the object is durable before the row, and the row is gone before the object.

pub mod collect;
pub mod kind;
pub mod read;
pub mod references;
pub mod scrub;
pub mod upload;

use std::sync::Arc;

use allod_blobstore::objects::ObjectStore;

use super::{
    core::Core,
    integrity::Integrity,
    shares::{Bounds, Places},
};
use crate::{config::Config, limits};

/// The blobs of one server.
pub struct Blobs {
    core: Core,
    /// Where their bytes are.
    objects: Arc<dyn ObjectStore>,
    integrity: Arc<Integrity>,
    /// The uploads under way.
    uploads: Arc<Places>,
    upload_bytes_max: u64,
    quota_bytes: u64,
}

impl Blobs {
    /// Keeps blobs' bytes there.
    pub fn new(core: Core, objects: Arc<dyn ObjectStore>, integrity: Arc<Integrity>, config: &Config) -> Self {
        let bounds = Bounds {
            total: limits::UPLOADS_MAX,
            per_address: limits::UPLOADS_PER_ADDRESS_MAX,
            per_account: limits::UPLOADS_PER_ACCOUNT_MAX,
        };
        let (upload_bytes_max, quota_bytes) = (config.blob_upload_bytes_max, config.blob_quota_bytes);
        Self { core, objects, integrity, uploads: Places::new(bounds), upload_bytes_max, quota_bytes }
    }

    /// How many uploads are under way.
    pub fn uploads(&self) -> usize {
        self.uploads.taken()
    }
}
