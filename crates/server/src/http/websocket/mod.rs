//! A WebSocket: the handshake over hyper, and the session that writes messages made elsewhere and answers control frames.
//!
//! Messages that many listeners get are framed once (`domain::firehose::wire`) and written as they are, several at a
//! time; that is why the session is our own. What clients send is bounded; only some streams look at it.
//!
//! Spec: <https://www.rfc-editor.org/rfc/rfc6455>

mod handshake;
mod inbox;
mod outbox;
mod session;

pub use handshake::{Handshake, HandshakeError, VERSION};
pub use session::{Code, Farewell, Source};
