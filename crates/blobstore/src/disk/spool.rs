//! A file that is being written: under a temporary name, and hashed at the same time. All work here blocks.

use std::{
    fs,
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::SystemTime,
};

use allod_atproto::{Cid, cid::Codec};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::{DiskStep, Inner, TEMPORARY_ENDING};
use crate::{
    checksums::Summing,
    limits,
    objects::{Decode, DecodeError, Finished, Folder, ObjectError},
};

/// A temporary file, with the hash and checksums of its content.
pub(super) struct Spool {
    store: Arc<Inner>,
    temporary: Temporary,
    file: fs::File,
    hash: Sha256,
    checksums: Summing,
    size: u64,
    head: Vec<u8>,
}

impl Spool {
    /// Creates an empty file.
    pub(super) fn create(store: &Arc<Inner>) -> io::Result<Self> {
        store.before(DiskStep::Create)?;
        loop {
            let number = store.next_temporary.fetch_add(1, Ordering::Relaxed);
            let path = store.temporary.join(format!("{number}.{TEMPORARY_ENDING}"));
            match fs::File::options().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => {
                    return Ok(Self {
                        store: Arc::clone(store),
                        temporary: Temporary(Some(path)),
                        file,
                        hash: Sha256::new(),
                        checksums: Summing::default(),
                        size: 0,
                        head: Vec::new(),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.store.before(DiskStep::Write)?;
        self.file.write_all(piece)?;
        self.hash.update(piece);
        self.checksums.update(piece);
        self.size = self.size.saturating_add(piece.len() as u64);
        let wanted = limits::BLOB_HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend(piece.iter().take(wanted));
        Ok(())
    }

    /// Describes the bytes written so far.
    pub(super) fn finished(&self) -> Finished {
        let digest = self.hash.clone().finalize().into();
        Finished {
            cid: Cid::from_digest(Codec::Raw, digest),
            size: self.size,
            head: self.head.clone(),
            checksums: self.checksums.clone().finish(),
        }
    }

    /// Decodes this file into a new one, which replaces it.
    pub(super) fn decode(mut self, store: &Arc<Inner>, decode: Decode, bytes_max: u64) -> Result<Self, DecodeError> {
        self.file.rewind().map_err(ObjectError::from)?;
        let Self { temporary, file, .. } = self;
        let mut decoded = Self::create(store).map_err(ObjectError::from)?;
        let failed = Arc::default();
        let sent = Sent { store: Arc::clone(store), file, failed: Arc::clone(&failed) };
        let mut reader = decode(Box::new(io::BufReader::with_capacity(limits::BLOB_PIECE_BYTES, sent)));
        let mut piece = vec![0; limits::BLOB_PIECE_BYTES];
        loop {
            let count = match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let failed = failed.lock().take();
                    return Err(failed.map_or(DecodeError::Undecodable(error), |disk| ObjectError::from(disk).into()));
                }
            };
            if decoded.size.saturating_add(count as u64) > bytes_max {
                return Err(DecodeError::TooLarge);
            }
            decoded.write(piece.get(..count).unwrap_or_default()).map_err(ObjectError::from)?;
        }
        drop(temporary);
        Ok(decoded)
    }

    /// Syncs the file and renames it into place.
    pub(super) fn keep(mut self, folder: &Folder, name: &str, now: SystemTime) -> io::Result<()> {
        self.file.set_modified(now)?;
        self.store.before(DiskStep::SyncFile)?;
        self.file.sync_all()?;
        self.store.place(self.temporary.path(), folder, name)?;
        self.temporary.is_kept();
        Ok(())
    }
}

/// Reads the coded bytes back. Stores a disk error in `failed`: a decoder would pass it on as an error of its own.
struct Sent {
    store: Arc<Inner>,
    file: fs::File,
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl Read for Sent {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.store.before(DiskStep::Read).and_then(|()| self.file.read(into));
        read.map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                *self.failed.lock() = Some(error);
            }
            kind.into()
        })
    }
}

/// Removes a temporary file when dropped, unless it was renamed into place.
struct Temporary(Option<PathBuf>);

impl Temporary {
    fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    fn is_kept(&mut self) {
        self.0 = None;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let Some(path) = self.0.take() else { return };
        let remove = move || {
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, "could not remove an unfinished upload; the next start will");
            }
        };
        // Removing a large file takes long.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}
