//! Text from strangers that is shown to people: in a terminal, in the log, in a list of names.
//!
//! A control character can move a terminal's cursor or forge a further line; a bidirectional one turns the text around
//! it about. Names with either are refused where they come in, and escaped where a text is shown that may have any.

use std::{
    borrow::Cow,
    fmt::{self, Display, Write},
};

/// Tells whether a character changes how the text around it is shown: control characters, line and paragraph
/// separators, marks and embeddings of the bidirectional algorithm.
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

/// Tells whether every character of a name can be shown.
pub fn is_printable(text: &str) -> bool {
    !text.chars().any(is_unprintable)
}

/// Gives a text in which what can't be shown is written as `\u{…}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    printable_but(text, &[])
}

/// As [`printable`], but for the characters in `kept`.
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

/// As [`printable`], for text that is JSON: `\u` and four digits, which any reader of JSON undoes. Line ends and tabs
/// stay; they are none of a value's.
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

/// Shows at most so many characters of a text, what can't be shown escaped.
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
    use allod_atproto::json::{Limits, read};

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
                assert_eq!(read::<[String; 1]>(json.as_bytes(), &Limits::OWN).unwrap(), [text]);
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
