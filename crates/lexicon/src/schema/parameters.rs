//! Turns the pairs of a query string into typed JSON, as the schema of the parameters says.

use serde_json::{Map, Value};

use super::definition::{Object, Schema};

/// Reads the declared parameters and fills defaults; unknown parameters are dropped.
///
/// A text that is not of its type stays a string, and a repeated scalar becomes an array, so that the check that
/// follows refuses them by name.
pub(super) fn typed(object: &Object, pairs: &[(String, String)]) -> Value {
    let mut map = Map::new();
    for field in &object.fields {
        let mut texts = pairs.iter().filter(|(key, _)| *key == field.key).map(|(_, text)| text.as_str());
        let value = match (&field.schema, texts.next(), texts.next()) {
            (schema, None, _) => schema.default(),
            (Schema::Array { items, .. }, Some(first), second) => {
                Some(list(items, [first].into_iter().chain(second).chain(texts)))
            }
            (schema, Some(only), None) => Some(scalar(schema, only)),
            (schema, Some(first), Some(second)) => Some(list(schema, [first, second].into_iter().chain(texts))),
        };
        if let Some(value) = value {
            map.insert(field.key.clone(), value);
        }
    }
    Value::Object(map)
}

fn list<'a>(schema: &Schema, texts: impl Iterator<Item = &'a str>) -> Value {
    Value::Array(texts.map(|text| scalar(schema, text)).collect())
}

fn scalar(schema: &Schema, text: &str) -> Value {
    let typed = match (schema, text) {
        (Schema::Boolean { .. }, "true") => Some(Value::Bool(true)),
        (Schema::Boolean { .. }, "false") => Some(Value::Bool(false)),
        (Schema::Integer(_), text) if is_integer(text) => {
            text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<f64>().map(Value::from)).ok()
        }
        _ => None,
    };
    typed.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}
