//! Turns lexicon names into Rust names.

/// Words that are no Rust identifiers unless written raw.
const KEYWORDS: [&str; 12] = ["as", "async", "enum", "fn", "impl", "in", "match", "mod", "move", "ref", "type", "use"];

/// Gives the `snake_case` form: `createAccount` becomes `create_account`.
pub(super) fn snake(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    let mut previous_lower = false;
    for character in name.chars() {
        if character.is_ascii_uppercase() && previous_lower {
            text.push('_');
        }
        previous_lower = character.is_ascii_lowercase() || character.is_ascii_digit();
        text.push(if character == '-' { '_' } else { character.to_ascii_lowercase() });
    }
    text
}

/// Gives the `UpperCamelCase` form: `createAccount` becomes `CreateAccount`.
pub(super) fn pascal(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + characters.as_str())
}

/// Gives a field's Rust name, raw when it is a keyword.
pub(super) fn field(name: &str) -> String {
    let name = snake(name);
    if KEYWORDS.contains(&name.as_str()) { format!("r#{name}") } else { name }
}

/// Gives what serde's `camelCase` rule makes of a field's Rust name.
pub(super) fn serde_camel(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut after_underscore = false;
    for character in field.trim_start_matches("r#").chars() {
        if character == '_' {
            after_underscore = true;
        } else {
            text.push(if after_underscore { character.to_ascii_uppercase() } else { character });
            after_underscore = false;
        }
    }
    text
}

/// Gives the last segment of an NSID.
pub(super) fn last(nsid: &str) -> &str {
    nsid.rsplit('.').next().unwrap_or(nsid)
}

/// Splits an NSID into module names: `com.atproto.server.createAccount` gives `com_atproto`, `server`,
/// `create_account`.
pub(super) fn modules(nsid: &str) -> Vec<String> {
    let segments: Vec<&str> = nsid.split('.').collect();
    let (authority, rest) = segments.split_at(segments.len().min(2));
    std::iter::once(authority.join("_")).chain(rest.iter().map(|segment| snake(segment))).collect()
}

/// Gives the generated file of an NSID.
pub(super) fn module_path(nsid: &str) -> String {
    modules(nsid).join("/") + ".rs"
}

/// Gives the path of a Rust item of an NSID's module, from `com_atproto` on.
pub(super) fn item_path(nsid: &str, item: &str) -> String {
    modules(nsid).join("::") + "::" + item
}

/// Gives the Rust type of a definition: a main object is named after its NSID.
pub(super) fn definition_type(nsid: &str, definition: &str) -> String {
    pascal(if definition == "main" { last(nsid) } else { definition })
}

/// Splits a reference into NSID and definition name; `from` is the NSID it stands in.
pub(super) fn reference<'a>(from: &'a str, reference: &'a str) -> (&'a str, &'a str) {
    match reference.split_once('#') {
        Some(("", name)) => (from, name),
        Some((nsid, name)) => (nsid, name),
        None => (reference, "main"),
    }
}

/// Indents lines by one step, for macro bodies, which rustfmt leaves as they are.
pub(super) fn indent(lines: &str) -> String {
    lines.lines().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_their_rust_form() {
        assert_eq!(snake("createAccount"), "create_account");
        assert_eq!(snake("uploadBlobURL"), "upload_blob_url");
        assert_eq!(pascal("strongRef"), "StrongRef");
        assert_eq!(field("type"), "r#type");
        assert_eq!(serde_camel("auth_factor_token"), "authFactorToken");
        assert_eq!(module_path("com.atproto.server.createAccount"), "com_atproto/server/create_account.rs");
        assert_eq!(reference("a.b.c", "#x"), ("a.b.c", "x"));
        assert_eq!(reference("a.b.c", "d.e.f"), ("d.e.f", "main"));
    }
}
