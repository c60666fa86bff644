//! What a consumer checks of a commit with nothing but the message: that it is signed, that its
//! blocks say what its operations say, and that taking the operations back leads to the tree before.
//!
//! Spec: <https://atproto.com/specs/sync#commit-validation-mst-operation-inversion>

use std::collections::HashSet;

use super::commit::{CommitError, SignedCommit};
use super::op::{OpAction, RepoOp};
use super::plan::OPS_MAX;
use super::tree::{PartialTree, TreeError};
use crate::Cid;
use crate::car::{self, Car, CarError, Limits};
use crate::crypto::{DidKey, SignatureError};
use crate::frame;

/// Why operations cannot be taken back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvertError {
    /// The blocks do not hold what is needed, or not a valid tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The tree does not have the record that an operation says it put there.
    #[error("the tree does not have what was done to {path}")]
    OpMismatch {
        /// The record's path.
        path: String,
    },
    /// An operation does not tell what was there before.
    #[error("the operation on {path} does not tell what was there before")]
    NoPrev {
        /// The record's path.
        path: String,
    },
    /// Two operations are about one record.
    #[error("there are two operations on {path}")]
    DuplicatePath {
        /// The record's path.
        path: String,
    },
}

/// Why a commit message is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The blocks cannot be read.
    #[error(transparent)]
    Car(#[from] CarError),
    /// The commit is malformed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The signature is not the account's.
    #[error("the signature is not the account's")]
    Signature(#[from] SignatureError),
    /// A field of the message differs from the commit.
    #[error("the message's {0} is not that of the commit")]
    FieldMismatch(&'static str),
    /// A block is missing.
    #[error("the block {cid} is missing")]
    MissingBlock {
        /// The block's identifier.
        cid: Cid,
    },
    /// There are too many operations.
    #[error("there are more than {OPS_MAX} operations")]
    TooManyOps,
    /// The operations cannot be taken back.
    #[error(transparent)]
    Invert(#[from] InvertError),
    /// Taking the operations back leads to another tree than the one named.
    #[error("without the operations the tree is {found}, not {expected}")]
    PrevDataMismatch {
        /// What the message names.
        expected: Cid,
        /// What came out.
        found: Cid,
    },
}

/// Takes operations back from the tree `data`, as far as it is in `blocks`, and answers the tree before them.
pub fn invert(blocks: &Car<'_>, data: &Cid, ops: &[RepoOp]) -> Result<Cid, InvertError> {
    let mut tree = PartialTree::from_blocks(data, |cid| blocks.get(cid))?;
    let mut paths = HashSet::with_capacity(ops.len());
    for op in ops {
        let path = op.path.as_str();
        if !paths.insert(path) {
            return Err(InvertError::DuplicatePath { path: path.to_owned() });
        }
        let no_prev = || InvertError::NoPrev { path: path.to_owned() };
        let is_as_told = match op.action {
            OpAction::Create { cid } => tree.remove(path)? == Some(cid),
            OpAction::Update { cid, prev } => tree.set(path, prev.ok_or_else(no_prev)?)? == Some(cid),
            OpAction::Delete { prev } => tree.set(path, prev.ok_or_else(no_prev)?)?.is_none(),
        };
        if !is_as_told {
            return Err(InvertError::OpMismatch { path: path.to_owned() });
        }
    }
    Ok(tree.root())
}

/// Makes every check of a `#commit` message that needs only the account's key, and answers the commit.
///
/// Whether the account is active, `rev` is newer than the last one seen and not in the future, and
/// `since` and `prevData` follow on what was seen before, is for the caller to know.
pub fn verify_commit_message(message: &frame::Commit, key: &DidKey) -> Result<SignedCommit, VerifyError> {
    if message.ops.len() > OPS_MAX {
        return Err(VerifyError::TooManyOps);
    }
    let blocks = car::read(&message.blocks, &Limits::COMMIT)?;
    if blocks.root() != Some(message.commit) {
        return Err(VerifyError::FieldMismatch("commit"));
    }
    let commit = blocks.get(&message.commit).ok_or(VerifyError::MissingBlock { cid: message.commit })?;
    let commit = SignedCommit::parse(commit)?;
    if commit.commit().did != message.repo {
        return Err(VerifyError::FieldMismatch("repo"));
    }
    if commit.commit().rev != message.rev {
        return Err(VerifyError::FieldMismatch("rev"));
    }
    commit.verify(key)?;
    verify_ops(&blocks, &commit.commit().data, &message.ops, message.prev_data.as_ref())?;
    Ok(commit)
}

/// Checks that `blocks` hold every new record and that `ops` lead from `prev_data` to `data`.
/// Without `prev_data` only that each operation is one that the tree shows.
pub(super) fn verify_ops(
    blocks: &Car<'_>,
    data: &Cid,
    ops: &[RepoOp],
    prev_data: Option<&Cid>,
) -> Result<(), VerifyError> {
    if let Some(cid) = ops.iter().filter_map(|op| op.action.cid()).find(|cid| blocks.get(cid).is_none()) {
        return Err(VerifyError::MissingBlock { cid });
    }
    let Some(expected) = prev_data else {
        let tree = PartialTree::from_blocks(data, |cid| blocks.get(cid)).map_err(InvertError::from)?;
        for op in ops {
            if tree.get(op.path.as_str()).map_err(InvertError::from)? != op.action.cid() {
                return Err(InvertError::OpMismatch { path: op.path.to_string() }.into());
            }
        }
        return Ok(());
    };
    let found = invert(blocks, data, ops)?;
    if found == *expected { Ok(()) } else { Err(VerifyError::PrevDataMismatch { expected: *expected, found }) }
}
