//! Parses JSON that somebody else wrote. Nothing else here, or in the crates above, turns foreign bytes into a tree.
//!
//! What is bounded: the bytes, how deep arrays and objects nest, and how many values there are, before they take
//! memory. No key has a meaning of its own, whatever features the JSON library is built with. The parser recurses once
//! for each level, as does all that later walks the tree or drops it: the depth bounds the stack that any of them need.
//!
//! Numbers: an integer within 64 bits is exact; any number without a fraction within 53 bits is an integer, however it
//! is written (`1.0`, `1e3`); any other is the nearest double, and one beyond the doubles is an error. Whether a number
//! is data of the protocol is decided by [`to_value`](super::to_value).

use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// How deeply arrays and objects may nest.
pub const PARSE_DEPTH_MAX: usize = 64;
/// How many values one text may have, containers included. A value takes about 80 bytes, an object about 500.
pub const PARSE_VALUES_MAX: usize = 131_072;

/// What a text may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest text, in bytes.
    pub bytes_max: usize,
    /// How deeply arrays and objects may nest, at most [`PARSE_DEPTH_MAX`].
    pub depth_max: usize,
    /// How many values there may be, containers included.
    pub values_max: usize,
    /// What becomes of an object that has a key twice.
    pub duplicate_keys: DuplicateKeys,
}

/// What becomes of an object that has a key twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DuplicateKeys {
    /// The last value counts, at the place of the first, as in JavaScript.
    LastCounts,
    /// The text is refused. Spec: <https://www.rfc-editor.org/rfc/rfc7515#section-4> for tokens.
    Refused,
}

impl Limits {
    /// Allows `bytes_max` bytes, with the usual depth and number of values; of a key given twice the last counts.
    pub const fn bytes(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            depth_max: PARSE_DEPTH_MAX,
            values_max: PARSE_VALUES_MAX,
            duplicate_keys: DuplicateKeys::LastCounts,
        }
    }

    /// What this server wrote from values that it had parsed before, of any length.
    pub const OWN: Self = Self { values_max: usize::MAX, ..Self::bytes(usize::MAX) };

    /// Allows what a token's header or payload of `bytes_max` bytes may have: no key twice.
    pub const fn token(bytes_max: usize) -> Self {
        Self { duplicate_keys: DuplicateKeys::Refused, ..Self::bytes(bytes_max) }
    }

    /// Allows another number of values.
    #[must_use]
    pub const fn values(self, values_max: usize) -> Self {
        Self { values_max, ..self }
    }
}

/// Why a text is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Longer than it may be.
    #[error("JSON too large (maximum {bytes_max} bytes)")]
    Size {
        /// The limit.
        bytes_max: usize,
    },
    /// Arrays and objects nest too deeply.
    #[error("JSON nested too deeply (maximum {depth_max} levels)")]
    Depth {
        /// The limit.
        depth_max: usize,
    },
    /// Too many values.
    #[error("JSON with too many values (maximum {values_max})")]
    Values {
        /// The limit.
        values_max: usize,
    },
    /// An object has a key twice where that is refused.
    #[error("Invalid JSON: a key is given twice")]
    DuplicateKey,
    /// Not JSON.
    #[error("Invalid JSON: {0}")]
    Syntax(#[source] serde_json::Error),
    /// JSON, but of another form than what is read.
    #[error("{0}")]
    Form(#[source] serde_json::Error),
}

/// Parses a whole text.
pub fn parse(text: &[u8], limits: &Limits) -> Result<Value, ParseError> {
    let Limits { bytes_max, depth_max, values_max, .. } = *limits;
    if text.len() > bytes_max {
        return Err(ParseError::Size { bytes_max });
    }
    let mut state = State { values_left: values_max, duplicate_keys: limits.duplicate_keys, broken: None };
    let depth = depth_max.min(PARSE_DEPTH_MAX);
    #[expect(clippy::disallowed_methods, reason = "this is the parser that everybody else is to use")]
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let parsed = Element { state: &mut state, depth }.deserialize(&mut deserializer);
    let parsed = parsed.and_then(|value| deserializer.end().map(|()| value));
    parsed.map_err(|error| match state.broken {
        Some(Limit::Depth) => ParseError::Depth { depth_max: depth },
        Some(Limit::Values) => ParseError::Values { values_max },
        Some(Limit::DuplicateKey) => ParseError::DuplicateKey,
        None => ParseError::Syntax(error),
    })
}

/// Parses a whole text and reads a type out of it.
pub fn read<T: DeserializeOwned>(text: &[u8], limits: &Limits) -> Result<T, ParseError> {
    serde_json::from_value(parse(text, limits)?).map_err(ParseError::Form)
}

/// The limit that a text breaks.
#[derive(Clone, Copy)]
enum Limit {
    Depth,
    Values,
    DuplicateKey,
}

/// What is known of the text so far.
struct State {
    values_left: usize,
    duplicate_keys: DuplicateKeys,
    broken: Option<Limit>,
}

impl State {
    /// Ends the parsing. The library's error only carries this out.
    fn break_off<E: serde::de::Error>(&mut self, limit: Limit) -> E {
        self.broken = Some(limit);
        E::custom("a limit is broken")
    }
}

/// A value that comes next, with the levels that are left for what is in it.
struct Element<'s> {
    state: &'s mut State,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.state.values_left.checked_sub(1) {
            Some(left) => self.state.values_left = left,
            None => return Err(self.state.break_off(Limit::Values)),
        }
        deserializer.deserialize_any(self)
    }
}

impl Element<'_> {
    fn inner_depth<E: serde::de::Error>(&mut self) -> Result<usize, E> {
        self.depth.checked_sub(1).ok_or_else(|| self.state.break_off(Limit::Depth))
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        if let Some(integer) = super::integral(number) {
            return Ok(Value::Number(integer.into()));
        }
        serde_json::Number::from_f64(number).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<Value, A::Error> {
        let depth = self.inner_depth()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(Element { state: &mut *self.state, depth })? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        let depth = self.inner_depth()?;
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Element { state: &mut *self.state, depth })?;
            let earlier = object.insert(key, value);
            if earlier.is_some() && self.state.duplicate_keys == DuplicateKeys::Refused {
                return Err(self.state.break_off(Limit::DuplicateKey));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::tests::any_json;
    use super::*;

    const LIMITS: Limits = Limits::bytes(10_000_000);

    /// Keys that JSON and other libraries use between their own parts.
    const PRIVATE_KEYS: &[&str] = &[
        "$serde_json::private::RawValue",
        "$serde_json::private::Number",
        "$__toml_private_datetime",
        "$__toml_private_Datetime",
        "$__serde_spanned_private_value",
        "__serde_private",
        "$serde_private",
        "__proto__",
        "constructor",
    ];

    fn nested(open: &str, close: &str, depth: usize) -> String {
        format!("{}1{}", open.repeat(depth), close.repeat(depth))
    }

    fn on_a_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::Builder::new().stack_size(256 * 1024).spawn(work).unwrap().join().unwrap()
    }

    #[test]
    fn depth_is_bounded_however_deep_it_goes() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
            let levels = open.matches(['[', '{']).count();
            let fits = nested(open, close, PARSE_DEPTH_MAX / levels);
            assert!(parse(fits.as_bytes(), &LIMITS).is_ok());
            for depth in [PARSE_DEPTH_MAX / levels + 1, 1_000_000] {
                let text = nested(open, close, depth);
                assert!(matches!(parse(text.as_bytes(), &LIMITS), Err(ParseError::Depth { depth_max: 64 })), "{open}");
                let unclosed = open.repeat(depth);
                assert!(matches!(parse(unclosed.as_bytes(), &LIMITS), Err(ParseError::Depth { .. })), "{open}");
            }
        }
        let shallow = Limits { depth_max: 2, ..LIMITS };
        assert!(parse(b"[[1],[2]]", &shallow).is_ok());
        assert!(matches!(parse(b"[[[1]]]", &shallow), Err(ParseError::Depth { depth_max: 2 })));
        let deeper = Limits { depth_max: 1000, ..LIMITS };
        assert!(matches!(parse(nested("[", "]", 65).as_bytes(), &deeper), Err(ParseError::Depth { depth_max: 64 })));
    }

    #[test]
    fn the_deepest_tree_fits_a_small_stack_whatever_is_done_with_it() {
        on_a_small_stack(|| {
            for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{\"$type\":\"a\",\"a\":", "}")] {
                let value = parse(nested(open, close, PARSE_DEPTH_MAX).as_bytes(), &LIMITS).unwrap();
                assert_eq!(value, value.clone());
                assert!(!format!("{value} {value:?} {value:#}").is_empty());
                assert!(super::super::to_cbor(&value).is_err());
                assert!(super::super::to_value(&value).is_err());
                assert_eq!(serde_json::from_value::<Value>(value.clone()).unwrap(), value);
                assert!(read::<Vec<String>>(value.to_string().as_bytes(), &LIMITS).is_err());
            }
        });
    }

    #[test]
    fn no_key_has_a_meaning() {
        on_a_small_stack(|| {
            for key in PRIVATE_KEYS {
                let value = json!({*key: "{\"a\":[1,2]}"});
                assert_eq!(parse(value.to_string().as_bytes(), &LIMITS).unwrap(), value);
                assert_eq!(serde_json::from_value::<Value>(value.clone()).unwrap(), value);
                assert_eq!(read::<Value>(value.to_string().as_bytes(), &LIMITS).unwrap(), value);

                let in_each_other = (0..12).fold(json!(1), |inner, _| json!({*key: inner.to_string()}));
                assert_eq!(parse(in_each_other.to_string().as_bytes(), &LIMITS).unwrap(), in_each_other);
                let deep = format!("{{\"{key}\":\"{}\"}}", "[".repeat(100_000));
                assert_eq!(parse(deep.as_bytes(), &LIMITS).unwrap()[*key].as_str().map(str::len), Some(100_000));
                let open = format!("{{\"{key}\":");
                assert!(matches!(
                    parse(nested(&open, "}", PARSE_DEPTH_MAX + 1).as_bytes(), &LIMITS),
                    Err(ParseError::Depth { .. })
                ));
            }
        });
    }

    #[test]
    fn bytes_and_values_are_bounded() {
        let limits = Limits::bytes(9).values(4);
        assert!(parse(b"[1, 2, 3]", &limits).is_ok());
        assert!(matches!(parse(b"[1, 2, 3] ", &limits), Err(ParseError::Size { bytes_max: 9 })));
        assert!(matches!(parse(b"[1,2,3,4]", &limits), Err(ParseError::Values { values_max: 4 })));
        assert!(matches!(parse(b"[[],[[]]]", &limits.values(3)), Err(ParseError::Values { values_max: 3 })));
        let many = format!("[{}0]", "0,".repeat(PARSE_VALUES_MAX - 2));
        assert!(parse(many.as_bytes(), &LIMITS).is_ok());
        let more = format!("[{}0]", "0,".repeat(PARSE_VALUES_MAX - 1));
        assert!(matches!(parse(more.as_bytes(), &LIMITS), Err(ParseError::Values { .. })));
    }

    #[test]
    fn numbers_are_integers_where_they_can_be() {
        for (text, expected) in [
            ("1.0", json!(1)),
            ("-2e3", json!(-2000)),
            ("-0", json!(0)),
            ("-0.0", json!(0)),
            ("9007199254740991.0", json!(9_007_199_254_740_991_i64)),
            ("9007199254740992.0", json!(9_007_199_254_740_992.0_f64)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("18446744073709551615", json!(u64::MAX)),
            ("18446744073709551616", json!(18_446_744_073_709_551_616.0_f64)),
            ("1.5", json!(1.5)),
        ] {
            let value = parse(text.as_bytes(), &LIMITS).unwrap();
            assert_eq!((&value, value.is_f64()), (&expected, expected.is_f64()), "{text}");
        }
    }

    #[test]
    fn of_a_key_given_twice_the_last_counts_except_in_tokens() {
        let value = parse(b"{\"a\":1,\"b\":2,\"a\":3}", &LIMITS).unwrap();
        assert_eq!(value.to_string(), "{\"a\":3,\"b\":2}");
        for text in ["{\"a\":1,\"a\":1}", "{\"a\":1,\"\\u0061\":2}", "[{\"b\":{\"a\":1,\"a\":null}}]"] {
            let refused = parse(text.as_bytes(), &Limits::token(1000));
            assert!(matches!(refused, Err(ParseError::DuplicateKey)), "{text}");
        }
        assert!(parse(b"[{\"a\":1},{\"a\":1}]", &Limits::token(1000)).is_ok());
    }

    #[test]
    fn malformed_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "{]",
            "[1,]",
            "{\"a\":1,}",
            "nul",
            "{\"a\":1}x",
            "01",
            "+1",
            "1.",
            ".5",
            "NaN",
            "'a'",
            "1e999",
            "\"\\ud800\"",
            "\"\\x\"",
            "\"\u{1}\"",
            "[1 2]",
            "{1:2}",
            "\u{feff}{}",
            "// a\n1",
        ] {
            assert!(matches!(parse(text.as_bytes(), &LIMITS), Err(ParseError::Syntax(_))), "{text:?}");
        }
        for bytes in [&b"\"\xff\""[..], b"\"\xed\xa0\x80\"", b"\xff"] {
            assert!(matches!(parse(bytes, &LIMITS), Err(ParseError::Syntax(_))), "{bytes:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn what_was_written_is_read(json in any_json()) {
            let text = json.to_string();
            let parsed = parse(text.as_bytes(), &LIMITS).unwrap();
            prop_assert_eq!(super::super::to_value(&parsed), super::super::to_value(&json));
            prop_assert_eq!(parse(parsed.to_string().as_bytes(), &LIMITS).unwrap(), parsed);
        }

        #[test]
        fn bytes_of_any_kind_end_in_a_value_or_an_error(bytes in "[\\[\\]{}:,\"a$0-9.eE\\\\ -]{0,60}") {
            if let Ok(value) = parse(bytes.as_bytes(), &LIMITS) {
                prop_assert_eq!(parse(value.to_string().as_bytes(), &LIMITS).unwrap(), value);
            }
        }
    }
}
