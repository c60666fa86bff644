//! Namespaced identifiers: the names of methods, record types and collections.

use super::{is_domain_label, starts_with_letter, text_type};

/// The longest NSID, in bytes.
const NSID_BYTES_MAX: usize = 317;
/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 63;

text_type!(
    /// A namespaced identifier, such as `com.atproto.repo.createRecord`.
    ///
    /// Only the whole is bounded: the protocol's test vectors have authorities longer than the 253
    /// characters of a domain name.
    ///
    /// Spec: <https://atproto.com/specs/nsid>
    Nsid, "NSID", check
);

impl Nsid {
    /// The last segment: `createRecord` of `com.atproto.repo.createRecord`. Case-sensitive.
    pub fn name(&self) -> &str {
        self.as_str().rsplit_once('.').unwrap_or_default().1
    }

    /// All but the last segment, in the order written: `com.atproto.repo`.
    pub fn authority(&self) -> &str {
        self.as_str().rsplit_once('.').unwrap_or_default().0
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    if text.len() > NSID_BYTES_MAX {
        return Err("longer than 317 characters");
    }
    let (authority, name) = text.rsplit_once('.').ok_or("needs at least three parts")?;
    if !authority.contains('.') {
        return Err("needs at least three parts");
    }
    if !authority.split('.').all(is_domain_label) {
        return Err("each part must be 1 to 63 letters, digits and inner hyphens");
    }
    if !starts_with_letter(authority) {
        return Err("the first part must begin with a letter");
    }
    if !starts_with_letter(name) || name.len() > NAME_BYTES_MAX || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err("the name must be 1 to 63 letters and digits, a letter first");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_authority_and_name() {
        let nsid = Nsid::parse("com.atproto.repo.createRecord").unwrap();
        assert_eq!((nsid.authority(), nsid.name()), ("com.atproto.repo", "createRecord"));
    }
}
