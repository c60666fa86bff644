//! How the firehose is doing.

use allod_store::{
    ReadError, Seq,
    tables::relays::{self, Relay},
};

use super::{Firehose, ahead::Ahead, log, seats::Listener};

/// How the firehose is doing.
pub struct Status {
    /// The newest event's number.
    pub newest: Seq,
    /// The oldest event's number and when it was made, in microseconds since the Unix epoch.
    pub oldest: Option<(Seq, i64)>,
    /// How many bytes the ring holds.
    pub ring_bytes: usize,
    /// Whose cursor is ahead of the newest event, the last one first.
    pub ahead: Vec<Ahead>,
    /// Who listens.
    pub listeners: Vec<Listener>,
    /// The configured relays, and what is known of those that were asked before.
    pub relays: Vec<(String, Option<Relay>)>,
}

impl Firehose {
    /// Looks at it.
    pub async fn status(&self) -> Result<Status, ReadError> {
        let mut relays = Vec::new();
        for url in &self.relays {
            relays.push((url.to_string(), relays::by_url(&*self.core.db, url.as_str()).await?));
        }
        Ok(Status {
            newest: self.newest(),
            oldest: log::oldest(self).await?.map(|event| (event.seq, event.time_micros)),
            ring_bytes: self.ring_bytes(),
            ahead: self.ahead(),
            listeners: self.listeners(),
            relays,
        })
    }
}
