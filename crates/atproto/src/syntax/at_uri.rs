//! AT-URIs in the strict form that lexicons use.

use super::{AtIdentifier, Did, Nsid, RecordKey, text_type};

/// The longest AT-URI, in bytes.
const AT_URI_BYTES_MAX: usize = 8 * 1024;

text_type!(
    /// A reference to an account, a collection or a record: `at://AUTHORITY[/COLLECTION[/RKEY]]`.
    ///
    /// Strict: no query, no fragment, no trailing slash. The text is kept as given.
    ///
    /// Spec: <https://atproto.com/specs/at-uri-scheme>
    AtUri, "AT-URI", check
);

impl AtUri {
    /// Builds the URI of a record.
    pub fn record(did: &Did, collection: &Nsid, key: &RecordKey) -> Self {
        Self(format!("at://{did}/{collection}/{key}").into())
    }

    /// The account named first.
    pub fn authority(&self) -> AtIdentifier {
        AtIdentifier::parse(self.segment(0)).unwrap_or_else(|_| AtIdentifier::Handle(super::Handle::invalid()))
    }

    /// The collection, if one is named.
    pub fn collection(&self) -> Option<Nsid> {
        Nsid::parse(self.segment(1)).ok()
    }

    /// The record key, if one is named.
    pub fn record_key(&self) -> Option<RecordKey> {
        RecordKey::parse(self.segment(2)).ok()
    }

    fn segment(&self, index: usize) -> &str {
        self.as_str().strip_prefix("at://").unwrap_or_default().split('/').nth(index).unwrap_or_default()
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    if text.len() > AT_URI_BYTES_MAX {
        return Err("longer than 8 KiB");
    }
    let rest = text.strip_prefix("at://").ok_or("does not begin with \"at://\"")?;
    let mut segments = rest.split('/');
    if !AtIdentifier::is_valid(segments.next().unwrap_or_default()) {
        return Err("the authority is not a DID or handle");
    }
    if segments.next().is_some_and(|collection| !Nsid::is_valid(collection)) {
        return Err("the collection is not an NSID");
    }
    if segments.next().is_some_and(|key| !RecordKey::is_valid(key)) {
        return Err("the record key is not valid");
    }
    if segments.next().is_some() {
        return Err("has more than a collection and a record key");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_itself_apart() {
        let uri = AtUri::parse("at://did:plc:abc/app.bsky.feed.post/3jzfcijpj2z2a").unwrap();
        assert_eq!(uri.authority().as_str(), "did:plc:abc");
        assert_eq!(uri.collection().unwrap(), "app.bsky.feed.post");
        assert_eq!(uri.record_key().unwrap(), "3jzfcijpj2z2a");
        let account = AtUri::parse("at://alice.test").unwrap();
        assert_eq!((account.collection(), account.record_key()), (None, None));
    }
}
