//! What the schema set answers: message texts, typed parameters, defaults, limits.

use serde_json::{Value, json};

use super::*;

const CREATE_ACCOUNT: &str = "com.atproto.server.createAccount";
const LIST_RECORDS: &str = "com.atproto.repo.listRecords";

fn set() -> SchemaSet {
    SchemaSet::built_in()
}

#[test]
fn every_embedded_lexicon_parses() {
    let schemas = set();
    let missing: Vec<&str> = schemas.nsids().filter(|nsid| schemas.document(nsid).is_none()).collect();
    assert_eq!(missing, [""; 0]);
    assert_eq!(schemas.nsids().count(), 140);
}

#[test]
fn messages_are_those_clients_know() {
    let input = |json: Value| set().validate_input("com.atproto.admin.updateAccountHandle", &json).unwrap_err();
    let did = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
    let cases = [
        (json!({"handle": "a.test"}), "$", InvalidKind::MissingKey, "Missing required key \"did\" at $"),
        (json!({"did": did}), "$", InvalidKind::MissingKey, "Missing required key \"handle\" at $"),
        (
            json!({"did": did, "handle": "jo_hn.test"}),
            "$.handle",
            InvalidKind::WrongFormat,
            "Invalid handle (got \"jo_hn.test\") at $.handle",
        ),
        (
            json!({"did": "x", "handle": "a.test"}),
            "$.did",
            InvalidKind::WrongFormat,
            "Invalid DID (got \"x\") at $.did",
        ),
        (
            json!({"did": did, "handle": 3}),
            "$.handle",
            InvalidKind::WrongType,
            "Expected string value type (got 3) at $.handle",
        ),
        (
            json!({"did": did, "handle": null}),
            "$.handle",
            InvalidKind::WrongType,
            "Expected string value type (got null) at $.handle",
        ),
        (json!([]), "$", InvalidKind::WrongType, "Expected object value type (got []) at $"),
    ];
    for (json, path, kind, message) in cases {
        let invalid = input(json);
        assert_eq!((invalid.path.as_str(), invalid.kind, invalid.message.as_str()), (path, kind, message));
        assert_eq!(invalid.to_string(), message);
    }
}

#[test]
fn a_long_offending_text_is_shortened() {
    let handle = "é".repeat(10_000);
    let json = json!({"did": "did:plc:ewvi7nxzyoun6zhxrhs64oiz", "handle": handle});
    let invalid = set().validate_input("com.atproto.admin.updateAccountHandle", &json).unwrap_err();
    assert_eq!(invalid.message, format!("Invalid handle (got \"{}…\") at $.handle", "é".repeat(256)));
}

#[test]
fn sign_up_and_handle_change_leave_the_handle_to_the_domain() {
    set().validate_input(CREATE_ACCOUNT, &json!({"handle": "jo_hn.test"})).unwrap();
    set().validate_input("com.atproto.identity.updateHandle", &json!({"handle": "jo_hn.test"})).unwrap();
    assert!(set().validate_input(CREATE_ACCOUNT, &json!({"handle": 1})).is_err());
    assert!(set().validate_input(CREATE_ACCOUNT, &json!({"handle": "a.test", "did": "x"})).is_err());
}

#[test]
fn unknown_fields_are_ignored() {
    set().validate_input(CREATE_ACCOUNT, &json!({"handle": "a.test", "other": {"deep": [1.5]}})).unwrap();
}

#[test]
fn parameters_are_typed_and_defaults_filled() {
    let typed = params(LIST_RECORDS, "repo=alice.test&collection=com.example.a&reverse=true&other=1").unwrap();
    let wanted = json!({"repo": "alice.test", "collection": "com.example.a", "limit": 50, "reverse": true});
    assert_eq!(typed, wanted);
    let typed = params("com.atproto.repo.getRecord", "repo=a.test&collection=com.example.a&rkey=1").unwrap();
    assert_eq!(typed["rkey"], "1");
    assert_eq!(params("com.atproto.server.describeServer", "a=b").unwrap(), json!({}));
}

#[test]
fn repeated_keys_make_arrays() {
    let typed = params("com.atproto.admin.getAccountInfos", "dids=did:web:a.test&dids=did:web:b.test").unwrap();
    assert_eq!(typed, json!({"dids": ["did:web:a.test", "did:web:b.test"]}));
    let typed = params("com.atproto.admin.getAccountInfos", "dids=did:web:a.test").unwrap();
    assert_eq!(typed, json!({"dids": ["did:web:a.test"]}));
    let invalid = params("com.atproto.admin.getAccountInfos", "dids=did:web:a.test&dids=x").unwrap_err();
    assert_eq!(invalid.message, "Invalid DID (got \"x\") at $.dids[1]");
}

#[test]
fn wrong_parameters_are_refused_by_name() {
    let list = |rest: &str| {
        let query = format!("repo=a.test&collection=com.example.a&{rest}");
        params(LIST_RECORDS, &query).unwrap_err().message
    };
    assert_eq!(list("limit=101"), "integer too big (maximum 100, got 101) at $.limit");
    assert_eq!(list("limit=0"), "integer too small (minimum 1, got 0) at $.limit");
    assert_eq!(list("limit="), "Expected integer value type (got \"\") at $.limit");
    assert_eq!(list("limit=1.5"), "Expected integer value type (got \"1.5\") at $.limit");
    assert_eq!(list("limit=+5"), "Expected integer value type (got \"+5\") at $.limit");
    assert_eq!(list("limit=99999999999999999999"), "Expected integer value type (got 1e+20) at $.limit");
    assert_eq!(list("limit=5&limit=6"), "Expected integer value type (got [5, 6]) at $.limit");
    assert_eq!(list("reverse=1"), "Expected boolean value type (got \"1\") at $.reverse");
    let missing = params(LIST_RECORDS, "repo=a.test").unwrap_err();
    assert_eq!(missing.message, "Missing required key \"collection\" at $");
}

#[test]
fn integers_stay_within_53_bits() {
    let codes = |count: Value| {
        set().validate_input("com.atproto.server.createInviteCodes", &json!({"codeCount": 1, "useCount": count}))
    };
    codes(json!(9_007_199_254_740_991_i64)).unwrap();
    codes(json!(3.0)).unwrap();
    for wrong in [json!(9_007_199_254_740_992_i64), json!(u64::MAX), json!(1e300), json!(3.5), json!("3"), json!(true)]
    {
        assert_eq!(codes(wrong.clone()).unwrap_err().path, "$.useCount", "{wrong}");
    }
}

#[test]
fn a_default_stands_in_for_a_required_field() {
    set().validate_input("com.atproto.server.createInviteCodes", &json!({"useCount": 1})).unwrap();
}

#[test]
fn closed_unions_name_what_they_take() {
    let write = |write: Value| {
        let json = json!({"repo": "a.test", "writes": [write]});
        set().validate_input("com.atproto.repo.applyWrites", &json).map_err(|invalid| invalid.message)
    };
    let delete = "com.atproto.repo.applyWrites#delete";
    write(json!({"$type": delete, "collection": "com.example.a", "rkey": "1"})).unwrap();
    assert_eq!(
        write(json!({"$type": delete, "collection": "com.example.a"})).unwrap_err(),
        "Missing required key \"rkey\" at $.writes[0]"
    );
    assert_eq!(
        write(json!({"collection": "com.example.a", "rkey": "1"})).unwrap_err(),
        "Expected an object which includes the \"$type\" property value type (got {\"collection\": ..., \"rkey\": ...}) at $.writes[0]"
    );
    assert_eq!(
        write(json!({"$type": "x"})).unwrap_err(),
        "Expected one of \"com.atproto.repo.applyWrites#create\", \"com.atproto.repo.applyWrites#update\" or \
         \"com.atproto.repo.applyWrites#delete\" (got \"x\") at $.writes[0].$type"
    );
}

#[test]
fn open_unions_take_any_typed_object() {
    let report = |subject: Value| {
        let json = json!({"reasonType": "com.atproto.moderation.defs#reasonSpam", "subject": subject});
        set().validate_input("com.atproto.moderation.createReport", &json).map_err(|invalid| invalid.path)
    };
    report(json!({"$type": "com.example.other", "a": 1})).unwrap();
    report(json!({"$type": "com.atproto.admin.defs#repoRef", "did": "did:web:a.test"})).unwrap();
    assert_eq!(report(json!({"$type": "com.atproto.admin.defs#repoRef", "did": 1})), Err("$.subject.did".to_owned()));
    assert_eq!(report(json!({"did": "did:web:a.test"})), Err("$.subject".to_owned()));
}

#[test]
fn a_record_names_its_own_type() {
    let set = SchemaSet::new([lexicon(&json!({"main": {"type": "record", "key": "literal:self", "record": {
        "type": "object", "required": ["text"], "properties": {"text": {"type": "string", "maxGraphemes": 2}}
    }}}))]);
    let check = |record: Value| set.validate_record("com.example.a", &record).map_err(|invalid| invalid.message);
    check(json!({"$type": "com.example.a", "text": "🏳️‍🌈🏳️‍🌈"})).unwrap();
    assert_eq!(
        check(json!({"$type": "com.example.a", "text": "🏳️‍🌈🏳️‍🌈🏳️‍🌈"})).unwrap_err(),
        "grapheme too big (maximum 2, got 3) at $.text"
    );
    assert_eq!(check(json!({"text": "a"})).unwrap_err(), "Missing required key \"$type\" at $");
    assert_eq!(
        check(json!({"$type": "com.example.b", "text": "a"})).unwrap_err(),
        "Expected \"com.example.a\" (got \"com.example.b\") at $.$type"
    );
    assert_eq!(set.validate_record("com.example.b", &json!({})).unwrap_err().kind, InvalidKind::UnknownSchema);
    let key = |text: &str| allod_atproto::RecordKey::parse(text).unwrap();
    let rule = set.record_key("com.example.a").unwrap();
    assert!(rule.accepts(&key("self")) && !rule.accepts(&key("other")));
    assert!(RecordKeyRule::Tid.accepts(&key("3jzfcijpj2z2a")) && !RecordKeyRule::Tid.accepts(&key("self")));
    assert!(RecordKeyRule::Nsid.accepts(&key("com.example.a")) && !RecordKeyRule::Nsid.accepts(&key("self")));
}

#[test]
fn a_value_that_nests_too_deep_is_refused() {
    let set = SchemaSet::new([lexicon(&json!({
        "main": {"type": "object", "properties": {"next": {"type": "ref", "ref": "#main"}}},
        "call": {"type": "object", "properties": {}},
    }))]);
    let Some(definition::Definition::Schema(schema)) = set.definition("com.example.a", "main") else { panic!() };
    let deep = |levels: usize| (0..levels).fold(json!({}), |inner, _| json!({"next": inner}));
    check::Check::new(&set).value(schema, &deep(128)).unwrap();
    assert_eq!(check::Check::new(&set).value(schema, &deep(129)).unwrap_err().kind, InvalidKind::TooDeep);
}

#[test]
fn a_schema_that_nests_too_deep_is_refused() {
    let deep = |levels: usize| {
        let schema = (0..levels).fold(json!({"type": "string"}), |items, _| json!({"type": "array", "items": items}));
        Document::parse(&json!({"lexicon": 1, "id": "com.example.a", "defs": {"main": schema}}))
    };
    deep(20).unwrap();
    assert!(deep(40).unwrap_err().reason.contains("too deep"));
}

#[test]
fn malformed_definitions_are_refused_at_their_place() {
    let parse = |defs: Value| {
        let document = Document::parse(&json!({"lexicon": 1, "id": "com.example.a", "defs": defs}));
        document.map(|_| ()).map_err(|error| error.to_string())
    };
    let cases = [
        (json!({}), "the top"),
        (json!({"main": {"type": "string", "maxLength": -1}}), "defs.main"),
        (json!({"main": {"type": "object", "required": ["a"], "properties": {}}}), "defs.main"),
        (json!({"main": {"type": "array"}}), "defs.main.items"),
        (json!({"main": {"type": "object", "properties": {"a": {"type": "odd"}}}}), "defs.main.properties.a"),
        (json!({"main": {"type": "array", "items": {"type": "union", "closed": true, "refs": []}}}), "defs.main.items"),
        (json!({"main": {"type": "array", "items": {"type": "ref", "ref": "not a ref"}}}), "defs.main.items"),
        (json!({"main": {"type": "query", "parameters": {"type": "object"}}}), "defs.main.parameters"),
    ];
    for (defs, place) in cases {
        let error = parse(defs.clone()).expect_err(&defs.to_string());
        assert!(error.contains(&format!("at {place}")), "{defs}: {error}");
    }
}

fn lexicon(defs: &Value) -> Document {
    Document::parse(&json!({"lexicon": 1, "id": "com.example.a", "defs": defs})).unwrap()
}

/// Reads a query string that needs no decoding.
fn params(nsid: &str, query: &str) -> Result<Value, Invalid> {
    let pair = |part: &str| {
        let (key, text) = part.split_once('=').unwrap();
        (key.to_owned(), text.to_owned())
    };
    set().validate_params(nsid, &query.split('&').map(pair).collect::<Vec<_>>())
}
