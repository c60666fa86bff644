//! From JSON to CBOR in one step, for records on their way to the disk.
//!
//! Owns the speed and nothing else: what is data of the protocol is said by [`to_map`].

use data_encoding::{BASE64, BASE64_NOPAD};
use serde_json::{Map, Value as Json};

use super::{DEPTH_MAX, JsonError, integer, to_map};
use crate::cbor::{CONTAINER_ELEMENTS_MAX, Encoder, KEY_BYTES_MAX, compare_keys};
use crate::cid::{Codec, Link};

/// How many bytes are reserved for a record: most are smaller.
const RESERVED_BYTES: usize = 1024;

/// Encodes a record or another object: the same bytes, and the same errors, as of [`to_map`] and
/// [`cbor::encode`](crate::cbor::encode), without the value in between.
pub fn to_cbor(json: &Json) -> Result<Vec<u8>, JsonError> {
    let Some(object) = json.as_object().filter(|object| !is_single(object)) else {
        return Err(to_map(json).err().unwrap_or(JsonError::NotAnObject));
    };
    let mut writer = Writer { encoder: Encoder::with_capacity(RESERVED_BYTES), entries: Vec::new() };
    match writer.object(object, DEPTH_MAX) {
        Ok(()) => Ok(writer.encoder.into_bytes()),
        // With several faults, the first one in the order of the JSON is to be told, and this went by key.
        Err(error) => Err(to_map(json).err().unwrap_or(error)),
    }
}

/// Tells whether an object stands for a link or for bytes.
fn is_single(object: &Map<String, Json>) -> bool {
    object.contains_key("$link") || object.contains_key("$bytes")
}

/// One record on its way.
struct Writer<'a> {
    encoder: Encoder,
    /// The entries of the objects that are open, those of the innermost at the end.
    entries: Vec<(&'a str, &'a Json)>,
}

impl<'a> Writer<'a> {
    fn value(&mut self, json: &'a Json, depth: usize) -> Result<(), JsonError> {
        match json {
            Json::Null => self.encoder.null(),
            Json::Bool(value) => self.encoder.bool(*value),
            Json::Number(number) => self.encoder.int(integer(number).ok_or(JsonError::Number)?),
            Json::String(text) => self.encoder.text(text),
            Json::Array(elements) => return self.array(elements, depth),
            Json::Object(object) => return self.object(object, depth),
        };
        Ok(())
    }

    fn array(&mut self, elements: &'a [Json], depth: usize) -> Result<(), JsonError> {
        let depth = depth.checked_sub(1).ok_or(JsonError::Depth)?;
        if elements.len() > CONTAINER_ELEMENTS_MAX {
            return Err(JsonError::Size);
        }
        self.encoder.array(elements.len());
        elements.iter().try_for_each(|element| self.value(element, depth))
    }

    fn object(&mut self, object: &'a Map<String, Json>, depth: usize) -> Result<(), JsonError> {
        if let (1, Some((key, value))) = (object.len(), object.iter().next()) {
            match key.as_str() {
                "$link" => return self.link(value),
                "$bytes" => return self.bytes(value),
                _ => {}
            }
        }
        let depth = depth.checked_sub(1).ok_or(JsonError::Depth)?;
        if object.len() > CONTAINER_ELEMENTS_MAX {
            return Err(JsonError::Size);
        }
        let start = self.entries.len();
        for (key, value) in object {
            match key.as_str() {
                "$link" => return Err(JsonError::Link),
                "$bytes" => return Err(JsonError::Bytes),
                "$type" => check_type(object, value)?,
                key if key.len() > KEY_BYTES_MAX => return Err(JsonError::Size),
                _ => {}
            }
            self.entries.push((key, value));
        }
        let entries = self.entries.get_mut(start..).unwrap_or_default();
        entries.sort_unstable_by(|(a, _), (b, _)| compare_keys(a, b));
        self.encoder.map(object.len());
        for index in start..start + object.len() {
            let Some(&(key, value)) = self.entries.get(index) else { break };
            self.encoder.text(key);
            self.value(value, depth)?;
        }
        self.entries.truncate(start);
        Ok(())
    }

    fn link(&mut self, json: &Json) -> Result<(), JsonError> {
        let link = parse_link(json).ok_or(JsonError::Link)?;
        match link.cid() {
            Some(cid) => self.encoder.link(&cid),
            None => self.encoder.any_link(&link),
        };
        Ok(())
    }

    fn bytes(&mut self, json: &Json) -> Result<(), JsonError> {
        let text = json.as_str().ok_or(JsonError::Bytes)?;
        let encoding = if text.ends_with('=') { BASE64 } else { BASE64_NOPAD };
        let bytes = encoding.decode(text.as_bytes()).map_err(|_| JsonError::Bytes)?;
        self.encoder.bytes(&bytes);
        Ok(())
    }
}

fn check_type(object: &Map<String, Json>, type_name: &Json) -> Result<(), JsonError> {
    match type_name.as_str() {
        None | Some("") => Err(JsonError::Type),
        Some("blob") if !is_blob(object) => Err(JsonError::Blob),
        Some(_) => Ok(()),
    }
}

fn is_blob(object: &Map<String, Json>) -> bool {
    let link = object.get("ref").and_then(Json::as_object).filter(|object| object.len() == 1);
    let link = link.and_then(|object| parse_link(object.get("$link")?));
    let is_raw = link.and_then(|link| link.cid()).is_some_and(|cid| cid.codec() == Codec::Raw);
    let has_mime_type = object.get("mimeType").and_then(Json::as_str).is_some_and(|text| !text.is_empty());
    let size = object.get("size").and_then(Json::as_number).and_then(integer);
    is_raw && has_mime_type && size.is_some_and(|size| size >= 0)
}

fn parse_link(json: &Json) -> Option<Link> {
    Link::parse(json.as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::tests::any_json;
    use super::*;
    use crate::cbor;

    fn by_value(json: &Json) -> Result<Vec<u8>, JsonError> {
        to_map(json).map(|map| cbor::encode(&map.into()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn gives_what_goes_by_the_value(json in any_json()) {
            prop_assert_eq!(to_cbor(&json), by_value(&json));
        }
    }

    #[test]
    fn limits_are_those_of_the_value() {
        let nested = |depth: usize| json!({"a": (1..depth).fold(json!(1), |inner, _| json!([inner]))});
        let long = |bytes: usize| json!({"k".repeat(bytes): 1});
        let many = |count: usize| json!({"a": vec![0; count]});
        let wide = |count: usize| Json::Object((0..count).map(|key| (key.to_string(), json!(0))).collect());
        for (fits, breaks, error) in [
            (nested(DEPTH_MAX), nested(DEPTH_MAX + 1), JsonError::Depth),
            (long(KEY_BYTES_MAX), long(KEY_BYTES_MAX + 1), JsonError::Size),
            (many(CONTAINER_ELEMENTS_MAX), many(CONTAINER_ELEMENTS_MAX + 1), JsonError::Size),
            (wide(CONTAINER_ELEMENTS_MAX), wide(CONTAINER_ELEMENTS_MAX + 1), JsonError::Size),
        ] {
            assert_eq!(to_cbor(&fits).unwrap(), by_value(&fits).unwrap());
            assert_eq!((to_cbor(&breaks), by_value(&breaks)), (Err(error), Err(error)));
        }
    }

    #[test]
    fn takes_objects_only() {
        let link = json!({"$link": "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"});
        for json in [json!(null), json!([]), json!("a"), link, json!({"$bytes": "AQ"})] {
            assert_eq!(to_cbor(&json), Err(JsonError::NotAnObject), "{json}");
        }
        assert_eq!(to_cbor(&json!({"$link": 1})), Err(JsonError::Link));
        assert_eq!(to_cbor(&json!({})).unwrap(), [0xa0]);
    }

    #[test]
    fn of_several_faults_the_first_is_told() {
        let json = json!({"long key": 1.5, "a": {"$link": 1}});
        assert_eq!((to_cbor(&json), by_value(&json)), (Err(JsonError::Number), Err(JsonError::Number)));
    }
}
