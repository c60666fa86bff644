//! Reading a tree from its blocks, which somebody else may have made.
//!
//! Everything that makes a tree the only one for its keys is checked: the encoding, the order, the
//! level of every key, the shortening of keys, and that no node is empty or left out.

use std::sync::Arc;

use super::node::{Entry, Link, Node, Subtree, level_of, shared_bytes};
use super::{KEY_BYTES_MAX, NODE_ENTRIES_MAX, TreeError, check_key};
use crate::Cid;
use crate::cbor::{CborError, Decoder};

/// What to do about a node whose block is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Refuse,
    /// Keep its identifier alone; the tree is partial.
    Allow,
}

/// Reads the tree below `root`. `block` answers bytes already checked against their identifier.
pub(super) fn load<'b>(
    root: &Cid,
    block: impl Fn(&Cid) -> Option<&'b [u8]>,
    missing: Missing,
) -> Result<Arc<Subtree>, TreeError> {
    let bytes = block(root).ok_or(TreeError::MissingNode { cid: *root })?;
    let raw = RawNode::decode(bytes)?;
    let level = raw.top_level()?;
    let mut loader = Loader { block, missing, last_key: None };
    Ok(Arc::new(Subtree::Held(loader.node(*root, raw, level)?)))
}

struct Loader<F> {
    block: F,
    missing: Missing,
    /// The key before the next, in the order of the whole tree. Because keys must ascend, no node
    /// with keys is read twice, however often it is linked.
    last_key: Option<Arc<str>>,
}

impl<'b, F: Fn(&Cid) -> Option<&'b [u8]>> Loader<F> {
    fn node(&mut self, cid: Cid, raw: RawNode, level: u8) -> Result<Node, TreeError> {
        let left = self.link(raw.left, level)?;
        let mut entries = Vec::with_capacity(raw.entries.len());
        for entry in raw.entries {
            if level_of(&entry.key) != level {
                return Err(TreeError::Malformed("a key is on the wrong level"));
            }
            if self.last_key.as_deref().is_some_and(|last| last >= &*entry.key) {
                return Err(TreeError::Unsorted);
            }
            self.last_key = Some(Arc::clone(&entry.key));
            let right = self.link(entry.right, level)?;
            entries.push(Entry { key: entry.key, value: entry.value, right });
        }
        Ok(Node::new(level, left, entries).with_cid(cid))
    }

    fn link(&mut self, link: Option<Cid>, level: u8) -> Result<Link, TreeError> {
        let Some(cid) = link else { return Ok(None) };
        let level = level.checked_sub(1).ok_or(TreeError::Malformed("a node below the bottom"))?;
        let Some(bytes) = (self.block)(&cid) else {
            return match self.missing {
                Missing::Allow => Ok(Some(Arc::new(Subtree::Absent(cid)))),
                Missing::Refuse => Err(TreeError::MissingNode { cid }),
            };
        };
        let raw = RawNode::decode(bytes)?;
        if raw.left.is_none() && raw.entries.is_empty() {
            return Err(TreeError::Malformed("an empty node below the top"));
        }
        Ok(Some(Arc::new(Subtree::Held(self.node(cid, raw, level)?))))
    }
}

/// A node as its block has it; what belongs to its place in the tree is not checked yet.
pub(super) struct RawNode {
    pub(super) left: Option<Cid>,
    pub(super) entries: Vec<RawEntry>,
}

#[derive(Debug)]
pub(super) struct RawEntry {
    pub(super) key: Arc<str>,
    pub(super) value: Cid,
    pub(super) right: Option<Cid>,
}

impl RawNode {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, TreeError> {
        let mut input = Decoder::new(bytes);
        expect_map(&mut input, 2)?;
        expect_key(&mut input, "e")?;
        let count = input.array()?;
        if count > NODE_ENTRIES_MAX {
            return Err(TreeError::NodeTooLarge);
        }
        let mut entries = Vec::with_capacity(count);
        let mut key: Vec<u8> = Vec::new();
        for _ in 0..count {
            entries.push(decode_entry(&mut input, &mut key)?);
        }
        expect_key(&mut input, "l")?;
        let left = input.link_or_null()?;
        input.end()?;
        Ok(Self { left, entries })
    }
}

/// Reads an entry; `key` is the key before it and becomes its own.
fn decode_entry(input: &mut Decoder<'_>, key: &mut Vec<u8>) -> Result<RawEntry, TreeError> {
    expect_map(input, 4)?;
    expect_key(input, "k")?;
    let rest = input.bytes()?;
    expect_key(input, "p")?;
    let shared = usize::try_from(input.uint()?).unwrap_or(usize::MAX);
    if shared > key.len() || shared + rest.len() > KEY_BYTES_MAX {
        return Err(TreeError::Malformed("a key's length"));
    }
    if shared_bytes(key.get(shared..).unwrap_or_default(), rest) > 0 {
        return Err(TreeError::Malformed("a key is not shortened by what it shares"));
    }
    key.truncate(shared);
    key.extend_from_slice(rest);
    expect_key(input, "t")?;
    let right = input.link_or_null()?;
    expect_key(input, "v")?;
    let value = input.link()?;
    let key = std::str::from_utf8(key).map_err(|_| TreeError::InvalidKey)?;
    check_key(key)?;
    Ok(RawEntry { key: key.into(), value, right })
}

fn expect_map(input: &mut Decoder<'_>, entries: usize) -> Result<(), TreeError> {
    if input.map()? == entries { Ok(()) } else { Err(TreeError::Malformed("a map's size")) }
}

fn expect_key(input: &mut Decoder<'_>, key: &str) -> Result<(), TreeError> {
    if input.text()? == key { Ok(()) } else { Err(TreeError::Malformed("a field's name")) }
}

impl From<CborError> for TreeError {
    fn from(_: CborError) -> Self {
        Self::Malformed("the node's encoding")
    }
}
