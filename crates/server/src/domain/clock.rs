//! Time as an argument.

use futures_util::future::BoxFuture;

/// Tells the time and waits; the only way domain code learns of either.
pub trait Clock: Send + Sync + 'static {
    /// Tells the wall-clock time in microseconds since the Unix epoch.
    fn now_micros(&self) -> u64;

    /// Tells the microseconds that have passed since some moment before the first call; never goes back.
    fn elapsed_micros(&self) -> u64;

    /// Waits until `micros` microseconds have passed on this clock.
    fn sleep(&self, micros: u64) -> BoxFuture<'_, ()>;
}

/// Microseconds in a second.
pub const MICROS_PER_SEC: u64 = 1_000_000;

/// Microseconds since the epoch as the store's integer.
pub fn to_store(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// The store's integer as microseconds since the epoch.
pub fn from_store(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0)
}

/// Renders microseconds since the epoch as `YYYY-MM-DDTHH:MM:SS.sssZ`.
pub fn datetime(micros: u64) -> String {
    let stamp = jiff::Timestamp::from_microsecond(to_store(micros)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{stamp:.3}")
}
