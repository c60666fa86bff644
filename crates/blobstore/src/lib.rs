//! Where the bytes of blobs are stored: the [`ObjectStore`](objects::ObjectStore) trait, the store on this machine's
//! disk, and checksums of the stored bytes.
//!
//! Knows nothing of accounts, records or blob rows: a caller decides which object belongs to which blob.

pub mod checksums;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod disk;
pub mod limits;
pub mod objects;
