//! The machine's clock and randomness, handed to the server as arguments.

use std::{
    sync::OnceLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use allod_base::{clock::Clock, randomness::Randomness};
use futures_util::future::BoxFuture;

/// The system's wall clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now_micros(&self) -> u64 {
        now_micros()
    }

    fn elapsed_micros(&self) -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        #[expect(clippy::disallowed_methods, reason = "this is where the argument comes from")]
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(*START.get_or_init(|| now));
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }

    fn sleep(&self, micros: u64) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(Duration::from_micros(micros)))
    }
}

/// Tells the wall-clock time in microseconds since the Unix epoch; 0 for a clock set before it.
pub(crate) fn now_micros() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "this is where the argument comes from")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// The operating system's source of random bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, buffer: &mut [u8]) {
        #[expect(clippy::expect_used, reason = "a server without randomness must not go on")]
        getrandom::fill(buffer).expect("the operating system gives random bytes");
    }
}
