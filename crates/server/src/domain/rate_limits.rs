//! How often something was done in a stretch of time: fixed windows that begin with the first of it, in memory.
//!
//! A restart forgets them. Whoever fills the memory with strangers pushes out those who were seen least.

use std::sync::Arc;

use allod_base::{
    clock::{Clock, MICROS_PER_SEC},
    randomness::{self, Randomness},
};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use crate::limits::RATE_LIMIT_WINDOWS_MAX;

/// How much may be done in how much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// What is counted together.
    pub name: &'static str,
    /// How many points a window has.
    pub points: u32,
    /// How long a window is.
    pub window_secs: u32,
}

/// Where somebody stands with a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The rule.
    pub rule: Rule,
    /// How many points are left.
    pub remaining: u32,
    /// When the window ends, in seconds since the Unix epoch.
    pub resets_at_secs: u64,
    /// When the window ends, in seconds from now; at least 1.
    pub resets_in_secs: u32,
    /// Whether the points did not suffice.
    pub is_exceeded: bool,
    /// Whether this is the first time in the window that they did not.
    pub is_newly_exceeded: bool,
}

struct Window {
    began_micros: u64,
    used: u32,
}

/// Counts.
pub struct RateLimits {
    is_on: bool,
    clock: Arc<dyn Clock>,
    /// Makes the windows' keys unpredictable, so that nobody can aim at somebody else's.
    seed: [u8; 16],
    windows: Cache<[u8; 16], Arc<Mutex<Window>>>,
}

impl RateLimits {
    /// Counts from now on; while it is off, everything is allowed and nothing counted.
    pub fn new(is_on: bool, clock: Arc<dyn Clock>, randomness: &dyn Randomness) -> Self {
        let windows = Cache::new(if is_on { RATE_LIMIT_WINDOWS_MAX } else { 1 });
        Self { is_on, clock, seed: randomness::bytes(randomness), windows }
    }

    /// Whether anything is counted.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Counts `points` for whoever `key` names. What exceeds the rule is counted too, and makes no window longer.
    pub fn count(&self, rule: Rule, key: &str, points: u32) -> Option<Standing> {
        if !self.is_on {
            return None;
        }
        let now = self.clock.now_micros();
        let window_micros = u64::from(rule.window_secs) * MICROS_PER_SEC;
        let window = self.window(rule, key, now);
        let mut window = window.lock();
        // A clock that went back leaves the window as it is.
        if now >= window.began_micros.saturating_add(window_micros) {
            *window = Window { began_micros: now, used: 0 };
        }
        let was_within = window.used <= rule.points;
        window.used = window.used.saturating_add(points);
        let ends_micros = window.began_micros.saturating_add(window_micros);
        let resets_in_secs =
            ends_micros.saturating_sub(now).div_ceil(MICROS_PER_SEC).clamp(1, u64::from(rule.window_secs));
        Some(Standing {
            rule,
            remaining: rule.points.saturating_sub(window.used),
            resets_at_secs: ends_micros.div_ceil(MICROS_PER_SEC),
            resets_in_secs: u32::try_from(resets_in_secs).unwrap_or(rule.window_secs),
            is_exceeded: window.used > rule.points,
            is_newly_exceeded: was_within && window.used > rule.points,
        })
    }

    fn window(&self, rule: Rule, key: &str, now: u64) -> Arc<Mutex<Window>> {
        let mut hash = Sha256::new_with_prefix(self.seed);
        hash.update(rule.name.as_bytes());
        hash.update([0]);
        hash.update(key.as_bytes());
        let hash: [u8; 32] = hash.finalize().into();
        let mut place = [0; 16];
        place.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        let fresh = || Ok::<_, std::convert::Infallible>(Arc::new(Mutex::new(Window { began_micros: now, used: 0 })));
        match self.windows.get_or_insert_with(&place, fresh) {
            Ok(window) => window,
            Err(never) => match never {},
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;

    const RULE: Rule = Rule { name: "a rule", points: 3, window_secs: 60 };

    struct At(AtomicU64);

    impl Clock for At {
        fn now_micros(&self) -> u64 {
            self.0.load(Relaxed)
        }

        fn elapsed_micros(&self) -> u64 {
            self.0.load(Relaxed)
        }

        fn sleep(&self, _: u64) -> futures_util::future::BoxFuture<'_, ()> {
            Box::pin(std::future::pending())
        }
    }

    struct Zero;

    impl Randomness for Zero {
        fn fill(&self, _: &mut [u8]) {}
    }

    fn limits(is_on: bool) -> (Arc<At>, RateLimits) {
        let clock = Arc::new(At(AtomicU64::new(1_000 * MICROS_PER_SEC)));
        (Arc::clone(&clock), RateLimits::new(is_on, clock, &Zero))
    }

    #[test]
    fn a_window_begins_with_the_first_and_ends_for_all() {
        let (clock, limits) = limits(true);
        let count = |points| limits.count(RULE, "alice", points).unwrap();
        let first = count(2);
        assert_eq!(
            (first.remaining, first.resets_at_secs, first.resets_in_secs, first.is_exceeded),
            (1, 1_060, 60, false)
        );
        clock.0.store(1_059 * MICROS_PER_SEC, Relaxed);
        assert!(!count(1).is_exceeded);
        let over = count(1);
        assert_eq!((over.remaining, over.resets_in_secs, over.is_exceeded), (0, 1, true));
        assert!(over.is_newly_exceeded && !count(1).is_newly_exceeded, "it is noticed once");
        assert!(!limits.count(RULE, "bob", 3).unwrap().is_exceeded, "others are counted apart");
        assert!(!limits.count(Rule { name: "another", ..RULE }, "alice", 3).unwrap().is_exceeded);
        clock.0.store(1_060 * MICROS_PER_SEC, Relaxed);
        assert_eq!(count(1).remaining, 2);
    }

    #[test]
    fn a_clock_that_goes_back_opens_no_window_anew() {
        let (clock, limits) = limits(true);
        limits.count(RULE, "alice", 3);
        clock.0.store(1, Relaxed);
        let standing = limits.count(RULE, "alice", 1).unwrap();
        assert!(standing.is_exceeded && standing.resets_in_secs <= 60);
    }

    #[test]
    fn off_is_off() {
        let (_, limits) = limits(false);
        assert!((0..100).all(|_| limits.count(RULE, "alice", 1).is_none()));
    }
}
