//! Answers on their way out: what each holds in memory, and whether its client takes it.
//!
//! A client that takes nothing, or too little for too long, loses the answer: on HTTP/2 that stream alone, so that
//! others on the connection go on. Only bytes of the answer count: a client that answers pings takes nothing by it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    body::{BudgetExceeded, Reservation},
    connection::InFlight,
    limits,
};

/// An answer that is not taken yet.
#[derive(Debug)]
pub(crate) struct Outgoing {
    meter: Mutex<Meter>,
    /// The memory that it counts as holding.
    held: Mutex<Option<Box<dyn Reservation>>>,
    /// Ends the HTTP/2 stream.
    cut: Option<CancellationToken>,
    _in_flight: InFlight,
}

/// The connection has to end: the answer can't be ended apart from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndConnection;

impl Outgoing {
    pub(crate) fn new(
        held: Option<Box<dyn Reservation>>,
        cut: Option<CancellationToken>,
        in_flight: InFlight,
    ) -> Arc<Self> {
        Arc::new(Self { meter: Mutex::new(Meter::new()), held: Mutex::new(held), cut, _in_flight: in_flight })
    }

    /// The server has nothing to send at the moment; that is not the client's fault.
    pub(crate) fn wait_for_server(&self) {
        self.meter.lock().pause();
    }

    /// There is something to send.
    pub(crate) fn wait_for_client(&self) {
        self.meter.lock().resume();
    }

    /// Counts a streamed piece that is larger than such pieces usually are.
    pub(crate) fn hold_piece(&self, bytes: usize) -> Result<(), BudgetExceeded> {
        match &mut *self.held.lock() {
            Some(reservation) => {
                reservation.resize(limits::STREAM_HELD_BYTES + bytes.saturating_sub(limits::STREAM_PIECE_BYTES))
            }
            None => Ok(()),
        }
    }

    /// Makes a piece whose end tells that the client has taken it.
    pub(crate) fn piece(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Piece { bytes, outgoing: Arc::clone(self) })
    }

    /// Ends the answer if its client does not take it; gives when to look again.
    pub(crate) fn judge(&self) -> Result<Instant, EndConnection> {
        let now = Instant::now();
        let mut meter = self.meter.lock();
        let deadline = meter.deadline(now);
        if deadline > now {
            return Ok(deadline);
        }
        match (&self.cut, meter.cut_at) {
            (Some(cut), None) => {
                cut.cancel();
                meter.cut_at = Some(now);
                Ok(now + Duration::from_secs(limits::CONNECTION_CLOSE_SECS))
            }
            _ => Err(EndConnection),
        }
    }
}

struct Piece {
    bytes: Bytes,
    outgoing: Arc<Outgoing>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.outgoing.meter.lock().taken(self.bytes.len());
    }
}

/// Measures how long the client was waited for, and what it took.
#[derive(Debug)]
struct Meter {
    began: Instant,
    /// How long the client was waited for before `waiting_since`.
    waited: Duration,
    waiting_since: Option<Instant>,
    taken_bytes: u64,
    /// How long it had been waited for when it last took something.
    waited_at_progress: Duration,
    /// When the stream was cut.
    cut_at: Option<Instant>,
}

impl Meter {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            waited: Duration::ZERO,
            waiting_since: Some(now),
            taken_bytes: 0,
            waited_at_progress: Duration::ZERO,
            cut_at: None,
        }
    }

    fn waited(&self, now: Instant) -> Duration {
        self.waited + self.waiting_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    fn pause(&mut self) {
        self.waited = self.waited(Instant::now());
        self.waiting_since = None;
    }

    fn resume(&mut self) {
        self.waiting_since.get_or_insert_with(Instant::now);
    }

    fn taken(&mut self, bytes: usize) {
        self.taken_bytes = self.taken_bytes.saturating_add(bytes as u64);
        self.waited_at_progress = self.waited(Instant::now());
    }

    /// When the answer is ended if nothing more happens.
    fn deadline(&self, now: Instant) -> Instant {
        if let Some(cut_at) = self.cut_at {
            return cut_at + Duration::from_secs(limits::CONNECTION_CLOSE_SECS);
        }
        let last = self.began + Duration::from_secs(limits::ANSWER_SECS_MAX);
        if self.waiting_since.is_none() {
            return last;
        }
        let stall = self.waited_at_progress + Duration::from_secs(limits::ANSWER_STALL_SECS);
        let paid = self.taken_bytes / limits::ANSWER_BYTES_PER_SEC_MIN;
        let rate = Duration::from_secs(limits::ANSWER_GRACE_SECS.saturating_add(paid));
        last.min(now + stall.min(rate).saturating_sub(self.waited(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(meter: &Meter) -> u64 {
        let now = Instant::now();
        (meter.deadline(now) - now).as_secs()
    }

    async fn pass(secs: u64) {
        tokio::time::advance(Duration::from_secs(secs)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_waited_for_so_long() {
        let meter = Meter::new();
        assert_eq!(left(&meter), limits::ANSWER_STALL_SECS);
        pass(limits::ANSWER_STALL_SECS).await;
        assert_eq!(left(&meter), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_little_now_and_then_is_ended_by_the_rate() {
        let mut meter = Meter::new();
        let mut secs = 0;
        while left(&meter) > 0 {
            pass(1).await;
            secs += 1;
            meter.taken(1024);
        }
        // A quarter of the rate makes the grace last a third longer.
        assert!((limits::ANSWER_GRACE_SECS..limits::ANSWER_GRACE_SECS * 3 / 2).contains(&secs), "{secs}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_own_time_does_not_count_and_yet_there_is_an_end() {
        let mut meter = Meter::new();
        pass(10).await;
        meter.pause();
        pass(limits::ANSWER_STALL_SECS * 10).await;
        assert!(left(&meter) > limits::ANSWER_STALL_SECS);
        meter.resume();
        assert_eq!(left(&meter), limits::ANSWER_STALL_SECS - 10);
        meter.taken(1_000_000_000);
        pass(limits::ANSWER_SECS_MAX).await;
        meter.taken(1);
        assert_eq!(left(&meter), 0);
    }
}
