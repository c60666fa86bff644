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
    /// How many nodes the tree has.
    pub nodes: u64,
}

/// Counts a repository's blocks.
pub async fn size(app: &Arc<App>, did: &Did) -> Result<Size, OpenError> {
    let repo = open(app, did).await?;
    // A large tree takes a while to walk.
    let counted = tokio::task::spawn_blocking(move || {
        let (mut records, mut nodes) = (0, 0);
        for step in repo.tree.walk() {
            match step {
                Step::Node(_) => nodes += 1,
                Step::Entry { .. } => records += 1,
            }
        }
        Size { commit: repo.head.commit, rev: repo.head.rev, records, nodes }
    });
    counted.await.map_err(|_| OpenError::Busy(Busy))
}
