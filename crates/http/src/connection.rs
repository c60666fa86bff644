//! One connection's life: HTTP/1.1 or HTTP/2 by its first bytes, and the clocks that end it.
//!
//! A connection ends when a request head takes too long, when nothing happens on it, when the client stops
//! reading, or when the server stops. Time here is the runtime's: it measures sockets and decides nothing else.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Version, header::UPGRADE};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::{self, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Service,
    address::Counted,
    body::RequestBody,
    limits,
    outgoing::{EndConnection, Outgoing},
};

/// What all connections of a listener share.
pub(crate) struct Connections<S> {
    service: Arc<S>,
    builder: Arc<auto::Builder<Streams>>,
    stopping: CancellationToken,
    aborting: CancellationToken,
    tasks: TaskTracker,
}

/// What binds a connection to its listener. An upgrade request carries it and the upgraded session keeps it, so that the
/// connection counts until it is closed, and ends with the server.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionGuard {
    /// Asks to come to an end.
    pub(crate) stopping: CancellationToken,
    /// Demands it.
    pub(crate) aborting: CancellationToken,
    /// Where what serves the connection runs; the server stops when all of it is done.
    pub(crate) tasks: TaskTracker,
    /// Given back when the last guard is dropped.
    _permits: Arc<Permits>,
}

/// What a connection counts as.
#[derive(Debug)]
pub(crate) struct Permits {
    /// One of all connections.
    pub(crate) _slot: OwnedSemaphorePermit,
    /// One of its address.
    pub(crate) _counted: Option<Counted>,
}

impl<S: Service> Connections<S> {
    /// Serves with `service`; `stopping` lets connections finish what they do, `aborting` cuts them.
    pub(crate) fn new(
        service: Arc<S>,
        stopping: CancellationToken,
        aborting: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        let mut builder = auto::Builder::new(Streams);
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_headers(limits::HEADER_FIELDS_MAX)
            .max_buf_size(limits::HEADER_BYTES_MAX);
        #[expect(clippy::cast_possible_truncation, reason = "the constant is 16 KiB")]
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(Duration::from_secs(limits::H2_PING_SECS)))
            .keep_alive_timeout(Duration::from_secs(limits::H2_PONG_SECS))
            .max_send_buf_size(limits::H2_SEND_BUFFER_BYTES)
            .max_concurrent_streams(limits::H2_STREAMS_MAX)
            .max_header_list_size(limits::HEADER_BYTES_MAX as u32);
        Self { service, builder: Arc::new(builder), stopping, aborting, tasks }
    }

    /// Serves one connection to its end.
    pub(crate) fn run<IO>(
        &self,
        stream: IO,
        peer: SocketAddr,
        permits: Permits,
    ) -> impl Future<Output = ()> + Send + use<S, IO>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = Arc::clone(&self.service);
        let builder = Arc::clone(&self.builder);
        let (stopping, aborting) = (self.stopping.clone(), self.aborting.clone());
        let guard = ConnectionGuard {
            stopping: stopping.clone(),
            aborting: aborting.clone(),
            tasks: self.tasks.clone(),
            _permits: Arc::new(permits),
        };
        async move {
            let activity = Arc::new(Activity::new());
            let io = TokioIo::new(TimedIo { stream, activity: Arc::clone(&activity) });
            let answering = Arc::clone(&activity);
            let answer = service_fn(move |mut request: Request<Incoming>| {
                let service = Arc::clone(&service);
                if request.headers().contains_key(UPGRADE) {
                    request.extensions_mut().insert(guard.clone());
                }
                let activity = Arc::clone(&answering);
                let in_flight = InFlight::begin(Arc::clone(&answering), request.version());
                async move {
                    let response = service.call(peer, request.map(RequestBody::network)).await;
                    Ok::<_, Infallible>(response.map(|body| {
                        let (body, outgoing) = body.watched(Streams::current(), in_flight);
                        activity.outgoing(outgoing);
                        body
                    }))
                }
            });
            let connection = builder.serve_connection_with_upgrades(io, answer);
            let mut connection = std::pin::pin!(connection);
            let mut closing_until = None;
            loop {
                let wake = closing_until.unwrap_or_else(|| activity.next_check());
                tokio::select! {
                    biased;
                    ended = connection.as_mut() => {
                        if let Err(error) = ended {
                            tracing::debug!(%peer, error, "connection failed");
                        }
                        return;
                    }
                    () = aborting.cancelled() => return,
                    () = stopping.cancelled(), if closing_until.is_none() => {
                        connection.as_mut().graceful_shutdown();
                        closing_until = Some(Instant::now() + Duration::from_secs(limits::SHUTDOWN_SECS));
                    }
                    () = time::sleep_until(wake) => match activity.verdict() {
                        _ if closing_until.is_some() => return,
                        Verdict::Fine => {}
                        Verdict::Idle => {
                            connection.as_mut().graceful_shutdown();
                            closing_until = Some(Instant::now() + Duration::from_secs(limits::CONNECTION_CLOSE_SECS));
                        }
                        Verdict::Stuck => return,
                    },
                }
            }
        }
    }
}

tokio::task_local! {
    /// Ends the HTTP/2 stream whose task this is.
    static CUT: CancellationToken;
}

/// Runs each HTTP/2 stream as a task that can be ended apart from its connection: what is dropped with the task is
/// reset on the wire.
#[derive(Debug, Clone, Copy)]
struct Streams;

impl Streams {
    /// What ends the stream whose task this is; nothing on HTTP/1.
    fn current() -> Option<CancellationToken> {
        CUT.try_with(CancellationToken::clone).ok()
    }
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        let cut = CancellationToken::new();
        tokio::spawn(CUT.scope(cut.clone(), async move { cut.run_until_cancelled(stream).await }));
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// Nothing is going on: end it politely.
    Idle,
    /// The client neither sends nor reads: cut it.
    Stuck,
}

/// What a connection is doing, in milliseconds since it was accepted. Zero means "not".
#[derive(Debug)]
pub(crate) struct Activity {
    accepted: Instant,
    in_flight: AtomicU32,
    is_h2: AtomicBool,
    /// When the first byte of a request head that is not complete came.
    head_since: AtomicU64,
    /// When a write began to wait for the client.
    write_since: AtomicU64,
    /// When last an answer was taken whole, or given up.
    last_progress: AtomicU64,
    /// The answers that are not taken yet, and some that are.
    outgoing: Mutex<Vec<Weak<Outgoing>>>,
}

impl Activity {
    fn new() -> Self {
        Self {
            accepted: Instant::now(),
            in_flight: AtomicU32::new(0),
            is_h2: AtomicBool::new(false),
            head_since: AtomicU64::new(1),
            write_since: AtomicU64::new(0),
            last_progress: AtomicU64::new(1),
            outgoing: Mutex::default(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.accepted.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn read(&self) {
        if self.head_since.load(Relaxed) == 0 && self.in_flight.load(Relaxed) == 0 && !self.is_h2.load(Relaxed) {
            self.head_since.store(self.now(), Relaxed);
        }
    }

    fn wrote(&self) {
        self.write_since.store(0, Relaxed);
    }

    /// An answer goes out.
    fn outgoing(&self, answer: Option<Arc<Outgoing>>) {
        let Some(answer) = answer else { return };
        let mut outgoing = self.outgoing.lock();
        outgoing.retain(|answer| answer.strong_count() > 0);
        outgoing.push(Arc::downgrade(&answer));
    }

    /// Ends answers whose clients don't take them; gives when to look again.
    fn judge_answers(&self) -> Result<Option<Instant>, EndConnection> {
        // Collected first: the last of an answer may be dropped here, and that is noted under the same lock.
        let answers: Vec<_> = self.outgoing.lock().iter().filter_map(Weak::upgrade).collect();
        let mut next: Option<Instant> = None;
        for answer in answers {
            let until = answer.judge()?;
            next = Some(next.map_or(until, |next| next.min(until)));
        }
        Ok(next)
    }

    fn write_waits(&self) {
        if self.write_since.load(Relaxed) == 0 {
            self.write_since.store(self.now(), Relaxed);
        }
    }

    /// The deadlines that stand now: of a request head, of a waiting write, of an idle connection.
    fn deadlines(&self) -> [Option<(u64, Verdict)>; 3] {
        let after = |since: u64, secs: u64| since.saturating_add(secs * 1000);
        let head = self.head_since.load(Relaxed);
        let write = self.write_since.load(Relaxed);
        let idle = self.in_flight.load(Relaxed) == 0;
        [
            (head != 0).then(|| (after(head, limits::HEADER_TIMEOUT_SECS), Verdict::Stuck)),
            (write != 0).then(|| (after(write, limits::CONNECTION_IDLE_SECS), Verdict::Stuck)),
            idle.then(|| (after(self.last_progress.load(Relaxed), limits::CONNECTION_IDLE_SECS), Verdict::Idle)),
        ]
    }

    fn verdict(&self) -> Verdict {
        if self.judge_answers().is_err() {
            return Verdict::Stuck;
        }
        let now = self.now();
        let passed = self.deadlines().into_iter().flatten().find(|(deadline, _)| *deadline <= now);
        passed.map_or(Verdict::Fine, |(_, verdict)| verdict)
    }

    /// When to look again: a deadline that arises later is never before this.
    fn next_check(&self) -> Instant {
        let soonest = self.now().saturating_add(limits::HEADER_TIMEOUT_SECS * 1000);
        let next = self.deadlines().into_iter().flatten().map(|(deadline, _)| deadline).fold(soonest, u64::min);
        let next = self.accepted + Duration::from_millis(next);
        match self.judge_answers() {
            Ok(answers) => answers.map_or(next, |answers| next.min(answers)),
            Err(EndConnection) => Instant::now(),
        }
    }
}

/// A request whose answer is not taken yet.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Activity>);

impl InFlight {
    fn begin(activity: Arc<Activity>, version: Version) -> Self {
        activity.is_h2.store(version == Version::HTTP_2, Relaxed);
        activity.head_since.store(0, Relaxed);
        activity.in_flight.fetch_add(1, Relaxed);
        Self(activity)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.last_progress.store(self.0.now(), Relaxed);
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// A socket that tells [`Activity`] what moves.
struct TimedIo<IO> {
    stream: IO,
    activity: Arc<Activity>,
}

impl<IO> TimedIo<IO> {
    fn note_write<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &polled {
            Poll::Ready(Ok(_)) => self.activity.wrote(),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.write_waits(),
        }
        polled
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for TimedIo<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.read();
        }
        polled
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for TimedIo<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note_write(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note_write(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pass(secs: u64) {
        time::advance(Duration::from_secs(secs)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_never_ends_is_cut() {
        let activity = Activity::new();
        activity.read();
        pass(limits::HEADER_TIMEOUT_SECS - 1).await;
        activity.read();
        assert_eq!(activity.verdict(), Verdict::Fine);
        pass(1).await;
        assert_eq!(activity.verdict(), Verdict::Stuck);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kept_alive_connection_may_idle_but_its_next_head_may_not_dawdle() {
        let activity = Arc::new(Activity::new());
        drop(InFlight::begin(Arc::clone(&activity), Version::HTTP_11));
        pass(limits::CONNECTION_IDLE_SECS - 1).await;
        assert_eq!(activity.verdict(), Verdict::Fine);
        pass(1).await;
        assert_eq!(activity.verdict(), Verdict::Idle);

        drop(InFlight::begin(Arc::clone(&activity), Version::HTTP_11));
        activity.read();
        pass(limits::HEADER_TIMEOUT_SECS).await;
        assert_eq!(activity.verdict(), Verdict::Stuck);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_may_take_its_time_but_its_reader_may_not() {
        let activity = Arc::new(Activity::new());
        let in_flight = InFlight::begin(Arc::clone(&activity), Version::HTTP_11);
        pass(10 * limits::CONNECTION_IDLE_SECS).await;
        assert_eq!(activity.verdict(), Verdict::Fine);
        activity.write_waits();
        pass(limits::CONNECTION_IDLE_SECS / 2).await;
        activity.wrote();
        activity.write_waits();
        pass(limits::CONNECTION_IDLE_SECS - 1).await;
        assert_eq!(activity.verdict(), Verdict::Fine);
        pass(1).await;
        assert_eq!(activity.verdict(), Verdict::Stuck);
        drop(in_flight);
    }

    #[tokio::test(start_paused = true)]
    async fn http2_frames_between_requests_are_no_request_head() {
        let activity = Arc::new(Activity::new());
        drop(InFlight::begin(Arc::clone(&activity), Version::HTTP_2));
        activity.read();
        pass(limits::HEADER_TIMEOUT_SECS).await;
        assert_eq!(activity.verdict(), Verdict::Fine);
    }
}
