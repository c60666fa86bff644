//! One node of the tree: its shape in memory, its level, its encoding and its identifier.
//!
//! Nodes are shared between trees and copied when they are changed, so that a tree is cloned for
//! the price of one reference count and an old tree stays as it was.
//! Spec: <https://atproto.com/specs/repository#mst-structure>

use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};

use super::{LEVEL_MAX, TreeError};
use crate::Cid;
use crate::cbor::Encoder;

/// A subtree that may be empty.
pub(super) type Link = Option<Arc<Subtree>>;

/// What a link leads to.
#[derive(Debug, Clone)]
pub(super) enum Subtree {
    /// A node held in memory.
    Held(Node),
    /// A node of which only the identifier is known; only in partial trees.
    Absent(Cid),
}

/// A node: `left`, then entries in the order of their keys, each with the subtree behind it.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) level: u8,
    pub(super) left: Link,
    pub(super) entries: Vec<Entry>,
    /// The node's identifier, once it was asked for; a change forgets it.
    cid: OnceLock<Cid>,
}

/// A key with its value and the subtree of the keys between it and the next key of its node.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Arc<str>,
    pub(super) value: Cid,
    pub(super) right: Link,
}

/// The level at which a key lives: half the number of leading zero bits of its SHA-256, rounded down.
pub(super) fn level_of(key: &str) -> u8 {
    let mut zero_bits = 0_u8;
    for byte in Sha256::digest(key.as_bytes()).iter().take(usize::from(LEVEL_MAX) / 4 + 1) {
        zero_bits += u8::try_from(byte.leading_zeros()).unwrap_or(8);
        if *byte != 0 {
            break;
        }
    }
    zero_bits / 2
}

impl Default for Subtree {
    /// The empty tree.
    fn default() -> Self {
        Self::Held(Node::default())
    }
}

impl Subtree {
    /// The identifier; encodes and hashes whatever below is not hashed yet.
    pub(super) fn cid(&self) -> Cid {
        match self {
            Self::Held(node) => *node.cid.get_or_init(|| Cid::for_cbor(&node.encode())),
            Self::Absent(cid) => *cid,
        }
    }

    /// The node, if it is held.
    pub(super) fn node(&self) -> Result<&Node, TreeError> {
        match self {
            Self::Held(node) => Ok(node),
            Self::Absent(cid) => Err(TreeError::MissingNode { cid: *cid }),
        }
    }

    /// The node to be changed: copied first if another tree shares it.
    pub(super) fn edit(this: &mut Arc<Self>) -> Result<&mut Node, TreeError> {
        match Arc::make_mut(this) {
            Self::Held(node) => {
                node.cid = OnceLock::new();
                Ok(node)
            }
            Self::Absent(cid) => Err(TreeError::MissingNode { cid: *cid }),
        }
    }
}

impl Node {
    /// A node that is in no tree yet.
    pub(super) fn new(level: u8, left: Link, entries: Vec<Entry>) -> Self {
        Self { level, left, entries, cid: OnceLock::new() }
    }

    /// A node whose identifier was checked against its bytes.
    pub(super) fn with_cid(self, cid: Cid) -> Self {
        Self { cid: OnceLock::from(cid), ..self }
    }

    /// A copy without the identifier.
    pub(super) fn clone_for_change(&self) -> Self {
        Self::new(self.level, self.left.clone(), self.entries.clone())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_none() && self.entries.is_empty()
    }

    /// The node as a subtree, nothing if it is empty.
    pub(super) fn into_link(self) -> Link {
        if self.is_empty() { None } else { Some(Arc::new(Subtree::Held(self))) }
    }

    /// Where a key is (`Ok`) or belongs (`Err`) among the entries.
    pub(super) fn search(&self, key: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| (*entry.key).cmp(key))
    }

    /// The subtree before the entry at `position`, or behind the last one.
    pub(super) fn child(&self, position: usize) -> &Link {
        match position.checked_sub(1).and_then(|before| self.entries.get(before)) {
            Some(entry) => &entry.right,
            None => &self.left,
        }
    }

    /// As [`Self::child`], to be changed.
    pub(super) fn child_mut(&mut self, position: usize) -> &mut Link {
        match position.checked_sub(1).and_then(|before| self.entries.get_mut(before)) {
            Some(entry) => &mut entry.right,
            None => &mut self.left,
        }
    }

    /// The node's block. Keys are shortened by what they share with the key before them.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(64 + self.entries.len() * 128);
        out.map(2).text("e").array(self.entries.len());
        let mut before: &[u8] = b"";
        for entry in &self.entries {
            let key = entry.key.as_bytes();
            let shared = shared_bytes(before, key);
            out.map(4).text("k").bytes(key.get(shared..).unwrap_or_default()).text("p").uint(shared as u64);
            out.text("t").link_or_null(cid_of(&entry.right).as_ref()).text("v").link(&entry.value);
            before = key;
        }
        out.text("l").link_or_null(cid_of(&self.left).as_ref());
        out.into_bytes()
    }
}

/// Puts nodes without keys above a subtree of level `level` until it is at level `target`.
pub(super) fn raise(mut link: Link, level: u8, target: u8) -> Link {
    for above in level..target {
        link = Node::new(above + 1, link, Vec::new()).into_link();
    }
    link
}

/// How many bytes two keys have in common at their beginning.
pub(super) fn shared_bytes(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn cid_of(link: &Link) -> Option<Cid> {
    link.as_deref().map(Subtree::cid)
}
