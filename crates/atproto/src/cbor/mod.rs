//! The data model in its binary form: strict DAG-CBOR, also called DRISL.
//!
//! Every value has exactly one encoding and the decoder takes no other: shortest numbers, definite
//! lengths, keys sorted by length and then by bytes, no floats, tag 42 only. What is decoded and
//! encoded again is therefore the same bytes.
//!
//! Spec: <https://atproto.com/specs/data-model>

mod decoder;
mod encoder;
mod value;

pub use decoder::{CborError, Decoder, Kind};
pub use encoder::Encoder;
pub use value::{Map, Value};

/// How deeply arrays and maps may lie in each other.
pub const DEPTH_MAX: usize = 64;
/// How many elements an array, or entries a map, may have.
pub const CONTAINER_ELEMENTS_MAX: usize = 131_072;
/// The longest map key, in bytes.
pub const KEY_BYTES_MAX: usize = 8192;

/// Encodes a value.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.value(value);
    encoder.into_bytes()
}

/// Decodes exactly one value.
pub fn decode(bytes: &[u8]) -> Result<Value, CborError> {
    let mut decoder = Decoder::new(bytes);
    let value = decoder.value()?;
    decoder.end()?;
    Ok(value)
}

/// Compares map keys in the order that the encoding has: by length, then by bytes.
pub fn compare_keys(a: &str, b: &str) -> std::cmp::Ordering {
    a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes()))
}
