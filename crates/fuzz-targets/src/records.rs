//! JSON, records, CBOR and lexicons.

use std::sync::LazyLock;

use allod_atproto::{
    cbor,
    json::{self, Limits, from_value, parse, to_cbor, to_map, to_value, write_json},
};
use allod_lexicon::{
    MethodInfo,
    com_atproto::repo::{apply_writes, create_record, put_record},
    schema::{Document, SchemaSet},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The built-in lexicons, which are parsed once and not for each input.
pub(crate) fn schemas() -> &'static SchemaSet {
    static SCHEMAS: LazyLock<SchemaSet> = LazyLock::new(SchemaSet::built_in);
    &SCHEMAS
}

const LIMITS: Limits = Limits::bytes(1_000_000);

/// The parser alone: what it takes it takes again when it is written, and it takes what `serde_json`'s own takes, but for
/// its limits.
pub(crate) fn json(data: &[u8]) {
    #[expect(clippy::disallowed_methods, reason = "the other parser is what this one is held against")]
    let theirs = serde_json::from_slice::<Value>(data);
    match (parse(data, &LIMITS), theirs) {
        (Ok(ours), Ok(theirs)) => {
            let written = ours.to_string();
            assert!(written.len() <= data.len() * 20, "no text grows without bounds");
            assert_eq!(parse(written.as_bytes(), &Limits::bytes(usize::MAX)).unwrap(), ours);
            assert_eq!(to_value(&ours), to_value(&theirs), "what is data of the protocol is not the parser's to say");
            assert!(parse(data, &Limits::token(1_000_000)).is_ok_and(|value| value == ours) || has_duplicates(data));
        }
        (Err(_), Err(_)) => {}
        (Ok(ours), Err(error)) => panic!("{error}, but {ours}"),
        (Err(error), Ok(_)) => assert!(!matches!(error, json::ParseError::Syntax(_)), "{error}"),
    }
}

fn has_duplicates(data: &[u8]) -> bool {
    matches!(parse(data, &Limits::token(1_000_000)), Err(json::ParseError::DuplicateKey))
}

/// A record: checked against its lexicon, if it has one, and carried to CBOR and back.
pub(crate) fn record(data: &[u8]) {
    let Ok(value) = parse(data, &LIMITS) else { return };
    if let Some(nsid) = value.get("$type").and_then(Value::as_str) {
        let _ = schemas().validate_record(nsid, &value);
    }
    carried(&value);
}

/// The two ways to CBOR agree, and so do the two ways back.
fn carried(value: &Value) {
    let direct = to_cbor(value);
    let by_value = to_map(value).map(|map| cbor::encode(&map.into()));
    assert_eq!(direct, by_value);
    let Ok(bytes) = direct else { return };
    let decoded = cbor::decode(&bytes).expect("what is written is read");
    assert_eq!(cbor::encode(&decoded), bytes);
    let back = from_value(&decoded);
    assert_eq!(to_cbor(&back).as_ref(), Ok(&bytes), "a record is the same when it comes back");
    let mut text = Vec::new();
    write_json(&bytes, &mut text).expect("what is stored can be shown");
    assert_eq!(parse(&text, &Limits::bytes(usize::MAX)).unwrap(), back);
}

/// A request's body, for each method that takes JSON: what the schema takes, the type takes.
pub(crate) fn request_body(data: &[u8]) {
    let Ok(value) = parse(data, &LIMITS) else { return };
    for method in MethodInfo::all().iter().filter(|method| method.input_encoding == Some("application/json")) {
        let _ = schemas().validate_input(method.nsid, &value);
    }
    typed::<create_record::Input>("com.atproto.repo.createRecord", &value);
    typed::<put_record::Input>("com.atproto.repo.putRecord", &value);
    typed::<apply_writes::Input>("com.atproto.repo.applyWrites", &value);
    if let Some(record) = value.get("record") {
        carried(record);
    }
}

fn typed<T: DeserializeOwned>(nsid: &str, value: &Value) {
    if schemas().validate_input(nsid, value).is_ok() {
        let complaint = serde_json::from_value::<T>(value.clone()).err().map(|error| error.to_string());
        // A field that is a CID here may name any kind of content in the lexicon.
        let is_about_a_cid = complaint.as_ref().is_some_and(|complaint| complaint.starts_with("Invalid CID"));
        assert!(complaint.is_none() || is_about_a_cid, "{nsid}: {complaint:?}");
    }
}

/// CBOR of any origin: there is one form of each value, and the ways to JSON agree.
pub(crate) fn cbor(data: &[u8]) {
    let mut text = Vec::new();
    let written = write_json(data, &mut text);
    match cbor::decode(data) {
        Ok(value) => {
            assert_eq!(cbor::encode(&value), data, "there is one form of each value");
            let shown = from_value(&value);
            written.expect("both ways read the same");
            assert_eq!(String::from_utf8(text).unwrap(), serde_json::to_string(&shown).unwrap());
        }
        Err(error) => assert!(written.is_err(), "{error}, but shown"),
    }
}

/// A lexicon of any origin, and a value that is held against it: two JSON texts with a zero byte in between.
pub(crate) fn lexicon_document(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (lexicon, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or(b"{}"));
    let Ok(lexicon) = parse(lexicon, &LIMITS) else { return };
    let Ok(document) = Document::parse(&lexicon) else { return };
    let Ok(value) = parse(value, &LIMITS) else { return };
    let nsid = document.id().to_string();
    let set = SchemaSet::new([document]);
    let _ = set.record_key(&nsid);
    let _ = set.validate_record(&nsid, &value);
    let _ = set.validate_input(&nsid, &value);
    let _ = set.validate_output(&nsid, &value);
    let pairs = value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.to_string()));
    let pairs: Vec<_> = pairs.take(100).collect();
    if let Ok(params) = set.validate_params(&nsid, &pairs) {
        assert!(params.is_object());
    }
}
