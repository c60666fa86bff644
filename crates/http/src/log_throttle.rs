//! Log lines that clients can cause in any number: one in a while, with how many there were.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Lets one line through in each interval.
pub struct LogThrottle {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    unlogged: u64,
    logged_at: Option<Instant>,
}

impl LogThrottle {
    /// Lets a line through every `interval_secs`.
    pub fn every_secs(interval_secs: u64) -> Self {
        Self { interval: Duration::from_secs(interval_secs), state: Mutex::default() }
    }

    /// Counts one more, and gives how many there were since the last line when another one is due.
    pub fn count(&self) -> Option<u64> {
        let mut state = self.state.lock();
        state.unlogged += 1;
        if state.logged_at.is_some_and(|logged_at| logged_at.elapsed() < self.interval) {
            return None;
        }
        state.logged_at = Some(Instant::now());
        Some(std::mem::take(&mut state.unlogged))
    }
}
