//! Pages of the event log, without the events of accounts that are no longer shown.

use std::collections::HashSet;

use allod_store::{Event, EventKind, ReadError, Seq, tables::accounts};
use tokio::sync::OwnedSemaphorePermit;

use super::{Firehose, wire::Batch};

/// How many events a page has at most; the store gives fewer when they are large.
const EVENTS_PER_PAGE_MAX: usize = 1000;

/// A page of the log as messages.
pub(super) struct Page {
    /// What is to be told.
    pub(super) batch: Batch,
    /// The page has every event up to this number.
    pub(super) upto: Seq,
    /// One of the pages that may be held at once.
    _held: Option<OwnedSemaphorePermit>,
}

/// Reads a page for somebody who catches up: events of accounts that were taken down or deleted are left out, but for
/// those that say so.
pub(super) async fn page(firehose: &Firehose, after: Seq) -> Result<Page, ReadError> {
    // The semaphore is never closed; without a permit the page is still a page.
    let held = firehose.pages.clone().acquire_owned().await.ok();
    let (events, upto) = read(firehose, after).await?;
    let shown = shown(firehose, &events).await?;
    let is_shown = |event: &Event| event.kind == EventKind::Account || shown.contains(event.did.as_str());
    Ok(Page { batch: Batch::encode(&events, is_shown), upto, _held: held })
}

/// Reads a page for the ring, as it is.
pub(super) async fn live_page(firehose: &Firehose, after: Seq) -> Result<Page, ReadError> {
    let (events, upto) = read(firehose, after).await?;
    Ok(Page { batch: Batch::encode(&events, |_| true), upto, _held: None })
}

/// The number of the oldest event there is.
pub(super) async fn oldest(firehose: &Firehose) -> Result<Option<Seq>, ReadError> {
    Ok(firehose.db.events(0, 1).await?.first().map(|event| event.seq))
}

/// Reads events, and tells up to which number they are all there are.
async fn read(firehose: &Firehose, after: Seq) -> Result<(Vec<Event>, Seq), ReadError> {
    // Told before it is read: everything up to here can be read.
    let newest = firehose.newest();
    let events = firehose.db.events(after, EVENTS_PER_PAGE_MAX).await?;
    let upto = events.last().map_or(after.max(newest), |last| last.seq);
    Ok((events, upto))
}

/// The accounts among those of the events whose content is shown.
async fn shown(firehose: &Firehose, events: &[Event]) -> Result<HashSet<String>, ReadError> {
    let dids: HashSet<&str> = events.iter().map(|event| event.did.as_str()).collect();
    let dids: Vec<&str> = dids.into_iter().collect();
    accounts::not_taken_down(&*firehose.db, &dids).await
}
