//! Pages of the event log, without the events of accounts that are no longer shown.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use allod_atproto::frame::{self, AccountStatus, EncodedFrame, Message};
use allod_store::{
    Event, EventKind, ReadError, Seq,
    tables::{
        accounts::{self, ShownEvents},
        meta,
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Firehose, batch::EncodedBatch};

/// A page of the log, to be told.
pub(super) struct Page<B> {
    /// What is to be told.
    pub(super) batch: B,
    /// The page has every event up to this number.
    pub(super) upto: Seq,
    /// One of the pages that may be held at once, for the address and in all.
    _held: [Option<OwnedSemaphorePermit>; 2],
}

/// Reads a page for a subscriber that catches up. Left out are the events of accounts that are taken down, except
/// `#account` events of an account that is not active, and all events of deleted accounts except the deletion itself,
/// also when the DID has another account since.
pub(super) async fn page<B: EncodedBatch>(
    firehose: &Firehose,
    of_address: Arc<Semaphore>,
    after: Seq,
) -> Result<Page<B>, ReadError> {
    // The semaphores are never closed; without a permit the page is still a page.
    let of_address = of_address.acquire_owned().await.ok();
    let held = [of_address, firehose.pages.clone().acquire_owned().await.ok()];
    let (events, upto) = read(firehose, after, B::EVENTS_PER_PAGE).await?;
    let accounts = accounts(firehose, &events).await?;
    let is_shown = |event: &Event| match accounts.get(event.did.as_str()) {
        Some(shown) if event.seq <= shown.earlier_upto => is_deletion(event),
        Some(shown) if shown.is_taken_down => account_event(event).is_some_and(|account| !account.active),
        Some(_) => true,
        None => event.kind == EventKind::Damaged || is_deletion(event),
    };
    Ok(Page { batch: B::encode(&events, &is_shown), upto, _held: held })
}

/// Whether the event is an `#account` event that announces a deletion.
fn is_deletion(event: &Event) -> bool {
    account_event(event).is_some_and(|account| account.status == Some(AccountStatus::Deleted))
}

/// Reads an `#account` event; none when it is another one.
#[expect(clippy::wildcard_enum_match_arm, reason = "one kind of event is wanted")]
fn account_event(event: &Event) -> Option<frame::Account> {
    if event.kind != EventKind::Account {
        return None;
    }
    let encoded = EncodedFrame { before: event.before.clone(), after: event.after.clone() };
    match frame::decode(&encoded.with_seq(event.seq)).ok()?.message {
        Message::Account(account) => Some(account),
        _ => None,
    }
}

/// Reads a page for the ring, as it is.
pub(super) async fn live_page<B: EncodedBatch>(firehose: &Firehose, after: Seq) -> Result<Page<B>, ReadError> {
    let (events, upto) = read(firehose, after, B::EVENTS_PER_PAGE).await?;
    Ok(Page { batch: B::encode(&events, &|_| true), upto, _held: [None, None] })
}

/// The oldest event there is.
pub(super) async fn oldest(firehose: &Firehose) -> Result<Option<Event>, ReadError> {
    Ok(firehose.core.db.events(0, 1).await?.pop())
}

/// Tells whether events behind the number are gone. Numbers that no event ever had are not missing.
pub(super) async fn is_trimmed_behind(firehose: &Firehose, cursor: Seq) -> Result<bool, ReadError> {
    match meta::events_trimmed(&*firehose.core.db).await? {
        Some(trimmed) => Ok(cursor < trimmed),
        // Nothing was removed, or by a version that did not write down how far.
        None => Ok(oldest(firehose).await?.is_none_or(|oldest| cursor + 1 < oldest.seq)),
    }
}

/// The number behind which everything made at `micros` or later is, as far as times follow numbers.
pub(super) async fn seq_before(firehose: &Firehose, micros: i64) -> Result<Seq, ReadError> {
    // All before `low` is older; `high` is not.
    let (mut low, mut high) = (0, firehose.newest());
    while low < high {
        let middle = low + (high - low) / 2;
        match firehose.core.db.events(middle, 1).await?.pop() {
            Some(event) if event.time_micros < micros => low = event.seq.max(middle + 1),
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

/// Reads events, and tells up to which number they are all there are.
async fn read(firehose: &Firehose, after: Seq, limit: usize) -> Result<(Vec<Event>, Seq), ReadError> {
    // Told before it is read: everything up to here can be read.
    let newest = firehose.newest();
    let events = firehose.core.db.events(after, limit).await?;
    let upto = events.last().map_or(after.max(newest), |last| last.seq);
    Ok((events, upto))
}

/// The accounts of the events, and what of them is shown; deleted accounts are missing.
async fn accounts(firehose: &Firehose, events: &[Event]) -> Result<HashMap<String, ShownEvents>, ReadError> {
    let whole = events.iter().filter(|event| event.kind != EventKind::Damaged);
    let dids: HashSet<&str> = whole.map(|event| event.did.as_str()).collect();
    let dids: Vec<&str> = dids.into_iter().collect();
    accounts::shown_events(&*firehose.core.db, &dids).await
}
