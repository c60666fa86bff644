//! A WebSocket from the handshake to its end.
//!
//! One task does it all: it writes what the source gives, answers pings, asks for a sign of life, and ends a session
//! whose client does not read, is silent, or breaks the protocol. Time here is the runtime's: it measures sockets.

use std::{borrow::Cow, collections::VecDeque, future::Future, io, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{self, Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use super::{
    frame::{self, Opcode},
    inbox::{Inbox, Received},
    outbox::Outbox,
};
use crate::limits;

/// How many bytes are read at once.
const READ_BYTES: usize = 1024;
/// How often the clocks are looked at, in seconds.
const TICK_SECS: u64 = 5;

/// Why a session ends, as a number.
///
/// Spec: <https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The server stops.
    GoingAway = 1001,
    /// The client broke the protocol.
    Protocol = 1002,
    /// What the client asks for is refused, as the reason says.
    Policy = 1008,
    /// The client sent too much.
    TooBig = 1009,
    /// A fault of ours.
    Internal = 1011,
}

/// What a client is told at the end.
#[derive(Debug, Clone)]
pub struct Farewell {
    /// A last message, framed.
    pub message: Option<Bytes>,
    /// Why.
    pub code: Code,
    /// Why, in a word.
    pub reason: Cow<'static, str>,
}

impl Farewell {
    fn silent(code: Code) -> Self {
        Self { message: None, code, reason: Cow::Borrowed("") }
    }
}

/// Where a session's messages come from.
pub trait Source: Send {
    /// Gives the next messages, framed, waiting until there are some; what was given before is written by now. The
    /// future may be dropped at any moment and nothing may be lost by that.
    fn next(&mut self, out: &mut VecDeque<Bytes>) -> impl Future<Output = Result<(), Farewell>> + Send;

    /// Takes a text message of the client's.
    fn receive(&mut self, _text: &[u8]) -> Result<(), Farewell> {
        Ok(())
    }

    /// What a client is told that does not read.
    fn too_slow(&self) -> Farewell;
}

/// How a session ends.
enum End {
    /// We end it.
    Ours(Farewell),
    /// The client ends it.
    Theirs(Option<[u8; 2]>),
    /// The connection is gone.
    Gone,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Serves a session to its end.
pub(super) async fn run<I, S>(io: I, source: S, stopping: &CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin + Send,
    S: Source,
{
    let mut session = Session::new(io, source);
    match session.serve(stopping).await {
        End::Ours(farewell) => session.say_farewell(farewell).await,
        End::Theirs(code) => session.agree(code).await,
        End::Gone => {}
    }
}

struct Session<I, S> {
    reader: tokio::io::ReadHalf<I>,
    writer: tokio::io::WriteHalf<I>,
    source: S,
    inbox: Inbox,
    outbox: Outbox,
    /// The newest ping's payload, not yet answered; an older one need not be.
    ping: Option<Bytes>,
    heard_at: Instant,
    asked_at: Instant,
    progress_at: Instant,
    /// How long the client was waited for in all, to the tick.
    waited_secs: u64,
}

impl<I: AsyncRead + AsyncWrite + Unpin + Send, S: Source> Session<I, S> {
    fn new(io: I, source: S) -> Self {
        let (reader, writer) = tokio::io::split(io);
        let now = Instant::now();
        Self {
            reader,
            writer,
            source,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            ping: None,
            heard_at: now,
            asked_at: now,
            progress_at: now,
            waited_secs: 0,
        }
    }

    async fn serve(&mut self, stopping: &CancellationToken) -> End {
        match self.serve_on(stopping).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn serve_on(&mut self, stopping: &CancellationToken) -> Result<std::convert::Infallible, End> {
        let mut ticks = time::interval(Duration::from_secs(TICK_SECS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_writing = !self.outbox.is_empty();
            tokio::select! {
                () = stopping.cancelled() => return Err(End::Ours(Farewell::silent(Code::GoingAway))),
                read = read(&mut self.reader, &mut self.inbox) => {
                    read?;
                    self.heard_at = Instant::now();
                    self.take_received()?;
                }
                advanced = advance(&mut self.source, &mut self.outbox, &mut self.writer) => {
                    advanced?;
                    self.progress_at = Instant::now();
                }
                _ = ticks.tick() => self.look_at_clocks(is_writing)?,
            }
            if self.outbox.is_empty()
                && let Some(payload) = self.ping.take()
            {
                self.outbox.pieces.push_back(frame::message(Opcode::Pong, &payload));
            }
        }
    }

    fn take_received(&mut self) -> Result<(), End> {
        loop {
            let received = self.inbox.next().map_err(|code| End::Ours(Farewell::silent(code)))?;
            match received {
                None => return Ok(()),
                Some(Received::Text(text)) => self.source.receive(&text).map_err(End::Ours)?,
                Some(Received::Ping(payload)) => self.ping = Some(payload),
                Some(Received::Binary | Received::Pong) => {}
                Some(Received::Close(code)) => return Err(End::Theirs(code)),
            }
        }
    }

    fn look_at_clocks(&mut self, is_writing: bool) -> Result<(), End> {
        if is_writing {
            self.waited_secs += TICK_SECS;
            let paid_secs = self.outbox.total_bytes / limits::WEBSOCKET_BYTES_PER_SEC_MIN;
            let trickles = self.waited_secs > limits::WEBSOCKET_GRACE_SECS.saturating_add(paid_secs);
            if trickles || self.progress_at.elapsed().as_secs() >= limits::WEBSOCKET_STALL_SECS {
                return Err(End::Ours(self.source.too_slow()));
            }
        } else {
            self.progress_at = Instant::now();
        }
        if self.heard_at.elapsed().as_secs() >= limits::WEBSOCKET_SILENCE_SECS {
            return Err(End::Gone);
        }
        if self.asked_at.elapsed().as_secs() >= limits::WEBSOCKET_PING_SECS {
            self.asked_at = Instant::now();
            self.outbox.pieces.push_back(frame::message(Opcode::Ping, b""));
        }
        Ok(())
    }

    /// Tells the client why, and waits a little for it to agree, so that the reason is not lost with the connection.
    async fn say_farewell(&mut self, farewell: Farewell) {
        self.outbox.cut_short();
        self.outbox.pieces.extend(farewell.message);
        let code = (farewell.code as u16).to_be_bytes();
        self.outbox.pieces.push_back(frame::message(Opcode::Close, &[&code, farewell.reason.as_bytes()].concat()));
        // What the client sent can't be told apart any more, so neither can its agreement.
        let is_unreadable = matches!(farewell.code, Code::TooBig | Code::Protocol);
        let said = async {
            let tell = async {
                send(&mut self.outbox, &mut self.writer).await;
                if is_unreadable {
                    let _ = self.writer.shutdown().await;
                }
            };
            // Reading on meanwhile: a client that waits for us to take what it sends would not read either, and one
            // that is cut off while it sends may never read why.
            let listen = async {
                if is_unreadable {
                    drain(&mut self.reader).await;
                } else {
                    until_closed(&mut self.reader, &mut self.inbox).await;
                }
            };
            tokio::join!(tell, listen);
        };
        let _ = time::timeout(Duration::from_secs(limits::WEBSOCKET_CLOSE_SECS), said).await;
        let _ = self.writer.shutdown().await;
    }

    /// Ends a session as the client wants it.
    async fn agree(&mut self, code: Option<[u8; 2]>) {
        self.outbox.cut_short();
        let payload = code.as_ref().map_or(&[][..], |code| code);
        self.outbox.pieces.push_back(frame::message(Opcode::Close, payload));
        let said = send(&mut self.outbox, &mut self.writer);
        let _ = time::timeout(Duration::from_secs(limits::WEBSOCKET_CLOSE_SECS), said).await;
        let _ = self.writer.shutdown().await;
    }
}

/// Reads some bytes. May be dropped at any moment.
async fn read(reader: &mut (impl AsyncRead + Unpin), inbox: &mut Inbox) -> io::Result<()> {
    inbox.bytes.reserve(READ_BYTES);
    match reader.read_buf(&mut inbox.bytes).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Gets something to write, or writes some of it. May be dropped at any moment.
async fn advance<S: Source>(
    source: &mut S,
    outbox: &mut Outbox,
    writer: &mut (impl AsyncWrite + Unpin),
) -> Result<(), End> {
    if outbox.is_empty() {
        source.next(&mut outbox.pieces).await.map_err(End::Ours)
    } else {
        Ok(outbox.write(writer).await?)
    }
}

async fn send(outbox: &mut Outbox, writer: &mut (impl AsyncWrite + Unpin)) {
    while !outbox.is_empty() {
        if outbox.write(writer).await.is_err() {
            return;
        }
    }
}

/// Reads and drops what a client still sends, within bounds.
async fn drain(reader: &mut (impl AsyncRead + Unpin)) {
    let mut scratch = [0; READ_BYTES];
    let mut bytes_left = limits::WEBSOCKET_DRAINED_BYTES_MAX;
    while let Ok(read @ 1..) = reader.read(&mut scratch).await {
        let Some(left) = bytes_left.checked_sub(read) else { return };
        bytes_left = left;
    }
}

/// Reads until the client closes, breaks off, or sends what are no frames.
async fn until_closed(reader: &mut (impl AsyncRead + Unpin), inbox: &mut Inbox) {
    loop {
        match inbox.next() {
            Ok(Some(Received::Text(_) | Received::Binary | Received::Ping(_) | Received::Pong)) => {}
            Ok(None) if read(reader, inbox).await.is_ok() => {}
            Ok(Some(Received::Close(_)) | None) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::DuplexStream, task::JoinHandle};

    use super::*;

    /// How much the connection takes before somebody reads.
    const PIPE_BYTES: usize = 1_000;
    const PING: &[u8] = &[0x89, 0];

    /// Gives what it has, then waits for ever.
    struct Given(VecDeque<Bytes>);

    impl Source for Given {
        async fn next(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), Farewell> {
            match self.0.pop_front() {
                Some(bytes) if bytes.is_empty() => return Err(farewell("Refused")),
                Some(bytes) => out.push_back(bytes),
                None => std::future::pending().await,
            }
            Ok(())
        }

        fn too_slow(&self) -> Farewell {
            farewell("ConsumerTooSlow")
        }
    }

    fn farewell(name: &'static str) -> Farewell {
        Farewell {
            message: Some(frame::message(Opcode::Binary, b"why")),
            code: Code::Policy,
            reason: Cow::Borrowed(name),
        }
    }

    fn message(bytes: usize) -> Bytes {
        frame::message(Opcode::Binary, &vec![7; bytes])
    }

    fn close(code: Code, reason: &str) -> Bytes {
        frame::message(Opcode::Close, &[&(code as u16).to_be_bytes(), reason.as_bytes()].concat())
    }

    /// Starts a session; gives the client's end, what stops the server, and the session's end.
    fn start(given: Vec<Bytes>) -> (DuplexStream, CancellationToken, JoinHandle<()>) {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        let stopping = CancellationToken::new();
        let token = stopping.clone();
        let session = tokio::spawn(async move { run(ours, Given(given.into()), &token).await });
        (theirs, stopping, session)
    }

    async fn everything(client: &mut DuplexStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_let_go() {
        let (mut client, _stopping, session) = start(vec![message(400), message(4_000)]);
        let begun = Instant::now();
        session.await.unwrap();
        let secs = begun.elapsed().as_secs();
        let latest = limits::WEBSOCKET_STALL_SECS + TICK_SECS + limits::WEBSOCKET_CLOSE_SECS;
        assert!((limits::WEBSOCKET_STALL_SECS..=latest).contains(&secs), "{secs} s");
        let sent = [message(400), message(4_000)].concat();
        assert_eq!(everything(&mut client).await, sent[..PIPE_BYTES]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stalls_and_reads_in_time_reads_why() {
        let (mut client, _stopping, session) = start(vec![[message(900), message(900), message(900)].concat().into()]);
        // The stall is seen at a tick, and from there the last words wait for a while.
        time::sleep(Duration::from_secs(limits::WEBSOCKET_STALL_SECS + 1)).await;
        let expected = [
            message(900),
            message(900),
            frame::message(Opcode::Binary, b"why"),
            close(Code::Policy, "ConsumerTooSlow"),
        ];
        assert_eq!(everything(&mut client).await, expected.concat());
        session.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_a_little_now_and_then_is_not_stalled() {
        let (mut client, stopping, session) = start(vec![message(5_000)]);
        let mut read = vec![0; 500];
        for _ in 0..5 {
            time::sleep(Duration::from_secs(limits::WEBSOCKET_STALL_SECS - 2 * TICK_SECS)).await;
            client.read_exact(&mut read).await.unwrap();
        }
        assert!(!session.is_finished());
        stopping.cancel();
        drop(client);
        session.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_trickles_for_long_is_let_go() {
        let (mut client, _stopping, session) = start(vec![message(50_000)]);
        let begun = Instant::now();
        let mut read = [0; 500];
        while !session.is_finished() {
            time::sleep(Duration::from_secs(5)).await;
            if client.read_exact(&mut read).await.is_err() {
                break;
            }
        }
        session.await.unwrap();
        let secs = begun.elapsed().as_secs();
        assert!((limits::WEBSOCKET_GRACE_SECS..2 * limits::WEBSOCKET_GRACE_SECS).contains(&secs), "{secs} s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_asked_and_then_let_go() {
        let (mut client, _stopping, session) = start(Vec::new());
        let begun = Instant::now();
        let heard = everything(&mut client).await;
        session.await.unwrap();
        assert!(heard.len() >= 3 * PING.len() && heard.chunks(2).all(|chunk| chunk == PING), "{heard:?}");
        let secs = begun.elapsed().as_secs();
        assert!((limits::WEBSOCKET_SILENCE_SECS..limits::WEBSOCKET_SILENCE_SECS + 2 * TICK_SECS).contains(&secs));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_to_a_ping_keeps_a_client() {
        let (mut client, stopping, session) = start(Vec::new());
        for _ in 0..20 {
            let mut ping = [0; 2];
            client.read_exact(&mut ping).await.unwrap();
            assert_eq!(ping, PING);
            client.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await.unwrap();
        }
        stopping.cancel();
        assert_eq!(everything(&mut client).await, close(Code::GoingAway, ""));
        session.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_agree_to_the_end_is_left() {
        let (client, stopping, session) = start(vec![message(5_000)]);
        stopping.cancel();
        let begun = Instant::now();
        session.await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), limits::WEBSOCKET_CLOSE_SECS);
        drop(client);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_source_ends_with_is_told() {
        let (mut client, _stopping, session) = start(vec![message(3), Bytes::new()]);
        let told = [message(3), frame::message(Opcode::Binary, b"why"), close(Code::Policy, "Refused")].concat();
        assert_eq!(everything(&mut client).await, told);
        session.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_ends_it_is_answered_in_kind() {
        let (mut client, _stopping, session) = start(Vec::new());
        client.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).await.unwrap();
        assert_eq!(everything(&mut client).await, [0x88, 2, 0x03, 0xe8]);
        session.await.unwrap();
    }
}
