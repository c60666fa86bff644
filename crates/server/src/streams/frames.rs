//! Events as the WebSocket messages of `com.atproto.sync.subscribeRepos`, encoded once for all subscribers.
//!
//! A server's WebSocket frames are not masked, so a message's bytes are the same for every client: a [`Batch`] holds the
//! framed messages one after the other and is written as it is.

use allod_atproto::{cbor::Encoder, frame};
use allod_http::websocket::frame::{HEAD_BYTES_MAX, Head, Opcode};
use allod_store::{Event, EventKind, Seq};
use bytes::Bytes;

use crate::domain::firehose::batch::EncodedBatch;

/// The name of the message in place of an event that is damaged.
const DAMAGED: &str = "DamagedEvent";
/// The longest encoding of a sequence number, in bytes.
const SEQ_BYTES_MAX: usize = 9;

/// Framed messages, one after the other.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    bytes: Bytes,
    /// Each message's number and where it ends.
    ends: Vec<(Seq, usize)>,
}

impl EncodedBatch for Batch {
    const EVENTS_PER_PAGE: usize = 1000;

    fn encode(events: &[Event], shown: &dyn Fn(&Event) -> bool) -> Self {
        let room = |event: &Event| event.before.len() + event.after.len() + HEAD_BYTES_MAX + SEQ_BYTES_MAX;
        let mut out = Encoder::with_capacity(events.iter().map(room).sum());
        let mut ends = Vec::with_capacity(events.len());
        for event in events.iter().filter(|event| shown(event)) {
            if event.kind == EventKind::Damaged {
                let info = damaged(event.seq);
                out.raw(Head::new(Opcode::Binary, info.len()).as_bytes()).raw(&info);
                ends.push((event.seq, out.len()));
                continue;
            }
            let payload_bytes = event.before.len() + seq_bytes(event.seq) + event.after.len();
            out.raw(Head::new(Opcode::Binary, payload_bytes).as_bytes());
            out.raw(&event.before).int(event.seq).raw(&event.after);
            ends.push((event.seq, out.len()));
        }
        Self { bytes: out.into_bytes().into(), ends }
    }

    fn last(&self) -> Option<Seq> {
        self.ends.last().map(|(seq, _)| *seq)
    }

    fn events(&self) -> usize {
        self.ends.len()
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl Batch {
    /// The bytes of the messages with numbers above `seq`.
    pub fn after(&self, seq: Seq) -> Bytes {
        let skipped = self.ends.partition_point(|(number, _)| *number <= seq);
        let start = skipped.checked_sub(1).and_then(|last| self.ends.get(last)).map_or(0, |(_, end)| *end);
        self.bytes.slice(start..)
    }
}

/// The `#info` message in place of an event that can't be sent. Its repository is found to have moved on by the next
/// commit, whose `prevData` is not the one the subscriber knows.
fn damaged(seq: Seq) -> Bytes {
    frame::info(&frame::Info {
        name: DAMAGED.to_owned(),
        message: Some(format!("Event {seq} is damaged and was left out")),
    })
}

/// How many bytes a sequence number's CBOR has.
fn seq_bytes(seq: Seq) -> usize {
    match seq {
        ..24 => 1,
        24..0x100 => 2,
        0x100..0x1_0000 => 3,
        0x1_0000..0x1_0000_0000 => 5,
        _ => SEQ_BYTES_MAX,
    }
}

#[cfg(test)]
mod tests {
    use allod_http::websocket::frame::message;

    use super::*;

    fn event(seq: Seq, after_bytes: usize) -> Event {
        Event {
            seq,
            did: format!("did:plc:{}", seq % 2),
            kind: EventKind::Commit,
            time_micros: 0,
            before: Bytes::from_static(b"before"),
            after: Bytes::from(vec![7; after_bytes]),
        }
    }

    #[test]
    fn messages_are_the_frames_that_the_encoder_makes() {
        let seqs = [1, 23, 24, 255, 256, 65_535, 65_536, 0xffff_ffff, 0x1_0000_0000, allod_store::SEQ_MAX];
        let events: Vec<Event> = (90..).zip(seqs).map(|(bytes, seq)| event(seq, bytes * 4)).collect();
        let batch = Batch::encode(&events, &|_| true);
        let expected: Vec<u8> = events
            .iter()
            .flat_map(|event| {
                let frame =
                    allod_atproto::frame::EncodedFrame { before: event.before.clone(), after: event.after.clone() };
                message(Opcode::Binary, &frame.with_seq(event.seq)).to_vec()
            })
            .collect();
        assert_eq!(batch.after(0), expected);
        assert_eq!((batch.events(), batch.bytes(), batch.last()), (10, expected.len(), Some(allod_store::SEQ_MAX)));
    }

    #[test]
    fn a_batch_is_cut_between_messages() {
        let events: Vec<Event> = [3, 4, 8].map(|seq| event(seq, 10)).into();
        let batch = Batch::encode(&events, &|_| true);
        let each = batch.bytes() / 3;
        for (after, left) in [(0, 3), (2, 3), (3, 2), (4, 1), (7, 1), (8, 0), (9, 0)] {
            assert_eq!(batch.after(after).len(), left * each, "after {after}");
        }
        let some = Batch::encode(&events, &|event| event.did == "did:plc:0");
        assert_eq!((some.events(), some.last(), some.after(0)), (2, Some(8), batch.after(3)));
    }
}
