//! The public lexicon vectors, one reader per folder of `tests/vectors`, and the vendored lexicons themselves.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where a file is not as expected")]

use std::fs;
use std::path::{Path, PathBuf};

use allod_atproto::json::{Limits, parse};
use allod_lexicon::schema::{Document, SchemaSet};
use serde_json::Value;

#[test]
fn interop_lexicons_are_told_apart() {
    check_lexicons("atproto-interop-tests/lexicon", 3, 7);
}

#[test]
fn atproto_lexicons_are_told_apart() {
    check_lexicons("atproto/lex", 3, 6);
}

#[test]
fn indigo_lexicons_are_valid() {
    let catalog = json_files(&vectors("indigo/atproto/lexicon/testdata/catalog"));
    assert_eq!(catalog.len(), 3);
    for path in catalog {
        Document::parse(&read(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    // A linter has something to say of these, but each is a lexicon.
    for case in cases(&vectors("indigo/lex/lexlint/testdata/lint-examples.json"), 3) {
        Document::parse(&case["schema"]).unwrap_or_else(|error| panic!("{}: {error}", case["name"]));
    }
}

#[test]
fn interop_record_data_is_told_apart() {
    let folder = vectors("atproto-interop-tests/lexicon");
    let catalog = json_files(&folder.join("catalog"));
    assert_eq!(catalog.len(), 5);
    let set = SchemaSet::new(catalog.iter().map(|path| Document::parse(&read(path)).unwrap()));
    let check = |case: &Value| set.validate_record("example.lexicon.record", &case["data"]);
    let valid = cases(&folder.join("record-data-valid.json"), 3);
    for case in &valid {
        check(case).unwrap_or_else(|invalid| panic!("{}: {invalid}", case["name"]));
    }
    for case in cases(&folder.join("record-data-invalid.json"), 50) {
        assert!(check(&case).is_err(), "{}", case["name"]);
    }
}

/// Some vectors lack the required field `integer` or misname a field, so that they fail for another reason than the
/// one they are about. With these repaired, each has to fail where its name says.
#[test]
fn interop_invalid_record_data_fails_in_the_field_it_is_about() {
    let folder = vectors("atproto-interop-tests/lexicon");
    let catalog = json_files(&folder.join("catalog"));
    let set = SchemaSet::new(catalog.iter().map(|path| Document::parse(&read(path)).unwrap()));
    for mut case in cases(&folder.join("record-data-invalid.json"), 50) {
        let name = case["name"].as_str().unwrap().to_owned();
        let data = case["data"].as_object_mut().unwrap();
        let Some(field) = data.keys().find(|key| !matches!(key.as_str(), "$type" | "integer")).cloned() else {
            continue;
        };
        data.entry("integer").or_insert(Value::from(1));
        let invalid = set.validate_record("example.lexicon.record", &case["data"]).expect_err(&name);
        let places = [format!("$.{field}"), format!("$[\"{field}\"]")];
        assert!(places.iter().any(|place| invalid.path.starts_with(place)), "{name}: {invalid}");
    }
}

#[test]
fn every_vendored_lexicon_is_a_valid_document() {
    let lexicons = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lexicons");
    let paths = json_files(&lexicons);
    assert!(paths.len() >= 407, "{} lexicons", paths.len());
    for path in paths {
        let document = Document::parse(&read(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let below = path.strip_prefix(&lexicons).unwrap().with_extension("");
        let below = below.strip_prefix("legacy").unwrap_or(&below);
        assert_eq!(below.to_str().unwrap().replace('/', "."), document.id().as_str());
    }
}

fn check_lexicons(folder: &str, valid: usize, invalid: usize) {
    let folder = vectors(folder);
    for case in cases(&folder.join("lexicon-valid.json"), valid) {
        Document::parse(&case["lexicon"]).unwrap_or_else(|error| panic!("{}: {error}", case["name"]));
    }
    for case in cases(&folder.join("lexicon-invalid.json"), invalid) {
        assert!(Document::parse(&case["lexicon"]).is_err(), "{}", case["name"]);
    }
}

/// Reads a list of cases; the count keeps an empty or shortened file from passing.
fn cases(path: &Path, count: usize) -> Vec<Value> {
    let cases = read(path).as_array().unwrap().clone();
    assert_eq!(cases.len(), count, "{}", path.display());
    cases
}

fn read(path: &Path) -> Value {
    parse(&fs::read(path).unwrap(), &Limits::OWN).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn vectors(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(folder)
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(json_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files
}
