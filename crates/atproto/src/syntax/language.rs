//! Language tags.

use super::text_type;

/// The longest language tag accepted, in bytes.
const LANGUAGE_BYTES_MAX: usize = 128;

/// Tags registered before the present grammar that do not fit it.
const IRREGULAR: [&str; 17] = [
    "en-gb-oed",
    "i-ami",
    "i-bnn",
    "i-default",
    "i-enochian",
    "i-hak",
    "i-klingon",
    "i-lux",
    "i-mingo",
    "i-navajo",
    "i-pwn",
    "i-tao",
    "i-tay",
    "i-tsu",
    "sgn-be-fr",
    "sgn-be-nl",
    "sgn-ch-de",
];
/// Tags registered before the present grammar that fit it only as unknown extended languages.
const REGULAR: [&str; 9] =
    ["art-lojban", "cel-gaulish", "no-bok", "no-nyn", "zh-guoyu", "zh-hakka", "zh-min", "zh-min-nan", "zh-xiang"];

text_type!(
    /// A well-formed language tag, such as `pt-BR`.
    ///
    /// The first part must be two or three lower-case letters, or `i` or `x`, as the protocol's test
    /// vectors want it; the rest follows RFC 5646.
    ///
    /// Spec: <https://atproto.com/specs/lexicon#language>
    Language, "language tag", check
);

impl Language {
    /// Tells whether no variant and no extension is named twice, which RFC 5646 asks of a valid tag
    /// beyond being well-formed (section 2.2.9).
    pub fn has_distinct_subtags(&self) -> bool {
        let lower = self.as_str().to_ascii_lowercase();
        let mut seen: Vec<&str> = Vec::new();
        let mut in_extension = false;
        for subtag in lower.split('-').skip(1) {
            if subtag == "x" {
                break;
            }
            let is_singleton = subtag.len() == 1;
            if is_singleton || (!in_extension && is_variant(subtag)) {
                if seen.contains(&subtag) {
                    return false;
                }
                seen.push(subtag);
            }
            in_extension |= is_singleton;
        }
        true
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    if text.len() > LANGUAGE_BYTES_MAX {
        return Err("longer than 128 characters");
    }
    if matches!(text.len(), 2 | 3) && text.bytes().all(|b| b.is_ascii_lowercase()) {
        // By far the most are a language alone.
        return Ok(());
    }
    let lower = text.to_ascii_lowercase();
    if IRREGULAR.contains(&lower.as_str()) || REGULAR.contains(&lower.as_str()) {
        return Ok(());
    }
    let mut subtags: Vec<&str> = text.split('-').collect();
    if subtags.iter().any(|s| !(1..=8).contains(&s.len()) || !s.bytes().all(|b| b.is_ascii_alphanumeric())) {
        return Err("each part must be 1 to 8 letters and digits");
    }
    if let Some(private) = subtags.iter().position(|s| s.eq_ignore_ascii_case("x")) {
        if private + 1 == subtags.len() {
            return Err("the private part is empty");
        }
        subtags.truncate(private);
        if subtags.is_empty() {
            return Ok(());
        }
    }
    let mut rest = subtags.as_slice();
    let language = take(&mut rest, |_| true).unwrap_or_default();
    if !(2..=3).contains(&language.len()) || !language.bytes().all(|b| b.is_ascii_lowercase()) {
        return Err("must begin with two or three lower-case letters");
    }
    for _ in 0..3 {
        take(&mut rest, |s| s.len() == 3 && is_alphabetic(s));
    }
    take(&mut rest, |s| s.len() == 4 && is_alphabetic(s));
    take(&mut rest, |s| (s.len() == 2 && is_alphabetic(s)) || (s.len() == 3 && s.bytes().all(|b| b.is_ascii_digit())));
    while take(&mut rest, is_variant).is_some() {}
    while take(&mut rest, |s| s.len() == 1).is_some() {
        take(&mut rest, |s| s.len() >= 2).ok_or("an extension is empty")?;
        while take(&mut rest, |s| s.len() >= 2).is_some() {}
    }
    if rest.is_empty() { Ok(()) } else { Err("has a part out of place") }
}

/// Takes the first part off `rest` if it satisfies `accept`.
fn take<'a>(rest: &mut &[&'a str], accept: impl Fn(&str) -> bool) -> Option<&'a str> {
    let (first, others) = rest.split_first()?;
    accept(first).then(|| {
        *rest = others;
        *first
    })
}

fn is_alphabetic(subtag: &str) -> bool {
    subtag.bytes().all(|b| b.is_ascii_alphabetic())
}

/// A variant: five to eight characters, or four of which the first is a digit.
fn is_variant(subtag: &str) -> bool {
    subtag.len() >= 5 || (subtag.len() == 4 && subtag.bytes().next().is_some_and(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_may_be_repeated_within_an_extension_but_variants_may_not() {
        let is_distinct = |text| Language::parse(text).unwrap().has_distinct_subtags();
        assert!(is_distinct("en-a-foobar-foobar"));
        assert!(is_distinct("en-x-a-a"));
        assert!(!is_distinct("de-1901-1901"));
    }

    #[test]
    fn parts_must_come_in_order() {
        for text in ["zh-cmn-Hans-CN", "sr-Latn", "x-whatever", "i-klingon", "en-GB-oed", "en-a-bb-x-y"] {
            assert!(Language::parse(text).is_ok(), "{text}");
        }
        for text in
            ["en-US-Latn", "en-a", "en-a-b-cc", "en-x", "x", "en--US", "en-toolonganything", "i-unknown", "en-us-us"]
        {
            assert!(Language::parse(text).is_err(), "{text}");
        }
    }
}
