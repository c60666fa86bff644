//! Follows the log for the ring while anybody listens.

use std::time::Duration;

use allod_store::Seq;
use tokio::{sync::watch, time::Instant};

use super::{Channel, batch::EncodedBatch, log, ring::Ring};

/// What one more listener lengthens the pause between two batches by, in microseconds: each batch wakes every listener
/// and costs a write each, so that with many of them fewer and larger batches are cheaper for all.
const PAUSE_MICROS_PER_LISTENER: u64 = 100;
/// The longest such pause, in milliseconds.
const PAUSE_MILLIS_MAX: u64 = 20;
/// Pauses shorter than this are not worth a timer, in milliseconds.
const PAUSE_MILLIS_MIN: u64 = 2;
/// How long the first wait after a failed read is, in milliseconds; it doubles.
const RETRY_MILLIS: u64 = 50;
/// How often it doubles.
const RETRY_DOUBLINGS_MAX: u32 = 6;

/// Fills a channel's ring while it has subscribers, until the store is closed.
pub(super) async fn run<B: EncodedBatch>(channel: &Channel<B>) {
    let Channel { firehose, form, .. } = channel;
    let mut newest = firehose.core.db.watch();
    let mut count = firehose.seats.count(*form);
    while count.wait_for(|count| *count > 0).await.is_ok() {
        let went_on = follow(channel, &mut newest, &mut count).await;
        channel.change_ring(Ring::stop);
        if !went_on {
            return;
        }
    }
}

/// Follows the log until nobody listens (true) or the store is closed (false).
async fn follow<B: EncodedBatch>(
    channel: &Channel<B>,
    newest: &mut watch::Receiver<Seq>,
    count: &mut watch::Receiver<usize>,
) -> bool {
    let resumed = channel.ring.read().resume();
    let mut after = resumed.unwrap_or(*newest.borrow_and_update());
    if resumed.is_none() {
        channel.change_ring(|ring| ring.start(after));
    }
    channel.head.send_replace(after);
    let mut failures = 0;
    let mut told_at = Instant::now();
    loop {
        let listeners = *count.borrow_and_update();
        if listeners == 0 {
            return true;
        }
        if *newest.borrow_and_update() <= after {
            tokio::select! {
                changed = newest.changed() => if changed.is_err() { return false },
                changed = count.changed() => if changed.is_err() { return false },
            }
            continue;
        }
        pause(told_at, listeners).await;
        match log::live_page(&channel.firehose, after).await {
            Ok(page) => {
                failures = 0;
                after = page.upto;
                channel.change_ring(|ring| ring.push(page.batch, page.upto));
                told_at = Instant::now();
                channel.head.send_replace(after);
            }
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(%error, "the firehose waits: the event log can't be read");
                }
                let wait = RETRY_MILLIS << failures.min(RETRY_DOUBLINGS_MAX);
                failures = failures.saturating_add(1);
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
        }
    }
}

/// Lets events gather after the last batch, the longer the more there are to be woken. After a quiet time there is
/// nothing to wait for.
async fn pause(told_at: Instant, listeners: usize) {
    let micros = PAUSE_MICROS_PER_LISTENER.saturating_mul(listeners as u64);
    let pause = Duration::from_micros(micros).min(Duration::from_millis(PAUSE_MILLIS_MAX));
    if pause >= Duration::from_millis(PAUSE_MILLIS_MIN) && told_at.elapsed() < pause {
        tokio::time::sleep_until(told_at + pause).await;
    }
}
