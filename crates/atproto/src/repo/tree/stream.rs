//! Going through a tree that is not in memory, node by node, and building one without keeping it.
//!
//! For repositories of any size: both hold one path of the tree at a time.

use std::sync::Arc;
use std::vec;

use super::build::Builder;
use super::load::{RawEntry, RawNode};
use super::node::level_of;
use super::{LEVEL_MAX, TreeError};
use crate::Cid;

/// A walk through the keys of a tree whose blocks are fetched one by one, in ascending order.
///
/// Checks of every node what [`Tree::from_blocks`](super::Tree::from_blocks) checks, so that a walk that comes to its
/// end has seen a valid tree. After an error it is of no more use.
#[derive(Debug)]
pub struct BlockWalk {
    /// The node to be read next, and its level; the top's is not known yet.
    next: Option<(Cid, Option<u8>)>,
    path: Vec<Frame>,
    last_key: Option<Arc<str>>,
}

/// A node on the path, and what of it is ahead.
#[derive(Debug)]
struct Frame {
    level: u8,
    entries: vec::IntoIter<RawEntry>,
}

impl BlockWalk {
    /// A walk that begins at the node `root`.
    pub fn new(root: Cid) -> Self {
        Self { next: Some((root, None)), path: Vec::new(), last_key: None }
    }

    /// The next key and its value; nothing at the end. `block` fetches bytes that were checked against their identifier.
    pub fn next<E: From<TreeError>>(
        &mut self,
        mut block: impl FnMut(&Cid) -> Result<Vec<u8>, E>,
    ) -> Result<Option<(Arc<str>, Cid)>, E> {
        while let Some((cid, level)) = self.next.take() {
            let node = RawNode::decode(&block(&cid)?)?;
            let level = match level {
                Some(level) if node.left.is_some() || !node.entries.is_empty() => level,
                Some(_) => return Err(TreeError::Malformed("an empty node below the top").into()),
                None => node.top_level()?,
            };
            self.next = below(node.left, level)?;
            self.path.push(Frame { level, entries: node.entries.into_iter() });
        }
        while let Some(frame) = self.path.last_mut() {
            let Some(entry) = frame.entries.next() else {
                self.path.pop();
                continue;
            };
            if level_of(&entry.key) != frame.level {
                return Err(TreeError::Malformed("a key is on the wrong level").into());
            }
            // Keys ascend, so that no node with keys is read twice, however often it is linked.
            if self.last_key.as_deref().is_some_and(|last| last >= &*entry.key) {
                return Err(TreeError::Unsorted.into());
            }
            self.next = below(entry.right, frame.level)?;
            self.last_key = Some(Arc::clone(&entry.key));
            return Ok(Some((entry.key, entry.value)));
        }
        Ok(None)
    }
}

fn below(link: Option<Cid>, level: u8) -> Result<Option<(Cid, Option<u8>)>, TreeError> {
    let Some(cid) = link else { return Ok(None) };
    let level = level.checked_sub(1).ok_or(TreeError::Malformed("a node below the bottom"))?;
    Ok(Some((cid, Some(level))))
}

impl RawNode {
    /// The level of a node that is a tree's top.
    pub(super) fn top_level(&self) -> Result<u8, TreeError> {
        match self.entries.first().map(|entry| level_of(&entry.key)) {
            Some(level) if level > LEVEL_MAX => Err(TreeError::TooHigh),
            Some(level) => Ok(level),
            None if self.left.is_some() => Err(TreeError::Malformed("the top has no keys of its own")),
            None => Ok(0),
        }
    }
}

/// Builds a tree from its keys in ascending order of their bytes, and keeps nothing of it but its identifier.
pub struct RootBuilder {
    builder: Builder,
}

impl RootBuilder {
    /// A builder that has seen no key.
    pub fn new() -> Self {
        Self { builder: Builder::without_nodes() }
    }

    /// Takes the next key. After an error the builder is of no more use.
    pub fn push(&mut self, key: &str, value: Cid) -> Result<(), TreeError> {
        self.builder.push(key, value)
    }

    /// The identifier of the tree of the keys taken.
    pub fn finish(self) -> Cid {
        self.builder.finish().cid()
    }
}

impl Default for RootBuilder {
    fn default() -> Self {
        Self::new()
    }
}
