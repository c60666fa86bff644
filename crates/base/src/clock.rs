//! Time as an argument.

use futures_util::future::BoxFuture;

/// The time and timers; the only source of either outside the binary.
pub trait Clock: Send + Sync + 'static {
    /// Returns the wall-clock time in microseconds since the Unix epoch.
    fn now_micros(&self) -> u64;

    /// Returns the microseconds since an arbitrary moment before the first call. Monotonic.
    fn elapsed_micros(&self) -> u64;

    /// Completes when `micros` microseconds have passed on this clock.
    fn sleep(&self, micros: u64) -> BoxFuture<'_, ()>;
}

/// Microseconds in a second.
pub const MICROS_PER_SEC: u64 = 1_000_000;

/// Converts microseconds since the epoch to the store's integer.
pub fn to_store(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// Converts the store's integer to microseconds since the epoch.
pub fn from_store(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0)
}

/// Formats microseconds since the epoch as `YYYY-MM-DDTHH:MM:SS.sssZ`.
pub fn datetime(micros: u64) -> String {
    let stamp = jiff::Timestamp::from_microsecond(to_store(micros)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{stamp:.3}")
}
