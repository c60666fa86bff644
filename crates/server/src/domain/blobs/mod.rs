//! Blobs: bytes that an account uploads and its records refer to.
//!
//! A blob is stored before any record refers to it, and shown only while one does. Its bytes are in an object, which its
//! row names: the object is durable before the row, and the row is gone before the object.

pub mod collect;
pub mod kind;
pub mod read;
pub mod references;
pub mod scrub;
pub mod upload;

use std::sync::Arc;

use allod_blobstore::objects::ObjectStore;

use super::shares::{Bounds, Places};
use crate::limits;

/// Blobs as one running server has them.
pub struct Blobs {
    /// Where their bytes are.
    pub objects: Arc<dyn ObjectStore>,
    /// The uploads under way.
    uploads: Arc<Places>,
}

impl Blobs {
    /// Keeps blobs' bytes there.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        let bounds = Bounds {
            total: limits::UPLOADS_MAX,
            per_address: limits::UPLOADS_PER_ADDRESS_MAX,
            per_account: limits::UPLOADS_PER_ACCOUNT_MAX,
        };
        Self { objects, uploads: Places::new(bounds) }
    }

    /// How many uploads are under way.
    pub fn uploads(&self) -> usize {
        self.uploads.taken()
    }
}
