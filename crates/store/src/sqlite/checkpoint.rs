//! Moves the write-ahead log into the main file, on a thread and a connection of its own.
//!
//! A pass of the passive kind disturbs neither readers nor the writer. It can only begin the log anew when the writer
//! has nothing behind it, so above a bound the writer waits for one pass: that is what bounds the log's size.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, MAIN_DB, wal::CheckpointMode};

use super::{
    Health,
    failure::{self, Kind},
};

/// What the writer tells the checkpoint thread.
pub(super) struct Checkpointer {
    state: Mutex<State>,
    changed: Condvar,
    /// How many pages the log grows between two passes.
    pages: u32,
    /// From how many pages the writer waits for a pass.
    wal_pages_max: u32,
}

#[derive(Debug, Default)]
struct State {
    wanted: bool,
    closed: bool,
    /// How many passes have begun and ended.
    begun: u64,
    ended: u64,
    /// How large the log was when a pass was last asked for; 0 since the log began anew.
    asked_at_pages: u32,
    /// How large the log was when the writer last waited in vain, a reader holding an old page.
    stuck_at_pages: u32,
}

impl Checkpointer {
    pub(super) fn new(pages: u32, wal_pages_max: u32) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changed: Condvar::new(), pages, wal_pages_max })
    }

    /// Says how large the log is now; called by the writer between two groups.
    pub(super) fn wal_grew(&self, wal_pages: u32) {
        let mut state = self.state.lock();
        if wal_pages < state.asked_at_pages {
            state.asked_at_pages = 0;
        }
        // Under load the log is not begun anew by a pass: then the pages that came since are what makes one worth while.
        let grown = wal_pages >= state.asked_at_pages.saturating_add(self.pages);
        if grown {
            state.asked_at_pages = wal_pages;
            state.wanted = true;
            self.changed.notify_all();
        }
        if wal_pages < self.wal_pages_max {
            state.stuck_at_pages = 0;
            return;
        }
        // Not at every group while a long read keeps the log from being begun anew.
        if wal_pages < state.stuck_at_pages.saturating_add(self.pages) {
            return;
        }
        state.stuck_at_pages = wal_pages;
        state.wanted = true;
        self.changed.notify_all();
        let target = state.begun + 1;
        while state.ended < target && !state.closed {
            self.changed.wait(&mut state);
        }
    }

    /// Ends the thread after a last pass.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// Works until closed.
    pub(super) fn run(&self, connection: &Connection, health: &Health) {
        let _close = CloseOnDrop(self);
        while self.next_pass() {
            if health.broken().is_none() {
                pass(connection, CheckpointMode::PASSIVE, health);
            }
            self.state.lock().ended += 1;
            self.changed.notify_all();
        }
        if health.broken().is_none() {
            // The next start then has nothing to recover.
            pass(connection, CheckpointMode::TRUNCATE, health);
        }
    }

    fn next_pass(&self) -> bool {
        let mut state = self.state.lock();
        while !state.wanted {
            if state.closed {
                return false;
            }
            self.changed.wait(&mut state);
        }
        state.wanted = false;
        state.begun += 1;
        true
    }
}

fn pass(connection: &Connection, mode: CheckpointMode, health: &Health) {
    if let Err(error) = connection.wal_checkpoint_v2(Some(MAIN_DB), mode) {
        match failure::kind(&error) {
            Kind::Broken => health.break_with(&format!("checkpoint: {error}")),
            Kind::Busy => {}
            Kind::Constraint | Kind::Resource | Kind::Statement => tracing::warn!(%error, "a checkpoint failed"),
        }
    }
}

/// Lets a waiting writer go on whatever ends the thread.
struct CloseOnDrop<'a>(&'a Checkpointer);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
