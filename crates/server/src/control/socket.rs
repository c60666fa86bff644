//! The socket, both ends.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use super::{
    Answer, COMMAND_SECS_MAX, COMMANDS_AT_ONCE_MAX, Command, ControlError, LINE_SECS_MAX, REPLY_BYTES_MAX,
    REQUEST_BYTES_MAX, Reply, SOCKET_FILE, execute,
};
use crate::app::App;

/// How long accepting pauses after the system refused a connection, in milliseconds.
const ACCEPT_RETRY_MILLIS: u64 = 200;

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
                    tracing::warn!(%reason, "a control connection could not be taken");
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
    let (read, mut write) = stream.into_split();
    let line = zeroize::Zeroizing::new(read_line(read, REQUEST_BYTES_MAX, LINE_SECS_MAX).await?);
    let reply = match serde_json::from_slice::<Command>(&line) {
        Ok(command) => execute(app, command).await.map_or_else(Reply::Err, Reply::Ok),
        Err(reason) => Reply::Err(ControlError {
            error: "InvalidRequest".to_owned(),
            message: format!("not a command of this version: {reason}"),
        }),
    };
    let mut line = serde_json::to_vec(&reply).map_err(io::Error::other)?;
    line.push(b'\n');
    timeout(Duration::from_secs(LINE_SECS_MAX), async {
        write.write_all(&line).await?;
        write.shutdown().await
    })
    .await
    .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Hands a command to the server behind the socket and waits for its answer.
pub async fn call(socket: &Path, command: &Command) -> Result<Answer, CallError> {
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
    let line = read_line(read, REPLY_BYTES_MAX, COMMAND_SECS_MAX).await.map_err(CallError::Broken)?;
    match serde_json::from_slice(&line).map_err(|reason| CallError::Broken(reason.into()))? {
        Reply::Ok(answer) => Ok(answer),
        Reply::Err(error) => Err(error.into()),
    }
}

/// Reads one line of at most `bytes_max` bytes within `secs` seconds.
async fn read_line(read: tokio::net::unix::OwnedReadHalf, bytes_max: u64, secs: u64) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut read = BufReader::new(read.take(bytes_max));
    timeout(Duration::from_secs(secs), read.read_until(b'\n', &mut line))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    if line.pop() != Some(b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is cut off or too long"));
    }
    Ok(line)
}
