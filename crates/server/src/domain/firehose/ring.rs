//! The newest events in memory, bounded in bytes and in number, for everybody who keeps up.

use std::collections::VecDeque;

use super::batch::EncodedBatch;
use allod_store::Seq;

/// How many messages the ring holds at most, whatever their size.
pub const RING_EVENTS_MAX: usize = 65_536;
/// How many batches one look gives at most.
const BATCHES_PER_LOOK_MAX: usize = 32;

/// What the ring has behind a place.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// It does not reach back that far.
    Beyond,
    /// Nothing newer.
    UpToDate,
    /// Everything up to this number was given.
    Upto(Seq),
}

/// The newest events.
#[derive(Debug)]
pub struct Ring<B> {
    batches: VecDeque<B>,
    bytes: usize,
    bytes_max: usize,
    events: usize,
    /// Every event above it up to `head` is here; none while nobody listens.
    floor: Option<Seq>,
    head: Seq,
}

impl<B: EncodedBatch> Ring<B> {
    /// An empty ring that holds nothing yet.
    pub fn new(bytes_max: usize) -> Self {
        Self { batches: VecDeque::new(), bytes: 0, bytes_max, events: 0, floor: None, head: 0 }
    }

    /// Begins to hold what comes behind `seq`.
    pub fn start(&mut self, seq: Seq) {
        self.stop();
        self.floor = Some(seq);
        self.head = seq;
    }

    /// Up to which number the events are here, if any are being held: after a panic of the task that filled the ring, the
    /// next one goes on from there.
    pub fn resume(&self) -> Option<Seq> {
        self.floor.map(|_| self.head)
    }

    /// Lets everything go.
    pub fn stop(&mut self) {
        *self = Self::new(self.bytes_max);
    }

    /// Takes in events, which have all numbers up to `head`, and lets the oldest go when there are too many.
    pub fn push(&mut self, batch: B, head: Seq) {
        self.head = head;
        if batch.events() == 0 {
            return;
        }
        self.bytes += batch.bytes();
        self.events += batch.events();
        self.batches.push_back(batch);
        // The newest batch stays, whatever its size.
        while self.batches.len() > 1 && (self.bytes > self.bytes_max || self.events > RING_EVENTS_MAX) {
            let Some(oldest) = self.batches.pop_front() else { return };
            self.bytes -= oldest.bytes();
            self.events -= oldest.events();
            self.floor = oldest.last();
        }
    }

    /// Whether everything behind `after` is here.
    pub fn reaches(&self, after: Seq) -> bool {
        self.floor.is_some_and(|floor| after >= floor)
    }

    /// Gives the batches that have what comes behind `after`, at least one if there is any and further ones up to
    /// `bytes_max` bytes.
    pub fn look(&self, after: Seq, bytes_max: usize, mut give: impl FnMut(&B)) -> Look {
        if !self.reaches(after) {
            return Look::Beyond;
        }
        if after >= self.head {
            return Look::UpToDate;
        }
        let first = self.batches.partition_point(|batch| batch.last().is_some_and(|last| last <= after));
        let (mut bytes, mut upto) = (0, None);
        for batch in self.batches.range(first..).take(BATCHES_PER_LOOK_MAX) {
            if bytes > 0 && bytes + batch.bytes() > bytes_max {
                break;
            }
            bytes += batch.bytes();
            upto = batch.last();
            give(batch);
        }
        // Numbers that no event has: nothing to give, and yet passed.
        Look::Upto(upto.unwrap_or(self.head))
    }

    /// How many bytes of messages are held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use allod_store::Event;

    use super::*;

    /// How many bytes each event counts as.
    const EACH: usize = 99;

    /// The numbers of the events.
    #[derive(Debug, Clone, Default)]
    struct Batch(Vec<Seq>);

    impl EncodedBatch for Batch {
        const EVENTS_PER_PAGE: usize = 10;

        fn encode(events: &[Event], shown: &dyn Fn(&Event) -> bool) -> Self {
            Self(events.iter().filter(|event| shown(event)).map(|event| event.seq).collect())
        }

        fn last(&self) -> Option<Seq> {
            self.0.last().copied()
        }

        fn events(&self) -> usize {
            self.0.len()
        }

        fn bytes(&self) -> usize {
            self.0.len() * EACH
        }
    }

    fn batch(seqs: std::ops::RangeInclusive<Seq>) -> Batch {
        Batch(seqs.collect())
    }

    fn look(ring: &Ring<Batch>, after: Seq, bytes_max: usize) -> (Look, usize) {
        let mut bytes = 0;
        let look =
            ring.look(after, bytes_max, |batch| bytes += batch.0.iter().filter(|seq| **seq > after).count() * EACH);
        (look, bytes)
    }

    #[test]
    fn holds_nothing_until_started() {
        let mut ring = Ring::new(1_000);
        assert_eq!(look(&ring, 5, 1_000), (Look::Beyond, 0));
        ring.start(5);
        assert_eq!(look(&ring, 4, 1_000), (Look::Beyond, 0));
        assert_eq!(look(&ring, 5, 1_000), (Look::UpToDate, 0));
        ring.push(batch(6..=7), 7);
        ring.stop();
        assert_eq!((look(&ring, 7, 1_000), ring.bytes()), ((Look::Beyond, 0), 0));
    }

    #[test]
    fn gives_what_is_behind_a_place_wherever_it_lies() {
        let mut ring = Ring::new(10_000);
        ring.start(0);
        for first in [1, 4, 7] {
            ring.push(batch(first..=first + 2), first + 2);
        }
        assert_eq!(look(&ring, 0, 10_000), (Look::Upto(9), 9 * EACH));
        assert_eq!(look(&ring, 4, 10_000), (Look::Upto(9), 5 * EACH));
        assert_eq!(look(&ring, 4, 6 * EACH), (Look::Upto(9), 5 * EACH));
        assert_eq!(look(&ring, 4, 5 * EACH), (Look::Upto(6), 2 * EACH));
        assert_eq!(look(&ring, 0, 1), (Look::Upto(3), 3 * EACH));
        assert_eq!(look(&ring, 9, 10_000), (Look::UpToDate, 0));
        ring.push(Batch::default(), 20);
        assert_eq!(look(&ring, 9, 10_000), (Look::Upto(20), 0));
    }

    #[test]
    fn lets_the_oldest_go_and_says_so() {
        let mut ring = Ring::new(5 * EACH);
        ring.start(0);
        for first in [1, 3, 5, 7] {
            ring.push(batch(first..=first + 1), first + 1);
        }
        assert_eq!(ring.bytes(), 4 * EACH);
        assert_eq!(look(&ring, 3, 10_000), (Look::Beyond, 0));
        assert_eq!(look(&ring, 4, 10_000), (Look::Upto(8), 4 * EACH));
        ring.push(batch(9..=20), 20);
        assert_eq!(look(&ring, 7, 10_000), (Look::Beyond, 0));
        assert_eq!(look(&ring, 8, 10_000), (Look::Upto(20), 12 * EACH));
    }
}
