//! Going through a tree in the order in which a repository is exported.

use std::fmt;
use std::sync::Arc;

use super::node::{Node, Subtree};
use crate::Cid;

/// A step of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A node of the tree, before everything below it.
    Node(NodeRef),
    /// A key and its value, in the order of the keys.
    Entry {
        /// The key: the record's path.
        key: Arc<str>,
        /// The value: the record's identifier.
        value: Cid,
    },
}

/// A node of a tree, encoded when it is asked for.
#[derive(Clone)]
pub struct NodeRef(Arc<Subtree>);

impl NodeRef {
    /// The node's identifier.
    pub fn cid(&self) -> Cid {
        self.0.cid()
    }

    /// The node's block.
    pub fn block(&self) -> Vec<u8> {
        self.0.node().map(Node::encode).unwrap_or_default()
    }
}

impl PartialEq for NodeRef {
    fn eq(&self, other: &Self) -> bool {
        self.cid() == other.cid()
    }
}

impl Eq for NodeRef {}

impl fmt::Debug for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NodeRef").field(&self.cid()).finish()
    }
}

/// A walk through a tree: each node, then its subtrees and entries in order.
///
/// It keeps the tree as it was when the walk began, and needs memory for one path only.
/// Spec: <https://atproto.com/specs/repository#car-file-serialization>
#[derive(Debug)]
pub struct Walk {
    stack: Vec<Frame>,
    pending: Option<Arc<Subtree>>,
    with_nodes: bool,
}

#[derive(Debug)]
struct Frame {
    subtree: Arc<Subtree>,
    /// Counts the node's parts that are behind us: child 0, entry 0, child 1, entry 1, ...
    parts: usize,
}

impl Walk {
    pub(super) fn new(root: &Arc<Subtree>, with_nodes: bool) -> Self {
        Self { stack: Vec::new(), pending: Some(Arc::clone(root)), with_nodes }
    }
}

impl Iterator for Walk {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        loop {
            if let Some(subtree) = self.pending.take() {
                if subtree.node().is_err() {
                    continue;
                }
                let step = self.with_nodes.then(|| Step::Node(NodeRef(Arc::clone(&subtree))));
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
