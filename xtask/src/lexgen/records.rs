//! Finds what the run-time schema set needs beyond the lexicons with wire types: each record type, and the definitions
//! that it leads to. Views, methods and permission sets of other namespaces stay out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::LexgenError;
use super::source::Source;

/// A definition: the NSID of its lexicon, and its name there.
type Place = (String, String);

/// Methods beyond the folders with wire types whose types are written by hand, in `allod_lexicon::app_bsky`.
const HAND_TYPED: [&str; 2] = ["app.bsky.actor.getPreferences", "app.bsky.actor.putPreferences"];

/// Cuts every lexicon down to its record type or method and to what the record types refer to. Of those in `typed`, which are
/// embedded whole, nothing is given.
///
/// Errors: a reference that leads nowhere.
pub(super) fn closure(all: &[Source], typed: &[Source]) -> Result<Vec<Source>, LexgenError> {
    let lexicons: BTreeMap<&str, &Source> = all.iter().map(|source| (source.nsid.as_str(), source)).collect();
    let is_kept = |source: &&Source| {
        let is_record = source.definition("main").is_some_and(|main| main["type"] == "record");
        is_record || HAND_TYPED.contains(&source.nsid.as_str())
    };
    let mut waiting: Vec<Place> =
        all.iter().filter(is_kept).map(|source| (source.nsid.clone(), "main".to_owned())).collect();
    let mut kept: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    while let Some((nsid, name)) = waiting.pop() {
        if !kept.entry(nsid.clone()).or_default().insert(name.clone()) {
            continue;
        }
        let definition = lexicons.get(nsid.as_str()).and_then(|source| source.definition(&name));
        let definition = definition.ok_or_else(|| LexgenError::lexicon(&nsid, format!("has no {name:?}")))?;
        references(definition, &nsid, &mut waiting);
    }
    let typed: BTreeSet<&str> = typed.iter().map(|source| source.nsid.as_str()).collect();
    kept.retain(|nsid, _| !typed.contains(nsid.as_str()));
    Ok(kept.iter().filter_map(|(nsid, names)| lexicons.get(nsid.as_str()).map(|source| cut(source, names))).collect())
}

/// Lists what a definition refers to.
fn references(value: &Value, nsid: &str, found: &mut Vec<Place>) {
    let mut add = |reference: &str| {
        let (other, name) = reference.split_once('#').unwrap_or((reference, "main"));
        found.push((if other.is_empty() { nsid } else { other }.to_owned(), name.to_owned()));
    };
    match value {
        Value::Object(map) => {
            match map.get("type").and_then(Value::as_str) {
                Some("ref") => map.get("ref").and_then(Value::as_str).into_iter().for_each(&mut add),
                Some("union") => map["refs"].as_array().into_iter().flatten().filter_map(Value::as_str).for_each(add),
                _ => {}
            }
            map.values().for_each(|inner| references(inner, nsid, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| references(inner, nsid, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn cut(source: &Source, names: &BTreeSet<String>) -> Source {
    let mut document = source.document.clone();
    if let Some(definitions) = document["defs"].as_object_mut() {
        definitions.retain(|name, _| names.contains(name));
    }
    Source { nsid: source.nsid.clone(), document }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn source(nsid: &str, defs: &Value) -> Source {
        Source { nsid: nsid.to_owned(), document: json!({"lexicon": 1, "id": nsid, "defs": defs}) }
    }

    #[test]
    fn keeps_records_and_what_they_lead_to() {
        let record = |field: Value| json!({"type": "record", "key": "tid", "record": {"type": "object", "properties": {"a": field}}});
        let main = record(json!({"type": "array", "items": {"type": "union", "refs": ["#own", "a.b.defs#other"]}}));
        let all = [
            source("a.b.defs", &json!({"other": {"type": "ref", "ref": "c.d.typed"}, "view": {"type": "token"}})),
            source("a.b.query", &json!({"main": {"type": "query"}})),
            source("a.b.record", &json!({"main": main, "own": {"type": "object"}, "unused": {"type": "token"}})),
            source("c.d.typed", &json!({"main": {"type": "object"}})),
        ];
        let kept = closure(&all, &all[3..]).unwrap();
        let names = |source: &Source| source.definitions().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        let kept: Vec<_> = kept.iter().map(|source| (source.nsid.as_str(), names(source))).collect();
        assert_eq!(kept, [("a.b.defs", vec!["other".to_owned()]), ("a.b.record", vec!["main".into(), "own".into()])]);

        let broken = [source("a.b.record", &json!({"main": record(json!({"type": "ref", "ref": "a.b.none"}))}))];
        let error = closure(&broken, &[]).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("a.b.none: has no \"main\""));
    }
}
