//! The blocks of an import, on the disk, and where each of them is.
//!
//! The file has no name: it is gone with the process, however that ends. In memory is an index alone, 24 bytes a block.
//! All of this blocks, and belongs on a thread where that is no harm.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, BufWriter, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use allod_atproto::Cid;

/// How much is collected before it is written, in bytes.
const WRITE_BYTES: usize = 256 * 1024;

/// How many bits of a place are the block's length. A block has at most 2 MB.
const LENGTH_BITS: u32 = 24;

/// How much of a hash the index has, in bytes.
const HASH_BYTES: usize = 16;

/// How many parts the index has: as many as its first byte has values.
const INDEX_PARTS: usize = 256;

/// Blocks on the disk.
pub(super) struct Spool {
    file: BufWriter<File>,
    bytes: u64,
    index: Index,
}

impl Spool {
    /// Makes an empty one in a directory, which is made if it is missing. `name` is the file's for a moment only.
    pub(super) fn create(directory: &Path, name: &str) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let path = directory.join(name);
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        unlink(&path)?;
        Ok(Self { file: BufWriter::with_capacity(WRITE_BYTES, file), bytes: 0, index: Index::default() })
    }

    /// Takes a block. The caller has checked it against its identifier.
    pub(super) fn add(&mut self, cid: &Cid, block: &[u8]) -> io::Result<()> {
        if self.bytes >> (u64::BITS - LENGTH_BITS) != 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.file.write_all(block)?;
        self.index.add(cid, self.bytes, block.len());
        self.bytes += block.len() as u64;
        Ok(())
    }

    /// Makes what was taken findable.
    pub(super) fn seal(&mut self) -> io::Result<()> {
        self.index.sort();
        self.file.flush()
    }

    /// How many blocks there are; before [`Self::seal`], doubles count.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Tells whether a block is there.
    pub(super) fn contains(&self, cid: &Cid) -> bool {
        self.index.find(cid).is_some()
    }

    /// Reads a block.
    pub(super) fn get(&self, cid: &Cid) -> io::Result<Option<Vec<u8>>> {
        let Some((offset, length)) = self.index.find(cid) else { return Ok(None) };
        let mut block = vec![0; length];
        self.file.get_ref().read_exact_at(&mut block, offset)?;
        // The index has the beginning of a hash only, and the disk may have failed us.
        if cid.matches(&block) {
            Ok(Some(block))
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "a block on the disk is not what was written there"))
        }
    }
}

/// Removes what a process that died at the wrong moment left in the directory.
pub(super) fn clean(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    entries.into_iter().try_for_each(|entry| unlink(&entry?.path()))
}

/// Removes a file that may be gone: an import that begins and the cleaning at the start remove each other's.
fn unlink(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Where blocks are, by the beginning of their hash.
struct Index {
    /// By the hash's first byte, so that growing moves little.
    parts: Vec<Vec<Entry>>,
}

#[derive(Clone, Copy)]
struct Entry {
    /// The first half of the hash. Bytes, because a number of that length would be aligned and take more room.
    hash: [u8; HASH_BYTES],
    /// Offset and length.
    place: u64,
}

impl Default for Index {
    fn default() -> Self {
        Self { parts: vec![Vec::new(); INDEX_PARTS] }
    }
}

impl Index {
    fn add(&mut self, cid: &Cid, offset: u64, length: usize) {
        let entry = Entry { hash: hash_of(cid), place: (offset << LENGTH_BITS) | length as u64 };
        if let Some(part) = self.parts.get_mut(part_of(cid)) {
            part.push(entry);
        }
    }

    fn sort(&mut self) {
        for part in &mut self.parts {
            part.sort_unstable_by_key(|entry| (entry.hash, entry.place));
            part.dedup_by_key(|entry| entry.hash);
        }
    }

    fn len(&self) -> usize {
        self.parts.iter().map(Vec::len).sum()
    }

    fn find(&self, cid: &Cid) -> Option<(u64, usize)> {
        let part = self.parts.get(part_of(cid))?;
        let found = part.binary_search_by_key(&hash_of(cid), |entry| entry.hash).ok()?;
        let place = part.get(found)?.place;
        Some((place >> LENGTH_BITS, usize::try_from(place & ((1 << LENGTH_BITS) - 1)).ok()?))
    }
}

fn part_of(cid: &Cid) -> usize {
    usize::from(cid.digest()[0])
}

fn hash_of(cid: &Cid) -> [u8; HASH_BYTES] {
    cid.digest().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u32) -> (Cid, Vec<u8>) {
        let bytes = vec![number.to_be_bytes()[3]; number as usize % 700 + 1];
        let bytes = [&number.to_be_bytes()[..], &bytes].concat();
        (Cid::for_cbor(&bytes), bytes)
    }

    #[test]
    fn every_block_is_found_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(directory.path(), "a").unwrap();
        for number in (0..3000).chain(1000..1500) {
            let (cid, bytes) = block(number);
            spool.add(&cid, &bytes).unwrap();
        }
        assert_eq!(spool.len(), 3500);
        spool.seal().unwrap();
        assert_eq!(spool.len(), 3000);
        for number in 0..3000 {
            let (cid, bytes) = block(number);
            assert_eq!(spool.get(&cid).unwrap(), Some(bytes), "{number}");
        }
        let (cid, bytes) = block(3000);
        assert_eq!((spool.contains(&cid), spool.get(&cid).unwrap()), (false, None));
        // More can be taken afterwards.
        spool.add(&cid, &bytes).unwrap();
        spool.seal().unwrap();
        assert_eq!(spool.get(&cid).unwrap(), Some(bytes));
        assert_eq!(spool.get(&Cid::for_raw(&block(7).1)).unwrap(), Some(block(7).1), "what the bytes are is no matter");
        let empty = Cid::for_raw(b"");
        spool.add(&empty, b"").unwrap();
        spool.seal().unwrap();
        assert_eq!(spool.get(&empty).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn leaves_no_file_behind() {
        let directory = tempfile::tempdir().unwrap();
        let spools = directory.path().join("spools");
        clean(&spools).unwrap();
        let spool = Spool::create(&spools, "a").unwrap();
        assert_eq!(fs::read_dir(&spools).unwrap().count(), 0);
        drop(spool);
        fs::write(spools.join("left"), b"x").unwrap();
        clean(&spools).unwrap();
        assert_eq!(fs::read_dir(&spools).unwrap().count(), 0);
    }

    #[test]
    fn a_disk_that_lies_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(directory.path(), "a").unwrap();
        let (cid, bytes) = block(9);
        spool.add(&cid, &bytes).unwrap();
        spool.seal().unwrap();
        spool.file.get_ref().write_all_at(b"?", 2).unwrap();
        assert_eq!(spool.get(&cid).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn the_index_is_compact() {
        assert_eq!(size_of::<Entry>(), 24);
    }
}
