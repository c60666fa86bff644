//! The rules: on the public audit logs, and at their edges.

use std::path::PathBuf;

use allod_atproto::{
    Cid, Did,
    crypto::{Curve, SigningKey},
    plc::Operation,
};
use allod_plc::rules::{AuditError, LogEntry, RECOVERY_WINDOW_MILLIS, RuleError, check_next, verify_audit_log};
use serde_json::Value;

use crate::history::Owner;
use crate::running::read_json;

const START_MILLIS: u64 = 1_700_000_000_000;
const HOUR_MILLIS: u64 = 3_600_000;

#[test]
fn valid_logs_are_sound() {
    for (name, log) in vectors("valid") {
        let log: Vec<LogEntry> = log.iter().map(|entry| read(entry).unwrap_or_else(|| panic!("{name}"))).collect();
        let state = verify_audit_log(&log[0].did, &log).unwrap_or_else(|error| panic!("{name}: {error}"));
        let last = log.iter().rfind(|entry| !entry.nullified).unwrap();
        assert_eq!((state.head, state.data), (last.cid, last.operation.data()), "{name}");
    }
}

#[test]
fn invalid_logs_are_not() {
    for (name, log) in vectors("invalid") {
        // Signatures in a wrong form are refused when they are read.
        let Some(log) = log.iter().map(read).collect::<Option<Vec<LogEntry>>>() else {
            assert!(name.contains("_sig_"), "{name}");
            continue;
        };
        let error = verify_audit_log(&log[0].did, &log).expect_err(&name);
        let as_expected = match name.as_str() {
            "log_invalid_nullification_too_slow.json" => {
                matches!(error, AuditError::Rule { index: 2, error: RuleError::TooLate { .. } })
            }
            "log_invalid_update_nullified.json" => {
                matches!(error, AuditError::Rule { index: 4, error: RuleError::Misordered })
            }
            "log_invalid_update_tombstoned.json" => {
                matches!(error, AuditError::Rule { index: 2, error: RuleError::Misordered })
            }
            _ => matches!(error, AuditError::Rule { error: RuleError::Operation(_), .. }),
        };
        assert!(as_expected, "{name}: {error}");
    }
}

#[test]
fn a_log_must_say_what_its_operations_do() {
    let (_, json) = vectors("valid").into_iter().find(|(name, _)| name == "log_nullification.json").unwrap();
    let log: Vec<LogEntry> = json.iter().map(|entry| read(entry).unwrap()).collect();
    let did = log[0].did.clone();
    let changed = |change: fn(&mut Vec<LogEntry>)| {
        let mut log = log.clone();
        change(&mut log);
        verify_audit_log(&did, &log)
    };
    assert!(changed(|_| ()).is_ok());
    assert_eq!(changed(Vec::clear), Err(AuditError::Empty));
    let wrong = |index, what| Err(AuditError::Statement { index, what });
    assert_eq!(changed(|log| log[1].nullified = false), wrong(1, "nullified"));
    assert_eq!(changed(|log| log[2].nullified = true), wrong(2, "nullified"));
    assert_eq!(changed(|log| log[1].cid = log[0].cid), wrong(1, "cid"));
    assert_eq!(changed(|log| log[1].did = Did::parse("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").unwrap()), wrong(1, "did"));
    let at_once = changed(|log| log[1].created_at_millis = log[0].created_at_millis);
    assert_eq!(at_once, Err(AuditError::Rule { index: 1, error: RuleError::TimeNotIncreasing }));
}

#[test]
fn identifiers_have_one_length() {
    let (did, genesis) = Owner::new("alice").genesis();
    for text in [&did.as_str()[..31], &format!("{did}a"), "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"] {
        let other = Did::parse(text).unwrap();
        let refused = check_next(&other, &[], &genesis, START_MILLIS);
        assert_eq!(refused, Err(RuleError::WrongDid { made: did.clone() }));
    }
}

#[test]
fn retired_creates_are_not_taken() {
    let (_, json) = vectors("valid").into_iter().find(|(name, _)| name == "log_legacy_dholms.json").unwrap();
    let first = read(&json[0]).unwrap();
    let refused = check_next(&first.did, &[], &first.operation, START_MILLIS);
    assert!(matches!(refused, Err(RuleError::Operation(_))), "{refused:?}");
}

#[test]
fn operations_follow_the_last_one() {
    let owner = Owner::new("alice");
    let mut log = Log::start(&owner);
    let genesis = log.head();
    log.take(&owner.update(Some(genesis), 1, "a"), 1).unwrap();
    // A genesis operation again, one without a known prev, one whose prev is nobody's.
    let (_, again) = owner.genesis();
    assert_eq!(log.try_take(&again, 2), Err(RuleError::Misordered));
    let nowhere = Cid::for_cbor(b"nowhere");
    assert_eq!(log.try_take(&owner.update(Some(nowhere), 0, "b"), 2), Err(RuleError::Misordered));
    // A key that is no rotation key.
    let mut foreign = Owner::new("alice");
    foreign.keys[0] = SigningKey::from_bytes(Curve::K256, &[77; 32]).unwrap();
    let refused = log.try_take(&foreign.update(Some(log.head()), 0, "c"), 2);
    assert!(matches!(refused, Err(RuleError::Operation(_))), "{refused:?}");
    // Nothing comes at or before the time of the newest.
    let next = owner.update(Some(log.head()), 2, "d");
    assert_eq!(log.try_take(&next, 1), Err(RuleError::TimeNotIncreasing));
    assert!(log.try_take(&next, 2).is_ok());
}

#[test]
fn a_more_powerful_key_undoes_within_72_hours() {
    let owner = Owner::new("alice");
    let mut log = Log::start(&owner);
    let genesis = log.head();
    log.take(&owner.update(Some(genesis), 1, "a"), 1).unwrap();
    let a = log.head();
    log.take(&owner.update(Some(a), 0, "b"), 2).unwrap();
    let b = log.head();
    for (key, taken) in [(2, false), (1, false), (0, true)] {
        let fork = owner.update(Some(genesis), key, "fork");
        let accepted = log.try_take(&fork, 3);
        assert_eq!(accepted.is_ok(), taken, "key {key}: {accepted:?}");
    }
    let fork = owner.update(Some(genesis), 0, "fork");
    assert!(log.try_take(&fork, 1 + RECOVERY_WINDOW_MILLIS).is_ok());
    let late = log.try_take(&fork, 2 + RECOVERY_WINDOW_MILLIS);
    assert_eq!(late, Err(RuleError::TooLate { lapsed_millis: RECOVERY_WINDOW_MILLIS + 1 }));
    assert_eq!(log.take(&fork, 3), Ok(vec![a, b]));
    verify_audit_log(&log.did, &log.entries).expect("a log of taken operations is sound");
    // What was undone can't be followed, nor come back.
    assert_eq!(log.try_take(&owner.update(Some(b), 0, "c"), 4), Err(RuleError::Misordered));
    assert!(log.try_take(&owner.update(Some(genesis), 1, "a"), 4).is_err());
}

#[test]
fn a_tombstone_ends_a_log_unless_it_is_undone() {
    let owner = Owner::new("alice");
    let mut log = Log::start(&owner);
    let genesis = log.head();
    log.take(&owner.tombstone(genesis, 1), 1).unwrap();
    let tombstone = log.head();
    assert_eq!(log.try_take(&owner.update(Some(tombstone), 0, "a"), 2), Err(RuleError::Misordered));
    assert!(log.try_take(&owner.update(Some(genesis), 2, "a"), 2).is_err());
    assert_eq!(verify_audit_log(&log.did, &log.entries).unwrap().data, None);
    assert_eq!(log.take(&owner.update(Some(genesis), 0, "a"), 2), Ok(vec![tombstone]));
    assert!(verify_audit_log(&log.did, &log.entries).unwrap().data.is_some());
}

#[test]
fn a_did_changes_so_often_and_not_more() {
    let owner = Owner::new("alice");
    let mut log = Log::start(&owner);
    let too_many = |window, operations_max| Err(RuleError::TooMany { window, operations_max });
    for n in 1..10 {
        log.take(&owner.update(Some(log.head()), 1, &format!("a{n}.")), n).unwrap();
    }
    let next = owner.update(Some(log.head()), 1, "b");
    assert_eq!(log.try_take(&next, 10), too_many("hour", 10));
    assert_eq!(log.try_take(&next, HOUR_MILLIS - 1), too_many("hour", 10));
    assert!(log.try_take(&next, HOUR_MILLIS).is_ok());
    // Undoing is always possible.
    let fork = owner.update(Some(log.entries[8].cid), 0, "fork");
    assert!(log.try_take(&fork, 10).is_ok());
    for (window, operations_max, first, step) in
        [("day", 30, HOUR_MILLIS, HOUR_MILLIS / 9), ("week", 100, 26 * HOUR_MILLIS, HOUR_MILLIS)]
    {
        let mut at = first;
        while log.entries.len() < operations_max {
            log.take(&owner.update(Some(log.head()), 1, &format!("c{at}.")), at).unwrap();
            at += step;
        }
        let next = owner.update(Some(log.head()), 1, "d.");
        assert_eq!(log.try_take(&next, at), too_many(window, operations_max));
    }
    let later = owner.update(Some(log.head()), 1, "e.");
    assert!(log.try_take(&later, 7 * 24 * HOUR_MILLIS).is_ok());
    verify_audit_log(&log.did, &log.entries).expect("a log of taken operations is sound");
}

/// A log that grows by what is taken; times are milliseconds since its start.
struct Log {
    did: Did,
    entries: Vec<LogEntry>,
}

impl Log {
    fn start(owner: &Owner) -> Self {
        let (did, genesis) = owner.genesis();
        let mut log = Self { did, entries: Vec::new() };
        log.take(&genesis, 0).unwrap();
        log
    }

    fn head(&self) -> Cid {
        self.entries.iter().rfind(|entry| !entry.nullified).unwrap().cid
    }

    fn try_take(&self, operation: &Operation, millis: u64) -> Result<Vec<Cid>, RuleError> {
        check_next(&self.did, &self.entries, operation, START_MILLIS + millis).map(|accepted| accepted.nullified)
    }

    fn take(&mut self, operation: &Operation, millis: u64) -> Result<Vec<Cid>, RuleError> {
        let nullified = self.try_take(operation, millis)?;
        for entry in self.entries.iter_mut().filter(|entry| nullified.contains(&entry.cid)) {
            entry.nullified = true;
        }
        self.entries.push(LogEntry {
            did: self.did.clone(),
            operation: operation.clone(),
            cid: operation.cid(),
            nullified: false,
            created_at_millis: START_MILLIS + millis,
        });
        Ok(nullified)
    }
}

fn vectors(folder: &str) -> Vec<(String, Vec<Value>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../atproto/tests/vectors/did-method-plc/interop_tests/audit_log")
        .join(folder);
    let logs: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| {
            let Value::Array(log) = read_json(std::fs::read(file.path()).unwrap()) else { panic!("no list") };
            (file.file_name().into_string().unwrap(), log)
        })
        .collect();
    assert_eq!(logs.len(), 10);
    logs
}

fn read(entry: &Value) -> Option<LogEntry> {
    let created_at: jiff::Timestamp = entry["createdAt"].as_str()?.parse().ok()?;
    Some(LogEntry {
        did: Did::parse(entry["did"].as_str()?).ok()?,
        operation: Operation::parse(&entry["operation"]).ok()?,
        cid: Cid::parse(entry["cid"].as_str()?).ok()?,
        nullified: entry["nullified"].as_bool()?,
        created_at_millis: created_at.as_millisecond().try_into().ok()?,
    })
}
