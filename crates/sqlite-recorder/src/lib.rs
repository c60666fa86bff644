//! A `SQLite` virtual file system for tests: passes everything to the system's own, records every change of a file in
//! the order it happened, and makes chosen calls fail.
//!
//! Locks and shared memory go through untouched, so an engine on top of it is the ordinary engine. The C
//! interface lives in [`vfs`], the only module with unsafe code; this one is what a rig talks to. What a power cut leaves of the recorded changes is worked out by [`disk`].

pub mod disk;
mod vfs;

use std::sync::Arc;

use parking_lot::Mutex;

/// Which kind of file a handle belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// The database itself.
    Main,
    /// The write-ahead log.
    Wal,
    /// A rollback journal.
    Journal,
}

/// Something that changed, or was made durable, on the way to the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// A file was opened, and made where it was missing.
    Open {
        /// Tells this handle from every other.
        handle: u64,
        /// The file's whole path.
        path: Arc<str>,
        /// What it is.
        kind: FileKind,
    },
    /// Bytes were written.
    Write {
        /// Through which handle.
        handle: u64,
        /// Where, from the file's beginning.
        offset: usize,
        /// What.
        data: Vec<u8>,
    },
    /// The file was cut to a length.
    Truncate {
        /// Through which handle.
        handle: u64,
        /// The new length in bytes.
        len: usize,
    },
    /// The file was synced. With a log's or a journal's first sync through a handle goes a sync of the directory.
    Sync {
        /// Through which handle.
        handle: u64,
    },
    /// A file was removed.
    Delete {
        /// Which.
        path: Arc<str>,
        /// Whether the directory was synced at once.
        durable: bool,
    },
    /// The rig noted something, see [`Recorder::mark`].
    Mark(u64),
}

/// The calls that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Reading from a file.
    Read,
    /// Writing to a file.
    Write,
    /// Syncing a file.
    Sync,
}

/// The disk is full. For [`Failure::code`], as those below.
pub const FULL: i32 = rusqlite::ffi::SQLITE_FULL;
/// The disk can't be read.
pub const IO_READ: i32 = rusqlite::ffi::SQLITE_IOERR_READ;
/// The disk can't be written.
pub const IO_WRITE: i32 = rusqlite::ffi::SQLITE_IOERR_WRITE;
/// The disk can't be synced.
pub const IO_SYNC: i32 = rusqlite::ffi::SQLITE_IOERR_FSYNC;

/// An order to fail: nothing reaches the file, and the engine is told `code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Which call.
    pub call: Call,
    /// On which kind of file.
    pub kind: FileKind,
    /// How many such calls go well first.
    pub after: u64,
    /// How many fail then.
    pub times: u64,
    /// The `SQLite` result code.
    pub code: i32,
}

#[derive(Debug, Default)]
struct State {
    recording: bool,
    ops: Vec<Op>,
    handles: u64,
    failure: Option<Failure>,
}

/// A registered file system.
#[derive(Debug)]
pub struct Recorder {
    state: Mutex<State>,
}

impl Recorder {
    /// Registers a file system under a name no other one has; it stays until the process ends.
    ///
    /// # Panics
    /// When the name has a zero byte or the engine refuses it.
    pub fn register(name: &str) -> &'static Self {
        let recorder: &'static Self = Box::leak(Box::new(Self { state: Mutex::default() }));
        vfs::register(name, recorder);
        recorder
    }

    /// Begins to record, forgetting what was recorded before.
    pub fn start(&self) {
        let mut state = self.state.lock();
        state.recording = true;
        state.ops.clear();
    }

    /// Ends the recording and gives it out.
    pub fn stop(&self) -> Vec<Op> {
        let mut state = self.state.lock();
        state.recording = false;
        std::mem::take(&mut state.ops)
    }

    /// Notes a moment of the rig's own between two operations.
    pub fn mark(&self, mark: u64) {
        self.state.lock().push(Op::Mark(mark));
    }

    /// Orders a failure, in place of any ordered before.
    pub fn fail(&self, failure: Failure) {
        self.state.lock().failure = Some(failure);
    }

    /// Takes back the ordered failure.
    pub fn heal(&self) {
        self.state.lock().failure = None;
    }

    /// Carries out a change under the recorder's lock, so that the record's order is the order of the changes.
    ///
    /// `run` gives the result code; `op` is recorded when that is zero.
    fn change(&self, call: Option<(Call, FileKind)>, run: impl FnOnce() -> i32, op: impl FnOnce() -> Op) -> i32 {
        let mut state = self.state.lock();
        if let Some(code) = call.and_then(|(call, kind)| state.ordered_failure(call, kind)) {
            return code;
        }
        let code = run();
        if code == 0 {
            state.push(op());
        }
        code
    }

    /// Tells whether a call is to fail, and with which code.
    fn failure(&self, call: Call, kind: FileKind) -> Option<i32> {
        self.state.lock().ordered_failure(call, kind)
    }

    fn next_handle(&self) -> u64 {
        let mut state = self.state.lock();
        state.handles += 1;
        state.handles
    }
}

impl State {
    fn push(&mut self, op: Op) {
        if self.recording {
            self.ops.push(op);
        }
    }

    fn ordered_failure(&mut self, call: Call, kind: FileKind) -> Option<i32> {
        let failure = self.failure.as_mut().filter(|failure| failure.call == call && failure.kind == kind)?;
        if failure.after > 0 {
            failure.after -= 1;
            return None;
        }
        if failure.times == 0 {
            return None;
        }
        failure.times -= 1;
        Some(failure.code)
    }
}
