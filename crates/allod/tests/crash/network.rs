//! The processes: a did:plc directory that stays, and a server that is killed.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

/// How long a server may take to say that it is ready, on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// The directory, and where the server's data is.
pub(crate) struct Network {
    folder: tempfile::TempDir,
    _plc: Process,
    plc_url: String,
}

impl Network {
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("allod-crash-").tempdir().unwrap();
        let mut plc = Process::start(folder.path(), &["plc", "--port", "0"], &[]);
        let line = plc.wait_for("did:plc directory on ");
        let plc_url = line.split(',').next().unwrap().to_owned();
        Self { folder, _plc: plc, plc_url }
    }

    pub(crate) fn directory_url(&self) -> String {
        self.plc_url.clone()
    }

    /// Starts a server, which need not be ready yet.
    pub(crate) fn serve(&self) -> Starting {
        let environment = [
            ("ALLOD_HOSTNAME", "localhost"),
            ("ALLOD_PORT", "0"),
            ("ALLOD_BIND_ADDRESS", "127.0.0.1"),
            ("ALLOD_DATA_DIRECTORY", "pds"),
            ("ALLOD_ADMIN_PASSWORD", "admin"),
            ("ALLOD_JWT_SECRET", "0123456789abcdef0123456789abcdef"),
            (
                "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX",
                "1111111111111111111111111111111111111111111111111111111111111111",
            ),
            ("PDS_DID_PLC_URL", &self.plc_url),
            ("PDS_DEV_MODE", "true"),
            ("PDS_SERVICE_HANDLE_DOMAINS", ".test"),
            ("PDS_INVITE_REQUIRED", "false"),
            ("ALLOD_LOG_FORMAT", "json"),
        ];
        Starting(Process::start(self.folder.path(), &["serve"], &environment))
    }
}

/// A server that may not be ready yet.
pub(crate) struct Starting(Process);

impl Starting {
    /// Waits until it is.
    pub(crate) fn ready(mut self) -> Server {
        let address = self.0.wait_for("\"address\":\"");
        let origin = format!("http://{}", address.split('"').next().unwrap());
        Server { process: self.0, origin }
    }

    pub(crate) fn kill(mut self) {
        self.0.kill();
    }
}

/// A server that takes requests.
pub(crate) struct Server {
    process: Process,
    origin: String,
}

impl Server {
    pub(crate) fn origin(&self) -> String {
        self.origin.clone()
    }

    /// Sends SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
        // What it said is of interest when something is wrong.
        for line in self.process.lines.try_iter() {
            assert!(!line.contains("\"level\":\"ERROR\""), "the server said: {line}");
        }
    }
}

struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Process {
    fn start(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_allod"));
        command.args(arguments).env_clear().envs(environment.iter().copied()).current_dir(folder);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let pipes: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for pipe in pipes {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Self { child, lines }
    }

    /// Waits for a line that holds `mark`, and gives what follows it there.
    fn wait_for(&mut self, mark: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    if let Some((_, rest)) = line.split_once(mark) {
                        return rest.trim().to_owned();
                    }
                    seen.push(line);
                }
                Err(error) => panic!("no line with {mark:?} ({error}):\n{}", seen.join("\n")),
            }
        }
    }

    fn kill(&mut self) {
        // One that has ended can't be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A client for the processes.
pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}
