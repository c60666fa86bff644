//! Why a value does not fit its schema, in the words of the reference implementation.

use serde_json::Value;

use super::format::Format;

/// How much of an offending text a message repeats.
const GOT_CHARS_MAX: usize = 256;

/// A value that does not fit its schema: the first such, in the schema's order of fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// The place, such as `$.handle`.
    pub path: String,
    /// What is wrong.
    pub kind: InvalidKind,
    /// The text for the client, place included.
    pub message: String,
}

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidKind {
    /// A required field is absent.
    MissingKey,
    /// The value is of another type.
    WrongType,
    /// The string does not have its format.
    WrongFormat,
    /// The value is none of those listed.
    WrongValue,
    /// The value or its length is above the maximum.
    TooBig,
    /// The value or its length is below the minimum.
    TooSmall,
    /// The value nests deeper than is checked.
    TooDeep,
    /// No lexicon describes the value.
    UnknownSchema,
}

impl Invalid {
    /// The text, with the place told from `root` on in place of `$`.
    pub fn at(&self, root: &str) -> String {
        format!("{} at {root}{}", self.without_place(), self.path.strip_prefix('$').unwrap_or(&self.path))
    }

    /// The text without the place: of query parameters, which have one place each.
    pub fn without_place(&self) -> &str {
        let place = self.message.len() - " at ".len() - self.path.len();
        self.message.get(..place).unwrap_or(&self.message)
    }

    pub(super) fn missing_key(path: String, key: &str) -> Self {
        Self::new(path, InvalidKind::MissingKey, &format!("Missing required key {}", quoted(key)))
    }

    pub(super) fn wrong_type(path: String, expected: &str, got: &str) -> Self {
        Self::new(path, InvalidKind::WrongType, &format!("Expected {expected} value type (got {got})"))
    }

    pub(super) fn wrong_format(path: String, format: Format, got: &str) -> Self {
        let message = format!("Invalid {} (got {})", format.title(), quoted(got));
        Self::new(path, InvalidKind::WrongFormat, &message)
    }

    pub(super) fn wrong_value(path: String, allowed: &[String], got: &str) -> Self {
        let list = match allowed {
            [] => "nothing".to_owned(),
            [only] => only.clone(),
            [first @ .., last] => format!("one of {} or {last}", first.join(", ")),
        };
        Self::new(path, InvalidKind::WrongValue, &format!("Expected {list} (got {got})"))
    }

    pub(super) fn too_big(path: String, what: &str, maximum: &str, got: &str) -> Self {
        Self::new(path, InvalidKind::TooBig, &format!("{what} too big (maximum {maximum}, got {got})"))
    }

    pub(super) fn too_small(path: String, what: &str, minimum: &str, got: &str) -> Self {
        Self::new(path, InvalidKind::TooSmall, &format!("{what} too small (minimum {minimum}, got {got})"))
    }

    pub(super) fn too_deep(path: String) -> Self {
        Self::new(path, InvalidKind::TooDeep, "Value nests too deep")
    }

    pub(super) fn unknown_schema(path: String, name: &str) -> Self {
        Self::new(path, InvalidKind::UnknownSchema, &format!("Unknown lexicon {}", quoted(name)))
    }

    fn new(path: String, kind: InvalidKind, what: &str) -> Self {
        let message = format!("{what} at {path}");
        Self { path, kind, message }
    }
}

/// Quotes a text as JSON does, shortened to [`GOT_CHARS_MAX`].
pub(super) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(GOT_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    Value::String(short).to_string()
}

/// How many elements or keys of an offending value a message repeats.
const GOT_MEMBERS_MAX: usize = 2;
/// How deep an offending value is repeated.
const GOT_DEPTH_MAX: usize = 3;

/// Shows a value as the reference does: texts and numbers as they are, of lists and objects the beginning.
pub(super) fn shown(value: &Value) -> String {
    shown_to(value, GOT_DEPTH_MAX)
}

fn shown_to(value: &Value, depth: usize) -> String {
    let listed = |mut members: Vec<String>, count: usize, (open, close): (char, char)| {
        if count > members.len() {
            members.push("...".to_owned());
        }
        format!("{open}{}{close}", members.join(", "))
    };
    match value {
        Value::String(text) => quoted(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(elements) if depth > 0 => {
            let members = elements.iter().take(GOT_MEMBERS_MAX).map(|element| shown_to(element, depth - 1)).collect();
            listed(members, elements.len(), ('[', ']'))
        }
        Value::Object(map) if type_of(value) == "object" => {
            let members = map.keys().take(GOT_MEMBERS_MAX).map(|key| format!("{}: ...", quoted(key))).collect();
            listed(members, map.len(), ('{', '}'))
        }
        Value::Array(_) | Value::Object(_) => type_of(value).to_owned(),
    }
}

/// Names the data model type of a JSON value.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if integer(value).is_some() => "integer",
        Value::Number(_) => "float",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(map) if map.len() == 1 && map.contains_key("$link") => "cid",
        Value::Object(map) if map.len() == 1 && map.contains_key("$bytes") => "bytes",
        Value::Object(map) if map.get("$type").and_then(Value::as_str) == Some("blob") => "blob",
        Value::Object(_) => "object",
    }
}

/// Reads an integer of the data model, which lies within 53 bits and may be written with an empty fraction.
///
/// Spec: <https://atproto.com/specs/data-model#data-types>
pub(super) fn integer(value: &Value) -> Option<i64> {
    const SAFE_MAX: i64 = (1 << 53) - 1;
    let number = match (value.as_i64(), value.as_f64()) {
        (Some(number), _) => number,
        #[expect(clippy::cast_possible_truncation, reason = "integral and within 53 bits, so exact")]
        (None, Some(float)) if float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0 => float as i64,
        _ => return None,
    };
    (-SAFE_MAX..=SAFE_MAX).contains(&number).then_some(number)
}
