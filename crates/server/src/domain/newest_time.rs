//! The newest time seen: what has expired stays expired when the clock is set back, also over a restart.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use allod_base::clock::{Clock, MICROS_PER_SEC, from_store, to_store};
use allod_store::{
    CommitError, Database, ReadError, Txn,
    tables::newest_time::{self, NewestTimes},
};

use crate::limits::{CLOCK_AHEAD_SECS_MAX, NEWEST_TIME_KEPT_EVERY_SECS};

/// How far the clock must be behind for a line in the log, in microseconds.
const TOLD_MICROS: u64 = 60 * MICROS_PER_SEC;

/// The newest time seen. The store keeps it, a few minutes old at the most.
pub struct NewestTime {
    clock: Arc<dyn Clock>,
    /// The monotone time when nothing had elapsed; only grows.
    offset: AtomicU64,
    /// The newest time that the clock showed.
    wall: AtomicU64,
    /// The monotone time that was written to the store.
    kept: AtomicU64,
    is_told: AtomicBool,
}

impl NewestTime {
    /// Begins with what the clock shows.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let zero = || AtomicU64::new(0);
        Self { clock, offset: zero(), wall: zero(), kept: zero(), is_told: AtomicBool::new(false) }
    }

    /// Tells a time that never goes back, in microseconds since the Unix epoch: the clock's, or a later one that goes on
    /// from the newest time seen. Tokens and codes of this server's own begin and end by it.
    pub fn now_micros(&self) -> u64 {
        // In this order: a pause between the two must not put the time ahead.
        let wall = self.clock.now_micros();
        let elapsed = self.clock.elapsed_micros();
        self.wall.fetch_max(wall, Relaxed);
        let ahead = wall.saturating_sub(elapsed);
        elapsed + self.offset.fetch_max(ahead, Relaxed).max(ahead)
    }

    /// Tells the time by which tokens end that others signed, in microseconds since the Unix epoch: the newest that the
    /// clock showed. A time more than [`CLOCK_AHEAD_SECS_MAX`] ahead of the clock was wrong, and not believed.
    pub fn for_others_micros(&self) -> u64 {
        let wall = self.clock.now_micros();
        let newest = self.wall.fetch_max(wall, Relaxed).max(wall);
        if newest - wall <= CLOCK_AHEAD_SECS_MAX * MICROS_PER_SEC { newest } else { wall }
    }

    /// Reads the newest time that was kept. To be called before the first request is answered.
    pub async fn load(&self, db: &dyn Database) -> Result<(), ReadError> {
        self.raise(newest_time::read(db).await?);
        // A start writes nothing; the next few minutes are covered by what was read.
        self.kept.fetch_max(self.now_micros(), Relaxed);
        self.tell_if_behind();
        Ok(())
    }

    /// Writes the newest time down, when what was written is older than [`NEWEST_TIME_KEPT_EVERY_SECS`].
    pub async fn keep(&self, db: &dyn Database) -> Result<(), CommitError> {
        let now = self.now_micros();
        self.tell_if_behind();
        if now < self.kept.load(Relaxed) + NEWEST_TIME_KEPT_EVERY_SECS * MICROS_PER_SEC {
            return Ok(());
        }
        let mut txn = Txn::new();
        newest_time::raise(&mut txn, NewestTimes { monotone: to_store(now), wall: to_store(self.wall.load(Relaxed)) });
        db.commit(txn).await?;
        self.kept.fetch_max(now, Relaxed);
        Ok(())
    }

    fn raise(&self, times: NewestTimes) {
        self.wall.fetch_max(from_store(times.wall), Relaxed);
        self.offset.fetch_max(from_store(times.monotone).saturating_sub(self.clock.elapsed_micros()), Relaxed);
        self.kept.fetch_max(from_store(times.monotone), Relaxed);
    }

    fn tell_if_behind(&self) {
        let behind_micros = self.wall.load(Relaxed).saturating_sub(self.clock.now_micros());
        if behind_micros > TOLD_MICROS && !self.is_told.swap(true, Relaxed) {
            let behind_secs = behind_micros / MICROS_PER_SEC;
            tracing::warn!(
                behind_secs,
                "the system clock is behind the newest time this server has seen; tokens expire by that newer time"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;

    use super::*;

    #[derive(Default)]
    struct Scripted {
        wall: AtomicU64,
        elapsed: AtomicU64,
    }

    impl Clock for Scripted {
        fn now_micros(&self) -> u64 {
            self.wall.load(Relaxed)
        }

        fn elapsed_micros(&self) -> u64 {
            self.elapsed.load(Relaxed)
        }

        fn sleep(&self, _: u64) -> BoxFuture<'_, ()> {
            Box::pin(std::future::pending())
        }
    }

    const HOUR: u64 = 3_600 * MICROS_PER_SEC;

    fn at(wall: u64) -> (Arc<Scripted>, NewestTime) {
        let clock = Arc::new(Scripted { wall: AtomicU64::new(wall), elapsed: AtomicU64::new(7) });
        (Arc::clone(&clock), NewestTime::new(clock))
    }

    #[test]
    fn time_goes_on_when_the_clock_is_set_back() {
        let (clock, newest) = at(1_000 * HOUR);
        assert_eq!(newest.now_micros(), 1_000 * HOUR);
        clock.wall.store(998 * HOUR, Relaxed);
        clock.elapsed.fetch_add(HOUR / 2, Relaxed);
        assert_eq!(newest.now_micros(), 1_000 * HOUR + HOUR / 2);
        clock.wall.store(1_001 * HOUR, Relaxed);
        assert_eq!(newest.now_micros(), 1_001 * HOUR, "a clock that is right again is believed");
    }

    #[test]
    fn others_tokens_end_by_the_newest_time_that_can_be_true() {
        let (clock, newest) = at(1_000 * HOUR);
        newest.now_micros();
        clock.wall.store(998 * HOUR, Relaxed);
        clock.elapsed.fetch_add(HOUR, Relaxed);
        assert_eq!(newest.for_others_micros(), 1_000 * HOUR, "it stands still until the clock has caught up");
        clock.wall.store(970 * HOUR, Relaxed);
        assert_eq!(newest.for_others_micros(), 970 * HOUR, "a day ahead was never true");
    }

    #[test]
    fn what_was_kept_counts_after_a_restart() {
        let (_, newest) = at(998 * HOUR);
        newest.raise(NewestTimes { monotone: to_store(1_000 * HOUR), wall: to_store(999 * HOUR) });
        assert_eq!((newest.now_micros(), newest.for_others_micros()), (1_000 * HOUR, 999 * HOUR));
    }
}
