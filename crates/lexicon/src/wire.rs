//! The JSON forms of data model values that JSON itself lacks: bytes, links, blobs, and a null that differs from
//! absence; and how a union is read.

use std::sync::LazyLock;

use allod_atproto::Cid;
use data_encoding::{BASE64_NOPAD, Encoding, Specification};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes, in JSON `{"$bytes": "<base64>"}`.
///
/// Spec: <https://atproto.com/specs/data-model#bytes>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

/// A link to data by its CID, in JSON `{"$link": "<cid>"}`.
///
/// Spec: <https://atproto.com/specs/data-model#link>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CidLink(pub Cid);

/// A reference to a blob, in JSON an object with `$type` `blob`.
///
/// Spec: <https://atproto.com/specs/data-model#blob-type>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "$type", rename = "blob", rename_all = "camelCase")]
pub struct Blob {
    /// The CID of the blob's bytes, of codec raw.
    #[serde(rename = "ref")]
    pub link: CidLink,
    /// The media type.
    pub mime_type: String,
    /// The size in bytes.
    pub size: u64,
}

/// A value, or an explicit null that means something else than an absent field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrNull<T> {
    /// `null`.
    Null,
    /// The value.
    Value(T),
}

/// Reads a field that is there, so that `null` becomes `Some(OrNull::Null)`.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<OrNull<T>>, D::Error> {
    OrNull::deserialize(deserializer).map(Some)
}

impl<T: Serialize> Serialize for OrNull<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Value(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OrNull<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

#[derive(Serialize, Deserialize)]
struct BytesForm {
    #[serde(rename = "$bytes")]
    base64: String,
}

#[derive(Serialize, Deserialize)]
struct LinkForm {
    #[serde(rename = "$link")]
    cid: Cid,
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        BytesForm { base64: BASE64_NOPAD.encode(&self.0) }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = BytesForm::deserialize(deserializer)?;
        let text = form.base64.trim_end_matches('=');
        LENIENT_BASE64.decode(text.as_bytes()).map(Self).map_err(|_| D::Error::custom("Invalid base64"))
    }
}

impl Serialize for CidLink {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        LinkForm { cid: self.0 }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CidLink {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        LinkForm::deserialize(deserializer).map(|form| Self(form.cid))
    }
}

/// Base64 as other implementations write it: without padding, trailing bits unchecked.
static LENIENT_BASE64: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification: Specification = BASE64_NOPAD.specification();
    specification.check_trailing_bits = false;
    specification.encoding().unwrap_or(BASE64_NOPAD)
});

/// Reads a union by its `$type`: the named variant, `Unknown` for any other (`open`), or an error (`closed`).
macro_rules! deserialize_union {
    (open $name:ident { $($tag:literal => $variant:ident,)* }) => {
        crate::wire::deserialize_union!(@impl $name { $($tag => $variant,)* } value, _other => Ok(Self::Unknown(value)));
    };
    (closed $name:ident { $($tag:literal => $variant:ident,)* }) => {
        crate::wire::deserialize_union!(@impl $name { $($tag => $variant,)* } value, other => {
            Err(serde::de::Error::unknown_variant(&other, &[$($tag),*]))
        });
    };
    (@impl $name:ident { $($tag:literal => $variant:ident,)* } $value:ident, $other:ident => $otherwise:expr) => {
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let $value = <serde_json::Value as serde::Deserialize>::deserialize(deserializer)?;
                let tag = $value.get("$type").and_then(serde_json::Value::as_str).map(str::to_owned);
                match tag.ok_or_else(|| serde::de::Error::missing_field("$type"))?.as_str() {
                    $($tag => serde_json::from_value($value)
                        .map(|variant| Self::$variant(Box::new(variant)))
                        .map_err(serde::de::Error::custom),)*
                    $other => $otherwise,
                }
            }
        }
    };
}

pub(crate) use deserialize_union;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::com_atproto::repo::put_record;

    const CID: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

    #[test]
    fn bytes_are_read_padded_or_not_and_written_unpadded() {
        for text in ["aGk", "aGk=", "aGl"] {
            let bytes: Bytes = serde_json::from_value(json!({"$bytes": text})).unwrap();
            assert_eq!(bytes, Bytes(b"hi".to_vec()));
            assert_eq!(serde_json::to_value(&bytes).unwrap(), json!({"$bytes": "aGk"}));
        }
        assert!(serde_json::from_value::<Bytes>(json!({"$bytes": "a"})).is_err());
        assert!(serde_json::from_value::<Bytes>(json!({"$bytes": "a*k"})).is_err());
        assert!(serde_json::from_value::<Bytes>(json!("aGk")).is_err());
    }

    #[test]
    fn a_blob_keeps_its_form() {
        let json = json!({"$type": "blob", "ref": {"$link": CID}, "mimeType": "image/png", "size": 12});
        let blob: Blob = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&blob).unwrap(), json);
        assert_eq!(blob.link.0, Cid::parse(CID).unwrap());
    }

    #[test]
    fn null_absent_and_value_differ() {
        let read = |swap: Option<serde_json::Value>| {
            let mut json = json!({"repo": "a.test", "collection": "com.example.a", "rkey": "self", "record": {}});
            if let Some(swap) = swap {
                json["swapRecord"] = swap;
            }
            let input: put_record::Input = serde_json::from_value(json.clone()).unwrap();
            assert_eq!(serde_json::to_value(&input).unwrap(), json);
            input.swap_record
        };
        assert_eq!(read(None), None);
        assert_eq!(read(Some(json!(null))), Some(OrNull::Null));
        assert_eq!(read(Some(json!(CID))), Some(OrNull::Value(Cid::parse(CID).unwrap())));
    }
}
