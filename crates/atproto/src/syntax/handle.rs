//! Handles: domain names that stand for accounts.

use std::sync::Arc;

use super::{SyntaxError, is_domain_label, starts_with_letter, text_traits};

/// The longest handle, in bytes.
const HANDLE_BYTES_MAX: usize = 253;

/// Top-level domains under which no handle may be registered or resolved. `test` is left to the
/// caller: it is for development.
const DISALLOWED_TLDS: [&str; 8] = ["alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion"];

/// A handle, such as `alice.example.com`; always lower-case.
///
/// Spec: <https://atproto.com/specs/handle>
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(Arc<str>);

impl Handle {
    /// Parses the text, folding it to lower case; the error names what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        match check(text) {
            Ok(()) => Ok(Self(text.to_ascii_lowercase().into())),
            Err(reason) => Err(SyntaxError { what: "handle", reason }),
        }
    }

    /// Tells whether the text would be parsed, without keeping it.
    pub fn is_valid(text: &str) -> bool {
        check(text).is_ok()
    }

    /// The placeholder `handle.invalid`, shown where an account's handle does not resolve to it.
    pub fn invalid() -> Self {
        Self("handle.invalid".into())
    }

    /// The text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last label.
    pub fn tld(&self) -> &str {
        self.as_str().rsplit_once('.').unwrap_or_default().1
    }

    /// Tells whether the top-level domain is one that must not be registered or resolved
    /// (`.local`, `.onion` and their like). `.test` is not among them.
    pub fn has_disallowed_tld(&self) -> bool {
        DISALLOWED_TLDS.contains(&self.tld())
    }
}

text_traits!(Handle);

fn check(text: &str) -> Result<(), &'static str> {
    if text.len() > HANDLE_BYTES_MAX {
        return Err("longer than 253 characters");
    }
    let (rest, tld) = text.rsplit_once('.').ok_or("needs at least two parts")?;
    if !rest.split('.').chain([tld]).all(is_domain_label) {
        return Err("each part must be 1 to 63 letters, digits and inner hyphens");
    }
    if !starts_with_letter(tld) {
        return Err("the last part must begin with a letter");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_case_and_knows_its_tld() {
        let handle = Handle::parse("Alice.Example.COM").unwrap();
        assert_eq!(handle.as_str(), "alice.example.com");
        assert_eq!(handle.tld(), "com");
        assert!(!handle.has_disallowed_tld());
        assert!(Handle::parse("a.ONION").unwrap().has_disallowed_tld());
        assert!(!Handle::parse("a.test").unwrap().has_disallowed_tld());
        assert!(Handle::invalid().has_disallowed_tld());
    }
}
