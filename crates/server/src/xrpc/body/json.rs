//! JSON request bodies: what is refused, and with which text.

use allod_atproto::json::{self, Limits};
use serde_json::Value;

use super::Refused;
use crate::xrpc::error::XrpcError;

/// Parses a body of at most `bytes_max` bytes. None at all is `{}`; of a key given twice the last counts.
pub(super) fn parse(bytes: &[u8], bytes_max: usize) -> Result<Value, Refused> {
    if bytes.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    json::parse(bytes, &Limits::bytes(bytes_max)).map_err(|error| XrpcError::invalid_request(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> String {
        match parse(bytes, 10_000_000) {
            Err(XrpcError::Common(_, message)) => message.into_owned(),
            Err(XrpcError::Declared(..) | XrpcError::Internal(_)) | Ok(_) => panic!("not refused"),
        }
    }

    #[test]
    fn what_is_refused_says_why() {
        assert_eq!(message(&b"{\"a\":".repeat(1_000_000)), "JSON nested too deeply (maximum 64 levels)");
        assert_eq!(message(&[b"[", &b"0,".repeat(200_000)[..]].concat()), "JSON with too many values (maximum 131072)");
        for text in [&b"{"[..], b"{]", b"nul", b"{\"a\":1}x", b"\xff", b"\"\xed\xa0\x80\"", b"\"\\ud800\"", b"1e999"] {
            assert!(message(text).starts_with("Invalid JSON: "), "{text:?}");
        }
    }

    #[test]
    fn the_last_of_two_equal_keys_counts_and_nothing_is_an_object() {
        assert_eq!(parse(b"{\"a\":1,\"a\":2}", 100).unwrap(), serde_json::json!({"a": 2}));
        assert_eq!(parse(b"", 100).unwrap(), serde_json::json!({}));
    }
}
