//! A WebSocket: the handshake over hyper, and the session that writes messages made elsewhere and answers control frames.
//!
//! Messages that many listeners get are framed once and written as they are, several at a
//! time; that is why the session is our own. What clients send is bounded; only some streams look at it.
//!
//! Spec: <https://www.rfc-editor.org/rfc/rfc6455>

pub mod frame;
mod handshake;
mod inbox;
mod outbox;
mod session;

pub use handshake::{Handshake, HandshakeError, VERSION};
pub use session::{Code, Farewell, Source};

/// Tells what a client's bytes are when they come in pieces of a length, for those who fuzz it.
#[doc(hidden)]
pub fn received(data: &[u8], piece_bytes: usize) -> Vec<String> {
    let mut inbox = inbox::Inbox::default();
    let mut all = Vec::new();
    for piece in data.chunks(piece_bytes) {
        inbox.bytes.extend_from_slice(piece);
        loop {
            match inbox.next() {
                Ok(Some(received)) => all.push(format!("{received:?}")),
                Ok(None) => break,
                Err(code) => {
                    all.push(format!("{code:?}"));
                    return all;
                }
            }
        }
    }
    all
}
