//! A disk that forgets: what may be on it after a power cut, given what was written and synced.
//!
//! Between two syncs of a file every one of its writes may have reached the disk or not, in any order, whole or in
//! part; a name is durable once its directory was synced. Only a byte that nobody wrote to stays as it was.
//!
//! What a cut leaves is chosen by numbers that the rig draws, so that a seed repeats it.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a rig fails by panicking")]

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{FileKind, Op};

/// A file as it is found: its whole path and what it holds.
pub type Found = (Arc<str>, Vec<u8>);

/// What the power cut leaves of unsynced changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// None of them.
    Nothing,
    /// All of them.
    Everything,
    /// The first ones, the last of these torn.
    Prefix,
    /// The last ones, so that later writes are there and earlier ones are not.
    Suffix,
    /// Some writes, whole.
    Some,
    /// Parts of 512 bytes of some writes.
    TornSectors,
    /// Parts of 4096 bytes of some writes, and old rubbish where a file had grown but nothing arrived.
    TornPagesOverRubbish,
}

impl Cut {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Nothing,
        Self::Everything,
        Self::Prefix,
        Self::Suffix,
        Self::Some,
        Self::TornSectors,
        Self::TornPagesOverRubbish,
    ];
}

/// The files of one directory, with what is durable and what is not.
#[derive(Debug, Default)]
pub struct Disk {
    files: BTreeMap<Arc<str>, File>,
    /// Removed, but the directory has not been synced since.
    removed: BTreeMap<Arc<str>, File>,
    handles: HashMap<u64, Handle>,
}

#[derive(Debug, Default, Clone)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// The directory was synced after the file was made.
    named: bool,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Truncate { len: usize },
}

#[derive(Debug)]
struct Handle {
    path: Arc<str>,
    /// The next sync through it also syncs the directory.
    syncs_directory: bool,
}

impl Disk {
    /// A disk that holds these files, all of it durable.
    pub fn holding(files: &[Found]) -> Self {
        let file = |content: &Vec<u8>| File { durable: content.clone(), pending: Vec::new(), named: true };
        let files = files.iter().map(|(path, content)| (Arc::clone(path), file(content))).collect();
        Self { files, ..Self::default() }
    }

    /// Carries out one recorded operation.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Open { handle, path, kind } => {
                let syncs_directory = matches!(kind, FileKind::Wal | FileKind::Journal);
                self.handles.insert(*handle, Handle { path: Arc::clone(path), syncs_directory });
                self.files.entry(Arc::clone(path)).or_default();
            }
            Op::Write { handle, offset, data } => {
                self.pending(*handle).push(Change::Write { offset: *offset, data: data.clone() });
            }
            Op::Truncate { handle, len } => self.pending(*handle).push(Change::Truncate { len: *len }),
            Op::Sync { handle } => {
                let handle = self.handles.get_mut(handle).expect("a file is opened before it is synced");
                let syncs_directory = std::mem::take(&mut handle.syncs_directory);
                let file = self.files.get_mut(&handle.path).expect("a file is opened before it is synced");
                for change in std::mem::take(&mut file.pending) {
                    change.carry_out(&mut file.durable);
                }
                if syncs_directory {
                    self.sync_directory();
                }
            }
            Op::Delete { path, durable } => {
                if let Some(file) = self.files.remove(path)
                    && file.named
                    && !durable
                {
                    self.removed.insert(Arc::clone(path), file);
                }
                if *durable {
                    self.sync_directory();
                }
            }
            Op::Mark(_) => {}
        }
    }

    /// Makes all names and removals durable.
    pub fn sync_directory(&mut self) {
        self.files.values_mut().for_each(|file| file.named = true);
        self.removed.clear();
    }

    /// How many changes a cut could take.
    pub fn unsynced(&self) -> usize {
        self.files.values().map(|file| file.pending.len()).sum()
    }

    /// What is found after a power cut. `draw` gives numbers that look random.
    pub fn after(&self, cut: Cut, draw: &mut dyn FnMut() -> u64) -> Vec<Found> {
        let mut found = Vec::new();
        for (path, file) in &self.files {
            if file.named || cut == Cut::Everything || (cut != Cut::Nothing && heads(draw)) {
                found.push((Arc::clone(path), file.after(cut, draw)));
            }
        }
        for (path, file) in self.removed.iter().filter(|(path, _)| !self.files.contains_key(*path)) {
            if cut == Cut::Nothing || (cut != Cut::Everything && heads(draw)) {
                found.push((Arc::clone(path), file.after(cut, draw)));
            }
        }
        found
    }

    fn pending(&mut self, handle: u64) -> &mut Vec<Change> {
        let path = &self.handles.get(&handle).expect("a file is opened before it is changed").path;
        &mut self.files.get_mut(path).expect("a file is opened before it is changed").pending
    }
}

impl File {
    fn after(&self, cut: Cut, draw: &mut dyn FnMut() -> u64) -> Vec<u8> {
        let mut content = self.durable.clone();
        let count = self.pending.len();
        let from = below(count + 1, draw);
        if cut == Cut::TornPagesOverRubbish {
            let grown = self.pending.iter().map(Change::end).max().unwrap_or(0);
            while content.len() < grown {
                content.push(draw().to_le_bytes()[0]);
            }
        }
        for (index, change) in self.pending.iter().enumerate() {
            match cut {
                Cut::Everything => change.carry_out(&mut content),
                Cut::Prefix if index < from => change.carry_out(&mut content),
                Cut::Prefix if index == from => change.carry_out_torn(512, &mut content, draw),
                Cut::Suffix if index >= from => change.carry_out(&mut content),
                Cut::Some if heads(draw) => change.carry_out(&mut content),
                Cut::Nothing | Cut::Prefix | Cut::Suffix | Cut::Some => {}
                Cut::TornSectors => change.carry_out_torn(512, &mut content, draw),
                Cut::TornPagesOverRubbish => change.carry_out_torn(4096, &mut content, draw),
            }
        }
        content
    }
}

impl Change {
    fn end(&self) -> usize {
        match self {
            Self::Write { offset, data } => offset + data.len(),
            Self::Truncate { .. } => 0,
        }
    }

    fn carry_out(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, data } => write(content, *offset, data),
            Self::Truncate { len } => content.resize(*len, 0),
        }
    }

    /// Each of the parts that lie between multiples of `unit` in the file arrives or not.
    fn carry_out_torn(&self, unit: usize, content: &mut Vec<u8>, draw: &mut dyn FnMut() -> u64) {
        match self {
            Self::Write { offset, data } => {
                let mut start = *offset;
                while start < self.end() {
                    let end = ((start / unit + 1) * unit).min(self.end());
                    if heads(draw) {
                        write(content, start, &data[start - offset..end - offset]);
                    }
                    start = end;
                }
            }
            Self::Truncate { len } if heads(draw) => content.resize(*len, 0),
            Self::Truncate { .. } => {}
        }
    }
}

fn heads(draw: &mut dyn FnMut() -> u64) -> bool {
    draw().is_multiple_of(2)
}

/// A number below `bound`.
fn below(bound: usize, draw: &mut dyn FnMut() -> u64) -> usize {
    usize::try_from(draw() % (bound.max(1) as u64)).unwrap_or(0)
}

fn write(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if content.len() < offset + data.len() {
        content.resize(offset + data.len(), 0);
    }
    content[offset..offset + data.len()].copy_from_slice(data);
}
