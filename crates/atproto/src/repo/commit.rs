//! Commits: the signed statement of which tree a repository has.
//!
//! Spec: <https://atproto.com/specs/repository#commit-objects>

use bytes::Bytes;

use crate::cbor::{CborError, Decoder, Encoder};
use crate::crypto::{DidKey, SIGNATURE_BYTES, SignatureError, SigningKey};
use crate::{Cid, Did, Tid};

/// The version of the repository format.
const VERSION: u64 = 3;
/// The largest commit block, in bytes.
pub const COMMIT_BYTES_MAX: usize = 10_000;

/// A commit without its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The account.
    pub did: Did,
    /// The revision: ascending for the account for ever.
    pub rev: Tid,
    /// The tree.
    pub data: Cid,
    /// A commit before, which nobody reads any more. Ours have none.
    pub prev: Option<Cid>,
}

impl Commit {
    /// The bytes that are signed.
    pub fn unsigned_bytes(&self) -> Vec<u8> {
        self.encode(None)
    }

    /// Signs the commit.
    pub fn sign(self, key: &SigningKey) -> SignedCommit {
        let signature = key.sign(&self.unsigned_bytes());
        let bytes = Bytes::from(self.encode(Some(&signature)));
        let cid = Cid::for_cbor(&bytes);
        SignedCommit { commit: self, signature, bytes, cid }
    }

    fn encode(&self, signature: Option<&[u8; SIGNATURE_BYTES]>) -> Vec<u8> {
        let mut out = Encoder::with_capacity(256);
        out.map(5 + usize::from(signature.is_some()));
        out.text("did").text(self.did.as_str()).text("rev").text(self.rev.as_str());
        if let Some(signature) = signature {
            out.text("sig").bytes(signature);
        }
        out.text("data").link(&self.data).text("prev").link_or_null(self.prev.as_ref());
        out.text("version").uint(VERSION);
        out.into_bytes()
    }
}

/// A commit with its signature, its block and its identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCommit {
    commit: Commit,
    signature: [u8; SIGNATURE_BYTES],
    bytes: Bytes,
    cid: Cid,
}

/// Why a block is not a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The block is longer than [`COMMIT_BYTES_MAX`].
    #[error("a commit may have {COMMIT_BYTES_MAX} bytes")]
    TooLarge,
    /// The block is not valid CBOR.
    #[error("the commit's encoding: {0}")]
    Encoding(#[from] CborError),
    /// A field is missing, unknown or malformed.
    #[error("not a commit: {0}")]
    Malformed(&'static str),
}

impl SignedCommit {
    /// Reads a commit block. The signature is not checked: see [`Self::verify`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CommitError> {
        if bytes.len() > COMMIT_BYTES_MAX {
            return Err(CommitError::TooLarge);
        }
        let mut input = Decoder::new(bytes);
        if input.map()? != 6 {
            return Err(CommitError::Malformed("it must have six fields"));
        }
        expect_key(&mut input, "did")?;
        let did = Did::parse(input.text()?).map_err(|_| CommitError::Malformed("did"))?;
        expect_key(&mut input, "rev")?;
        let rev = Tid::parse(input.text()?).map_err(|_| CommitError::Malformed("rev"))?;
        expect_key(&mut input, "sig")?;
        let signature = input.bytes()?.try_into().map_err(|_| CommitError::Malformed("sig"))?;
        expect_key(&mut input, "data")?;
        let data = input.link()?;
        expect_key(&mut input, "prev")?;
        let prev = input.link_or_null()?;
        expect_key(&mut input, "version")?;
        if input.uint()? != VERSION {
            return Err(CommitError::Malformed("version"));
        }
        input.end()?;
        let commit = Commit { did, rev, data, prev };
        Ok(Self { commit, signature, bytes: Bytes::copy_from_slice(bytes), cid: Cid::for_cbor(bytes) })
    }

    /// Checks the signature.
    pub fn verify(&self, key: &DidKey) -> Result<(), SignatureError> {
        key.verify(&self.commit.unsigned_bytes(), &self.signature)
    }

    /// The commit.
    pub fn commit(&self) -> &Commit {
        &self.commit
    }

    /// The block.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The block's identifier.
    pub fn cid(&self) -> Cid {
        self.cid
    }
}

fn expect_key(input: &mut Decoder<'_>, key: &'static str) -> Result<(), CommitError> {
    if input.text()? == key { Ok(()) } else { Err(CommitError::Malformed(key)) }
}
