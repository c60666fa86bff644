//! The seam to wherever blobs' bytes are kept.
//!
//! An object has a name that is never given twice, and never changes once it is kept. Which object holds a blob is told
//! by the blob's row; an object that no row names is left over from something that failed.

use std::{fmt, io, io::Read, ops::Range};

use allod_atproto::{Cid, Did};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_util::{future::BoxFuture, stream::BoxStream};
use sha2::{Digest, Sha256};

/// How many bytes of a DID's hash name the account's folder.
const FOLDER_HASH_BYTES: usize = 16;

/// The folder that holds an account's objects, named by a hash, so that no name somebody chose is ever a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Folder(String);

impl Folder {
    /// The folder of an account.
    pub fn of(did: &Did) -> Self {
        let hash = Sha256::digest(did.as_str().as_bytes());
        let name: String = HEXLOWER.encode(&hash).chars().take(FOLDER_HASH_BYTES * 2).collect();
        Self(name)
    }

    /// Takes a name that was found where objects are kept.
    pub(super) fn found(name: &str) -> Option<Self> {
        let is_ours = name.len() == FOLDER_HASH_BYTES * 2 && is_hex(name);
        is_ours.then(|| Self(name.to_owned()))
    }

    /// The folder's name, in lower-case hexadecimal.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The shard that the folder is in, which is the beginning of its name.
    pub fn shard(&self) -> &str {
        self.0.get(..2).unwrap_or_default()
    }
}

/// Tells whether text is lower-case hexadecimal.
pub(super) fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The name of the object that holds these bytes; `nonce` is different each time.
pub fn object_name(cid: &Cid, nonce: [u8; 8]) -> String {
    format!("{}-{}", HEXLOWER.encode(cid.digest()), HEXLOWER.encode(&nonce))
}

/// Why bytes can't be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// There is no room left.
    #[error("there is no room left for blobs: {0}")]
    Full(#[source] io::Error),
    /// Bytes are not those that were kept.
    #[error("the bytes from {position} on are damaged")]
    Damaged {
        /// Where the damaged piece begins.
        position: u64,
    },
    /// Anything else.
    #[error("blobs can't be kept or read: {0}")]
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

/// Undoes how the bytes were coded for the way: makes a reader of the bytes meant out of one of the bytes sent.
pub type Decode = Box<dyn FnOnce(Box<dyn Read + Send>) -> Box<dyn Read + Send> + Send>;

/// Why what was written could not be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is not what the decoder takes.
    #[error("the bytes can't be decoded: {0}")]
    Undecodable(#[source] io::Error),
    /// It decodes to more bytes than are taken.
    #[error("the bytes decode to too many")]
    TooLarge,
    /// The decoded bytes can't be kept.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

/// What was written, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The hash of the bytes.
    pub cid: Cid,
    /// How many there are.
    pub size: u64,
    /// The first of them, for finding out what they are.
    pub head: Vec<u8>,
    /// Their checksums: see [`checksums`](super::checksums).
    pub checksums: Vec<u8>,
}

/// An object that is being written. Dropped before it is kept, it leaves nothing.
pub trait NewObject: Send {
    /// Appends bytes. The work may go on after the answer; a failure is then told by the next call.
    fn write(&mut self, pieces: Vec<Bytes>) -> BoxFuture<'_, Result<(), ObjectError>>;

    /// Replaces what was written by what it decodes to, at most `bytes_max` bytes.
    fn decode(&mut self, decode: Decode, bytes_max: u64) -> BoxFuture<'_, Result<(), DecodeError>>;

    /// Tells what was written. Nothing is appended afterwards.
    fn finish(&mut self) -> BoxFuture<'_, Result<Finished, ObjectError>>;

    /// Keeps the object under a name, durably when it answers `Ok`; otherwise nothing is left.
    fn keep(
        self: Box<Self>,
        folder: &Folder,
        name: &str,
        now_micros: u64,
    ) -> BoxFuture<'static, Result<(), ObjectError>>;
}

/// A part of an object, or all of it: the first bytes, and a stream of the others.
pub struct Opened {
    /// How many bytes the whole object has.
    pub size: u64,
    /// The first bytes of the part.
    pub first: Bytes,
    /// The others; `None` when there are none.
    pub rest: Option<BoxStream<'static, Result<Bytes, ObjectError>>>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("size", &self.size).field("first", &self.first.len()).finish_non_exhaustive()
    }
}

/// Where blobs' bytes are kept.
pub trait ObjectStore: Send + Sync + 'static {
    /// Starts an object.
    fn create(&self) -> Box<dyn NewObject>;

    /// Tells how many bytes an object has; `None` when it is not there.
    fn size(&self, folder: &Folder, name: &str) -> BoxFuture<'static, Result<Option<u64>, ObjectError>>;

    /// Reads a range of an object's bytes, cut off at its end; `None` when it is not there.
    fn read(
        &self,
        folder: &Folder,
        name: &str,
        range: Range<u64>,
    ) -> BoxFuture<'static, Result<Option<Opened>, ObjectError>>;

    /// Removes an object; one that is not there is removed already.
    fn remove(&self, folder: &Folder, name: &str) -> BoxFuture<'static, Result<(), ObjectError>>;

    /// Lists the folders of a shard (two hexadecimal digits).
    fn folders(&self, shard: &str) -> BoxFuture<'static, Result<Vec<Folder>, ObjectError>>;

    /// Lists the objects of a folder that were kept before a time, and removes the folder if it is empty.
    fn kept_before(&self, folder: &Folder, micros: u64) -> BoxFuture<'static, Result<Vec<String>, ObjectError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_that_somebody_chose_is_a_path() {
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
