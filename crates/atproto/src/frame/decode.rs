//! Reads frames, as a consumer does.

use bytes::Bytes;

use super::{Account, AccountStatus, Commit, Error, FRAME_BYTES_MAX, Identity, Info, Message, Sync};
use crate::cbor::{CborError, Decoder, Value};
use crate::repo::{OpAction, RecordPath, RepoOp};
use crate::{Datetime, Did, Handle, Tid};

/// A frame that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The sequence number; `#info` and errors have none.
    pub seq: Option<i64>,
    /// The message.
    pub message: Message,
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame is longer than [`FRAME_BYTES_MAX`].
    #[error("a frame may have {FRAME_BYTES_MAX} bytes")]
    TooLarge,
    /// The bytes are not two CBOR values.
    #[error("the frame's encoding: {0}")]
    Encoding(#[from] CborError),
    /// The header is not one of the protocol.
    #[error("the frame's header is malformed")]
    Header,
    /// A field is missing or malformed.
    #[error("the field {0} is missing or malformed")]
    Field(&'static str),
}

/// Reads a frame. Fields that the message type does not have are ignored.
pub fn decode(frame: &[u8]) -> Result<Frame, FrameError> {
    if frame.len() > FRAME_BYTES_MAX {
        return Err(FrameError::TooLarge);
    }
    let mut input = Decoder::new(frame);
    let (header, body) = (input.value()?, input.value()?);
    input.end()?;
    let body = Body(&body);
    let kind = match (header.get("op").and_then(Value::as_integer), header.get("t")) {
        (Some(1), Some(Value::Text(kind))) => kind.as_str(),
        (Some(-1), None) => return Ok(Frame { seq: None, message: Message::Error(body.error()?) }),
        _ => return Err(FrameError::Header),
    };
    let message = match kind {
        "#commit" => Message::Commit(body.commit()?),
        "#sync" => Message::Sync(body.sync()?),
        "#identity" => Message::Identity(body.identity()?),
        "#account" => Message::Account(body.account()?),
        "#info" => return Ok(Frame { seq: None, message: Message::Info(body.info()?) }),
        other => {
            let seq = body.0.get("seq").and_then(Value::as_integer);
            return Ok(Frame { seq, message: Message::Other { kind: other.to_owned() } });
        }
    };
    Ok(Frame { seq: Some(body.seq()?), message })
}

struct Body<'v>(&'v Value);

impl<'v> Body<'v> {
    fn seq(&self) -> Result<i64, FrameError> {
        self.field("seq", |value| value.as_integer().filter(|seq| *seq > 0))
    }

    fn commit(&self) -> Result<Commit, FrameError> {
        let is_false = |value: &Value| (value.as_bool() == Some(false)).then_some(());
        self.field("rebase", is_false)?;
        self.field("tooBig", is_false)?;
        Ok(Commit {
            repo: self.field("repo", did)?,
            commit: self.field("commit", Value::as_cid)?,
            rev: self.field("rev", tid)?,
            since: self.field("since", |value| nullable(value, tid))?,
            blocks: self.field("blocks", blocks)?,
            ops: self.ops()?,
            prev_data: self.optional("prevData", |value| nullable(value, Value::as_cid))?.flatten(),
            time: self.field("time", time)?,
        })
    }

    fn ops(&self) -> Result<Vec<RepoOp>, FrameError> {
        self.field("ops", Value::as_array)?.iter().map(|op| Body(op).op()).collect()
    }

    fn op(&self) -> Result<RepoOp, FrameError> {
        let cid = self.field("cid", |value| nullable(value, Value::as_cid))?;
        let prev = self.optional("prev", Value::as_cid)?;
        let action = match (self.field("action", Value::as_text)?, cid, prev) {
            ("create", Some(cid), None) => OpAction::Create { cid },
            ("update", Some(cid), prev) => OpAction::Update { cid, prev },
            ("delete", None, prev) => OpAction::Delete { prev },
            _ => return Err(FrameError::Field("ops")),
        };
        let path = self.field("path", |value| RecordPath::parse(value.as_text()?).ok())?;
        Ok(RepoOp { path, action })
    }

    fn sync(&self) -> Result<Sync, FrameError> {
        Ok(Sync {
            did: self.field("did", did)?,
            rev: self.field("rev", tid)?,
            blocks: self.field("blocks", blocks)?,
            time: self.field("time", time)?,
        })
    }

    fn identity(&self) -> Result<Identity, FrameError> {
        let handle = self.optional("handle", |value| Handle::parse(value.as_text()?).ok())?;
        Ok(Identity { did: self.field("did", did)?, handle, time: self.field("time", time)? })
    }

    fn account(&self) -> Result<Account, FrameError> {
        Ok(Account {
            did: self.field("did", did)?,
            active: self.field("active", Value::as_bool)?,
            status: self.optional("status", |value| AccountStatus::from_name(value.as_text()?))?,
            time: self.field("time", time)?,
        })
    }

    fn info(&self) -> Result<Info, FrameError> {
        Ok(Info { name: self.field("name", text)?, message: self.optional("message", text)? })
    }

    fn error(&self) -> Result<Error, FrameError> {
        Ok(Error { error: self.field("error", text)?, message: self.optional("message", text)? })
    }

    fn field<T>(&self, name: &'static str, read: impl FnOnce(&'v Value) -> Option<T>) -> Result<T, FrameError> {
        self.0.get(name).and_then(read).ok_or(FrameError::Field(name))
    }

    fn optional<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&'v Value) -> Option<T>,
    ) -> Result<Option<T>, FrameError> {
        self.0.get(name).map(|value| read(value).ok_or(FrameError::Field(name))).transpose()
    }
}

#[expect(clippy::option_option, reason = "the outer is whether the value can be read, the inner its null")]
fn nullable<'v, T>(value: &'v Value, read: impl FnOnce(&'v Value) -> Option<T>) -> Option<Option<T>> {
    if *value == Value::Null { Some(None) } else { read(value).map(Some) }
}

fn did(value: &Value) -> Option<Did> {
    Did::parse(value.as_text()?).ok()
}

fn tid(value: &Value) -> Option<Tid> {
    Tid::parse(value.as_text()?).ok()
}

fn time(value: &Value) -> Option<Datetime> {
    Datetime::parse(value.as_text()?).ok()
}

fn text(value: &Value) -> Option<String> {
    value.as_text().map(str::to_owned)
}

fn blocks(value: &Value) -> Option<Bytes> {
    value.as_bytes().map(Bytes::copy_from_slice)
}
