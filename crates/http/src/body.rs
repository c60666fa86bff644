//! Request and response bodies: the usual cases need no boxing; what comes has a minimum rate, what goes is watched.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use crate::{connection::InFlight, limits, outgoing::Outgoing};

/// Why a request body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client sent less than the minimum rate, or took longer than allowed in all.
    #[error("the request body arrived too slowly")]
    TooSlow,
    /// The connection broke, or the body's framing was wrong.
    #[error("the request body ended early")]
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

    /// Demands another rate than [`limits::BODY_BYTES_PER_SEC_MIN`], and an end within so many seconds from now.
    #[must_use]
    pub fn at_pace(mut self, bytes_per_sec_min: u64, secs_max: u64) -> Self {
        self.pace.bytes_per_sec_min = bytes_per_sec_min.max(1);
        self.pace.ends_at = Some(Instant::now() + Duration::from_secs(secs_max));
        self
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
            Poll::Ready(Some(_)) if this.pace.is_late() => Poll::Ready(Some(Err(BodyError::TooSlow))),
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
#[derive(Debug)]
struct Pace {
    bytes_per_sec_min: u64,
    /// When the last byte must be here, if ever.
    ends_at: Option<Instant>,
    bytes: u64,
    waited: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            bytes_per_sec_min: limits::BODY_BYTES_PER_SEC_MIN,
            ends_at: None,
            bytes: 0,
            waited: Duration::ZERO,
            waiting: None,
        }
    }
}

impl Pace {
    fn is_late(&self) -> bool {
        self.ends_at.is_some_and(|ends_at| ends_at <= Instant::now())
    }

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
        let allowed = Duration::from_secs(limits::BODY_GRACE_SECS.saturating_add(self.bytes / self.bytes_per_sec_min));
        let (_, sleep) = self.waiting.get_or_insert_with(|| {
            let now = Instant::now();
            let by_rate = now + allowed.saturating_sub(self.waited);
            let until = self.ends_at.map_or(by_rate, |ends_at| by_rate.min(ends_at));
            (now, Box::pin(tokio::time::sleep_until(until)))
        });
        sleep.as_mut().poll(cx)
    }
}

/// What a streamed response may fail with; the connection is then cut, so that the client sees it is incomplete.
pub type StreamError = Box<dyn std::error::Error + Send + Sync>;

/// Memory that a response counts as holding until its client has taken it; dropping it gives the memory back.
pub trait Reservation: fmt::Debug + Send {
    /// Changes how many bytes are held. After an error it holds what it held.
    fn resize(&mut self, bytes: usize) -> Result<(), BudgetExceeded>;
}

/// The memory for responses is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the response memory budget is exceeded")]
pub struct BudgetExceeded;

/// Sees what becomes of a response body; dropped with the body.
pub trait BodyObserver: fmt::Debug + Send {
    /// So many bytes were handed to the connection.
    fn sent(&mut self, bytes: usize);

    /// Nothing more follows.
    fn ended(&mut self);
}

/// A response body. It is given in pieces, which tell when the client has taken them.
#[derive(Debug)]
pub struct ResponseBody {
    content: Content,
    /// What is left of a streamed piece that was too large to be given at once.
    rest: Bytes,
    held: Option<Box<dyn Reservation>>,
    outgoing: Option<Arc<Outgoing>>,
    observer: Option<Box<dyn BodyObserver>>,
}

#[derive(Debug)]
enum Content {
    Memory(Bytes),
    Stream(UnsyncBoxBody<Bytes, StreamError>),
}

impl ResponseBody {
    /// Answers nothing.
    pub fn empty() -> Self {
        Self::bytes(Bytes::new())
    }

    /// Answers these bytes.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::of(Content::Memory(bytes.into()))
    }

    /// Answers piece by piece.
    pub fn stream<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error = StreamError> + Send + 'static,
    {
        Self::of(Content::Stream(body.boxed_unsync()))
    }

    fn of(content: Content) -> Self {
        Self { content, rest: Bytes::new(), held: None, outgoing: None, observer: None }
    }

    /// The whole body, if it is in memory.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Memory(bytes) => Some(bytes),
            Content::Stream(_) => None,
        }
    }

    /// How many bytes of memory it counts as holding until the client has taken it.
    pub fn held_bytes(&self) -> usize {
        self.as_bytes().map_or(limits::STREAM_HELD_BYTES, Bytes::len)
    }

    /// Keeps the memory that was reserved for it.
    #[must_use]
    pub fn holding(self, reservation: impl Reservation + 'static) -> Self {
        Self { held: Some(Box::new(reservation)), ..self }
    }

    /// Reports to this observer.
    #[must_use]
    pub fn observed(self, mut observer: impl BodyObserver + 'static) -> Self {
        if self.is_end_stream() {
            observer.ended();
        }
        Self { observer: Some(Box::new(observer)), ..self }
    }

    /// Counts what the client takes. Nothing is counted of an empty body.
    pub(crate) fn watched(
        mut self,
        cut: Option<CancellationToken>,
        in_flight: InFlight,
    ) -> (Self, Option<Arc<Outgoing>>) {
        if self.is_end_stream() {
            return (self, None);
        }
        let outgoing = Outgoing::new(self.held.take(), cut, in_flight);
        self.outgoing = Some(Arc::clone(&outgoing));
        (self, Some(outgoing))
    }

    fn next_piece(from: &mut Bytes) -> Option<Bytes> {
        let bytes = from.len().min(limits::ANSWER_PIECE_BYTES);
        (bytes > 0).then(|| from.split_to(bytes))
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        loop {
            let source = match &mut self.content {
                Content::Memory(bytes) => {
                    return Poll::Ready(Self::next_piece(bytes).map(|piece| Ok(Frame::data(piece))));
                }
                Content::Stream(stream) => stream,
            };
            if let Some(piece) = Self::next_piece(&mut self.rest) {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let Some(frame) = std::task::ready!(Pin::new(source).poll_frame(cx)?) else { return Poll::Ready(None) };
            match frame.into_data() {
                Ok(data) => {
                    if let Some(outgoing) = &self.outgoing
                        && let Err(exceeded) = outgoing.hold_piece(data.len())
                    {
                        return Poll::Ready(Some(Err(exceeded.into())));
                    }
                    self.rest = data;
                }
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        let this = self.get_mut();
        let polled = this.poll_piece(cx);
        let is_over = this.is_end_stream();
        if let Some(observer) = &mut this.observer {
            match &polled {
                Poll::Ready(Some(Ok(frame))) => {
                    observer.sent(frame.data_ref().map_or(0, Bytes::len));
                    if is_over {
                        observer.ended();
                    }
                }
                Poll::Ready(None) => observer.ended(),
                Poll::Ready(Some(Err(_))) | Poll::Pending => {}
            }
        }
        let Some(outgoing) = &this.outgoing else { return polled };
        if polled.is_pending() {
            outgoing.wait_for_server();
        } else {
            outgoing.wait_for_client();
        }
        polled.map_ok(|frame| frame.map_data(|piece| outgoing.piece(piece)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Memory(bytes) => bytes.is_empty(),
            Content::Stream(stream) => self.rest.is_empty() && stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Memory(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream(stream) if self.rest.is_empty() => stream.size_hint(),
            Content::Stream(_) => SizeHint::default(),
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
    async fn a_sender_that_keeps_the_rate_has_an_end_all_the_same() {
        let body = RequestBody::memory(Bytes::new()).at_pace(16 * 1024, 100);
        let mut pace = body.pace;
        let start = Instant::now();
        loop {
            receive(&mut pace, 16 * 1024);
            let wait = tokio::time::timeout(Duration::from_secs(1), poll_fn(|cx| pace.poll_too_slow(cx)));
            if wait.await.is_ok() {
                break;
            }
            assert!(start.elapsed().as_secs() <= 100, "it goes on");
        }
        assert_eq!(start.elapsed().as_secs(), 100);
        assert!(pace.is_late());
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
