//! What a client sends: frames out of bytes, bounded and unmasked.

use std::io::Cursor;

use bytes::{Buf, Bytes, BytesMut};
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use super::session::Code;
use crate::limits;

/// The longest payload of a control frame, in bytes.
const CONTROL_BYTES_MAX: u64 = 125;

/// Something whole that a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// Text.
    Text(Bytes),
    /// Bytes.
    Binary,
    /// A question whether we are there.
    Ping(Bytes),
    /// An answer to ours.
    Pong,
    /// The end, with the code given.
    Close(Option<[u8; 2]>),
}

/// Bytes that are not frames yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) bytes: BytesMut,
    /// A message that comes in parts: whether it is text, and what came so far.
    parts: Option<(bool, BytesMut)>,
}

impl Inbox {
    /// Takes the next whole thing out, or says what is wrong.
    pub(super) fn next(&mut self) -> Result<Option<Received>, Code> {
        while let Some((opcode, is_final, payload)) = self.frame()? {
            let received = match opcode {
                OpCode::Control(Control::Ping) => Received::Ping(payload),
                OpCode::Control(Control::Pong) => Received::Pong,
                OpCode::Control(Control::Close) => Received::Close(payload.first_chunk().copied()),
                OpCode::Data(Data::Continue) => {
                    let Some((is_text, mut parts)) = self.parts.take() else { return Err(Code::Protocol) };
                    if parts.len() + payload.len() > limits::WEBSOCKET_RECEIVED_BYTES_MAX {
                        return Err(Code::TooBig);
                    }
                    parts.extend_from_slice(&payload);
                    if !is_final {
                        self.parts = Some((is_text, parts));
                        continue;
                    }
                    if is_text { Received::Text(parts.freeze()) } else { Received::Binary }
                }
                OpCode::Data(kind @ (Data::Text | Data::Binary)) => {
                    if self.parts.is_some() {
                        return Err(Code::Protocol);
                    }
                    let is_text = kind == Data::Text;
                    if !is_final {
                        self.parts = Some((is_text, BytesMut::from(payload)));
                        continue;
                    }
                    if is_text { Received::Text(payload) } else { Received::Binary }
                }
                OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => return Err(Code::Protocol),
            };
            return Ok(Some(received));
        }
        Ok(None)
    }

    /// Takes the next frame out: what it is, whether it ends its message, and its payload unmasked.
    fn frame(&mut self) -> Result<Option<(OpCode, bool, Bytes)>, Code> {
        let mut cursor = Cursor::new(&self.bytes);
        let Some((header, len)) = FrameHeader::parse(&mut cursor).map_err(|_| Code::Protocol)? else {
            return Ok(None);
        };
        let head_bytes = usize::try_from(cursor.position()).map_err(|_| Code::TooBig)?;
        let is_plain = !header.rsv1 && !header.rsv2 && !header.rsv3;
        let is_control = matches!(header.opcode, OpCode::Control(_));
        let Some(mask) = header.mask.filter(|_| is_plain) else { return Err(Code::Protocol) };
        if is_control && (len > CONTROL_BYTES_MAX || !header.is_final) {
            return Err(Code::Protocol);
        }
        let Some(len) = usize::try_from(len).ok().filter(|len| *len <= limits::WEBSOCKET_RECEIVED_BYTES_MAX) else {
            return Err(Code::TooBig);
        };
        if self.bytes.len() < head_bytes + len {
            return Ok(None);
        }
        self.bytes.advance(head_bytes);
        let mut payload = self.bytes.split_to(len);
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        Ok(Some((header.opcode, header.is_final, payload.freeze())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        const MASKED: u8 = 0x80;
        let mask = [0x12, 0x34, 0x56, 0x78];
        let mut out = vec![first];
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(len @ 0..126), _) => out.push(MASKED | len),
            (_, Ok(len)) => {
                out.push(MASKED | 0x7e);
                out.extend(len.to_be_bytes());
            }
            (_, Err(_)) => {
                out.push(MASKED | 0x7f);
                out.extend((payload.len() as u64).to_be_bytes());
            }
        }
        out.extend(mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        out
    }

    fn read(bytes: &[u8]) -> Result<Vec<Received>, Code> {
        let mut inbox = Inbox::default();
        let mut all = Vec::new();
        for byte in bytes {
            inbox.bytes.extend_from_slice(&[*byte]);
            while let Some(received) = inbox.next()? {
                all.push(received);
            }
        }
        Ok(all)
    }

    #[test]
    fn frames_are_read_however_they_are_cut() {
        let bytes = [
            frame(0x81, b"hello"),
            frame(0x01, b"in "),
            frame(0x89, b"are you there"),
            frame(0x80, &[b'x'; 300]),
            frame(0x82, &vec![0; 70_000]),
            frame(0x8a, b""),
            frame(0x88, b"\x03\xe8bye"),
            frame(0x88, b""),
        ];
        let whole = Bytes::from([b"in ".as_slice(), &[b'x'; 300]].concat());
        let expected = [
            Received::Text(Bytes::from_static(b"hello")),
            Received::Ping(Bytes::from_static(b"are you there")),
            Received::Text(whole),
            Received::Binary,
            Received::Pong,
            Received::Close(Some([3, 232])),
            Received::Close(None),
        ];
        assert_eq!(read(&bytes.concat()).unwrap(), expected);
    }

    #[test]
    fn what_is_no_clients_frame_is_refused() {
        let unmasked = vec![0x81, 1, b'x'];
        let cases = [
            ("unmasked", unmasked),
            ("compressed", frame(0xc1, b"x")),
            ("reserved data", frame(0x83, b"x")),
            ("reserved control", frame(0x8b, b"x")),
            ("a ping in parts", frame(0x09, b"x")),
            ("a long ping", frame(0x89, &[0; 126])),
            ("a part of nothing", frame(0x80, b"x")),
            ("a message in a message", [frame(0x01, b"x"), frame(0x81, b"x")].concat()),
        ];
        for (name, bytes) in cases {
            assert_eq!(read(&bytes), Err(Code::Protocol), "{name}");
        }
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_came() {
        let max = limits::WEBSOCKET_RECEIVED_BYTES_MAX;
        let head = |len: u64| [&[0x82, 0xff][..], &len.to_be_bytes(), &[0; 4]].concat();
        assert_eq!(read(&head(max as u64)), Ok(Vec::new()));
        assert_eq!(read(&head(max as u64 + 1)), Err(Code::TooBig));
        assert_eq!(read(&head(u64::MAX >> 1)), Err(Code::TooBig));
        let parts = [frame(0x02, &vec![0; max / 2]), frame(0x00, &vec![0; max / 2]), frame(0x80, &[0; 2])].concat();
        assert_eq!(read(&parts), Err(Code::TooBig));
    }
}
