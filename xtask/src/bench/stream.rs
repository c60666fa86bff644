//! A WebSocket consumer that counts frames and looks at nothing else, so that many of them cost little.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::http;

/// How long a server may take to begin the stream.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest head of the handshake's answer, in bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// The longest payload of a control frame, in bytes.
const CONTROL_BYTES_MAX: usize = 125;

const BINARY: u8 = 2;
const CONTROL: u8 = 8;
const CLOSE: u8 = 8;
const PING: u8 = 9;

/// One consumer of a stream.
pub(super) struct Consumer {
    stream: TcpStream,
    frames: Frames,
    /// Tells whether the server has ended the stream.
    pub(super) ended: bool,
}

impl Consumer {
    /// Opens the stream at a path.
    pub(super) fn open(url: &str, path: &str) -> io::Result<Self> {
        let (authority, mut stream) = http::connect(url)?;
        stream.set_read_timeout(Some(HANDSHAKE_TIMEOUT))?;
        let headers = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: YWxsb2QgYmVuY2htYXJrIQ==\r\n";
        stream.write_all(&http::get(&authority, path, headers))?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.extend(byte);
            if head.len() > HEAD_BYTES_MAX {
                return Err(io::Error::other("the answer's head is too long"));
            }
        }
        if !head.starts_with(b"HTTP/1.1 101") {
            let head = String::from_utf8_lossy(&head).into_owned();
            return Err(io::Error::other(format!("the server opens no stream: {head}")));
        }
        Ok(Self { stream, frames: Frames::default(), ended: false })
    }

    /// Lets reads return at once when nothing is there.
    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        self.stream.set_nonblocking(true)
    }

    /// Lets a read wait so long.
    pub(super) fn set_patience(&self, time: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(time))
    }

    /// How many messages came.
    pub(super) fn messages(&self) -> u64 {
        self.frames.messages
    }

    /// How many bytes came.
    pub(super) fn bytes(&self) -> u64 {
        self.frames.bytes
    }

    /// Reads once; answers how many bytes came, 0 when nothing is there or the stream has ended.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.stream.read(buffer) {
            Ok(0) => {
                self.ended = true;
                return Ok(0);
            }
            Ok(count) => count,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                self.ended = true;
                return Ok(0);
            }
            Err(error) => return Err(error),
        };
        let mut pongs = Vec::new();
        let mut closed = false;
        self.frames.feed(buffer.get(..count).unwrap_or_default(), |opcode, payload| match opcode {
            PING => pongs.extend(pong(payload)),
            CLOSE => closed = true,
            _ => {}
        })?;
        self.ended |= closed;
        if !pongs.is_empty() {
            self.stream.write_all(&pongs)?;
        }
        Ok(count)
    }
}

/// Finds frames in bytes that come in parts of any size.
#[derive(Default)]
struct Frames {
    /// The beginning of a frame whose rest has not come: its head, or a whole control frame.
    begun: Vec<u8>,
    /// How much of a message's payload is still to come.
    left: u64,
    messages: u64,
    bytes: u64,
}

impl Frames {
    fn feed(&mut self, mut bytes: &[u8], mut control: impl FnMut(u8, &[u8])) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= skipped as u64;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let Some((&byte, rest)) = bytes.split_first() else { return Ok(()) };
            self.begun.push(byte);
            bytes = rest;
            let Some(Head { opcode, last, length }) = Head::read(&self.begun) else { continue };
            if opcode & CONTROL != 0 {
                if length > CONTROL_BYTES_MAX as u64 {
                    return Err(io::Error::other("a control frame is too long"));
                }
                let Some(payload) = self.begun.get(2..).filter(|payload| payload.len() as u64 == length) else {
                    continue;
                };
                control(opcode, payload);
            } else {
                // A message in parts begins with its kind, and ends with a frame that continues it.
                self.messages += u64::from(last && opcode <= BINARY);
                self.left = length;
            }
            self.begun.clear();
        }
        Ok(())
    }
}

/// The head of a frame from a server, which masks nothing.
struct Head {
    opcode: u8,
    last: bool,
    length: u64,
}

impl Head {
    /// Reads a head; `None` when more bytes are needed.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let length = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
            127 => u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?),
            short => u64::from(short),
        };
        Some(Self { opcode: first & 0x0f, last: first & 0x80 != 0, length })
    }
}

/// Answers a ping with its own payload, masked with zeros as a client has to.
fn pong(payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap_or_default();
    [&[0x8a, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap();
        let mut bytes = vec![0x80 | opcode];
        match length {
            0..=125 => bytes.push(u8::try_from(length).unwrap()),
            _ => bytes.extend([126, length.to_be_bytes()[0], length.to_be_bytes()[1]]),
        }
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn counts_messages_however_the_bytes_come() {
        let long = 70_000_u64;
        let mut bytes = [frame(BINARY, &[7; 300]), frame(PING, b"hi"), frame(BINARY, b""), frame(BINARY, &[0x82; 9])];
        bytes[0].extend([0x82, 127]);
        bytes[0].extend(long.to_be_bytes());
        bytes[0].extend(vec![0x82; usize::try_from(long).unwrap()]);
        let bytes = bytes.concat();
        for size in [1, 2, 3, 7, 1000, bytes.len()] {
            let (mut frames, mut pings) = (Frames::default(), Vec::new());
            for part in bytes.chunks(size) {
                frames.feed(part, |opcode, payload| pings.push((opcode, payload.to_vec()))).unwrap();
            }
            assert_eq!(frames.messages, 4, "in parts of {size}");
            assert_eq!(pings, [(PING, b"hi".to_vec())]);
            assert_eq!((frames.bytes, frames.left), (bytes.len() as u64, 0));
        }
    }

    #[test]
    fn a_message_in_parts_is_one() {
        let mut frames = Frames::default();
        let mut bytes = frame(BINARY, b"one");
        bytes[0] &= 0x7f;
        bytes.extend(frame(0, b"two"));
        frames.feed(&bytes, |_, _| {}).unwrap();
        assert_eq!(frames.messages, 1);
    }

    #[test]
    fn answers_a_ping_masked() {
        assert_eq!(pong(b"hi"), [0x8a, 0x82, 0, 0, 0, 0, b'h', b'i']);
    }
}
