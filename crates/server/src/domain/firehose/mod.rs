//! The firehose: the event log as a stream for anybody, each event encoded once for all who listen.
//!
//! Listeners hold a place in the log and no queue. Who keeps up reads from the [`ring`]; who comes with an older
//! cursor reads the log itself, page by page, until the ring reaches back to it. One task follows the log for the ring
//! while anybody listens. There are two forms, frames and JSON, with a ring each.

pub mod ahead;
pub mod filter;
pub mod json;
mod log;
pub mod relays;
pub mod retention;
pub mod ring;
pub mod seats;
pub mod status;
mod subscription;
mod tail;
pub mod wire;

use std::sync::Arc;

use allod_store::{Db, Seq};
use parking_lot::RwLock;
use tokio::sync::{Semaphore, watch};
use url::Url;

use ring::Ring;
use seats::{Form, Origin, Seat, SeatError, Seats};
use wire::Told;

pub use subscription::{Cursor, End, Step, Subscription};
pub use tail::run;

/// How many bytes of the newest messages are held for those who keep up. A live listener that is further behind is
/// too slow.
pub const RING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many pages of the log are held at once for listeners that catch up; the others wait for theirs.
const PAGES_MAX: usize = 128;

/// The operator's choices.
#[derive(Debug, Clone)]
pub struct FirehoseConfig {
    /// How long events are kept, in microseconds; by the day, so that some stay up to a day longer.
    pub retention_micros: u64,
    /// How many bytes of the newest messages are held in memory, in each form that somebody listens to.
    pub ring_bytes_max: usize,
    /// The relays that are asked to come when there is something new.
    pub relays: Vec<Url>,
    /// Whether the stream can be had as JSON too.
    pub jetstream: bool,
}

/// What all listeners share.
pub struct Firehose {
    db: Db,
    frames: Arc<Channel<wire::Batch>>,
    json: Arc<Channel<json::Batch>>,
    seats: Arc<Seats>,
    pages: Arc<Semaphore>,
    trimmed: retention::Trimmed,
    ahead: ahead::AheadLog,
    /// Held while relays are asked.
    asking: tokio::sync::Mutex<()>,
}

/// What all listeners of one form share.
pub struct Channel<B> {
    ring: RwLock<Ring<B>>,
    /// The newest number in the ring.
    head: watch::Sender<Seq>,
}

impl<B: Told> Channel<B> {
    fn new(ring_bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { ring: RwLock::new(Ring::new(ring_bytes_max)), head: watch::Sender::new(0) })
    }
}

impl Firehose {
    /// Makes a firehose of a store's events. Nothing is read before somebody listens.
    pub fn new(db: Db, config: &FirehoseConfig) -> Arc<Self> {
        Arc::new(Self {
            db,
            frames: Channel::new(config.ring_bytes_max),
            json: Channel::new(config.ring_bytes_max),
            seats: Arc::default(),
            pages: Arc::new(Semaphore::new(PAGES_MAX)),
            trimmed: retention::Trimmed::default(),
            ahead: ahead::AheadLog::default(),
            asking: tokio::sync::Mutex::default(),
        })
    }

    /// Takes a place for one more listener, unless there are too many.
    pub fn seat(&self, origin: Origin, form: Form, now_micros: u64) -> Result<Seat, SeatError> {
        self.seats.take(origin, form, now_micros)
    }

    /// Begins a stream of frames.
    pub fn frames(self: &Arc<Self>, seat: Seat, cursor: Cursor) -> Subscription<wire::Batch> {
        Subscription::new(Arc::clone(self), Arc::clone(&self.frames), seat, cursor)
    }

    /// Begins a stream of JSON.
    pub fn json(self: &Arc<Self>, seat: Seat, cursor: Cursor) -> Subscription<json::Batch> {
        Subscription::new(Arc::clone(self), Arc::clone(&self.json), seat, cursor)
    }

    /// The newest number there is.
    pub fn newest(&self) -> Seq {
        *self.db.watch().borrow()
    }

    /// Tells how many listen in one form, and wakes when that changes.
    pub fn listener_count(&self, form: Form) -> watch::Receiver<usize> {
        self.seats.count(form)
    }

    /// Who listens now, oldest first.
    pub fn listeners(&self) -> Vec<seats::Listener> {
        self.seats.list()
    }

    /// Who asked for events behind a number that no event has yet, the last one first.
    pub fn ahead(&self) -> Vec<ahead::Ahead> {
        self.ahead.list(self.newest())
    }

    /// How many bytes are held in memory.
    pub fn ring_bytes(&self) -> usize {
        self.frames.ring.read().bytes() + self.json.ring.read().bytes()
    }
}
