//! The Merkle search tree that maps the paths of a repository to the identifiers of its records.
//!
//! [`Tree`] is complete and in memory; [`PartialTree`] is what a consumer can rebuild from the
//! blocks of one commit. Both are values: changing a clone leaves the original as it was, and a
//! change that fails changes nothing. The tree's shape follows from its keys alone.
//!
//! Spec: <https://atproto.com/specs/repository#mst-structure>

mod build;
mod edit;
mod load;
mod node;
mod proof;
mod stream;
#[cfg(test)]
mod tests;
mod walk;

use std::fmt;
use std::sync::Arc;

use self::build::Builder;
use self::load::Missing;
use self::node::Subtree;
use self::proof::Proof;
pub use self::stream::{BlockWalk, RootBuilder};
pub use self::walk::{NodeRef, Step, Walk};
use crate::Cid;

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;
/// The most entries that one node may have. Keys can be chosen to crowd a node; 256 is out of reach
/// of keys that were not.
pub const NODE_ENTRIES_MAX: usize = 256;
/// The highest level a key may have: as many as 80 leading zero bits of its hash.
pub const LEVEL_MAX: u8 = 40;

/// Why a tree cannot be built, read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A key is empty, too long or not text.
    #[error("a key must be text of 1 to {KEY_BYTES_MAX} bytes")]
    InvalidKey,
    /// Keys are not in ascending order, or one is there twice.
    #[error("the keys are not in ascending order")]
    Unsorted,
    /// A key's hash would put it above [`LEVEL_MAX`].
    #[error("the tree would have more than {LEVEL_MAX} levels")]
    TooHigh,
    /// A node would have more than [`NODE_ENTRIES_MAX`] entries.
    #[error("a node would have more than {NODE_ENTRIES_MAX} entries")]
    NodeTooLarge,
    /// A node that is needed is not among the blocks.
    #[error("the node {cid} is missing")]
    MissingNode {
        /// The node's identifier.
        cid: Cid,
    },
    /// A block is not a node, or not the node that belongs in its place.
    #[error("not a valid tree: {0}")]
    Malformed(&'static str),
}

/// A complete tree in memory. Cloning is cheap: clones share the nodes that they have in common.
#[derive(Clone, Default)]
pub struct Tree {
    root: Arc<Subtree>,
    len: usize,
    key_bytes: usize,
}

/// Builds a tree from its keys in ascending order of their bytes, piece by piece.
#[derive(Default)]
pub struct TreeBuilder {
    builder: Builder,
    len: usize,
    key_bytes: usize,
}

impl TreeBuilder {
    /// A builder that has seen no key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next key. After an error the builder is of no more use.
    pub fn push(&mut self, key: &str, value: Cid) -> Result<(), TreeError> {
        self.builder.push(key, value)?;
        self.len += 1;
        self.key_bytes += key.len();
        Ok(())
    }

    /// The tree of the keys taken.
    pub fn finish(self) -> Tree {
        Tree { root: self.builder.finish(), len: self.len, key_bytes: self.key_bytes }
    }
}

/// How a change of a key is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// The key was created: remove it.
    Remove,
    /// The key was updated or deleted: set it to what it was.
    Set,
}

impl Tree {
    /// The tree without keys.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Builds a tree from its keys in ascending order of their bytes.
    pub fn from_sorted<K: AsRef<str>>(entries: impl IntoIterator<Item = (K, Cid)>) -> Result<Self, TreeError> {
        let mut builder = TreeBuilder::new();
        for (key, value) in entries {
            builder.push(key.as_ref(), value)?;
        }
        Ok(builder.finish())
    }

    /// Reads a tree from its blocks, all of which must be there. `block` finds bytes that were
    /// checked against their identifier.
    pub fn from_blocks<'b>(root: &Cid, block: impl Fn(&Cid) -> Option<&'b [u8]>) -> Result<Self, TreeError> {
        let root = load::load(root, block, Missing::Refuse)?;
        let (mut len, mut key_bytes) = (0, 0);
        for step in Walk::new(&root, false) {
            if let Step::Entry { key, .. } = step {
                len += 1;
                key_bytes += key.len();
            }
        }
        Ok(Self { root, len, key_bytes })
    }

    /// The identifier of the top node. Hashes only what changed since it was last asked for.
    pub fn root(&self) -> Cid {
        self.root.cid()
    }

    /// How many keys the tree has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Tells whether the tree has no keys.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// About how much memory the tree takes, in bytes, as if it shared nothing with others.
    pub fn memory_bytes(&self) -> usize {
        const ENTRY_BYTES: usize = size_of::<node::Entry>() + 2 * size_of::<usize>();
        const NODE_BYTES: usize = size_of::<Subtree>() + 2 * size_of::<usize>();
        // One node holds three keys on average; its list of entries is up to half empty.
        size_of::<Self>() + NODE_BYTES + self.key_bytes + self.len * (ENTRY_BYTES * 3 / 2 + NODE_BYTES / 3)
    }

    /// Looks a key up.
    pub fn get(&self, key: &str) -> Option<Cid> {
        edit::get(&self.root, key).unwrap_or_default()
    }

    /// Tells whether any key begins with `prefix`.
    pub fn has_prefix(&self, prefix: &str) -> bool {
        let mut link = Some(&self.root);
        while let Some(Ok(node)) = link.map(|subtree| subtree.node()) {
            // The first key that is not before the prefix is this entry, or below in the subtree before it.
            let position = node.search(prefix).unwrap_or_else(|position| position);
            if node.entries.get(position).is_some_and(|entry| entry.key.starts_with(prefix)) {
                return true;
            }
            link = node.child(position).as_ref();
        }
        false
    }

    /// Sets a key, new or not, and answers the value it had.
    pub fn set(&mut self, key: &str, value: Cid) -> Result<Option<Cid>, TreeError> {
        check_key(key)?;
        let mut root = Arc::clone(&self.root);
        let before = edit::set(&mut root, key, value)?;
        self.root = root;
        if before.is_none() {
            self.len += 1;
            self.key_bytes += key.len();
        }
        Ok(before)
    }

    /// Removes a key and answers the value it had, if it was there.
    pub fn remove(&mut self, key: &str) -> Result<Option<Cid>, TreeError> {
        let mut root = Arc::clone(&self.root);
        let before = edit::remove(&mut root, key)?;
        self.root = root;
        if before.is_some() {
            self.len -= 1;
            self.key_bytes -= key.len();
        }
        Ok(before)
    }

    /// The keys with their values, in ascending order.
    pub fn entries(&self) -> impl Iterator<Item = (Arc<str>, Cid)> + use<> {
        Walk::new(&self.root, false).filter_map(|step| match step {
            Step::Entry { key, value } => Some((key, value)),
            Step::Node(_) => None,
        })
    }

    /// Nodes and entries in the order of an export: each node before what is below it.
    pub fn walk(&self) -> Walk {
        Walk::new(&self.root, true)
    }

    /// The nodes that show a key's value, or that it is not there: all from the top down to it.
    pub fn path(&self, key: &str) -> Vec<(Cid, Vec<u8>)> {
        let mut proof = Proof::default();
        // A complete tree misses no node.
        let _complete = proof.add_path(&self.root, key);
        proof.into_nodes()
    }

    /// The nodes that somebody needs who has nothing else, to take back the changes that led to
    /// this tree: for each key that changed, how its change is taken back. The top comes first.
    pub fn covering_proof<'k>(&self, changes: impl IntoIterator<Item = (&'k str, Undo)>) -> Vec<(Cid, Vec<u8>)> {
        let mut proof = Proof::default();
        // A complete tree misses no node.
        let _complete = proof.add_top(&self.root);
        for (key, undo) in changes {
            let _complete = match undo {
                Undo::Remove => proof.add_removal(&self.root, key),
                Undo::Set => proof.add_path(&self.root, key),
            };
        }
        proof.into_nodes()
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").field("root", &self.root()).field("len", &self.len).finish_non_exhaustive()
    }
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.root() == other.root()
    }
}

impl Eq for Tree {}

/// A tree of which some nodes may be known by identifier alone. What needs such a node fails with
/// [`TreeError::MissingNode`]; what succeeds is what the complete tree would have done.
#[derive(Debug, Clone)]
pub struct PartialTree {
    root: Arc<Subtree>,
}

impl PartialTree {
    /// Reads what there is of a tree; at least the top must be there. `block` finds bytes that were
    /// checked against their identifier.
    pub fn from_blocks<'b>(root: &Cid, block: impl Fn(&Cid) -> Option<&'b [u8]>) -> Result<Self, TreeError> {
        Ok(Self { root: load::load(root, block, Missing::Allow)? })
    }

    /// The identifier of the top node.
    pub fn root(&self) -> Cid {
        self.root.cid()
    }

    /// Looks a key up.
    pub fn get(&self, key: &str) -> Result<Option<Cid>, TreeError> {
        edit::get(&self.root, key)
    }

    /// Sets a key, new or not, and answers the value it had.
    pub fn set(&mut self, key: &str, value: Cid) -> Result<Option<Cid>, TreeError> {
        check_key(key)?;
        let mut root = Arc::clone(&self.root);
        let before = edit::set(&mut root, key, value)?;
        self.root = root;
        Ok(before)
    }

    /// Removes a key and answers the value it had, if it was there.
    pub fn remove(&mut self, key: &str) -> Result<Option<Cid>, TreeError> {
        let mut root = Arc::clone(&self.root);
        let before = edit::remove(&mut root, key)?;
        self.root = root;
        Ok(before)
    }
}

/// The level at which a key lives: half the number of leading zero bits of its SHA-256, rounded down.
pub fn key_level(key: &str) -> u8 {
    node::level_of(key)
}

fn check_key(key: &str) -> Result<(), TreeError> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX { Err(TreeError::InvalidKey) } else { Ok(()) }
}
