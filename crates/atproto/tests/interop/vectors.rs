//! Reads vector files.

use std::path::PathBuf;

use allod_atproto::json::{Limits, parse};
use serde_json::Value;

/// The path of a vector file.
pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

/// The text of a vector file.
pub(crate) fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A vector file in JSON.
pub(crate) fn json(name: &str) -> Value {
    parse(text(name).as_bytes(), &Limits::OWN).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The cases of a vector file: a list, or the list within an object. There must be some.
pub(crate) fn cases(name: &str, key: &str) -> Vec<Value> {
    let mut json = json(name);
    let list = if json.is_array() { json } else { json[key].take() };
    let Value::Array(cases) = list else { panic!("{name}: no list {key}") };
    assert!(!cases.is_empty(), "{name}: no cases");
    cases
}

/// The lines of a vector file but for comments and empty ones. There must be some.
pub(crate) fn lines(name: &str) -> Vec<String> {
    let lines: Vec<_> =
        text(name).lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect();
    assert!(!lines.is_empty(), "{name}: no lines");
    lines
}

/// Text of a case.
pub(crate) fn str<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_else(|| panic!("no text {key} in {case}"))
}

/// Bytes of a case in hexadecimal.
pub(crate) fn hex(case: &Value, key: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(str(case, key).as_bytes()).unwrap()
}

/// Bytes of a case in base64 without padding.
pub(crate) fn base64(case: &Value, key: &str) -> Vec<u8> {
    data_encoding::BASE64_NOPAD.decode(str(case, key).as_bytes()).unwrap()
}
