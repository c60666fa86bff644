//! Who listens: how many there may be, in all and from one address, and how far each is.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use allod_store::Seq;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use crate::domain::shares::network;

/// How many streams are served at once.
pub const SUBSCRIBERS_MAX: usize = 10_000;
/// How many streams one address (IPv6: one /64) may have at once. In development mode this machine is exempt.
pub const SUBSCRIBERS_PER_ADDRESS_MAX: usize = 64;
/// How many pages of the log are held at once for the streams of one address; the others wait for theirs.
pub const PAGES_PER_ADDRESS_MAX: usize = 16;

/// The form in which a stream tells events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `com.atproto.sync.subscribeRepos`.
    Frames,
    /// `/subscribe`.
    Json,
}

impl Form {
    /// The form's name, for operators.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frames => "subscribeRepos",
            Self::Json => "jetstream",
        }
    }
}

/// Where a stream comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// The client's address.
    pub address: IpAddr,
    /// Whether the address may have any number of streams.
    pub is_exempt: bool,
}

/// No further stream is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SeatError {
    /// There are [`SUBSCRIBERS_MAX`].
    #[error("too many streams")]
    Full,
    /// The address has [`SUBSCRIBERS_PER_ADDRESS_MAX`].
    #[error("too many streams from this address")]
    AddressFull,
}

/// One listener, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its address.
    pub address: IpAddr,
    /// The form it gets events in.
    pub form: Form,
    /// Since when, in microseconds since the Unix epoch.
    pub since_micros: u64,
    /// The newest number it was given; 0 before the first.
    pub position: Seq,
}

#[derive(Debug)]
struct Entry {
    address: IpAddr,
    form: Form,
    since_micros: u64,
    position: Arc<AtomicI64>,
}

/// What the streams of one address share.
#[derive(Debug)]
struct OfAddress {
    streams: usize,
    pages: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Taken {
    entries: BTreeMap<u64, Entry>,
    by_address: HashMap<IpAddr, OfAddress>,
    next: u64,
}

/// Every stream that is served now.
#[derive(Debug)]
pub struct Seats {
    taken: Mutex<Taken>,
    frames: watch::Sender<usize>,
    json: watch::Sender<usize>,
}

/// One listener's place; dropping it gives the place back.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    number: u64,
    address: IpAddr,
    form: Form,
    since_micros: u64,
    position: Arc<AtomicI64>,
    pages: Arc<Semaphore>,
}

impl Default for Seats {
    fn default() -> Self {
        Self { taken: Mutex::default(), frames: watch::Sender::new(0), json: watch::Sender::new(0) }
    }
}

impl Seats {
    /// Takes one more listener, unless there are too many.
    pub fn take(self: &Arc<Self>, origin: Origin, form: Form, since_micros: u64) -> Result<Seat, SeatError> {
        let mut taken = self.taken.lock();
        if taken.entries.len() >= SUBSCRIBERS_MAX {
            return Err(SeatError::Full);
        }
        let address = origin.address;
        let of_address = taken
            .by_address
            .entry(network(address))
            .or_insert_with(|| OfAddress { streams: 0, pages: Arc::new(Semaphore::new(PAGES_PER_ADDRESS_MAX)) });
        if of_address.streams >= SUBSCRIBERS_PER_ADDRESS_MAX && !origin.is_exempt {
            return Err(SeatError::AddressFull);
        }
        of_address.streams += 1;
        let pages = Arc::clone(&of_address.pages);
        let number = taken.next;
        taken.next += 1;
        let position = Arc::new(AtomicI64::new(0));
        taken.entries.insert(number, Entry { address, form, since_micros, position: Arc::clone(&position) });
        self.counter(form).send_modify(|count| *count += 1);
        Ok(Seat { seats: Arc::clone(self), number, address, form, since_micros, position, pages })
    }

    /// Tells how many listeners of a form there are, and wakes when that changes.
    pub fn count(&self, form: Form) -> watch::Receiver<usize> {
        self.counter(form).subscribe()
    }

    fn counter(&self, form: Form) -> &watch::Sender<usize> {
        match form {
            Form::Frames => &self.frames,
            Form::Json => &self.json,
        }
    }

    /// Lists the listeners, oldest first.
    pub fn list(&self) -> Vec<Listener> {
        let taken = self.taken.lock();
        let listener = |entry: &Entry| Listener {
            address: entry.address,
            form: entry.form,
            since_micros: entry.since_micros,
            position: entry.position.load(Relaxed),
        };
        taken.entries.values().map(listener).collect()
    }
}

impl Seat {
    /// Whose place it is.
    pub fn listener(&self) -> Listener {
        let Self { address, form, since_micros, .. } = *self;
        Listener { address, form, since_micros, position: self.position.load(Relaxed) }
    }

    /// Notes how far the listener is.
    pub fn at(&self, position: Seq) {
        self.position.store(position, Relaxed);
    }

    /// The pages of the log that are held at once for streams of this address.
    pub(super) fn pages(&self) -> Arc<Semaphore> {
        Arc::clone(&self.pages)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock();
        taken.entries.remove(&self.number);
        let network = network(self.address);
        if let Some(of_address) = taken.by_address.get_mut(&network) {
            of_address.streams -= 1;
            if of_address.streams == 0 {
                taken.by_address.remove(&network);
            }
        }
        self.seats.counter(self.form).send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(net: u16, is_exempt: bool) -> Origin {
        Origin { address: IpAddr::from([0x2001, 0xdb8, 0, net, 0, 0, 0, 1]), is_exempt }
    }

    #[test]
    fn an_address_has_its_share_and_the_others_theirs() {
        let seats = Arc::new(Seats::default());
        let take = |origin| seats.take(origin, Form::Frames, 0);
        let mut held: Vec<Seat> = (0..SUBSCRIBERS_PER_ADDRESS_MAX).map(|_| take(origin(1, false)).unwrap()).collect();
        assert_eq!(take(origin(1, false)).unwrap_err(), SeatError::AddressFull);
        let beside = Origin { address: IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, 2]), is_exempt: false };
        assert_eq!(take(beside).unwrap_err(), SeatError::AddressFull);
        held.push(take(origin(1, true)).unwrap());
        held.push(take(origin(2, false)).unwrap());
        assert_eq!(*seats.count(Form::Frames).borrow(), SUBSCRIBERS_PER_ADDRESS_MAX + 2);
        held.drain(..2);
        take(origin(1, false)).unwrap();
        drop(held);
        assert_eq!((*seats.count(Form::Frames).borrow(), seats.list()), (0, Vec::new()));
        assert!(seats.taken.lock().by_address.is_empty());
    }

    #[test]
    fn there_is_an_end_to_it() {
        let seats = Arc::new(Seats::default());
        let held: Vec<_> = (0..SUBSCRIBERS_MAX).map(|_| seats.take(origin(1, true), Form::Json, 0).unwrap()).collect();
        assert_eq!(seats.take(origin(2, true), Form::Json, 0).unwrap_err(), SeatError::Full);
        drop(held);
        seats.take(origin(2, true), Form::Json, 0).unwrap();
    }

    #[test]
    fn a_listener_is_seen_where_it_is() {
        let seats = Arc::new(Seats::default());
        let seat = seats.take(origin(1, false), Form::Frames, 77).unwrap();
        seat.at(12);
        let expected =
            Listener { address: origin(1, false).address, form: Form::Frames, since_micros: 77, position: 12 };
        assert_eq!(seats.list(), [expected]);
    }
}
