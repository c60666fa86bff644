//! Tree shapes: `atproto-interop-tests/mst` and the roots in `derived`.

use std::collections::{BTreeMap, HashMap};

use allod_atproto::Cid;
use allod_atproto::repo::{PartialTree, Step, Tree, key_level};

use crate::vectors;

#[test]
fn key_levels() {
    for case in vectors::cases("atproto-interop-tests/mst/key_heights.json", "") {
        let key = vectors::str(&case, "key");
        assert_eq!(u64::from(key_level(key)), case["height"].as_u64().unwrap(), "{key}");
    }
}

/// Keys that share a beginning are written shortened, which shows in the node of two keys of one level.
#[test]
fn common_prefixes() {
    let value = Cid::for_raw(b"");
    let mut compared = 0;
    for case in vectors::cases("atproto-interop-tests/mst/common_prefix.json", "") {
        let (left, right) = (vectors::str(&case, "left"), vectors::str(&case, "right"));
        if left.is_empty() || right.is_empty() || left == right || key_level(left) != key_level(right) {
            continue;
        }
        compared += 1;
        let keys = BTreeMap::from([(left, value), (right, value)]);
        let Some(Step::Node(node)) = Tree::from_sorted(keys).unwrap().walk().next() else { panic!("no node") };
        let node = allod_atproto::cbor::decode(&node.block()).unwrap();
        let shared = node.get("e").unwrap().as_array().unwrap()[1].get("p").unwrap().as_integer();
        assert_eq!(shared, case["len"].as_i64(), "{case}");
    }
    assert!(compared >= 4, "{compared}");
}

#[test]
fn known_roots() {
    for case in vectors::cases("derived/mst_known_roots.json", "cases") {
        let value = Cid::parse(vectors::str(&case, "value_cid")).unwrap();
        let keys: Vec<&str> = case["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        let mut inserted = Tree::empty();
        for key in keys {
            assert_eq!(inserted.set(key, value), Ok(None));
        }
        let tree = Tree::from_sorted(sorted.into_iter().map(|key| (key, value))).unwrap();
        assert_eq!(tree.root().to_string(), vectors::str(&case, "root"), "{}", case["name"]);
        assert_eq!(inserted.root(), tree.root(), "{}", case["name"]);
    }
}

#[test]
fn incremental_roots() {
    let name = "derived/mst_incremental_roots.json";
    let value = Cid::parse(vectors::json(name)["value_cid"].as_str().unwrap()).unwrap();
    let steps = vectors::cases(name, "steps");
    let keys = vectors::lines("atproto-interop-tests/mst/example_keys.txt");
    assert_eq!(steps.len(), keys.len());

    let mut tree = Tree::empty();
    let mut roots = vec![tree.root().to_string()];
    for (step, key) in steps.iter().zip(&keys) {
        assert_eq!(vectors::str(step, "key"), key);
        tree.set(key, value).unwrap();
        assert_eq!(tree.root().to_string(), vectors::str(step, "root"), "with {key}");
        roots.push(tree.root().to_string());
    }
    assert_eq!(tree, Tree::from_sorted(keys.iter().map(|key| (key, value))).unwrap());
    check_blocks(&tree);
    for key in keys.iter().rev() {
        roots.pop();
        assert_eq!(tree.remove(key), Ok(Some(value)));
        assert_eq!(Some(&tree.root().to_string()), roots.last(), "without {key}");
    }
    assert_eq!(tree, Tree::empty());
}

/// A tree read from its own blocks is the same, and without one of them it is refused.
fn check_blocks(tree: &Tree) {
    let blocks: HashMap<Cid, Vec<u8>> = tree
        .walk()
        .filter_map(|step| match step {
            Step::Node(node) => Some((node.cid(), node.block())),
            Step::Entry { .. } => None,
        })
        .collect();
    let find = |cid: &Cid| blocks.get(cid).map(Vec::as_slice);
    let read = Tree::from_blocks(&tree.root(), find).unwrap();
    assert!(read.entries().eq(tree.entries()));
    assert_eq!((read.len(), read.memory_bytes()), (tree.len(), tree.memory_bytes()));
    for left_out in blocks.keys() {
        let without = |cid: &Cid| if cid == left_out { None } else { find(cid) };
        assert!(Tree::from_blocks(&tree.root(), without).is_err());
        let partial = PartialTree::from_blocks(&tree.root(), without).map(|tree| tree.root());
        assert_eq!(partial.ok(), (*left_out != tree.root()).then(|| tree.root()));
    }
}
