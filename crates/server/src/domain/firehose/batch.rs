//! Events in the form that a kind of subscriber gets, encoded once for all of them.

use allod_store::{Event, Seq};

/// Encoded events, shared by all subscribers of one channel.
pub trait EncodedBatch: Clone + Send + Sync + 'static {
    /// How many events are encoded at once. Encoding does not yield, so expensive encodings use smaller batches.
    const EVENTS_PER_PAGE: usize;

    /// Encodes, in order, the events for which `shown` is true.
    fn encode(events: &[Event], shown: &dyn Fn(&Event) -> bool) -> Self;

    /// The newest event's number.
    fn last(&self) -> Option<Seq>;

    /// How many events there are.
    fn events(&self) -> usize;

    /// How many bytes they have.
    fn bytes(&self) -> usize;
}
