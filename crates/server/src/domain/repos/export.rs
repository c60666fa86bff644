//! Repositories as CAR files: the whole, what came since a revision, the proof of one record, and single blocks.
//!
//! A file is made piece by piece, in memory that does not grow with the repository, and is what one commit has however
//! long it takes and whatever is written meanwhile. When that can't be kept up, it ends with an error in its middle.

use std::{
    collections::{HashMap, HashSet},
    iter::Peekable,
    sync::Arc,
    vec::IntoIter,
};

use allod_atproto::{
    Cid, Did, Tid,
    car::Writer,
    cid::Codec,
    repo::{NodeRef, RecordPath, Step, Tree, Walk},
};
use allod_store::{
    ReadError,
    tables::records::{self, BlockRow},
};
use bytes::Bytes;
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::{OpenRepo, Reader, RepoError, open, readable, snapshot::Snapshot};
use crate::{
    app::App,
    domain::{
        integrity,
        shares::{Bounds, Places, Taker},
    },
    limits::{
        BLOCK_SEARCHES_MAX, BLOCK_SEARCHES_PER_CALLER_MAX, CAR_CHUNK_BYTES, RECORD_BYTES_PER_READ, RECORD_KEYS_PER_READ,
    },
};

/// A CAR file that is being made.
pub struct CarFile {
    snapshot: Snapshot,
    car: Writer,
    rest: Rest,
}

/// What is still to come.
enum Rest {
    Tree(Box<Export>),
    Blocks(IntoIter<(Cid, Place)>),
    Nothing,
}

/// Where a block is.
enum Place {
    Commit,
    Node(NodeRef),
    Record(Arc<str>),
}

/// Why blocks are not shown.
#[derive(Debug, thiserror::Error)]
pub enum BlocksError {
    /// Some are not in the repository.
    #[error("Could not find cids: {}", .0.iter().map(Cid::to_string).collect::<Vec<_>>().join(","))]
    NotFound(Vec<Cid>),
    /// The repository is not shown.
    #[error(transparent)]
    Repo(#[from] RepoError),
}

/// Begins the export of a repository: the commit first, then the tree in pre-order with each record behind its entry.
///
/// With `since`, of the records only those written after that revision. All nodes are there all the same: which of them
/// are new depends on what was deleted since, which nobody keeps.
pub async fn whole(
    app: &Arc<App>,
    did: &Did,
    reader: &Reader,
    taker: &Taker,
    since: Option<Tid>,
) -> Result<CarFile, RepoError> {
    readable(app, did, reader).await?;
    let snapshot = Snapshot::take(app, did, taker).await?;
    let head = &snapshot.repo().head;
    let mut car = Writer::new(&head.commit);
    car.block(&head.commit, &head.commit_block);
    let is_new = since.is_none_or(|since| since < head.rev);
    let rest = if is_new { Rest::Tree(Box::new(Export::new(&snapshot.repo().tree, since))) } else { Rest::Nothing };
    Ok(CarFile { snapshot, car, rest })
}

/// Begins a file of single blocks, in the order asked for.
///
/// Finding them may take a walk through the whole tree, which is done on a thread of its own, one at a time.
pub async fn blocks(
    app: &Arc<App>,
    did: &Did,
    reader: &Reader,
    taker: &Taker,
    cids: &[Cid],
) -> Result<CarFile, BlocksError> {
    readable(app, did, reader).await?;
    let searching = app.repos.searches.places.take(taker, 1).map_err(RepoError::TooManyReaders)?;
    let snapshot = Snapshot::take(app, did, taker).await?;
    let mut found = app.repos.searches.find(&snapshot, cids).await?;
    drop(searching);
    let missing: Vec<Cid> = cids.iter().filter(|cid| !found.contains_key(cid)).copied().collect();
    if !missing.is_empty() {
        return Err(BlocksError::NotFound(missing));
    }
    let places: Vec<_> = cids.iter().filter_map(|cid| found.remove(cid).map(|place| (*cid, place))).collect();
    let car = Writer::new(&snapshot.repo().head.commit);
    Ok(CarFile { snapshot, car, rest: Rest::Blocks(places.into_iter()) })
}

/// Makes the proof of what is, or is not, at a path: the commit, the nodes down to it, and the record if there is one.
pub async fn proof(
    app: &Arc<App>,
    did: &Did,
    reader: &Reader,
    taker: &Taker,
    path: &RecordPath,
) -> Result<Bytes, RepoError> {
    readable(app, did, reader).await?;
    let repo = open::open(app, did).await?;
    let Some(cid) = repo.tree.get(path.as_str()) else { return Ok(proof_file(&repo, path, None)) };
    let record = records::at(&*app.db, repo.head.record_set, path.as_str()).await?;
    if let Some(record) = record.filter(|record| record.cid == cid) {
        check_block(app, did, path.as_str(), &cid, &record.block)?;
        return Ok(proof_file(&repo, path, Some((cid, record.block))));
    }
    // The record changed meanwhile.
    let snapshot = Snapshot::take(app, did, taker).await?;
    let record = match snapshot.repo().tree.get(path.as_str()) {
        Some(cid) => {
            let block = snapshot.record(path.as_str(), &cid).await?;
            check_block(app, did, path.as_str(), &cid, &block)?;
            Some((cid, block))
        }
        None => None,
    };
    Ok(proof_file(snapshot.repo(), path, record))
}

/// Checks that a record's bytes are those of its CID; reports them if not.
fn check_block(app: &App, did: &Did, path: &str, cid: &Cid, block: &[u8]) -> Result<(), RepoError> {
    if cid.matches(block) {
        return Ok(());
    }
    app.integrity.report(&integrity::record(did, path), integrity::BYTES_CHANGED);
    Err(RepoError::RecordDamaged { did: did.clone(), path: path.to_owned() })
}

fn proof_file(repo: &OpenRepo, path: &RecordPath, record: Option<(Cid, Bytes)>) -> Bytes {
    let mut car = Writer::new(&repo.head.commit);
    car.block(&repo.head.commit, &repo.head.commit_block);
    for (cid, node) in repo.tree.path(path.as_str()) {
        car.block(&cid, &node);
    }
    if let Some((cid, block)) = record {
        car.block(&cid, &block);
    }
    car.finish()
}

/// The searches for blocks: who waits for one, and the one that is carried out.
pub(super) struct Searches {
    places: Arc<Places>,
    thread: Arc<Semaphore>,
}

impl Default for Searches {
    fn default() -> Self {
        let bounds = Bounds {
            total: BLOCK_SEARCHES_MAX,
            per_address: BLOCK_SEARCHES_PER_CALLER_MAX,
            per_account: BLOCK_SEARCHES_PER_CALLER_MAX,
        };
        Self { places: Places::new(bounds), thread: Arc::new(Semaphore::new(1)) }
    }
}

impl Searches {
    /// Looks for blocks in the commit and its tree.
    async fn find(&self, snapshot: &Snapshot, cids: &[Cid]) -> Result<HashMap<Cid, Place>, RepoError> {
        // Commits, nodes and records are CBOR.
        let wanted: HashSet<Cid> = cids.iter().copied().filter(|cid| cid.codec() == Codec::DagCbor).collect();
        let mut found = HashMap::new();
        if wanted.contains(&snapshot.repo().head.commit) {
            found.insert(snapshot.repo().head.commit, Place::Commit);
        }
        if found.len() == wanted.len() {
            return Ok(found);
        }
        let tree = snapshot.repo().tree.clone();
        let turn = Arc::clone(&self.thread).acquire_owned().await;
        // A search goes on when nobody waits for it any more, and so does its turn.
        let search = spawn_blocking(move || {
            let found = search(&tree, &wanted, found);
            drop(turn);
            found
        });
        search
            .await
            .map_err(|_| RepoError::Read(ReadError::Unavailable { reason: "the search for blocks failed".to_owned() }))
    }
}

/// Walks through the tree until everything was found.
fn search(tree: &Tree, wanted: &HashSet<Cid>, mut found: HashMap<Cid, Place>) -> HashMap<Cid, Place> {
    for step in tree.walk() {
        if found.len() == wanted.len() {
            break;
        }
        let (cid, place) = match step {
            Step::Node(node) => (node.cid(), Place::Node(node)),
            Step::Entry { key, value } => (value, Place::Record(key)),
        };
        if wanted.contains(&cid) {
            found.entry(cid).or_insert(place);
        }
    }
    found
}

impl CarFile {
    /// Makes the next piece; none at the end. After an error the file can't be finished.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, RepoError> {
        while self.car.len() < CAR_CHUNK_BYTES && self.add_next().await? {}
        let chunk = self.car.take();
        Ok(if chunk.is_empty() { None } else { Some(chunk) })
    }

    /// Whether the pieces made so far are all.
    pub fn is_finished(&self) -> bool {
        self.car.is_empty() && matches!(self.rest, Rest::Nothing)
    }

    /// Adds a block; false when there is none left.
    async fn add_next(&mut self) -> Result<bool, RepoError> {
        match &mut self.rest {
            Rest::Tree(export) => match export.walk.next() {
                Some(Step::Node(node)) => self.car.block(&node.cid(), &node.block()),
                Some(Step::Entry { key, value }) => {
                    if let Some(block) = export.record(&self.snapshot, &key, &value).await? {
                        check_block(self.snapshot.app(), self.snapshot.did(), &key, &value, &block)?;
                        self.car.block(&value, &block);
                    }
                }
                None => {
                    if export.since.is_some() {
                        // A record that is not there looks like one that is not new.
                        self.snapshot.check().await?;
                    }
                    self.rest = Rest::Nothing;
                }
            },
            Rest::Blocks(places) => match places.next() {
                Some((cid, Place::Commit)) => self.car.block(&cid, &self.snapshot.repo().head.commit_block),
                Some((cid, Place::Node(node))) => self.car.block(&cid, &node.block()),
                Some((cid, Place::Record(path))) => {
                    let block = self.snapshot.record(&path, &cid).await?;
                    check_block(self.snapshot.app(), self.snapshot.did(), &path, &cid, &block)?;
                    self.car.block(&cid, &block);
                }
                None => self.rest = Rest::Nothing,
            },
            Rest::Nothing => return Ok(false),
        }
        Ok(true)
    }
}

/// A walk through the tree, and the records read along with it.
struct Export {
    walk: Walk,
    since: Option<Tid>,
    rows: Peekable<IntoIter<BlockRow>>,
    /// Records up to here were read.
    after: String,
    /// The next read goes up to here.
    to: String,
    /// The keys behind `to`; none when it is the end. Where most records may be old, so that a read may pass over many
    /// of them, it is bounded by their number.
    bounds: Option<Box<dyn Iterator<Item = Arc<str>> + Send + Sync>>,
    is_all_read: bool,
}

impl Export {
    fn new(tree: &Tree, since: Option<Tid>) -> Self {
        let mut export = Self {
            walk: tree.walk(),
            since,
            rows: Vec::new().into_iter().peekable(),
            after: String::new(),
            to: String::new(),
            bounds: None,
            is_all_read: false,
        };
        if since.is_some() {
            export.bounds = Some(Box::new(tree.entries().map(|(key, _)| key)));
        }
        export.widen();
        export
    }

    /// Sets the next bound; false when the last one was the end.
    fn widen(&mut self) -> bool {
        let keys = usize::try_from(RECORD_KEYS_PER_READ).unwrap_or(usize::MAX);
        let next = self.bounds.as_mut().and_then(|bounds| bounds.nth(keys));
        let to = match &next {
            Some(key) => key,
            None if self.to == records::BEHIND_ALL => return false,
            None => records::BEHIND_ALL,
        };
        self.after = std::mem::replace(&mut self.to, to.to_owned());
        true
    }

    /// Gives the record of an entry, unless it is not new.
    async fn record(&mut self, snapshot: &Snapshot, key: &str, cid: &Cid) -> Result<Option<Bytes>, RepoError> {
        loop {
            match self.rows.peek() {
                // Written after the snapshot.
                Some(row) if row.path.as_str() < key => drop(self.rows.next()),
                Some(row) if row.path == key => {
                    if row.cid == *cid {
                        return Ok(self.rows.next().map(|row| row.block));
                    }
                    return self.replaced(snapshot, key, true).await;
                }
                Some(_) => return self.replaced(snapshot, key, false).await,
                None if self.is_all_read => return self.replaced(snapshot, key, false).await,
                None => self.read(snapshot, key).await?,
            }
        }
    }

    async fn read(&mut self, snapshot: &Snapshot, key: &str) -> Result<(), RepoError> {
        snapshot.pass(key);
        let db = &*snapshot.app().db;
        let between = (self.after.as_str(), self.to.as_str());
        let mut rows = records::blocks(db, snapshot.record_set(), between, self.since, RECORD_BYTES_PER_READ).await?;
        // A large record behind others is read when it is needed: a reader who stops before it must not hold it.
        if rows.len() > 1 && rows.last().is_some_and(|row| row.block.len() > CAR_CHUNK_BYTES) {
            rows.pop();
        }
        match rows.last() {
            Some(last) => self.after.clone_from(&last.path),
            None => self.is_all_read = !self.widen(),
        }
        self.rows = rows.into_iter().peekable();
        Ok(())
    }

    /// Gives a record that the store has not, or not as the tree says; then it must have been kept.
    async fn replaced(&self, snapshot: &Snapshot, key: &str, is_changed: bool) -> Result<Option<Bytes>, RepoError> {
        match (snapshot.replaced(key), self.since) {
            (Some(replaced), None) => Ok(Some(replaced.block)),
            (Some(replaced), Some(since)) => Ok((replaced.rev > since).then_some(replaced.block)),
            (None, Some(_)) if !is_changed => Ok(None),
            (None, _) => Err(snapshot.missing(key).await),
        }
    }
}
