//! `atproto-interop-tests/crypto`, and keys and signatures from `derived`.

use allod_atproto::Cid;
use allod_atproto::crypto::{Curve, DidKey, SignatureError, SigningKey};
use allod_atproto::{cbor, json};
use serde_json::Value;

use crate::vectors;

fn curve(case: &Value, key: &str) -> Curve {
    match vectors::str(case, key) {
        "ES256K" => Curve::K256,
        "ES256" => Curve::P256,
        other => panic!("unknown algorithm {other}"),
    }
}

fn signing_key(curve: Curve, bytes: &[u8]) -> SigningKey {
    SigningKey::from_bytes(curve, bytes.try_into().unwrap()).unwrap()
}

#[test]
fn signatures() {
    for case in vectors::cases("atproto-interop-tests/crypto/signature-fixtures.json", "") {
        let key = DidKey::parse(vectors::str(&case, "publicKeyDid")).unwrap();
        let curve = curve(&case, "algorithm");
        assert_eq!(key.curve(), curve);
        let legacy = DidKey::from_legacy_multibase(curve, vectors::str(&case, "publicKeyMultibase")).unwrap();
        assert_eq!(legacy, key);

        let (message, signature) = (vectors::base64(&case, "messageBase64"), vectors::base64(&case, "signatureBase64"));
        let expected = match case["tags"][0].as_str() {
            None => Ok(()),
            Some("high-s") => Err(SignatureError::HighS),
            Some("der-encoded") => Err(SignatureError::Malformed),
            Some(other) => panic!("unknown tag {other}"),
        };
        assert_eq!(case["validSignature"], expected.is_ok());
        assert_eq!(key.verify(&message, &signature), expected, "{case}");
        if expected == Err(SignatureError::HighS) {
            assert_eq!(key.verify_allowing_high_s(&message, &signature), Ok(()));
        }
    }
}

#[test]
fn did_keys_of_k256() {
    for case in vectors::cases("atproto-interop-tests/crypto/w3c_didkey_K256.json", "") {
        let key = signing_key(Curve::K256, &vectors::hex(&case, "privateKeyBytesHex"));
        assert_eq!(key.did_key().as_str(), vectors::str(&case, "publicDidKey"));
    }
}

#[test]
fn did_keys_of_p256() {
    for case in vectors::cases("atproto-interop-tests/crypto/w3c_didkey_P256.json", "") {
        let bytes = bs58::decode(vectors::str(&case, "privateKeyBytesBase58")).into_vec().unwrap();
        let key = signing_key(Curve::P256, &bytes);
        assert_eq!(key.did_key().as_str(), vectors::str(&case, "publicDidKey"));
    }
}

#[test]
fn derived_did_keys() {
    for case in vectors::cases("derived/did_keys.json", "keys") {
        let curve = curve(&case, "jwtAlg");
        let key = signing_key(curve, &vectors::hex(&case, "private_hex")).did_key();
        assert_eq!(key.as_str(), vectors::str(&case, "did_key"));
        assert_eq!(key.multibase(), vectors::str(&case, "multikey"));
        assert_eq!(DidKey::from_point(curve, &vectors::hex(&case, "compressed_public_hex")), Ok(key));
    }
}

#[test]
fn derived_commit_signatures() {
    let keys = vectors::cases("derived/did_keys.json", "keys");
    for case in vectors::cases("derived/commit_signatures.json", "cases") {
        let unsigned = vectors::hex(&case, "unsigned_cbor_hex");
        let mut commit = json::to_map(&case["unsigned_json"]).unwrap();
        assert_eq!(cbor::encode(&commit.clone().into()), unsigned);

        let key = DidKey::parse(vectors::str(&case, "did_key")).unwrap();
        assert_eq!(key.curve(), curve(&case, "jwtAlg"));
        let signature = vectors::hex(&case, "sig_hex");
        assert_eq!(key.verify(&unsigned, &signature), Ok(()));
        let high_s = vectors::hex(&case, "high_s_sig_hex_must_fail");
        assert_eq!(key.verify(&unsigned, &high_s), Err(SignatureError::HighS));

        let owner = keys.iter().find(|owner| owner["did_key"] == case["did_key"]).unwrap();
        let own = signing_key(key.curve(), &vectors::hex(owner, "private_hex")).sign(&unsigned);
        assert_eq!(own.as_slice(), signature, "signing is deterministic in both implementations");

        commit.insert("sig", cbor::Value::Bytes(signature));
        let signed = cbor::encode(&commit.into());
        assert_eq!(signed, vectors::hex(&case, "signed_cbor_hex"));
        assert_eq!(Cid::for_cbor(&signed).to_string(), vectors::str(&case, "commit_cid"));
    }
}

#[test]
fn derived_label_signature() {
    let case = vectors::json("derived/label_signature.json");
    let bytes = cbor::encode(&json::to_value(&case["label"]).unwrap());
    assert_eq!(bytes, vectors::hex(&case, "cbor_hex"));
    let key = DidKey::parse(vectors::str(&case, "key")).unwrap();
    assert_eq!(key.verify(&bytes, &vectors::hex(&case, "sig_hex")), Ok(()));
}
