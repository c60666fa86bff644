//! JSON from others, and the data model in its JSON form.
//!
//! [`parse`] is the one way from foreign bytes to a JSON value.
//! Links are `{"$link": "…"}`, bytes are `{"$bytes": "…"}`. [`to_value`] takes what a client sends
//! and checks what the data model asks of it; [`from_value`] writes what was stored, whatever it is.
//! [`to_cbor`] and [`write_json`] do the same between JSON and CBOR directly, which records take.
//!
//! Spec: <https://atproto.com/specs/data-model>

mod encode;
mod parse;
mod write;

use data_encoding::{BASE64, BASE64_NOPAD};
use serde_json::{Number, Value as Json};

use crate::cbor::{CONTAINER_ELEMENTS_MAX, KEY_BYTES_MAX, Map, Value};
use crate::cid::{Codec, Link};

pub use encode::to_cbor;
pub use parse::{DuplicateKeys, Limits, PARSE_DEPTH_MAX, PARSE_VALUES_MAX, ParseError, parse, read};
pub use write::write_json;

/// How deeply arrays and objects from clients may lie in each other.
pub const DEPTH_MAX: usize = 32;
/// The greatest number accepted, either way from zero: what a double holds exactly.
pub const INTEGER_MAX: i64 = (1 << 53) - 1;

/// JSON that is not data of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Something other than an object where a record must be.
    #[error("must be an object")]
    NotAnObject,
    /// A number with a fraction, or beyond [`INTEGER_MAX`].
    #[error("numbers must be integers within 53 bits")]
    Number,
    /// A `$link` that is not alone in its object or not a CID.
    #[error("\"$link\" must be alone in its object and a CID")]
    Link,
    /// A `$bytes` that is not alone in its object or not base64.
    #[error("\"$bytes\" must be alone in its object and base64")]
    Bytes,
    /// A `$type` that is not text or empty.
    #[error("\"$type\" must be a non-empty string")]
    Type,
    /// An object of `$type` `blob` without a raw link, a MIME type and a size.
    #[error("a blob must have a \"ref\" to raw bytes, a \"mimeType\" and a \"size\"")]
    Blob,
    /// Arrays and objects nested beyond [`DEPTH_MAX`].
    #[error("nested too deeply")]
    Depth,
    /// An array or object with too many elements, or a key that is too long.
    #[error("an array, object or key is too large")]
    Size,
}

/// Reads a record or another object.
pub fn to_map(json: &Json) -> Result<Map, JsonError> {
    if let Value::Map(map) = to_value(json)? { Ok(map) } else { Err(JsonError::NotAnObject) }
}

/// Reads any value.
///
/// A number such as `123.0` is an integer. Blobs and `$type` are checked wherever they occur.
pub fn to_value(json: &Json) -> Result<Value, JsonError> {
    value_within(json, DEPTH_MAX)
}

/// Writes any value. Numbers beyond 53 bits, which only old data can have, are written in full.
pub fn from_value(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Integer(number) => Json::Number((*number).into()),
        Value::Text(text) => Json::String(text.clone()),
        Value::Bytes(bytes) => single("$bytes", BASE64_NOPAD.encode(bytes)),
        Value::Link(link) => single("$link", link.to_string()),
        Value::Array(elements) => Json::Array(elements.iter().map(from_value).collect()),
        Value::Map(map) => from_map(map),
    }
}

/// Writes an object, its keys in the order of the binary form.
pub fn from_map(map: &Map) -> Json {
    Json::Object(map.iter().map(|(key, value)| (key.to_owned(), from_value(value))).collect())
}

fn value_within(json: &Json, depth: usize) -> Result<Value, JsonError> {
    match json {
        Json::Null => Ok(Value::Null),
        Json::Bool(value) => Ok(Value::Bool(*value)),
        Json::Number(number) => integer(number).map(Value::Integer).ok_or(JsonError::Number),
        Json::String(text) => Ok(Value::Text(text.clone())),
        Json::Array(elements) => array_within(elements, depth),
        Json::Object(object) => object_within(object, depth),
    }
}

fn array_within(elements: &[Json], depth: usize) -> Result<Value, JsonError> {
    let depth = depth.checked_sub(1).ok_or(JsonError::Depth)?;
    if elements.len() > CONTAINER_ELEMENTS_MAX {
        return Err(JsonError::Size);
    }
    elements.iter().map(|element| value_within(element, depth)).collect::<Result<_, _>>().map(Value::Array)
}

fn object_within(object: &serde_json::Map<String, Json>, depth: usize) -> Result<Value, JsonError> {
    if let Some(link) = object.get("$link") {
        let text = alone(object, link).ok_or(JsonError::Link)?;
        return Link::parse(text).map(Value::Link).map_err(|_| JsonError::Link);
    }
    if let Some(bytes) = object.get("$bytes") {
        let text = alone(object, bytes).ok_or(JsonError::Bytes)?;
        return base64(text).map(Value::Bytes).ok_or(JsonError::Bytes);
    }
    let depth = depth.checked_sub(1).ok_or(JsonError::Depth)?;
    if object.len() > CONTAINER_ELEMENTS_MAX || object.keys().any(|key| key.len() > KEY_BYTES_MAX) {
        return Err(JsonError::Size);
    }
    let entries = object
        .iter()
        .map(|(key, value)| Ok((key.clone(), value_within(value, depth)?)))
        .collect::<Result<Vec<_>, JsonError>>()?;
    let map = Map::from_entries(entries).unwrap_or_default();
    check_type(&map)?;
    Ok(Value::Map(map))
}

fn check_type(map: &Map) -> Result<(), JsonError> {
    match map.get("$type") {
        None => Ok(()),
        Some(Value::Text(name)) if name == "blob" => check_blob(map),
        Some(Value::Text(name)) if !name.is_empty() => Ok(()),
        Some(_) => Err(JsonError::Type),
    }
}

fn check_blob(map: &Map) -> Result<(), JsonError> {
    let is_raw = map.get("ref").and_then(Value::as_cid).is_some_and(|cid| cid.codec() == Codec::Raw);
    let has_mime_type = map.get("mimeType").and_then(Value::as_text).is_some_and(|text| !text.is_empty());
    let has_size = map.get("size").and_then(Value::as_integer).is_some_and(|size| size >= 0);
    if is_raw && has_mime_type && has_size { Ok(()) } else { Err(JsonError::Blob) }
}

/// The text of `value` if it is text and the object has nothing else.
fn alone<'a>(object: &serde_json::Map<String, Json>, value: &'a Json) -> Option<&'a str> {
    value.as_str().filter(|_| object.len() == 1)
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let encoding = if text.ends_with('=') { BASE64 } else { BASE64_NOPAD };
    encoding.decode(text.as_bytes()).ok()
}

fn integer(number: &Number) -> Option<i64> {
    let integer = number.as_i64().or_else(|| number.as_f64().and_then(integral))?;
    (-INTEGER_MAX..=INTEGER_MAX).contains(&integer).then_some(integer)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "the range is checked and the comparison asks whether the conversion is exact"
)]
fn integral(number: f64) -> Option<i64> {
    let fits = number.abs() <= INTEGER_MAX as f64 && number.trunc() == number;
    fits.then_some(number as i64)
}

fn single(key: &str, text: String) -> Json {
    Json::Object([(key.to_owned(), Json::String(text))].into_iter().collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// JSON of all kinds, of which much is data of the protocol and some almost is.
    pub(super) fn any_json() -> impl Strategy<Value = Json> {
        let cid = prop_oneof![
            Just("bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"),
            Just("bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity"),
            Just("zdj7WWeQ43G6JJvLWQWZpyHuAMq6uYWRjkBXFad11vE2LHhQ7"),
            Just("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"),
        ];
        let link = prop_oneof![9 => cid.prop_map(str::to_owned), 1 => "b?[a-z2-7]{0,8}"]
            .prop_map(|text| json!({ "$link": text }));
        let blob = (link.clone(), prop_oneof![9 => Just("image/png"), 1 => Just("")], -1_i64..9, 0..12_usize).prop_map(
            |(link, media_type, size, missing)| {
                let mut blob = json!({"$type": "blob", "ref": link, "mimeType": media_type, "size": size});
                let key = ["ref", "mimeType", "size"].get(missing).copied().unwrap_or_default();
                blob.as_object_mut().unwrap().remove(key);
                blob
            },
        );
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::Bool),
            any::<i32>().prop_map(Json::from),
            prop_oneof![20 => -300.0..300.0_f64, 1 => any::<f64>()].prop_map(|number| json!(number.trunc())),
            prop_oneof![20 => -INTEGER_MAX..=INTEGER_MAX, 1 => any::<i64>()].prop_map(Json::from),
            ".{0,40}".prop_map(Json::String),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| json!({"$bytes": BASE64.encode(&bytes)})),
            "[A-Za-z+/]{0,6}={0,2}".prop_map(|text| json!({ "$bytes": text })),
            link,
            blob,
        ];
        let key = prop_oneof![
            20 => "[a-zA-Z]{0,12}",
            5 => ".{0,30}",
            1 => prop_oneof![Just("$link"), Just("$bytes"), Just("$type")].prop_map(str::to_owned),
        ];
        let tree = leaf.prop_recursive(5, 48, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..30).prop_map(Json::Array),
                prop::collection::vec((key.clone(), inner), 0..12)
                    .prop_map(|entries| Json::Object(entries.into_iter().collect())),
            ]
        });
        prop_oneof![1 => tree.clone(), 4 => ("[a-z.]{0,9}", tree).prop_map(|(name, value)| json!({"$type": name, "value": value}))]
    }

    #[test]
    fn takes_integers_however_they_are_written() {
        for (text, expected) in [
            ("123.0", Some(123)),
            ("1e3", Some(1000)),
            ("-0.0", Some(0)),
            ("9007199254740991", Some(INTEGER_MAX)),
            ("-9007199254740991", Some(-INTEGER_MAX)),
            ("9007199254740992", None),
            ("18446744073709551615", None),
            ("1e300", None),
            ("1.5", None),
        ] {
            let json = parse(text.as_bytes(), &Limits::bytes(100)).unwrap();
            assert_eq!(to_value(&json).ok(), expected.map(Value::Integer), "{text}");
        }
    }

    #[test]
    fn takes_base64_with_and_without_padding() {
        for text in ["AQ", "AQ=="] {
            assert_eq!(to_value(&json!({ "$bytes": text })), Ok(Value::Bytes(vec![1])));
        }
        for text in ["AQ=", "A", "A-_A", "AQ== "] {
            assert_eq!(to_value(&json!({ "$bytes": text })), Err(JsonError::Bytes), "{text}");
        }
        assert_eq!(from_value(&Value::Bytes(vec![1])), json!({ "$bytes": "AQ" }));
    }

    #[test]
    fn takes_blobs_of_no_bytes_but_not_of_data() {
        let blob =
            |link: &str, size: i64| json!({"$type": "blob", "ref": {"$link": link}, "mimeType": "a/b", "size": size});
        let raw = "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity";
        let cbor = "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua";
        assert!(to_value(&blob(raw, 0)).is_ok());
        assert_eq!(to_value(&blob(raw, -1)), Err(JsonError::Blob));
        assert_eq!(to_value(&blob(cbor, 1)), Err(JsonError::Blob));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        assert!(to_value(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(to_value(&nested(DEPTH_MAX + 1)), Err(JsonError::Depth));
    }
}
