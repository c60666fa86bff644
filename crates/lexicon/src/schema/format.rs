//! The formats of strings.
//!
//! Spec: <https://atproto.com/specs/lexicon#string-formats>

use allod_atproto::{AtIdentifier, AtUri, CidString, Datetime, Did, Handle, Language, Nsid, RecordKey, Tid, Uri};

/// Says whether a text has a format. An unknown format refuses nothing.
pub(super) fn fits(format: &str, text: &str) -> bool {
    match format {
        "at-identifier" => AtIdentifier::parse(text).is_ok(),
        "at-uri" => AtUri::parse(text).is_ok(),
        "cid" => CidString::parse(text).is_ok(),
        "datetime" => Datetime::parse(text).is_ok(),
        "did" => Did::parse(text).is_ok(),
        "handle" => Handle::parse(text).is_ok(),
        "language" => Language::parse(text).is_ok(),
        "nsid" => Nsid::parse(text).is_ok(),
        "record-key" => RecordKey::parse(text).is_ok(),
        "tid" => Tid::parse(text).is_ok(),
        "uri" => Uri::parse(text).is_ok(),
        _ => true,
    }
}

/// Names a format as messages do.
pub(super) fn name(format: &str) -> &str {
    match format {
        "at-identifier" => "AT identifier",
        "cid" => "CID string",
        "did" => "DID",
        "nsid" => "NSID",
        "record-key" => "record key",
        "tid" => "TID string",
        other => other,
    }
}
