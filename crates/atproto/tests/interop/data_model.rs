//! `atproto-interop-tests/data-model`, `indigo/atproto/atdata` and CBOR from `derived`.

use allod_atproto::{Cid, cbor, json};

use crate::vectors;

const FOLDERS: [&str; 2] = ["atproto-interop-tests/data-model", "indigo/atproto/atdata/testdata"];

#[test]
fn fixtures() {
    for folder in FOLDERS {
        for case in vectors::cases(&format!("{folder}/data-model-fixtures.json"), "") {
            let value = json::to_value(&case["json"]).unwrap();
            let bytes = cbor::encode(&value);
            assert_eq!(bytes, vectors::base64(&case, "cbor_base64"));
            assert_eq!(Cid::for_cbor(&bytes).to_string(), vectors::str(&case, "cid"));
            assert_eq!(cbor::decode(&bytes).unwrap(), value);
            assert_eq!(json::from_value(&value), case["json"]);
            assert_eq!(json::to_cbor(&case["json"]).as_ref(), Ok(&bytes));
            assert_eq!(json_text(&bytes), json::from_value(&value).to_string());
        }
    }
}

#[test]
fn valid() {
    for folder in FOLDERS {
        for case in vectors::cases(&format!("{folder}/data-model-valid.json"), "") {
            let map = json::to_map(&case["json"]).unwrap_or_else(|error| panic!("{}: {error}", case["note"]));
            let bytes = cbor::encode(&map.clone().into());
            assert_eq!(cbor::decode(&bytes), Ok(map.into()));
            assert_eq!(json::to_cbor(&case["json"]), Ok(bytes));
        }
    }
}

#[test]
fn invalid() {
    for folder in FOLDERS {
        for case in vectors::cases(&format!("{folder}/data-model-invalid.json"), "") {
            assert!(json::to_map(&case["json"]).is_err(), "accepted: {}", case["note"]);
            assert_eq!(json::to_cbor(&case["json"]).err(), json::to_map(&case["json"]).err(), "{}", case["note"]);
        }
    }
}

#[test]
fn derived_encodings() {
    for case in vectors::cases("derived/dag_cbor_encode.json", "cases") {
        let value = json::to_value(&case["json"]).unwrap_or_else(|error| panic!("{}: {error}", case["json"]));
        let bytes = cbor::encode(&value);
        assert_eq!(bytes, vectors::hex(&case, "cbor_hex"), "{}", case["json"]);
        assert_eq!(Cid::for_cbor(&bytes).to_string(), vectors::str(&case, "cid"));
        assert_eq!(cbor::decode(&bytes).unwrap(), value);
        assert_eq!(json::from_value(&value), case["json"]);
    }
}

#[test]
fn derived_refusals() {
    for case in vectors::cases("derived/dag_cbor_reject.json", "cases") {
        let bytes = vectors::hex(&case, "cbor_hex");
        assert!(cbor::decode(&bytes).is_err(), "accepted: {}", case["why"]);
        assert_eq!(json::write_json(&bytes, &mut Vec::new()).err(), cbor::decode(&bytes).err(), "{}", case["why"]);
        let mut decoder = cbor::Decoder::new(&bytes);
        assert!(decoder.skip().is_err() || decoder.end().is_err(), "skipped: {}", case["why"]);
    }
}

#[test]
fn records_found_in_the_wild() {
    for name in ["feedpost_record.cbor", "post_richtext_link.cbor"] {
        let bytes = std::fs::read(vectors::path(&format!("indigo/testing/testdata/{name}"))).unwrap();
        let value = cbor::decode(&bytes).unwrap();
        assert_eq!(value.get("$type").unwrap().as_text(), Some("app.bsky.feed.post"));
        assert_eq!(cbor::encode(&value), bytes);
        assert_eq!(json_text(&bytes), json::from_value(&value).to_string());
        assert_eq!(json::to_cbor(&json::from_value(&value)), Ok(bytes));
        assert_eq!(json::to_value(&json::from_value(&value)), Ok(value));
    }
}

fn json_text(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    json::write_json(bytes, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}
