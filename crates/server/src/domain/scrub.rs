//! The scrub: reads everything that is stored, again and again and slowly, so that damage is found while there is still
//! a copy of what was damaged.
//!
//! It goes from account to account in the order of their DIDs: the repository first, then the blobs. Then it reads the
//! event log. Its position is stored, so that it continues after a restart.

use std::sync::Arc;

use allod_atproto::{
    Did,
    frame::{self, EncodedFrame},
};
use allod_base::clock::{self, MICROS_PER_SEC};
use allod_store::{
    CommitError, EventKind, ReadError, Seq, Txn,
    tables::{
        accounts,
        scrub::{self, Scrub},
    },
};
use bytes::Bytes;

use super::{
    blobs::scrub::BlobScrubError,
    integrity,
    pace::Pace,
    repos::verify::{self, VerifyError},
};
use crate::{app::App, limits::VERIFY_PROBLEMS_MAX};

/// How long after the start of the server the scrub goes on, in seconds.
const START_DELAY_SECS: u64 = 5 * 60;
/// How long after the beginning of a round the next one begins, at the earliest, in seconds: a week.
const ROUND_SECS_MIN: u64 = 7 * 24 * 60 * 60;
/// How long the scrub waits after an error, in seconds.
const RETRY_SECS: u64 = 10 * 60;
/// How many accounts are looked up at once.
const ACCOUNTS_PER_READ: i64 = 100;
/// How many events are read at once.
const EVENTS_PER_READ: usize = 500;

/// Why the scrub stopped; it goes on later where it was.
#[derive(Debug, thiserror::Error)]
pub enum ScrubError {
    /// Blobs could not be checked.
    #[error(transparent)]
    Blobs(#[from] BlobScrubError),
    /// A repository could not be checked.
    #[error(transparent)]
    Repo(#[from] VerifyError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Where it is could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Goes through everything, round after round, until it is dropped.
pub async fn run(app: &Arc<App>) {
    let Some(bytes_per_sec) = app.config.scrub_bytes_per_sec else { return };
    app.clock.sleep(START_DELAY_SECS * MICROS_PER_SEC).await;
    loop {
        let pause_secs = match due(app).await {
            Ok(0) => match round(app, &Pace::bytes_per_sec(bytes_per_sec)).await {
                Ok(()) => 0,
                Err(error) => {
                    tracing::warn!(%error, "the scrub failed; it will retry");
                    RETRY_SECS
                }
            },
            Ok(secs) => secs,
            Err(error) => {
                tracing::warn!(%error, "the scrub's position could not be read");
                RETRY_SECS
            }
        };
        app.clock.sleep(pause_secs.max(1) * MICROS_PER_SEC).await;
    }
}

/// In how many seconds the next round begins; 0 when one is due or not finished.
async fn due(app: &App) -> Result<u64, ReadError> {
    let Some(scrub) = scrub::read(&*app.db).await?.filter(|scrub| scrub.ended_at.is_some()) else { return Ok(0) };
    let next = clock::from_store(scrub.started_at).saturating_add(ROUND_SECS_MIN * MICROS_PER_SEC);
    Ok(next.saturating_sub(app.clock.now_micros()).div_ceil(MICROS_PER_SEC))
}

/// Finishes the round that is under way, or makes a whole one.
pub async fn round(app: &Arc<App>, pace: &Pace) -> Result<(), ScrubError> {
    let begun = Scrub { started_at: now(app), ..Scrub::default() };
    let mut scrub = scrub::read(&*app.db).await?.filter(|scrub| scrub.ended_at.is_none()).unwrap_or(begun);
    // The account it is at may have blobs left.
    if let Ok(did) = Did::parse(&scrub.did) {
        check_blobs(app, &did, &mut scrub, pace).await?;
    }
    loop {
        let dids = accounts::dids_after(&*app.db, &scrub.did, ACCOUNTS_PER_READ).await?;
        if dids.is_empty() {
            break;
        }
        for did in dids {
            (scrub.did, scrub.cid) = (did, Bytes::new());
            let Ok(did) = Did::parse(&scrub.did) else { continue };
            check_repo(app, &did, pace).await?;
            store(app, &scrub).await?;
            check_blobs(app, &did, &mut scrub, pace).await?;
        }
    }
    match check_events(app, pace).await {
        Err(error @ ReadError::Damaged { .. }) => {
            tracing::warn!(%error, "the scrub can't read the event log");
            app.integrity.report("event log", "it can't be read to its end");
        }
        checked => drop(checked?),
    }
    scrub.ended_at = Some(now(app));
    store(app, &scrub).await?;
    Ok(())
}

async fn check_repo(app: &Arc<App>, did: &Did, pace: &Pace) -> Result<(), ScrubError> {
    let report = match verify::verify_at(app, did, &|_| {}, pace).await {
        // Damage must not keep the scrub from what comes after it.
        Err(VerifyError::Read(error @ (ReadError::Damaged { .. } | ReadError::Corrupt { .. }))) => {
            tracing::warn!(%did, %error, "the scrub can't read a repository");
            app.integrity.report(&integrity::repository(did), integrity::ROWS_UNREADABLE);
            return Ok(());
        }
        report => report?,
    };
    if report.is_sound() {
        app.integrity.repository_is_whole(did);
        return Ok(());
    }
    for problem in &report.problems {
        tracing::warn!(%did, %problem, "the scrub found damage");
    }
    app.integrity.report(&integrity::repository(did), "`allod repo verify` finds problems in its repository");
    Ok(())
}

async fn check_blobs(app: &App, did: &Did, scrub: &mut Scrub, pace: &Pace) -> Result<(), ScrubError> {
    loop {
        let checked = match app.blobs.check(did, &scrub.cid, pace).await {
            Err(BlobScrubError::Read(error @ (ReadError::Damaged { .. } | ReadError::Corrupt { .. }))) => {
                tracing::warn!(%did, %error, "the scrub can't read an account's blobs");
                app.integrity.report(&integrity::repository(did), integrity::ROWS_UNREADABLE);
                return Ok(());
            }
            checked => checked?,
        };
        let Some(last) = checked.last else { return Ok(()) };
        scrub.cid = Bytes::copy_from_slice(&last.to_bytes());
        store(app, scrub).await?;
    }
}

/// What was found of the event log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventsChecked {
    /// How many events were read.
    pub events: u64,
    /// The numbers of damaged ones, as far as they are listed.
    pub damaged: Vec<Seq>,
    /// How many more are damaged.
    pub further_damaged: u64,
}

/// Reads the whole event log and checks each event.
pub async fn check_events(app: &App, pace: &Pace) -> Result<EventsChecked, ReadError> {
    let (mut checked, mut after) = (EventsChecked::default(), 0);
    loop {
        let events = app.db.events(after, EVENTS_PER_READ).await?;
        let Some(last) = events.last() else { return Ok(checked) };
        after = last.seq;
        let bytes: usize = events.iter().map(|event| event.before.len() + event.after.len()).sum();
        for event in events {
            checked.events += 1;
            let encoded = EncodedFrame { before: event.before, after: event.after };
            let is_whole = event.kind != EventKind::Damaged && frame::decode(&encoded.with_seq(event.seq)).is_ok();
            let subject = format!("event {}", event.seq);
            if is_whole {
                app.integrity.is_whole(&subject);
                continue;
            }
            app.integrity.report(&subject, "it differs from what was appended to the log");
            if checked.damaged.len() < VERIFY_PROBLEMS_MAX {
                checked.damaged.push(event.seq);
            } else {
                checked.further_damaged += 1;
            }
        }
        pace.spend(&*app.clock, bytes as u64).await;
    }
}

async fn store(app: &App, scrub: &Scrub) -> Result<(), CommitError> {
    let mut txn = Txn::new();
    scrub::write(&mut txn, scrub);
    app.db.commit(txn).await.map(drop)
}

fn now(app: &App) -> i64 {
    clock::to_store(app.clock.now_micros())
}
