//! Starts servers as child processes on free ports, waits until they answer, and ends them again.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::http::Connection;
use crate::timing;

/// How long a server may take until it answers, a debug build on a busy machine included.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a server may take to stop after being asked.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// What a server by [`serve_environment`] signs its tokens with.
pub(crate) const JWT_SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
/// The key by which it changes identities.
pub(crate) const ROTATION_KEY_HEX: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

/// A child process that does not outlive its owner.
pub(crate) struct Server {
    name: String,
    child: Child,
}

impl Server {
    /// Starts the command with all its output in `log`.
    pub(crate) fn spawn(name: &str, command: &mut Command, log: &Path) -> io::Result<Self> {
        let output = File::create(log)?;
        let errors = output.try_clone()?;
        Self::with_output(name, command, output, errors)
    }

    /// Starts the command with what it says in `output`, and what it logs in `log`.
    pub(crate) fn spawn_apart(name: &str, command: &mut Command, output: &Path, log: &Path) -> io::Result<Self> {
        Self::with_output(name, command, File::create(output)?, File::create(log)?)
    }

    fn with_output(name: &str, command: &mut Command, output: File, errors: File) -> io::Result<Self> {
        let child = command.stdin(Stdio::piped()).stdout(output).stderr(errors).spawn()?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `url` answers with 200.
    pub(crate) fn wait_for(&mut self, url: &str, path: &str) -> io::Result<()> {
        let mut ended = None;
        let answered = timing::wait_until(START_LIMIT, || {
            ended = self.child.try_wait().ok().flatten();
            ended.is_some() || healthy(url, path)
        });
        match (ended, answered) {
            (Some(status), _) => Err(io::Error::other(format!("{} ended at once: {status}", self.name))),
            (None, false) => Err(io::Error::other(format!("{} does not answer at {url}{path}", self.name))),
            (None, true) => Ok(()),
        }
    }

    /// Asks the process to end, as an operator would, and waits for it.
    pub(crate) fn stop(mut self) -> io::Result<ExitStatus> {
        interrupt(self.child.id())?;
        timing::wait_until(STOP_LIMIT, || !matches!(self.child.try_wait(), Ok(None)));
        self.child.try_wait()?.ok_or_else(|| io::Error::other(format!("{} does not stop", self.name)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = interrupt(self.child.id());
        if !timing::wait_until(STOP_LIMIT, || !matches!(self.child.try_wait(), Ok(None))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Tells whether a server answers this path with 200.
pub(crate) fn healthy(url: &str, path: &str) -> bool {
    Connection::open(url).and_then(|mut connection| connection.get(path)).is_ok_and(|answer| answer.status == 200)
}

/// Finds a port that nothing listens on.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Makes an empty folder below `target/` for one run's data and logs.
pub(crate) fn scratch(root: &Path, name: &str) -> io::Result<PathBuf> {
    let folder = root.join("target").join("scratch").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Names the `allod` binary of a profile (`debug` or `release`).
pub(crate) fn allod(root: &Path, profile: &str) -> PathBuf {
    root.join("target").join(profile).join("allod")
}

/// The environment of a production server on this machine, by the reference's names.
pub(crate) fn serve_environment(port: u16, plc_url: &str, data: &Path, admin_password: &str) -> Vec<(String, String)> {
    [
        ("PDS_HOSTNAME", "localhost"),
        ("PDS_PORT", &port.to_string()),
        ("PDS_DATA_DIRECTORY", &data.to_string_lossy()),
        ("PDS_ADMIN_PASSWORD", admin_password),
        ("PDS_JWT_SECRET", JWT_SECRET),
        ("PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX", ROTATION_KEY_HEX),
        ("PDS_DID_PLC_URL", plc_url),
        ("PDS_DEV_MODE", "true"),
        ("PDS_SERVICE_HANDLE_DOMAINS", ".test"),
        ("PDS_INVITE_REQUIRED", "false"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn interrupt(pid: u32) -> io::Result<()> {
    Command::new("kill").args(["-TERM", &pid.to_string()]).stderr(Stdio::null()).status().map(|_| ())
}
