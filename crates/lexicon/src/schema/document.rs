//! Parses lexicon documents, also such as come from elsewhere: depth is bounded, and what is malformed is refused with
//! its place.

use std::collections::BTreeMap;

use allod_atproto::Nsid;
use serde_json::{Map, Value};

use super::definition::{
    Definition, Field, Integer, Method, Object, Record, RecordKeyRule, Schema, Span, Target, Text,
};
use super::format::Format;

/// How deep schemas may nest within one definition.
const SCHEMA_DEPTH_MAX: usize = 32;

/// A lexicon document.
#[derive(Debug)]
pub struct Document {
    id: Nsid,
    /// Sorted by name.
    definitions: Vec<(String, Definition)>,
}

/// What is wrong with a lexicon document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid lexicon at {path}: {reason}")]
pub struct DocumentError {
    /// The place, such as `defs.main.record`.
    pub path: String,
    /// What is wrong there.
    pub reason: String,
}

impl Document {
    /// Parses a document from its JSON.
    ///
    /// Errors: not a lexicon of version 1, or one that breaks the schema language's rules.
    pub fn parse(json: &Value) -> Result<Self, DocumentError> {
        let top = At { path: String::new(), id: "", depth: 0 };
        let map = top.object(json)?;
        if map.get("lexicon").and_then(Value::as_i64) != Some(1) {
            return Err(top.error("\"lexicon\" must be 1"));
        }
        let id = map.get("id").and_then(Value::as_str).ok_or_else(|| top.error("\"id\" must be a string"))?;
        let id = Nsid::parse(id).map_err(|error| top.error(&error.to_string()))?;
        let top = At { id: id.as_str(), ..top };
        top.text(map, "description")?;
        let defs = map.get("defs").and_then(Value::as_object).filter(|defs| !defs.is_empty());
        let mut definitions = BTreeMap::new();
        for (name, json) in defs.ok_or_else(|| top.error("\"defs\" must be an object with a definition"))? {
            let at = top.at("defs").at(name);
            if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
                return Err(at.error("a definition's name starts with a letter"));
            }
            definitions.insert(name.clone(), at.definition(name, json)?);
        }
        Ok(Self { id, definitions: definitions.into_iter().collect() })
    }

    /// Gives the lexicon's NSID.
    pub fn id(&self) -> &Nsid {
        &self.id
    }

    /// Gives the place of the definition of a name.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.definitions.binary_search_by(|(other, _)| other.as_str().cmp(name)).ok()
    }

    /// Gives the definition at a place.
    pub(super) fn definition(&self, position: usize) -> Option<&Definition> {
        self.definitions.get(position).map(|(_, definition)| definition)
    }
}

/// A place in the document that is being parsed.
struct At<'a> {
    path: String,
    id: &'a str,
    depth: usize,
}

impl At<'_> {
    fn at(&self, key: &str) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        At { path, id: self.id, depth: self.depth + 1 }
    }

    fn error(&self, reason: &str) -> DocumentError {
        let path = if self.path.is_empty() { "the top".to_owned() } else { self.path.clone() };
        DocumentError { path, reason: reason.to_owned() }
    }

    fn object<'j>(&self, json: &'j Value) -> Result<&'j Map<String, Value>, DocumentError> {
        json.as_object().ok_or_else(|| self.error("must be an object"))
    }

    fn definition(&self, name: &str, json: &Value) -> Result<Definition, DocumentError> {
        let map = self.object(json)?;
        self.text(map, "description")?;
        let kind = self.required_text(map, "type")?;
        if matches!(kind, "record" | "query" | "procedure" | "subscription" | "permission-set") && name != "main" {
            return Err(self.error(&format!("a {kind} must be the definition \"main\"")));
        }
        Ok(match kind {
            "record" => Definition::Record(self.record(map)?),
            "query" | "procedure" | "subscription" => Definition::Method(self.method(kind, map)?),
            "permission-set" => self.permission_set(map)?,
            "token" => Definition::Schema(Schema::Token(Target::new(self.id, name).type_name)),
            "boolean" | "integer" | "string" | "bytes" | "cid-link" | "blob" | "array" | "object" => {
                Definition::Schema(self.schema(json)?)
            }
            other => return Err(self.error(&format!("type {other:?} can't be a definition"))),
        })
    }

    fn record(&self, map: &Map<String, Value>) -> Result<Record, DocumentError> {
        let key = match self.required_text(map, "key")? {
            "any" => RecordKeyRule::Any,
            "tid" => RecordKeyRule::Tid,
            "nsid" => RecordKeyRule::Nsid,
            other => match other.strip_prefix("literal:").filter(|literal| !literal.is_empty()) {
                Some(literal) => RecordKeyRule::Literal(literal.to_owned()),
                None => return Err(self.error(&format!("unknown record key type {other:?}"))),
            },
        };
        let at = self.at("record");
        let record = at.object(map.get("record").unwrap_or(&Value::Null))?;
        if record.get("type").and_then(Value::as_str) != Some("object") {
            return Err(at.error("must be of type \"object\""));
        }
        Ok(Record { key, object: at.fields(record)? })
    }

    fn method(&self, kind: &str, map: &Map<String, Value>) -> Result<Method, DocumentError> {
        let parameters = match map.get("parameters") {
            Some(json) => Some(self.at("parameters").parameters(json)?),
            None => None,
        };
        if kind == "query" && map.contains_key("input") {
            return Err(self.error("a query has no input"));
        }
        let body = |name: &str| -> Result<Option<Schema>, DocumentError> {
            let Some(json) = map.get(name) else { return Ok(None) };
            let at = self.at(name);
            let body = at.object(json)?;
            at.required_text(body, "encoding")?;
            body.get("schema").map(|schema| at.at("schema").schema(schema)).transpose()
        };
        let (input, output) = (body("input")?, body("output")?);
        let output = match map.get("message") {
            Some(message) if kind == "subscription" => {
                let at = self.at("message");
                at.object(message)?.get("schema").map(|schema| at.at("schema").schema(schema)).transpose()?
            }
            _ => output,
        };
        for error in self.array(map, "errors")? {
            let at = self.at("errors");
            at.required_text(at.object(error)?, "name")?;
        }
        Ok(Method { parameters, input, output })
    }

    fn parameters(&self, json: &Value) -> Result<Object, DocumentError> {
        let map = self.object(json)?;
        if map.get("type").and_then(Value::as_str) != Some("params") {
            return Err(self.error("must be of type \"params\""));
        }
        let object = self.fields(map)?;
        let scalar =
            |schema: &Schema| matches!(schema, Schema::Boolean { .. } | Schema::Integer(_) | Schema::String(_));
        let list = |schema: &Schema| matches!(schema, Schema::Array { items, .. } if scalar(items));
        let fits = |schema: &Schema| scalar(schema) || list(schema);
        match object.fields.iter().find(|field| !fits(&field.schema)) {
            Some(field) => Err(self.at(&field.key).error("is no parameter type")),
            None => Ok(object),
        }
    }

    fn permission_set(&self, map: &Map<String, Value>) -> Result<Definition, DocumentError> {
        for permission in self.array(map, "permissions")? {
            let at = self.at("permissions");
            let permission = at.object(permission)?;
            if at.required_text(permission, "type")? != "permission" {
                return Err(at.error("must be of type \"permission\""));
            }
            at.required_text(permission, "resource")?;
        }
        Ok(Definition::PermissionSet)
    }

    fn schema(&self, json: &Value) -> Result<Schema, DocumentError> {
        if self.depth > SCHEMA_DEPTH_MAX {
            return Err(self.error("nests too deep"));
        }
        let map = self.object(json)?;
        Ok(match self.required_text(map, "type")? {
            "boolean" => {
                Schema::Boolean { constant: self.boolean(map, "const")?, default: self.boolean(map, "default")? }
            }
            "integer" => Schema::Integer(self.integer_rules(map)?),
            "string" => Schema::String(Box::new(self.text_rules(map)?)),
            "bytes" => Schema::Bytes(self.span(map, "minLength", "maxLength")?),
            "cid-link" => Schema::CidLink,
            "blob" => Schema::Blob { accept: self.texts(map, "accept")?, size_bytes_max: self.count(map, "maxSize")? },
            "array" => Schema::Array {
                items: Box::new(self.at("items").schema(map.get("items").unwrap_or(&Value::Null))?),
                count: self.span(map, "minLength", "maxLength")?,
            },
            "object" => Schema::Object(self.fields(map)?),
            "ref" => Schema::Ref(self.target(self.required_text(map, "ref")?)?),
            "union" => self.union(map)?,
            "unknown" => Schema::Unknown,
            other => return Err(self.error(&format!("unknown type {other:?}"))),
        })
    }

    fn fields(&self, map: &Map<String, Value>) -> Result<Object, DocumentError> {
        let required = self.texts(map, "required")?;
        let nullable = self.texts(map, "nullable")?;
        let none = Map::new();
        let at = self.at("properties");
        let properties = match map.get("properties") {
            Some(json) => at.object(json)?,
            None => &none,
        };
        if let Some(missing) = required.iter().chain(&nullable).find(|key| !properties.contains_key(*key)) {
            return Err(self.error(&format!("{missing:?} is required or nullable, but no property")));
        }
        let mut fields = Vec::with_capacity(properties.len());
        for (key, json) in properties {
            fields.push(Field {
                key: key.clone(),
                required: required.contains(key),
                nullable: nullable.contains(key),
                schema: at.at(key).schema(json)?,
            });
        }
        Ok(Object { fields })
    }

    fn union(&self, map: &Map<String, Value>) -> Result<Schema, DocumentError> {
        let closed = self.boolean(map, "closed")?.unwrap_or(false);
        let mut variants = Vec::new();
        for reference in self.texts(map, "refs")? {
            variants.push(self.target(&reference)?);
        }
        if closed && variants.is_empty() {
            return Err(self.error("a closed union has at least one variant"));
        }
        Ok(Schema::Union { variants, closed })
    }

    fn target(&self, reference: &str) -> Result<Target, DocumentError> {
        let target = Target::parse(self.id, reference);
        if target.name.is_empty() || Nsid::parse(&target.nsid).is_err() {
            return Err(self.error(&format!("{reference:?} is no reference")));
        }
        Ok(target)
    }

    fn integer_rules(&self, map: &Map<String, Value>) -> Result<Integer, DocumentError> {
        let mut allowed = Vec::new();
        for value in self.array(map, "enum")? {
            allowed.push(value.as_i64().ok_or_else(|| self.error("\"enum\" must list integers"))?);
        }
        if let Some(constant) = self.integer(map, "const")? {
            allowed = vec![constant];
        }
        Ok(Integer {
            minimum: self.integer(map, "minimum")?,
            maximum: self.integer(map, "maximum")?,
            allowed,
            default: self.integer(map, "default")?,
        })
    }

    fn text_rules(&self, map: &Map<String, Value>) -> Result<Text, DocumentError> {
        self.texts(map, "knownValues")?;
        let mut allowed = self.texts(map, "enum")?;
        if let Some(constant) = self.text(map, "const")? {
            allowed = vec![constant.to_owned()];
        }
        Ok(Text {
            format: self.text(map, "format")?.and_then(Format::named),
            bytes: self.span(map, "minLength", "maxLength")?,
            graphemes: self.span(map, "minGraphemes", "maxGraphemes")?,
            allowed,
            default: self.text(map, "default")?.map(str::to_owned),
        })
    }

    fn span(&self, map: &Map<String, Value>, minimum: &str, maximum: &str) -> Result<Span, DocumentError> {
        Ok(Span { minimum: self.count(map, minimum)?, maximum: self.count(map, maximum)? })
    }

    fn required_text<'j>(&self, map: &'j Map<String, Value>, key: &str) -> Result<&'j str, DocumentError> {
        self.text(map, key)?.ok_or_else(|| self.error(&format!("{key:?} is missing")))
    }

    fn text<'j>(&self, map: &'j Map<String, Value>, key: &str) -> Result<Option<&'j str>, DocumentError> {
        self.typed(map, key, Value::as_str, "a string")
    }

    fn boolean(&self, map: &Map<String, Value>, key: &str) -> Result<Option<bool>, DocumentError> {
        self.typed(map, key, Value::as_bool, "a boolean")
    }

    fn integer(&self, map: &Map<String, Value>, key: &str) -> Result<Option<i64>, DocumentError> {
        self.typed(map, key, Value::as_i64, "an integer")
    }

    fn count(&self, map: &Map<String, Value>, key: &str) -> Result<Option<u64>, DocumentError> {
        self.typed(map, key, Value::as_u64, "a natural number")
    }

    fn array<'j>(&self, map: &'j Map<String, Value>, key: &str) -> Result<&'j [Value], DocumentError> {
        Ok(self.typed(map, key, Value::as_array, "an array")?.map_or(&[], Vec::as_slice))
    }

    fn texts(&self, map: &Map<String, Value>, key: &str) -> Result<Vec<String>, DocumentError> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let texts: Option<Vec<String>> = self.array(map, key)?.iter().map(text).collect();
        texts.ok_or_else(|| self.error(&format!("{key:?} must list strings")))
    }

    fn typed<'j, T>(
        &self,
        map: &'j Map<String, Value>,
        key: &str,
        read: impl FnOnce(&'j Value) -> Option<T>,
        what: &str,
    ) -> Result<Option<T>, DocumentError> {
        match map.get(key) {
            Some(value) => read(value).map(Some).ok_or_else(|| self.error(&format!("{key:?} must be {what}"))),
            None => Ok(None),
        }
    }
}
