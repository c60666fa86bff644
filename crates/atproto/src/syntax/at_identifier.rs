//! The two ways to name an account: by DID or by handle.

use super::{Did, Handle, SyntaxError, text_traits};

/// A DID or a handle.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AtIdentifier {
    /// Named by DID.
    Did(Did),
    /// Named by handle.
    Handle(Handle),
}

impl AtIdentifier {
    /// Parses the text: a DID if it begins with `did:`, a handle otherwise.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let parsed = if text.starts_with("did:") {
            Did::parse(text).map(Self::Did)
        } else {
            Handle::parse(text).map(Self::Handle)
        };
        parsed.map_err(|error| SyntaxError { what: "DID or handle", reason: error.reason })
    }

    /// Tells whether the text would be parsed, without keeping it.
    pub fn is_valid(text: &str) -> bool {
        if text.starts_with("did:") { Did::is_valid(text) } else { Handle::is_valid(text) }
    }

    /// The text of the DID or the handle.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Did(did) => did.as_str(),
            Self::Handle(handle) => handle.as_str(),
        }
    }
}

impl From<Did> for AtIdentifier {
    fn from(did: Did) -> Self {
        Self::Did(did)
    }
}

impl From<Handle> for AtIdentifier {
    fn from(handle: Handle) -> Self {
        Self::Handle(handle)
    }
}

text_traits!(AtIdentifier);
