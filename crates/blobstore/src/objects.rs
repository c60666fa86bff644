//! The trait of every object store.
//!
//! An object's name is never used twice, and an object never changes once it is kept. The blob's row in the database
//! names the object that holds it; an object that no row names is garbage of a failed operation.

use std::{fmt, io, io::Read, ops::Range};

use allod_atproto::{Cid, Did};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_util::{future::BoxFuture, stream::BoxStream};
use sha2::{Digest, Sha256};

/// How many bytes of a DID's hash are in the name of the account's folder.
const FOLDER_HASH_BYTES: usize = 16;

/// The folder that holds an account's objects. Its name is a hash, so that a name from a client is never a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Folder(String);

impl Folder {
    /// Returns the folder of an account.
    pub fn of(did: &Did) -> Self {
        let hash = Sha256::digest(did.as_str().as_bytes());
        let name: String = HEXLOWER.encode(&hash).chars().take(FOLDER_HASH_BYTES * 2).collect();
        Self(name)
    }

    /// Parses the name of a stored folder.
    pub(crate) fn found(name: &str) -> Option<Self> {
        let is_ours = name.len() == FOLDER_HASH_BYTES * 2 && is_hex(name);
        is_ours.then(|| Self(name.to_owned()))
    }

    /// Returns the folder's name, in lower-case hexadecimal.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Returns the shard that the folder is in: the first two characters of its name.
    pub fn shard(&self) -> &str {
        self.0.get(..2).unwrap_or_default()
    }
}

/// Whether text is lower-case hexadecimal.
pub(crate) fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns a name for the object that holds the bytes of a CID; `nonce` must be different each time.
pub fn object_name(cid: &Cid, nonce: [u8; 8]) -> String {
    format!("{}-{}", HEXLOWER.encode(cid.digest()), HEXLOWER.encode(&nonce))
}

/// Why an object store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The store is full.
    #[error("no space left for blobs: {0}")]
    Full(#[source] io::Error),
    /// The stored bytes are not those that were written.
    #[error("data is damaged from byte {position}")]
    Damaged {
        /// The offset of the damaged piece.
        position: u64,
    },
    /// Any other failure.
    #[error("blob storage failed: {0}")]
    Failed(#[source] io::Error),
}

impl From<io::Error> for ObjectError {
    fn from(error: io::Error) -> Self {
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Self::Full(error)
        } else {
            Self::Failed(error)
        }
    }
}

/// Undoes a content coding: turns a reader of the coded bytes into a reader of the decoded ones.
pub type Decode = Box<dyn FnOnce(Box<dyn Read + Send>) -> Box<dyn Read + Send> + Send>;

/// Why the written bytes could not be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// They are not valid in this coding.
    #[error("decompression failed: {0}")]
    Undecodable(#[source] io::Error),
    /// They decode to more bytes than allowed.
    #[error("the decompressed data is too large")]
    TooLarge,
    /// The object store failed.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

/// A description of all bytes that were written to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The CID of the bytes.
    pub cid: Cid,
    /// How many bytes there are.
    pub size: u64,
    /// The first [`BLOB_HEAD_BYTES`](crate::limits::BLOB_HEAD_BYTES) of them, to detect their type.
    pub head: Vec<u8>,
    /// Their checksums: see [`checksums`](crate::checksums).
    pub checksums: Vec<u8>,
}

/// An object that is being written. If it is dropped before it is kept, nothing of it is left.
pub trait NewObject: Send {
    /// Appends bytes. The work may continue after this returns; the next call reports its failure.
    fn write(&mut self, pieces: Vec<Bytes>) -> BoxFuture<'_, Result<(), ObjectError>>;

    /// Replaces the written bytes by what they decode to, at most `bytes_max` bytes.
    fn decode(&mut self, decode: Decode, bytes_max: u64) -> BoxFuture<'_, Result<(), DecodeError>>;

    /// Describes the written bytes. Nothing may be appended afterwards.
    fn finish(&mut self) -> BoxFuture<'_, Result<Finished, ObjectError>>;

    /// Stores the object under a name: durably if this returns `Ok`; otherwise nothing of it is left. `now_micros` is the
    /// time by which [`ObjectStore::kept_before`] finds it.
    fn keep(
        self: Box<Self>,
        folder: &Folder,
        name: &str,
        now_micros: u64,
    ) -> BoxFuture<'static, Result<(), ObjectError>>;
}

/// A range of an object: the first bytes, and a stream of the others. No piece is longer than
/// [`BLOB_READ_BYTES`](crate::limits::BLOB_READ_BYTES).
pub struct Opened {
    /// The size of the whole object, in bytes.
    pub size: u64,
    /// The first bytes of the range.
    pub first: Bytes,
    /// The others, in pieces that are not empty; `None` if there are none.
    pub rest: Option<BoxStream<'static, Result<Bytes, ObjectError>>>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("size", &self.size).field("first", &self.first.len()).finish_non_exhaustive()
    }
}

/// Stores the bytes of blobs.
pub trait ObjectStore: Send + Sync + 'static {
    /// Creates an empty object that can be written to.
    fn create(&self) -> Box<dyn NewObject>;

    /// Returns the size of an object in bytes; `None` if it does not exist.
    fn size(&self, folder: &Folder, name: &str) -> BoxFuture<'static, Result<Option<u64>, ObjectError>>;

    /// Reads a range of an object, cut off at the object's end; `None` if the object does not exist.
    fn read(
        &self,
        folder: &Folder,
        name: &str,
        range: Range<u64>,
    ) -> BoxFuture<'static, Result<Option<Opened>, ObjectError>>;

    /// Removes an object. An object that does not exist is no error.
    fn remove(&self, folder: &Folder, name: &str) -> BoxFuture<'static, Result<(), ObjectError>>;

    /// Lists the folders of a shard, which is two hexadecimal digits.
    fn folders(&self, shard: &str) -> BoxFuture<'static, Result<Vec<Folder>, ObjectError>>;

    /// Lists the objects of a folder that were kept before a time. An empty folder is removed.
    fn kept_before(&self, folder: &Folder, micros: u64) -> BoxFuture<'static, Result<Vec<String>, ObjectError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_a_client_is_never_a_path() {
        let folder = Folder::of(&Did::parse("did:web:..%2F..%2Fetc").unwrap());
        assert_eq!(folder.name().len(), 32);
        assert!(is_hex(folder.name()));
        assert!(folder.name().starts_with(folder.shard()) && folder.shard().len() == 2);
        assert_eq!(Folder::found(folder.name()), Some(folder));
        for name in ["", "..", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", &"A".repeat(32), &"a".repeat(33)] {
            assert_eq!(Folder::found(name), None, "{name}");
        }
    }
}
