//! A set of lexicons, and the questions one can ask it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use allod_atproto::json::{self, Limits};
use serde_json::{Map, Value};

use super::check::Check;
use super::definition::{Definition, Method, Place, Record, RecordKeyRule, Target};
use super::document::Document;
use super::invalid::Invalid;
use super::parameters;
use crate::generated::documents::DOCUMENTS;

/// A set of lexicons that may refer to each other.
#[derive(Debug, Default)]
pub struct SchemaSet {
    /// Sorted by NSID, and never changed: references remember places in it.
    entries: Vec<Entry>,
}

/// A lexicon, parsed when first asked for.
#[derive(Debug)]
struct Entry {
    nsid: Cow<'static, str>,
    json: &'static str,
    document: OnceLock<Option<Document>>,
}

impl Entry {
    /// Gives the lexicon, parsing it when it is the first time.
    fn document(&self) -> Option<&Document> {
        let parse = || Document::parse(&json::parse(self.json.as_bytes(), &Limits::OWN).ok()?).ok();
        self.document.get_or_init(parse).as_ref()
    }
}

impl SchemaSet {
    /// Gives the lexicons that Allod is built with: all of `com.atproto`, and of the others each record type with what
    /// it refers to.
    pub fn built_in() -> Self {
        let entry = |(nsid, json)| Entry { nsid: Cow::Borrowed(nsid), json, document: OnceLock::new() };
        Self { entries: DOCUMENTS.into_iter().map(entry).collect() }
    }

    /// Collects parsed lexicons; of two with one NSID the later counts.
    pub fn new(documents: impl IntoIterator<Item = Document>) -> Self {
        let sorted: BTreeMap<String, Document> =
            documents.into_iter().map(|document| (document.id().to_string(), document)).collect();
        let entry =
            |(nsid, document)| Entry { nsid: Cow::Owned(nsid), json: "", document: OnceLock::from(Some(document)) };
        Self { entries: sorted.into_iter().map(entry).collect() }
    }

    /// Lists the NSIDs of the set, sorted.
    pub fn nsids(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.nsid.as_ref())
    }

    /// Turns the pairs of a query string into typed JSON with defaults filled, and checks it.
    ///
    /// Repeated keys make an array, booleans are `true` or `false`, unknown keys are dropped.
    /// Errors: a parameter that is missing or wrong, or a method that is not in the set.
    pub fn validate_params(&self, nsid: &str, pairs: &[(String, String)]) -> Result<Value, Invalid> {
        let Some(object) = &self.method(nsid)?.parameters else { return Ok(Value::Object(Map::new())) };
        let typed = parameters::typed(object, pairs);
        Check::new(self).object(object, &typed)?;
        Ok(typed)
    }

    /// Checks the JSON body of a request. A method whose body has no schema takes any.
    ///
    /// Errors: the first place that is wrong, or a method that is not in the set.
    pub fn validate_input(&self, nsid: &str, input: &Value) -> Result<(), Invalid> {
        match &self.method(nsid)?.input {
            Some(schema) => Check::new(self).value(schema, input),
            None => Ok(()),
        }
    }

    /// Checks the JSON body of an answer, or a stream's message. A method whose answer has no schema gives any.
    ///
    /// Errors: the first place that is wrong, or a method that is not in the set.
    pub fn validate_output(&self, nsid: &str, output: &Value) -> Result<(), Invalid> {
        match &self.method(nsid)?.output {
            Some(schema) => Check::new(self).value(schema, output),
            None => Ok(()),
        }
    }

    /// Checks a record of the type `nsid`, whose `$type` has to say so.
    ///
    /// Errors: the first place that is wrong, or a record type that is not in the set.
    pub fn validate_record(&self, nsid: &str, record: &Value) -> Result<(), Invalid> {
        let rules = self.record(nsid).ok_or_else(|| Invalid::unknown_schema("$".to_owned(), nsid))?;
        let Some(map) = record.as_object() else { return Check::new(self).object(&rules.object, record) };
        match map.get("$type") {
            None => return Err(Invalid::missing_key("$".to_owned(), "$type")),
            Some(Value::String(got)) if got == nsid => {}
            Some(got) => {
                let allowed = [Value::from(nsid).to_string()];
                return Err(Invalid::wrong_value("$.$type".to_owned(), &allowed, &got.to_string()));
            }
        }
        Check::new(self).object(&rules.object, record)
    }

    /// Gives the rule for the keys of a record type; `None` when the type is not in the set.
    pub fn record_key(&self, nsid: &str) -> Option<&RecordKeyRule> {
        self.record(nsid).map(|record| &record.key)
    }

    /// Gives a definition.
    pub(super) fn definition(&self, nsid: &str, name: &str) -> Option<&Definition> {
        self.at(self.place(nsid, name)?)
    }

    /// Follows a reference of one of this set's lexicons. Only the first time looks for names.
    pub(super) fn follow(&self, target: &Target) -> Option<&Definition> {
        self.at((*target.place.get_or_init(|| self.place(&target.nsid, &target.name)))?)
    }

    /// Gives a lexicon.
    #[cfg(test)]
    pub(super) fn document(&self, nsid: &str) -> Option<&Document> {
        self.entries.get(self.position(nsid)?)?.document()
    }

    fn place(&self, nsid: &str, name: &str) -> Option<Place> {
        let entry = self.position(nsid)?;
        let definition = self.entries.get(entry)?.document()?.position(name)?;
        Some(Place { entry, definition })
    }

    fn at(&self, place: Place) -> Option<&Definition> {
        self.entries.get(place.entry)?.document()?.definition(place.definition)
    }

    fn position(&self, nsid: &str) -> Option<usize> {
        self.entries.binary_search_by(|entry| entry.nsid.as_ref().cmp(nsid)).ok()
    }

    fn record(&self, nsid: &str) -> Option<&Record> {
        match self.definition(nsid, "main")? {
            Definition::Record(record) => Some(record),
            Definition::Method(_) | Definition::PermissionSet | Definition::Schema(_) => None,
        }
    }

    fn method(&self, nsid: &str) -> Result<&Method, Invalid> {
        match self.definition(nsid, "main") {
            Some(Definition::Method(method)) => Ok(method),
            Some(Definition::Record(_) | Definition::PermissionSet | Definition::Schema(_)) | None => {
                Err(Invalid::unknown_schema("$".to_owned(), nsid))
            }
        }
    }
}
