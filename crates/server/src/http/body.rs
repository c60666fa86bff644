//! Request and response bodies: plain enums, so that the usual cases need no boxing, and the minimum rate of uploads.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::limits;

/// Why a request body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client sent less than [`limits::BODY_BYTES_PER_SEC_MIN`].
    #[error("the request body came too slowly")]
    TooSlow,
    /// The connection broke, or the body's framing was wrong.
    #[error("the request body broke off")]
    Broken(#[source] hyper::Error),
}

/// A request body. From the network it must come at a minimum rate.
#[derive(Debug)]
pub struct RequestBody {
    source: Source,
    pace: Pace,
}

#[derive(Debug)]
enum Source {
    Network(Incoming),
    Memory(Full<Bytes>),
}

impl RequestBody {
    /// Takes a body that arrives over a connection.
    pub fn network(incoming: Incoming) -> Self {
        Self { source: Source::Network(incoming), pace: Pace::default() }
    }

    /// Takes a body that is there already.
    pub fn memory(bytes: impl Into<Bytes>) -> Self {
        Self { source: Source::Memory(Full::new(bytes.into())), pace: Pace::default() }
    }
}

impl Default for RequestBody {
    fn default() -> Self {
        Self::memory(Bytes::new())
    }
}

impl RequestBody {
    /// Reads and drops what a client that is refused still sends, within bounds. A client that is cut off while it
    /// sends may never read why.
    pub async fn drain(mut self) {
        if self.is_end_stream() || self.size_hint().lower() > limits::REFUSED_BODY_BYTES_MAX {
            return;
        }
        let read = async {
            let mut bytes_left = limits::REFUSED_BODY_BYTES_MAX;
            while let Some(Ok(frame)) = self.frame().await {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                let Some(left) = bytes_left.checked_sub(bytes) else { return };
                bytes_left = left;
            }
        };
        // Late or not, the answer is the refusal.
        let _ = tokio::time::timeout(Duration::from_secs(limits::REFUSED_BODY_SECS), read).await;
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = match &mut this.source {
            Source::Memory(full) => {
                return Pin::new(full).poll_frame(cx).map_err(|never: Infallible| match never {});
            }
            Source::Network(incoming) => Pin::new(incoming).poll_frame(cx),
        };
        match polled {
            Poll::Ready(frame) => {
                this.pace.received(frame.as_ref());
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
            }
            Poll::Pending if this.pace.poll_too_slow(cx).is_ready() => Poll::Ready(Some(Err(BodyError::TooSlow))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Network(incoming) => incoming.is_end_stream(),
            Source::Memory(full) => full.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Network(incoming) => incoming.size_hint(),
            Source::Memory(full) => full.size_hint(),
        }
    }
}

/// Holds a sender to the minimum rate. Only time spent waiting for the sender counts against it.
#[derive(Debug, Default)]
struct Pace {
    bytes: u64,
    waited: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Pace {
    fn received<E>(&mut self, frame: Option<&Result<Frame<Bytes>, E>>) {
        if let Some((since, _)) = self.waiting.take() {
            self.waited += since.elapsed();
        }
        if let Some(Ok(frame)) = frame
            && let Some(data) = frame.data_ref()
        {
            self.bytes = self.bytes.saturating_add(data.len() as u64);
        }
    }

    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let allowed =
            Duration::from_secs(limits::BODY_GRACE_SECS.saturating_add(self.bytes / limits::BODY_BYTES_PER_SEC_MIN));
        let (_, sleep) = self.waiting.get_or_insert_with(|| {
            let left = allowed.saturating_sub(self.waited);
            (Instant::now(), Box::pin(tokio::time::sleep(left)))
        });
        sleep.as_mut().poll(cx)
    }
}

/// What a streamed response may fail with; the connection is then cut, so that the client sees it is incomplete.
pub type StreamError = Box<dyn std::error::Error + Send + Sync>;

/// A response body.
#[derive(Debug)]
pub enum ResponseBody {
    /// All of it.
    Bytes(Full<Bytes>),
    /// Piece by piece.
    Stream(UnsyncBoxBody<Bytes, StreamError>),
}

impl ResponseBody {
    /// Answers nothing.
    pub fn empty() -> Self {
        Self::bytes(Bytes::new())
    }

    /// Answers these bytes.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::Bytes(Full::new(bytes.into()))
    }

    /// Answers piece by piece.
    pub fn stream<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error = StreamError> + Send + 'static,
    {
        Self::Stream(body.boxed_unsync())
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        match self.get_mut() {
            Self::Bytes(full) => Pin::new(full).poll_frame(cx).map_err(|never: Infallible| match never {}),
            Self::Stream(stream) => Pin::new(stream).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes(full) => full.is_end_stream(),
            Self::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Bytes(full) => full.size_hint(),
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn receive(pace: &mut Pace, bytes: usize) {
        let frame = Ok::<_, Infallible>(Frame::data(Bytes::from(vec![0; bytes])));
        pace.received(Some(&frame));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_sender_has_the_grace_and_no_more() {
        let mut pace = Pace::default();
        let start = Instant::now();
        poll_fn(|cx| pace.poll_too_slow(cx)).await;
        assert_eq!(start.elapsed().as_secs(), limits::BODY_GRACE_SECS);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_buys_time_and_our_own_time_is_free() {
        let mut pace = Pace::default();
        receive(&mut pace, 5 * 1024);
        tokio::time::advance(Duration::from_hours(1)).await;
        let start = Instant::now();
        poll_fn(|cx| pace.poll_too_slow(cx)).await;
        assert_eq!(start.elapsed().as_secs(), limits::BODY_GRACE_SECS + 5);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_adds_up_over_frames() {
        let mut pace = Pace::default();
        for _ in 0..2 {
            let wait = tokio::time::timeout(Duration::from_secs(4), poll_fn(|cx| pace.poll_too_slow(cx)));
            assert!(wait.await.is_err());
            receive(&mut pace, 1);
        }
        let start = Instant::now();
        poll_fn(|cx| pace.poll_too_slow(cx)).await;
        assert_eq!(start.elapsed().as_secs(), limits::BODY_GRACE_SECS - 8);
    }
}
