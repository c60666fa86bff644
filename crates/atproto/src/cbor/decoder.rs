//! Reads CBOR piece by piece, taking nothing but the one encoding.

use super::{CONTAINER_ELEMENTS_MAX, DEPTH_MAX, FOREIGN_DEPTH_MAX, KEY_BYTES_MAX, Map, Value, compare_keys};
use crate::cid::{Cid, Link};

/// How many elements are reserved for before they are seen.
const RESERVED_ELEMENTS_MAX: usize = 256;

/// Bytes that are not strict DAG-CBOR, or are not what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// The bytes end inside a value, or announce more than there is.
    #[error("CBOR ends early")]
    UnexpectedEnd,
    /// There are bytes after the value.
    #[error("CBOR has trailing bytes")]
    TrailingBytes,
    /// A number or length is not in its shortest form.
    #[error("CBOR number is not in its shortest form")]
    NotShortest,
    /// An array, map, text or byte string without a length.
    #[error("CBOR length is indefinite or reserved")]
    Indefinite,
    /// A number that 64 bits with a sign can't hold.
    #[error("CBOR integer is out of range")]
    IntegerRange,
    /// A float, which the data model does not have.
    #[error("CBOR has a float")]
    Float,
    /// A simple value other than null and the truth values.
    #[error("CBOR has an unknown simple value")]
    Simple,
    /// A tag other than 42.
    #[error("CBOR has an unknown tag")]
    Tag,
    /// A tag 42 around something that is not a CID.
    #[error("CBOR has a malformed link")]
    Link,
    /// Text that is not UTF-8.
    #[error("CBOR text is not UTF-8")]
    Utf8,
    /// A map key that is not text.
    #[error("CBOR map key is not text")]
    KeyType,
    /// Map keys that are out of order or there twice.
    #[error("CBOR map keys are not distinct and in order")]
    KeyOrder,
    /// Arrays and maps nested beyond [`DEPTH_MAX`].
    #[error("CBOR is nested too deeply")]
    Depth,
    /// An array or map of more than [`CONTAINER_ELEMENTS_MAX`], or a key beyond [`KEY_BYTES_MAX`].
    #[error("CBOR container or key is too large")]
    Size,
    /// A value of another kind than the one asked for.
    #[error("CBOR value is not of the kind expected")]
    UnexpectedKind,
}

/// The kind of the next value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Null.
    Null,
    /// A truth value.
    Bool,
    /// A number.
    Integer,
    /// Text.
    Text,
    /// A byte string.
    Bytes,
    /// A link.
    Link,
    /// An array.
    Array,
    /// A map.
    Map,
}

/// An array or map that is being read.
struct Container<'a> {
    /// How many elements or entries are still to come.
    left: usize,
    is_map: bool,
    /// In a map: the last key.
    previous_key: Option<&'a str>,
}

impl Container<'_> {
    fn new(left: usize, is_map: bool) -> Self {
        Self { left, is_map, previous_key: None }
    }
}

/// A reader of CBOR that borrows from its input and allocates nothing of itself.
///
/// For shapes known in advance: each method takes one piece or fails. [`Decoder::value`] takes
/// anything.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// A reader of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The bytes not yet read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Checks that nothing is left.
    pub fn end(&self) -> Result<(), CborError> {
        if self.rest.is_empty() { Ok(()) } else { Err(CborError::TrailingBytes) }
    }

    /// The kind of the next value, which is not taken.
    pub fn kind(&self) -> Result<Kind, CborError> {
        let first = *self.rest.first().ok_or(CborError::UnexpectedEnd)?;
        match first >> 5 {
            0 | 1 => Ok(Kind::Integer),
            2 => Ok(Kind::Bytes),
            3 => Ok(Kind::Text),
            4 => Ok(Kind::Array),
            5 => Ok(Kind::Map),
            6 => Ok(Kind::Link),
            _ => match first {
                0xf4 | 0xf5 => Ok(Kind::Bool),
                0xf6 => Ok(Kind::Null),
                0xf9..=0xfb => Err(CborError::Float),
                _ => Err(CborError::Simple),
            },
        }
    }

    /// Takes the beginning of a map; gives its number of entries.
    pub fn map(&mut self) -> Result<usize, CborError> {
        let entries = self.length(Kind::Map)?;
        self.container(entries, 2)
    }

    /// Takes the beginning of an array; gives its number of elements.
    pub fn array(&mut self) -> Result<usize, CborError> {
        let elements = self.length(Kind::Array)?;
        self.container(elements, 1)
    }

    /// Takes a map key, which must come after `previous` in order.
    pub fn key(&mut self, previous: Option<&str>) -> Result<&'a str, CborError> {
        if self.kind()? != Kind::Text {
            return Err(CborError::KeyType);
        }
        let key = self.text()?;
        if key.len() > KEY_BYTES_MAX {
            return Err(CborError::Size);
        }
        if previous.is_some_and(|previous| compare_keys(previous, key).is_ge()) {
            return Err(CborError::KeyOrder);
        }
        Ok(key)
    }

    /// Takes text.
    pub fn text(&mut self) -> Result<&'a str, CborError> {
        let length = self.length(Kind::Text)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| CborError::Utf8)
    }

    /// Takes a byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], CborError> {
        let length = self.length(Kind::Bytes)?;
        self.take(length)
    }

    /// Takes a number.
    pub fn int(&mut self) -> Result<i64, CborError> {
        let (major, number) = self.head(Kind::Integer)?;
        let number = i64::try_from(number).map_err(|_| CborError::IntegerRange)?;
        Ok(if major == 1 { -1 - number } else { number })
    }

    /// Takes a number that is not negative.
    pub fn uint(&mut self) -> Result<u64, CborError> {
        u64::try_from(self.int()?).map_err(|_| CborError::IntegerRange)
    }

    /// Takes a truth value.
    pub fn bool(&mut self) -> Result<bool, CborError> {
        self.expect(Kind::Bool)?;
        Ok(self.take(1)? == [0xf5])
    }

    /// Takes null if it is next; tells whether it was.
    pub fn null(&mut self) -> Result<bool, CborError> {
        let is_null = self.kind()? == Kind::Null;
        if is_null {
            self.take(1)?;
        }
        Ok(is_null)
    }

    /// Takes a link of the protocol's own form.
    pub fn link(&mut self) -> Result<Cid, CborError> {
        Cid::from_bytes(self.link_bytes()?).map_err(|_| CborError::Link)
    }

    /// Takes a link of the protocol's own form, or null.
    pub fn link_or_null(&mut self) -> Result<Option<Cid>, CborError> {
        if self.null()? { Ok(None) } else { self.link().map(Some) }
    }

    /// Takes a link of any form.
    pub fn any_link(&mut self) -> Result<Link, CborError> {
        Link::from_bytes(self.link_bytes()?).map_err(|_| CborError::Link)
    }

    /// Takes a whole value.
    pub fn value(&mut self) -> Result<Value, CborError> {
        self.value_within(DEPTH_MAX)
    }

    /// Takes a whole value without keeping it; gives its bytes. It is checked as any other.
    pub fn skip(&mut self) -> Result<&'a [u8], CborError> {
        let before = self.rest;
        self.skip_within(DEPTH_MAX)?;
        let length = before.len() - self.rest.len();
        Ok(before.get(..length).unwrap_or_default())
    }

    /// Takes a whole value of DAG-CBOR without keeping it, also one that the data model does not have: floats, integers
    /// of 64 bits without a sign, up to [`FOREIGN_DEPTH_MAX`] levels and any number of elements. Everything else is checked as in [`Self::skip`].
    ///
    /// Gives the links in it that are of the protocol's own form.
    pub fn skip_foreign(&mut self) -> Result<Vec<Cid>, CborError> {
        let mut links = Vec::new();
        let mut open: Vec<Container<'a>> = Vec::new();
        loop {
            if let Some(container) = open.last_mut() {
                if container.left == 0 {
                    open.pop();
                    if open.is_empty() {
                        return Ok(links);
                    }
                    continue;
                }
                container.left -= 1;
                if container.is_map {
                    if self.kind()? != Kind::Text {
                        return Err(CborError::KeyType);
                    }
                    let key = self.text()?;
                    if container.previous_key.is_some_and(|previous| compare_keys(previous, key).is_ge()) {
                        return Err(CborError::KeyOrder);
                    }
                    container.previous_key = Some(key);
                }
            }
            if let Some(container) = self.skip_or_open(&mut links)? {
                if open.len() >= FOREIGN_DEPTH_MAX {
                    return Err(CborError::Depth);
                }
                open.push(container);
            } else if open.is_empty() {
                return Ok(links);
            }
        }
    }

    /// Takes a value, or the beginning of an array or map.
    fn skip_or_open(&mut self, links: &mut Vec<Cid>) -> Result<Option<Container<'a>>, CborError> {
        let float_bytes = match self.rest.first() {
            Some(0xf9) => 3,
            Some(0xfa) => 5,
            Some(0xfb) => 9,
            Some(_) | None => 0,
        };
        if float_bytes > 0 {
            return self.take(float_bytes).map(|_| None);
        }
        match self.kind()? {
            Kind::Null | Kind::Bool => self.take(1).map(drop)?,
            Kind::Integer => self.head(Kind::Integer).map(drop)?,
            Kind::Text => self.text().map(drop)?,
            Kind::Bytes => self.bytes().map(drop)?,
            Kind::Link => links.extend(self.any_link()?.cid()),
            Kind::Array => return Ok(Some(Container::new(self.length(Kind::Array)?, false))),
            Kind::Map => return Ok(Some(Container::new(self.length(Kind::Map)?, true))),
        }
        Ok(None)
    }

    fn value_within(&mut self, depth: usize) -> Result<Value, CborError> {
        Ok(match self.kind()? {
            Kind::Null => {
                self.null()?;
                Value::Null
            }
            Kind::Bool => Value::Bool(self.bool()?),
            Kind::Integer => Value::Integer(self.int()?),
            Kind::Text => Value::Text(self.text()?.to_owned()),
            Kind::Bytes => Value::Bytes(self.bytes()?.to_vec()),
            Kind::Link => Value::Link(self.any_link()?),
            Kind::Array => self.array_within(deeper(depth)?)?,
            Kind::Map => self.map_within(deeper(depth)?)?,
        })
    }

    fn array_within(&mut self, depth: usize) -> Result<Value, CborError> {
        let count = self.array()?;
        let mut elements = Vec::with_capacity(count.min(RESERVED_ELEMENTS_MAX));
        for _ in 0..count {
            elements.push(self.value_within(depth)?);
        }
        Ok(Value::Array(elements))
    }

    fn map_within(&mut self, depth: usize) -> Result<Value, CborError> {
        let count = self.map()?;
        let mut entries = Vec::with_capacity(count.min(RESERVED_ELEMENTS_MAX));
        let mut previous = None;
        for _ in 0..count {
            let key = self.key(previous)?;
            entries.push((key.to_owned(), self.value_within(depth)?));
            previous = Some(key);
        }
        Ok(Value::Map(Map::from_sorted(entries)))
    }

    fn skip_within(&mut self, depth: usize) -> Result<(), CborError> {
        match self.kind()? {
            Kind::Null | Kind::Bool => self.take(1).map(|_| ()),
            Kind::Integer => self.int().map(|_| ()),
            Kind::Text => self.text().map(|_| ()),
            Kind::Bytes => self.bytes().map(|_| ()),
            Kind::Link => self.any_link().map(|_| ()),
            Kind::Array => {
                let depth = deeper(depth)?;
                (0..self.array()?).try_for_each(|_| self.skip_within(depth))
            }
            Kind::Map => {
                let depth = deeper(depth)?;
                let mut previous = None;
                for _ in 0..self.map()? {
                    previous = Some(self.key(previous)?);
                    self.skip_within(depth)?;
                }
                Ok(())
            }
        }
    }

    fn link_bytes(&mut self) -> Result<&'a [u8], CborError> {
        if self.head(Kind::Link)?.1 != 42 {
            return Err(CborError::Tag);
        }
        if self.kind()? != Kind::Bytes {
            return Err(CborError::Link);
        }
        match self.bytes()?.split_first() {
            Some((0, cid)) => Ok(cid),
            _ => Err(CborError::Link),
        }
    }

    fn container(&self, count: usize, values_each: usize) -> Result<usize, CborError> {
        if count > self.rest.len() / values_each {
            return Err(CborError::UnexpectedEnd);
        }
        if count > CONTAINER_ELEMENTS_MAX {
            return Err(CborError::Size);
        }
        Ok(count)
    }

    fn length(&mut self, kind: Kind) -> Result<usize, CborError> {
        usize::try_from(self.head(kind)?.1).map_err(|_| CborError::UnexpectedEnd)
    }

    fn expect(&self, kind: Kind) -> Result<(), CborError> {
        if self.kind()? == kind { Ok(()) } else { Err(CborError::UnexpectedKind) }
    }

    /// Takes the first byte of a value and the number that belongs to it.
    fn head(&mut self, kind: Kind) -> Result<(u8, u64), CborError> {
        self.expect(kind)?;
        let first = *self.take(1)?.first().ok_or(CborError::UnexpectedEnd)?;
        let (number, least) = match first & 0x1f {
            small @ 0..24 => return Ok((first >> 5, u64::from(small))),
            24 => (self.big_endian(1)?, 24),
            25 => (self.big_endian(2)?, 0x100),
            26 => (self.big_endian(4)?, 0x1_0000),
            27 => (self.big_endian(8)?, 0x1_0000_0000),
            _ => return Err(CborError::Indefinite),
        };
        if number < least { Err(CborError::NotShortest) } else { Ok((first >> 5, number)) }
    }

    fn big_endian(&mut self, count: usize) -> Result<u64, CborError> {
        Ok(self.take(count)?.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], CborError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(CborError::UnexpectedEnd)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn deeper(depth: usize) -> Result<usize, CborError> {
    depth.checked_sub(1).ok_or(CborError::Depth)
}
