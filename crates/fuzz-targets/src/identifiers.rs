//! Identifiers and other strings with a format.

use std::fmt::Debug;

use allod_atproto::{
    AtIdentifier, AtUri, Cid, CidString, Datetime, Did, Handle, Language, Nsid, RecordKey, SyntaxError, Tid, Uri,
    cid::Link,
};

/// All formats on one text.
pub(crate) fn identifiers(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    kept(text, AtUri::parse(text), AtUri::is_valid(text));
    kept(text, CidString::parse(text), CidString::is_valid(text));
    kept(text, Did::parse(text), Did::is_valid(text));
    kept(text, Language::parse(text), Language::is_valid(text));
    kept(text, Nsid::parse(text), Nsid::is_valid(text));
    kept(text, RecordKey::parse(text), RecordKey::is_valid(text));
    kept(text, Uri::parse(text), Uri::is_valid(text));
    kept(text, Datetime::parse(text), Datetime::is_valid(text));
    assert_eq!(AtIdentifier::is_valid(text), Did::is_valid(text) || Handle::is_valid(text));

    if let Ok(handle) = Handle::parse(text) {
        assert_eq!(handle.as_str(), text.to_ascii_lowercase());
        assert_eq!(Handle::parse(handle.as_str()).as_ref(), Ok(&handle));
        assert!(AtUri::is_valid(&format!("at://{handle}")));
    }
    if let Ok(tid) = Tid::parse(text) {
        assert_eq!((tid.as_str(), Tid::from_u64(tid.to_u64())), (text, tid));
        assert!(RecordKey::is_valid(text));
        assert!(Tid::next(Some(&tid), 0, 0) >= tid);
    }
    if let Ok(did) = Did::parse(text) {
        let _ = (did.method(), did.identifier(), did.is_plc(), did.web_host());
        assert!(AtUri::is_valid(&format!("at://{text}")));
    }
    if let Ok(uri) = AtUri::parse(text) {
        assert!(Uri::is_valid(text), "every at-uri is a URI");
        assert!(AtUri::is_valid(&format!("at://{}", uri.authority().as_str())));
        assert_eq!(uri.record_key().is_some(), text.matches('/').count() == 4);
        assert_eq!(uri.collection().is_some(), text.matches('/').count() >= 3);
    }
    if let Ok(time) = Datetime::parse(text) {
        let micros = time.unix_micros();
        if let Ok(micros) = u64::try_from(micros) {
            assert_eq!(Datetime::from_unix_micros(micros).unix_micros().cast_unsigned() / 1000, micros / 1000);
        }
    }
    if let Ok(cid) = Cid::parse(text) {
        assert_eq!(cid.to_string(), text);
        assert_eq!(Cid::from_bytes(&cid.to_bytes()), Ok(cid));
        assert_eq!(Link::parse(text).unwrap().cid(), Some(cid));
        assert!(CidString::is_valid(text));
    }
    if let Ok(link) = Link::parse(text) {
        assert_eq!(Link::from_bytes(&link.to_bytes()).as_ref(), Ok(&link));
        assert_eq!(Link::parse(&link.to_string()), Ok(link));
    }
}

fn kept<T: AsRef<str> + Debug>(text: &str, parsed: Result<T, SyntaxError>, is_valid: bool) {
    assert_eq!(parsed.is_ok(), is_valid, "{text:?}");
    if let Ok(parsed) = parsed {
        assert_eq!(parsed.as_ref(), text);
    }
}
