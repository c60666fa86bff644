//! Decentralised identifiers.

use super::text_type;

/// The longest DID, in bytes.
const DID_BYTES_MAX: usize = 2048;

text_type!(
    /// A decentralised identifier of any method, such as `did:plc:ewvi7nxzyoun6zhxrhs64oiz`.
    ///
    /// Case-sensitive; neither folded nor percent-decoded.
    ///
    /// Spec: <https://atproto.com/specs/did>
    Did, "DID", check
);

impl Did {
    /// The method's name: `plc` of `did:plc:abc`.
    pub fn method(&self) -> &str {
        self.parts().0
    }

    /// The part after the method: `abc` of `did:plc:abc`.
    pub fn identifier(&self) -> &str {
        self.parts().1
    }

    /// Tells whether this is a `did:plc` of the form its directory gives out: 24 characters of base32.
    pub fn is_plc(&self) -> bool {
        let (method, identifier) = self.parts();
        method == "plc" && identifier.len() == 24 && identifier.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'))
    }

    /// Tells whether this is a DID that accounts and services of atproto can have: a `did:plc` of its directory's form, or
    /// a `did:web` that names a host and no path.
    pub fn is_atproto(&self) -> bool {
        self.is_plc() || self.web_host().is_some()
    }

    /// The host, with its port if any, of a `did:web` that names no path. `None` for every other DID.
    ///
    /// `did:web:localhost%3A2583` gives `localhost:2583`. No other percent-encoding is accepted, and
    /// a port only with `localhost`.
    pub fn web_host(&self) -> Option<String> {
        let ("web", identifier) = self.parts() else { return None };
        let (host, port) = match identifier.split_once("%3A").or_else(|| identifier.split_once("%3a")) {
            Some((host, port)) => (host, Some(port)),
            None => (identifier, None),
        };
        let host_is_sound = host.split('.').all(super::is_domain_label);
        match port {
            None if host_is_sound => Some(host.to_owned()),
            Some(port) if host == "localhost" && port.parse::<u16>().is_ok() => Some(format!("{host}:{port}")),
            _ => None,
        }
    }

    fn parts(&self) -> (&str, &str) {
        let rest = self.as_str().strip_prefix("did:").unwrap_or_default();
        rest.split_once(':').unwrap_or_default()
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    if text.len() > DID_BYTES_MAX {
        return Err("longer than 2048 bytes");
    }
    let rest = text.strip_prefix("did:").ok_or("does not begin with \"did:\"")?;
    let (method, identifier) = rest.split_once(':').ok_or("has no method and identifier")?;
    if method.is_empty() || !method.bytes().all(|b| b.is_ascii_lowercase()) {
        return Err("the method must be lower-case letters");
    }
    if identifier.is_empty() {
        return Err("the identifier is empty");
    }
    if !identifier.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'%' | b'-')) {
        return Err("has a character that is not allowed");
    }
    if identifier.ends_with([':', '%']) {
        return Err("ends in \":\" or \"%\"");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_methods_apart() {
        let plc = Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz").unwrap();
        assert!(plc.is_plc());
        assert_eq!(plc.method(), "plc");
        assert_eq!(plc.web_host(), None);
        assert!(!Did::parse("did:plc:EWVI7nxzyoun6zhxrhs64oiz").unwrap().is_plc());
        assert!(!Did::parse("did:plc:short").unwrap().is_plc());
    }

    #[test]
    fn names_the_host_of_a_web_did() {
        let host = |text| Did::parse(text).unwrap().web_host();
        assert_eq!(host("did:web:example.com").as_deref(), Some("example.com"));
        assert_eq!(host("did:web:localhost%3A2583").as_deref(), Some("localhost:2583"));
        assert_eq!(host("did:web:example.com:user:alice"), None);
        assert_eq!(host("did:web:example.com%3A8080"), None);
        assert_eq!(host("did:web:localhost%3A99999"), None);
        assert_eq!(host("did:web:example.com%2Fpath"), None);
        assert_eq!(host("did:web:-a.com"), None);
    }
}
