//! How large a repository is.

use std::sync::Arc;

use allod_atproto::{Cid, Did, Tid, repo::Step};

use super::{OpenError, open};
use crate::{app::App, domain::repos::Busy};

/// What a repository consists of, as one commit has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The commit.
    pub commit: Cid,
    /// Its revision.
    pub rev: Tid,
    /// How many records there are.
    pub records: u64,
    /// How many blocks there are: records, of which those with the same bytes are one, nodes and the commit.
    pub blocks: u64,
}

/// What tells a block from all others that a repository will ever have: 8 bytes of its hash.
fn beginning(cid: &Cid) -> u64 {
    cid.digest().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Counts a repository's blocks.
pub async fn size(app: &Arc<App>, did: &Did) -> Result<Size, OpenError> {
    let repo = open(app, did).await?;
    // A large tree takes a while to walk.
    let counted = tokio::task::spawn_blocking(move || {
        let (mut values, mut nodes) = (Vec::new(), 0);
        for step in repo.tree.walk() {
            match step {
                Step::Node(_) => nodes += 1,
                Step::Entry { value, .. } => values.push(beginning(&value)),
            }
        }
        let records = values.len() as u64;
        values.sort_unstable();
        values.dedup();
        let blocks = values.len() as u64 + nodes + 1;
        Size { commit: repo.head.commit, rev: repo.head.rev, records, blocks }
    });
    counted.await.map_err(|_| OpenError::Busy(Busy))
}
