//! Disk space kept back for what must still be written when the disk is full: sign-outs, revocations, new passwords,
//! takedowns, deletions; and a bounded number of sign-ins and mailed codes, which owners need to delete something.
//!
//! A file beside the database holds the space. When such a write does not find room, the file gives its space up; until
//! it can be taken again, all other writes are refused, so that nobody else uses it.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

use crate::DiskReserveUse;

use super::lock::beside;

/// What writes are refused with while the space is given up.
pub(super) const REFUSED: &str =
    "the disk is full; the remaining space is reserved for sign-outs, revocations and takedowns";
/// How many writes that may use some of the space are taken until it is kept back again. Each fills about eight pages of
/// 4 KiB of the log, so they leave half of 32 MiB.
const SOME_WRITES_MAX: u32 = 500;

/// The space that is kept back.
pub(super) struct Reserve {
    /// `None` when nothing is kept back.
    file: Option<File>,
    bytes: u64,
    is_held: bool,
    /// How many more writes may use some of the space.
    some_left: u32,
}

impl Reserve {
    /// Keeps nothing back.
    pub(super) fn none() -> Self {
        Self { file: None, bytes: 0, is_held: false, some_left: SOME_WRITES_MAX }
    }

    /// Takes `bytes` beside the database at `path`, or begins without them when there is no room.
    pub(super) fn take(path: &Path, bytes: u64) -> io::Result<Self> {
        if bytes == 0 {
            return Ok(Self::none());
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = Some(options.open(beside(path, ".reserve"))?);
        let mut reserve = Self { file, bytes, is_held: false, some_left: SOME_WRITES_MAX };
        if !reserve.hold() {
            tracing::error!(
                bytes,
                "no space for the disk reserve: the store accepts only sign-outs, revocations, new passwords, takedowns and deletions"
            );
        }
        Ok(reserve)
    }

    /// Whether only those writes are taken that the space is kept for. Tries to take the space back first.
    pub(super) fn is_given_up(&mut self) -> bool {
        if self.file.is_none() || self.is_held {
            return false;
        }
        if self.hold() {
            tracing::info!("the disk reserve is restored; the store accepts all writes");
            return false;
        }
        self.file.is_some()
    }

    /// Whether a write is taken while the space is given up; one that may use some of it is counted.
    pub(super) fn admits(&mut self, disk_reserve_use: DiskReserveUse) -> bool {
        match disk_reserve_use {
            DiskReserveUse::None => false,
            DiskReserveUse::Some if self.some_left == 0 => false,
            DiskReserveUse::Some => {
                self.some_left -= 1;
                true
            }
            DiskReserveUse::All => true,
        }
    }

    /// Gives the space up for a write that found no room; false when there is none to give.
    pub(super) fn give_up(&mut self) -> bool {
        let Some(file) = self.file.as_ref().filter(|_| self.is_held) else { return false };
        if let Err(error) = file.set_len(0) {
            tracing::error!(%error, "could not release the disk reserve");
            return false;
        }
        self.is_held = false;
        tracing::error!(
            "the disk is full: until there is space the store accepts only sign-outs, revocations, new passwords, takedowns and deletions"
        );
        true
    }

    /// Takes the space; false when there is no room. A file system that can't reserve space gets none.
    fn hold(&mut self) -> bool {
        let Some(file) = &self.file else { return false };
        match fallocate(file, FallocateFlags::empty(), 0, self.bytes) {
            Ok(()) => (self.is_held, self.some_left) = (true, SOME_WRITES_MAX),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                tracing::warn!("the file system can't reserve space: running without a disk reserve");
                self.file = None;
            }
            Err(_) => {
                // A part of it would be missing for what it is kept for.
                let _ = file.set_len(0);
            }
        }
        self.is_held
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn the_space_is_really_taken_and_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.sqlite");
        let on_disk = || beside(&path, ".reserve").metadata().unwrap().blocks() * 512;
        let mut reserve = Reserve::take(&path, 1024 * 1024).unwrap();
        if reserve.file.is_none() {
            return; // This machine's file system can't.
        }
        assert!(on_disk() >= 1024 * 1024);
        assert!(!reserve.is_given_up());
        assert!(reserve.give_up());
        assert_eq!(on_disk(), 0);
        assert!(!reserve.give_up(), "there is nothing left to give up");
        assert!(!reserve.is_given_up(), "there is room, so it is taken again");
        assert!(on_disk() >= 1024 * 1024);
    }

    #[test]
    fn without_room_it_stays_given_up() {
        let directory = tempfile::tempdir().unwrap();
        // More than any disk has.
        let mut reserve = Reserve::take(&directory.path().join("test.sqlite"), 1 << 55).unwrap();
        assert!(reserve.is_given_up() || reserve.file.is_none());
        assert!(!reserve.give_up());
    }
}
