//! `atproto-interop-tests/syntax`.

use allod_atproto::{AtIdentifier, AtUri, CidString, Datetime, Did, Handle, Language, Nsid, RecordKey, Tid, Uri};

use crate::vectors;

fn check<T>(name: &str, parse: impl Fn(&str) -> Result<T, allod_atproto::SyntaxError>, as_str: impl Fn(&T) -> String) {
    for line in vectors::lines(&format!("atproto-interop-tests/syntax/{name}_syntax_valid.txt")) {
        match parse(&line) {
            Ok(parsed) => assert_eq!(as_str(&parsed), line),
            Err(error) => panic!("refused {line:?}: {error}"),
        }
    }
    for line in vectors::lines(&format!("atproto-interop-tests/syntax/{name}_syntax_invalid.txt")) {
        assert!(parse(&line).is_err(), "accepted {line:?}");
    }
}

/// Whether valid text comes back unchanged is checked for all types but those that fold its case.
fn check_kept<T: AsRef<str>>(name: &str, parse: impl Fn(&str) -> Result<T, allod_atproto::SyntaxError>) {
    check(name, parse, |parsed| parsed.as_ref().to_owned());
}

fn check_folded<T: AsRef<str>>(name: &str, parse: impl Fn(&str) -> Result<T, allod_atproto::SyntaxError>) {
    let is_kept_or_folded = |line: &str| {
        let parsed = parse(line)?;
        let folds = parsed.as_ref() == line || parsed.as_ref() == line.to_ascii_lowercase();
        assert!(folds, "{line:?} became {:?}", parsed.as_ref());
        Ok(line.to_owned())
    };
    check(name, is_kept_or_folded, String::clone);
}

#[test]
fn did() {
    check_kept("did", Did::parse);
}

#[test]
fn handle() {
    check_folded("handle", Handle::parse);
}

#[test]
fn at_identifier() {
    check_folded("atidentifier", AtIdentifier::parse);
}

#[test]
fn nsid() {
    check_kept("nsid", Nsid::parse);
}

#[test]
fn tid() {
    check_kept("tid", Tid::parse);
}

#[test]
fn record_key() {
    check_kept("recordkey", RecordKey::parse);
}

#[test]
fn at_uri() {
    check_kept("aturi", AtUri::parse);
}

#[test]
fn cid() {
    check_kept("cid", CidString::parse);
}

#[test]
fn uri() {
    check_kept("uri", Uri::parse);
}

#[test]
fn datetime() {
    check_kept("datetime", Datetime::parse);
    for line in vectors::lines("atproto-interop-tests/syntax/datetime_parse_invalid.txt") {
        assert!(Datetime::parse(&line).is_err(), "accepted {line:?}");
    }
}

#[test]
fn language() {
    check_kept("language", Language::parse);
    for line in vectors::lines("atproto-interop-tests/syntax/language_syntax_valid.txt") {
        assert!(Language::parse(&line).unwrap().has_distinct_subtags(), "{line:?}");
    }
    for line in vectors::lines("atproto-interop-tests/syntax/language_parse_invalid.txt") {
        assert!(!Language::parse(&line).unwrap().has_distinct_subtags(), "{line:?}");
    }
}
