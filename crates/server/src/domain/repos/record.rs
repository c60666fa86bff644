//! A record on its way in: its type, its lexicon, its encoding, what it refers to. Needs nothing but the record.

use allod_atproto::{
    Cid, Nsid, RecordKey, cbor,
    cid::Codec,
    json::{self, JsonError},
    repo::RECORD_BYTES_MAX,
};
use allod_lexicon::schema::{Invalid, SchemaSet};
use bytes::Bytes;
use serde_json::Value;

use crate::domain::blobs::references::{self, BlobRef, ReferenceError};

/// How a record is held against its lexicon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validate {
    /// It must have one, and fit.
    Required,
    /// If it has one that is known here, it must fit.
    IfKnown,
    /// Not at all.
    Off,
}

impl From<Option<bool>> for Validate {
    fn from(asked: Option<bool>) -> Self {
        match asked {
            Some(true) => Self::Required,
            Some(false) => Self::Off,
            None => Self::IfKnown,
        }
    }
}

/// What is known of a record that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValidationStatus {
    /// It fits its lexicon.
    Valid,
    /// Its lexicon is not known here.
    Unknown,
}

impl ValidationStatus {
    /// The protocol's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Unknown => "unknown",
        }
    }
}

/// A record that can be written.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The record, encoded as DAG-CBOR.
    pub block: Bytes,
    /// Its CID.
    pub cid: Cid,
    /// What was found out about it; nothing when nobody looked.
    pub status: Option<ValidationStatus>,
    /// The blobs it refers to.
    pub(super) blobs: Vec<BlobRef>,
    /// What it is about, if only one record of its kind may be about that.
    pub(super) subject: Option<String>,
}

/// Why a record is not taken.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is no object.
    #[error("Invalid record: must be an object")]
    NotAnObject,
    /// It says that it is of another type than its collection.
    #[error("Invalid $type: expected {expected}, got {found}")]
    Type {
        /// The collection.
        expected: Nsid,
        /// What it says.
        found: String,
    },
    /// It must fit its lexicon, which is not known here.
    #[error("Unknown lexicon type: {0}")]
    UnknownLexicon(Nsid),
    /// It does not fit its lexicon.
    #[error("Invalid {collection} record: {}", invalid.at(place))]
    Lexicon {
        /// The lexicon.
        collection: Nsid,
        /// What does not fit.
        invalid: Invalid,
        /// Where in the request the record is, such as `$.record`.
        place: String,
    },
    /// Its key is not one that its type takes.
    #[error("Invalid record key for {collection}: {expected} (got {:?}) at $", key.as_str())]
    Key {
        /// Its type.
        collection: Nsid,
        /// What is wrong with it: which key it takes, or of which form.
        expected: String,
        /// Its key.
        key: RecordKey,
    },
    /// It is not data of the protocol.
    #[error("Invalid record: {0}")]
    Data(#[from] JsonError),
    /// It is too large.
    #[error("Record too large: {bytes} bytes, maximum {RECORD_BYTES_MAX}")]
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// It refers to a blob in a way that is not taken.
    #[error(transparent)]
    Blobs(#[from] ReferenceError),
}

impl RecordError {
    /// Tells where the record is when it comes in one of several writes.
    #[must_use]
    pub fn in_write(mut self, index: usize) -> Self {
        if let Self::Lexicon { place, .. } = &mut self {
            *place = format!("$.writes[{index}].record");
        }
        self
    }
}

/// Checks a record against its lexicon, if `schemas` has it, and encodes it; it is to stand at `collection`/`key`.
pub fn prepare(
    schemas: &SchemaSet,
    collection: &Nsid,
    key: &RecordKey,
    mut record: Value,
    validate: Validate,
) -> Result<Prepared, RecordError> {
    let Value::Object(fields) = &mut record else { return Err(RecordError::NotAnObject) };
    match fields.get("$type") {
        None => drop(fields.insert("$type".to_owned(), Value::from(collection.as_str()))),
        Some(Value::String(found)) if found == collection.as_str() => {}
        Some(found) => {
            let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            return Err(RecordError::Type { expected: collection.clone(), found });
        }
    }
    let status = check_lexicon(schemas, collection, key, &record, validate)?;
    let block = json::to_cbor(&record)?;
    if block.len() > RECORD_BYTES_MAX {
        return Err(RecordError::TooLarge { bytes: block.len() });
    }
    let blobs =
        if contains(&block, BLOB_FIELD) { references::references(&json::to_map(&record)?)? } else { Vec::new() };
    Ok(Prepared {
        cid: Cid::for_cbor(&block),
        block: block.into(),
        status,
        blobs,
        subject: subject(collection.as_str(), &record),
    })
}

fn check_lexicon(
    schemas: &SchemaSet,
    collection: &Nsid,
    key: &RecordKey,
    record: &Value,
    validate: Validate,
) -> Result<Option<ValidationStatus>, RecordError> {
    if validate == Validate::Off {
        return Ok(None);
    }
    let Some(rule) = schemas.record_key(collection.as_str()) else {
        return if validate == Validate::Required {
            Err(RecordError::UnknownLexicon(collection.clone()))
        } else {
            Ok(Some(ValidationStatus::Unknown))
        };
    };
    if !rule.accepts(key) {
        let (collection, key) = (collection.clone(), key.clone());
        return Err(RecordError::Key { collection, expected: rule.complaint(), key });
    }
    schemas.validate_record(collection.as_str(), record).map_err(|invalid| RecordError::Lexicon {
        collection: collection.clone(),
        invalid,
        place: RECORD.to_owned(),
    })?;
    Ok(Some(ValidationStatus::Valid))
}

/// Where the record of a request is that has one.
const RECORD: &str = "$.record";

/// The name of a field that every reference to a blob has, so that most records need not be searched for one.
const BLOB_FIELD: &[u8] = b"mimeType";

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The collections of which one record is enough for each subject.
pub(super) const SINGLE_SUBJECT_COLLECTIONS: [&str; 4] =
    ["app.bsky.feed.like", "app.bsky.feed.repost", "app.bsky.graph.follow", "app.bsky.graph.block"];

/// What a record of such a collection is about: a record's URI or a DID.
fn subject(collection: &str, record: &Value) -> Option<String> {
    if !SINGLE_SUBJECT_COLLECTIONS.contains(&collection) {
        return None;
    }
    let subject = record.get("subject")?;
    let text = subject.get("uri").unwrap_or(subject).as_str()?;
    Some(text.to_owned())
}

/// What a record that was written elsewhere, and is valid DAG-CBOR, is about and which blobs it refers to.
pub(super) fn subject_and_blobs(collection: &str, block: &[u8]) -> (Option<String>, Vec<Cid>) {
    let may_have_subject = SINGLE_SUBJECT_COLLECTIONS.contains(&collection);
    if !may_have_subject && !contains(block, BLOB_FIELD) {
        return (None, Vec::new());
    }
    let Ok(cbor::Value::Map(record)) = cbor::decode(block) else { return (None, blobs_of_foreign(block)) };
    let subject = record.get("subject").filter(|_| may_have_subject);
    let subject = subject.and_then(|subject| subject.get("uri").unwrap_or(subject).as_text()).map(str::to_owned);
    (subject, references::referenced_cids(&record))
}

/// Whether a block is a record: an object of the data model.
pub(super) fn is_valid(block: &[u8]) -> bool {
    let mut input = cbor::Decoder::new(block);
    let is_map = input.kind().is_ok_and(|kind| kind == cbor::Kind::Map);
    is_map && input.skip().and_then(|_| input.end()).is_ok()
}

/// Whether a block is an object in DAG-CBOR, though perhaps none of the data model. Such records are carried as they are
/// where they come with an import: their repository's tree has them, and who signed it meant them.
pub(super) fn is_foreign(block: &[u8]) -> bool {
    let mut input = cbor::Decoder::new(block);
    let is_map = input.kind().is_ok_and(|kind| kind == cbor::Kind::Map);
    is_map && input.skip_foreign().and_then(|_| input.end()).is_ok()
}

/// The blobs that a record outside of the data model may refer to: everything it links to that could be one.
fn blobs_of_foreign(block: &[u8]) -> Vec<Cid> {
    let mut cids = cbor::Decoder::new(block).skip_foreign().unwrap_or_default();
    cids.retain(|cid| cid.codec() == Codec::Raw);
    cids.sort_unstable();
    cids.dedup();
    cids
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn prepared(collection: &str, key: &str, record: Value, validate: Validate) -> Result<Prepared, RecordError> {
        prepare(
            &SchemaSet::built_in(),
            &Nsid::parse(collection).unwrap(),
            &RecordKey::parse(key).unwrap(),
            record,
            validate,
        )
    }

    #[test]
    fn the_type_is_filled_or_checked() {
        let filled = prepared("com.example.a", "k", json!({"a": 1}), Validate::IfKnown).unwrap();
        let given = prepared("com.example.a", "k", json!({"a": 1, "$type": "com.example.a"}), Validate::Off).unwrap();
        assert_eq!(filled.cid, given.cid);
        assert_eq!((filled.status, given.status), (Some(ValidationStatus::Unknown), None));
        for (found, text) in [(json!("com.example.b"), "com.example.b"), (json!(7), "7"), (json!(null), "null")] {
            let error = prepared("com.example.a", "k", json!({"$type": found}), Validate::Off).unwrap_err();
            assert_eq!(error.to_string(), format!("Invalid $type: expected com.example.a, got {text}"));
        }
    }

    #[test]
    fn a_lexicon_may_be_required() {
        let error = prepared("com.example.a", "k", json!({}), Validate::Required).unwrap_err();
        assert_eq!(error.to_string(), "Unknown lexicon type: com.example.a");
    }

    #[test]
    fn numbers_and_sizes_are_bounded() {
        for number in [json!(1.5), json!(9_007_199_254_740_992_i64), json!(u64::MAX)] {
            assert!(matches!(
                prepared("com.example.a", "k", json!({"n": number}), Validate::Off),
                Err(RecordError::Data(_))
            ));
        }
        let large = json!({ "text": "x".repeat(RECORD_BYTES_MAX) });
        assert!(matches!(prepared("com.example.a", "k", large, Validate::Off), Err(RecordError::TooLarge { .. })));
        assert!(matches!(prepared("com.example.a", "k", json!([]), Validate::Off), Err(RecordError::NotAnObject)));
    }

    #[test]
    fn subjects_are_uris_and_dids() {
        let like = json!({"subject": {"uri": "at://did:plc:a/b/c", "cid": "x"}});
        let like = prepared("app.bsky.feed.like", "k", like, Validate::Off).unwrap();
        assert_eq!(like.subject.as_deref(), Some("at://did:plc:a/b/c"));
        let follow = prepared("app.bsky.graph.follow", "k", json!({"subject": "did:plc:a"}), Validate::Off).unwrap();
        assert_eq!(follow.subject.as_deref(), Some("did:plc:a"));
        for (collection, record) in [("app.bsky.feed.like", &like), ("app.bsky.graph.follow", &follow)] {
            assert_eq!(subject_and_blobs(collection, &record.block), (record.subject.clone(), Vec::new()));
            assert_eq!(subject_and_blobs("com.example.a", &record.block), (None, Vec::new()));
        }
        let post = prepared("app.bsky.feed.post", "k", json!({"subject": "did:plc:a"}), Validate::Off).unwrap();
        assert_eq!(post.subject, None);
    }
}
