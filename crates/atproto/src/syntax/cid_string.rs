//! The `cid` string format of lexicons: any `CIDv1` text, read no further.

use super::text_type;

text_type!(
    /// Text that looks like a `CIDv1`, in any base and of any codec or hash.
    ///
    /// Loose on purpose: records may name content that this server never handles. Where a CID is
    /// looked up or computed, parse it as [`crate::Cid`].
    ///
    /// Spec: <https://atproto.com/specs/lexicon#cid>
    CidString, "CID", check
);

fn check(text: &str) -> Result<(), &'static str> {
    if !(8..=256).contains(&text.len()) {
        return Err("must be 8 to 256 characters");
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'=')) {
        return Err("has a character that is not allowed");
    }
    if text.starts_with("Qm") {
        return Err("CID version 0 is not supported");
    }
    Ok(())
}
