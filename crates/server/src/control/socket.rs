//! The socket, both ends.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use allod_atproto::json::{self, Limits};
use allod_http::log_throttle::LogThrottle;
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use super::{
    Answer, COMMAND_SECS_MAX, COMMANDS_AT_ONCE_MAX, Command, ControlError, LINE_SECS_MAX, PIECE_BYTES, PIECE_BYTES_MAX,
    PIECE_SECS_MAX, Part, Peer, REPLY_BYTES_MAX, REQUEST_BYTES_MAX, Reply, SOCKET_FILE, execute,
};
use crate::app::App;

/// What a command may have.
const REQUEST: Limits = Limits::bytes(REQUEST_BYTES_MAX);
/// What an answer may have: a server of ours wrote it, and its length is bounded.
const REPLY: Limits = Limits::bytes(REPLY_BYTES_MAX).values(usize::MAX);
/// How long accepting pauses after the system refused a connection, in milliseconds.
const ACCEPT_RETRY_MILLIS: u64 = 200;

/// How often connections that can't be accepted are logged, in seconds.
const ACCEPT_WARNING_SECS: u64 = 60;

/// The socket could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the control socket {} can't be made: {reason}", path.display())]
pub struct ListenError {
    path: PathBuf,
    reason: io::Error,
}

/// Why no answer came back.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No server takes commands there.
    #[error("no server is listening")]
    NoServer,
    /// The server went away, or took too long. The command may have been carried out.
    #[error("the server did not answer: {0}")]
    Broken(io::Error),
    /// What the command takes could not be read here, or what it gives not be taken.
    #[error(transparent)]
    Here(io::Error),
    /// The server refused.
    #[error(transparent)]
    Refused(#[from] ControlError),
}

/// A bound socket; the file is removed when this is dropped.
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Makes the socket in the data directory, in place of one that a server left behind. Whoever calls this holds the
    /// data directory's database, so that no running server loses its socket.
    pub fn bind(data_directory: &Path) -> Result<Self, ListenError> {
        let path = data_directory.join(SOCKET_FILE);
        match bind_private(data_directory, &path) {
            Ok(socket) => Ok(Self { socket, path }),
            Err(reason) => Err(ListenError { path, reason }),
        }
    }

    /// Carries out commands until it is dropped; commands under way are given up then.
    pub async fn serve(self, app: Arc<App>) {
        let turns = Arc::new(Semaphore::new(COMMANDS_AT_ONCE_MAX));
        let mut connections = JoinSet::new();
        let failures = LogThrottle::every_secs(ACCEPT_WARNING_SECS);
        while let Ok(turn) = Arc::clone(&turns).acquire_owned().await {
            while connections.try_join_next().is_some() {}
            match self.socket.accept().await {
                Ok((stream, _)) => {
                    let app = Arc::clone(&app);
                    connections.spawn(async move {
                        if let Err(reason) = answer(stream, &app).await {
                            tracing::debug!(%reason, "a control connection broke");
                        }
                        drop(turn);
                    });
                }
                Err(reason) => {
                    if let Some(failures) = failures.count() {
                        tracing::warn!(%reason, failures, "control connections can't be accepted");
                    }
                    tokio::time::sleep(Duration::from_millis(ACCEPT_RETRY_MILLIS)).await;
                }
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Nothing is lost if it stays: the next server replaces it, and a caller finds nobody behind it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Binds inside a private directory and moves the socket into place with its final permissions, so that there is no
/// moment in which somebody else could connect.
fn bind_private(data_directory: &Path, path: &Path) -> io::Result<UnixListener> {
    let private = data_directory.join(format!(".control-{}", std::process::id()));
    let _ = fs::remove_dir_all(&private);
    fs::DirBuilder::new().mode(0o700).create(&private)?;
    let inside = private.join("s");
    let bound = UnixListener::bind(&inside).and_then(|socket| {
        fs::set_permissions(&inside, fs::Permissions::from_mode(0o600))?;
        fs::rename(&inside, path)?;
        Ok(socket)
    });
    let _ = fs::remove_dir_all(&private);
    bound
}

async fn answer(stream: UnixStream, app: &Arc<App>) -> io::Result<()> {
    let (read, write) = stream.into_split();
    let mut caller = Caller { read: BufReader::new(read), write };
    let line = zeroize::Zeroizing::new(read_line(&mut caller.read, REQUEST_BYTES_MAX, LINE_SECS_MAX).await?);
    let reply = match json::read::<Command>(&line, &REQUEST) {
        Ok(command) => execute(app, command, &mut caller).await.map_or_else(Reply::Err, Reply::Ok),
        Err(reason) => Reply::Err(ControlError {
            error: "InvalidRequest".to_owned(),
            message: format!("not a command of this version: {reason}"),
        }),
    };
    caller.reply(&reply, &[], LINE_SECS_MAX).await?;
    caller.write.shutdown().await
}

/// The caller of a command, seen from the server.
struct Caller {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

impl Caller {
    /// Sends a line and the bytes that belong to it.
    async fn reply(&mut self, reply: &Reply, bytes: &[u8], secs: u64) -> io::Result<()> {
        let mut line = serde_json::to_vec(reply).map_err(io::Error::other)?;
        line.push(b'\n');
        within(secs, async {
            self.write.write_all(&line).await?;
            self.write.write_all(bytes).await
        })
        .await
    }
}

impl Peer for Caller {
    fn part(&mut self, part: Part) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            match part {
                Part::Records(records) => self.reply(&Reply::Records(records), &[], PIECE_SECS_MAX).await,
                Part::Verified(report) => self.reply(&Reply::Verified(report), &[], PIECE_SECS_MAX).await,
                Part::Bytes(bytes) => self.reply(&Reply::Bytes(bytes.len() as u64), &bytes, PIECE_SECS_MAX).await,
            }
        })
    }

    fn input(&mut self) -> BoxFuture<'_, io::Result<Option<Bytes>>> {
        Box::pin(async move {
            let mut piece = BytesMut::with_capacity(PIECE_BYTES);
            let read = within(PIECE_SECS_MAX, self.read.read_buf(&mut piece)).await?;
            Ok((read > 0).then(|| piece.freeze()))
        })
    }
}

/// Hands a command to the server behind the socket, with the file that it takes, and waits for its answer.
pub async fn call(socket: &Path, command: &Command, peer: &mut dyn Peer) -> Result<Answer, CallError> {
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(reason) if matches!(reason.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Err(CallError::NoServer);
        }
        Err(reason) => return Err(CallError::Broken(reason)),
    };
    let (read, mut write) = stream.into_split();
    let mut line = serde_json::to_vec(command).map(zeroize::Zeroizing::new).map_err(|e| CallError::Broken(e.into()))?;
    line.push(b'\n');
    write.write_all(&line).await.map_err(CallError::Broken)?;
    while let Some(piece) = peer.input().await.map_err(CallError::Here)? {
        // A server that has refused takes no more, and has said why.
        if write.write_all(&piece).await.is_err() {
            break;
        }
    }
    let mut read = BufReader::new(read);
    loop {
        let line = read_line(&mut read, REPLY_BYTES_MAX, COMMAND_SECS_MAX).await.map_err(CallError::Broken)?;
        let part = match json::read(&line, &REPLY).map_err(|reason| CallError::Broken(io::Error::other(reason)))? {
            Reply::Ok(answer) => return Ok(answer),
            Reply::Err(error) => return Err(error.into()),
            Reply::Records(records) => Part::Records(records),
            Reply::Verified(report) => Part::Verified(report),
            Reply::Bytes(length) => Part::Bytes(read_bytes(&mut read, length).await.map_err(CallError::Broken)?),
        };
        peer.part(part).await.map_err(CallError::Here)?;
    }
}

/// Reads one line of at most `bytes_max` bytes within `secs` seconds.
async fn read_line(read: &mut BufReader<OwnedReadHalf>, bytes_max: usize, secs: u64) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    within(secs, read.take(bytes_max as u64).read_until(b'\n', &mut line)).await?;
    if line.pop() != Some(b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is cut off or too long"));
    }
    Ok(line)
}

/// Reads a piece of a file.
async fn read_bytes(read: &mut BufReader<OwnedReadHalf>, length: u64) -> io::Result<Bytes> {
    let length = usize::try_from(length.min(PIECE_BYTES_MAX + 1)).map_err(io::Error::other)?;
    if length as u64 > PIECE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the piece is too large"));
    }
    let mut bytes = vec![0; length];
    within(PIECE_SECS_MAX, read.read_exact(&mut bytes)).await?;
    Ok(bytes.into())
}

/// Waits no longer than `secs` seconds.
async fn within<T>(secs: u64, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(Duration::from_secs(secs), work).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
