//! Lets old events go, a whole day at a time.

use allod_base::clock;
use allod_store::{CommitError, EventDay};
use parking_lot::Mutex;

use super::Firehose;

/// The day before which everything is gone.
#[derive(Debug, Default)]
pub struct Trimmed(Mutex<Option<EventDay>>);

impl Firehose {
    /// Drops the days that are older than the retention, whole; does nothing while the day is the same as the last
    /// time.
    pub async fn trim(&self) -> Result<(), CommitError> {
        let oldest = self.core.clock.now_micros().saturating_sub(self.retention_micros);
        let Some(day) = EventDay::of_micros(clock::to_store(oldest)) else { return Ok(()) };
        let trimmed = &self.trimmed.0;
        if *trimmed.lock() == Some(day) {
            return Ok(());
        }
        self.core.db.drop_events_before(day).await?;
        *trimmed.lock() = Some(day);
        Ok(())
    }
}
