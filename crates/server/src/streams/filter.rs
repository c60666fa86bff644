//! Which of the JSON messages a listener wants, as Jetstream's parameters say it.

use std::collections::HashSet;

use allod_atproto::{
    Did, Nsid,
    json::{self, Limits},
};
use serde::Deserialize;

use super::json::Item;
use allod_http::limits::WEBSOCKET_RECEIVED_BYTES_MAX;

/// How many collections a listener may name.
pub const WANTED_COLLECTIONS_MAX: usize = 100;
/// How many accounts a listener may name.
pub const WANTED_DIDS_MAX: usize = 10_000;

/// What a message of a listener's may have.
const UPDATE: Limits = Limits::bytes(WEBSOCKET_RECEIVED_BYTES_MAX);

/// What a listener wants. The default is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    collections: HashSet<String>,
    /// Beginnings of collections, up to and with the last dot.
    prefixes: Vec<String>,
    dids: HashSet<String>,
    /// Longer messages are left out, if set.
    bytes_max: Option<usize>,
}

/// What a listener asks for makes no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Too many collections are named.
    #[error("at most {WANTED_COLLECTIONS_MAX} wantedCollections can be named")]
    TooManyCollections,
    /// Something that is neither a collection nor the beginning of some.
    #[error("{0:?} is neither a collection nor a prefix like app.bsky.graph.*")]
    Collection(String),
    /// Too many accounts are named.
    #[error("at most {WANTED_DIDS_MAX} wantedDids can be named")]
    TooManyDids,
    /// Something that is no DID.
    #[error("{0:?} is not a DID")]
    Did(String),
    /// Something that is no message of a listener's.
    #[error("not a message this server knows: {0}")]
    Message(String),
}

/// What a listener sends to change its mind.
#[derive(Deserialize)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
enum Sent {
    OptionsUpdate(Options),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Options {
    wanted_collections: Option<Vec<String>>,
    wanted_dids: Option<Vec<String>>,
    max_message_size_bytes: Option<i64>,
}

impl Filter {
    /// Makes a filter; what names nothing lets everything through.
    pub fn new(collections: &[String], dids: &[String], bytes_max: i64) -> Result<Self, FilterError> {
        if collections.len() > WANTED_COLLECTIONS_MAX {
            return Err(FilterError::TooManyCollections);
        }
        if dids.len() > WANTED_DIDS_MAX {
            return Err(FilterError::TooManyDids);
        }
        let mut filter = Self { bytes_max: usize::try_from(bytes_max).ok().filter(|max| *max > 0), ..Self::default() };
        for collection in collections {
            if let Some(prefix) = collection.strip_suffix('*') {
                // A prefix ends with a whole segment: whatever follows must make a name of it.
                if !prefix.ends_with('.') || Nsid::parse(&format!("{prefix}a.a")).is_err() {
                    return Err(FilterError::Collection(collection.clone()));
                }
                filter.prefixes.push(prefix.to_owned());
            } else if Nsid::parse(collection).is_ok() {
                filter.collections.insert(collection.clone());
            } else {
                return Err(FilterError::Collection(collection.clone()));
            }
        }
        for did in dids {
            if Did::parse(did).is_err() {
                return Err(FilterError::Did(did.clone()));
            }
            filter.dids.insert(did.clone());
        }
        Ok(filter)
    }

    /// Reads what a listener sends to change its mind: an `options_update`.
    pub fn update(text: &[u8]) -> Result<Self, FilterError> {
        let Sent::OptionsUpdate(options) =
            json::read(text, &UPDATE).map_err(|error| FilterError::Message(error.to_string()))?;
        Self::new(
            &options.wanted_collections.unwrap_or_default(),
            &options.wanted_dids.unwrap_or_default(),
            options.max_message_size_bytes.unwrap_or(0),
        )
    }

    /// Whether the listener wants this message. Accounts and identities are told whatever collections are wanted.
    pub fn lets_through(&self, item: &Item) -> bool {
        let names_none = self.collections.is_empty() && self.prefixes.is_empty();
        let is_wanted = match &item.collection {
            Some(collection) if !names_none => {
                self.collections.contains(&**collection)
                    || self.prefixes.iter().any(|prefix| collection.starts_with(prefix.as_str()))
            }
            Some(_) | None => true,
        };
        is_wanted
            && (self.dids.is_empty() || self.dids.contains(&*item.did))
            && self.bytes_max.is_none_or(|max| item.json_bytes <= max)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn item(did: &str, collection: Option<&str>) -> Item {
        Item { seq: 1, did: did.into(), collection: collection.map(Into::into), wire: Bytes::new(), json_bytes: 100 }
    }

    fn filter(collections: &[&str], dids: &[&str]) -> Result<Filter, FilterError> {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        Filter::new(&owned(collections), &owned(dids), 0)
    }

    #[test]
    fn nothing_named_lets_everything_through() {
        let all = filter(&[], &[]).unwrap();
        assert!(all.lets_through(&item("did:plc:a", Some("app.bsky.feed.post"))));
        assert!(all.lets_through(&item("did:plc:a", None)));
    }

    #[test]
    fn collections_and_their_beginnings() {
        let some = filter(&["app.bsky.feed.post", "app.bsky.graph.*", "com.example.*"], &[]).unwrap();
        for (collection, is_wanted) in [
            ("app.bsky.feed.post", true),
            ("app.bsky.feed.postgate", false),
            ("app.bsky.feed.like", false),
            ("app.bsky.graph.follow", true),
            ("app.bsky.graphic.x", false),
            ("com.example.a.b", true),
        ] {
            assert_eq!(some.lets_through(&item("did:plc:a", Some(collection))), is_wanted, "{collection}");
        }
        assert!(some.lets_through(&item("did:plc:a", None)), "accounts and identities are always told");
    }

    #[test]
    fn accounts_and_sizes() {
        let some = filter(&["app.bsky.feed.post"], &["did:plc:a"]).unwrap();
        assert!(some.lets_through(&item("did:plc:a", Some("app.bsky.feed.post"))));
        assert!(!some.lets_through(&item("did:plc:b", Some("app.bsky.feed.post"))));
        assert!(!some.lets_through(&item("did:plc:b", None)));
        let short = |max| Filter::new(&[], &[], max).unwrap().lets_through(&item("did:plc:a", None));
        assert_eq!([99, 100, 0, -5].map(short), [false, true, true, true]);
    }

    #[test]
    fn what_makes_no_filter_is_named() {
        for bad in ["", "*", "app.*x", "app", "app.bsky.feed*", "app..*", "a b.c.d", "app.bsky.*.post"] {
            assert_eq!(filter(&[bad], &[]), Err(FilterError::Collection(bad.to_owned())));
        }
        assert_eq!(filter(&[], &["alice.test"]), Err(FilterError::Did("alice.test".to_owned())));
        assert_eq!(filter(&["a.b.c"; 101], &[]), Err(FilterError::TooManyCollections));
        assert_eq!(filter(&[], &vec!["did:plc:a"; 10_001]), Err(FilterError::TooManyDids));
        assert!(filter(&["a.b.c"; 100], &vec!["did:plc:a"; 10_000]).is_ok());
    }

    #[test]
    fn a_mind_can_be_changed() {
        let sent = br#"{"type":"options_update","payload":{"wantedCollections":["app.bsky.feed.post"],"wantedDids":["did:plc:q"],"maxMessageSizeBytes":1000}}"#;
        let expected = Filter::new(&["app.bsky.feed.post".to_owned()], &["did:plc:q".to_owned()], 1000);
        assert_eq!(Filter::update(sent), expected);
        assert_eq!(Filter::update(br#"{"type":"options_update","payload":{}}"#), Ok(Filter::default()));
        for bad in ["", "hello", "{}", r#"{"type":"other","payload":{}}"#, r#"{"type":"options_update"}"#] {
            assert!(matches!(Filter::update(bad.as_bytes()), Err(FilterError::Message(_))), "{bad}");
        }
    }
}
