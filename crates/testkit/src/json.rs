//! JSON that a test is given: answers, messages, files.

use allod_atproto::json::{Limits, parse};
use serde_json::Value;

/// Reads a whole text, of any length. Panics when it is no JSON.
pub fn read_json(text: impl AsRef<[u8]>) -> Value {
    parse(text.as_ref(), &Limits::OWN).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(text.as_ref()));
    })
}
