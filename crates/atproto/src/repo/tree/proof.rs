//! The nodes that somebody needs who does not have the tree: to check one record, or to take back
//! the operations of a commit.

use std::collections::HashSet;

use super::TreeError;
use super::node::{Link, Node, Subtree};
use crate::Cid;

/// A set of nodes of one tree, each once, those nearer the top first.
#[derive(Debug, Default)]
pub(super) struct Proof {
    seen: HashSet<Cid>,
    nodes: Vec<(Cid, Vec<u8>)>,
}

impl Proof {
    /// The nodes with their identifiers.
    pub(super) fn into_nodes(self) -> Vec<(Cid, Vec<u8>)> {
        self.nodes
    }

    /// Adds the top alone.
    pub(super) fn add_top(&mut self, root: &Subtree) -> Result<(), TreeError> {
        self.add(root).map(|_| ())
    }

    /// Adds the nodes from the top to a key, or to the bottom of the gap where it would be.
    ///
    /// Enough to see the key's value or absence, to change the value, and to put the key back.
    pub(super) fn add_path(&mut self, root: &Subtree, key: &str) -> Result<(), TreeError> {
        self.path(root, key).map(|_| ())
    }

    /// Adds what is needed to take a present key out: its path and the edges of the two subtrees
    /// beside it, which come together.
    pub(super) fn add_removal(&mut self, root: &Subtree, key: &str) -> Result<(), TreeError> {
        let Some((node, position)) = self.path(root, key)? else { return Ok(()) };
        self.edge(node.child(position), |node| node.child(node.entries.len()))?;
        self.edge(node.child(position + 1), |node| &node.left)
    }

    fn path<'t>(&mut self, root: &'t Subtree, key: &str) -> Result<Option<(&'t Node, usize)>, TreeError> {
        let mut subtree = root;
        loop {
            let node = self.add(subtree)?;
            match node.search(key) {
                Ok(position) => return Ok(Some((node, position))),
                Err(position) => match node.child(position) {
                    Some(child) => subtree = child,
                    None => return Ok(None),
                },
            }
        }
    }

    fn edge(&mut self, link: &Link, next: impl Fn(&Node) -> &Link) -> Result<(), TreeError> {
        let mut link = link;
        while let Some(subtree) = link {
            link = next(self.add(subtree)?);
        }
        Ok(())
    }

    fn add<'t>(&mut self, subtree: &'t Subtree) -> Result<&'t Node, TreeError> {
        let node = subtree.node()?;
        let cid = subtree.cid();
        if self.seen.insert(cid) {
            self.nodes.push((cid, node.encode()));
        }
        Ok(node)
    }
}
