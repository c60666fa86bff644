//! DID documents, did:plc operations and logs, service tokens.

use allod_atproto::{
    Did,
    crypto::{Curve, SigningKey},
    did_doc::DidDocument,
    json::{Limits, parse},
    plc::Operation,
    service_auth::{self, ServiceToken},
};
use allod_plc::{client, rules::verify_audit_log};
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value as Json;

const DID: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
const NOW_SECS: u64 = 1_767_225_600;

/// A DID document, asked of all that anybody asks of it.
pub(crate) fn did_document(data: &[u8]) {
    let did = Did::parse(DID).unwrap();
    let Ok(document) = DidDocument::parse(data, &did) else { return };
    assert_eq!(document.id(), &did);
    let told = (document.handle(), document.signing_key(), document.pds_endpoint().map(str::to_owned));
    let _ = (document.service("bsky_fg", None), document.key("atproto_label"));
    if let Some(endpoint) = document.pds_endpoint() {
        // Whether a label is sound punycode is for whoever connects.
        if !endpoint.to_ascii_lowercase().contains("xn--") {
            let url = url::Url::parse(endpoint).expect("an endpoint that is believed is a URL");
            assert!(matches!(url.scheme(), "http" | "https") && url.host().is_some() && url.query().is_none());
        }
    }
    let text = document.json().to_string();
    let Ok(again) = DidDocument::parse(text.as_bytes(), &did) else {
        // Numbers and escapes may take more room when they are written out.
        assert!(text.len() > data.len(), "{text}");
        return;
    };
    assert_eq!((again.handle(), again.signing_key(), again.pds_endpoint().map(str::to_owned)), told);
    assert_eq!(again, document);
}

/// A directory's answers: an operation, or an audit log.
pub(crate) fn plc_operation(data: &[u8]) {
    let Ok(json) = parse(data, &Limits::bytes(client::AUDIT_LOG_BYTES_MAX)) else { return };
    if let Ok(operation) = Operation::parse(&json) {
        check_operation(&operation, &json);
    }
    if let Ok(log) = client::read_audit_log(&json) {
        let did = log.first().map_or_else(|| Did::parse(DID).unwrap(), |entry| entry.did.clone());
        let _ = verify_audit_log(&did, &log);
    }
}

fn check_operation(operation: &Operation, json: &Json) {
    assert_eq!(&operation.to_json(), json, "an operation is nothing but its fields");
    assert_eq!(&Operation::parse_text(&json.to_string()).unwrap(), operation);
    assert_eq!(operation.prev().is_none(), operation.did().is_ok(), "the first operation, and no other, names a DID");
    let _ = (operation.cid(), operation.check_new(), operation.unsigned_bytes());
    let Some(data) = operation.data() else { return };
    let did = operation.did().unwrap_or_else(|_| Did::parse(DID).unwrap());
    let document = data.document(&did);
    assert_eq!(DidDocument::from_json(document.json().clone(), &did).as_ref(), Ok(&document));
    let keys: Vec<_> = data.rotation_keys.iter().map(|key| key.as_str().to_owned()).collect();
    assert!(keys.len() <= allod_atproto::plc::ROTATION_KEYS_MAX);
}

/// A token between services: the bytes as they are, and as a payload that the issuer did sign.
pub(crate) fn service_token(data: &[u8]) {
    let key = SigningKey::from_bytes(Curve::K256, &[5; 32]).unwrap();
    if let Ok(token) = std::str::from_utf8(data) {
        check_token(token, &key);
    }
    let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let signed = format!("{}.{}", encode(br#"{"typ":"JWT","alg":"ES256K"}"#), encode(data));
    check_token(&format!("{signed}.{}", encode(&key.sign(signed.as_bytes()))), &key);
}

fn check_token(token: &str, key: &SigningKey) {
    let Ok(unverified) = ServiceToken::decode(token) else { return };
    let claims = unverified.unverified_claims();
    let verdict = claims.check(NOW_SECS, std::slice::from_ref(&claims.aud), claims.lxm.as_ref());
    if verdict.is_ok() {
        assert!(claims.exp > NOW_SECS);
    }
    if let Ok(claims) = unverified.verify(&key.did_key()) {
        let again = ServiceToken::decode(&service_auth::encode(&claims, key)).unwrap();
        // The service that speaks for the issuer is no claim of the account's own.
        assert_eq!(again.unverified_claims(), &claims);
        assert_eq!(again.verify(&key.did_key()), Ok(claims));
    }
}
