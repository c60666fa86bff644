//! Maps lexicon schemas to Rust types, and writes structs and union enums.

use std::collections::BTreeSet;

use serde_json::Value;

use super::source::Source;
use super::{LexgenError, documentation, find, names};

/// Fields whose values must not reach a log through `Debug`.
const SECRET_FIELDS: [&str; 5] = ["accessJwt", "authFactorToken", "password", "refreshJwt", "token"];

/// Writes the types of one lexicon and remembers what they need in scope.
pub(super) struct Types<'a> {
    nsid: &'a str,
    sources: &'a [Source],
    atproto: BTreeSet<&'static str>,
    wire: BTreeSet<&'static str>,
    unions: String,
    value: bool,
    other_modules: bool,
    debug: bool,
}

/// Whether a lexicon default fills an absent field, so that the Rust field is not optional.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Defaults {
    /// Requests: the server fills them in.
    Fill,
    /// Everything else: absent stays absent.
    Keep,
}

impl<'a> Types<'a> {
    /// Starts the types of one lexicon.
    pub(super) fn new(nsid: &'a str, sources: &'a [Source]) -> Self {
        Self {
            nsid,
            sources,
            atproto: BTreeSet::new(),
            wire: BTreeSet::new(),
            unions: String::new(),
            value: false,
            other_modules: false,
            debug: false,
        }
    }

    /// Writes the `use` lines that the module's items need.
    pub(super) fn imports(&self, items: &str, is_method: bool) -> String {
        let mut groups = [String::new(), String::new(), String::new()];
        let [std, external, own] = &mut groups;
        if self.debug {
            *std += "use std::fmt;\n";
        }
        if !self.atproto.is_empty() {
            *external += &format!("use allod_atproto::{{{}}};\n", join(&self.atproto));
        }
        if items.contains("Deserialize)") {
            *external += "use serde::{Deserialize, Serialize};\n";
        } else if items.contains("Serialize)") {
            *external += "use serde::Serialize;\n";
        }
        if self.value {
            *external += "use serde_json::Value;\n";
        }
        if self.other_modules {
            *own += "use crate::com_atproto;\n";
        }
        if is_method {
            *own += "use crate::method::{Kind, Method};\n";
        }
        if !self.wire.is_empty() {
            *own += &format!("use crate::wire::{{{}}};\n", join(&self.wire));
        }
        groups.map(|group| if group.is_empty() { group } else { group + "\n" }).concat()
    }

    /// Hands over the enums of the unions met so far.
    pub(super) fn take_unions(&mut self) -> String {
        std::mem::take(&mut self.unions)
    }

    /// Writes a struct of an `object` or `params` schema.
    pub(super) fn structure(&mut self, name: &str, schema: &Value, defaults: Defaults) -> Result<String, LexgenError> {
        let required = strings(&schema["required"]);
        let nullable = strings(&schema["nullable"]);
        let mut fields = String::new();
        let mut functions = String::new();
        let mut secret = false;
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let field = names::field(key);
            let mut rust = self.rust_type(property, &format!("{name}{}", names::pascal(key)))?;
            let mut options = Vec::new();
            if names::serde_camel(&field) != *key {
                options.push(format!("rename = {key:?}"));
            }
            let default = (defaults == Defaults::Fill).then(|| property.get("default")).flatten();
            match (default, required.contains(&key.as_str()), nullable.contains(&key.as_str())) {
                (Some(default), ..) => {
                    let function = format!("default_{}_{}", names::snake(name), names::snake(key));
                    functions += &default_function(&function, &rust, default);
                    options.push(format!("default = {function:?}"));
                }
                (None, true, false) => {}
                (None, true, true) => {
                    rust = format!("Option<{rust}>");
                }
                (None, false, false) => {
                    options.push("skip_serializing_if = \"Option::is_none\"".to_owned());
                    rust = format!("Option<{rust}>");
                }
                (None, false, true) => {
                    self.wire.insert("OrNull");
                    options.push("default, deserialize_with = \"crate::wire::present\"".to_owned());
                    options.push("skip_serializing_if = \"Option::is_none\"".to_owned());
                    rust = format!("Option<OrNull<{rust}>>");
                }
            }
            fields += &documentation::outer(property, &format!("The field `{key}`"));
            if !options.is_empty() {
                fields += &format!("#[serde({})]\n", options.join(", "));
            }
            fields += &format!("pub {field}: {rust},\n");
            secret |= SECRET_FIELDS.contains(&key.as_str());
        }
        let derives = if secret { "Clone, Serialize, Deserialize" } else { "Debug, Clone, Serialize, Deserialize" };
        let mut text = format!("#[derive({derives})]\n");
        if fields.contains("pub ") {
            text += "#[serde(rename_all = \"camelCase\")]\n";
        }
        text += &format!("pub struct {name} {{{fields}}}\n\n{functions}");
        if secret {
            self.debug = true;
            text += &format!(
                "/// Names the type only: its fields hold secrets.\n\
                 impl fmt::Debug for {name} {{\n\
                 fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {{\n\
                 formatter.debug_struct({name:?}).finish_non_exhaustive()\n}}\n}}\n\n"
            );
        }
        Ok(text)
    }

    /// Gives the Rust type of a schema; `name` is what a union at this place is called.
    pub(super) fn rust_type(&mut self, schema: &Value, name: &str) -> Result<String, LexgenError> {
        let kind = schema["type"].as_str().unwrap_or_default();
        Ok(match kind {
            "boolean" => "bool".to_owned(),
            "integer" => "i64".to_owned(),
            "string" => self.string_type(schema)?.to_owned(),
            "bytes" => self.wire_type("Bytes"),
            "cid-link" => self.wire_type("CidLink"),
            "blob" => self.wire_type("Blob"),
            "unknown" => self.any_value(),
            "array" => format!("Vec<{}>", self.rust_type(&schema["items"], &format!("{name}Item"))?),
            "ref" => self.reference(schema["ref"].as_str().unwrap_or_default())?,
            "union" => self.union(schema, name)?,
            other => return Err(LexgenError::lexicon(self.nsid, format!("no Rust type for {other:?} at {name}"))),
        })
    }

    fn wire_type(&mut self, name: &'static str) -> String {
        self.wire.insert(name);
        name.to_owned()
    }

    fn any_value(&mut self) -> String {
        self.value = true;
        "Value".to_owned()
    }

    fn string_type(&mut self, schema: &Value) -> Result<&'static str, LexgenError> {
        let Some(format) = schema["format"].as_str() else { return Ok("String") };
        let name = match format {
            "at-identifier" => "AtIdentifier",
            "at-uri" => "AtUri",
            "cid" => "Cid",
            "datetime" => "Datetime",
            "did" => "Did",
            "handle" => "Handle",
            "language" => "Language",
            "nsid" => "Nsid",
            "record-key" => "RecordKey",
            "tid" => "Tid",
            "uri" => "Uri",
            other => return Err(LexgenError::lexicon(self.nsid, format!("unknown string format {other:?}"))),
        };
        self.atproto.insert(name);
        Ok(name)
    }

    /// Gives the type a reference leads to; records stay JSON, for a struct would drop the fields it does not know.
    pub(super) fn reference(&mut self, reference: &str) -> Result<String, LexgenError> {
        let (nsid, name) = names::reference(self.nsid, reference);
        let definition = find(self.sources, nsid).and_then(|source| source.definition(name));
        match definition.and_then(|definition| definition["type"].as_str()) {
            Some("record") => Ok(self.any_value()),
            Some("object" | "string") if nsid == self.nsid => Ok(names::definition_type(nsid, name)),
            Some("object" | "string") => {
                self.other_modules = true;
                Ok(names::item_path(nsid, &names::definition_type(nsid, name)))
            }
            _ => Err(LexgenError::lexicon(self.nsid, format!("reference {reference:?} leads nowhere"))),
        }
    }

    /// Writes a union's enum and gives its name.
    fn union(&mut self, schema: &Value, name: &str) -> Result<String, LexgenError> {
        let closed = schema["closed"].as_bool().unwrap_or(false);
        let mut variants = String::new();
        let mut arms = String::new();
        let mut seen = BTreeSet::new();
        for reference in strings(&schema["refs"]) {
            let (nsid, definition) = names::reference(self.nsid, reference);
            let variant = names::definition_type(nsid, definition);
            if !seen.insert(variant.clone()) {
                return Err(LexgenError::lexicon(self.nsid, format!("two variants {variant} in {name}")));
            }
            let tag = if definition == "main" { nsid.to_owned() } else { format!("{nsid}#{definition}") };
            let rust = self.reference(reference)?;
            variants += &format!("/// `{tag}`.\n#[serde(rename = {tag:?})]\n{variant}(Box<{rust}>),\n");
            arms += &format!("{tag:?} => {variant},\n");
        }
        let mut openness = "closed";
        if !closed {
            openness = "open";
            self.value = true;
            variants += "/// Any other `$type`, kept as it came.\n#[serde(untagged)]\nUnknown(Value),\n";
        }
        self.unions += &documentation::outer(schema, &format!("The union `{name}`, told apart by `$type`"));
        self.unions += &format!(
            "#[derive(Debug, Clone, Serialize)]\n#[serde(tag = \"$type\")]\npub enum {name} {{{variants}}}\n\n"
        );
        self.unions +=
            &format!("crate::wire::deserialize_union!({openness} {name} {{\n{}}});\n\n", names::indent(&arms));
        Ok(name.to_owned())
    }
}

/// Writes the function that gives a field's default.
fn default_function(function: &str, rust: &str, default: &Value) -> String {
    match default.as_str() {
        Some(text) => format!("fn {function}() -> {rust} {{ {text:?}.to_owned() }}\n\n"),
        None => format!("const fn {function}() -> {rust} {{ {default} }}\n\n"),
    }
}

/// Reads a list of strings; anything else is an empty one.
pub(super) fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn join(names: &BTreeSet<&'static str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}
