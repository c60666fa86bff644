//! Parts of a body, and whether the client has it already.
//!
//! Spec: <https://www.rfc-editor.org/rfc/rfc9110#section-14>

use std::ops::Range;

use http::{
    HeaderMap, HeaderName,
    header::{IF_NONE_MATCH, IF_RANGE, RANGE},
};

/// Which bytes are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// All, also where the header is of a kind that is not served: two ranges, or something else than bytes.
    Whole,
    /// These, at least one.
    Part(Range<u64>),
    /// None that are there.
    Outside,
}

/// Reads which bytes of a body of `size` are asked for. `etag` is the body's, with its quotes.
pub(super) fn asked(headers: &HeaderMap, size: u64, etag: &str) -> Asked {
    let is_changed = text(headers, &IF_RANGE).is_some_and(|condition| condition.trim() != etag);
    match text(headers, &RANGE).and_then(parse) {
        Some(part) if !is_changed => part.of(size),
        _ => Asked::Whole,
    }
}

/// Whether the client has the body already.
pub(super) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| {
            let known = known.trim();
            known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag
        })
}

enum Part {
    From { start: u64, last: Option<u64> },
    Last { count: u64 },
}

impl Part {
    fn of(self, size: u64) -> Asked {
        let (start, end) = match self {
            Self::From { start, last } => (start, last.map_or(size, |last| size.min(last.saturating_add(1)))),
            Self::Last { count } => (size.saturating_sub(count), size),
        };
        if start < end { Asked::Part(start..end) } else { Asked::Outside }
    }
}

/// Reads one range of bytes.
fn parse(header: &str) -> Option<Part> {
    let (unit, range) = header.split_once('=')?;
    let (start, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    if start.is_empty() {
        return Some(Part::Last { count: number(last)? });
    }
    let start = number(start)?;
    if last.is_empty() {
        return Some(Part::From { start, last: None });
    }
    let last = number(last)?;
    (start <= last).then_some(Part::From { start, last: Some(last) })
}

/// Reads digits alone; what is too large is larger than any body.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn one_range_of_bytes_is_served() {
        for (header, size, expected) in [
            ("bytes=0-0", 10, Asked::Part(0..1)),
            ("bytes=2-4", 10, Asked::Part(2..5)),
            ("BYTES = 2-", 10, Asked::Part(2..10)),
            ("bytes=-3", 10, Asked::Part(7..10)),
            ("bytes=-30", 10, Asked::Part(0..10)),
            ("bytes=5-99999999999999999999999", 10, Asked::Part(5..10)),
            ("bytes=10-", 10, Asked::Outside),
            ("bytes=10-11", 10, Asked::Outside),
            ("bytes=-0", 10, Asked::Outside),
            ("bytes=0-", 0, Asked::Outside),
            ("bytes=4-2", 10, Asked::Whole),
            ("bytes=0-1,3-4", 10, Asked::Whole),
            ("bytes=", 10, Asked::Whole),
            ("bytes=-", 10, Asked::Whole),
            ("bytes=+1-2", 10, Asked::Whole),
            ("lines=1-2", 10, Asked::Whole),
            ("1-2", 10, Asked::Whole),
        ] {
            assert_eq!(asked(&headers(&[(RANGE, header)]), size, "\"a\""), expected, "{header}");
        }
        assert_eq!(asked(&HeaderMap::new(), 10, "\"a\""), Asked::Whole);
    }

    #[test]
    fn a_part_of_another_version_is_not_wanted() {
        let part = |condition| asked(&headers(&[(RANGE, "bytes=1-2"), (IF_RANGE, condition)]), 10, "\"a\"");
        assert_eq!(part("\"a\""), Asked::Part(1..3));
        for condition in ["\"b\"", "W/\"a\"", "Wed, 25 Nov 2026 12:00:00 GMT"] {
            assert_eq!(part(condition), Asked::Whole, "{condition}");
        }
    }

    #[test]
    fn what_is_known_is_recognised() {
        for (header, expected) in
            [("\"a\"", true), ("\"b\", \"a\"", true), ("W/\"a\"", true), ("*", true), ("\"b\"", false), ("a", false)]
        {
            assert_eq!(is_known(&headers(&[(IF_NONE_MATCH, header)]), "\"a\""), expected, "{header}");
        }
    }
}
