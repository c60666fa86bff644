//! Turns the texts of lexicons into doc comments.

use serde_json::Value;

/// The widest doc comment line, in characters, without indent and slashes.
const WIDTH_CHARS: usize = 110;

/// Writes a doc comment from a schema's description, or from `otherwise` when it has none, and lists known values.
pub(super) fn outer(schema: &Value, otherwise: &str) -> String {
    let mut text = comment("///", schema["description"].as_str().unwrap_or(otherwise));
    for (key, lead) in [("knownValues", "Known values"), ("enum", "Values")] {
        if let Some(values) = schema[key].as_array() {
            let list: Vec<String> = values
                .iter()
                .map(|value| format!("`{}`", value.as_str().map_or(value.to_string(), Into::into)))
                .collect();
            text += "///\n";
            text += &comment("///", &format!("{lead}: {}.", list.join(", ")));
        }
    }
    text
}

/// Writes a comment of the given kind (`///` or `//!`), escaped for rustdoc and wrapped.
pub(super) fn comment(slashes: &str, text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in escape(&sentence(text)).split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH_CHARS {
            lines += &format!("{slashes} {line}\n");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    lines + &format!("{slashes} {line}\n")
}

/// Ends a text with a full stop.
fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '!', '?', ':']) { text.to_owned() } else { format!("{text}.") }
}

/// Escapes what rustdoc would read as a link or a tag, outside code spans.
fn escape(text: &str) -> String {
    let parts: Vec<String> = text
        .split('`')
        .enumerate()
        .map(|(index, part)| {
            if index % 2 == 1 {
                return part.to_owned();
            }
            part.replace('[', "\\[").replace(']', "\\]").replace('<', "\\<").replace('*', "\\*")
        })
        .collect();
    parts.join("`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_outside_code_only() {
        assert_eq!(comment("///", "only ([a-z]+) or `[a]`"), "/// only (\\[a-z\\]+) or `[a]`.\n");
    }

    #[test]
    fn known_values_are_listed() {
        let schema = serde_json::json!({"type": "string", "knownValues": ["a", "b"]});
        assert_eq!(outer(&schema, "The name"), "/// The name.\n///\n/// Known values: `a`, `b`.\n");
    }
}
