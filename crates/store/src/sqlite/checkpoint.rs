//! Moves the write-ahead log into the main file, on a thread and a connection of its own.
//!
//! A pass of the passive kind disturbs neither readers nor the writer. It can only begin the log anew when the writer
//! has nothing behind it, so above a bound the writer waits for one pass: that is what bounds the log's size.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, MAIN_DB, wal::CheckpointMode};

use super::{
    failure::{self, Kind},
    health::{BreakOnPanic, Health},
};

/// The share of the pages between two passes that a pass moves quickly enough for the writer to wait for it.
const SHORT_PASS_DIVISOR: u32 = 8;

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
    /// How large the log is.
    wal_pages: u32,
    /// How large it was when the pass that is under way began.
    begun_at_pages: u32,
    /// How large it was when the last pass that has ended began: so much of it is in the main file.
    moved_pages: u32,
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
    ///
    /// From half its bound on the log is to begin anew. The writer then waits for a pass as soon as one has little left
    /// to move, and at the bound whatever there is: else it would stand still for as long as moving much takes.
    pub(super) fn wal_grew(&self, wal_pages: u32) {
        let mut state = self.state.lock();
        if wal_pages < state.wal_pages {
            (state.asked_at_pages, state.moved_pages, state.stuck_at_pages) = (0, 0, 0);
        }
        state.wal_pages = wal_pages;
        let is_idle = !state.wanted && state.begun == state.ended;
        let is_half_full = wal_pages >= self.wal_pages_max / 2;
        // Under load the log is not begun anew by a pass: then the pages that came since are what makes one worth while.
        if wal_pages >= state.asked_at_pages.saturating_add(self.pages) || (is_half_full && is_idle) {
            state.asked_at_pages = wal_pages;
            state.wanted = true;
            self.changed.notify_all();
        }
        let is_little = is_idle && wal_pages.saturating_sub(state.moved_pages) <= self.pages / SHORT_PASS_DIVISOR;
        if wal_pages < self.wal_pages_max && !(is_half_full && is_little) {
            return;
        }
        // Not at every group while a long read keeps the log from being begun anew.
        if state.stuck_at_pages > 0 && wal_pages < state.stuck_at_pages.saturating_add(self.pages) {
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
    pub(super) fn run(&self, connection: &Connection, health: &Arc<Health>) {
        let _close = CloseOnDrop(self);
        let _poison = BreakOnPanic { health, thread: "checkpoint" };
        while self.next_pass() {
            if health.broken().is_none() {
                pass(connection, CheckpointMode::PASSIVE, health);
            }
            self.end_pass();
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
        state.begun_at_pages = state.wal_pages;
        true
    }

    fn end_pass(&self) {
        let mut state = self.state.lock();
        state.ended += 1;
        // A log that began anew meanwhile has nothing in the main file yet.
        state.moved_pages = if state.wal_pages >= state.begun_at_pages { state.begun_at_pages } else { 0 };
        self.changed.notify_all();
    }
}

fn pass(connection: &Connection, mode: CheckpointMode, health: &Arc<Health>) {
    if let Err(error) = connection.wal_checkpoint_v2(Some(MAIN_DB), mode) {
        match failure::kind(&error) {
            Kind::Broken(cause) => health.break_with(cause, &format!("checkpoint: {error}")),
            Kind::Busy => {}
            Kind::Constraint | Kind::Full | Kind::Resource | Kind::Statement => {
                tracing::warn!(%error, "checkpoint failed");
            }
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
