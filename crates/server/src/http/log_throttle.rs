//! Log lines that clients can cause in any number: one in a while, with how many there were.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Lets one line through in each interval.
pub(super) struct LogThrottle {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    unsaid: u64,
    said_at: Option<Instant>,
}

impl LogThrottle {
    /// Lets a line through every `interval_secs`.
    pub(super) fn every_secs(interval_secs: u64) -> Self {
        Self { interval: Duration::from_secs(interval_secs), state: Mutex::default() }
    }

    /// Counts one more, and gives how many there were since the last line when another one is due.
    pub(super) fn count(&self) -> Option<u64> {
        let mut state = self.state.lock();
        state.unsaid += 1;
        if state.said_at.is_some_and(|said_at| said_at.elapsed() < self.interval) {
            return None;
        }
        state.said_at = Some(Instant::now());
        Some(std::mem::take(&mut state.unsaid))
    }
}
