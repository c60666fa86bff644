//! Runs the binary in a directory of its own, with nothing in the environment but what a test gives.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use allod_testkit::read_json;
use rustix::process::Pid;

/// How long a server may take to say that it is ready, or to stop, on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long a command may take.
const COMMAND_PATIENCE: Duration = Duration::from_mins(3);

/// The binary and the directory it runs in.
pub(crate) struct Allod {
    directory: tempfile::TempDir,
}

/// What came of a command.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Waits for the end of a command; one that does not end, a server for one, fails the test.
fn finish(child: Child) -> Outcome {
    let pid = Pid::from_child(&child);
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    if let Ok(output) = ended.recv_timeout(COMMAND_PATIENCE) {
        return output.unwrap().into();
    }
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let Outcome { stdout, stderr, .. } = ended.recv().unwrap().unwrap().into();
    panic!("a command does not end:\n{stdout}\n{stderr}");
}

impl Allod {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), PermissionsExt::from_mode(0o600)).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_allod"));
        command.args(arguments).env_clear().envs(environment.iter().copied()).current_dir(self.directory.path());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, &[])
    }

    /// Runs a command to its end, with an environment.
    pub(crate) fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
        let mut command = self.command(arguments, environment);
        finish(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Runs a command to its end, with an input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Outcome {
        let mut child = self
            .command(arguments, &[])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        finish(child)
    }

    /// Starts a server.
    pub(crate) fn start(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Server {
        Server::of(self.command(arguments, environment).stdin(Stdio::null()))
    }

    /// Starts a server under resource limits: `limits` is what a shell's `ulimit` takes.
    pub(crate) fn start_limited(&self, limits: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Server {
        let mut command = Command::new("/bin/sh");
        let script = format!("ulimit {limits} && exec \"$0\" \"$@\"");
        command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_allod")).args(arguments);
        command.env_clear().envs(environment.iter().copied()).current_dir(self.directory.path());
        Server::of(command.stdin(Stdio::null()))
    }

    /// Starts a command that reads an input and says how far it is.
    pub(crate) fn start_with_input(&self, arguments: &[&str], input: &str) -> Server {
        let mut command = Server::of(self.command(arguments, &[]).stdin(Stdio::piped()));
        command.child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        command
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Outcome {
    /// The answer of a command that succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// The answer of a command that succeeded, as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> serde_json::Value {
        read_json(self.ok())
    }

    /// Everything, for a snapshot, without the directory's name.
    pub(crate) fn snapshot(&self, allod: &Allod) -> String {
        let text = format!("exit code {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr);
        text.replace(&allod.directory.path().display().to_string(), "[directory]")
    }
}

/// A server that runs; killed when dropped.
pub(crate) struct Server {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Server {
    fn of(command: &mut Command) -> Self {
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
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a line that holds `mark`, and gives what follows it there.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, mark: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    let found = line.split_once(mark).map(|(_, rest)| rest.trim().to_owned());
                    self.seen.push(line);
                    if let Some(found) = found {
                        return found;
                    }
                }
                Err(error) => panic!("no line with {mark:?} ({error}):\n{}", self.seen.join("\n")),
            }
        }
    }

    /// What was waited for so far, and what came before it.
    pub(crate) fn output_so_far(&self) -> String {
        self.seen.join("\n")
    }

    /// Everything that a server which has ended wrote.
    pub(crate) fn output(&mut self) -> String {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.seen.push(line);
        }
        self.seen.join("\n")
    }

    /// One of the server's resource limits, as `/proc` shows it: the soft one and the hard one.
    #[cfg(target_os = "linux")]
    pub(crate) fn limit(&self, name: &str) -> (String, String) {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.child.id())).unwrap();
        let values = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let mut values = values.split_whitespace().map(str::to_owned);
        (values.next().unwrap(), values.next().unwrap())
    }

    /// Sends SIGINT, as Ctrl-C does, and gives the exit code.
    pub(crate) fn interrupt(&mut self) -> i32 {
        self.signal("-INT");
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Sends SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended can't be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client for the servers of a test.
pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    #[expect(clippy::disallowed_methods, reason = "the addresses are the test's own")]
    let builder = reqwest::Client::builder();
    builder.no_proxy().build().unwrap()
}

/// The environment of a development server with a did:plc directory of its own choice, by the reference's names.
pub(crate) fn serve_environment<'a>(plc_url: &'a str, data: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("PDS_HOSTNAME", "localhost"),
        ("PDS_PORT", "0"),
        ("PDS_DATA_DIRECTORY", data),
        ("PDS_ADMIN_PASSWORD", "admin"),
        ("PDS_JWT_SECRET", "0123456789abcdef0123456789abcdef"),
        (
            "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX",
            "1111111111111111111111111111111111111111111111111111111111111111",
        ),
        ("PDS_DID_PLC_URL", plc_url),
        ("PDS_DEV_MODE", "true"),
        ("PDS_SERVICE_HANDLE_DOMAINS", ".test"),
        ("PDS_INVITE_REQUIRED", "false"),
        ("ALLOD_LOG_FORMAT", "json"),
        ("ALLOD_BIND_ADDRESS", "127.0.0.1"),
    ]
}

/// Creates an account over HTTP.
pub(crate) async fn create_account(origin: &str, handle: &str) -> serde_json::Value {
    let body = serde_json::json!({
        "handle": handle, "email": format!("{handle}@mail.test"), "password": "correct-horse"
    });
    let url = format!("{origin}/xrpc/com.atproto.server.createAccount");
    let response = client().post(url).json(&body).send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, 200, "{text}");
    read_json(text)
}

/// Whether the path is there.
pub(crate) fn exists(path: &str) -> bool {
    Path::new(path).exists()
}
