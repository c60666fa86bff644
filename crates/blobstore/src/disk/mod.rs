//! Objects as files on this machine.
//!
//! ```text
//! <location>/<2 hex>/<hash of the DID>/<hash of the bytes>-<16 hex>
//! <temporary location>/<number>.part
//! ```
//!
//! A file is written under a temporary name, synced and renamed, and its folders are synced, before the object counts as
//! kept. File work runs on blocking threads, in large pieces; only bytes in the page cache are read without one.

mod spool;

use std::{
    fs, io,
    ops::Range,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::task::{JoinHandle, spawn_blocking};

use self::spool::Spool;
use crate::{
    limits,
    objects::{Decode, DecodeError, Finished, Folder, NewObject, ObjectError, ObjectStore, Opened, is_hex},
};

/// The extension of a file that is being written.
const TEMPORARY_ENDING: &str = "part";

/// The length of an object's name: two hexadecimal numbers of 64 and 16 digits with a hyphen between.
const NAME_CHARS: usize = 81;

/// How often a folder is created again that was removed between its creation and its use.
const FOLDER_TRIES_MAX: usize = 3;

/// A step of file work that a test can make fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DiskStep {
    /// A temporary file is created.
    Create,
    /// Bytes are written.
    Write,
    /// A file is synced.
    SyncFile,
    /// A file is renamed.
    Rename,
    /// A folder is synced.
    SyncFolder,
    /// Bytes are read.
    Read,
    /// A file is removed.
    Remove,
}

/// Injects failures; only tests use it.
pub trait DiskFaults: Send + Sync + 'static {
    /// Called before each step; an error makes the step fail.
    fn before(&self, step: DiskStep) -> io::Result<()>;
}

/// Why the disk store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A folder can't be created or read.
    #[error("can't store blobs in {}: {reason}", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// The temporary folder is on another file system, so that files can't be renamed into place.
    #[error("the directory for unfinished uploads, {}, is not on the same file system as {}", temporary.display(), location.display())]
    TwoFileSystems {
        /// The folder of kept objects.
        location: PathBuf,
        /// The folder of unfinished ones.
        temporary: PathBuf,
    },
}

/// The object store on this machine's disk.
#[derive(Clone)]
pub struct Disk(Arc<Inner>);

struct Inner {
    location: PathBuf,
    temporary: PathBuf,
    next_temporary: AtomicU64,
    faults: Option<Arc<dyn DiskFaults>>,
}

impl Disk {
    /// Opens the store: creates its folders, and removes files that an earlier run did not finish.
    pub fn open(
        location: &Path,
        temporary: Option<&Path>,
        faults: Option<Arc<dyn DiskFaults>>,
    ) -> Result<Self, DiskError> {
        let temporary = temporary.map_or_else(|| location.join("tmp"), Path::to_owned);
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |reason| DiskError::Unusable { path, reason }
        };
        for folder in [location, &temporary] {
            make_folder(folder, true).map_err(unusable(folder))?;
        }
        let device = |folder: &Path| fs::metadata(folder).map(|known| known.dev()).map_err(unusable(folder));
        if device(location)? != device(&temporary)? {
            return Err(DiskError::TwoFileSystems { location: location.to_owned(), temporary });
        }
        let left_over = remove_temporary(&temporary).map_err(unusable(&temporary))?;
        if left_over > 0 {
            tracing::info!(left_over, "removed unfinished uploads of a previous run");
        }
        let location = location.to_owned();
        Ok(Self(Arc::new(Inner { location, temporary, next_temporary: AtomicU64::new(0), faults })))
    }
}

impl Inner {
    fn before(&self, step: DiskStep) -> io::Result<()> {
        self.faults.as_ref().map_or(Ok(()), |faults| faults.before(step))
    }

    fn shard(&self, shard: &str) -> PathBuf {
        self.location.join(shard)
    }

    fn folder(&self, folder: &Folder) -> PathBuf {
        self.shard(folder.shard()).join(folder.name())
    }

    fn file(&self, folder: &Folder, name: &str) -> PathBuf {
        self.folder(folder).join(name)
    }

    /// Renames a synced file into place, durably.
    fn place(&self, temporary: &Path, folder: &Folder, name: &str) -> io::Result<()> {
        let path = self.folder(folder);
        let mut tries = 0;
        loop {
            self.before(DiskStep::Rename)?;
            match fs::rename(temporary, path.join(name)) {
                Ok(()) => break,
                // Garbage collection removes empty folders; it may have removed this one just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries < FOLDER_TRIES_MAX => {
                    tries += 1;
                    make_folder(&path, true)?;
                }
                Err(error) => return Err(error),
            }
        }
        let synced = [path.as_path(), &self.shard(folder.shard()), &self.location]
            .into_iter()
            .try_for_each(|folder| self.before(DiskStep::SyncFolder).and_then(|()| fs::File::open(folder)?.sync_all()));
        if synced.is_err() {
            // The caller gets the error, so the object must not stay.
            let _ = fs::remove_file(path.join(name));
        }
        synced
    }

    fn read_piece(&self, mut file: &fs::File, position: u64, bytes_left: u64) -> io::Result<Bytes> {
        use std::io::{Read as _, Seek as _};

        self.before(DiskStep::Read)?;
        let wanted = bytes_left.min(limits::BLOB_READ_BYTES as u64);
        let mut piece = Vec::with_capacity(usize::try_from(wanted).unwrap_or(limits::BLOB_READ_BYTES));
        file.seek(io::SeekFrom::Start(position))?;
        file.take(wanted).read_to_end(&mut piece)?;
        Ok(piece.into())
    }
}

impl ObjectStore for Disk {
    fn create(&self) -> Box<dyn NewObject> {
        Box::new(NewFile { store: Arc::clone(&self.0), spool: None, job: None })
    }

    fn size(&self, folder: &Folder, name: &str) -> BoxFuture<'static, Result<Option<u64>, ObjectError>> {
        let path = self.0.file(folder, name);
        blocking(move || if_there(fs::metadata(path)).map(|known| known.map(|known| known.len())))
    }

    fn read(
        &self,
        folder: &Folder,
        name: &str,
        range: Range<u64>,
    ) -> BoxFuture<'static, Result<Option<Opened>, ObjectError>> {
        let store = Arc::clone(&self.0);
        let path = store.file(folder, name);
        let opening = blocking(move || {
            store.before(DiskStep::Read)?;
            let Some(file) = if_there(fs::File::open(path))? else { return Ok(None) };
            let size = file.metadata()?.len();
            let end = range.end.min(size);
            let bytes_left = end.saturating_sub(range.start);
            let first =
                if bytes_left == 0 { Bytes::new() } else { store.read_piece(&file, range.start, bytes_left)? };
            let bytes_left = bytes_left.saturating_sub(first.len() as u64);
            let position = range.start + first.len() as u64;
            Ok(Some((size, first, Reading { store, file, position, bytes_left })))
        });
        Box::pin(async move {
            Ok(opening.await?.map(|(size, first, reading)| {
                let rest = (reading.bytes_left > 0).then(|| pieces(reading));
                Opened { size, first, rest }
            }))
        })
    }

    fn remove(&self, folder: &Folder, name: &str) -> BoxFuture<'static, Result<(), ObjectError>> {
        let store = Arc::clone(&self.0);
        let path = store.file(folder, name);
        blocking(move || {
            store.before(DiskStep::Remove)?;
            if_there(fs::remove_file(path)).map(|_| ())
        })
    }

    fn folders(&self, shard: &str) -> BoxFuture<'static, Result<Vec<Folder>, ObjectError>> {
        let path = self.0.shard(shard);
        blocking(move || {
            let Some(entries) = if_there(fs::read_dir(path))? else { return Ok(Vec::new()) };
            let mut folders = Vec::new();
            for entry in entries {
                folders.extend(entry?.file_name().to_str().and_then(Folder::found));
            }
            Ok(folders)
        })
    }

    fn kept_before(&self, folder: &Folder, micros: u64) -> BoxFuture<'static, Result<Vec<String>, ObjectError>> {
        let path = self.0.folder(folder);
        blocking(move || {
            let Some(entries) = if_there(fs::read_dir(&path))? else { return Ok(Vec::new()) };
            let limit = UNIX_EPOCH + Duration::from_micros(micros);
            let (mut names, mut is_empty) = (Vec::new(), true);
            for entry in entries {
                is_empty = false;
                let entry = entry?;
                let Some(name) = entry.file_name().to_str().filter(|name| is_object_name(name)).map(str::to_owned)
                else {
                    continue;
                };
                if if_there(entry.metadata())?.is_some_and(|known| known.modified().is_ok_and(|time| time < limit)) {
                    names.push(name);
                }
            }
            if is_empty {
                // A concurrent `place` creates it again.
                let _ = fs::remove_dir(path);
            }
            Ok(names)
        })
    }
}

fn is_object_name(name: &str) -> bool {
    name.len() == NAME_CHARS && name.split_once('-').is_some_and(|(hash, nonce)| is_hex(hash) && is_hex(nonce))
}

/// A file that is being read.
struct Reading {
    store: Arc<Inner>,
    file: fs::File,
    /// Where the next piece begins.
    position: u64,
    bytes_left: u64,
}

impl Reading {
    /// Reads the next piece if it is in the page cache, without waiting for the disk.
    #[cfg(target_os = "linux")]
    fn cached_piece(&mut self) -> Option<Bytes> {
        use rustix::io::{ReadWriteFlags, preadv2};

        if self.store.faults.is_some() {
            // Faults are injected on the blocking path only.
            return None;
        }
        let wanted = self.bytes_left.min(limits::BLOB_READ_BYTES as u64);
        let mut piece = vec![0; usize::try_from(wanted).ok()?];
        let buffers = &mut [io::IoSliceMut::new(&mut piece)];
        // The blocking path reports any error.
        let bytes = preadv2(&self.file, buffers, self.position, ReadWriteFlags::NOWAIT).ok()?;
        piece.truncate(bytes);
        (bytes > 0).then(|| piece.into())
    }

    #[cfg(not(target_os = "linux"))]
    fn cached_piece(&mut self) -> Option<Bytes> {
        None
    }

    fn advance(&mut self, piece: &Bytes) {
        self.position += piece.len() as u64;
        self.bytes_left = self.bytes_left.saturating_sub(piece.len() as u64);
    }
}

fn pieces(reading: Reading) -> BoxStream<'static, Result<Bytes, ObjectError>> {
    stream::try_unfold(reading, |mut reading| async move {
        if reading.bytes_left == 0 {
            return Ok(None);
        }
        if let Some(piece) = reading.cached_piece() {
            reading.advance(&piece);
            return Ok(Some((piece, reading)));
        }
        blocking(move || {
            let piece = reading.store.read_piece(&reading.file, reading.position, reading.bytes_left)?;
            if piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            reading.advance(&piece);
            Ok(Some((piece, reading)))
        })
        .await
    })
    .boxed()
}

/// A file that is being written. The job that writes to it owns the spool meanwhile.
struct NewFile {
    store: Arc<Inner>,
    spool: Option<Spool>,
    job: Option<JoinHandle<io::Result<Spool>>>,
}

impl NewFile {
    /// Waits for the running job and returns the spool; `None` if nothing was written yet.
    async fn spool(&mut self) -> Result<Option<Spool>, ObjectError> {
        match self.job.take() {
            Some(job) => Ok(Some(job.await.map_err(io::Error::other)??)),
            None => Ok(self.spool.take()),
        }
    }
}

impl NewObject for NewFile {
    fn write(&mut self, pieces: Vec<Bytes>) -> BoxFuture<'_, Result<(), ObjectError>> {
        Box::pin(async move {
            let spool = self.spool().await?;
            let store = Arc::clone(&self.store);
            self.job = Some(spawn_blocking(move || {
                let mut spool = spool.map_or_else(|| Spool::create(&store), Ok)?;
                pieces.iter().try_for_each(|piece| spool.write(piece))?;
                Ok(spool)
            }));
            Ok(())
        })
    }

    fn decode(&mut self, decode: Decode, bytes_max: u64) -> BoxFuture<'_, Result<(), DecodeError>> {
        Box::pin(async move {
            let spool = self.spool().await?;
            let store = Arc::clone(&self.store);
            let job = spawn_blocking(move || {
                let coded = spool.map_or_else(|| Spool::create(&store), Ok).map_err(ObjectError::from)?;
                coded.decode(&store, decode, bytes_max)
            });
            let decoded = job.await.map_err(|error| ObjectError::Failed(io::Error::other(error)))??;
            self.spool = Some(decoded);
            Ok(())
        })
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<Finished, ObjectError>> {
        Box::pin(async move {
            let spool = if let Some(spool) = self.spool().await? {
                spool
            } else {
                let store = Arc::clone(&self.store);
                blocking(move || Spool::create(&store)).await?
            };
            let finished = spool.finished();
            self.spool = Some(spool);
            Ok(finished)
        })
    }

    fn keep(
        mut self: Box<Self>,
        folder: &Folder,
        name: &str,
        now_micros: u64,
    ) -> BoxFuture<'static, Result<(), ObjectError>> {
        let (folder, name) = (folder.clone(), name.to_owned());
        Box::pin(async move {
            let spool = self.spool().await?;
            let store = Arc::clone(&self.store);
            blocking(move || {
                let spool = spool.map_or_else(|| Spool::create(&store), Ok)?;
                spool.keep(&folder, &name, UNIX_EPOCH + Duration::from_micros(now_micros))
            })
            .await
        })
    }
}

/// Runs file work on a blocking thread. The work completes even if the returned future is dropped.
fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> BoxFuture<'static, Result<T, ObjectError>> {
    let job = spawn_blocking(work);
    Box::pin(async move { Ok(job.await.map_err(io::Error::other)??) })
}

fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates a folder that only its owner can access, and its parents.
fn make_folder(path: &Path, recursive: bool) -> io::Result<()> {
    fs::DirBuilder::new().recursive(recursive).mode(0o700).create(path)
}

fn remove_temporary(folder: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == TEMPORARY_ENDING) {
            // A dropped upload may remove its own file at this moment.
            removed += usize::from(if_there(fs::remove_file(path))?.is_some());
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests;
