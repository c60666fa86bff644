//! Untrusted text that people read: in a terminal, in the log, in a list of names.
//!
//! A control character can move the cursor of a terminal or forge a line of the log; a bidirectional one reorders the
//! text around it. Names with either are rejected at the edge; other text is escaped before it is displayed.

use std::{
    borrow::Cow,
    fmt::{self, Display, Write},
};

/// Whether a character changes how the text around it is displayed: control characters, line and paragraph separators,
/// marks and embeddings of the bidirectional algorithm.
///
/// Source: <https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}

/// Whether a text has no unprintable character.
pub fn is_printable(text: &str) -> bool {
    !text.chars().any(is_unprintable)
}

/// Escapes unprintable characters as `\u{…}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    printable_but(text, &[])
}

/// As [`printable`], but keeps the characters in `kept`.
pub fn printable_but<'a>(text: &'a str, kept: &[char]) -> Cow<'a, str> {
    let is_escaped = |c: char| is_unprintable(c) && !kept.contains(&c);
    if !text.chars().any(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// As [`printable`], for text that is JSON: escapes as `\u` and four digits, so that the value stays the same. Line ends
/// and tabs stay: in JSON they occur only between values.
pub fn printable_json(text: &str) -> Cow<'_, str> {
    let is_escaped = |c: char| is_unprintable(c) && !matches!(c, '\n' | '\t');
    if !text.chars().any(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) {
            // Every such character is in the basic plane. Writing to a String can't fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Displays at most so many characters of a text, escaped as by [`printable`].
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(pub &'a str, pub usize);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, chars_max) = *self;
        let (text, is_cut) = match text.char_indices().nth(chars_max) {
            Some((end, _)) => (text.get(..end).unwrap_or_default(), true),
            None => (text, false),
        };
        f.write_str(&printable(text))?;
        if is_cut { f.write_str("…") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &[char] =
        &['\0', '\n', '\r', '\x1b', '\x7f', '\u{85}', '\u{9b}', '\u{200f}', '\u{2028}', '\u{202e}', '\u{2067}'];

    #[test]
    fn what_changes_the_text_around_it_is_escaped() {
        for &c in HOSTILE {
            let text = format!("a{c}b");
            assert!(!is_printable(&text), "{c:?}");
            assert_eq!(printable(&text), format!("a{}b", c.escape_unicode()));
            let json = format!("[\"{}\"]", printable_json(&text));
            if c != '\n' {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the bounded parser is in a crate above; a test wrote this"
                )]
                let value = serde_json::from_str::<[String; 1]>(&json).unwrap();
                assert_eq!(value, [text]);
            }
        }
        for text in ["alice's phone", "Ωmega", "日本語", "👩‍🚀", "שלום", ""] {
            assert!(is_printable(text), "{text}");
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(Shown("abc", 3).to_string(), "abc");
        assert_eq!(Shown("äbcd", 3).to_string(), "äbc…");
        assert_eq!(Shown("a\x1bcd", 2).to_string(), "a\\u{1b}…");
    }
}
