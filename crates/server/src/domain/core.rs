//! What nearly every module of the domain needs: the store, time and randomness.

use std::sync::Arc;

use allod_base::{
    clock::{self, Clock},
    randomness::{self, Randomness},
};
use allod_store::Db;

use super::newest_time::NewestTime;

/// The store, time and randomness of one server. A clone is another handle to the same ones.
#[derive(Clone)]
pub struct Core {
    /// The store.
    pub db: Db,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The newest time seen, by which tokens and codes end.
    pub newest_time: Arc<NewestTime>,
    /// Unpredictable bytes.
    pub randomness: Arc<dyn Randomness>,
}

impl Core {
    /// The clock's time as the store's integer.
    pub fn stored_now(&self) -> i64 {
        clock::to_store(self.clock.now_micros())
    }

    /// Draws `N` random bytes.
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        randomness::bytes(&*self.randomness)
    }
}
