//! From spawn to the first answer, on an empty data directory and on one that is there, and memory at rest.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::process::Process;
use super::{BenchError, summary};
use crate::servers::{self, Server};
use crate::timing;

/// How long a server rests before its memory is read.
const REST: Duration = Duration::from_secs(5);

/// What `bench start` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// How often the server is started.
    #[arg(long, default_value_t = 20)]
    times: usize,
    /// Starts this shell command instead of the release server; needs --url.
    #[arg(long, requires = "url")]
    command: Option<String>,
    /// Where the server of --command answers.
    #[arg(long)]
    url: Option<String>,
    /// Names the file of results.
    #[arg(long)]
    name: Option<String>,
}

impl Options {
    /// Names the file of results.
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(if self.command.is_some() { "start-other" } else { "start" })
    }
}

/// Starts and stops the server again and again.
pub(super) fn measure(root: &Path, options: &Options) -> Result<Value, BenchError> {
    if options.times == 0 {
        return Err(BenchError::Usage("--times must be at least 1"));
    }
    let scratch = servers::scratch(root, "bench-start")?;
    let log = scratch.join("server.log");
    if let (Some(text), Some(url)) = (&options.command, &options.url) {
        let make = || shell(text);
        return Ok(json!({
            "times": options.times,
            "start_ms": summary::millis(&starts(options, url, &log, |_| make())?),
            "idle_rss_kib": idle_rss_kib(url, &log, make())?,
        }));
    }
    super::build(root)?;
    let port = servers::free_port()?;
    let url = format!("http://localhost:{port}");
    // Nothing asks the directory before somebody signs up; its address need not answer.
    let serve = |data: &str| {
        let mut command = Command::new(servers::allod(root, "release"));
        command.arg("serve").current_dir(&scratch);
        command.envs(servers::serve_environment(
            port,
            "http://localhost:9",
            &scratch.join(data),
            "bench-admin-password",
        ));
        command
    };
    Ok(json!({
        "times": options.times,
        "start_empty_ms": summary::millis(&starts(options, &url, &log, |index| serve(&format!("empty-{index}")))?),
        "start_ms": summary::millis(&starts(options, &url, &log, |_| serve("empty-0"))?),
        "idle_rss_kib": idle_rss_kib(&url, &log, serve("empty-0"))?,
    }))
}

/// Times each start until the server is healthy.
fn starts(options: &Options, url: &str, log: &Path, command: impl Fn(usize) -> Command) -> io::Result<Vec<Duration>> {
    (0..options.times)
        .map(|index| {
            let mut command = command(index);
            let start = timing::now();
            let mut server = Server::spawn("the server", &mut command, log)?;
            server.wait_for(url, "/xrpc/_health")?;
            let time = start.elapsed();
            server.stop()?;
            Ok(time)
        })
        .collect()
}

/// Reads the memory of a server that has answered once and rested since, in KiB.
fn idle_rss_kib(url: &str, log: &Path, mut command: Command) -> io::Result<u64> {
    let mut server = Server::spawn("the server", &mut command, log)?;
    server.wait_for(url, "/xrpc/_health")?;
    timing::pause(REST);
    Process(server.pid()).rss_kib()
}

/// Runs a command line so that its process is the shell's own.
fn shell(text: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec {text}")]);
    command
}
