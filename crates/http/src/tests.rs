//! The accept loop over real sockets, with a service that only echoes. Time is paused: it jumps ahead as soon as
//! nothing moves, so a time-out costs no time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};

use super::*;
use crate::body::BodyError;

/// Answers the body it got; `/slow` takes its time, `/large` answers more than a socket holds.
struct Echo;

const SLOW_SECS: u64 = 20;
const LARGE_BYTES: usize = 64 * 1024 * 1024;

impl Service for Echo {
    async fn call(&self, _: SocketAddr, request: Request<RequestBody>) -> Response<ResponseBody> {
        let path = request.uri().path().to_owned();
        match request.into_body().collect().await {
            Ok(_) if path == "/large" => Response::new(ResponseBody::bytes(vec![0; LARGE_BYTES])),
            Ok(body) => {
                if path == "/slow" {
                    time::sleep(Duration::from_secs(SLOW_SECS)).await;
                }
                Response::new(ResponseBody::bytes(body.to_bytes()))
            }
            Err(BodyError::TooSlow) => text(http::StatusCode::REQUEST_TIMEOUT, "slow"),
            Err(BodyError::Broken(_)) => text(http::StatusCode::BAD_REQUEST, "broken"),
        }
    }
}

fn text(status: http::StatusCode, text: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::bytes(text));
    *response.status_mut() = status;
    response
}

struct TestServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl TestServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task =
            tokio::spawn(serve(listener, Arc::new(Echo), Admission::default(), async move { drop(stopped.await) }));
        Self { address, stop: Some(stop), task }
    }

    #[expect(clippy::disallowed_methods, reason = "the test is the client")]
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Sends these bytes and reads until the server closes.
    async fn exchange(&self, sent: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is a close, too.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        answer.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_connection_serves_request_after_request() {
    let server = TestServer::start().await;
    let mut stream = server.connect().await;
    for word in ["one", "two"] {
        stream
            .write_all(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{word}").as_bytes())
            .await
            .unwrap();
        let answer = read_until(&mut stream, word).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_head_must_come_in_time() {
    let server = TestServer::start().await;
    for started in [&b""[..], b"GET / HTTP/1.1\r\nHost:"] {
        let start = Instant::now();
        assert_eq!(server.exchange(started).await, "");
        assert_eq!(start.elapsed().as_secs(), limits::HEADER_TIMEOUT_SECS);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed() {
    let server = TestServer::start().await;
    let start = Instant::now();
    let answer = server.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(start.elapsed().as_secs(), limits::CONNECTION_IDLE_SECS);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_given_up() {
    let server = TestServer::start().await;
    let start = Instant::now();
    let answer = server.exchange(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(
        start.elapsed().as_secs() <= limits::BODY_GRACE_SECS + limits::HEADER_TIMEOUT_SECS,
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut() {
    let mut server = TestServer::start().await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    // One byte read proves that the answer is under way.
    stream.read_u8().await.unwrap();
    let start = Instant::now();
    time::sleep(Duration::from_secs(limits::CONNECTION_IDLE_SECS + 1)).await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.len() < LARGE_BYTES, "the whole answer came");
    server.stop();
    (&mut server.task).await.unwrap();
    assert!(start.elapsed().as_secs() < limits::CONNECTION_IDLE_SECS + limits::SHUTDOWN_SECS);
}

/// An HTTP/2 client whose streams take `window` bytes, and who asks for a sign of life every few seconds.
async fn h2(server: &TestServer, window: u32) -> h2::client::SendRequest<Bytes> {
    let stream = server.connect().await;
    let (client, mut connection) =
        h2::client::Builder::new().initial_window_size(window).handshake::<_, Bytes>(stream).await.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    tokio::spawn(connection);
    tokio::spawn(async move {
        while pings.ping(h2::Ping::opaque()).await.is_ok() {
            time::sleep(Duration::from_secs(5)).await;
        }
    });
    client
}

async fn get(client: &h2::client::SendRequest<Bytes>, path: &str) -> Response<h2::RecvStream> {
    let mut client = client.clone().ready().await.unwrap();
    let request = Request::get(format!("http://a{path}")).body(()).unwrap();
    client.send_request(request, true).unwrap().0.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_http2_stream_that_is_not_taken_is_reset_and_the_connection_goes_on() {
    let server = TestServer::start().await;
    for window in [0, 1] {
        let client = h2(&server, window).await;
        let start = Instant::now();
        let mut body = get(&client, "/large").await.into_body();
        let error = loop {
            match body.data().await.unwrap() {
                Ok(data) => assert!(data.len() <= window as usize),
                Err(error) => break error,
            }
        };
        assert_eq!(error.reason(), Some(h2::Reason::CANCEL), "{error}");
        let latest = limits::ANSWER_STALL_SECS + limits::HEADER_TIMEOUT_SECS;
        assert!((limits::ANSWER_STALL_SECS..=latest).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
        assert_eq!(get(&client, "/").await.status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_reset_ends_with_its_connection() {
    let server = TestServer::start().await;
    // A short answer, all of which HTTP/2 has taken over.
    let client = h2(&server, 1).await;
    let start = Instant::now();
    let mut ready = client.clone().ready().await.unwrap();
    let request = Request::post("http://a/").body(()).unwrap();
    let (answer, mut body) = ready.send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(b"some bytes"), true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    while let Some(Ok(data)) = body.data().await {
        assert!(data.len() <= 1);
    }
    let latest = limits::ANSWER_STALL_SECS + limits::CONNECTION_CLOSE_SECS + limits::HEADER_TIMEOUT_SECS;
    assert!((limits::ANSWER_STALL_SECS..=latest).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn pings_keep_no_connection_open() {
    let server = TestServer::start().await;
    let client = h2(&server, 65_535).await;
    let start = Instant::now();
    assert_eq!(get(&client, "/").await.status(), 200);
    loop {
        time::sleep(Duration::from_secs(1)).await;
        if client.clone().ready().await.is_err() {
            break;
        }
        assert!(start.elapsed().as_secs() <= 2 * limits::CONNECTION_IDLE_SECS, "it is still open");
    }
    assert!(start.elapsed().as_secs() >= limits::CONNECTION_IDLE_SECS);
}

#[tokio::test(start_paused = true)]
async fn what_could_be_smuggled_is_refused() {
    let server = TestServer::start().await;
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(limits::HEADER_BYTES_MAX));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(limits::HEADER_FIELDS_MAX + 1));
    for (sent, status) in [
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "400"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", "400"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "400"),
        ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", "400"),
        (&large, "431"),
        (&many, "431"),
    ] {
        let answer = server.exchange(sent.as_bytes()).await;
        assert_eq!(answer.get(9..12), Some(status), "{sent:?} gave {answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_two_lengths_nothing_more_is_read() {
    let server = TestServer::start().await;
    for (first, second) in
        [("Content-Length: 5", "Transfer-Encoding: chunked"), ("Transfer-Encoding: chunked", "Content-Length: 5")]
    {
        let start = Instant::now();
        let sent = format!(
            "POST / HTTP/1.1\r\nHost: a\r\n{first}\r\n{second}\r\n\r\n0\r\n\r\nGET /s HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        let answer = server.exchange(sent.as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        assert_eq!(start.elapsed().as_secs(), 0, "the connection stayed open");
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_lets_requests_end_and_closes_the_idle() {
    let mut server = TestServer::start().await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_until(&mut idle, "\r\n\r\n").await;
    let mut slow = server.connect().await;
    slow.write_all(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    time::sleep(Duration::from_secs(1)).await;

    let start = Instant::now();
    server.stop();
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(start.elapsed().as_secs(), 0);
    read_until(&mut slow, "ok").await;
    (&mut server.task).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), SLOW_SECS - 1);
}

#[tokio::test(start_paused = true)]
async fn stopping_has_an_end() {
    let mut server = TestServer::start().await;
    let mut stalled = server.connect().await;
    stalled.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    stalled.read_u8().await.unwrap();
    let start = Instant::now();
    server.stop();
    (&mut server.task).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), limits::SHUTDOWN_SECS);
}

#[tokio::test(start_paused = true)]
async fn that_connections_can_not_be_accepted_is_said_once_a_minute() {
    let refused = LogThrottle::every_secs(limits::ACCEPT_WARNING_SECS);
    assert_eq!(refused.count(), Some(1));
    for _ in 0..1_199 {
        time::advance(Duration::from_millis(limits::ACCEPT_RETRY_MILLIS)).await;
        assert_eq!(refused.count(), None);
    }
    time::advance(Duration::from_millis(limits::ACCEPT_RETRY_MILLIS)).await;
    assert_eq!(refused.count(), Some(1_200));
}

#[tokio::test(start_paused = true)]
async fn a_refused_body_is_read_within_bounds() {
    struct Refuse;
    impl Service for Refuse {
        async fn call(&self, _: SocketAddr, request: Request<RequestBody>) -> Response<ResponseBody> {
            request.into_body().drain().await;
            text(http::StatusCode::PAYLOAD_TOO_LARGE, "no")
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(serve(listener, Arc::new(Refuse), Admission::default(), std::future::pending()));
    let server = TestServer { address, stop: None, task };
    let within = usize::try_from(limits::REFUSED_BODY_BYTES_MAX).unwrap();
    let head = |bytes: usize| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {bytes}\r\n\r\n");

    let mut stream = server.connect().await;
    for _ in 0..2 {
        stream.write_all(&[head(within).as_bytes(), &vec![0; within]].concat()).await.unwrap();
        assert!(read_until(&mut stream, "no").await.starts_with("HTTP/1.1 413 "), "the connection is not in use");
    }
    let start = Instant::now();
    assert!(server.exchange(head(within + 1).as_bytes()).await.starts_with("HTTP/1.1 413 "));
    assert_eq!(start.elapsed().as_secs(), 0, "a body declared too large was waited for");
    assert!(server.exchange(head(within).as_bytes()).await.starts_with("HTTP/1.1 413 "));
    assert_eq!(start.elapsed().as_secs(), limits::REFUSED_BODY_SECS);
    server.task.abort();
}

/// Gives connections that are in memory.
struct InMemory(tokio::sync::Mutex<mpsc::Receiver<DuplexStream>>);

impl Listener for InMemory {
    type Io = DuplexStream;

    async fn accept(&self) -> io::Result<(DuplexStream, SocketAddr)> {
        let stream = self.0.lock().await.recv().await.ok_or(io::ErrorKind::NotConnected)?;
        Ok((stream, SocketAddr::from(([198, 51, 100, 1], 1))))
    }
}

#[tokio::test(start_paused = true)]
async fn several_listeners_of_any_kind_share_one_server() {
    let (connect, connections) = mpsc::channel(1);
    let server = super::Server::new(Arc::new(Echo), Admission { connections_max: 1, ..Admission::default() });
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let (client, stream) = tokio::io::duplex(4096);
    connect.send(stream).await.unwrap();
    let in_memory = InMemory(connections.into());
    let listening = async { tokio::join!(server.listen(&tcp), server.listen(&in_memory)) };
    let exchange = async |mut stream: Box<dyn Stream>| {
        let request = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let exchanges = async {
        let in_memory = exchange(Box::new(client)).await;
        #[expect(clippy::disallowed_methods, reason = "the test is the client")]
        let over_tcp = exchange(Box::new(TcpStream::connect(address).await.unwrap())).await;
        [in_memory, over_tcp]
    };
    let answers = tokio::select! {
        _ = listening => panic!("listening ended"),
        answers = exchanges => answers,
    };
    for answer in answers {
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("abc"), "{answer}");
    }
    server.shut_down().await;
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}
