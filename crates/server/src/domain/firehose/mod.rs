//! The firehose: the event log as a stream for anybody, each event encoded once for all who listen.
//!
//! Listeners hold a place in the log and no queue. Who keeps up reads from the [`ring`]; who comes with an older
//! cursor reads the log itself, page by page, until the ring reaches back to it. One task follows the log for the ring
//! while anybody listens.

mod log;
pub mod retention;
pub mod ring;
pub mod seats;
mod subscription;
mod tail;
pub mod wire;

use std::sync::Arc;

use allod_store::{Db, Seq};
use parking_lot::RwLock;
use tokio::sync::{Semaphore, watch};

use ring::Ring;
use seats::{Form, Origin, Seat, SeatError, Seats};

pub use subscription::{Cursor, End, Subscription};
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
    /// How many bytes of the newest messages are held in memory.
    pub ring_bytes_max: usize,
}

/// What all listeners share.
pub struct Firehose {
    db: Db,
    ring: RwLock<Ring>,
    /// The newest number in the ring.
    head: watch::Sender<Seq>,
    seats: Arc<Seats>,
    pages: Arc<Semaphore>,
    trimmed: retention::Trimmed,
}

impl Firehose {
    /// Makes a firehose of a store's events. Nothing is read before somebody listens.
    pub fn new(db: Db, config: &FirehoseConfig) -> Arc<Self> {
        Arc::new(Self {
            db,
            ring: RwLock::new(Ring::new(config.ring_bytes_max)),
            head: watch::Sender::new(0),
            seats: Arc::default(),
            pages: Arc::new(Semaphore::new(PAGES_MAX)),
            trimmed: retention::Trimmed::default(),
        })
    }

    /// Takes a place for one more listener, unless there are too many.
    pub fn seat(&self, origin: Origin, form: Form, now_micros: u64) -> Result<Seat, SeatError> {
        self.seats.take(origin, form, now_micros)
    }

    /// Begins a stream behind the cursor.
    pub fn subscribe(self: &Arc<Self>, seat: Seat, cursor: Cursor) -> Subscription {
        Subscription::new(Arc::clone(self), seat, cursor)
    }

    /// The newest number there is.
    pub fn newest(&self) -> Seq {
        *self.db.watch().borrow()
    }

    /// Tells how many listen, and wakes when that changes.
    pub fn listener_count(&self) -> watch::Receiver<usize> {
        self.seats.count()
    }

    /// Who listens now, oldest first.
    pub fn listeners(&self) -> Vec<seats::Listener> {
        self.seats.list()
    }
}
