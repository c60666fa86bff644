//! Reading a repository out of its blocks: the commit, then the records in the order of the tree's keys.
//!
//! A reading that comes to its end has seen every node and every record of the commit's tree, each what it must be.

use std::{mem, sync::Arc};

use allod_atproto::{
    Cid,
    car::CarError,
    cid::Codec,
    repo::{BlockWalk, RECORD_BYTES_MAX, RecordPath, RootBuilder, SignedCommit, TreeError},
};
use bytes::Bytes;

use super::{ImportError, spool::Spool};
use crate::{
    domain::repos::record,
    limits::{IMPORT_BLOCKS_MAX, IMPORT_COLLECTIONS_MAX, IMPORT_PORTION_RECORD_BYTES, IMPORT_PORTION_RECORDS},
};

/// A repository that is read.
pub(super) struct Reading {
    spool: Spool,
    commit: SignedCommit,
    walk: BlockWalk,
    /// The tree made anew of the keys that were read.
    root: RootBuilder,
    collections: Vec<String>,
    /// How many records of the last check are not valid in the data model.
    unreadable: u64,
    is_at_end: bool,
}

/// Some records in a row; none at the end.
pub(super) type Portion = Vec<Record>;

/// A record as it is stored.
pub(super) struct Record {
    pub(super) path: RecordPath,
    pub(super) cid: Cid,
    pub(super) block: Bytes,
    /// What it is about, if only one record of its kind may be about that.
    pub(super) subject: Option<String>,
    /// The blobs that it refers to.
    pub(super) blobs: Vec<Cid>,
}

impl Reading {
    /// Reads the commit.
    pub(super) fn new(spool: Spool, root: Cid) -> Result<Self, ImportError> {
        let block = spool.get(&root)?.ok_or(ImportError::Missing(root))?;
        let commit = SignedCommit::parse(&block)?;
        let walk = BlockWalk::new(commit.commit().data);
        Ok(Self {
            spool,
            commit,
            walk,
            root: RootBuilder::new(),
            collections: Vec::new(),
            unreadable: 0,
            is_at_end: false,
        })
    }

    /// The commit.
    pub(super) fn commit(&self) -> &SignedCommit {
        &self.commit
    }

    /// Tells whether a block is there.
    pub(super) fn has(&self, cid: &Cid) -> bool {
        self.spool.contains(cid)
    }

    /// Takes blocks that are not there; they are found after [`Self::restart`].
    pub(super) fn add(&mut self, blocks: impl IntoIterator<Item = (Cid, Bytes)>) -> Result<(), ImportError> {
        for (cid, block) in blocks {
            if self.spool.len() >= IMPORT_BLOCKS_MAX {
                return Err(CarError::TooManyBlocks { blocks_max: IMPORT_BLOCKS_MAX }.into());
            }
            self.spool.add(&cid, &block)?;
        }
        Ok(())
    }

    /// Begins with the first record again.
    pub(super) fn restart(&mut self) -> Result<(), ImportError> {
        self.spool.seal()?;
        self.walk = BlockWalk::new(self.commit.commit().data);
        self.root = RootBuilder::new();
        self.collections.clear();
        self.is_at_end = false;
        Ok(())
    }

    /// How many records of the last check are not valid in the data model.
    pub(super) fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Begins to count such records anew.
    pub(super) fn clear_unreadable(&mut self) {
        self.unreadable = 0;
    }

    /// The collections of the records that were read.
    pub(super) fn collections(&self) -> &[String] {
        &self.collections
    }

    /// Reads the next records without keeping them; tells how many there were, 0 at the end.
    pub(super) fn check_portion(&mut self) -> Result<usize, ImportError> {
        for read in 0..IMPORT_PORTION_RECORDS {
            let Some((key, cid)) = self.next_key()? else { return Ok(read) };
            let block = self.block(&key, &cid)?;
            if !record::is_valid(&block) {
                if !record::is_foreign(&block) {
                    return Err(ImportError::Record(key, "it is not an object in DAG-CBOR, or it has an invalid link"));
                }
                self.unreadable += 1;
            }
        }
        Ok(IMPORT_PORTION_RECORDS)
    }

    /// Reads the next records.
    pub(super) fn next_portion(&mut self) -> Result<Portion, ImportError> {
        let (mut portion, mut bytes) = (Portion::new(), 0);
        while portion.len() < IMPORT_PORTION_RECORDS && bytes < IMPORT_PORTION_RECORD_BYTES {
            let Some((key, cid)) = self.next_key()? else { break };
            let block = self.block(&key, &cid)?;
            bytes += block.len();
            portion.push(decoded(key, cid, block)?);
        }
        Ok(portion)
    }

    fn next_key(&mut self) -> Result<Option<(Arc<str>, Cid)>, ImportError> {
        if self.is_at_end {
            return Ok(None);
        }
        let spool = &self.spool;
        let next = self.walk.next(|cid| spool.get(cid)?.ok_or(ImportError::Missing(*cid)))?;
        let Some((key, cid)) = next else {
            self.is_at_end = true;
            // The walk has seen that the tree is what its keys make; this sees that the walk has.
            let is_the_commits = mem::take(&mut self.root).finish() == self.commit.commit().data;
            let another = || TreeError::Malformed("its keys make another tree");
            return is_the_commits.then_some(None).ok_or_else(|| another().into());
        };
        self.root.push(&key, cid)?;
        let Some((collection, _)) = key.split_once('/') else { return Err(ImportError::Path(key)) };
        // The keys of a collection are in a row, because they begin alike.
        if self.collections.last().is_none_or(|last| last != collection) {
            if self.collections.len() >= IMPORT_COLLECTIONS_MAX {
                return Err(ImportError::Collections);
            }
            self.collections.push(collection.to_owned());
        }
        if RecordPath::parse(&key).is_err() {
            return Err(ImportError::Path(key));
        }
        Ok(Some((key, cid)))
    }

    fn block(&self, key: &Arc<str>, cid: &Cid) -> Result<Vec<u8>, ImportError> {
        if cid.codec() != Codec::DagCbor {
            return Err(ImportError::Record(Arc::clone(key), "its identifier is not one of DAG-CBOR"));
        }
        let block = self.spool.get(cid)?.ok_or_else(|| ImportError::MissingRecord(Arc::clone(key)))?;
        if block.len() > RECORD_BYTES_MAX {
            return Err(ImportError::Record(Arc::clone(key), "it is too large"));
        }
        Ok(block)
    }
}

fn decoded(key: Arc<str>, cid: Cid, block: Vec<u8>) -> Result<Record, ImportError> {
    let Ok(path) = RecordPath::parse(&key) else { return Err(ImportError::Path(key)) };
    let (subject, blobs) = record::subject_and_blobs(path.collection(), &block);
    Ok(Record { path, cid, block: block.into(), subject, blobs })
}
