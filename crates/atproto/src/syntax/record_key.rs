//! Record keys.

use super::text_type;

/// The longest record key, in bytes.
const RECORD_KEY_BYTES_MAX: usize = 512;

text_type!(
    /// The name of a record within its collection, such as `3jzfcijpj2z2a` or `self`.
    ///
    /// Spec: <https://atproto.com/specs/record-key>
    RecordKey, "record key", check
);

impl From<super::Tid> for RecordKey {
    fn from(tid: super::Tid) -> Self {
        Self(tid.as_str().into())
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > RECORD_KEY_BYTES_MAX {
        return Err("must be 1 to 512 characters");
    }
    if text == "." || text == ".." {
        return Err("must not be \".\" or \"..\"");
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'~' | b'-')) {
        return Err("has a character that is not allowed");
    }
    Ok(())
}
