//! One listener's way through the log: cursor, backfill, then live.

use std::{borrow::Cow, sync::Arc};

use allod_store::{ReadError, Seq};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Channel, Firehose,
    batch::EncodedBatch,
    log::{self, Page},
    ring::Look,
    seats::Seat,
};

/// How many bytes a listener is given at once; one batch may be larger.
const GIVEN_BYTES_MAX: usize = 256 * 1024;

/// Where a stream begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// With what comes from now on.
    Live,
    /// Behind this number.
    After(i64),
    /// With what was made at this moment, in microseconds since the Unix epoch.
    Since(i64),
    /// Nowhere: what was asked for is no number. The text says so.
    Invalid(Cow<'static, str>),
}

/// Why a stream ends.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// The cursor is newer than every event.
    #[error("Cursor in the future.")]
    FutureCursor,
    /// The cursor is no number.
    #[error("{0}")]
    InvalidCursor(Cow<'static, str>),
    /// The listener fell further behind than is kept for it, or does not read.
    #[error("Stream consumer too slow")]
    ConsumerTooSlow,
    /// The log can't be read.
    #[error(transparent)]
    Failed(#[from] ReadError),
}

impl End {
    /// The error's name on the wire; a fault of ours has none.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::FutureCursor => Some("FutureCursor"),
            Self::InvalidCursor(_) => Some("InvalidRequest"),
            Self::ConsumerTooSlow => Some("ConsumerTooSlow"),
            Self::Failed(_) => None,
        }
    }
}

/// What a listener is to be told next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Its cursor is older than everything that is kept.
    Outdated,
    /// What it was given.
    Given,
}

/// A stream of events in the form `B`.
pub struct Subscription<B: EncodedBatch> {
    channel: Arc<Channel<B>>,
    seat: Seat,
    heads: watch::Receiver<Seq>,
    /// Everything up to here was given.
    position: Seq,
    stage: Stage<B>,
}

enum Stage<B> {
    /// Nothing was given yet.
    Start(Cursor),
    /// Reads the log, at least up to what there was when the stream began.
    Backfill(Backfill<B>),
    /// Reads the ring.
    Live,
}

struct Backfill<B> {
    /// What was the newest number when the stream began. The ring has also what must not be shown any more, so it is
    /// not read below.
    until: Seq,
    next: Option<AbortOnDropHandle<Result<Page<B>, ReadError>>>,
    /// The page being written.
    given: Option<Page<B>>,
}

impl<B: EncodedBatch> Subscription<B> {
    pub(super) fn new(channel: Arc<Channel<B>>, seat: Seat, cursor: Cursor) -> Self {
        let heads = channel.head.subscribe();
        let position = channel.firehose.newest();
        Self { channel, seat, heads, position, stage: Stage::Start(cursor) }
    }

    /// Gives the next events, waiting until there are some: batches, of which what comes behind the number is new. May
    /// be dropped at any moment without losing any.
    ///
    /// What was given before counts as written.
    pub async fn next(&mut self, mut give: impl FnMut(&B, Seq) + Send) -> Result<Step, End> {
        loop {
            let before = self.position;
            let is_given = match &mut self.stage {
                Stage::Start(cursor) => {
                    let cursor = cursor.clone();
                    if self.start(cursor).await? {
                        return Ok(Step::Outdated);
                    }
                    false
                }
                Stage::Backfill(backfill) => {
                    backfill.given = None;
                    self.heads.borrow_and_update();
                    if before >= backfill.until && self.channel.ring.read().reaches(before) {
                        self.stage = Stage::Live;
                        continue;
                    }
                    let page = backfill.step(&self.channel.firehose, &self.seat, before).await?;
                    self.position = page.upto;
                    if page.batch.events() > 0 {
                        give(&page.batch, before);
                        true
                    } else {
                        if self.position == before {
                            // Everything was read, and the ring is not filled yet.
                            changed(&mut self.heads).await;
                        }
                        false
                    }
                }
                Stage::Live => {
                    self.heads.borrow_and_update();
                    let mut is_given = false;
                    let look = self.channel.ring.read().look(before, GIVEN_BYTES_MAX, |batch| {
                        give(batch, before);
                        is_given = true;
                    });
                    match look {
                        Look::Upto(seq) => self.position = seq,
                        Look::Beyond => return Err(End::ConsumerTooSlow),
                        Look::UpToDate => changed(&mut self.heads).await,
                    }
                    is_given
                }
            };
            self.seat.at(self.position);
            if is_given {
                return Ok(Step::Given);
            }
        }
    }

    /// Finds the place to begin; true when events behind the cursor are gone.
    async fn start(&mut self, cursor: Cursor) -> Result<bool, End> {
        let until = self.position;
        let mut is_outdated = false;
        match cursor {
            Cursor::Live => {}
            Cursor::Invalid(text) => return Err(End::InvalidCursor(text)),
            Cursor::Since(micros) => self.position = log::seq_before(&self.channel.firehose, micros).await?,
            Cursor::After(cursor) if cursor > until => {
                self.channel.firehose.ahead.note(&self.seat, cursor, until);
                return Err(End::FutureCursor);
            }
            Cursor::After(cursor) if cursor <= 0 => self.position = 0,
            Cursor::After(cursor) => {
                is_outdated = cursor < until && log::is_trimmed_behind(&self.channel.firehose, cursor).await?;
                self.position = cursor;
            }
        }
        self.stage = Stage::Backfill(Backfill { until, next: None, given: None });
        Ok(is_outdated)
    }
}

impl<B: EncodedBatch> Backfill<B> {
    /// Reads the page behind `position` and begins to read the next.
    async fn step(&mut self, firehose: &Arc<Firehose>, seat: &Seat, position: Seq) -> Result<&Page<B>, End> {
        let next = self.next.get_or_insert_with(|| read_ahead(firehose, seat, position));
        let page = match next.await {
            Ok(page) => page,
            Err(gone) => Err(ReadError::Unavailable { reason: gone.to_string() }),
        };
        self.next = None;
        let page = page?;
        if page.upto < self.until {
            self.next = Some(read_ahead(firehose, seat, page.upto));
        }
        Ok(self.given.insert(page))
    }
}

/// Waits for a change of the ring.
async fn changed(heads: &mut watch::Receiver<Seq>) {
    if heads.changed().await.is_err() {
        // The stream holds the channel, so the sender is there; if not, waiting is better than spinning.
        std::future::pending::<()>().await;
    }
}

fn read_ahead<B: EncodedBatch>(
    firehose: &Arc<Firehose>,
    seat: &Seat,
    after: Seq,
) -> AbortOnDropHandle<Result<Page<B>, ReadError>> {
    let (firehose, of_address) = (Arc::clone(firehose), seat.pages());
    AbortOnDropHandle::new(tokio::spawn(async move { log::page(&firehose, of_address, after).await }))
}
