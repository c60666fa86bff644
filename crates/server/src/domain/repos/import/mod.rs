//! Importing a repository that was made elsewhere: the whole of it replaces what the account has, or nothing happens.
//!
//! The CAR file goes to the disk while its blocks are checked ([`spool`]). The tree is walked twice from there
//! ([`reading`]): once to see that all is as it must be, and once to write the records into a set of their own, in
//! portions ([`writing`]). One transaction gives the repository that set, under a fresh commit signed with our key. Whatever
//! ends an import before leaves a set that is nobody's, for [`retired`](super::retired) to delete.

mod reading;
mod signer;
mod spool;
mod writing;

use std::{
    collections::HashSet,
    io, mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use allod_atproto::{
    Cid, Did, Tid,
    car::{self, CarError},
    repo::{CommitError as BlockError, TreeError},
};
use allod_base::randomness;
use allod_net::resolver::ResolveError;
use allod_store::{CommitError, ReadError};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use self::{reading::Reading, spool::Spool};
use super::turns::Busy;
use crate::{
    app::App,
    domain::{
        keys::UnwrapError,
        shares::{Bounds, Crowded, Place, Places, Taker},
    },
    limits::{
        IMPORT_BLOCK_BYTES_MAX, IMPORT_BLOCKS_MAX, IMPORT_COLLECTIONS_MAX, IMPORT_PIECE_BYTES,
        IMPORT_REV_AHEAD_SECS_MAX, IMPORTS_AT_ONCE_MAX, IMPORTS_PER_ADDRESS_MAX,
    },
};

/// Whether and how repositories are imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportConfig {
    /// Whether accounts may; the operator always may.
    pub accepted: bool,
    /// The largest CAR file taken, in bytes.
    pub file_bytes_max: u64,
}

/// The imports under way.
pub struct Imports {
    directory: PathBuf,
    places: Arc<Places>,
    accounts: Arc<Mutex<HashSet<Did>>>,
}

impl Imports {
    /// Imports that use this directory for what they have received.
    pub fn new(directory: PathBuf) -> Self {
        // That an account has one at a time holds for the operator's imports too, and is seen to by `accounts`.
        let bounds =
            Bounds { total: IMPORTS_AT_ONCE_MAX, per_address: IMPORTS_PER_ADDRESS_MAX, per_account: usize::MAX };
        Self { directory, places: Places::new(bounds), accounts: Arc::default() }
    }

    /// How many imports are under way.
    pub fn count(&self) -> usize {
        self.places.taken()
    }

    fn slot(&self, did: &Did, taker: &Taker) -> Result<Slot, ImportError> {
        let place = self.places.take(taker, 1).map_err(ImportError::Crowded)?;
        if !self.accounts.lock().insert(did.clone()) {
            return Err(ImportError::UnderWay);
        }
        Ok(Slot { did: did.clone(), accounts: Arc::clone(&self.accounts), _place: place })
    }
}

/// One of the places for imports, and the account's only one; free again when it is dropped.
struct Slot {
    did: Did,
    accounts: Arc<Mutex<HashSet<Did>>>,
    _place: Place,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.accounts.lock().remove(&self.did);
    }
}

/// Checks that the operator lets accounts import their repositories.
pub fn check_accepted(app: &App) -> Result<(), ImportError> {
    if app.config.imports.accepted { Ok(()) } else { Err(ImportError::NotAccepted) }
}

/// Removes what imports of an earlier run have left on the disk.
pub async fn clean(app: &App) -> io::Result<()> {
    let directory = app.imports.directory.clone();
    blocking(move || spool::clean(&directory)).await
}

/// Why a repository was not imported. The account has what it had before.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The operator wants none.
    #[error("Service is not accepting repo imports")]
    NotAccepted,
    /// The file is larger than taken.
    #[error("request entity too large")]
    TooLarge,
    /// Too many imports are under way: in all, or of the caller's.
    #[error("Too many imports at the moment; try again")]
    Crowded(Crowded),
    /// Another import of the account is under way.
    #[error("Another import of this repository is under way; try again when it is done")]
    UnderWay,
    /// It is not a CAR file that is taken.
    #[error("Invalid CAR file: {0}")]
    Car(CarError),
    /// The file does not name one root.
    #[error("expected one root")]
    Roots,
    /// The root is no commit.
    #[error("Invalid commit: {0}")]
    Commit(#[from] BlockError),
    /// The commit is of somebody else's repository.
    #[error("The repository is that of {found}, not of {expected}")]
    Foreign {
        /// The account.
        expected: Did,
        /// Whom the commit names.
        found: Did,
    },
    /// The revision is in the future.
    #[error("The revision {rev} is more than {IMPORT_REV_AHEAD_SECS_MAX} seconds ahead of the time")]
    Future {
        /// The revision.
        rev: Tid,
    },
    /// No key of the account has signed the commit.
    #[error("The commit's signature is not the account's")]
    Signature,
    /// The account's keys can't be found out.
    #[error("The account's signing key can't be found out: {0}")]
    Unresolvable(#[source] ResolveError),
    /// The tree is not one.
    #[error("Invalid tree: {0}")]
    Tree(#[from] TreeError),
    /// A node of the tree, or the commit, is not in the file.
    #[error("The file is incomplete: the block {0} is missing")]
    Missing(Cid),
    /// A record is not in the file.
    #[error("Could not parse record at '{0}': its block is missing")]
    MissingRecord(Arc<str>),
    /// A record is not data of the protocol.
    #[error("Could not parse record at '{0}': {1}")]
    Record(Arc<str>, &'static str),
    /// A key of the tree is no record's path.
    #[error("Invalid record path '{0}'")]
    Path(Arc<str>),
    /// There are more collections than taken.
    #[error("The repository has more than {IMPORT_COLLECTIONS_MAX} collections")]
    Collections,
    /// Somebody wrote to the repository, or its account changed, while it was imported.
    #[error("The repository changed while it was imported; try again")]
    Moved,
    /// The account has no repository here.
    #[error("Could not find repo for DID: {0}")]
    NotFound(Did),
    /// The account has no signing key here.
    #[error("{0} has no signing key")]
    NoKey(Did),
    /// The signing key can't be unwrapped.
    #[error(transparent)]
    Key(#[from] UnwrapError),
    /// Too much waits for the repository.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The disk failed.
    #[error("what is imported can't be kept on the disk: {0}")]
    Disk(#[from] io::Error),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Store(CommitError),
    /// The import ended without a word: the server is stopping.
    #[error("the import was broken off")]
    BrokenOff,
}

impl From<CarError> for ImportError {
    fn from(error: CarError) -> Self {
        match error {
            CarError::FileTooLarge { .. } => Self::TooLarge,
            CarError::Roots => Self::Roots,
            CarError::UnexpectedEnd
            | CarError::Length
            | CarError::Header
            | CarError::Cid(_)
            | CarError::HashMismatch { .. }
            | CarError::BlockTooLarge { .. }
            | CarError::TooManyBlocks { .. } => Self::Car(error),
        }
    }
}

/// What an import has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// The fresh commit.
    pub commit: Cid,
    /// Its revision.
    pub rev: Tid,
    /// How many records there are.
    pub records: u64,
    /// How many of them are not valid in the data model, and can't be shown as JSON.
    pub unreadable: u64,
}

/// An import that receives its CAR file. Dropped before [`Import::finish`], it leaves nothing.
pub struct Import {
    app: Arc<App>,
    did: Did,
    /// Away while a thread works on it, and for good when that failed.
    receiving: Option<Receiving>,
    pieces: Vec<Bytes>,
    pieces_bytes: usize,
    slot: Slot,
}

impl Import {
    /// Begins. `declared_bytes` is how much the sender says will come.
    pub async fn begin(
        app: &Arc<App>,
        did: &Did,
        taker: &Taker,
        declared_bytes: Option<u64>,
    ) -> Result<Self, ImportError> {
        let file_bytes_max = app.config.imports.file_bytes_max;
        if declared_bytes.is_some_and(|bytes| bytes > file_bytes_max) {
            return Err(ImportError::TooLarge);
        }
        let slot = app.imports.slot(did, taker)?;
        let directory = app.imports.directory.clone();
        let name = format!("{:016x}.part", u64::from_be_bytes(randomness::bytes(&*app.randomness)));
        let receiving = blocking(move || Receiving::new(&directory, &name, file_bytes_max)).await?;
        let (app, did, receiving) = (Arc::clone(app), did.clone(), Some(receiving));
        Ok(Self { app, did, receiving, pieces: Vec::new(), pieces_bytes: 0, slot })
    }

    /// Takes the next bytes of the file.
    pub async fn push(&mut self, piece: Bytes) -> Result<(), ImportError> {
        self.pieces_bytes += piece.len();
        self.pieces.push(piece);
        if self.pieces_bytes >= IMPORT_PIECE_BYTES { self.hand_over().await } else { Ok(()) }
    }

    async fn hand_over(&mut self) -> Result<(), ImportError> {
        let mut receiving = self.receiving.take().ok_or(ImportError::BrokenOff)?;
        let pieces = mem::take(&mut self.pieces);
        self.pieces_bytes = 0;
        let receive = move || pieces.iter().try_for_each(|piece| receiving.take(piece)).map(|()| receiving);
        self.receiving = Some(blocking(receive).await?);
        Ok(())
    }

    /// Ends the file and imports what it holds; durable when it returns.
    ///
    /// Once the file is here, the import goes on even if the caller goes away. `progress` is told how many records were
    /// looked at or written, again and again.
    pub async fn finish(mut self, progress: impl Fn(u64) + Send + Sync + 'static) -> Result<Imported, ImportError> {
        self.hand_over().await?;
        let receiving = self.receiving.take().ok_or(ImportError::BrokenOff)?;
        let Self { app, did, slot, .. } = self;
        let carried_out = tokio::spawn(async move {
            let outcome = carry_out(&app, &did, receiving, &progress).await;
            drop(slot);
            outcome
        });
        carried_out.await.map_err(|_| ImportError::BrokenOff)?
    }
}

async fn carry_out(
    app: &Arc<App>,
    did: &Did,
    receiving: Receiving,
    progress: &(impl Fn(u64) + Send + Sync),
) -> Result<Imported, ImportError> {
    let reading = blocking(move || receiving.finish()).await?;
    let commit = reading.commit().commit();
    if commit.did != *did {
        return Err(ImportError::Foreign { expected: did.clone(), found: commit.did.clone() });
    }
    let latest_micros = app.clock.now_micros().saturating_add(IMPORT_REV_AHEAD_SECS_MAX * 1_000_000);
    if commit.rev.micros() > latest_micros {
        return Err(ImportError::Future { rev: commit.rev });
    }
    signer::check(app, did, reading.commit()).await?;
    let reading = writing::check(app, did, reading, progress).await?;
    writing::write(app, did, reading, progress).await
}

/// A file on its way in.
struct Receiving {
    reader: car::Reader,
    spool: Spool,
}

impl Receiving {
    fn new(directory: &Path, name: &str, file_bytes_max: u64) -> Result<Self, ImportError> {
        let limits =
            car::Limits { file_bytes_max, block_bytes_max: IMPORT_BLOCK_BYTES_MAX, blocks_max: IMPORT_BLOCKS_MAX };
        Ok(Self { reader: car::Reader::new(limits), spool: Spool::create(directory, name)? })
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), ImportError> {
        self.reader.push(piece)?;
        if self.reader.roots().is_some_and(|roots| roots.len() != 1) {
            return Err(ImportError::Roots);
        }
        while let Some(block) = self.reader.next_block()? {
            self.spool.add(&block.cid, &block.bytes)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Reading, ImportError> {
        let roots = self.reader.finish()?;
        let [root] = roots.as_slice() else { return Err(ImportError::Roots) };
        self.spool.seal()?;
        Reading::new(self.spool, *root)
    }
}

/// Does work that blocks on a thread for it.
async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<io::Error> + Send + 'static,
{
    match spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(io::Error::other(error).into()),
    }
}
