//! Time that stands still until it is moved.

use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::Duration,
};

use allod_base::clock::Clock;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// Where time starts: 2026-01-01T00:00:00Z, in microseconds since the Unix epoch.
const START_MICROS: u64 = 1_767_225_600_000_000;

/// A clock that stands still until [`FakeClock::advance`].
#[derive(Debug)]
pub struct FakeClock {
    now: watch::Sender<u64>,
    elapsed: AtomicU64,
}

impl Default for FakeClock {
    fn default() -> Self {
        Self { now: watch::Sender::new(START_MICROS), elapsed: AtomicU64::new(0) }
    }
}

impl FakeClock {
    /// Moves time forward and wakes whoever slept until then.
    pub fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).expect("a test moves time by less than 500,000 years");
        self.elapsed.fetch_add(micros, SeqCst);
        self.now.send_modify(|now| *now += micros);
    }

    /// Sets time back, as an operator or a time server may. Whoever sleeps sleeps that much longer.
    pub fn set_back(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).expect("a test moves time by less than 500,000 years");
        self.now.send_modify(|now| *now -= micros);
    }
}

impl Clock for FakeClock {
    fn now_micros(&self) -> u64 {
        *self.now.borrow()
    }

    fn elapsed_micros(&self) -> u64 {
        self.elapsed.load(SeqCst)
    }

    fn sleep(&self, micros: u64) -> BoxFuture<'_, ()> {
        let wake_at = self.now_micros().saturating_add(micros);
        let mut now = self.now.subscribe();
        Box::pin(async move {
            // The sender is `self`, so the wait can't end for want of one.
            let _ = now.wait_for(|now| *now >= wake_at).await;
        })
    }
}
