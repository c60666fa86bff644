//! Repositories held as one commit has them, for readers who take longer than a write.
//!
//! A tree in memory stays as it is. Records are read from the store bit by bit while writes go on, so whoever writes
//! first hands over what the write replaces to those who still need it: see [`keep_replaced`]. A transaction held open
//! instead would stop the log from being cut for as long as the slowest reader takes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use allod_atproto::{Cid, Did, Tid, repo::RecordPath};
use allod_store::tables::{
    records::{self, RecordSet},
    repos,
};
use bytes::Bytes;
use parking_lot::Mutex;

use super::{OpenRepo, RepoError, open, turns};
use crate::{
    app::App,
    domain::{
        integrity,
        shares::{Bounds, Place, Places, Taker},
    },
    limits::{SNAPSHOTS_MAX, SNAPSHOTS_PER_ACCOUNT_MAX, SNAPSHOTS_PER_ADDRESS_MAX, SNAPSHOTS_REPLACED_BYTES_MAX},
};

/// The snapshots that are held.
pub(super) struct Snapshots {
    by_did: Mutex<HashMap<Did, Vec<Arc<Held>>>>,
    places: Arc<Places>,
    /// How many bytes of replaced records all of them keep.
    replaced_bytes: AtomicUsize,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self {
            by_did: Mutex::default(),
            places: Places::new(Bounds {
                total: SNAPSHOTS_MAX,
                per_address: SNAPSHOTS_PER_ADDRESS_MAX,
                per_account: SNAPSHOTS_PER_ACCOUNT_MAX,
            }),
            replaced_bytes: AtomicUsize::new(0),
        }
    }
}

impl Snapshots {
    pub(super) fn count(&self) -> usize {
        self.places.taken()
    }
}

/// What a reader and the writers share of a snapshot.
struct Held {
    repo: Arc<OpenRepo>,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    /// The records before this path are not needed any more.
    passed: String,
    replaced: BTreeMap<String, Replaced>,
    /// Something that is needed could not be kept.
    is_broken: bool,
}

/// A record as it was before a later commit.
#[derive(Clone)]
pub(super) struct Replaced {
    /// The revision that wrote it.
    pub(super) rev: Tid,
    /// The record.
    pub(super) block: Bytes,
}

/// A repository as one commit has it, until it is dropped.
pub(super) struct Snapshot {
    app: Arc<App>,
    did: Did,
    held: Arc<Held>,
    _place: Place,
}

impl Snapshot {
    /// Holds the repository as it is now.
    pub(super) async fn take(app: &Arc<App>, did: &Did, taker: &Taker) -> Result<Self, RepoError> {
        let place = app.repos.snapshots.places.take(taker, 1).map_err(RepoError::TooManyReaders)?;
        // In the turn, so that no write that is under way has missed it.
        let _turn = turns::turn(app, did).await.map_err(open::OpenError::from)?;
        let held = Arc::new(Held { repo: open::load(app, did).await?, progress: Mutex::default() });
        app.repos.snapshots.by_did.lock().entry(did.clone()).or_default().push(Arc::clone(&held));
        Ok(Self { app: Arc::clone(app), did: did.clone(), held, _place: place })
    }

    /// The repository.
    pub(super) fn repo(&self) -> &OpenRepo {
        &self.held.repo
    }

    /// The server.
    pub(super) fn app(&self) -> &App {
        &self.app
    }

    /// Whose it is.
    pub(super) fn did(&self) -> &Did {
        &self.did
    }

    /// Which records are the repository's.
    pub(super) fn record_set(&self) -> RecordSet {
        self.held.repo.head.record_set
    }

    /// Reads the record at a path of the tree.
    pub(super) async fn record(&self, path: &str, cid: &Cid) -> Result<Bytes, RepoError> {
        match records::at(&*self.app.db, self.record_set(), path).await? {
            Some(record) if record.cid == *cid => Ok(record.block),
            Some(_) | None => match self.replaced(path) {
                Some(replaced) => Ok(replaced.block),
                None => Err(self.missing(path).await),
            },
        }
    }

    /// What a record was that a later commit has replaced or deleted.
    pub(super) fn replaced(&self, path: &str) -> Option<Replaced> {
        self.held.progress.lock().replaced.get(path).cloned()
    }

    /// Needs no record before `path` any more.
    pub(super) fn pass(&self, path: &str) {
        let mut progress = self.held.progress.lock();
        path.clone_into(&mut progress.passed);
        let needed = progress.replaced.split_off(path);
        for replaced in std::mem::replace(&mut progress.replaced, needed).values() {
            self.release(replaced);
        }
    }

    /// Checks that every later write has handed over what was needed, and that the records are still the repository's.
    pub(super) async fn check(&self) -> Result<(), RepoError> {
        let head = repos::head_of(&*self.app.db, &self.did).await?;
        let is_theirs = head.is_some_and(|head| head.record_set == self.record_set());
        if is_theirs && !self.held.progress.lock().is_broken {
            Ok(())
        } else {
            Err(RepoError::Overtaken(self.did.clone()))
        }
    }

    /// Why a record of the tree is not there.
    pub(super) async fn missing(&self, path: &str) -> RepoError {
        match self.check().await {
            Ok(()) => {
                self.app.integrity.report(&integrity::record(&self.did, path), "it is missing");
                RepoError::RecordMissing { did: self.did.clone(), path: path.to_owned() }
            }
            Err(error) => error,
        }
    }

    fn release(&self, replaced: &Replaced) {
        self.app.repos.snapshots.replaced_bytes.fetch_sub(replaced.block.len(), Relaxed);
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let mut by_did = self.app.repos.snapshots.by_did.lock();
        if let Some(held) = by_did.get_mut(&self.did) {
            held.retain(|held| !Arc::ptr_eq(held, &self.held));
            if held.is_empty() {
                by_did.remove(&self.did);
            }
        }
        drop(by_did);
        let mut progress = self.held.progress.lock();
        // A writer who has found the snapshot before it went keeps nothing more for it.
        progress.is_broken = true;
        for replaced in std::mem::take(&mut progress.replaced).values() {
            self.release(replaced);
        }
    }
}

impl Held {
    fn needs(&self, path: &str, cid: &Cid) -> bool {
        let progress = self.progress.lock();
        path >= progress.passed.as_str()
            && !progress.is_broken
            && !progress.replaced.contains_key(path)
            && self.repo.tree.get(path) == Some(*cid)
    }

    fn keep(&self, snapshots: &Snapshots, path: &str, replaced: Option<&Replaced>) {
        let mut progress = self.progress.lock();
        let Some(replaced) = replaced.filter(|_| !progress.is_broken) else {
            progress.is_broken = true;
            return;
        };
        let bytes = replaced.block.len();
        if snapshots.replaced_bytes.fetch_add(bytes, Relaxed) + bytes > SNAPSHOTS_REPLACED_BYTES_MAX {
            snapshots.replaced_bytes.fetch_sub(bytes, Relaxed);
            progress.is_broken = true;
        } else {
            progress.replaced.insert(path.to_owned(), replaced.clone());
        }
    }
}

/// Hands what a commit is about to replace or delete to those who hold the repository as it was before.
///
/// To be called in the repository's turn, before the commit; `repo` is what the commit follows.
pub(super) async fn keep_replaced(app: &App, did: &Did, repo: &OpenRepo, paths: &[&RecordPath]) {
    let snapshots = &app.repos.snapshots;
    let Some(all) = snapshots.by_did.lock().get(did).cloned() else { return };
    for path in paths {
        let path = path.as_str();
        let Some(cid) = repo.tree.get(path) else { continue };
        let in_need: Vec<_> = all.iter().filter(|held| held.needs(path, &cid)).collect();
        if in_need.is_empty() {
            continue;
        }
        let record = records::at(&*app.db, repo.head.record_set, path).await;
        let record = record.ok().flatten().filter(|record| record.cid == cid);
        let replaced = record.map(|record| Replaced { rev: record.rev, block: record.block });
        for held in in_need {
            held.keep(snapshots, path, replaced.as_ref());
        }
    }
}
