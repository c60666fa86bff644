//! A did:plc directory that does what a test says, around a real one: what it accepts is really accepted.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use allod_atproto::json::{self, Limits};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
};
use url::Url;

/// How many connections wait in the kernel.
const BACKLOG: u32 = 1024;

/// What the directory does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// What a directory should.
    Work,
    /// It does not listen: connections are refused.
    Down,
    /// It answers this status and message, without looking at the request.
    Answer(u16, String),
    /// It looks at the request as it should, and answers this status and message instead of the truth.
    WorkAndAnswer(u16, String),
    /// It looks at the request as it should, and closes the connection without an answer.
    WorkAndDrop,
    /// It takes this long, in real time, before it works.
    Slow(Duration),
    /// It takes the request, and neither works nor answers until the behaviour changes; then it closes the connection.
    Hang,
}

/// An operation that was sent to the directory.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The DID in the path.
    pub did: String,
    /// The operation, null when it was not JSON.
    pub operation: Value,
    /// What the real directory answered; none when it was not asked.
    pub status: Option<u16>,
}

impl Submission {
    /// Whether the operation starts a DID.
    pub fn is_genesis(&self) -> bool {
        self.operation.get("prev").is_some_and(Value::is_null)
    }

    /// Whether the real directory took it.
    pub fn is_accepted(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// The directory's script and what it has seen.
#[derive(Debug, Clone)]
pub struct ScriptedPlc {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    address: SocketAddr,
    real: Url,
    client: reqwest::Client,
    reads: watch::Sender<Behaviour>,
    /// For look-ups of single DIDs.
    reads_of: Mutex<HashMap<String, Behaviour>>,
    submissions: watch::Sender<Behaviour>,
    listening: watch::Sender<bool>,
    log: Mutex<Vec<Submission>>,
    read_count: AtomicUsize,
}

impl ScriptedPlc {
    /// Takes a port and stands in front of the real directory.
    pub(crate) fn bind(real: Url, client: reqwest::Client) -> io::Result<(Self, Door)> {
        let socket = bound(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let state = State {
            address: socket.local_addr()?,
            real,
            client,
            reads: watch::Sender::new(Behaviour::Work),
            reads_of: Mutex::default(),
            submissions: watch::Sender::new(Behaviour::Work),
            listening: watch::Sender::new(false),
            log: Mutex::default(),
            read_count: AtomicUsize::new(0),
        };
        let state = Arc::new(state);
        Ok((Self { state: Arc::clone(&state) }, Door { state, socket }))
    }

    /// The URL to ask.
    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.state.address)).expect("an address makes a URL")
    }

    /// The real directory's URL, where nothing goes wrong and nothing is counted.
    pub fn real_url(&self) -> &Url {
        &self.state.real
    }

    /// Decides for all requests from now on; it is so when this returns.
    pub async fn behave(&self, behaviour: Behaviour) {
        let listens = behaviour != Behaviour::Down;
        self.state.submissions.send_replace(behaviour.clone());
        self.state.reads.send_replace(behaviour);
        // The sender is here, so the wait can't end for want of one.
        let _ = self.state.listening.subscribe().wait_for(|listening| *listening == listens).await;
    }

    /// Decides for operations sent to it from now on. [`Behaviour::Down`] is for all requests or none.
    pub fn behave_on_submissions(&self, behaviour: Behaviour) {
        assert_ne!(behaviour, Behaviour::Down, "a port is down for everybody");
        self.state.submissions.send_replace(behaviour);
    }

    /// Decides for look-ups from now on. [`Behaviour::Down`] is for all requests or none.
    pub fn behave_on_reads(&self, behaviour: Behaviour) {
        assert_ne!(behaviour, Behaviour::Down, "a port is down for everybody");
        self.state.reads.send_replace(behaviour);
    }

    /// Decides for look-ups of one DID from now on; those that take no time.
    pub fn behave_on_reads_of(&self, did: &str, behaviour: Behaviour) {
        assert!(!matches!(behaviour, Behaviour::Down | Behaviour::Hang), "these are for all requests");
        self.state.reads_of.lock().insert(did.to_owned(), behaviour);
    }

    /// Every operation it was sent, in order.
    pub fn submissions(&self) -> Vec<Submission> {
        self.state.log.lock().clone()
    }

    /// How many look-ups it was sent.
    pub fn reads(&self) -> usize {
        self.state.read_count.load(Relaxed)
    }

    /// How many operations that start a DID it was sent.
    pub fn genesis_operations(&self) -> usize {
        self.state.log.lock().iter().filter(|submission| submission.is_genesis()).count()
    }

    /// How many DIDs were really started.
    pub fn accepted_genesis_operations(&self) -> usize {
        self.state.log.lock().iter().filter(|submission| submission.is_genesis() && submission.is_accepted()).count()
    }

    /// The real directory's document of a DID, whatever the script says; none when it has none.
    pub async fn document(&self, did: &str) -> Option<Value> {
        let url = self.state.real.join(&format!("/{did}")).expect("a DID is a path");
        let response = self.state.client.get(url).send().await.expect("the real directory answers");
        if response.status() != StatusCode::OK {
            return None;
        }
        let document = response.bytes().await.expect("the real directory answers");
        Some(json::parse(&document, &Limits::OWN).expect("the real directory answers JSON"))
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// The directory's side of the network.
pub(crate) struct Door {
    state: Arc<State>,
    /// Holds the port; connections are refused until it listens.
    socket: TcpSocket,
}

impl Door {
    /// Takes requests until it is dropped.
    pub(crate) async fn serve(self) -> io::Result<Infallible> {
        let Self { state, mut socket } = self;
        let mut behaviour = state.reads.subscribe();
        loop {
            // Down is a port that is held by a socket that does not listen.
            let open = behaviour.wait_for(|behaviour| *behaviour != Behaviour::Down);
            open.await.map_err(io::Error::other).map(drop)?;
            let listener = socket.listen(BACKLOG)?;
            state.listening.send_replace(true);
            let mut connections = JoinSet::new();
            loop {
                let down = behaviour.wait_for(|behaviour| *behaviour == Behaviour::Down);
                tokio::select! {
                    biased;
                    changed = down => {
                        changed.map_err(io::Error::other).map(drop)?;
                        break;
                    }
                    accepted = listener.accept() => {
                        let (stream, _) = accepted?;
                        connections.spawn(connection(Arc::clone(&state), stream));
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
            connections.shutdown().await;
            drop(listener);
            socket = bound(state.address)?;
            state.listening.send_replace(false);
        }
    }
}

/// Closes the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the script says so")]
struct Dropped;

async fn connection(state: Arc<State>, stream: TcpStream) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { answer(&state, request).await }
    });
    // How a connection ends is the script's business.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(state: &State, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Dropped> {
    let (head, body) = request.into_parts();
    let submission = head.method == Method::POST;
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    let at = submission.then(|| state.log_submission(head.uri.path(), &body));
    if !submission {
        state.read_count.fetch_add(1, Relaxed);
    }
    let behaviours = if submission { &state.submissions } else { &state.reads };
    let did = head.uri.path().split('/').nth(1).unwrap_or_default();
    let of_did = if submission { None } else { state.reads_of.lock().get(did).cloned() };
    let behaviour = of_did.unwrap_or_else(|| behaviours.borrow().clone());
    let real = async || {
        let url = state.real.join(head.uri.path_and_query().map_or("/", |path| path.as_str())).map_err(|_| Dropped)?;
        let mut ask = state.client.request(head.method.clone(), url).body(body.clone());
        if let Some(content_type) = head.headers.get(header::CONTENT_TYPE) {
            ask = ask.header(header::CONTENT_TYPE, content_type);
        }
        let response = ask.send().await.map_err(|_| Dropped)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(|_| Dropped)?;
        if let Some(at) = at {
            state.note_status(at, status);
        }
        let mut answer = Response::new(Full::new(body));
        *answer.status_mut() = status;
        if let Some(content_type) = headers.get(header::CONTENT_TYPE) {
            answer.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
        }
        Ok(answer)
    };
    match behaviour {
        Behaviour::Work => real().await,
        Behaviour::Down => Err(Dropped),
        Behaviour::Answer(status, message) => Ok(made_up(status, &message)),
        Behaviour::WorkAndAnswer(status, message) => real().await.map(|_| made_up(status, &message)),
        Behaviour::WorkAndDrop => {
            real().await?;
            Err(Dropped)
        }
        Behaviour::Slow(by) => {
            tokio::time::sleep(by).await;
            real().await
        }
        Behaviour::Hang => {
            let _ = behaviours.subscribe().wait_for(|behaviour| *behaviour != Behaviour::Hang).await;
            Err(Dropped)
        }
    }
}

fn made_up(status: u16, message: &str) -> Response<Full<Bytes>> {
    let body = serde_json::json!({ "message": message }).to_string();
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = StatusCode::from_u16(status).expect("a script names statuses that exist");
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

impl State {
    fn log_submission(&self, path: &str, body: &[u8]) -> usize {
        let operation = json::parse(body, &Limits::OWN).unwrap_or(Value::Null);
        let mut log = self.log.lock();
        log.push(Submission { did: path.trim_start_matches('/').to_owned(), operation, status: None });
        log.len() - 1
    }

    fn note_status(&self, at: usize, status: StatusCode) {
        if let Some(submission) = self.log.lock().get_mut(at) {
            submission.status = Some(status.as_u16());
        }
    }
}
