//! Every generated method against its own lexicon: the constants, the error names, and examples of its parameters and
//! bodies that have to survive the types and pass the schema set.

use allod_atproto::json::{Limits, parse};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::app_bsky::actor::{get_preferences::GetPreferences, put_preferences::PutPreferences};
use crate::generated::documents::DOCUMENTS;
use crate::generated::methods::each_method;
use crate::method::{DeclaredError, Kind, Method, MethodInfo};
use crate::schema::SchemaSet;

#[test]
fn every_method_round_trips_its_examples() {
    macro_rules! run {
        ($method:ty) => {
            check::<$method>();
        };
    }
    each_method!(run);
}

/// Methods whose types are written by hand.
const HAND_WRITTEN: [&str; 2] = [GetPreferences::NSID, PutPreferences::NSID];

#[test]
fn those_written_by_hand_say_what_their_lexicons_say() {
    for (nsid, kind) in HAND_WRITTEN.into_iter().zip([GetPreferences::KIND, PutPreferences::KIND]) {
        let wanted = if kind == Kind::Query { "query" } else { "procedure" };
        assert_eq!(document(nsid)["defs"]["main"]["type"], wanted);
    }
}

#[test]
fn the_list_of_methods_is_that_of_the_lexicons() {
    let kinds = ["query", "procedure", "subscription"];
    let wanted: Vec<&str> = DOCUMENTS
        .iter()
        .filter(|(_, json)| kinds.contains(&lexicon(json)["defs"]["main"]["type"].as_str().unwrap_or_default()))
        .map(|(nsid, _)| *nsid)
        .filter(|nsid| !HAND_WRITTEN.contains(nsid))
        .collect();
    let listed: Vec<&str> = MethodInfo::all().iter().map(|method| method.nsid).collect();
    assert_eq!(listed, wanted);
    assert_eq!(listed.len(), 92);
    assert_eq!(MethodInfo::find("com.atproto.repo.uploadBlob").unwrap().input_encoding, Some("*/*"));
    assert!(MethodInfo::find("com.atproto.repo.strongRef").is_none());
}

/// Which fields an example has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fields {
    All,
    Required,
}

/// Checks one method.
fn check<M: Method>() {
    let document = document(M::NSID);
    let main = &document["defs"]["main"];
    let kind = match M::KIND {
        Kind::Query => "query",
        Kind::Procedure => "procedure",
        Kind::Subscription => "subscription",
    };
    assert_eq!(main["type"], kind, "{}", M::NSID);
    assert_eq!(main["input"]["encoding"].as_str(), M::INPUT_ENCODING, "{}", M::NSID);
    assert_eq!(main["output"]["encoding"].as_str(), M::OUTPUT_ENCODING, "{}", M::NSID);
    let declared: Vec<&str> =
        main["errors"].as_array().into_iter().flatten().map(|error| error["name"].as_str().unwrap()).collect();
    assert_eq!(M::Error::NAMES, declared, "{}", M::NSID);

    let schemas = SchemaSet::built_in();
    for fields in [Fields::All, Fields::Required] {
        if let Some(schema) = main.get("parameters") {
            for example in examples(M::NSID, schema, fields) {
                round_trip::<M::Params>(M::NSID, &example);
                let typed = schemas.validate_params(M::NSID, &pairs(&example)).unwrap();
                round_trip::<M::Params>(M::NSID, &typed);
            }
        }
        if let Some(schema) = main["input"].get("schema") {
            for example in examples(M::NSID, schema, fields) {
                schemas.validate_input(M::NSID, &example).unwrap_or_else(|invalid| panic!("{}: {invalid}", M::NSID));
                round_trip::<M::Input>(M::NSID, &example);
            }
        }
        let output = if M::KIND == Kind::Subscription { &main["message"] } else { &main["output"] };
        if let Some(schema) = output.get("schema") {
            for example in examples(M::NSID, schema, fields) {
                schemas.validate_output(M::NSID, &example).unwrap_or_else(|invalid| panic!("{}: {invalid}", M::NSID));
                round_trip::<M::Output>(M::NSID, &example);
            }
        }
    }
}

fn round_trip<T: Serialize + DeserializeOwned>(nsid: &str, example: &Value) {
    let typed: T = serde_json::from_value(example.clone()).unwrap_or_else(|error| panic!("{nsid}: {error}: {example}"));
    let back = serde_json::to_value(&typed).unwrap();
    // Only a default may have been added; an absent optional field that comes back as null is a defect.
    let filled = |key: &String| back.get(key).is_some_and(|value| !value.is_null()) && example.get(key).is_none();
    let defaults: Vec<&String> = back.as_object().into_iter().flat_map(Map::keys).filter(|key| filled(key)).collect();
    let mut without = back.clone();
    for key in defaults {
        without.as_object_mut().unwrap().shift_remove(key);
    }
    assert_eq!(&without, example, "{nsid}");
}

/// Makes values of a schema: one, or one for each variant of a union within it.
fn examples(nsid: &str, schema: &Value, fields: Fields) -> Vec<Value> {
    match schema["type"].as_str().unwrap() {
        "boolean" => vec![json!(true)],
        "integer" => vec![schema.get("minimum").cloned().unwrap_or(json!(7))],
        "string" => vec![json!(text(schema))],
        "bytes" => vec![json!({"$bytes": "aGk"})],
        "cid-link" => vec![json!({"$link": CID})],
        "blob" => vec![json!({"$type": "blob", "ref": {"$link": CID}, "mimeType": "image/png", "size": 3})],
        "unknown" => vec![json!({"anything": [1, "a", null]})],
        "array" => examples(nsid, &schema["items"], fields).into_iter().map(|item| json!([item])).collect(),
        "object" | "params" => object_examples(nsid, schema, fields),
        "ref" => {
            let (nsid, definition) = resolve(nsid, schema["ref"].as_str().unwrap());
            if definition["type"] == "record" {
                return vec![json!({"$type": nsid, "lexicon": 1, "defs": {}})];
            }
            examples(&nsid, &definition, fields)
        }
        "union" => {
            let mut all = Vec::new();
            for reference in schema["refs"].as_array().unwrap() {
                let reference = reference.as_str().unwrap();
                let (other, definition) = resolve(nsid, reference);
                let tag = if reference.starts_with('#') { format!("{nsid}{reference}") } else { reference.to_owned() };
                for example in examples(&other, &definition, fields) {
                    let mut tagged = Map::from_iter([("$type".to_owned(), json!(tag))]);
                    tagged.extend(example.as_object().unwrap().clone());
                    all.push(Value::Object(tagged));
                }
            }
            if schema["closed"] != true {
                all.push(json!({"$type": "com.example.other#thing", "kept": 1}));
            }
            all
        }
        other => panic!("{nsid}: no example for {other}"),
    }
}

fn object_examples(nsid: &str, schema: &Value, fields: Fields) -> Vec<Value> {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let nullable = schema["nullable"].as_array().cloned().unwrap_or_default();
    let mut all = vec![Map::new()];
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        if fields == Fields::Required && !required.contains(&key.as_str()) {
            continue;
        }
        let mut values = examples(nsid, property, fields);
        if nullable.contains(&json!(key)) {
            values.push(Value::Null);
        }
        let first = all.first().cloned().unwrap();
        for map in &mut all {
            map.insert(key.clone(), values[0].clone());
        }
        for value in values.into_iter().skip(1) {
            let mut map = first.clone();
            map.insert(key.clone(), value);
            all.push(map);
        }
    }
    // A variant made early lacks the fields that came later; they are those of the first.
    let first = all.first().cloned().unwrap();
    for map in &mut all {
        for (key, value) in &first {
            map.entry(key).or_insert_with(|| value.clone());
        }
    }
    all.into_iter().map(Value::Object).collect()
}

const CID: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

fn text(schema: &Value) -> &str {
    match schema["format"].as_str() {
        Some("at-identifier" | "did") => "did:plc:ewvi7nxzyoun6zhxrhs64oiz",
        Some("at-uri") => "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/com.example.note/3jzfcijpj2z2a",
        Some("cid") => CID,
        Some("datetime") => "2026-11-24T04:05:06.789Z",
        Some("handle") => "alice.test",
        Some("language") => "en-GB",
        Some("nsid") => "com.example.note",
        Some("record-key" | "tid") => "3jzfcijpj2z2a",
        Some("uri") => "https://example.com/a?b#c",
        Some(other) => panic!("no example of the format {other}"),
        None => schema["enum"][0].as_str().or_else(|| schema["knownValues"][0].as_str()).unwrap_or("text"),
    }
}

/// Turns an example of parameters into the pairs of a query string.
fn pairs(example: &Value) -> Vec<(String, String)> {
    let one = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let all =
        |value: &Value| value.as_array().map_or_else(|| vec![one(value)], |items| items.iter().map(one).collect());
    let map = example.as_object().unwrap();
    map.iter().flat_map(|(key, value)| all(value).into_iter().map(move |text| (key.clone(), text))).collect()
}

fn resolve(nsid: &str, reference: &str) -> (String, Value) {
    let (other, name) = reference.split_once('#').unwrap_or((reference, "main"));
    let other = if other.is_empty() { nsid } else { other };
    (other.to_owned(), document(other)["defs"][name].clone())
}

fn document(nsid: &str) -> Value {
    lexicon(DOCUMENTS.iter().find(|(id, _)| *id == nsid).unwrap_or_else(|| panic!("no lexicon {nsid}")).1)
}

fn lexicon(json: &str) -> Value {
    parse(json.as_bytes(), &Limits::OWN).unwrap()
}
