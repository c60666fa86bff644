//! The clock of the developer's tools: the one place in xtask that reads the time or waits.

use std::time::{Duration, Instant};

/// How often something awaited is looked at.
const POLL: Duration = Duration::from_millis(1);

/// Reads the clock.
#[expect(clippy::disallowed_methods, reason = "a developer's tool measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits.
#[expect(clippy::disallowed_methods, reason = "a developer's tool waits for real processes")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Looks again and again until `done` or the time is up; tells whether it was done.
pub(crate) fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = now();
    loop {
        if done() {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        pause(POLL);
    }
}
