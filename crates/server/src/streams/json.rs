//! Events as JSON, in Jetstream's names and shapes: one message for each change of a record, identity or account.
//!
//! Compatible with <https://github.com/bluesky-social/jetstream> as of late 2026. `#sync` has no form there.

use std::sync::Arc;

use allod_atproto::{
    car,
    frame::{self, Commit, EncodedFrame, Message},
    json,
    repo::OpAction,
};
use allod_store::{Event, EventKind, Seq};
use bytes::Bytes;
use serde_json::{Value, json as object};

use allod_http::websocket::frame::{self as websocket, Opcode};

use crate::domain::firehose::batch::EncodedBatch;

/// One message.
#[derive(Debug)]
pub struct Item {
    /// The event it is of.
    pub seq: Seq,
    /// The account.
    pub did: Box<str>,
    /// The collection of a changed record.
    pub collection: Option<Box<str>>,
    /// The message, framed.
    pub wire: Bytes,
    /// How many bytes of JSON it has.
    pub json_bytes: usize,
}

/// Messages, in order.
#[derive(Debug, Clone)]
pub struct Batch {
    items: Arc<[Item]>,
    last: Option<Seq>,
    bytes: usize,
}

impl Batch {
    /// The messages of events with numbers above `seq`.
    pub fn after(&self, seq: Seq) -> impl Iterator<Item = &Item> {
        self.items.iter().skip_while(move |item| item.seq <= seq)
    }
}

impl EncodedBatch for Batch {
    const EVENTS_PER_PAGE: usize = 100;

    fn encode(events: &[Event], shown: &dyn Fn(&Event) -> bool) -> Self {
        let mut items = Vec::new();
        for event in events.iter().filter(|event| shown(event)) {
            tell(event, &mut items);
        }
        let bytes = items.iter().map(|item| item.wire.len() + size_of::<Item>()).sum();
        Self { last: items.last().map(|item| item.seq), items: items.into(), bytes }
    }

    fn last(&self) -> Option<Seq> {
        self.last
    }

    fn events(&self) -> usize {
        self.items.len()
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Adds an event's messages.
fn tell(event: &Event, items: &mut Vec<Item>) {
    if event.kind == EventKind::Damaged {
        return;
    }
    let encoded = EncodedFrame { before: event.before.clone(), after: event.after.clone() };
    let message = match frame::decode(&encoded.with_seq(event.seq)) {
        Ok(frame) => frame.message,
        Err(error) => {
            // Seen to be whole before it was stored: this is a fault of ours, and the others are still to be told.
            tracing::warn!(seq = event.seq, %error, "an event does not decode and is left out as JSON");
            return;
        }
    };
    match message {
        Message::Commit(commit) => tell_commit(event, &commit, items),
        Message::Identity(identity) => {
            let mut about = object!({ "did": identity.did, "seq": event.seq, "time": identity.time.as_str() });
            if let (Some(handle), Some(fields)) = (&identity.handle, about.as_object_mut()) {
                fields.insert("handle".to_owned(), handle.as_str().into());
            }
            items.push(item(event, "identity", &about));
        }
        Message::Account(account) => {
            let mut about = object!({
                "active": account.active,
                "did": account.did,
                "seq": event.seq,
                "time": account.time.as_str(),
            });
            if let (Some(status), Some(fields)) = (account.status, about.as_object_mut()) {
                fields.insert("status".to_owned(), status.name().into());
            }
            items.push(item(event, "account", &about));
        }
        Message::Sync(_) | Message::Info(_) | Message::Error(_) | Message::Other { .. } => {}
    }
}

fn item(event: &Event, kind: &str, about: &Value) -> Item {
    let text = object!({ "did": event.did, "time_us": event.time_micros, "kind": kind, kind: about }).to_string();
    framed(event, None, text.as_bytes())
}

fn framed(event: &Event, collection: Option<&str>, json: &[u8]) -> Item {
    Item {
        seq: event.seq,
        did: event.did.as_str().into(),
        collection: collection.map(Into::into),
        wire: websocket::message(Opcode::Text, json),
        json_bytes: json.len(),
    }
}

fn tell_commit(event: &Event, commit: &Commit, items: &mut Vec<Item>) {
    let blocks = match car::read(&commit.blocks, &car::Limits::COMMIT) {
        Ok(blocks) => blocks,
        Err(error) => {
            tracing::warn!(seq = event.seq, %error, "a commit's blocks can't be read; it is left out as JSON");
            return;
        }
    };
    for op in &commit.ops {
        let (operation, cid) = match op.action {
            OpAction::Create { cid } => ("create", Some(cid)),
            OpAction::Update { cid, .. } => ("update", Some(cid)),
            OpAction::Delete { .. } => ("delete", None),
        };
        let (collection, rkey) = (op.path.collection(), op.path.rkey());
        let head = object!({
            "rev": commit.rev.as_str(),
            "operation": operation,
            "collection": collection,
            "rkey": rkey,
        });
        let start = object!({ "did": event.did, "time_us": event.time_micros, "kind": "commit", "commit": head });
        let mut text = start.to_string().into_bytes();
        if let Some(cid) = cid {
            let Some(block) = blocks.get(&cid) else {
                tracing::warn!(seq = event.seq, %cid, "a commit lacks a record; it is left out as JSON");
                continue;
            };
            // The record's JSON is written as it is, into the commit's object that was closed too early.
            text.truncate(text.len().saturating_sub(2));
            text.extend_from_slice(b",\"record\":");
            if let Err(error) = json::write_json(block, &mut text) {
                tracing::warn!(seq = event.seq, %cid, %error, "a record can't be read; it is left out as JSON");
                continue;
            }
            text.extend_from_slice(format!(",\"cid\":\"{cid}\"}}}}").as_bytes());
        }
        items.push(framed(event, Some(collection), &text));
    }
}
