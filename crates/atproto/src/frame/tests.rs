//! Frames there and back, field by field.

use bytes::Bytes;

use super::*;
use crate::cbor::{self, Value};
use crate::repo::{OpAction, RecordPath};

fn did() -> Did {
    Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz").unwrap()
}

fn time() -> Datetime {
    Datetime::parse("2026-08-20T12:00:00.000Z").unwrap()
}

fn rev(n: u64) -> Tid {
    Tid::from_parts(n, 1)
}

fn op(path: &str, action: OpAction) -> RepoOp {
    RepoOp { path: RecordPath::parse(path).unwrap(), action }
}

fn a_commit() -> Commit {
    let (cid, prev) = (Cid::for_cbor(b"new"), Cid::for_cbor(b"old"));
    let ops = vec![
        op("com.example.c/a", OpAction::Create { cid }),
        op("com.example.c/b", OpAction::Update { cid, prev: Some(prev) }),
        op("com.example.c/c", OpAction::Delete { prev: Some(prev) }),
    ];
    Commit {
        repo: did(),
        commit: Cid::for_cbor(b"commit"),
        rev: rev(2),
        since: Some(rev(1)),
        blocks: Bytes::from_static(b"blocks"),
        ops,
        prev_data: Some(Cid::for_cbor(b"tree")),
        time: time(),
    }
}

/// The fields of a frame's header and body, by name.
fn fields(frame: &[u8]) -> (Value, Value) {
    let mut input = cbor::Decoder::new(frame);
    let parts = (input.value().unwrap(), input.value().unwrap());
    input.end().unwrap();
    parts
}

fn names(value: &Value) -> Vec<&str> {
    value.as_map().unwrap().iter().map(|(name, _)| name).collect()
}

/// Numbers of every encoded length go where they belong, and the frame stays canonical.
#[test]
fn numbered_frames_come_back() {
    let identity_of = |handle: Option<&str>| {
        Message::Identity(Identity {
            did: did(),
            handle: handle.map(|handle| Handle::parse(handle).unwrap()),
            time: time(),
        })
    };
    let account_of = |active, status| Message::Account(Account { did: did(), active, status, time: time() });
    let mut messages = vec![
        Message::Commit(a_commit()),
        Message::Commit(Commit { since: None, prev_data: None, ops: Vec::new(), ..a_commit() }),
        Message::Sync(Sync { did: did(), rev: rev(3), blocks: Bytes::from_static(b"blocks"), time: time() }),
        identity_of(None),
        identity_of(Some("alice.example.com")),
        identity_of(Some("handle.invalid")),
        account_of(true, None),
    ];
    messages.extend(AccountStatus::ALL.map(|status| account_of(false, Some(status))));
    for message in messages {
        let encoded = match &message {
            Message::Commit(message) => commit(message),
            Message::Sync(message) => sync(message),
            Message::Identity(message) => identity(message),
            Message::Account(message) => account(message),
            Message::Info(_) | Message::Error(_) | Message::Other { .. } => panic!("has no number"),
        };
        for seq in [1, 23, 24, 255, 256, 65_535, 65_536, 4_294_967_295, 4_294_967_296, (1 << 53) - 1] {
            let bytes = encoded.with_seq(seq);
            assert_eq!(decode(&bytes), Ok(Frame { seq: Some(seq), message: message.clone() }));
        }
    }
}

#[test]
fn a_commit_has_the_fields_of_the_lexicon() {
    let frame = commit(&a_commit()).with_seq(5);
    let (header, body) = fields(&frame);
    assert_eq!((header.get("op"), header.get("t")), (Some(&Value::Integer(1)), Some(&Value::Text("#commit".into()))));
    let all =
        ["ops", "rev", "seq", "repo", "time", "blobs", "since", "blocks", "commit", "rebase", "tooBig", "prevData"];
    assert_eq!(names(&body), all);
    assert_eq!((body.get("rebase"), body.get("tooBig")), (Some(&Value::Bool(false)), Some(&Value::Bool(false))));
    assert_eq!(body.get("blobs"), Some(&Value::Array(Vec::new())));
    let ops = body.get("ops").unwrap().as_array().unwrap();
    assert_eq!(names(&ops[0]), ["cid", "path", "action"]);
    assert_eq!(names(&ops[1]), ["cid", "path", "prev", "action"]);
    assert_eq!((names(&ops[2]), ops[2].get("cid")), (vec!["cid", "path", "prev", "action"], Some(&Value::Null)));

    let first = Commit { since: None, prev_data: None, ..a_commit() };
    let (_, body) = fields(&commit(&first).with_seq(5));
    assert_eq!(names(&body), all[..11]);
    assert_eq!(body.get("since"), Some(&Value::Null));
}

#[test]
fn frames_without_a_number_come_back() {
    for text in [None, Some("for people".to_owned())] {
        let message = Info { name: "OutdatedCursor".to_owned(), message: text.clone() };
        assert_eq!(decode(&info(&message)), Ok(Frame { seq: None, message: Message::Info(message) }));
        let message = Error { error: "FutureCursor".to_owned(), message: text };
        assert_eq!(fields(&error(&message)).0.get("op"), Some(&Value::Integer(-1)));
        assert_eq!(decode(&error(&message)), Ok(Frame { seq: None, message: Message::Error(message) }));
    }
}

#[test]
fn malformed_frames_are_refused() {
    let whole = commit(&a_commit()).with_seq(5);
    for end in 0..whole.len() {
        assert!(decode(&whole[..end]).is_err(), "the first {end} bytes");
    }
    assert!(matches!(decode(&[&whole[..], b"\0"].concat()), Err(FrameError::Encoding(_))));
    assert_eq!(decode(&vec![0; FRAME_BYTES_MAX + 1]), Err(FrameError::TooLarge));
    assert_eq!(decode(b"\xa0\xa0"), Err(FrameError::Header));
    assert_eq!(decode(&commit(&a_commit()).with_seq(-1)), Err(FrameError::Field("seq")));

    let (header, body) = fields(&whole);
    let with = |name: &str, value: Value| {
        let mut body = body.as_map().unwrap().clone();
        body.insert(name, value);
        decode(&[cbor::encode(&header), cbor::encode(&Value::Map(body))].concat())
    };
    assert_eq!(with("tooBig", Value::Bool(true)), Err(FrameError::Field("tooBig")));
    assert_eq!(with("rebase", Value::Bool(true)), Err(FrameError::Field("rebase")));
    assert_eq!(with("time", Value::Text("yesterday".into())), Err(FrameError::Field("time")));
    assert!(with("unheardOf", Value::Null).is_ok());
    let mut ops = body.get("ops").unwrap().as_array().unwrap().to_vec();
    if let Value::Map(create) = &mut ops[0] {
        create.insert("prev", Value::Link(Cid::for_cbor(b"old").into()));
    }
    assert_eq!(with("ops", Value::Array(ops)), Err(FrameError::Field("ops")));

    let labels = [
        cbor::encode(&Value::Map(
            [("op".to_owned(), Value::Integer(1)), ("t".to_owned(), Value::Text("#labels".into()))]
                .into_iter()
                .collect(),
        )),
        cbor::encode(&body),
    ]
    .concat();
    let other = Message::Other { kind: "#labels".to_owned() };
    assert_eq!(decode(&labels), Ok(Frame { seq: Some(5), message: other }));
}
