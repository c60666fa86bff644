//! did:plc operations: `derived/plc_ops.json`, the audit logs and the removed operations of `did-method-plc`.

use allod_atproto::crypto::{DidKey, SigningKey};
use allod_atproto::plc::{Operation, PlcOperationError, UnsignedPlcOperation, UnsignedTombstone};
use allod_atproto::{Cid, Did, json};
use serde_json::Value;

use crate::vectors;

const AUDIT_LOGS: &str = "did-method-plc/interop_tests/audit_log";

#[test]
fn made_operations() {
    let cases = vectors::cases("derived/plc_ops.json", "cases");
    for case in &cases {
        let name = vectors::str(case, "name");
        let operation = Operation::parse(&case["op"]).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(operation.cid().to_string(), vectors::str(case, "cid"), "{name}");
        assert_eq!(operation.to_json(), case["op"], "{name}");
        let signer = DidKey::parse(vectors::str(case, "signer")).unwrap();
        assert_eq!(operation.verify_signature(std::slice::from_ref(&signer)), Ok(0), "{name}");
        let other = DidKey::parse("did:key:zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF").unwrap();
        assert_eq!(operation.verify_signature(&[other.clone(), signer]), Ok(1), "{name}");
        assert_eq!(operation.verify_signature(&[other]), Err(PlcOperationError::InvalidSignature), "{name}");
        match operation.prev() {
            None => assert_eq!(operation.did().unwrap(), vectors::str(case, "did"), "{name}"),
            Some(_) => assert_eq!(operation.did(), Err(PlcOperationError::NotGenesis), "{name}"),
        }
        if case["signed_cbor_hex"].is_string() {
            assert_eq!(operation.signed_bytes(), vectors::hex(case, "signed_cbor_hex"), "{name}");
            assert_eq!(operation.unsigned_bytes(), vectors::hex(case, "unsigned_cbor_hex"), "{name}");
        }
        check_resigning(name, &operation);
    }
}

/// Signing again gives an operation that the same key verifies, over the same bytes.
fn check_resigning(name: &str, operation: &Operation) {
    let key = SigningKey::from_bytes(allod_atproto::crypto::Curve::K256, &[7; 32]).unwrap();
    let again = match operation {
        Operation::Plc(plc) => UnsignedPlcOperation::from_data(plc.data(), plc.prev).sign(&key),
        Operation::Tombstone(tombstone) => UnsignedTombstone { prev: tombstone.prev }.sign(&key),
        Operation::LegacyCreate(_) => return,
    };
    assert_eq!(again.unsigned_bytes(), operation.unsigned_bytes(), "{name}");
    assert_eq!(again.verify_signature(&[key.did_key()]), Ok(0), "{name}");
    assert_eq!(Operation::parse(&again.to_json()), Ok(again), "{name}");
}

#[test]
fn legacy_creates_are_read_in_their_own_form() {
    let log = vectors::cases(&format!("{AUDIT_LOGS}/valid/log_legacy_dholms.json"), "");
    let first = Operation::parse(&log[0]["operation"]).unwrap();
    assert_eq!(first.did().unwrap(), "did:plc:yk4dd2qkboz2yv6tpubpc6co");
    let data = first.data().unwrap();
    assert_eq!(data.rotation_keys[0].as_str(), log[0]["operation"]["recoveryKey"]);
    assert_eq!(data.rotation_keys[1].as_str(), log[0]["operation"]["signingKey"]);
    assert_eq!(data.also_known_as, ["at://dan.bsky.social"]);
    assert_eq!(data.services["atproto_pds"].endpoint, "https://bsky.social");
    assert_eq!(first.verify_signature(&data.rotation_keys), Ok(1));
    assert!(first.check_new().is_err(), "it is no longer made");
}

#[test]
fn operations_of_valid_logs() {
    for (name, log) in logs("valid") {
        for entry in &log {
            let operation = Operation::parse(&entry["operation"]).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(operation.cid(), Cid::parse(vectors::str(entry, "cid")).unwrap(), "{name}");
            assert_eq!(operation.to_json(), entry["operation"], "{name}");
        }
        let did = Operation::parse(&log[0]["operation"]).unwrap().did().unwrap();
        assert_eq!(did, vectors::str(&log[0], "did"), "{name}");
    }
}

#[test]
fn signatures_of_invalid_logs() {
    let mut refused = 0;
    for (name, log) in logs("invalid").into_iter().filter(|(name, _)| name.starts_with("log_invalid_sig_")) {
        let keys: Vec<DidKey> = log[0]["operation"]["rotationKeys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| DidKey::parse(key.as_str().unwrap()).unwrap())
            .collect();
        let verified = Operation::parse(&log[0]["operation"]).and_then(|op| op.verify_signature(&keys));
        assert!(verified.is_err(), "{name}");
        refused += 1;
    }
    assert_eq!(refused, 6);
}

#[test]
fn operations_removed_from_the_directory() {
    let text = vectors::text("did-method-plc/invalidated-op-log.txt");
    let read = |text: &str| json::parse(text.as_bytes(), &json::Limits::OWN);
    let removed: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("- "))
        // One line lacks its last brace.
        .map(|line| read(line).or_else(|_| read(&format!("{line}}}"))).unwrap())
        .collect();
    assert!(removed.len() > 15, "{}", removed.len());
    let mut high_s = 0;
    for json in &removed {
        match Operation::parse(json) {
            // They were removed for identifiers of another length: what they make has 24 digits here.
            Ok(operation) if operation.prev().is_none() => {
                assert!(operation.did().unwrap().is_plc());
                let (keys, bytes) = (operation.data().unwrap().rotation_keys, operation.unsigned_bytes());
                let sig = data_encoding::BASE64URL_NOPAD.decode(vectors::str(json, "sig").as_bytes()).unwrap();
                let is_signed = keys.iter().any(|key| key.verify_allowing_high_s(&bytes, &sig).is_ok());
                assert!(is_signed, "{json}");
                high_s += usize::from(operation.verify_signature(&keys).is_err());
            }
            Ok(operation) => assert!(operation.did().is_err()),
            Err(error) => assert!(json.get("vanity").is_some(), "{error}: {json}"),
        }
    }
    assert!(high_s > 0, "some have s in the upper half, which is refused");
}

#[test]
fn documents_are_those_of_the_directory() {
    let expected = vectors::json("indigo/atproto/identity/testdata/did_plc_doc.json");
    let did = Did::parse(vectors::str(&expected, "id")).unwrap();
    let operation = serde_json::json!({
        "type": "plc_operation",
        "rotationKeys": ["did:key:zQ3shhCGUqDKjStzuDxPkTxN6ujddP4RkEKJJouJGRRkaLGbg"],
        "verificationMethods": {"atproto": "did:key:zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF"},
        "alsoKnownAs": ["at://atproto.com"],
        "services": {"atproto_pds": {"type": "AtprotoPersonalDataServer", "endpoint": "https://bsky.social"}},
        "prev": null,
        "sig": "A".repeat(86),
    });
    let data = Operation::parse(&operation).unwrap().data().unwrap();
    assert_eq!(*data.document(&did).json(), expected);
}

#[test]
fn everything_but_an_operation_is_refused() {
    let sound = vectors::cases("derived/plc_ops.json", "cases")[0]["op"].clone();
    let cid = "bafyreihw2vavy35pgnmvjv3zardxzpqaiojflzpfyyawrhwdtzwnyx4iri";
    let changes: &[(&str, Value)] = &[
        ("type", "plc_operatio".into()),
        ("type", Value::Null),
        ("extra", 1.into()),
        ("prev", "".into()),
        ("prev", cid.to_uppercase().into()),
        ("prev", cid.replace("bafyrei", "bafkrei").into()),
        ("prev", 7.into()),
        ("rotationKeys", "did:key:z".into()),
        ("rotationKeys", vec!["did:key:zQ3sh"].into()),
        ("rotationKeys", vec![sound["rotationKeys"][0].clone(); 11].into()),
        ("alsoKnownAs", vec!["at://a.test"; 11].into()),
        ("alsoKnownAs", vec![1].into()),
        ("alsoKnownAs", vec!["x".repeat(8000)].into()),
        ("verificationMethods", serde_json::json!({"atproto": "did:key:"})),
        ("verificationMethods", serde_json::json!({"atproto": "did:web:a.test"})),
        ("verificationMethods", serde_json::json!([])),
        ("services", serde_json::json!({"a": {"type": "T"}})),
        ("services", serde_json::json!({"a": {"type": "T", "endpoint": "e", "more": 1}})),
        (
            "services",
            (0..11)
                .map(|i| (i.to_string(), serde_json::json!({"type": "T", "endpoint": "e"})))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        ),
        ("sig", "".into()),
        ("sig", format!("{}=", sound["sig"].as_str().unwrap()).into()),
        ("sig", format!("{}==", sound["sig"].as_str().unwrap()).into()),
        ("sig", sound["sig"].as_str().unwrap().replace('-', "+").into()),
    ];
    assert!(Operation::parse(&sound).is_ok_and(|operation| operation.check_new().is_ok()));
    for (field, value) in changes {
        let mut json = sound.clone();
        json[*field] = value.clone();
        assert!(Operation::parse(&json).is_err(), "{field}: {value}");
    }
    for field in ["type", "rotationKeys", "alsoKnownAs", "verificationMethods", "services", "prev", "sig"] {
        let mut json = sound.clone();
        json.as_object_mut().unwrap().remove(field);
        assert!(Operation::parse(&json).is_err(), "without {field}");
    }
    for json in [Value::Null, serde_json::json!([]), "text".into()] {
        assert!(Operation::parse(&json).is_err());
    }
}

#[test]
fn new_operations_keep_to_the_stricter_limits() {
    let sound = vectors::cases("derived/plc_ops.json", "cases")[0]["op"].clone();
    let key = "did:key:zQ3shjyJXUaRJC2GC43mX8aPrUhoTdoiongXhZjsdTzPKYZUM";
    let keys: Vec<String> = (1..=6)
        .map(|n| SigningKey::from_bytes(allod_atproto::crypto::Curve::K256, &[n; 32]).unwrap().did_key().to_string())
        .collect();
    let changes: &[(&str, Value)] = &[
        ("rotationKeys", Value::Array(Vec::new())),
        ("rotationKeys", vec![key, key].into()),
        ("rotationKeys", keys.clone().into()),
        ("alsoKnownAs", vec!["at://a.test", "at://a.test"].into()),
        ("alsoKnownAs", vec!["a".repeat(259)].into()),
        ("verificationMethods", serde_json::json!({ "a".repeat(33): key })),
        ("verificationMethods", serde_json::json!({ "a": format!("did:key:z{}", "2".repeat(248)) })),
        ("services", serde_json::json!({ "a".repeat(33): {"type": "T", "endpoint": "e"} })),
        ("services", serde_json::json!({ "a": {"type": "T".repeat(257), "endpoint": "e"} })),
        ("services", serde_json::json!({ "a": {"type": "T", "endpoint": "e".repeat(513)} })),
    ];
    let mut large = sound.clone();
    large["services"] = (0..10)
        .map(|n| (n.to_string(), serde_json::json!({"type": "T", "endpoint": "e".repeat(400)})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let operation = Operation::parse(&large).unwrap();
    assert!(matches!(operation.check_new(), Err(PlcOperationError::TooLarge { bytes_max: 4000, .. })));
    for (field, value) in changes {
        let mut json = sound.clone();
        json[*field] = value.clone();
        let operation = Operation::parse(&json).unwrap_or_else(|error| panic!("{field}: {value}: {error}"));
        assert!(operation.check_new().is_err(), "{field}: {value}");
    }
    let mut five = sound;
    five["rotationKeys"] = keys[..5].to_vec().into();
    five["verificationMethods"] =
        serde_json::json!({ "ed": "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK" });
    assert_eq!(Operation::parse(&five).unwrap().check_new(), Ok(()));
}

fn logs(folder: &str) -> Vec<(String, Vec<Value>)> {
    let files = std::fs::read_dir(vectors::path(&format!("{AUDIT_LOGS}/{folder}"))).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let logs: Vec<_> =
        names.map(|name| (name.clone(), vectors::cases(&format!("{AUDIT_LOGS}/{folder}/{name}"), ""))).collect();
    assert_eq!(logs.len(), 10);
    logs
}
