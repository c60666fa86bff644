//! Plans against their limits and against what a consumer checks.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::car::{self, Limits};
use crate::cbor::{self, Value};
use crate::crypto::{Curve, SigningKey};
use crate::frame::{self, Message};
use crate::{Cid, Datetime, Did, Tid};

fn did() -> Did {
    Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz").unwrap()
}

fn signing_key(curve: Curve) -> SigningKey {
    SigningKey::from_bytes(curve, &[7; 32]).unwrap()
}

fn path(n: u8) -> RecordPath {
    RecordPath::parse(&format!("com.example.c{}/{n:03}", n % 3)).unwrap()
}

fn record(n: u16) -> Bytes {
    cbor::encode(&Value::Array(vec![Value::Integer(n.into())])).into()
}

fn rev(n: u64) -> Tid {
    Tid::from_parts(1_700_000_000_000_000 + n, 3)
}

fn time() -> Datetime {
    Datetime::parse("2026-08-20T12:00:00.000Z").unwrap()
}

fn write(n: u8, change: Change) -> Write {
    Write { path: path(n), change }
}

fn genesis(key: &SigningKey) -> CommitPlan {
    plan(&Tree::empty(), &did(), &[], key, None, rev(0)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is written, a consumer that has the frames alone can follow it.
    #[test]
    fn every_plan_is_followed_from_its_frame(
        batches in prop::collection::vec(prop::collection::btree_map(any::<u8>(), any::<Option<u16>>(), 0..20), 1..12),
        is_k256 in any::<bool>(),
    ) {
        let key = signing_key(if is_k256 { Curve::K256 } else { Curve::P256 });
        let mut head = genesis(&key).head();
        let mut tree = Tree::empty();
        let mut model: BTreeMap<String, Cid> = BTreeMap::new();
        for (n, batch) in (1..).zip(batches) {
            let mut writes = Vec::new();
            for (at, new) in batch {
                let is_there = model.contains_key(path(at).as_str());
                match (new, is_there) {
                    (Some(new), true) => writes.push(write(at, Change::Update(record(new)))),
                    (Some(new), false) => writes.push(write(at, Change::Create(record(new)))),
                    (None, true) => writes.push(write(at, Change::Delete)),
                    (None, false) => continue,
                }
                match new {
                    Some(new) => model.insert(path(at).to_string(), Cid::for_cbor(&record(new))),
                    None => model.remove(path(at).as_str()),
                };
            }
            let plan = plan(&tree, &did(), &writes, &key, Some(&head), rev(n)).unwrap();
            prop_assert_eq!(plan.tree.root(), Tree::from_sorted(model.iter().map(|(key, value)| (key, *value))).unwrap().root());

            let bytes = plan.commit_frame(&time()).with_seq(i64::try_from(n).unwrap());
            let Message::Commit(message) = frame::decode(&bytes).unwrap().message else { panic!("not a commit") };
            prop_assert_eq!(&message, &plan.commit_message(&time()));
            let commit = verify_commit_message(&message, &key.did_key()).unwrap();
            prop_assert_eq!(commit.commit().data, plan.tree.root());
            prop_assert_eq!((message.prev_data, message.since), (Some(head.data), Some(head.rev)));
            let blocks = car::read(&message.blocks, &Limits::COMMIT).unwrap();
            let gone: Vec<Cid> = plan.ops.iter().filter_map(|op| op.action.prev()).collect();
            let new: Vec<Cid> = plan.ops.iter().filter_map(|op| op.action.cid()).collect();
            prop_assert!(new.iter().all(|cid| blocks.get(cid).is_some()));
            prop_assert!(gone.iter().all(|cid| new.contains(cid) || blocks.get(cid).is_none()));
            (tree, head) = (plan.tree.clone(), plan.head());
        }
    }
}

#[test]
fn the_first_commit_is_empty() {
    let key = signing_key(Curve::K256);
    let plan = genesis(&key);
    assert_eq!((plan.since, plan.prev_data, plan.ops.len()), (None, None, 0));
    assert_eq!(plan.head().data.to_string(), "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm");
    assert_eq!(plan.commit.verify(&key.did_key()), Ok(()));
    let blocks = car::read(&plan.blocks, &Limits::COMMIT).unwrap();
    assert_eq!((blocks.roots(), blocks.len()), (&[plan.head().commit][..], 2));
    assert_eq!(verify_commit_message(&plan.commit_message(&time()), &key.did_key()), Ok(plan.commit.clone()));

    let sync = plan.sync_message(&time());
    let blocks = car::read(&sync.blocks, &Limits::COMMIT).unwrap();
    assert_eq!((blocks.root(), blocks.len()), (Some(plan.head().commit), 1));
}

#[test]
fn a_commit_carries_the_known_fields_only() {
    let commit = genesis(&signing_key(Curve::P256)).commit;
    let fields = cbor::decode(commit.bytes()).unwrap();
    let fields: Vec<&str> = fields.as_map().unwrap().iter().map(|(name, _)| name).collect();
    assert_eq!(fields, ["did", "rev", "sig", "data", "prev", "version"]);
    assert_eq!(cbor::decode(commit.bytes()).unwrap().get("prev"), Some(&Value::Null));
    assert_eq!(SignedCommit::parse(commit.bytes()), Ok(commit));
}

#[test]
fn writes_that_do_not_fit_the_repository_are_refused() {
    let key = signing_key(Curve::K256);
    let first = genesis(&key);
    let head = first.head();
    let try_on = |tree: &Tree, head: &Head, writes: &[Write], rev| plan(tree, &did(), writes, &key, Some(head), rev);
    let one = try_on(&first.tree, &head, &[write(1, Change::Create(record(1)))], rev(1)).unwrap();
    let refused = |writes: &[Write]| try_on(&one.tree, &one.head(), writes, rev(2)).unwrap_err();

    let path_1 = || path(1).to_string();
    assert_eq!(refused(&[write(1, Change::Create(record(2)))]), PlanError::RecordExists { path: path_1() });
    assert_eq!(refused(&[write(2, Change::Update(record(2)))]), PlanError::NoSuchRecord { path: path(2).to_string() });
    assert_eq!(refused(&[write(2, Change::Delete)]), PlanError::NoSuchRecord { path: path(2).to_string() });
    let twice = [write(1, Change::Delete), write(1, Change::Create(record(2)))];
    assert_eq!(refused(&twice), PlanError::DuplicatePath { path: path_1() });

    let data = one.head().data;
    assert_eq!(
        try_on(&one.tree, &head, &[], rev(2)).unwrap_err(),
        PlanError::TreeMismatch { expected: head.data, found: data }
    );
    for late in [rev(0), rev(1)] {
        let error = try_on(&one.tree, &one.head(), &[], late).unwrap_err();
        assert_eq!(error, PlanError::RevNotAscending { rev: late, previous: rev(1) });
    }
}

#[test]
fn limits_of_one_commit_are_exact() {
    let key = signing_key(Curve::K256);
    let first = genesis(&key);
    let head = first.head();
    let run = |writes: &[Write]| plan(&first.tree, &did(), writes, &key, Some(&head), rev(1));
    let writes = |count: u16| -> Vec<Write> {
        let path = |n| RecordPath::parse(&format!("com.example.c/{n}")).unwrap();
        (0..count).map(|n| Write { path: path(n), change: Change::Create(record(n)) }).collect()
    };
    assert_eq!(run(&writes(200)).unwrap().ops.len(), OPS_MAX);
    assert_eq!(run(&writes(201)).unwrap_err(), PlanError::TooManyOps { ops: 201 });

    let large = |bytes: usize, fill: u8| -> Bytes {
        let head = 5;
        cbor::encode(&Value::Bytes(vec![fill; bytes - head])).into()
    };
    assert_eq!(large(RECORD_BYTES_MAX, 0).len(), RECORD_BYTES_MAX);
    assert!(run(&[write(1, Change::Create(large(RECORD_BYTES_MAX, 0)))]).is_ok());
    let error = run(&[write(1, Change::Create(large(RECORD_BYTES_MAX + 1, 0)))]).unwrap_err();
    assert_eq!(error, PlanError::RecordTooLarge { path: path(1).to_string(), bytes: RECORD_BYTES_MAX + 1 });
    let two = [1, 2].map(|n| write(n, Change::Create(large(RECORD_BYTES_MAX, n))));
    assert!(matches!(run(&two), Err(PlanError::BlocksTooLarge { bytes }) if bytes > BLOCKS_BYTES_MAX));
    // What is too large is not written on and on.
    let three = [1, 2, 3].map(|n| write(n, Change::Create(large(RECORD_BYTES_MAX, n))));
    assert!(matches!(run(&three), Err(PlanError::BlocksTooLarge { bytes }) if bytes < 2 * RECORD_BYTES_MAX + 10_000));
    // The same block is carried once.
    let same = [1, 2].map(|n| write(n, Change::Create(large(RECORD_BYTES_MAX, 0))));
    assert!(run(&same).unwrap().blocks.len() < BLOCKS_BYTES_MAX);

    let blocks_of = |bytes: usize| {
        let sizes = [RECORD_BYTES_MAX, bytes];
        let writes = [1, 2].map(|n| write(n, Change::Create(large(sizes[usize::from(n) - 1], n))));
        run(&writes).map(|plan| plan.blocks.len())
    };
    let most = 900_000 + BLOCKS_BYTES_MAX - blocks_of(900_000).unwrap();
    assert_eq!(blocks_of(most), Ok(BLOCKS_BYTES_MAX));
    assert_eq!(blocks_of(most + 1), Err(PlanError::BlocksTooLarge { bytes: BLOCKS_BYTES_MAX + 1 }));
}

#[test]
fn a_full_commit_passes_a_consumers_check() {
    let key = signing_key(Curve::K256);
    let first = genesis(&key);
    let path = |n| RecordPath::parse(&format!("com.example.c/{n}")).unwrap();
    let writes: Vec<Write> = (0..200).map(|n| Write { path: path(n), change: Change::Create(record(n)) }).collect();
    assert_eq!(writes.len(), OPS_MAX);
    let full = plan(&first.tree, &did(), &writes, &key, Some(&first.head()), rev(1)).unwrap();
    assert_eq!(verify_commit_message(&full.commit_message(&time()), &key.did_key()), Ok(full.commit));
}

#[test]
fn a_commit_block_has_a_size_that_is_exact() {
    let block = |bytes: usize| SignedCommit::parse(&vec![0xa6; bytes]).unwrap_err();
    assert!(matches!(block(COMMIT_BYTES_MAX), CommitError::Encoding(_)));
    assert_eq!(block(COMMIT_BYTES_MAX + 1), CommitError::TooLarge);
}

#[test]
fn messages_that_lie_are_refused() {
    let key = signing_key(Curve::K256);
    let first = genesis(&key);
    let second =
        plan(&first.tree, &did(), &[write(1, Change::Create(record(1)))], &key, Some(&first.head()), rev(1)).unwrap();
    let writes = [write(1, Change::Update(record(2))), write(2, Change::Create(record(3)))];
    let third = plan(&second.tree, &did(), &writes, &key, Some(&second.head()), rev(2)).unwrap();
    let honest = third.commit_message(&time());
    let refused = |change: &dyn Fn(&mut frame::Commit)| {
        let mut message = honest.clone();
        change(&mut message);
        verify_commit_message(&message, &key.did_key()).unwrap_err()
    };
    let mismatch = |number: u8| VerifyError::Invert(InvertError::OpMismatch { path: path(number).to_string() });
    let other = Cid::for_cbor(b"other");

    let before = second.head().data;
    assert_eq!(
        refused(&|message| message.prev_data = Some(other)),
        VerifyError::PrevDataMismatch { expected: other, found: before }
    );
    assert!(matches!(refused(&|message| drop(message.ops.pop())), VerifyError::PrevDataMismatch { .. }));
    assert_eq!(
        refused(&|message| message.ops.push(message.ops[0].clone())),
        VerifyError::Invert(InvertError::DuplicatePath { path: path(1).to_string() })
    );
    assert_eq!(refused(&|message| message.ops[1].action = OpAction::Delete { prev: Some(other) }), mismatch(2));
    let present = third.ops[0].action.cid().unwrap();
    assert_eq!(refused(&|message| message.ops[1].action = OpAction::Create { cid: present }), mismatch(2));
    assert_eq!(
        refused(&|message| message.ops[1].action = OpAction::Create { cid: other }),
        VerifyError::MissingBlock { cid: other }
    );
    assert_eq!(
        refused(&|message| message.ops[0].action = OpAction::Update { cid: present, prev: None }),
        VerifyError::Invert(InvertError::NoPrev { path: path(1).to_string() })
    );
    assert_eq!(refused(&|message| message.rev = rev(9)), VerifyError::FieldMismatch("rev"));
    assert_eq!(
        refused(&|message| message.repo = Did::parse("did:web:example.com").unwrap()),
        VerifyError::FieldMismatch("repo")
    );
    assert_eq!(refused(&|message| message.commit = other), VerifyError::FieldMismatch("commit"));
    assert_eq!(refused(&|message| message.ops = vec![message.ops[0].clone(); OPS_MAX + 1]), VerifyError::TooManyOps);
    assert!(matches!(refused(&|message| message.blocks = message.blocks.slice(..300)), VerifyError::Car(_)));
    let stranger = SigningKey::from_bytes(Curve::K256, &[8; 32]).unwrap().did_key();
    assert!(matches!(verify_commit_message(&honest, &stranger), Err(VerifyError::Signature(_))));
}

#[test]
fn paths_have_a_collection_and_a_key() {
    let path = RecordPath::parse("com.example.c/pre:fix").unwrap();
    assert_eq!(
        (path.collection(), path.rkey(), path.to_string().as_str()),
        ("com.example.c", "pre:fix", "com.example.c/pre:fix")
    );
    for text in ["", "com.example.c", "com.example.c/", "/a", "example/a", "com.example.c/a/b", "com.example.c/.."] {
        assert!(RecordPath::parse(text).is_err(), "{text}");
    }
}
