//! What is not taken, after which everything is as before.

use allod_atproto::{
    Cid, Tid, car, cbor,
    cbor::Encoder,
    crypto::Curve,
    repo::{Commit, NODE_ENTRIES_MAX, SignedCommit, key_level},
};
use allod_store::sql;
use allod_testkit::TestPds;
use bytes::Bytes;
use serde_json::json;

use super::{CAR, Made, Mover, NSID, check_nothing_left, made, made::Block, now_rev};
use crate::{
    elsewhere::key,
    seen::{self, refusal},
};

/// A node as no tree makes it.
fn node(left: Option<Cid>, entries: &[(&str, Cid)]) -> Block {
    let mut out = Encoder::new();
    out.map(2).text("e").array(entries.len());
    let mut before = "";
    for (key, value) in entries {
        let shared = before.bytes().zip(key.bytes()).take_while(|(a, b)| a == b).count();
        out.map(4).text("k").bytes(&key.as_bytes()[shared..]).text("p").uint(shared as u64);
        out.text("t").link_or_null(None).text("v").link(value);
        before = key;
    }
    out.text("l").link_or_null(left.as_ref());
    let block = out.into_bytes();
    (Cid::for_cbor(&block), block)
}

fn key_of_level(level: u8, number: usize) -> String {
    let keys = (0..u32::MAX).map(|n| format!("com.example.note/{n:06}"));
    keys.filter(|key| key_level(key) == level).nth(number).unwrap()
}

/// A file of a commit over any nodes and records.
fn with_root(mover: &Mover, pds: &TestPds, data: Cid, blocks: &[Block]) -> Bytes {
    let commit = Commit { did: mover.did().clone(), rev: now_rev(pds), data, prev: None }.sign(&mover.resident.signing);
    with_commit(&commit, blocks)
}

fn with_commit(commit: &SignedCommit, blocks: &[Block]) -> Bytes {
    made::file(&commit.cid(), &[&[(commit.cid(), commit.bytes().to_vec())], blocks].concat())
}

fn varint_section(length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = length;
    while rest >= 0x80 {
        bytes.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

fn with_header(roots: &[Cid], rest: &[u8]) -> Vec<u8> {
    let mut header = Encoder::new();
    header.map(2).text("roots").array(roots.len());
    for root in roots {
        header.link(root);
    }
    header.text("version").uint(1);
    [&varint_section(header.len())[..], header.as_bytes(), rest].concat()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
async fn files_that_are_not_the_accounts_repository() {
    let pds = TestPds::start().await;
    let mover = Mover::new(&pds).await;
    let before = mover.imported(&pds, mover.file(&pds, &mover.made(20))).await;
    pds.advance(std::time::Duration::from_hours(1));
    pds.do_jobs().await;
    check_nothing_left(&pds).await;
    let reads = pds.events().await.len();

    let mut made = Made::new(mover.did());
    for number in 0..40 {
        made.put(&format!("com.example.other/{number:03}"), &json!({ "n": number }));
    }
    let rev = now_rev(&pds);
    let signing = &mover.resident.signing;
    let commit = made.commit(signing, rev);
    let blocks = made.blocks(&commit);
    let whole = made.file(&commit);
    let without = |cid: Cid| -> Vec<Block> { blocks.iter().filter(|block| block.0 != cid).cloned().collect() };
    let (root, nodes, records) = (commit.cid(), made.nodes(), made.records());
    let incomplete = |cid: &Cid| format!("The file is incomplete: the block {cid} is missing");
    let mut other = made.clone();
    other.did = allod_atproto::Did::parse("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
    let foreign = other.commit(signing, rev);
    let forged = made.commit(&key(Curve::K256, 99), rev);
    let ahead = Tid::from_parts(rev.micros() + 301_000_000, 0);
    let in_future = made.commit(signing, ahead);

    let value = records[0].0;
    let wide: Vec<String> = (0..=NODE_ENTRIES_MAX).map(|number| key_of_level(0, number)).collect();
    let wide = node(None, &wide.iter().map(|key| (key.as_str(), value)).collect::<Vec<_>>());
    let leaf = node(None, &[(&key_of_level(0, 0), value)]);
    let wrong_level = node(None, &[(&key_of_level(0, 0), value), (&key_of_level(1, 0), value)]);
    let unsorted = node(None, &[(&key_of_level(0, 1), value), (&key_of_level(0, 0), value)]);
    let mut chain = vec![leaf.clone()];
    for _ in 0..60 {
        chain.push(node(Some(chain.last().unwrap().0), &[]));
    }
    let top = node(Some(chain[60].0), &[(&key_of_level(2, 0), value)]);
    chain.push(top.clone());
    let loose = node(None, &[("com.example.note/a b", value)]);
    let flat = node(None, &[("flat", value)]);
    let raw_value = node(None, &[(&key_of_level(0, 0), Cid::for_raw(&records[0].1))]);

    let record = |path: &str, block: Vec<u8>| {
        let mut made = Made::new(mover.did());
        made.put_block(path, block);
        mover.file(&pds, &made)
    };
    let parse = |path: &str| format!("Could not parse record at '{path}'");
    let large = cbor::encode(
        &[("t".to_owned(), cbor::Value::Text("x".repeat(1_000_000)))].into_iter().collect::<cbor::Map>().into(),
    );
    let huge = vec![0x60; 2_000_001];

    let cases: Vec<(&str, Bytes, String)> = vec![
        ("nothing", Bytes::new(), "A request body is expected but none was provided".to_owned()),
        ("nonsense", Bytes::from_static(b"this is no CAR file"), "Invalid CAR file".to_owned()),
        ("cut in a block", whole.slice(..whole.len() - 1), "Invalid CAR file: the file ends too early".to_owned()),
        ("cut behind a block", made::file(&root, &blocks[..blocks.len() - 1]), parse("com.example.other/039")),
        ("no root", with_header(&[], &[]).into(), "expected one root".to_owned()),
        ("two roots", with_header(&[root, root], &whole[59..]).into(), "expected one root".to_owned()),
        ("no commit", made::file(&root, &without(root)), incomplete(&root)),
        ("a record as its root", made::file(&value, &blocks), "Invalid commit".to_owned()),
        ("without a node", made::file(&root, &without(nodes[1].0)), incomplete(&nodes[1].0)),
        ("without the top", made::file(&root, &without(nodes[0].0)), incomplete(&nodes[0].0)),
        ("without a record", made::file(&root, &without(records[7].0)), parse("com.example.other/007")),
        ("somebody else's", other.file(&foreign), format!("The repository is that of {}", other.did)),
        ("signed by a stranger", made.file(&forged), "The commit's signature is not the account's".to_owned()),
        ("from the future", made.file(&in_future), format!("The revision {ahead} is more than 300 seconds ahead")),
        (
            "other bytes",
            {
                let mut changed = whole.to_vec();
                *changed.last_mut().unwrap() ^= 1;
                changed.into()
            },
            "Invalid CAR file: the bytes of the block".to_owned(),
        ),
        (
            "an oversized block",
            made::file(&root, &[(Cid::for_cbor(&huge), huge)]),
            "Invalid CAR file: a block is larger".to_owned(),
        ),
        (
            "a wide node",
            with_root(&mover, &pds, wide.0, &[wide.clone(), records[0].clone()]),
            "Invalid tree: a node would have more than".to_owned(),
        ),
        (
            "a node below the bottom",
            with_root(&mover, &pds, top.0, &chain),
            "Invalid tree: not a valid tree: a node below".to_owned(),
        ),
        (
            "a key on the wrong level",
            with_root(&mover, &pds, wrong_level.0, &[wrong_level.clone(), records[0].clone()]),
            "Invalid tree: not a valid tree: a key".to_owned(),
        ),
        (
            "keys out of order",
            with_root(&mover, &pds, unsorted.0, &[unsorted.clone(), records[0].clone()]),
            "Invalid tree: the keys are not in ascending".to_owned(),
        ),
        (
            "an empty node in the middle",
            with_root(&mover, &pds, chain[1].0, &chain),
            "Invalid tree: not a valid tree: the top".to_owned(),
        ),
        ("a tree that is a record", with_root(&mover, &pds, value, &records), "Invalid tree".to_owned()),
        (
            "a path that is none",
            with_root(&mover, &pds, loose.0, &[loose.clone(), records[0].clone()]),
            "Invalid record path 'com.example.note/a b'".to_owned(),
        ),
        (
            "a path without a collection",
            with_root(&mover, &pds, flat.0, &[flat.clone(), records[0].clone()]),
            "Invalid record path 'flat'".to_owned(),
        ),
        (
            "a record as raw bytes",
            with_root(&mover, &pds, raw_value.0, &[raw_value.clone(), records[0].clone()]),
            "Could not parse record".to_owned(),
        ),
        ("a record that is a list", record("com.example.a/a", vec![0x80]), parse("com.example.a/a")),
        (
            "a record with a tag that DAG-CBOR has not",
            record("com.example.a/b", b"\xa1\x61a\xc1\0".to_vec()),
            parse("com.example.a/b"),
        ),
        ("a record with bytes behind", record("com.example.a/c", vec![0xa0, 0xa0]), parse("com.example.a/c")),
        ("a record of no bytes", record("com.example.a/d", Vec::new()), parse("com.example.a/d")),
        ("a record too large", record("com.example.a/e", large), parse("com.example.a/e")),
    ];
    for (name, file, expected) in cases {
        let (status, error, message) = mover.import(&pds, file).error().await;
        assert_eq!((status, error.as_str()), (400, "InvalidRequest"), "{name}: {message}");
        assert!(message.starts_with(&expected), "{name}: {message}");
        assert_eq!(mover.shown(&pds).await.bytes, before.bytes, "{name}");
        check_nothing_left(&pds).await;
    }
    assert_eq!(pds.events().await.len(), reads);
    assert_eq!(super::count(&pds, sql!("SELECT count(*) FROM records")).await, 20);

    // The same, done right, is taken.
    let shown = mover.imported(&pds, whole).await;
    assert_eq!(shown.entries, made.entries());
    assert!(car::read(&shown.bytes, &car::Limits::REPOSITORY).is_ok());
}

#[tokio::test]
async fn only_the_account_imports_its_repository() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let whole = pds.xrpc_get("com.atproto.sync.getRepo").param("did", &alice.did).send().await.body;
    let call = || pds.xrpc_post(NSID).body(CAR, whole.clone());
    assert_eq!(call().error().await, refusal(401, "AuthMissing", "Authentication Required"));
    for call in [call().bearer("nonsense"), call().bearer(&alice.refresh), call().admin()] {
        let (status, name, _) = call.error().await;
        assert_eq!((status, name.as_str()), (400, "InvalidToken"));
    }
    seen::wrong_verb(pds.xrpc_get(NSID).bearer(&alice.access), "GET", "POST").await;
    let other_type = pds.xrpc_post(NSID).bearer(&alice.access).body("application/octet-stream", whole.clone());
    let message = "Wrong request encoding (Content-Type): application/octet-stream";
    assert_eq!(other_type.error().await, refusal(400, "InvalidRequest", message));
    let no_body = pds.xrpc_post(NSID).bearer(&alice.access).error().await;
    assert_eq!(no_body, refusal(400, "InvalidRequest", "A request body is expected but none was provided"));
    let coded = call().bearer(&alice.access).header("content-encoding", "gzip").error().await;
    assert_eq!((coded.0, coded.1.as_str()), (415, "UnsupportedMediaType"));
    assert_eq!(call().bearer(&alice.access).header("content-encoding", "identity").send().await.status.as_u16(), 200);
    seen::take_down(&pds, &alice.did).await;
    let refused = call().bearer(&alice.access).error().await;
    assert_eq!(refused, refusal(401, "AccountTakedown", "Account has been taken down"));
}

#[tokio::test]
async fn the_operator_may_want_none_or_smaller_ones() {
    let pds = TestPds::options().config(|config| config.imports.accepted = false).start().await;
    let mover = Mover::new(&pds).await;
    let refused = mover.import(&pds, mover.file(&pds, &mover.made(1))).error().await;
    assert_eq!(refused, refusal(400, "InvalidRequest", "Service is not accepting repo imports"));

    let pds = TestPds::options().config(|config| config.imports.file_bytes_max = 5000).start().await;
    let mover = Mover::new(&pds).await;
    mover.imported(&pds, mover.file(&pds, &mover.made(5))).await;
    let too_large = mover.file(&pds, &mover.made(50));
    assert!(too_large.len() > 5000);
    let refused = mover.import(&pds, too_large.clone()).error().await;
    assert_eq!(refused, refusal(413, "PayloadTooLarge", "request entity too large"));
    // Of one that does not say how large it is, no more is read than that.
    let stream = futures_util::stream::iter(
        too_large.chunks(1000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect::<Vec<_>>(),
    );
    let url = format!("{}/xrpc/{NSID}", pds.url());
    let request = pds.client().post(url).bearer_auth(&mover.access).header("content-type", CAR);
    let response = request.body(reqwest::Body::wrap_stream(stream)).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 413);
    assert_eq!(mover.shown(&pds).await.entries.len(), 5);
}

#[tokio::test]
async fn without_the_accounts_document_nobody_knows_its_key() {
    use allod_testkit::Behaviour;
    let mut pds = TestPds::start().await;
    let mover = Mover::new(&pds).await;
    let file = mover.file(&pds, &mover.made(1));
    // What was looked up is forgotten.
    pds.restart().await;
    pds.plc().behave(Behaviour::Answer(500, "down".to_owned())).await;
    let refused = mover.import(&pds, file.clone()).error().await;
    let message = "The account's DID document can't be had; try again";
    assert_eq!(refused, refusal(502, "UpstreamFailure", message));
    pds.plc().behave(Behaviour::Work).await;
    assert_eq!(mover.imported(&pds, file).await.entries.len(), 1);
}
