//! Repositories that a test makes, record by record, and takes apart.

use std::collections::BTreeMap;

use allod_atproto::{
    Cid, Did, Tid, car, cbor,
    crypto::SigningKey,
    json,
    repo::{Commit, SignedCommit, Step, Tree},
};
use bytes::Bytes;
use serde_json::Value;

pub(super) type Block = (Cid, Vec<u8>);

/// A repository of a test's own.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) did: Did,
    records: BTreeMap<String, Block>,
}

impl Made {
    pub(super) fn new(did: &Did) -> Self {
        Self { did: did.clone(), records: BTreeMap::new() }
    }

    pub(super) fn put(&mut self, path: &str, record: &Value) -> &mut Self {
        self.put_block(path, cbor::encode(&cbor::Value::Map(json::to_map(record).unwrap())))
    }

    pub(super) fn put_block(&mut self, path: &str, block: Vec<u8>) -> &mut Self {
        self.records.insert(path.to_owned(), (Cid::for_cbor(&block), block));
        self
    }

    pub(super) fn remove(&mut self, path: &str) -> &mut Self {
        assert!(self.records.remove(path).is_some());
        self
    }

    pub(super) fn tree(&self) -> Tree {
        Tree::from_sorted(self.records.iter().map(|(path, (cid, _))| (path, *cid))).unwrap()
    }

    pub(super) fn commit(&self, key: &SigningKey, rev: Tid) -> SignedCommit {
        Commit { did: self.did.clone(), rev, data: self.tree().root(), prev: None }.sign(key)
    }

    /// The nodes of the tree.
    pub(super) fn nodes(&self) -> Vec<Block> {
        let nodes = self.tree().walk().filter_map(|step| match step {
            Step::Node(node) => Some((node.cid(), node.block())),
            Step::Entry { .. } => None,
        });
        nodes.collect()
    }

    /// The records.
    pub(super) fn records(&self) -> Vec<Block> {
        self.records.values().cloned().collect()
    }

    /// All blocks: the commit, the nodes, the records.
    pub(super) fn blocks(&self, commit: &SignedCommit) -> Vec<Block> {
        let commit = (commit.cid(), commit.bytes().to_vec());
        [vec![commit], self.nodes(), self.records()].concat()
    }

    pub(super) fn file(&self, commit: &SignedCommit) -> Bytes {
        file(&commit.cid(), &self.blocks(commit))
    }

    /// The paths with their records' identifiers.
    pub(super) fn entries(&self) -> Vec<(String, Cid)> {
        self.records.iter().map(|(path, (cid, _))| (path.clone(), *cid)).collect()
    }
}

pub(super) fn file(root: &Cid, blocks: &[Block]) -> Bytes {
    car::write(root, blocks.iter().map(|(cid, block)| (*cid, block.as_slice())))
}

/// A repository as it was exported, complete.
pub(super) struct Shown {
    pub(super) commit: SignedCommit,
    pub(super) entries: Vec<(String, Cid)>,
    pub(super) blocks: usize,
    pub(super) bytes: Bytes,
}

impl Shown {
    pub(super) fn read(bytes: &Bytes) -> Self {
        let file = car::read(bytes, &car::Limits::REPOSITORY).unwrap();
        let commit = SignedCommit::parse(file.get(&file.root().unwrap()).unwrap()).unwrap();
        let tree = Tree::from_blocks(&commit.commit().data, |cid| file.get(cid)).unwrap();
        let entries: Vec<_> = tree.entries().map(|(path, cid)| (path.to_string(), cid)).collect();
        for (path, cid) in &entries {
            assert!(file.get(cid).is_some(), "{path} has no block");
        }
        Self { commit, entries, blocks: file.len(), bytes: bytes.clone() }
    }
}
