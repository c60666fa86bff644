//! Labels of domain names in other letters than a to z: what they decode to, and whether people can tell them apart.
//!
//! Spec: <https://www.unicode.org/reports/tr46/> for decoding, <https://www.unicode.org/reports/tr39/> for the rest.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use unicode_security::{
    GeneralSecurityProfile as _, RestrictionLevel, RestrictionLevelDetection as _, confusable_detection::skeleton,
};

/// What an encoded label begins with.
const PREFIX: &str = "xn--";

/// Decodes a lower-case label that is encoded in Punycode. None when it is not valid, or not the one form of its text.
///
/// Decoding takes time by the square of the length: the label must be no longer than DNS allows.
pub fn decode(label: &str) -> Option<String> {
    let (text, valid) = Uts46::new().to_unicode(label.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast);
    valid.ok()?;
    let encoded = to_ascii(&text)?;
    (encoded == label).then(|| text.into_owned())
}

/// Encodes a domain name. None when it is none, or has characters that are not for names or are not to be seen.
///
/// Encoding takes time by the square of the length: the caller bounds it.
pub fn to_ascii(domain: &str) -> Option<String> {
    if !domain.chars().all(is_for_names) {
        return None;
    }
    let ascii =
        Uts46::new().to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify);
    ascii.ok().map(std::borrow::Cow::into_owned)
}

/// Joiners are allowed in names of some scripts, and are not to be seen.
fn is_for_names(c: char) -> bool {
    c.identifier_allowed() && !matches!(c, '\u{200c}' | '\u{200d}')
}

/// Tells whether a label is encoded.
pub fn is_encoded(label: &str) -> bool {
    label.starts_with(PREFIX)
}

/// Tells whether decoded text has letters of scripts that don't belong together, or characters that are not for names.
pub fn is_mixed(text: &str) -> bool {
    !text.check_restriction_level(RestrictionLevel::HighlyRestrictive)
}

/// Tells whether text in other letters looks like one in plain ASCII.
pub fn looks_like_ascii(text: &str) -> bool {
    !text.is_ascii() && skeleton(text).all(|c| c.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_the_one_form_of_a_text() {
        assert_eq!(decode("xn--bcher-kva").as_deref(), Some("bücher"));
        assert_eq!(decode("xn--80ak6aa92e").as_deref(), Some("аррӏе"));
        // Not Punycode, ASCII in disguise, not normalised, with an invisible joiner, with a bidirectional override.
        for label in ["xn--", "xn--a", "xn--99999999", "xn--abc-", "xn--bucher-xyd", "xn--ab-m1t", "xn--ab-g4t"] {
            assert_eq!(decode(label), None, "{label}");
        }
    }

    #[test]
    fn encodes_what_can_be_seen() {
        assert_eq!(to_ascii("Bücher.Example").as_deref(), Some("xn--bcher-kva.example"));
        assert_eq!(to_ascii("xn--bcher-kva.example").as_deref(), Some("xn--bcher-kva.example"));
        for domain in
            ["exam\u{200b}ple.com", "exam\u{ad}ple.com", "exam\u{202e}ple.com", "a\u{200d}b.com", "exam\u{fe0f}ple.com"]
        {
            assert_eq!(to_ascii(domain), None, "{domain:?}");
        }
    }

    #[test]
    fn scripts_that_people_write_together_are_not_mixed() {
        for text in ["bücher", "пример", "παράδειγμα", "日本語", "ひらがなカナabc", "한국어abc", "l·l", "a-1"]
        {
            assert!(!is_mixed(text), "{text}");
        }
        for text in ["pаypal", "αlpha", "раypal", "ab\u{202e}c"] {
            assert!(is_mixed(text), "{text}");
        }
    }

    #[test]
    fn other_letters_may_look_like_ascii() {
        for text in ["аррӏе", "сосо", "paypaı"] {
            assert!(looks_like_ascii(text), "{text}");
        }
        for text in ["apple", "bücher", "пример", "日本語", "ελλάδα"] {
            assert!(!looks_like_ascii(text), "{text}");
        }
    }
}
