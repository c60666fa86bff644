//! What is still to be written: whole messages, many at a time, the first perhaps in part.

use std::{collections::VecDeque, io, io::IoSlice};

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// How many pieces one write has at most.
const PIECES_PER_WRITE: usize = 32;

/// Messages on their way.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Each of them some whole messages.
    pub(super) pieces: VecDeque<Bytes>,
    /// How many bytes of the first piece are written.
    written: usize,
    /// How many bytes were written in all.
    pub(super) total_bytes: u64,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Writes some bytes. May be dropped at any moment: what was written is noted, what was not is still there.
    pub(super) async fn write(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); PIECES_PER_WRITE];
        let mut skip = self.written;
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece.get(skip..).unwrap_or_default());
            skip = 0;
            count += 1;
        }
        let bytes = to.write_vectored(slices.get(..count).unwrap_or_default()).await?;
        if bytes == 0 && !self.is_empty() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.total_bytes = self.total_bytes.saturating_add(bytes as u64);
        self.advance(bytes);
        Ok(())
    }

    fn advance(&mut self, mut bytes: usize) {
        while let Some(first) = self.pieces.front() {
            let left = first.len() - self.written;
            if bytes < left {
                self.written += bytes;
                return;
            }
            bytes -= left;
            self.written = 0;
            self.pieces.pop_front();
        }
    }

    /// Gives up everything but the message that is written in part.
    pub(super) fn cut_short(&mut self) {
        self.pieces.truncate(1);
        if self.written == 0 {
            self.pieces.clear();
        }
        if let Some(first) = self.pieces.front_mut() {
            let mut end = 0;
            while end < self.written {
                let Some(message_bytes) = message_bytes(first.get(end..).unwrap_or_default()) else { return };
                end += message_bytes;
            }
            first.truncate(end);
        }
        self.advance(0);
    }
}

/// How many bytes the message at the front has, head and all.
fn message_bytes(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [_, len @ 0..126, ..] => Some(2 + usize::from(*len)),
        [_, 126, rest @ ..] => Some(4 + usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
        [_, _, rest @ ..] => usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?.checked_add(10),
        [] | [_] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::frame::{Opcode, message};

    fn messages() -> Vec<Bytes> {
        [5, 200, 70_000, 0, 125, 126].map(|bytes| message(Opcode::Binary, &vec![7; bytes])).into()
    }

    /// Writes at most so many bytes at a time.
    struct Narrow(usize, Vec<u8>);

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buf: &[u8],
        ) -> std::task::Poll<io::Result<usize>> {
            let bytes = buf.len().min(self.0);
            self.1.extend_from_slice(&buf[..bytes]);
            std::task::Poll::Ready(Ok(bytes))
        }

        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn poll_shutdown(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn everything_is_written_in_order_however_little_at_a_time() {
        let all = messages().concat();
        for step in [1, 7, 1_000, 100_000] {
            let mut outbox = Outbox { pieces: messages().into(), ..Outbox::default() };
            let mut to = Narrow(step, Vec::new());
            while !outbox.is_empty() {
                outbox.write(&mut to).await.unwrap();
            }
            assert_eq!(to.1, all, "by {step}");
        }
    }

    #[tokio::test]
    async fn what_is_cut_short_ends_with_a_whole_message() {
        let all = messages().concat();
        let mut ends = vec![0];
        for message in messages() {
            ends.push(ends.last().unwrap() + message.len());
        }
        for written in (0..all.len()).step_by(11).chain(ends.clone()) {
            let pieces = [Bytes::from(all.clone()), Bytes::from_static(b"more")];
            let mut outbox = Outbox { pieces: pieces.into(), ..Outbox::default() };
            outbox.advance(written);
            outbox.cut_short();
            let left: usize = outbox.pieces.iter().map(Bytes::len).sum::<usize>() - outbox.written;
            let end = ends.iter().find(|end| **end >= written).unwrap();
            assert_eq!(left, end - written, "after {written}");
        }
    }
}
