//! URIs of any scheme, checked loosely.

use super::text_type;

/// The longest URI, in bytes.
const URI_BYTES_MAX: usize = 8 * 1024;

text_type!(
    /// A URI of any scheme. Only the scheme and the absence of white space are checked; the rest
    /// may hold characters beyond ASCII, as found in the wild.
    ///
    /// Spec: <https://atproto.com/specs/lexicon#uri>
    Uri, "URI", check
);

fn check(text: &str) -> Result<(), &'static str> {
    if text.len() > URI_BYTES_MAX {
        return Err("longer than 8 KiB");
    }
    let (scheme, rest) = text.split_once(':').ok_or("has no scheme")?;
    if !super::starts_with_letter(scheme)
        || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    {
        return Err("the scheme must be letters, digits, \"+\", \"-\" and \".\", a letter first");
    }
    if rest.trim_start_matches('/').is_empty() {
        return Err("has nothing after the scheme");
    }
    if rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("has white space or a control character");
    }
    Ok(())
}
