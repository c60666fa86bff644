//! Repositories: the tree of records, signed commits, planning a commit and checking one.
//!
//! [`plan`] is the whole of a write that needs no storage: from a [`Tree`], the writes and a key it
//! makes a [`CommitPlan`] that holds all there is to store and to send. [`verify_commit_message`]
//! is the other end, what a consumer of the firehose checks; every plan has passed the same check.
//!
//! Spec: <https://atproto.com/specs/repository>

mod commit;
mod invert;
mod op;
mod plan;
#[cfg(test)]
mod tests;
mod tree;

pub use self::commit::{COMMIT_BYTES_MAX, Commit, CommitError, SignedCommit};
pub use self::invert::{InvertError, VerifyError, invert, verify_commit_message};
pub use self::op::{Change, OpAction, RecordPath, RepoOp, Write};
pub use self::plan::{BLOCKS_BYTES_MAX, CommitPlan, Head, OPS_MAX, PlanError, RECORD_BYTES_MAX, plan};
pub use self::tree::{
    BlockWalk, KEY_BYTES_MAX, LEVEL_MAX, NODE_ENTRIES_MAX, NodeRef, PartialTree, RootBuilder, Step, Tree, TreeBuilder,
    TreeError, Undo, Walk, key_level,
};
