//! Content identifiers: the hash of some bytes and what the bytes are.
//!
//! [`Cid`] is the one form that the protocol makes: version 1, SHA-256, DAG-CBOR or raw.
//! [`Link`] also holds the other forms of version 1 that old records may point to; they are carried
//! unread.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use data_encoding::{BASE32_NOPAD, Encoding, Specification};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::base58;

/// The length of a [`Cid`] in its binary form.
pub const CID_BYTES: usize = 36;
/// The length of a [`Cid`] in base32, without the `b` before it.
pub(crate) const CID_DIGITS: usize = (CID_BYTES * 8).div_ceil(5);
/// The longest link of another form, in bytes.
const LINK_BYTES_MAX: usize = 100;

/// What the bytes behind a [`Cid`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Codec {
    /// Bytes of any kind: a blob.
    Raw = 0x55,
    /// The data model in CBOR: records, commits, tree nodes.
    DagCbor = 0x71,
}

/// A content identifier of version 1 with SHA-256, of DAG-CBOR or raw bytes.
///
/// Orders as its binary form does. Spec: <https://atproto.com/specs/data-model#link-and-cid-formats>
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cid {
    codec: Codec,
    digest: [u8; 32],
}

/// Bytes or text that are not a content identifier of the form asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid CID: {0}")]
pub struct CidError(&'static str);

impl Cid {
    /// The identifier of DAG-CBOR bytes.
    pub fn for_cbor(bytes: &[u8]) -> Self {
        Self { codec: Codec::DagCbor, digest: Sha256::digest(bytes).into() }
    }

    /// The identifier of a blob's bytes.
    pub fn for_raw(bytes: &[u8]) -> Self {
        Self { codec: Codec::Raw, digest: Sha256::digest(bytes).into() }
    }

    /// The identifier with a SHA-256 digest computed elsewhere.
    pub const fn from_digest(codec: Codec, digest: [u8; 32]) -> Self {
        Self { codec, digest }
    }

    /// Reads the binary form, which is exactly [`CID_BYTES`] long.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CidError> {
        let (head, digest) = bytes.split_first_chunk::<4>().ok_or(CidError("too short"))?;
        let codec = match head {
            [0x01, 0x71, 0x12, 0x20] => Codec::DagCbor,
            [0x01, 0x55, 0x12, 0x20] => Codec::Raw,
            [0x12, ..] => return Err(CidError("version 0 is not supported")),
            _ => return Err(CidError("must be version 1 with SHA-256, of DAG-CBOR or raw bytes")),
        };
        let digest = digest.try_into().map_err(|_| CidError("the digest must be 32 bytes"))?;
        Ok(Self { codec, digest })
    }

    /// Reads the text form: `b` and lower-case base32.
    pub fn parse(text: &str) -> Result<Self, CidError> {
        let digits = text.strip_prefix('b').ok_or(CidError("must be in base32 (begin with \"b\")"))?;
        if let Some(cid) = decode_cid(digits.as_bytes()) {
            return Ok(cid);
        }
        if digits.len() > CID_DIGITS {
            return Err(CidError("too long"));
        }
        Self::from_bytes(&decode_base32(digits)?)
    }

    /// The binary form.
    pub fn to_bytes(&self) -> [u8; CID_BYTES] {
        let mut bytes = [0; CID_BYTES];
        let (head, digest) = bytes.split_at_mut(4);
        head.copy_from_slice(&[0x01, self.codec as u8, 0x12, 0x20]);
        digest.copy_from_slice(&self.digest);
        bytes
    }

    /// The text form, byte by byte.
    pub fn to_ascii(&self) -> [u8; CID_DIGITS + 1] {
        let mut text = [b'b'; CID_DIGITS + 1];
        if let Some((_, digits)) = text.split_first_mut() {
            base32_lower().encode_mut(&self.to_bytes(), digits);
        }
        text
    }

    /// What the bytes behind the identifier are.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// The SHA-256 digest of the bytes.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Tells whether `bytes` are those that the identifier names.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.digest == <[u8; 32]>::from(Sha256::digest(bytes))
    }
}

/// A link in a record: a [`Cid`], or another `CIDv1` kept exactly as found.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link(Form);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Form {
    Cid(Cid),
    Other(Box<[u8]>),
}

impl Link {
    /// Reads the binary form of any `CIDv1` of at most 100 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CidError> {
        if let Ok(cid) = Cid::from_bytes(bytes) {
            return Ok(Self(Form::Cid(cid)));
        }
        if bytes.len() > LINK_BYTES_MAX {
            return Err(CidError("longer than 100 bytes"));
        }
        let mut rest = bytes;
        if read_varint(&mut rest)? != 1 {
            return Err(CidError("must be version 1"));
        }
        let (_codec, hash, digest_bytes) = (read_varint(&mut rest)?, read_varint(&mut rest)?, read_varint(&mut rest)?);
        if u64::try_from(rest.len()) != Ok(digest_bytes) {
            return Err(CidError("the digest does not have the length given"));
        }
        if !is_digest_possible(hash, digest_bytes) {
            return Err(CidError("no digest of its hash function has this length"));
        }
        Ok(Self(Form::Other(bytes.into())))
    }

    /// Reads the text form: base32 (`b…`), or base58 (`z…`) as old records have it.
    pub fn parse(text: &str) -> Result<Self, CidError> {
        if text.len() > LINK_BYTES_MAX * 2 {
            return Err(CidError("too long"));
        }
        match text.split_at_checked(1) {
            Some(("b", digits)) => match decode_cid(digits.as_bytes()) {
                Some(cid) => Ok(cid.into()),
                None => Self::from_bytes(&decode_base32(digits)?),
            },
            Some(("z", digits)) => Self::from_bytes(&base58::decode(digits).ok_or(CidError("is not base58"))?),
            _ => Err(CidError("must be in base32 (begin with \"b\")")),
        }
    }

    /// The identifier, if it is of the protocol's own form.
    pub fn cid(&self) -> Option<Cid> {
        match &self.0 {
            Form::Cid(cid) => Some(*cid),
            Form::Other(_) => None,
        }
    }

    /// The binary form.
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.0 {
            Form::Cid(cid) => cid.to_bytes().to_vec(),
            Form::Other(bytes) => bytes.to_vec(),
        }
    }
}

impl From<Cid> for Link {
    fn from(cid: Cid) -> Self {
        Self(Form::Cid(cid))
    }
}

/// Whether a hash function of the multicodec table gives digests of so many bytes.
///
/// Spec: <https://github.com/multiformats/multicodec/blob/master/table.csv>
fn is_digest_possible(hash: u64, digest_bytes: u64) -> bool {
    match hash {
        // The bytes themselves.
        0x00 => true,
        // SHA-256 and SHA-512 and those of the third generation, of which nobody cuts anything off; SHA-1.
        0x12 | 0x16 => digest_bytes == 32,
        0x13 | 0x14 => digest_bytes == 64,
        0x11 => digest_bytes == 20,
        _ => digest_bytes > 0,
    }
}

fn read_varint(bytes: &mut &[u8]) -> Result<u64, CidError> {
    let mut number = 0_u64;
    for place in 0..9 {
        let (first, rest) = bytes.split_first().ok_or(CidError("too short"))?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << (7 * place);
        if first & 0x80 == 0 {
            let is_padded = *first == 0 && place > 0;
            return if is_padded { Err(CidError("a number is not in its shortest form")) } else { Ok(number) };
        }
    }
    Err(CidError("a number is too long"))
}

fn base32_lower() -> &'static Encoding {
    static ENCODING: LazyLock<Encoding> = LazyLock::new(|| {
        let mut specification = Specification::new();
        specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
        specification.encoding().unwrap_or(BASE32_NOPAD)
    });
    &ENCODING
}

fn decode_base32(digits: &str) -> Result<Vec<u8>, CidError> {
    base32_lower().decode(digits.as_bytes()).map_err(|_| CidError("is not lower-case base32"))
}

/// Decodes the digits of a [`Cid`], without a heap allocation as every record has some; `None` if they are not.
fn decode_cid(digits: &[u8]) -> Option<Cid> {
    let mut bytes = [0; CID_BYTES];
    if digits.len() != CID_DIGITS || base32_lower().decode_mut(digits, &mut bytes).is_err() {
        return None;
    }
    Cid::from_bytes(&bytes).ok()
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.to_ascii()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cid({self})")
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Cid(cid) => cid.fmt(f),
            Form::Other(bytes) => f.pad(&format!("b{}", base32_lower().encode(bytes))),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({self})")
    }
}

impl FromStr for Cid {
    type Err = CidError;

    fn from_str(text: &str) -> Result<Self, CidError> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for Cid {
    type Error = CidError;

    fn try_from(text: &str) -> Result<Self, CidError> {
        Self::parse(text)
    }
}

impl Serialize for Cid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY_MAP: &str = "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua";

    #[test]
    fn text_and_bytes_come_back() {
        let cid = Cid::for_cbor(&[0xa0]);
        assert_eq!(cid.to_string(), EMPTY_MAP);
        assert_eq!(Cid::parse(EMPTY_MAP), Ok(cid));
        assert_eq!(Cid::from_bytes(&cid.to_bytes()), Ok(cid));
        assert!(cid.matches(&[0xa0]));
        assert!(!cid.matches(&[0xa1]));
        assert_eq!(serde_json::from_value::<Cid>(serde_json::to_value(cid).unwrap()).unwrap(), cid);
    }

    #[test]
    fn refuses_other_forms_as_cid_but_carries_them_as_link() {
        let dag_pb = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
        assert!(Cid::parse(dag_pb).is_err());
        let link = Link::parse(dag_pb).unwrap();
        assert_eq!((link.to_string().as_str(), link.cid()), (dag_pb, None));
        assert_eq!(Link::from_bytes(&link.to_bytes()), Ok(link));
        assert!(Link::parse("zdj7WWeQ43G6JJvLWQWZpyHuAMq6uYWRjkBXFad11vE2LHhQ7").is_ok());
    }

    #[test]
    fn refuses_malformed_forms() {
        for text in ["", "b", "bA", EMPTY_MAP.to_uppercase().as_str(), &EMPTY_MAP[..58], &format!("{EMPTY_MAP}aa")] {
            assert!(Cid::parse(text).is_err(), "{text}");
            assert!(Link::parse(text).is_err(), "{text}");
        }
        let bytes = Cid::for_raw(b"").to_bytes();
        assert!(Cid::from_bytes(&bytes[..35]).is_err());
        assert!(Link::from_bytes(&[1, 0x81, 0x00, 0x12, 0x00]).is_err(), "padded varint");
        assert!(Link::from_bytes(&[0xff; 40]).is_err());
        for text in ["bafkreaa", "bafkreai", "bafyreaa", "bafkr2aa"] {
            assert!(Link::parse(text).is_err(), "no digest has this length: {text}");
        }
        assert!(Link::parse("bafkqaaa").is_ok(), "the identity of nothing");
        assert!(Link::parse("QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR").is_err());
    }
}
