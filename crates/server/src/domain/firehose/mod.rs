//! The firehose: the event log as a stream for anybody, each event encoded once for all who listen.
//!
//! Listeners hold a place in the log and no queue. Who keeps up reads from the [`ring`]; who comes with an older
//! cursor reads the log itself, page by page, until the ring reaches back to it. One task follows the log for the ring
//! while anybody listens. Each [`Channel`] has an encoding and a ring of its own.

pub mod ahead;
pub mod batch;
mod log;
pub mod relays;
pub mod retention;
pub mod ring;
pub mod seats;
pub mod status;
mod subscription;
mod tail;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use allod_net::resolver::Resolver;
use allod_store::Seq;
use parking_lot::RwLock;
use tokio::sync::{Semaphore, watch};
use url::Url;

use batch::EncodedBatch;
use ring::Ring;
use seats::{Form, Origin, SeatError, Seats};

pub use subscription::{Cursor, End, Step, Subscription};

use super::core::Core;
use crate::config::Config;

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

/// What all subscribers share.
pub struct Firehose {
    core: Core,
    /// Sends what relays are asked.
    resolver: Arc<Resolver>,
    /// The origin that relays come to.
    public_url: String,
    retention_micros: u64,
    relays: Vec<Url>,
    ring_bytes_max: usize,
    /// How many bytes the rings of all channels hold.
    ring_bytes: AtomicUsize,
    seats: Arc<Seats>,
    pages: Arc<Semaphore>,
    trimmed: retention::Trimmed,
    ahead: ahead::AheadLog,
    /// Held while relays are asked.
    asking: tokio::sync::Mutex<()>,
}

/// What all subscribers of one form share: the newest events, encoded once for all of them.
pub struct Channel<B> {
    firehose: Arc<Firehose>,
    form: Form,
    ring: RwLock<Ring<B>>,
    /// The newest number in the ring.
    head: watch::Sender<Seq>,
}

impl<B: EncodedBatch> Channel<B> {
    /// Makes an empty channel; [`Self::run`] fills it.
    pub fn new(firehose: &Arc<Firehose>, form: Form) -> Arc<Self> {
        let ring = RwLock::new(Ring::new(firehose.ring_bytes_max));
        Arc::new(Self { firehose: Arc::clone(firehose), form, ring, head: watch::Sender::new(0) })
    }

    /// Subscribes, unless there are too many subscribers.
    pub fn subscribe(
        self: &Arc<Self>,
        origin: Origin,
        cursor: Cursor,
        now_micros: u64,
    ) -> Result<Subscription<B>, SeatError> {
        let seat = self.firehose.seats.take(origin, self.form, now_micros)?;
        Ok(Subscription::new(Arc::clone(self), seat, cursor))
    }

    /// Fills the ring while the channel has subscribers, until the store is closed.
    pub async fn run(&self) {
        tail::run(self).await;
    }

    /// Changes the ring, and counts what it holds.
    fn change_ring(&self, change: impl FnOnce(&mut Ring<B>)) {
        let mut ring = self.ring.write();
        let before = ring.bytes();
        change(&mut ring);
        self.firehose.ring_bytes.fetch_add(ring.bytes(), Relaxed);
        self.firehose.ring_bytes.fetch_sub(before, Relaxed);
    }
}

impl Firehose {
    /// Makes a firehose of a store's events. Nothing is read before a client subscribes.
    pub fn new(core: Core, resolver: Arc<Resolver>, config: &Config) -> Arc<Self> {
        Arc::new(Self {
            core,
            resolver,
            public_url: config.service.public_url.clone(),
            retention_micros: config.firehose.retention_micros,
            relays: config.firehose.relays.clone(),
            ring_bytes_max: config.firehose.ring_bytes_max,
            ring_bytes: AtomicUsize::new(0),
            seats: Arc::default(),
            pages: Arc::new(Semaphore::new(PAGES_MAX)),
            trimmed: retention::Trimmed::default(),
            ahead: ahead::AheadLog::default(),
            asking: tokio::sync::Mutex::default(),
        })
    }

    /// The newest number there is.
    pub fn newest(&self) -> Seq {
        *self.core.db.watch().borrow()
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
        self.ring_bytes.load(Relaxed)
    }
}
