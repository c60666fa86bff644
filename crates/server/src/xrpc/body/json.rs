//! JSON request bodies, bounded in depth before anything is built.

use serde_json::Value;

use super::Refused;
use crate::{limits, xrpc::error::XrpcError};

/// Parses a body. None at all is `{}`; of a key given twice the last counts.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, Refused> {
    if bytes.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    if nests_deeper_than(bytes, limits::JSON_DEPTH_MAX) {
        let message = format!("JSON nested too deeply (maximum {} levels)", limits::JSON_DEPTH_MAX);
        return Err(XrpcError::invalid_request(message));
    }
    let mut value =
        serde_json::from_slice(bytes).map_err(|error| XrpcError::invalid_request(format!("Invalid JSON: {error}")))?;
    write_integers_as_such(&mut value);
    Ok(value)
}

/// Turns `1.0` into `1`: JSON has one kind of number, the data model takes integers however they are written.
/// The depth was bounded before.
fn write_integers_as_such(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(integer) = number.as_f64().filter(|_| number.is_f64()).and_then(exact_integer) {
                *value = integer.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(write_integers_as_such),
        Value::Object(fields) => fields.values_mut().for_each(write_integers_as_such),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The integer that a number with no fraction is, up to 2^53 - 1 either way.
#[expect(clippy::cast_possible_truncation, reason = "bounded to 2^53 - 1 and without a fraction")]
fn exact_integer(number: f64) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_991.0;
    (number.fract() == 0.0 && number.abs() <= EXACT_MAX).then_some(number as i64)
}

/// Counts open brackets outside of strings. Of malformed JSON it may say anything; the parser refuses that.
fn nests_deeper_than(bytes: &[u8], depth_max: usize) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in bytes {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > depth_max {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> String {
        match parse(bytes) {
            Err(XrpcError::Common(_, message)) => message.into_owned(),
            Err(XrpcError::Declared(..) | XrpcError::Internal(_)) | Ok(_) => panic!("not refused"),
        }
    }

    #[test]
    fn depth_is_bounded_however_deep_it_goes() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(parse(&nested(limits::JSON_DEPTH_MAX)).is_ok());
        for depth in [limits::JSON_DEPTH_MAX + 1, 1_000_000] {
            assert_eq!(message(&nested(depth)), "JSON nested too deeply (maximum 64 levels)");
        }
        let objects = b"{\"a\":".repeat(1_000_000);
        assert_eq!(message(&objects), "JSON nested too deeply (maximum 64 levels)");
    }

    #[test]
    fn brackets_in_strings_and_side_by_side_do_not_nest() {
        let text = format!("[\"{}\\\"[\", {}[]]", "[{".repeat(200), "[],".repeat(200));
        assert!(parse(text.as_bytes()).is_ok());
    }

    #[test]
    fn integers_may_be_written_with_a_point() {
        let value = parse(b"{\"a\":[1.0,-2e3,1.5,9007199254740992.0]}").unwrap();
        assert_eq!(value, serde_json::json!({"a": [1, -2000, 1.5, 9_007_199_254_740_992.0_f64]}));
        assert!(value["a"][0].is_i64() && value["a"][3].is_f64());
    }

    #[test]
    fn malformed_json_is_refused() {
        for text in [&b"{"[..], b"{]", b"nul", b"{\"a\":1}x", b"\xff", b"\"\xed\xa0\x80\"", b"\"\\ud800\"", b"1e999"] {
            assert!(message(text).starts_with("Invalid JSON: "), "{text:?}");
        }
    }

    #[test]
    fn the_last_of_two_equal_keys_counts_and_nothing_is_an_object() {
        assert_eq!(parse(b"{\"a\":1,\"a\":2}").unwrap(), serde_json::json!({"a": 2}));
        assert_eq!(parse(b"").unwrap(), serde_json::json!({}));
    }
}
