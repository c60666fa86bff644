//! One listener's way through the log: cursor, backfill, then live.

use std::{borrow::Cow, collections::VecDeque, sync::Arc};

use allod_atproto::frame;
use allod_store::{ReadError, Seq};
use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Firehose,
    log::{self, Page},
    ring::Look,
    seats::Seat,
    wire::{self, Opcode},
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

    /// The message that tells it, if the listener is to be told.
    pub fn message(&self) -> Option<Bytes> {
        let error = frame::Error { error: self.name()?.to_owned(), message: Some(self.to_string()) };
        Some(wire::message(Opcode::Binary, &frame::error(&error)))
    }
}

/// A stream.
pub struct Subscription {
    firehose: Arc<Firehose>,
    seat: Seat,
    heads: watch::Receiver<Seq>,
    /// Everything up to here was given.
    position: Seq,
    stage: Stage,
}

enum Stage {
    /// Nothing was given yet.
    Start(Cursor),
    /// Reads the log, at least up to what there was when the stream began.
    Backfill(Backfill),
    /// Reads the ring.
    Live,
}

struct Backfill {
    /// What was the newest number when the stream began. The ring has also what must not be shown any more, so it is
    /// not read below.
    until: Seq,
    next: Option<AbortOnDropHandle<Result<Page, ReadError>>>,
    /// The page being written.
    given: Option<Page>,
}

impl Subscription {
    pub(super) fn new(firehose: Arc<Firehose>, seat: Seat, cursor: Cursor) -> Self {
        let heads = firehose.head.subscribe();
        let position = firehose.newest();
        Self { firehose, seat, heads, position, stage: Stage::Start(cursor) }
    }

    /// Gives the next messages, waiting until there are some. May be dropped at any moment without losing any.
    ///
    /// What was given before counts as written.
    pub async fn next(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), End> {
        while out.is_empty() {
            match &mut self.stage {
                Stage::Start(cursor) => {
                    let cursor = cursor.clone();
                    self.start(cursor, out).await?;
                }
                Stage::Backfill(backfill) => {
                    backfill.given = None;
                    self.heads.borrow_and_update();
                    if self.position >= backfill.until && self.firehose.ring.read().reaches(self.position) {
                        self.stage = Stage::Live;
                        continue;
                    }
                    let before = self.position;
                    self.position = backfill.step(&self.firehose, before, out).await?;
                    if self.position == before {
                        // Everything was read, and the ring is not filled yet.
                        changed(&mut self.heads).await;
                    }
                }
                Stage::Live => {
                    self.heads.borrow_and_update();
                    match self.firehose.ring.read().look(self.position, GIVEN_BYTES_MAX, out) {
                        Look::Upto(seq) => self.position = seq,
                        Look::Beyond => return Err(End::ConsumerTooSlow),
                        Look::UpToDate => {}
                    }
                    if out.is_empty() {
                        changed(&mut self.heads).await;
                    }
                }
            }
            self.seat.at(self.position);
        }
        Ok(())
    }

    async fn start(&mut self, cursor: Cursor, out: &mut VecDeque<Bytes>) -> Result<(), End> {
        let until = self.position;
        match cursor {
            Cursor::Live => {}
            Cursor::Invalid(text) => return Err(End::InvalidCursor(text)),
            Cursor::After(cursor) if cursor > until => return Err(End::FutureCursor),
            Cursor::After(cursor) if cursor <= 0 => self.position = 0,
            Cursor::After(cursor) => {
                let oldest = log::oldest(&self.firehose).await?;
                if cursor < until && oldest.is_none_or(|oldest| cursor + 1 < oldest) {
                    out.push_back(outdated());
                }
                self.position = cursor;
            }
        }
        self.stage = Stage::Backfill(Backfill { until, next: None, given: None });
        Ok(())
    }
}

impl Backfill {
    /// Gives the page behind `position` and begins to read the next; tells the new position.
    async fn step(&mut self, firehose: &Arc<Firehose>, position: Seq, out: &mut VecDeque<Bytes>) -> Result<Seq, End> {
        let next = self.next.get_or_insert_with(|| read_ahead(firehose, position));
        let page = match next.await {
            Ok(page) => page,
            Err(gone) => Err(ReadError::Unavailable { reason: gone.to_string() }),
        };
        self.next = None;
        let page = page?;
        if !page.batch.is_empty() {
            out.push_back(page.batch.bytes().clone());
        }
        let upto = page.upto;
        if upto < self.until {
            self.next = Some(read_ahead(firehose, upto));
        }
        self.given = Some(page);
        Ok(upto)
    }
}

/// Waits for a change of the ring.
async fn changed(heads: &mut watch::Receiver<Seq>) {
    if heads.changed().await.is_err() {
        // The stream holds the firehose, so the sender is there; if not, waiting is better than spinning.
        std::future::pending::<()>().await;
    }
}

fn read_ahead(firehose: &Arc<Firehose>, after: Seq) -> AbortOnDropHandle<Result<Page, ReadError>> {
    let firehose = Arc::clone(firehose);
    AbortOnDropHandle::new(tokio::spawn(async move { log::page(&firehose, after).await }))
}

/// What a listener is told whose cursor is older than everything that is kept.
fn outdated() -> Bytes {
    let info = frame::Info {
        name: "OutdatedCursor".to_owned(),
        message: Some("Requested cursor exceeded limit. Possibly missing events".to_owned()),
    };
    wire::message(Opcode::Binary, &frame::info(&info))
}
