//! Going through a tree in the order in which a repository is exported.

use std::sync::Arc;

use super::node::Subtree;
use crate::Cid;

/// A step of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A node of the tree, before everything below it.
    Node {
        /// The node's identifier.
        cid: Cid,
        /// The node's block.
        block: Vec<u8>,
    },
    /// A key and its value, in the order of the keys.
    Entry {
        /// The key: the record's path.
        key: Arc<str>,
        /// The value: the record's identifier.
        value: Cid,
    },
}

/// A walk through a tree: each node, then its subtrees and entries in order.
///
/// It keeps the tree as it was when the walk began, and needs memory for one path only.
/// Spec: <https://atproto.com/specs/repository#car-file-serialization>
#[derive(Debug)]
pub struct Walk {
    stack: Vec<Frame>,
    pending: Option<Arc<Subtree>>,
    with_blocks: bool,
}

#[derive(Debug)]
struct Frame {
    subtree: Arc<Subtree>,
    /// Counts the node's parts that are behind us: child 0, entry 0, child 1, entry 1, ...
    parts: usize,
}

impl Walk {
    pub(super) fn new(root: &Arc<Subtree>, with_blocks: bool) -> Self {
        Self { stack: Vec::new(), pending: Some(Arc::clone(root)), with_blocks }
    }
}

impl Iterator for Walk {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        loop {
            if let Some(subtree) = self.pending.take() {
                let Ok(node) = subtree.node() else { continue };
                let step = self.with_blocks.then(|| Step::Node { cid: subtree.cid(), block: node.encode() });
                self.stack.push(Frame { subtree, parts: 0 });
                if step.is_some() {
                    return step;
                }
            }
            let frame = self.stack.last_mut()?;
            let position = frame.parts / 2;
            let is_child = frame.parts % 2 == 0;
            frame.parts += 1;
            let Ok(node) = frame.subtree.node() else { continue };
            if is_child {
                self.pending.clone_from(node.child(position));
            } else if let Some(entry) = node.entries.get(position) {
                return Some(Step::Entry { key: Arc::clone(&entry.key), value: entry.value });
            } else {
                self.stack.pop();
            }
        }
    }
}
