//! Writes frames.

use bytes::Bytes;

use super::{Account, Commit, Error, Identity, Info, Sync};
use crate::cbor::Encoder;
use crate::repo::RepoOp;

/// A frame without its sequence number: the bytes on either side of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedFrame {
    /// The header and the body's beginning, up to where the number goes.
    pub before: Bytes,
    /// The rest of the body.
    pub after: Bytes,
}

impl EncodedFrame {
    /// The whole frame. Sequence numbers are positive and below 2^53.
    pub fn with_seq(&self, seq: i64) -> Bytes {
        let mut out = Encoder::with_capacity(self.before.len() + self.after.len() + 9);
        out.raw(&self.before).int(seq).raw(&self.after);
        out.into_bytes().into()
    }

    fn new(before: Encoder, after: Encoder) -> Self {
        Self { before: before.into_bytes().into(), after: after.into_bytes().into() }
    }
}

/// Encodes a `#commit`.
pub fn commit(message: &Commit) -> EncodedFrame {
    let mut before = header("#commit", 128 + message.ops.len() * 192);
    before.map(11 + usize::from(message.prev_data.is_some()));
    before.text("ops").array(message.ops.len());
    for op in &message.ops {
        encode_op(&mut before, op);
    }
    before.text("rev").text(message.rev.as_str()).text("seq");
    let mut after = Encoder::with_capacity(384 + message.blocks.len());
    after.text("repo").text(message.repo.as_str()).text("time").text(message.time.as_str());
    after.text("blobs").array(0).text("since");
    match &message.since {
        Some(since) => after.text(since.as_str()),
        None => after.null(),
    };
    after.text("blocks").bytes(&message.blocks).text("commit").link(&message.commit);
    after.text("rebase").bool(false).text("tooBig").bool(false);
    if let Some(prev_data) = &message.prev_data {
        after.text("prevData").link(prev_data);
    }
    EncodedFrame::new(before, after)
}

/// Encodes a `#sync`.
pub fn sync(message: &Sync) -> EncodedFrame {
    let mut before = header("#sync", 128);
    before.map(5).text("did").text(message.did.as_str()).text("rev").text(message.rev.as_str()).text("seq");
    let mut after = Encoder::with_capacity(64 + message.blocks.len());
    after.text("time").text(message.time.as_str()).text("blocks").bytes(&message.blocks);
    EncodedFrame::new(before, after)
}

/// Encodes an `#identity`.
pub fn identity(message: &Identity) -> EncodedFrame {
    let mut before = header("#identity", 128);
    before.map(3 + usize::from(message.handle.is_some())).text("did").text(message.did.as_str()).text("seq");
    let mut after = Encoder::with_capacity(64);
    after.text("time").text(message.time.as_str());
    if let Some(handle) = &message.handle {
        after.text("handle").text(handle.as_str());
    }
    EncodedFrame::new(before, after)
}

/// Encodes an `#account`.
pub fn account(message: &Account) -> EncodedFrame {
    let mut before = header("#account", 128);
    before.map(4 + usize::from(message.status.is_some())).text("did").text(message.did.as_str()).text("seq");
    let mut after = Encoder::with_capacity(64);
    after.text("time").text(message.time.as_str()).text("active").bool(message.active);
    if let Some(status) = message.status {
        after.text("status").text(status.name());
    }
    EncodedFrame::new(before, after)
}

/// Encodes an `#info`, which is whole because it has no sequence number.
pub fn info(message: &Info) -> Bytes {
    let mut out = header("#info", 128);
    out.map(1 + usize::from(message.message.is_some())).text("name").text(&message.name);
    if let Some(text) = &message.message {
        out.text("message").text(text);
    }
    out.into_bytes().into()
}

/// Encodes an error, which is whole because it has no sequence number.
pub fn error(message: &Error) -> Bytes {
    let mut out = Encoder::with_capacity(128);
    out.map(1).text("op").int(-1);
    out.map(1 + usize::from(message.message.is_some())).text("error").text(&message.error);
    if let Some(text) = &message.message {
        out.text("message").text(text);
    }
    out.into_bytes().into()
}

fn header(kind: &str, capacity: usize) -> Encoder {
    let mut out = Encoder::with_capacity(capacity);
    out.map(2).text("t").text(kind).text("op").int(1);
    out
}

fn encode_op(out: &mut Encoder, op: &RepoOp) {
    let prev = op.action.prev();
    out.map(3 + usize::from(prev.is_some()));
    out.text("cid").link_or_null(op.action.cid().as_ref()).text("path").text(op.path.as_str());
    if let Some(prev) = &prev {
        out.text("prev").link(prev);
    }
    out.text("action").text(op.action.name());
}
