//! Trees against maps, against trees built from nothing, and against malformed blocks.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::cbor::Encoder;

/// Keys that share beginnings, of many levels, few enough that a history meets them again.
fn key(n: u16) -> String {
    format!("com.example.c{}/{:03}", n % 3, n % 97)
}

fn value(n: u16) -> Cid {
    Cid::for_cbor(&n.to_be_bytes())
}

fn blocks(tree: &Tree) -> HashMap<Cid, Vec<u8>> {
    let nodes = tree.walk().filter_map(|step| match step {
        Step::Node(node) => Some((node.cid(), node.block())),
        Step::Entry { .. } => None,
    });
    nodes.collect()
}

fn read(root: &Cid, blocks: &HashMap<Cid, Vec<u8>>) -> Result<Tree, TreeError> {
    Tree::from_blocks(root, |cid| blocks.get(cid).map(Vec::as_slice))
}

/// The entries of a tree that is read node by node.
fn stream(root: &Cid, blocks: &HashMap<Cid, Vec<u8>>) -> Result<Vec<(Arc<str>, Cid)>, TreeError> {
    let mut walk = BlockWalk::new(*root);
    let mut entries = Vec::new();
    let block = |cid: &Cid| blocks.get(cid).cloned().ok_or(TreeError::MissingNode { cid: *cid });
    while let Some(entry) = walk.next(block)? {
        entries.push(entry);
    }
    Ok(entries)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// After any history the tree has what a map has, and the shape of one built from nothing.
    #[test]
    fn a_history_leaves_no_trace(changes in prop::collection::vec((any::<u16>(), any::<Option<u16>>()), 0..120)) {
        let mut tree = Tree::empty();
        let mut model = BTreeMap::new();
        for (n, new) in changes {
            let (key, before) = (key(n), tree.clone());
            let root = before.root();
            if let Some(new) = new {
                prop_assert_eq!(tree.set(&key, value(new)), Ok(model.insert(key.clone(), value(new))));
            } else {
                prop_assert_eq!(tree.remove(&key), Ok(model.remove(&key)));
            }
            prop_assert_eq!(before.root(), root);
            prop_assert_eq!(tree.get(&key), model.get(&key).copied());
        }
        for prefix in ["", "com.example.c", "com.example.c0/", "com.example.c1/0", "com.example.c2/09", "com.example.c3/"] {
            prop_assert_eq!(tree.has_prefix(prefix), model.keys().any(|key| key.starts_with(prefix)), "{}", prefix);
        }
        let built = Tree::from_sorted(model.iter().map(|(key, value)| (key, *value))).unwrap();
        prop_assert_eq!(tree.root(), built.root());
        prop_assert_eq!((tree.len(), tree.memory_bytes()), (model.len(), built.memory_bytes()));
        prop_assert!(tree.entries().map(|(key, value)| (key.to_string(), value)).eq(model));
        // Every identifier that was kept is that of the bytes.
        let blocks = blocks(&tree);
        prop_assert!(blocks.iter().all(|(cid, block)| cid.matches(block)));
        prop_assert!(read(&tree.root(), &blocks).unwrap().entries().eq(tree.entries()));
        prop_assert_eq!(stream(&tree.root(), &blocks), Ok(tree.entries().collect()));
        let mut builder = RootBuilder::new();
        prop_assert!(tree.entries().all(|(key, value)| builder.push(&key, value).is_ok()));
        prop_assert_eq!(builder.finish(), tree.root());
    }

    /// The covering proof of any set of changes is enough to take them back, in any order, and the
    /// path of a key to see it.
    #[test]
    fn changes_are_taken_back_with_the_proof_alone(
        keys in prop::collection::btree_set(any::<u16>(), 0..60),
        changes in prop::collection::btree_map(any::<u16>().prop_map(key), any::<Option<u16>>(), 1..12),
        turn in any::<Index>(),
    ) {
        let before = Tree::from_sorted(keys.into_iter().map(|n| (key(n), value(n))).collect::<BTreeMap<_, _>>()).unwrap();
        let mut tree = before.clone();
        let mut undo = Vec::new();
        for (key, new) in &changes {
            let old = match new {
                Some(new) => tree.set(key, value(*new)).unwrap(),
                None => tree.remove(key).unwrap(),
            };
            if old.is_some() || new.is_some() {
                undo.push((key.as_str(), old));
            }
        }
        let middle = turn.index(changes.len()).min(undo.len());
        undo.rotate_left(middle);
        let how = |old: &Option<Cid>| if old.is_none() { Undo::Remove } else { Undo::Set };
        let proof: HashMap<_, _> = tree.covering_proof(undo.iter().map(|(key, old)| (*key, how(old)))).into_iter().collect();
        let mut partial = PartialTree::from_blocks(&tree.root(), |cid| proof.get(cid).map(Vec::as_slice)).unwrap();
        for (key, old) in undo {
            match old {
                Some(old) => partial.set(key, old).unwrap(),
                None => partial.remove(key).unwrap(),
            };
        }
        prop_assert_eq!(partial.root(), before.root());

        for key in changes.keys() {
            let path: HashMap<_, _> = tree.path(key).into_iter().collect();
            let partial = PartialTree::from_blocks(&tree.root(), |cid| path.get(cid).map(Vec::as_slice)).unwrap();
            prop_assert_eq!(partial.get(key), Ok(tree.get(key)));
        }
    }

    /// No other bytes make a tree with the same keys, and none make the reader fail otherwise than with an error.
    #[test]
    fn changed_nodes_are_refused(keys in prop::collection::btree_set(any::<u16>().prop_map(key), 1..40), at in any::<Index>(), to in any::<u8>()) {
        let tree = Tree::from_sorted(keys.iter().map(|key| (key, value(1)))).unwrap();
        let mut blocks = blocks(&tree);
        let root = blocks.get_mut(&tree.root()).unwrap();
        let at = at.index(root.len());
        prop_assume!(root[at] != to);
        root[at] = to;
        let streamed = stream(&tree.root(), &blocks);
        match read(&tree.root(), &blocks) {
            Ok(read) => {
                prop_assert!(!read.entries().eq(tree.entries()));
                prop_assert_eq!(streamed, Ok(read.entries().collect()));
            }
            Err(error) => prop_assert_eq!(streamed, Err(error)),
        }
    }
}

#[test]
fn the_empty_tree_is_known() {
    let root = "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm";
    let tree = Tree::empty();
    assert_eq!(tree.root().to_string(), root);
    assert_eq!((tree.len(), tree.is_empty(), tree.get("a")), (0, true, None));
    assert_eq!(read(&tree.root(), &blocks(&tree)), Ok(tree));
}

#[test]
fn limits_are_kept_and_nothing_changes() {
    let mut tree = Tree::empty();
    assert_eq!(tree.set("", value(0)), Err(TreeError::InvalidKey));
    assert_eq!(tree.set(&"k".repeat(KEY_BYTES_MAX + 1), value(0)), Err(TreeError::InvalidKey));
    assert_eq!(tree.set(&"k".repeat(KEY_BYTES_MAX), value(0)), Ok(None));
    assert_eq!(Tree::from_sorted([("b", value(0)), ("a", value(0))]), Err(TreeError::Unsorted));
    assert_eq!(Tree::from_sorted([("a", value(0)), ("a", value(0))]), Err(TreeError::Unsorted));

    let low: Vec<String> =
        (0..u32::MAX).map(|n| format!("{n:06}")).filter(|key| key_level(key) == 0).take(600).collect();
    let mut full = Tree::from_sorted(low.iter().take(NODE_ENTRIES_MAX).map(|key| (key, value(0)))).unwrap();
    let root = full.root();
    assert_eq!(full.set(&low[NODE_ENTRIES_MAX], value(0)), Err(TreeError::NodeTooLarge));
    assert_eq!(full.set(&low[7], value(1)), Ok(Some(value(0))));
    assert_eq!(full.set(&low[7], value(0)), Ok(Some(value(1))));
    assert_eq!((full.root(), full.len()), (root, NODE_ENTRIES_MAX));
    let too_many = low.iter().take(NODE_ENTRIES_MAX + 1).map(|key| (key, value(0)));
    assert_eq!(Tree::from_sorted(too_many), Err(TreeError::NodeTooLarge));

    // Two nodes that together are too large are kept apart by a key that therefore stays.
    let middle = (0..u32::MAX).map(|n| format!("{}{n}", low[300])).find(|key| key_level(key) == 1).unwrap();
    let sides = low[100..301].iter().chain([&middle]).chain(&low[301..500]);
    let mut tree = Tree::from_sorted(sides.map(|key| (key, value(0)))).unwrap();
    let (root, len) = (tree.root(), tree.len());
    assert_eq!(tree.remove(&middle), Err(TreeError::NodeTooLarge));
    assert_eq!((tree.root(), tree.len()), (root, len));
}

/// Blocks that no honest writer makes; each is refused for its own reason.
#[test]
fn malformed_trees_are_refused() {
    type Entry<'a> = (&'a str, u64, Option<Cid>);
    let node = |left: Option<Cid>, entries: &[Entry<'_>]| {
        let mut out = Encoder::new();
        out.map(2).text("e").array(entries.len());
        for (key, shared, right) in entries {
            out.map(4).text("k").bytes(key.as_bytes()).text("p").uint(*shared);
            out.text("t").link_or_null(right.as_ref()).text("v").link(&value(0));
        }
        out.text("l").link_or_null(left.as_ref());
        out.into_bytes()
    };
    let key_at = |level: u8, from: &str| {
        (0..u32::MAX).map(|n| format!("{from}{n}")).find(|key| key_level(key) == level).unwrap()
    };
    let (a0, b0, b1, c0) = (key_at(0, "a"), key_at(0, "b"), key_at(1, "b"), key_at(0, "c"));
    let b0_again = key_at(0, &b0);
    let leaf = node(None, &[(&a0, 0, None)]);
    let leaf_cid = Cid::for_cbor(&leaf);
    let empty = node(None, &[]);
    let cases: [(&str, Vec<u8>, TreeError); 12] = [
        ("top without keys", node(Some(leaf_cid), &[]), TreeError::Malformed("the top has no keys of its own")),
        (
            "empty node",
            node(Some(Cid::for_cbor(&empty)), &[(&b1, 0, None)]),
            TreeError::Malformed("an empty node below the top"),
        ),
        (
            "skipped level",
            node(Some(leaf_cid), &[(&key_at(2, "b"), 0, None)]),
            TreeError::Malformed("a key is on the wrong level"),
        ),
        (
            "mixed levels",
            node(None, &[(&b1, 0, None), (&c0, 0, None)]),
            TreeError::Malformed("a key is on the wrong level"),
        ),
        ("below the bottom", node(Some(leaf_cid), &[(&b0, 0, None)]), TreeError::Malformed("a node below the bottom")),
        ("unsorted", node(None, &[(&c0, 0, None), (&b0, 0, None)]), TreeError::Unsorted),
        ("subtree on the wrong side", node(None, &[(&b1, 0, Some(leaf_cid))]), TreeError::Unsorted),
        ("subtree twice", node(Some(leaf_cid), &[(&b1, 0, Some(leaf_cid))]), TreeError::Unsorted),
        (
            "key not shortened",
            node(None, &[(&b0, 0, None), (&b0_again, 0, None)]),
            TreeError::Malformed("a key is not shortened by what it shares"),
        ),
        ("shares too much", node(None, &[(&b0, 1, None)]), TreeError::Malformed("a key's length")),
        ("missing node", node(Some(value(9)), &[(&b1, 0, None)]), TreeError::MissingNode { cid: value(9) }),
        ("bytes behind", [&leaf[..], b"\0"].concat(), TreeError::Malformed("the node's encoding")),
    ];
    for (name, block, expected) in cases {
        let root = Cid::for_cbor(&block);
        let blocks = HashMap::from([(root, block), (leaf_cid, leaf.clone()), (Cid::for_cbor(&empty), empty.clone())]);
        assert_eq!(stream(&root, &blocks), Err(expected.clone()), "{name}");
        assert_eq!(read(&root, &blocks), Err(expected), "{name}");
    }
}
