//! Checks JSON against a parsed schema. Recursion follows the value, and is bounded.

use allod_atproto::cid::Link;
use serde_json::{Map, Value};
use unicode_segmentation::UnicodeSegmentation;

use super::definition::{Definition, Integer, Object, Schema, Span, Target, Text};
use super::invalid::{Invalid, integer, quoted, shown, type_of};
use super::set::SchemaSet;

/// Fields whose values are repeated nowhere.
const SECRET_KEYS: [&str; 4] = ["password", "token", "authFactorToken", "verificationCode"];

/// How deep a value is followed.
const VALUE_DEPTH_MAX: usize = 128;

/// How many fields a blob reference has: `$type`, `ref`, `mimeType` and `size`.
const BLOB_FIELDS: usize = 4;

/// What a value of a union is called in messages.
const TYPED_OBJECT: &str = "an object which includes the \"$type\" property";

/// One check, with the place it has come to.
pub(super) struct Check<'a> {
    set: &'a SchemaSet,
    path: Vec<Segment<'a>>,
}

/// One step of a path.
enum Segment<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Check<'a> {
    /// Starts a check at `$`.
    pub(super) fn new(set: &'a SchemaSet) -> Self {
        Self { set, path: Vec::new() }
    }

    /// Checks the fields of an object.
    pub(super) fn object(&mut self, object: &'a Object, value: &'a Value) -> Result<(), Invalid> {
        let Value::Object(map) = value else { return self.wrong_type("object", value) };
        self.fields(object, map)
    }

    /// Checks a value of any schema.
    pub(super) fn value(&mut self, schema: &'a Schema, value: &'a Value) -> Result<(), Invalid> {
        match schema {
            Schema::Boolean { constant, .. } => self.boolean(*constant, value),
            Schema::Integer(rules) => self.integer(rules, value),
            Schema::String(rules) => self.string(rules, value),
            Schema::Bytes(length) => match bytes_length(value) {
                Some(got) => self.span("bytes", *length, || got),
                None => self.wrong_type("bytes", value),
            },
            Schema::CidLink => match link(value) {
                Some(()) => Ok(()),
                None => self.wrong_type("cid", value),
            },
            Schema::Blob { accept, size_bytes_max } => self.blob(accept, *size_bytes_max, value),
            Schema::Array { items, count } => self.array(items, *count, value),
            Schema::Object(object) => self.object(object, value),
            Schema::Token(name) if value.as_str() == Some(name) => Ok(()),
            Schema::Token(name) => self.wrong_value(&[quoted(name)], value),
            Schema::Ref(target) => self.reference(target, value),
            Schema::Union { variants, closed } => self.union(variants, *closed, value),
            Schema::Unknown if type_of(value) == "object" => Ok(()),
            Schema::Unknown => self.wrong_type("object", value),
        }
    }

    /// Gives the place the check has come to.
    pub(super) fn path(&self) -> String {
        let step = |segment: &Segment<'_>| match segment {
            Segment::Index(index) => format!("[{index}]"),
            Segment::Key(key) if is_identifier(key) => format!(".{key}"),
            Segment::Key(key) => format!("[{}]", quoted(key)),
        };
        self.path.iter().fold("$".to_owned(), |path, segment| path + &step(segment))
    }

    fn fields(&mut self, object: &'a Object, map: &'a Map<String, Value>) -> Result<(), Invalid> {
        for field in &object.fields {
            match map.get(&field.key) {
                None if field.required && field.schema.default().is_none() => {
                    return Err(Invalid::missing_key(self.path(), &field.key));
                }
                None => {}
                Some(Value::Null) if field.nullable => {}
                Some(value) => self.below(Segment::Key(&field.key), &field.schema, value)?,
            }
        }
        Ok(())
    }

    fn below(&mut self, segment: Segment<'a>, schema: &'a Schema, value: &'a Value) -> Result<(), Invalid> {
        self.path.push(segment);
        if self.path.len() > VALUE_DEPTH_MAX {
            return Err(Invalid::too_deep(self.path()));
        }
        self.value(schema, value)?;
        self.path.pop();
        Ok(())
    }

    fn boolean(&self, constant: Option<bool>, value: &Value) -> Result<(), Invalid> {
        match (value.as_bool(), constant) {
            (None, _) => self.wrong_type("boolean", value),
            (Some(got), Some(constant)) if got != constant => self.wrong_value(&[constant.to_string()], value),
            _ => Ok(()),
        }
    }

    fn integer(&self, rules: &Integer, value: &Value) -> Result<(), Invalid> {
        let Some(got) = integer(value) else { return self.wrong_type("integer", value) };
        if let Some(maximum) = rules.maximum.filter(|maximum| got > *maximum) {
            return Err(Invalid::too_big(self.path(), "integer", &maximum.to_string(), &got.to_string()));
        }
        if let Some(minimum) = rules.minimum.filter(|minimum| got < *minimum) {
            return Err(Invalid::too_small(self.path(), "integer", &minimum.to_string(), &got.to_string()));
        }
        if !rules.allowed.is_empty() && !rules.allowed.contains(&got) {
            let allowed: Vec<String> = rules.allowed.iter().map(ToString::to_string).collect();
            return self.wrong_value(&allowed, value);
        }
        Ok(())
    }

    fn string(&self, rules: &Text, value: &Value) -> Result<(), Invalid> {
        let Some(text) = value.as_str() else { return self.wrong_type("string", value) };
        if !rules.allowed.is_empty() && !rules.allowed.iter().any(|allowed| allowed == text) {
            let allowed: Vec<String> = rules.allowed.iter().map(|allowed| quoted(allowed)).collect();
            return self.wrong_value(&allowed, value);
        }
        self.span("string", rules.bytes, || count(text.len()))?;
        if !surely_within(rules.graphemes, text) {
            self.span("grapheme", rules.graphemes, || graphemes(text))?;
        }
        match rules.format {
            Some(format) if !format.fits(text) => Err(Invalid::wrong_format(self.path(), format, text)),
            _ => Ok(()),
        }
    }

    fn blob(&self, accept: &[String], size_bytes_max: Option<u64>, value: &Value) -> Result<(), Invalid> {
        let Some((media_type, size)) = blob(value) else { return self.wrong_type("blob", value) };
        if !accept.is_empty() && !accept.iter().any(|pattern| accepts(pattern, media_type)) {
            let allowed: Vec<String> = accept.iter().map(|pattern| quoted(pattern)).collect();
            return Err(Invalid::wrong_value(format!("{}.mimeType", self.path()), &allowed, &quoted(media_type)));
        }
        self.span("blob", Span { minimum: None, maximum: size_bytes_max }, || size)
    }

    fn array(&mut self, items: &'a Schema, length: Span, value: &'a Value) -> Result<(), Invalid> {
        let Value::Array(list) = value else { return self.wrong_type("array", value) };
        self.span("array", length, || count(list.len()))?;
        for (index, item) in list.iter().enumerate() {
            self.below(Segment::Index(index), items, item)?;
        }
        Ok(())
    }

    fn reference(&mut self, target: &Target, value: &'a Value) -> Result<(), Invalid> {
        match self.set.follow(target) {
            Some(Definition::Schema(Schema::Object(object))) => {
                self.named(target, value)?;
                self.object(object, value)
            }
            Some(Definition::Schema(schema)) => self.value(schema, value),
            Some(Definition::Record(record)) => {
                self.named(target, value)?;
                self.object(&record.object, value)
            }
            Some(Definition::Method(_) | Definition::PermissionSet) | None => {
                Err(Invalid::unknown_schema(self.path(), &target.type_name))
            }
        }
    }

    /// Checks that an object that names its type names the one that is referred to.
    fn named(&self, target: &Target, value: &Value) -> Result<(), Invalid> {
        match value.get("$type") {
            Some(got) if got.as_str() != Some(&target.type_name) => {
                let path = format!("{}.$type", self.path());
                Err(Invalid::wrong_value(path, &[quoted(&target.type_name)], &shown(got)))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn union(&mut self, variants: &'a [Target], closed: bool, value: &'a Value) -> Result<(), Invalid> {
        let Some(type_name) = value.get("$type").and_then(Value::as_str) else {
            return self.wrong_type(TYPED_OBJECT, value);
        };
        match variants.iter().find(|target| target.type_name == type_name) {
            // An open union takes any type, so also one of a lexicon that is not at hand.
            Some(target) if closed || self.set.follow(target).is_some() => self.reference(target, value),
            None if closed => {
                let allowed: Vec<String> = variants.iter().map(|target| quoted(&target.type_name)).collect();
                Err(Invalid::wrong_value(format!("{}.$type", self.path()), &allowed, &quoted(type_name)))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn span(&self, what: &str, limits: Span, got: impl FnOnce() -> u64) -> Result<(), Invalid> {
        if limits.minimum.is_none() && limits.maximum.is_none() {
            return Ok(());
        }
        let got = got();
        if let Some(maximum) = limits.maximum.filter(|maximum| got > *maximum) {
            return Err(Invalid::too_big(self.path(), what, &maximum.to_string(), &got.to_string()));
        }
        match limits.minimum.filter(|minimum| got < *minimum) {
            Some(minimum) => Err(Invalid::too_small(self.path(), what, &minimum.to_string(), &got.to_string())),
            None => Ok(()),
        }
    }

    fn wrong_type(&self, expected: &str, value: &Value) -> Result<(), Invalid> {
        Err(Invalid::wrong_type(self.path(), expected, &self.shown(value)))
    }

    fn wrong_value(&self, allowed: &[String], value: &Value) -> Result<(), Invalid> {
        Err(Invalid::wrong_value(self.path(), allowed, &self.shown(value)))
    }

    /// Shows a value; of one that is to be kept secret, whatever is wrong with it, only the type.
    fn shown(&self, value: &Value) -> String {
        match self.path.last() {
            Some(&Segment::Key(key)) if SECRET_KEYS.contains(&key) => type_of(value).to_owned(),
            _ => shown(value),
        }
    }
}

/// Gives the length of `{"$bytes": …}`, without decoding it.
fn bytes_length(value: &Value) -> Option<u64> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    let digits = map.get("$bytes")?.as_str()?.trim_end_matches('=').as_bytes();
    let valid = digits.iter().all(|digit| digit.is_ascii_alphanumeric() || matches!(digit, b'+' | b'/'));
    (valid && digits.len() % 4 != 1).then(|| count(digits.len()) * 3 / 4)
}

/// Checks the form `{"$link": …}`.
fn link(value: &Value) -> Option<()> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    Link::parse(map.get("$link")?.as_str()?).ok().map(|_| ())
}

/// Reads the media type and size of a blob reference, which has nothing else.
fn blob(value: &Value) -> Option<(&str, u64)> {
    let map = value.as_object().filter(|map| map.len() == BLOB_FIELDS)?;
    if map.get("$type")?.as_str()? != "blob" {
        return None;
    }
    link(map.get("ref")?)?;
    let size = u64::try_from(integer(map.get("size")?)?).ok()?;
    Some((map.get("mimeType")?.as_str().filter(|media_type| media_type.contains('/'))?, size))
}

/// Says whether a media type fits a pattern: itself, `type/*` or `*/*`.
fn accepts(pattern: &str, media_type: &str) -> bool {
    let media_type = media_type.split(';').next().unwrap_or(media_type).trim();
    match pattern.strip_suffix('*') {
        Some("*/" | "") => true,
        Some(start) => media_type.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)),
        None => media_type.eq_ignore_ascii_case(pattern),
    }
}

/// Says whether it takes no segmentation to know that the graphemes lie within limits. There are no more of them than
/// characters, nor than bytes, and some where there is text.
fn surely_within(limits: Span, text: &str) -> bool {
    let few = |maximum| count(text.len()) <= maximum || count(text.chars().count()) <= maximum;
    let enough = |minimum| minimum == 0 || (minimum == 1 && !text.is_empty());
    limits.maximum.is_none_or(few) && limits.minimum.is_none_or(enough)
}

/// Counts what a reader takes for characters.
fn graphemes(text: &str) -> u64 {
    if !text.is_ascii() {
        return count(text.graphemes(true).count());
    }
    // In ASCII only a line end of two characters is one grapheme.
    count(text.len() - text.as_bytes().windows(2).filter(|pair| *pair == b"\r\n").count())
}

fn is_identifier(key: &str) -> bool {
    key.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '_' | '$'))
        && key.chars().skip(1).all(|character| character.is_ascii_alphanumeric() || character == '_')
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
