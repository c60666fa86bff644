//! Writes CBOR piece by piece.

use super::Value;
use crate::cid::{CID_BYTES, Cid, Link};

const MAJOR_UINT: u8 = 0 << 5;
const MAJOR_NEGATIVE: u8 = 1 << 5;
const MAJOR_BYTES: u8 = 2 << 5;
const MAJOR_TEXT: u8 = 3 << 5;
const MAJOR_ARRAY: u8 = 4 << 5;
const MAJOR_MAP: u8 = 5 << 5;

/// In the first byte: the number follows in one byte.
const ONE_BYTE: u8 = 0x18;
const TWO_BYTES: u8 = 0x19;
const FOUR_BYTES: u8 = 0x1a;
const EIGHT_BYTES: u8 = 0x1b;

const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;
/// Tag 42.
const LINK_TAG: [u8; 2] = [0xd8, 0x2a];
/// The byte before a binary CID.
const LINK_PREFIX: u8 = 0x00;
/// All that comes before a [`Cid`]: the tag and a byte string of [`LINK_BYTES`].
const LINK_HEAD: [u8; 5] = [LINK_TAG[0], LINK_TAG[1], MAJOR_BYTES | ONE_BYTE, LINK_BYTES, LINK_PREFIX];
const LINK_BYTES: u8 = 37;
const _: () = assert!(LINK_BYTES as usize == CID_BYTES + 1);

/// A writer of CBOR for shapes known in advance. It does not look back: the caller gives as many
/// elements as it announced, and map keys in order (see [`super::compare_keys`]).
///
/// ```
/// let mut encoder = allod_atproto::cbor::Encoder::new();
/// encoder.map(2).text("t").text("#info").text("op").uint(1);
/// assert_eq!(encoder.as_bytes(), b"\xa2\x61t\x65#info\x62op\x01");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    /// What was written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// How many bytes were written.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Tells whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Begins a map; its keys and values follow in turn.
    #[inline]
    pub fn map(&mut self, entries: usize) -> &mut Self {
        self.head(MAJOR_MAP, entries as u64)
    }

    /// Begins an array; its elements follow.
    #[inline]
    pub fn array(&mut self, elements: usize) -> &mut Self {
        self.head(MAJOR_ARRAY, elements as u64)
    }

    /// Writes text, as a value or as a map key.
    #[inline]
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.head(MAJOR_TEXT, text.len() as u64).raw(text.as_bytes())
    }

    /// Writes a byte string.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.head(MAJOR_BYTES, bytes.len() as u64).raw(bytes)
    }

    /// Writes a number that is not negative.
    #[inline]
    pub fn uint(&mut self, number: u64) -> &mut Self {
        self.head(MAJOR_UINT, number)
    }

    /// Writes a number.
    #[inline]
    pub fn int(&mut self, number: i64) -> &mut Self {
        match u64::try_from(number) {
            Ok(number) => self.head(MAJOR_UINT, number),
            Err(_) => self.head(MAJOR_NEGATIVE, number.unsigned_abs() - 1),
        }
    }

    /// Writes null.
    #[inline]
    pub fn null(&mut self) -> &mut Self {
        self.raw(&[NULL])
    }

    /// Writes a truth value.
    #[inline]
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.raw(&[if value { TRUE } else { FALSE }])
    }

    /// Writes a link.
    #[inline]
    pub fn link(&mut self, cid: &Cid) -> &mut Self {
        self.raw(&LINK_HEAD).raw(&cid.to_bytes())
    }

    /// Writes a link, or null in its place.
    #[inline]
    pub fn link_or_null(&mut self, cid: Option<&Cid>) -> &mut Self {
        match cid {
            Some(cid) => self.link(cid),
            None => self.null(),
        }
    }

    /// Writes a link of any form.
    pub fn any_link(&mut self, link: &Link) -> &mut Self {
        let bytes = link.to_bytes();
        self.raw(&LINK_TAG).head(MAJOR_BYTES, bytes.len() as u64 + 1).raw(&[LINK_PREFIX]).raw(&bytes)
    }

    /// Writes a whole value.
    pub fn value(&mut self, value: &Value) -> &mut Self {
        match value {
            Value::Null => self.null(),
            Value::Bool(value) => self.bool(*value),
            Value::Integer(number) => self.int(*number),
            Value::Text(text) => self.text(text),
            Value::Bytes(bytes) => self.bytes(bytes),
            Value::Link(link) => self.any_link(link),
            Value::Array(elements) => {
                self.array(elements.len());
                elements.iter().fold(self, Self::value)
            }
            Value::Map(map) => {
                self.map(map.len());
                map.iter().fold(self, |encoder, (key, value)| encoder.text(key).value(value))
            }
        }
    }

    /// Writes bytes that are CBOR already.
    #[inline]
    pub fn raw(&mut self, cbor: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(cbor);
        self
    }

    #[inline]
    fn head(&mut self, major: u8, number: u64) -> &mut Self {
        let [.., b6, b7] = number.to_be_bytes();
        match number {
            0..24 => self.raw(&[major | b7]),
            24..0x100 => self.raw(&[major | ONE_BYTE, b7]),
            0x100..0x1_0000 => self.raw(&[major | TWO_BYTES, b6, b7]),
            0x1_0000..0x1_0000_0000 => {
                let [.., b4, b5, b6, b7] = number.to_be_bytes();
                self.raw(&[major | FOUR_BYTES, b4, b5, b6, b7])
            }
            _ => self.raw(&[major | EIGHT_BYTES]).raw(&number.to_be_bytes()),
        }
    }
}
