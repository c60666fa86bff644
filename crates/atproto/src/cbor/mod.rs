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
/// How deeply they may nest in a foreign value that is skipped. Needs no stack.
pub const FOREIGN_DEPTH_MAX: usize = 16_384;
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

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cid::{Cid, Link};

    /// Values of all kinds.
    pub(crate) fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Integer),
            (-300_i64..70_000).prop_map(Value::Integer),
            ".{0,40}".prop_map(Value::Text),
            prop::collection::vec(any::<u8>(), 0..300).prop_map(Value::Bytes),
            any::<[u8; 4]>().prop_map(|bytes| Cid::for_cbor(&bytes).into()),
            any::<[u8; 4]>()
                .prop_map(|bytes| Value::Link(Link::from_bytes(&[&[1, 0x70, 0, 4], &bytes[..]].concat()).unwrap())),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..30).prop_map(Value::Array),
                prop::collection::vec((".{0,30}", inner), 0..8)
                    .prop_map(|entries| Value::Map(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn what_is_encoded_is_decoded(value in any_value()) {
            let bytes = encode(&value);
            prop_assert_eq!(decode(&bytes), Ok(value));
            prop_assert!(Decoder::new(&bytes).skip_foreign().is_ok());
            let mut decoder = Decoder::new(&bytes);
            prop_assert_eq!(decoder.skip(), Ok(bytes.as_slice()));
            prop_assert_eq!(decoder.end(), Ok(()));
        }

        #[test]
        fn what_is_decoded_has_no_other_encoding(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut decoder = Decoder::new(&bytes);
            let skipped = decoder.skip().and_then(|_| decoder.end());
            match decode(&bytes) {
                Ok(value) => prop_assert_eq!(encode(&value), bytes),
                Err(error) => prop_assert_eq!(skipped, Err(error)),
            }
        }

        #[test]
        fn a_changed_byte_is_refused_or_means_something_else(value in any_value(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let mut bytes = encode(&value);
            let at = at.index(bytes.len());
            let is_changed = bytes[at] != to;
            bytes[at] = to;
            if let Ok(other) = decode(&bytes) {
                prop_assert_eq!(encode(&other), bytes);
                prop_assert_eq!(other != value, is_changed);
            }
        }
    }

    #[test]
    fn what_others_have_made_is_passed_over() {
        let raw = Cid::for_raw(b"blob");
        let link = [&[0xd8, 0x2a, 0x58, 37, 0][..], &raw.to_bytes()].concat();
        let entry = |value: &[u8]| [&[0xa1, 0x61, b'a'][..], value].concat();
        let nested = |levels: usize| entry(&[vec![0x81; levels], vec![0x80]].concat());
        for (value, links) in [
            (entry(&[0xfb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0]), vec![]),
            (entry(&[0xf9, 0x3c, 0]), vec![]),
            (entry(&[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), vec![]),
            (entry(&[0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), vec![]),
            (nested(65), vec![]),
            (nested(FOREIGN_DEPTH_MAX - 2), vec![]),
            (entry(&[&[0x82, 0xfa, 0, 0, 0, 0][..], &link].concat()), vec![raw]),
            (vec![0xa0], vec![]),
        ] {
            let mut decoder = Decoder::new(&value);
            assert_eq!(decoder.skip_foreign(), Ok(links), "{value:02x?}");
            assert_eq!(decoder.end(), Ok(()));
        }
        for (value, error) in [
            (nested(FOREIGN_DEPTH_MAX), CborError::Depth),
            (vec![], CborError::UnexpectedEnd),
            (vec![0xa1, 0x61], CborError::UnexpectedEnd),
            (vec![0xa2, 0x61, b'b', 0xf6, 0x61, b'a', 0xf6], CborError::KeyOrder),
            (vec![0xa1, 0x01, 0xf6], CborError::KeyType),
            (entry(&[0x18, 0x01]), CborError::NotShortest),
            (entry(&[0x9f, 0xff]), CborError::Indefinite),
            (entry(&[0xc1, 0x01]), CborError::Tag),
            (entry(&[0xd8, 0x2a, 0x45, 0, 1, 0x55, 0x12, 0]), CborError::Link),
            (entry(&[0xf7]), CborError::Simple),
            (entry(&[0x61, 0xff]), CborError::Utf8),
        ] {
            assert_eq!(Decoder::new(&value).skip_foreign(), Err(error), "{value:02x?}");
        }
    }

    /// Inputs made to exhaust the stack or the memory, decoded on a small stack.
    #[test]
    fn bombs_are_refused_cheaply() {
        const DEEP: usize = 1_000_000;
        let nested = |byte: u8| vec![byte; DEEP];
        let head = |major: u8, length: u64| [&[(major << 5) | 0x1b][..], &length.to_be_bytes()].concat();
        let bombs = [
            ("arrays in arrays", nested(0x81), CborError::Depth),
            ("maps in maps", [0xa1, 0x61, b'a'].repeat(DEEP), CborError::Depth),
            ("arrays in maps", [0xa1, 0x60, 0x81].repeat(DEEP), CborError::Depth),
            ("tags in tags", nested(0xd8), CborError::Tag),
            ("links in links", [0xd8, 0x2a].repeat(DEEP), CborError::Link),
            ("array of 2^40", head(4, 1 << 40), CborError::UnexpectedEnd),
            ("map of 2^63", head(5, 1 << 63), CborError::UnexpectedEnd),
            ("text of 2^62", head(3, 1 << 62), CborError::UnexpectedEnd),
            ("bytes of 2^64 - 1", head(2, u64::MAX), CborError::UnexpectedEnd),
            ("array of 131,073", [&[0x9a, 0, 2, 0, 1][..], &vec![0xf6; 131_073]].concat(), CborError::Size),
            ("key of 8193 bytes", [&[0xa1, 0x79, 0x20, 1][..], &vec![b'k'; 8193], &[0xf6]].concat(), CborError::Size),
            ("map of two thirds of its keys", [&[0xa3][..], &[0xf6; 5]].concat(), CborError::UnexpectedEnd),
        ];
        let run = move || {
            for (name, bytes, expected) in bombs {
                assert_eq!(decode(&bytes), Err(expected), "{name}");
                assert_eq!(Decoder::new(&bytes).skip(), Err(expected), "{name}");
            }
        };
        std::thread::Builder::new().stack_size(256 * 1024).spawn(run).unwrap().join().unwrap();
    }

    #[test]
    fn depth_is_bounded_exactly() {
        let nested = |depth: usize| [vec![0x81; depth], vec![0xf6]].concat();
        let run = move || {
            let deepest = decode(&nested(DEPTH_MAX)).unwrap();
            assert_eq!(encode(&deepest), nested(DEPTH_MAX));
            assert_eq!(decode(&nested(DEPTH_MAX + 1)), Err(CborError::Depth));
        };
        std::thread::Builder::new().stack_size(256 * 1024).spawn(run).unwrap().join().unwrap();
    }

    #[test]
    fn the_encoder_writes_what_the_value_does() {
        let cid = Cid::for_raw(b"blob");
        let mut encoder = Encoder::with_capacity(64);
        encoder.map(4).text("a").int(-500).text("b").link(&cid).text("c").array(3).bool(true).null().bytes(&[1]);
        encoder.text("dd").link_or_null(None);
        let array = vec![Value::Bool(true), Value::Null, Value::Bytes(vec![1])];
        let entries = [("dd", Value::Null), ("c", Value::Array(array)), ("b", cid.into()), ("a", Value::Integer(-500))];
        let map: Map = entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        assert_eq!(encoder.len(), encode(&map.clone().into()).len());
        assert_eq!(encoder.into_bytes(), encode(&map.into()));
    }

    #[test]
    fn a_map_keeps_its_order_and_knows_doubles() {
        let mut map = Map::new();
        for key in ["bb", "c", "", "a", "aa"] {
            assert_eq!(map.insert(key, Value::Null), None);
        }
        assert_eq!(map.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["", "a", "c", "aa", "bb"]);
        assert_eq!(map.insert("c", Value::Bool(true)), Some(Value::Null));
        assert_eq!((map.remove("c"), map.remove("c"), map.len()), (Some(Value::Bool(true)), None, 4));
        assert_eq!(Map::from_entries(vec![("a".into(), Value::Null), ("a".into(), Value::Null)]), None);
    }
}
