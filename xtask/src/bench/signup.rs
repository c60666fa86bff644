//! What one createAccount costs: CPU of the server and of the directory, latency, memory, the password hash apart.
//!
//! The hash's share is the difference between two runs, the second with the cheapest hash that the configuration
//! allows, so that what is left is what the rest of a sign-up takes in the very same server.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::process::Process;
use super::subject::Subject;
use super::{BenchError, rounded, summary};
use crate::http::Connection;
use crate::timing;

/// The folder of the servers under measurement.
const SCRATCH: &str = "bench-signup";
/// Sign-ups that warm the server up and are not counted.
const WARM_UP_ACCOUNTS: usize = 10;
/// How many times more accounts the run without the hash makes: each takes a small part of the time.
const CHEAP_FACTOR: usize = 10;
/// The smallest memory and the fewest passes that argon2 knows.
const CHEAPEST_HASH: [(&str, &str); 2] = [("ALLOD_PASSWORD_HASH_MEMORY_KIB", "8"), ("ALLOD_PASSWORD_HASH_PASSES", "1")];

/// What `bench signup` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// Measures this server, whichever it is, instead of starting one; needs --pid.
    #[arg(long, requires = "pid")]
    url: Option<String>,
    /// The process id of the server at --url.
    #[arg(long)]
    pid: Option<u32>,
    /// The process id of the directory that the server at --url uses, where it is a process of its own.
    #[arg(long)]
    plc_pid: Option<u32>,
    /// The domain of the handles, with its leading dot.
    #[arg(long, default_value = ".test")]
    domain: String,
    /// How many accounts are made.
    #[arg(long, default_value_t = 200)]
    accounts: usize,
    /// How many clients make them at once, each over its own connection.
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Names the file of results.
    #[arg(long)]
    name: Option<String>,
}

impl Options {
    /// Names the file of results.
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(if self.url.is_some() { "signup-other" } else { "signup" })
    }
}

/// One run's figures.
struct Run {
    server_cpu_millis: f64,
    directory_cpu_millis: Option<f64>,
    per_second: f64,
    latencies: Vec<Duration>,
}

/// Measures the server that the options name, or a fresh one.
pub(super) fn measure(root: &Path, options: &Options) -> Result<Value, BenchError> {
    if options.accounts == 0 || options.clients == 0 {
        return Err(BenchError::Usage("--accounts and --clients must be at least 1"));
    }
    if let (Some(url), Some(pid)) = (&options.url, options.pid) {
        let subject = Subject::running(url, Process(pid), options.plc_pid.map(Process));
        return Ok(figures(options, &subject, &drive(options, &subject, options.accounts)?)?);
    }
    super::build(root)?;
    let (whole, figures_with_hash) = {
        let subject = Subject::start(root, SCRATCH, &[])?;
        let run = drive(options, &subject, options.accounts)?;
        (run.server_cpu_millis, figures(options, &subject, &run)?)
    };
    let subject = Subject::start(root, SCRATCH, &CHEAPEST_HASH)?;
    let run = drive(options, &subject, options.accounts * CHEAP_FACTOR)?;
    let rest = run.server_cpu_millis;
    Ok(json!({
        "cpu_ms_per_account": { "all": rounded(whole), "hash": rounded(whole - rest), "rest": rounded(rest) },
        "with_hash": figures_with_hash,
        "with_cheapest_hash": figures(options, &subject, &run)?,
    }))
}

/// Makes accounts and reads what that cost.
fn drive(options: &Options, subject: &Subject, accounts: usize) -> Result<Run, BenchError> {
    let label = super::label();
    let next = AtomicUsize::new(0);
    sign_up(options, subject, &label, &next, WARM_UP_ACCOUNTS)?;

    let total = WARM_UP_ACCOUNTS + accounts;
    let directory_before = subject.directory.map(Process::cpu_secs).transpose()?;
    let server_before = subject.server.cpu_secs()?;
    let start = timing::now();
    let latencies: Vec<Duration> = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..options.clients).map(|_| scope.spawn(|| sign_up(options, subject, &label, &next, total))).collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap_or(Err(BenchError::Usage("a client panicked"))))
            .collect::<Result<Vec<_>, _>>()
    })?
    .concat();
    let wall = start.elapsed().as_secs_f64();
    let count = f64::from(u32::try_from(latencies.len()).unwrap_or(u32::MAX));
    let per_account_millis = |before: f64, after: f64| (after - before) * 1000.0 / count;
    let server_cpu_millis = per_account_millis(server_before, subject.server.cpu_secs()?);
    let directory_after = subject.directory.map(Process::cpu_secs).transpose()?;
    let directory_cpu_millis = directory_before.zip(directory_after).map(|(a, b)| per_account_millis(a, b));
    Ok(Run { server_cpu_millis, directory_cpu_millis, per_second: count / wall, latencies })
}

/// Makes accounts over one connection until `total` are made by all clients together; answers how long each took.
fn sign_up(
    options: &Options,
    subject: &Subject,
    label: &str,
    next: &AtomicUsize,
    total: usize,
) -> Result<Vec<Duration>, BenchError> {
    let mut connection = Connection::open(&subject.url)?;
    let mut latencies = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= total {
            next.fetch_min(total, Ordering::Relaxed);
            return Ok(latencies);
        }
        let name = format!("b{label}n{number}");
        let body = json!({
            "handle": format!("{name}{}", options.domain),
            "email": format!("{name}@mail.com"),
            "password": "correct horse battery",
        });
        let start = timing::now();
        let answer = connection.post("/xrpc/com.atproto.server.createAccount", "", &body)?;
        latencies.push(start.elapsed());
        if answer.status != 200 {
            return Err(BenchError::Refused { status: answer.status, body: answer.json().to_string() });
        }
    }
}

fn figures(options: &Options, subject: &Subject, run: &Run) -> io::Result<Value> {
    Ok(json!({
        "accounts": run.latencies.len(),
        "clients": options.clients,
        "cpu_ms_per_account": {
            "server": rounded(run.server_cpu_millis),
            "directory": run.directory_cpu_millis.map(rounded),
        },
        "per_second": rounded(run.per_second),
        "latency_ms": summary::millis(&run.latencies),
        "server_rss_kib": subject.server.rss_kib()?,
        "server_rss_peak_kib": subject.server.rss_peak_kib()?,
    }))
}
