//! Building a tree from all its keys in order, each visited once.

use std::mem;
use std::sync::Arc;

use super::node::{Entry, Link, Node, Subtree, level_of};
use super::{LEVEL_MAX, NODE_ENTRIES_MAX, TreeError, check_key};
use crate::Cid;

/// The nodes on the right edge of a growing tree, by level; everything left of them is finished.
#[derive(Default)]
pub(super) struct Builder {
    open: Vec<Node>,
    last_key: Option<Arc<str>>,
    forgets_nodes: bool,
}

impl Builder {
    /// A builder that keeps of a finished node its identifier alone.
    pub(super) fn without_nodes() -> Self {
        Self { forgets_nodes: true, ..Self::default() }
    }

    /// Adds a key behind all others.
    pub(super) fn push(&mut self, key: &str, value: Cid) -> Result<(), TreeError> {
        check_key(key)?;
        if self.last_key.as_deref().is_some_and(|last| last >= key) {
            return Err(TreeError::Unsorted);
        }
        let level = level_of(key);
        if level > LEVEL_MAX {
            return Err(TreeError::TooHigh);
        }
        while self.open.len() <= usize::from(level) {
            let level = u8::try_from(self.open.len()).map_err(|_| TreeError::TooHigh)?;
            self.open.push(Node::new(level, None, Vec::new()));
        }
        let below = self.close(usize::from(level));
        let Some(node) = self.open.get_mut(usize::from(level)) else { return Err(TreeError::TooHigh) };
        if node.entries.len() >= NODE_ENTRIES_MAX {
            return Err(TreeError::NodeTooLarge);
        }
        if below.is_some() {
            let end = node.entries.len();
            *node.child_mut(end) = below;
        }
        let key: Arc<str> = key.into();
        self.last_key = Some(Arc::clone(&key));
        node.entries.push(Entry { key, value, right: None });
        Ok(())
    }

    /// The finished tree's top.
    pub(super) fn finish(mut self) -> Arc<Subtree> {
        self.close(self.open.len()).unwrap_or_default()
    }

    /// Finishes the open nodes below `level` and answers them as one subtree.
    fn close(&mut self, level: usize) -> Link {
        let forgets_nodes = self.forgets_nodes;
        let mut below: Link = None;
        for node in self.open.iter_mut().take(level) {
            let mut closed = mem::replace(node, Node::new(node.level, None, Vec::new()));
            if below.is_some() {
                let end = closed.entries.len();
                *closed.child_mut(end) = below;
            }
            below = closed.into_link();
            if forgets_nodes {
                below = below.map(|subtree| Arc::new(Subtree::Absent(subtree.cid())));
            }
        }
        below
    }
}
