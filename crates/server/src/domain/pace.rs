//! How fast is read what nobody waits for.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use allod_base::clock::{Clock, MICROS_PER_SEC};

/// How many bytes are read between two pauses.
const BYTES_PER_PAUSE: u64 = 256 * 1024;

/// How fast is read: pauses after each [`BYTES_PER_PAUSE`] keep it at a number of bytes a second.
#[derive(Debug, Default)]
pub struct Pace {
    bytes_per_sec: Option<u64>,
    unpaused: AtomicU64,
}

impl Pace {
    /// As fast as it goes.
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// So many bytes a second.
    pub fn bytes_per_sec(bytes_per_sec: u64) -> Self {
        Self { bytes_per_sec: Some(bytes_per_sec.max(1)), ..Self::default() }
    }

    /// Waits as long as reading so many bytes may take.
    pub async fn spend(&self, clock: &dyn Clock, bytes: u64) {
        let Some(bytes_per_sec) = self.bytes_per_sec else { return };
        if self.unpaused.fetch_add(bytes, Relaxed).saturating_add(bytes) < BYTES_PER_PAUSE {
            return;
        }
        let spent = self.unpaused.swap(0, Relaxed);
        let micros = spent.saturating_mul(MICROS_PER_SEC) / bytes_per_sec;
        clock.sleep(micros).await;
    }
}
