//! Open repositories: the head, the tree built from the record keys, the signing key; kept in a byte-bounded cache.
//!
//! Only a repository's own turn puts it into the cache, so what is there is never older than the store.

use std::sync::Arc;

use allod_atproto::{
    Cid, Did, Tid,
    crypto::SigningKey,
    repo::{self, SignedCommit, Tree, TreeError},
};
use allod_base::randomness::{self, Randomness};
use allod_store::{
    ReadError,
    tables::{
        records,
        repos::{self, Head},
        signing_keys,
    },
};
use parking_lot::Mutex;
use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};
use tokio::sync::{Semaphore, oneshot};

use super::{
    export::Searches,
    snapshot::Snapshots,
    turns::{self, Busy, Job, Turns},
};
use crate::{
    app::App,
    domain::{
        integrity,
        keys::{Purpose, UnwrapError},
    },
    limits::{RECORD_KEYS_PER_READ, RECORD_PAGES_AT_ONCE_MAX},
};

/// What an open repository takes beside its tree, in bytes; an estimate.
const OPEN_REPO_BYTES: usize = 1024;
/// About how many repositories the cache holds, which sizes its tables.
const CACHED_REPOS_ESTIMATE: usize = 1024;
const CLOCK_ID_MASK: u16 = 0x3ff;

/// A repository in memory, as its newest commit has it.
pub struct OpenRepo {
    /// The newest commit.
    pub(super) head: Head,
    /// Its tree.
    pub(super) tree: Tree,
    /// What commits are signed with.
    pub(super) key: Arc<SigningKey>,
}

impl OpenRepo {
    /// The newest commit, as the protocol names it.
    pub(super) fn protocol_head(&self) -> repo::Head {
        repo::Head { commit: self.head.commit, rev: self.head.rev, data: self.head.data }
    }
}

/// Why a repository can't be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// There is none.
    #[error("Could not find repo for DID: {0}")]
    NotFound(Did),
    /// The stored records do not make the stored head's tree. It is neither shown nor signed over.
    #[error("the records of {did} make the tree {found}, but its head says {expected}; see `allod repo verify`")]
    Damaged {
        /// Whose.
        did: Did,
        /// What the head says.
        expected: Cid,
        /// What the records make.
        found: Cid,
    },
    /// The stored records make no tree.
    #[error("the records of {0} make no tree: {1}; see `allod repo verify`")]
    Tree(Did, TreeError),
    /// The stored head is not what its commit says.
    #[error("the stored commit of {0} is damaged; see `allod repo verify`")]
    Commit(Did),
    /// The account has no signing key.
    #[error("{0} has no signing key")]
    NoKey(Did),
    /// The signing key can't be unwrapped.
    #[error(transparent)]
    Key(Arc<UnwrapError>),
    /// The store could not be read.
    #[error(transparent)]
    Read(Arc<ReadError>),
    /// Too much waits for the repository.
    #[error(transparent)]
    Busy(#[from] Busy),
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        Self::Read(Arc::new(error))
    }
}

impl From<UnwrapError> for OpenError {
    fn from(error: UnwrapError) -> Self {
        Self::Key(Arc::new(error))
    }
}

/// The repositories at work: turns, the cache of open ones, and the clock of record keys.
pub struct Repositories {
    pub(super) turns: Turns,
    pub(super) snapshots: Snapshots,
    pub(super) searches: Searches,
    /// The pages of records that are read and written as JSON at once.
    pub(super) pages: Arc<Semaphore>,
    cache: Cache<Did, Arc<OpenRepo>, ByBytes>,
    /// The last used repository that is too large for the cache.
    oversized: Mutex<Option<(Did, Arc<OpenRepo>)>>,
    oversized_bytes_min: u64,
    clock_id: u16,
    last_key: Mutex<Option<Tid>>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Did, Arc<OpenRepo>> for ByBytes {
    fn weight(&self, _: &Did, repo: &Arc<OpenRepo>) -> u64 {
        (repo.tree.memory_bytes() + OPEN_REPO_BYTES) as u64
    }
}

impl Repositories {
    /// Keeps open repositories of up to `cache_bytes_max` bytes.
    pub fn new(cache_bytes_max: u64, randomness: &dyn Randomness) -> Self {
        let options = OptionsBuilder::new()
            .shards(1)
            .estimated_items_capacity(CACHED_REPOS_ESTIMATE)
            .weight_capacity(cache_bytes_max)
            .build();
        #[expect(clippy::expect_used, reason = "every option that is needed is set")]
        let options = options.expect("the cache's options are complete");
        Self {
            turns: Turns::default(),
            snapshots: Snapshots::default(),
            searches: Searches::default(),
            pages: Arc::new(Semaphore::new(RECORD_PAGES_AT_ONCE_MAX)),
            cache: Cache::with_options(options, ByBytes, DefaultHashBuilder::default(), DefaultLifecycle::default()),
            oversized: Mutex::default(),
            oversized_bytes_min: cache_bytes_max / 2,
            clock_id: u16::from_be_bytes(randomness::bytes(randomness)) & CLOCK_ID_MASK,
            last_key: Mutex::default(),
        }
    }

    /// How many exports are under way.
    pub fn exports(&self) -> usize {
        self.snapshots.count()
    }

    /// Makes a record key later than every one this process made before.
    pub fn next_key(&self, now_micros: u64) -> Tid {
        let mut last = self.last_key.lock();
        let next = Tid::next(last.as_ref(), now_micros, self.clock_id);
        *last = Some(next);
        next
    }

    /// Makes the revision behind `previous`.
    pub(super) fn next_rev(&self, previous: &Tid, now_micros: u64) -> Tid {
        Tid::next(Some(previous), now_micros, self.clock_id)
    }

    /// Finds an open repository.
    pub(super) fn cached(&self, did: &Did) -> Option<Arc<OpenRepo>> {
        self.cache.get(did).or_else(|| {
            let oversized = self.oversized.lock();
            oversized.as_ref().filter(|(held, _)| held == did).map(|(_, repo)| Arc::clone(repo))
        })
    }

    /// Keeps what a repository's own turn has made of it.
    pub(super) fn keep(&self, did: &Did, repo: &Arc<OpenRepo>) {
        if ByBytes.weight(did, repo) >= self.oversized_bytes_min {
            self.cache.remove(did);
            *self.oversized.lock() = Some((did.clone(), Arc::clone(repo)));
        } else {
            // One that has shrunk must not be found again as it was.
            self.forget_oversized(did);
            self.cache.insert(did.clone(), Arc::clone(repo));
        }
    }

    /// Closes a repository, so that it is read from the store when it is next needed.
    pub fn forget(&self, did: &Did) {
        self.cache.remove(did);
        self.forget_oversized(did);
    }

    fn forget_oversized(&self, did: &Did) {
        let mut oversized = self.oversized.lock();
        if oversized.as_ref().is_some_and(|(held, _)| held == did) {
            *oversized = None;
        }
    }
}

/// Opens a repository, waiting for its turn if it is not open yet.
pub async fn open(app: &Arc<App>, did: &Did) -> Result<Arc<OpenRepo>, OpenError> {
    if let Some(open) = app.repos.cached(did) {
        return Ok(open);
    }
    let (reply, answer) = oneshot::channel();
    turns::submit(app, did, Job::Open(reply))?;
    answer.await.unwrap_or(Err(OpenError::Busy(Busy)))
}

/// Opens a repository in its turn.
pub(super) async fn load(app: &App, did: &Did) -> Result<Arc<OpenRepo>, OpenError> {
    if let Some(open) = app.repos.cached(did) {
        return Ok(open);
    }
    let head = repos::head_of(&*app.db, did).await?.ok_or_else(|| OpenError::NotFound(did.clone()))?;
    check_head(app, did, &head)?;
    let key = signing_keys::by_did(&*app.db, did).await?.ok_or_else(|| OpenError::NoKey(did.clone()))?;
    let key = Arc::new(app.keyring.unwrap(&key.wrapped, Purpose::Signing(did))?);
    let tree = build_tree(app, did, &head).await.inspect_err(|error| {
        if matches!(error, OpenError::Damaged { .. } | OpenError::Tree(..)) {
            app.integrity.report(&integrity::repository(did), "its records are not those of its newest commit");
        }
    })?;
    let open = Arc::new(OpenRepo { head, tree, key });
    app.repos.keep(did, &open);
    Ok(open)
}

/// Checks a stored head against its signed commit; reports it if it is another.
pub(super) fn check_head(app: &App, did: &Did, head: &Head) -> Result<(), OpenError> {
    let is_its_commit = head.commit.matches(&head.commit_block)
        && SignedCommit::parse(&head.commit_block)
            .is_ok_and(|commit| commit.commit().rev == head.rev && commit.commit().data == head.data);
    if is_its_commit {
        return Ok(());
    }
    app.integrity.report(&integrity::repository(did), "its newest commit is damaged");
    Err(OpenError::Commit(did.clone()))
}

/// Builds the tree from the stored keys and checks that it is the head's.
async fn build_tree(app: &App, did: &Did, head: &Head) -> Result<Tree, OpenError> {
    let mut builder = repo::TreeBuilder::new();
    let mut after = String::new();
    loop {
        let entries = records::entries(&*app.db, head.record_set, &after, RECORD_KEYS_PER_READ).await?;
        let Some(last) = entries.last() else { break };
        for entry in &entries {
            builder.push(&entry.path, entry.cid).map_err(|error| OpenError::Tree(did.clone(), error))?;
        }
        after.clone_from(&last.path);
    }
    let tree = builder.finish();
    let found = tree.root();
    if found == head.data { Ok(tree) } else { Err(OpenError::Damaged { did: did.clone(), expected: head.data, found }) }
}

#[cfg(test)]
mod tests {
    use allod_atproto::crypto::Curve;
    use allod_store::tables::records::RecordSet;
    use bytes::Bytes;

    use super::*;

    struct Zeros;

    impl Randomness for Zeros {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0);
        }
    }

    fn repo(keys: usize) -> Arc<OpenRepo> {
        let cid = Cid::for_cbor(b"record");
        let tree = Tree::from_sorted((0..keys).map(|n| (format!("com.example.note/{n:05}"), cid))).unwrap();
        let (rev, commit_block) = (Tid::from_u64(keys as u64), Bytes::new());
        let head =
            Head { commit: cid, rev, data: tree.root(), commit_block, record_set: RecordSet::from_random([0; 8]) };
        Arc::new(OpenRepo { head, tree, key: Arc::new(SigningKey::from_bytes(Curve::K256, &[7; 32]).unwrap()) })
    }

    #[test]
    fn one_too_large_for_the_cache_is_held_alone_and_never_found_as_it_was() {
        let repos = Repositories::new(20_000, &Zeros);
        let did = |name: &str| Did::parse(&format!("did:web:{name}.example.com")).unwrap();
        let (alice, bob) = (did("alice"), did("bob"));
        let found = |did: &Did| repos.cached(did).map(|repo| repo.tree.len());
        repos.keep(&alice, &repo(500));
        assert_eq!((found(&alice), repos.cache.len()), (Some(500), 0));
        repos.keep(&bob, &repo(600));
        assert_eq!((found(&alice), found(&bob)), (None, Some(600)));

        repos.keep(&bob, &repo(3));
        assert_eq!(found(&bob), Some(3));
        // As when the cache makes room.
        repos.cache.remove(&bob);
        assert_eq!(found(&bob), None);

        repos.keep(&bob, &repo(3));
        repos.keep(&bob, &repo(600));
        repos.forget(&bob);
        assert_eq!(found(&bob), None);
    }
}
