//! The formats of strings.
//!
//! Spec: <https://atproto.com/specs/lexicon#string-formats>

use allod_atproto::cid::Link;
use allod_atproto::{AtIdentifier, AtUri, Datetime, Did, Handle, Language, Nsid, RecordKey, Tid, Uri};

/// A format that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    AtIdentifier,
    AtUri,
    Cid,
    Datetime,
    Did,
    Handle,
    Language,
    Nsid,
    RecordKey,
    Tid,
    Uri,
}

impl Format {
    /// Finds the format of a name in a lexicon. An unknown one is `None`, and refuses nothing.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "at-identifier" => Self::AtIdentifier,
            "at-uri" => Self::AtUri,
            "cid" => Self::Cid,
            "datetime" => Self::Datetime,
            "did" => Self::Did,
            "handle" => Self::Handle,
            "language" => Self::Language,
            "nsid" => Self::Nsid,
            "record-key" => Self::RecordKey,
            "tid" => Self::Tid,
            "uri" => Self::Uri,
            _ => return None,
        })
    }

    /// Says whether a text has the format.
    pub(super) fn fits(self, text: &str) -> bool {
        match self {
            Self::AtIdentifier => AtIdentifier::is_valid(text),
            Self::AtUri => AtUri::is_valid(text),
            Self::Cid => is_cid(text),
            Self::Datetime => Datetime::is_valid(text),
            Self::Did => Did::is_valid(text),
            Self::Handle => Handle::is_valid(text),
            Self::Language => Language::parse(text).is_ok_and(|language| language.has_distinct_subtags()),
            Self::Nsid => Nsid::is_valid(text),
            Self::RecordKey => RecordKey::is_valid(text),
            Self::Tid => Tid::parse(text).is_ok(),
            Self::Uri => Uri::is_valid(text),
        }
    }

    /// Names the format as messages do.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::AtIdentifier => "AT identifier",
            Self::AtUri => "at-uri",
            Self::Cid => "CID string",
            Self::Datetime => "datetime",
            Self::Did => "DID",
            Self::Handle => "handle",
            Self::Language => "language",
            Self::Nsid => "NSID",
            Self::RecordKey => "record key",
            Self::Tid => "TID string",
            Self::Uri => "uri",
        }
    }
}

/// Tells whether a text is a CID of version 1 in lower-case base32, the one form that readers compare.
fn is_cid(text: &str) -> bool {
    text.starts_with('b') && Link::parse(text).is_ok()
}
