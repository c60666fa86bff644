//! Which nodes a commit must carry so that its operations can be taken back, and signed commits.

use std::collections::{HashMap, HashSet};

use allod_atproto::Cid;
use allod_atproto::crypto::DidKey;
use allod_atproto::repo::{PartialTree, SignedCommit, Tree, Undo};
use serde_json::Value;

use crate::vectors;

const FILES: [&str; 3] = [
    "atproto-interop-tests/firehose/commit-proof-fixtures.json",
    "atproto/repo/commit-proof-fixtures.json",
    "indigo/atproto/repo/testdata/commit-proof-fixtures.json",
];

#[test]
fn covering_proofs() {
    for case in FILES.into_iter().flat_map(|file| vectors::cases(file, "")) {
        let name = vectors::str(&case, "comment");
        let value = Cid::parse(vectors::str(&case, "leafValue")).unwrap();
        let mut tree = Tree::empty();
        for key in texts(&case, "keys") {
            tree.set(key, value).unwrap();
        }
        let before = tree.root();
        assert_eq!(before.to_string(), vectors::str(&case, "rootBeforeCommit"), "{name}");
        let (adds, dels) = (texts(&case, "adds"), texts(&case, "dels"));
        for key in &adds {
            assert_eq!(tree.set(key, value), Ok(None), "{name}");
        }
        for key in &dels {
            assert_eq!(tree.remove(key), Ok(Some(value)), "{name}");
        }
        assert_eq!(tree.root().to_string(), vectors::str(&case, "rootAfterCommit"), "{name}");

        let created = adds.iter().map(|key| (*key, Undo::Remove));
        let deleted = dels.iter().map(|key| (*key, Undo::Set));
        let proof: HashMap<Cid, Vec<u8>> = tree.covering_proof(created.chain(deleted)).into_iter().collect();
        let expected: HashSet<String> = texts(&case, "blocksInProof").into_iter().map(str::to_owned).collect();
        let found: HashSet<String> = proof.keys().map(Cid::to_string).collect();
        assert_eq!(found, expected, "{name}");

        let mut partial = PartialTree::from_blocks(&tree.root(), |cid| proof.get(cid).map(Vec::as_slice)).unwrap();
        for key in &dels {
            assert_eq!(partial.set(key, value), Ok(None), "{name}");
        }
        for key in &adds {
            assert_eq!(partial.remove(key), Ok(Some(value)), "{name}");
        }
        assert_eq!(partial.root(), before, "{name}");
    }
}

#[test]
fn signed_commits() {
    for case in vectors::cases("derived/commit_signatures.json", "cases") {
        let key = DidKey::parse(vectors::str(&case, "did_key")).unwrap();
        let block = vectors::hex(&case, "signed_cbor_hex");
        let signed = SignedCommit::parse(&block).unwrap();
        assert_eq!(signed.commit().unsigned_bytes(), vectors::hex(&case, "unsigned_cbor_hex"));
        assert_eq!(signed.cid().to_string(), vectors::str(&case, "commit_cid"));
        assert_eq!(signed.verify(&key), Ok(()));

        let (low, high) = (vectors::hex(&case, "sig_hex"), vectors::hex(&case, "high_s_sig_hex_must_fail"));
        let at = block.windows(low.len()).position(|window| window == low).unwrap();
        let mut with_high_s = block.clone();
        with_high_s[at..at + high.len()].copy_from_slice(&high);
        assert!(SignedCommit::parse(&with_high_s).unwrap().verify(&key).is_err());
        for at in 0..block.len() {
            let mut changed = block.clone();
            changed[at] ^= 1;
            assert!(!SignedCommit::parse(&changed).is_ok_and(|commit| commit.verify(&key).is_ok()), "byte {at}");
        }
    }
}

fn texts<'a>(case: &'a Value, key: &str) -> Vec<&'a str> {
    case[key].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}
