//! WebSocket frames that a server sends: whole, unmasked, so that a message's bytes are the same for all clients.

use bytes::Bytes;

/// The longest head of an unmasked frame, in bytes.
pub const HEAD_BYTES_MAX: usize = 10;

/// What a WebSocket message is.
///
/// Spec: <https://www.rfc-editor.org/rfc/rfc6455#section-5.2>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// Text, UTF-8.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end, with a code and a reason.
    Close = 8,
    /// A question whether anybody is there.
    Ping = 9,
    /// The answer to it.
    Pong = 10,
}

/// The head of an unmasked message in one piece.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    bytes: [u8; HEAD_BYTES_MAX],
    len: usize,
}

impl Head {
    /// Makes the head of a message with `payload_bytes` bytes behind it.
    pub fn new(opcode: Opcode, payload_bytes: usize) -> Self {
        /// The message is whole: nothing of it follows.
        const FINAL: u8 = 0x80;
        let first = FINAL | opcode as u8;
        let [b0, b1, b2, b3, b4, b5, b6, b7] = (payload_bytes as u64).to_be_bytes();
        let (bytes, len) = match payload_bytes {
            0..126 => ([first, b7, 0, 0, 0, 0, 0, 0, 0, 0], 2),
            126..0x1_0000 => ([first, 126, b6, b7, 0, 0, 0, 0, 0, 0], 4),
            _ => ([first, 127, b0, b1, b2, b3, b4, b5, b6, b7], 10),
        };
        Self { bytes, len }
    }

    /// The head's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

/// Makes a whole message.
pub fn message(opcode: Opcode, payload: &[u8]) -> Bytes {
    let head = Head::new(opcode, payload.len());
    [head.as_bytes(), payload].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_the_length_in_its_shortest_form() {
        assert_eq!(Head::new(Opcode::Binary, 125).as_bytes(), [0x82, 125]);
        assert_eq!(Head::new(Opcode::Ping, 0).as_bytes(), [0x89, 0]);
        assert_eq!(Head::new(Opcode::Text, 126).as_bytes(), [0x81, 126, 0, 126]);
        assert_eq!(Head::new(Opcode::Binary, 0xffff).as_bytes(), [0x82, 126, 0xff, 0xff]);
        assert_eq!(Head::new(Opcode::Binary, 0x1_0000).as_bytes(), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
