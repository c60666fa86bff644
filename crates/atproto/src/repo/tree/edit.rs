//! Setting and removing keys. Recursion goes down one level of the tree at a time and is bounded by
//! [`LEVEL_MAX`](super::LEVEL_MAX).

use std::mem;
use std::sync::Arc;

use super::node::{Entry, Link, Node, Subtree, level_of, raise};
use super::{LEVEL_MAX, NODE_ENTRIES_MAX, TreeError};
use crate::Cid;

/// Looks a key up.
pub(super) fn get(root: &Subtree, key: &str) -> Result<Option<Cid>, TreeError> {
    let mut node = root.node()?;
    loop {
        match node.search(key) {
            Ok(position) => return Ok(node.entries.get(position).map(|entry| entry.value)),
            Err(position) => match node.child(position) {
                Some(child) => node = child.node()?,
                None => return Ok(None),
            },
        }
    }
}

/// Sets a key and answers the value it had. After an error the tree is of no more use.
pub(super) fn set(root: &mut Arc<Subtree>, key: &str, value: Cid) -> Result<Option<Cid>, TreeError> {
    let level = level_of(key);
    if level > LEVEL_MAX {
        return Err(TreeError::TooHigh);
    }
    let top = root.node()?;
    if top.is_empty() {
        *root = Arc::new(Subtree::Held(leaf(level, key, value)));
        return Ok(None);
    }
    if level > top.level {
        let top_level = top.level;
        let (before, behind) = split(Some(Arc::clone(root)), key)?;
        let entry = Entry { key: key.into(), value, right: raise(behind, top_level, level - 1) };
        *root = Arc::new(Subtree::Held(Node::new(level, raise(before, top_level, level - 1), vec![entry])));
        return Ok(None);
    }
    let mut node = Subtree::edit(root)?;
    while node.level > level {
        let child_level = node.level - 1;
        let position = node.search(key).unwrap_or_else(|position| position);
        let child = node.child_mut(position);
        let Some(child) = child else {
            *child = raise(leaf(level, key, value).into_link(), level, child_level);
            return Ok(None);
        };
        node = Subtree::edit(child)?;
    }
    set_here(node, key, value)
}

/// Removes a key and answers the value it had. After an error the tree is of no more use.
pub(super) fn remove(root: &mut Arc<Subtree>, key: &str) -> Result<Option<Cid>, TreeError> {
    let Some(value) = get(root, key)? else { return Ok(None) };
    let mut link = Some(Arc::clone(root));
    remove_below(&mut link, key)?;
    // A node at the top that has only a subtree gives way to it.
    while let Some(Subtree::Held(node)) = link.as_deref() {
        if !node.entries.is_empty() {
            break;
        }
        let below = node.left.clone();
        link = below;
    }
    *root = link.unwrap_or_default();
    Ok(Some(value))
}

fn leaf(level: u8, key: &str, value: Cid) -> Node {
    Node::new(level, None, vec![Entry { key: key.into(), value, right: None }])
}

fn set_here(node: &mut Node, key: &str, value: Cid) -> Result<Option<Cid>, TreeError> {
    match node.search(key) {
        Ok(position) => Ok(node.entries.get_mut(position).map(|entry| mem::replace(&mut entry.value, value))),
        Err(position) => {
            if node.entries.len() >= NODE_ENTRIES_MAX {
                return Err(TreeError::NodeTooLarge);
            }
            let child = node.child_mut(position);
            let (before, behind) = split(child.take(), key)?;
            *child = before;
            node.entries.insert(position, Entry { key: key.into(), value, right: behind });
            Ok(None)
        }
    }
}

fn remove_below(link: &mut Link, key: &str) -> Result<(), TreeError> {
    let Some(subtree) = link else { return Ok(()) };
    let node = Subtree::edit(subtree)?;
    match node.search(key) {
        Ok(position) => {
            let removed = node.entries.remove(position);
            let before = node.child_mut(position).take();
            *node.child_mut(position) = join(before, removed.right)?;
        }
        Err(position) => remove_below(node.child_mut(position), key)?,
    }
    if node.is_empty() {
        *link = None;
    }
    Ok(())
}

/// Cuts a subtree into the keys before `key` and those behind it.
fn split(link: Link, key: &str) -> Result<(Link, Link), TreeError> {
    let Some(subtree) = link else { return Ok((None, None)) };
    let node = subtree.node()?;
    let position = node.search(key).unwrap_or_else(|position| position);
    if node.child(position).is_none() {
        // Nothing is cut: the node goes to one side as it is.
        if position == 0 {
            return Ok((None, Some(subtree)));
        }
        if position == node.entries.len() {
            return Ok((Some(subtree), None));
        }
    }
    let mut before = node.clone_for_change();
    let (middle_before, middle_behind) = split(before.child_mut(position).take(), key)?;
    let behind = Node::new(before.level, middle_behind, before.entries.split_off(position));
    *before.child_mut(position) = middle_before;
    Ok((before.into_link(), behind.into_link()))
}

/// Joins two subtrees of one level, all keys of the first being before those of the second.
fn join(before: Link, behind: Link) -> Result<Link, TreeError> {
    let (before, behind) = match (before, behind) {
        (Some(before), Some(behind)) => (before, behind),
        (one, other) => return Ok(one.or(other)),
    };
    let mut joined = before.node()?.clone_for_change();
    let behind = behind.node()?;
    if joined.entries.len() + behind.entries.len() > NODE_ENTRIES_MAX {
        return Err(TreeError::NodeTooLarge);
    }
    let seam = joined.entries.len();
    let middle = join(joined.child_mut(seam).take(), behind.left.clone())?;
    *joined.child_mut(seam) = middle;
    joined.entries.extend(behind.entries.iter().cloned());
    Ok(joined.into_link())
}
