//! How the firehose is doing, as operators see it.

use allod_base::clock;
use allod_store::ReadError;
use serde::{Deserialize, Serialize};

use super::{
    ControlError,
    execute::{failure, refusal},
};
use crate::{
    app::App,
    domain::{
        audit::{Actor, By},
        firehose::status::Status,
    },
    limits::{SEQUENCE_RAISE_DEFAULT, SEQUENCE_RAISE_MAX},
};

/// How the firehose is doing.
#[derive(Debug, Serialize, Deserialize)]
pub struct FirehoseStatus {
    /// The newest event's number; 0 when there was none.
    pub newest_seq: i64,
    /// The number of the oldest event that can be had; none when nothing is kept.
    pub oldest_seq: Option<i64>,
    /// When that event was made, RFC 3339.
    pub oldest_at: Option<String>,
    /// How many bytes of the newest events are held in memory.
    pub ring_bytes: u64,
    /// Whose cursor is ahead of the newest event: they get nothing until the sequence is raised. The last one first.
    #[serde(default)]
    pub ahead: Vec<AheadStatus>,
    /// Who listens, oldest first.
    pub subscribers: Vec<SubscriberStatus>,
    /// The configured relays.
    pub relays: Vec<RelayStatus>,
}

/// One listener.
#[derive(Debug, Serialize, Deserialize)]
pub struct SubscriberStatus {
    /// Its address.
    pub address: String,
    /// `subscribeRepos` or `jetstream`.
    pub form: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// The newest number it was given.
    pub position: i64,
    /// How many numbers it is behind.
    pub lag: i64,
}

/// One subscriber whose cursor is ahead of the newest event.
#[derive(Debug, Serialize, Deserialize)]
pub struct AheadStatus {
    /// Its address.
    pub address: String,
    /// `subscribeRepos` or `jetstream`.
    pub form: String,
    /// The cursor it came with last.
    pub cursor: i64,
    /// When it came last, RFC 3339.
    pub at: String,
    /// How often it came since the server runs.
    pub times: u64,
}

/// The sequence of events was raised, or was high enough.
#[derive(Debug, Serialize, Deserialize)]
pub struct SequenceRaised {
    /// The newest number before.
    pub before: i64,
    /// Every later event's number is larger than this.
    pub newest_seq: i64,
}

/// One relay.
#[derive(Debug, Serialize, Deserialize)]
pub struct RelayStatus {
    /// Its base URL.
    pub url: String,
    /// The newest event's number when it was last told with success; 0 before.
    pub told_seq: i64,
    /// When it was last asked, RFC 3339.
    pub last_try_at: Option<String>,
    /// When it last agreed, RFC 3339.
    pub last_success_at: Option<String>,
    /// Why it did not, the last time.
    pub last_error: Option<String>,
    /// How often in a row it did not.
    pub failures: u64,
    /// When it is asked next if there is something new, RFC 3339; none means at once.
    pub next_try_at: Option<String>,
}

pub(super) async fn status(app: &App) -> Result<FirehoseStatus, ReadError> {
    let Status { newest, oldest, ring_bytes, ahead, listeners, relays } = app.firehose.status().await?;
    let time = |micros: i64| clock::datetime(clock::from_store(micros));
    let subscribers = listeners.into_iter().map(|listener| SubscriberStatus {
        address: listener.address.to_string(),
        form: listener.form.name().to_owned(),
        since: clock::datetime(listener.since_micros),
        position: listener.position,
        lag: newest.saturating_sub(listener.position).max(0),
    });
    let ahead = ahead.into_iter().map(|ahead| AheadStatus {
        address: ahead.address.to_string(),
        form: ahead.form.name().to_owned(),
        cursor: ahead.cursor,
        at: clock::datetime(ahead.at_micros),
        times: ahead.times,
    });
    let relays = relays.into_iter().map(|(url, known)| RelayStatus {
        url,
        told_seq: known.as_ref().map_or(0, |relay| relay.told_seq),
        last_try_at: known.as_ref().map(|relay| time(relay.last_try_at)),
        last_success_at: known.as_ref().and_then(|relay| relay.last_success_at).map(time),
        last_error: known.as_ref().and_then(|relay| relay.last_error.clone()),
        failures: known.as_ref().map_or(0, |relay| u64::try_from(relay.failures).unwrap_or(0)),
        next_try_at: known.as_ref().map(|relay| time(relay.next_try_at)),
    });
    Ok(FirehoseStatus {
        newest_seq: newest,
        oldest_seq: oldest.map(|(seq, _)| seq),
        oldest_at: oldest.map(|(_, micros)| time(micros)),
        ring_bytes: ring_bytes as u64,
        ahead: ahead.collect(),
        subscribers: subscribers.collect(),
        relays: relays.collect(),
    })
}

/// Raises the sequence of events to a number, or by [`SEQUENCE_RAISE_DEFAULT`].
pub(super) async fn raise(app: &App, number: Option<i64>) -> Result<SequenceRaised, ControlError> {
    let before = app.firehose.newest();
    let number = number.unwrap_or(before.saturating_add(SEQUENCE_RAISE_DEFAULT));
    if number <= before {
        let message = format!("the sequence is at {before} already; it can be raised and never lowered");
        return Err(refusal("InvalidRequest", message));
    }
    if number > SEQUENCE_RAISE_MAX {
        let message = format!("{number} is too large: the maximum is {SEQUENCE_RAISE_MAX}");
        return Err(refusal("InvalidRequest", message));
    }
    let raised = app.db.raise_sequence(number).await;
    raised.map_err(|error| failure(&error))?;
    let by = By { actor: Actor::CommandLine, method: "firehose raise-sequence" };
    app.audit.done(&by, &format!("from {before} to {number}")).await;
    Ok(SequenceRaised { before, newest_seq: app.firehose.newest() })
}
