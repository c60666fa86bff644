//! Planning a commit: everything that a write makes, computed before any of it is stored.

use std::collections::HashSet;

use bytes::Bytes;

use super::commit::{Commit, SignedCommit};
use super::invert::{VerifyError, verify_ops};
use super::op::{Change, OpAction, RepoOp, Write};
use super::tree::{Tree, TreeError, Undo};
use crate::car::{self, Limits, Writer};
use crate::crypto::SigningKey;
use crate::frame::{self, EncodedFrame};
use crate::{Cid, Datetime, Did, Tid};

/// The most operations of one commit. Spec: lexicon `com.atproto.sync.subscribeRepos#commit`.
pub const OPS_MAX: usize = 200;
/// The most bytes of a commit's blocks. Spec: lexicon `com.atproto.sync.subscribeRepos#commit`.
pub const BLOCKS_BYTES_MAX: usize = 2_000_000;
/// The most bytes of one record.
pub const RECORD_BYTES_MAX: usize = 1_000_000;

/// Where a repository is: its newest commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The commit.
    pub commit: Cid,
    /// Its revision.
    pub rev: Tid,
    /// Its tree.
    pub data: Cid,
}

/// A commit that is ready to be stored and told of.
#[derive(Debug, Clone)]
pub struct CommitPlan {
    /// The tree after the commit.
    pub tree: Tree,
    /// The signed commit.
    pub commit: SignedCommit,
    /// What was done, in the order of the writes.
    pub ops: Vec<RepoOp>,
    /// A CAR of the commit, the new records and the nodes that a consumer needs to check them.
    pub blocks: Bytes,
    /// The revision before; none for the first commit.
    pub since: Option<Tid>,
    /// The tree before; none for the first commit.
    pub prev_data: Option<Cid>,
}

/// Why a commit cannot be made. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// There are too many writes for one commit.
    #[error("{ops} writes, of which one commit may have {OPS_MAX}")]
    TooManyOps {
        /// How many there are.
        ops: usize,
    },
    /// Two writes are about one record.
    #[error("two writes to {path}")]
    DuplicatePath {
        /// The record's path.
        path: String,
    },
    /// A record to be created is there already.
    #[error("there is a record at {path} already")]
    RecordExists {
        /// The record's path.
        path: String,
    },
    /// A record to be updated or deleted is not there.
    #[error("there is no record at {path}")]
    NoSuchRecord {
        /// The record's path.
        path: String,
    },
    /// A record is too large.
    #[error("the record at {path} has {bytes} bytes, of which it may have {RECORD_BYTES_MAX}")]
    RecordTooLarge {
        /// The record's path.
        path: String,
        /// How many bytes it has.
        bytes: usize,
    },
    /// The blocks together are too large.
    #[error("the commit's blocks have {bytes} bytes, of which they may have {BLOCKS_BYTES_MAX}")]
    BlocksTooLarge {
        /// How many bytes they have.
        bytes: usize,
    },
    /// The new revision is not behind the one before.
    #[error("the revision {rev} does not come after {previous}")]
    RevNotAscending {
        /// The new revision.
        rev: Tid,
        /// The one before.
        previous: Tid,
    },
    /// The tree given is not that of the commit before.
    #[error("the tree is {found}, but the commit before has {expected}")]
    TreeMismatch {
        /// The tree of the commit before.
        expected: Cid,
        /// The tree given.
        found: Cid,
    },
    /// The tree refuses a key.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The finished commit does not pass a consumer's checks: a defect of this crate.
    #[error("the commit does not pass its own check: {0}")]
    SelfCheck(VerifyError),
}

/// Plans the commit that applies `writes` to a repository, at most one to each record.
///
/// `previous` is the head that `tree` belongs to, none for a repository's first commit. A commit
/// without writes is valid. The plan has passed the check that a consumer makes.
pub fn plan(
    tree: &Tree,
    did: &Did,
    writes: &[Write],
    key: &SigningKey,
    previous: Option<&Head>,
    rev: Tid,
) -> Result<CommitPlan, PlanError> {
    check_previous(tree, previous, rev)?;
    let (tree, ops) = apply(tree.clone(), writes)?;
    let nodes = tree.covering_proof(ops.iter().map(|op| (op.path.as_str(), undo(&op.action))));
    let commit = Commit { did: did.clone(), rev, data: tree.root(), prev: None }.sign(key);
    let blocks = write_blocks(&commit, &nodes, writes, &ops)?;
    let prev_data = previous.map(|head| head.data);
    self_check(&blocks, &commit, &ops, prev_data.as_ref()).map_err(PlanError::SelfCheck)?;
    Ok(CommitPlan { tree, commit, ops, blocks, since: previous.map(|head| head.rev), prev_data })
}

impl CommitPlan {
    /// The head that the repository has after the commit.
    pub fn head(&self) -> Head {
        let commit = self.commit.commit();
        Head { commit: self.commit.cid(), rev: commit.rev, data: commit.data }
    }

    /// The firehose's `#commit` message.
    pub fn commit_message(&self, time: &Datetime) -> frame::Commit {
        let commit = self.commit.commit();
        frame::Commit {
            repo: commit.did.clone(),
            commit: self.commit.cid(),
            rev: commit.rev,
            since: self.since,
            blocks: self.blocks.clone(),
            ops: self.ops.clone(),
            prev_data: self.prev_data,
            time: time.clone(),
        }
    }

    /// The frame of the firehose's `#commit` message.
    pub fn commit_frame(&self, time: &Datetime) -> EncodedFrame {
        frame::commit(&self.commit_message(time))
    }

    /// The firehose's `#sync` message, which says: the repository is now this.
    pub fn sync_message(&self, time: &Datetime) -> frame::Sync {
        self.commit.sync_message(time)
    }
}

impl SignedCommit {
    /// The firehose's `#sync` message, which says: the repository is now this.
    pub fn sync_message(&self, time: &Datetime) -> frame::Sync {
        frame::Sync {
            did: self.commit().did.clone(),
            rev: self.commit().rev,
            blocks: car::write(&self.cid(), [(self.cid(), &self.bytes()[..])]),
            time: time.clone(),
        }
    }
}

fn check_previous(tree: &Tree, previous: Option<&Head>, rev: Tid) -> Result<(), PlanError> {
    let Some(head) = previous else { return Ok(()) };
    if rev <= head.rev {
        return Err(PlanError::RevNotAscending { rev, previous: head.rev });
    }
    let found = tree.root();
    if found != head.data {
        return Err(PlanError::TreeMismatch { expected: head.data, found });
    }
    Ok(())
}

fn apply(mut tree: Tree, writes: &[Write]) -> Result<(Tree, Vec<RepoOp>), PlanError> {
    if writes.len() > OPS_MAX {
        return Err(PlanError::TooManyOps { ops: writes.len() });
    }
    let mut paths = HashSet::with_capacity(writes.len());
    let mut ops = Vec::with_capacity(writes.len());
    for Write { path, change } in writes {
        if !paths.insert(path) {
            return Err(PlanError::DuplicatePath { path: path.to_string() });
        }
        let present = tree.get(path.as_str());
        let no_such_record = || PlanError::NoSuchRecord { path: path.to_string() };
        let action = match change {
            Change::Create(_) if present.is_some() => {
                return Err(PlanError::RecordExists { path: path.to_string() });
            }
            Change::Create(record) => {
                let cid = record_cid(path.as_str(), record)?;
                tree.set(path.as_str(), cid)?;
                OpAction::Create { cid }
            }
            Change::Update(record) => {
                let prev = Some(present.ok_or_else(no_such_record)?);
                let cid = record_cid(path.as_str(), record)?;
                tree.set(path.as_str(), cid)?;
                OpAction::Update { cid, prev }
            }
            Change::Delete => {
                let prev = Some(present.ok_or_else(no_such_record)?);
                tree.remove(path.as_str())?;
                OpAction::Delete { prev }
            }
        };
        ops.push(RepoOp { path: path.clone(), action });
    }
    Ok((tree, ops))
}

fn record_cid(path: &str, record: &[u8]) -> Result<Cid, PlanError> {
    if record.len() > RECORD_BYTES_MAX {
        return Err(PlanError::RecordTooLarge { path: path.to_owned(), bytes: record.len() });
    }
    Ok(Cid::for_cbor(record))
}

fn undo(action: &OpAction) -> Undo {
    match action {
        OpAction::Create { .. } => Undo::Remove,
        OpAction::Update { .. } | OpAction::Delete { .. } => Undo::Set,
    }
}

/// Writes the commit, the nodes and the new records, each block once.
fn write_blocks(
    commit: &SignedCommit,
    nodes: &[(Cid, Vec<u8>)],
    writes: &[Write],
    ops: &[RepoOp],
) -> Result<Bytes, PlanError> {
    let mut written: HashSet<Cid> = HashSet::with_capacity(ops.len());
    let mut writer = Writer::with_capacity(&commit.cid(), 1024 + nodes.len() * 512);
    writer.block(&commit.cid(), commit.bytes());
    for (cid, node) in nodes {
        writer.block(cid, node);
    }
    for (write, op) in writes.iter().zip(ops) {
        if let (Change::Create(record) | Change::Update(record), Some(cid)) = (&write.change, op.action.cid())
            && written.insert(cid)
        {
            writer.block(&cid, record);
        }
        if writer.len() > BLOCKS_BYTES_MAX {
            break;
        }
    }
    if writer.len() > BLOCKS_BYTES_MAX {
        return Err(PlanError::BlocksTooLarge { bytes: writer.len() });
    }
    Ok(writer.finish())
}

fn self_check(
    blocks: &[u8],
    commit: &SignedCommit,
    ops: &[RepoOp],
    prev_data: Option<&Cid>,
) -> Result<(), VerifyError> {
    let blocks = car::read(blocks, &Limits::COMMIT)?;
    if blocks.root() != Some(commit.cid()) || blocks.get(&commit.cid()).is_none() {
        return Err(VerifyError::MissingBlock { cid: commit.cid() });
    }
    verify_ops(&blocks, &commit.commit().data, ops, prev_data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Curve;
    use crate::repo::{InvertError, RecordPath};

    /// A plan that were wrong would be told by its own check, whatever is wrong with it.
    #[test]
    fn the_own_check_finds_what_a_plan_may_not_be() {
        let key = SigningKey::from_bytes(Curve::K256, &[7; 32]).unwrap();
        let did = Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz").unwrap();
        let rev = |n: u64| Tid::from_parts(1_700_000_000_000_000 + n, 3);
        let path = |n: u8| RecordPath::parse(&format!("com.example.c/{n}")).unwrap();
        let write = |n: u8| Write { path: path(n), change: Change::Create(Bytes::from(vec![n])) };
        let first = plan(&Tree::empty(), &did, &[write(1)], &key, None, rev(0)).unwrap();
        let second = plan(&first.tree, &did, &[write(2)], &key, Some(&first.head()), rev(1)).unwrap();
        let check = |blocks: &[u8], commit: &SignedCommit, ops: &[RepoOp], prev_data: Cid| {
            self_check(blocks, commit, ops, Some(&prev_data))
        };
        let before = first.head().data;
        assert_eq!(check(&second.blocks, &second.commit, &second.ops, before), Ok(()));

        let other = Cid::for_cbor(b"other");
        let wrong = VerifyError::PrevDataMismatch { expected: other, found: before };
        assert_eq!(check(&second.blocks, &second.commit, &second.ops, other), Err(wrong));
        let missing = |commit: &SignedCommit| VerifyError::MissingBlock { cid: commit.cid() };
        assert_eq!(check(&first.blocks, &second.commit, &second.ops, before), Err(missing(&second.commit)));
        let rootless = car::write(&second.commit.cid(), []);
        assert_eq!(check(&rootless, &second.commit, &second.ops, before), Err(missing(&second.commit)));
        let elsewhere = car::write(&other, [(second.commit.cid(), &second.commit.bytes()[..])]);
        assert_eq!(check(&elsewhere, &second.commit, &second.ops, before), Err(missing(&second.commit)));
        let untold = check(&second.blocks, &second.commit, &[], before).unwrap_err();
        assert!(matches!(untold, VerifyError::PrevDataMismatch { .. }), "{untold:?}");
        let lied = [RepoOp { path: path(3), action: second.ops[0].action }];
        let lied = check(&second.blocks, &second.commit, &lied, before).unwrap_err();
        assert!(matches!(lied, VerifyError::Invert(InvertError::OpMismatch { .. })), "{lied:?}");
        assert!(check(&second.blocks[..200], &second.commit, &second.ops, before).is_err());
    }
}
