//! The blobs that a record refers to: finding them, and checking that they are there.

use std::sync::Arc;

use allod_atproto::{
    Cid, Did,
    cbor::{self, Map, Value},
    cid::{Codec, Link},
};
use allod_store::{ReadError, tables::blobs};

use super::Blobs;

/// A record's reference to a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobRef {
    /// The hash of the blob's bytes.
    pub cid: Cid,
    /// What the record says the bytes are.
    pub mime_type: String,
    /// How many bytes the record says there are.
    pub size: u64,
}

/// Why a record may not refer to a blob.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReferenceError {
    /// The reference is of the form that was used before blobs had a type.
    #[error("Legacy blobs are not allowed ({0})")]
    Legacy(String),
    /// The account has no such blob, or it was taken down.
    #[error("Could not find blob: {0}")]
    NotFound(Cid),
    /// The record says the bytes are something else than the blob says.
    #[error("Referenced Mimetype does not match stored blob. Expected: {expected}, Got: {found}")]
    MimeType {
        /// What the blob says.
        expected: String,
        /// What the record says.
        found: String,
    },
    /// The record says there are more or fewer bytes.
    #[error("Referenced Size does not match stored blob. Expected: {expected}, Got: {found}")]
    Size {
        /// How many there are.
        expected: u64,
        /// What the record says.
        found: u64,
    },
    /// The store could not be read.
    #[error(transparent)]
    Read(Arc<ReadError>),
}

impl From<ReadError> for ReferenceError {
    fn from(error: ReadError) -> Self {
        Self::Read(Arc::new(error))
    }
}

/// Finds every reference to a blob in a record, at any depth and in the record's order.
///
/// # Errors
/// [`ReferenceError::Legacy`] and no other.
pub fn references(record: &Map) -> Result<Vec<BlobRef>, ReferenceError> {
    let mut found = Vec::new();
    visit(record, &mut |form| match form {
        Form::Typed(reference) => {
            found.push(reference);
            Ok(())
        }
        Form::Legacy { link, .. } => Err(ReferenceError::Legacy(link.to_string())),
    })?;
    Ok(found)
}

/// Lists the blobs that a record refers to in whatever form, each once: for records that were written elsewhere.
pub fn referenced_cids(record: &Map) -> Vec<Cid> {
    let mut cids = Vec::new();
    let visited = visit(record, &mut |form| {
        cids.extend(match form {
            Form::Typed(reference) => Some(reference.cid),
            Form::Legacy { link, .. } => link.cid().filter(|cid| cid.codec() == Codec::Raw),
        });
        Ok(())
    });
    // The visitor above refuses nothing.
    let _ = visited;
    cids.sort_unstable();
    cids.dedup();
    cids
}

/// What a record says that a blob's bytes are: the first reference to it counts.
pub fn mime_type_of(block: &[u8], blob: &Cid) -> Option<String> {
    let Ok(Value::Map(record)) = cbor::decode(block) else { return None };
    let mut found = None;
    let visited = visit(&record, &mut |form| {
        let mime_type = match form {
            Form::Typed(reference) => (reference.cid == *blob).then_some(reference.mime_type),
            Form::Legacy { link, mime_type } => (link.cid() == Some(*blob)).then_some(mime_type),
        };
        found = found.take().or(mime_type);
        Ok(())
    });
    // The visitor above refuses nothing.
    let _ = visited;
    found
}

impl Blobs {
    /// Checks that an account's record may refer to these blobs: each is stored, not taken down, and, unless another
    /// record refers to it already, what the reference says it is.
    pub async fn check_references(&self, did: &Did, references: &[BlobRef]) -> Result<(), ReferenceError> {
        if references.is_empty() {
            return Ok(());
        }
        let cids: Vec<Cid> = references.iter().map(|reference| reference.cid).collect();
        let stored = blobs::by_cids(&*self.core.db, did, &cids).await?;
        for reference in references {
            let blob = stored
                .iter()
                .find(|blob| blob.cid == reference.cid && blob.takedown_ref.is_none())
                .ok_or(ReferenceError::NotFound(reference.cid))?;
            if blob.unreferenced_since.is_none() {
                continue;
            }
            if blob.mime_type != reference.mime_type {
                let (expected, found) = (blob.mime_type.clone(), reference.mime_type.clone());
                return Err(ReferenceError::MimeType { expected, found });
            }
            if blob.size != reference.size {
                return Err(ReferenceError::Size { expected: blob.size, found: reference.size });
            }
        }
        Ok(())
    }
}

enum Form {
    Typed(BlobRef),
    Legacy { link: Link, mime_type: String },
}

/// Shows every reference to `seen`, whose refusal ends the visit. The decoder bounds how deep a record is.
fn visit(map: &Map, seen: &mut impl FnMut(Form) -> Result<(), ReferenceError>) -> Result<(), ReferenceError> {
    if let Some(form) = form_of(map) {
        return seen(form);
    }
    map.iter().try_for_each(|(_, value)| visit_value(value, seen))
}

fn visit_value(value: &Value, seen: &mut impl FnMut(Form) -> Result<(), ReferenceError>) -> Result<(), ReferenceError> {
    match value {
        Value::Map(map) => visit(map, seen),
        Value::Array(elements) => elements.iter().try_for_each(|element| visit_value(element, seen)),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Text(_) | Value::Bytes(_) | Value::Link(_) => Ok(()),
    }
}

fn form_of(map: &Map) -> Option<Form> {
    let text = |key| map.get(key).and_then(Value::as_text);
    if text("$type") == Some("blob") {
        let cid = map.get("ref").and_then(Value::as_cid).filter(|cid| cid.codec() == Codec::Raw)?;
        let size = map.get("size").and_then(Value::as_integer).and_then(|size| u64::try_from(size).ok())?;
        return Some(Form::Typed(BlobRef { cid, mime_type: text("mimeType")?.to_owned(), size }));
    }
    let (cid, mime_type) = (text("cid")?, text("mimeType")?);
    if map.len() != 2 || mime_type.is_empty() {
        return None;
    }
    let link = Link::parse(cid).ok()?;
    Some(Form::Legacy { link, mime_type: mime_type.to_owned() })
}

#[cfg(test)]
mod tests {
    use allod_atproto::json;
    use serde_json::{Value as Json, json};

    use super::*;

    const RAW: &str = "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity";
    const OTHER: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";

    fn record(json: &Json) -> Map {
        json::to_map(json).unwrap()
    }

    fn blob(cid: &str) -> Json {
        json!({ "$type": "blob", "ref": { "$link": cid }, "mimeType": "image/png", "size": 5 })
    }

    #[test]
    fn found_at_any_depth() {
        let record = record(&json!({
            "$type": "app.bsky.feed.post",
            "text": "two",
            "embed": { "$type": "app.bsky.embed.images", "images": [{ "alt": "", "image": blob(RAW) }, { "image": blob(OTHER) }] },
            "deep": [[[{ "a": { "b": [blob(RAW)] } }]]],
        }));
        let found = references(&record).unwrap();
        let cids: Vec<String> = found.iter().map(|reference| reference.cid.to_string()).collect();
        assert_eq!(cids.iter().filter(|cid| *cid == RAW).count(), 2);
        assert_eq!((cids.iter().filter(|cid| *cid == OTHER).count(), cids.len()), (1, 3));
        assert!(found.iter().all(|reference| reference.mime_type == "image/png" && reference.size == 5));
        assert_eq!(referenced_cids(&record).len(), 2);
    }

    #[test]
    fn the_old_form_is_refused_by_name_but_counts_in_old_records() {
        let old = record(&json!({ "$type": "a.b.c", "avatar": [{ "cid": RAW, "mimeType": "image/png" }] }));
        let error = references(&old).unwrap_err();
        assert_eq!(error.to_string(), format!("Legacy blobs are not allowed ({RAW})"));
        assert_eq!(referenced_cids(&old), [Cid::parse(RAW).unwrap()]);
    }

    #[test]
    fn what_only_looks_alike_is_none() {
        let link = json!({ "$link": RAW });
        let alike = record(&json!({
            "$type": "a.b.c",
            "link": link,
            "three": { "cid": RAW, "mimeType": "image/png", "size": 5 },
            "no cid": { "cid": "cid", "mimeType": "image/png" },
            "no type": { "cid": RAW, "mimeType": "" },
            "untyped": { "ref": link, "mimeType": "image/png", "size": 5 },
        }));
        assert_eq!(references(&alike).unwrap(), []);
        assert_eq!(referenced_cids(&alike), []);
    }

    #[test]
    fn a_record_from_elsewhere_may_hold_anything() {
        let odd = |entries: Vec<(&str, Value)>| {
            let blob = Map::from_entries(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect());
            [("image".to_owned(), Value::Map(blob.unwrap()))].into_iter().collect::<Map>()
        };
        let cid = || Value::from(Cid::for_cbor(b""));
        let no_link = odd(vec![("$type", "blob".into()), ("mimeType", "a/b".into()), ("size", 1.into())]);
        let of_data =
            odd(vec![("$type", "blob".into()), ("ref", cid()), ("mimeType", "a/b".into()), ("size", 1.into())]);
        for record in [no_link, of_data] {
            assert_eq!(references(&record).unwrap(), []);
            assert_eq!(referenced_cids(&record), []);
        }
    }
}
