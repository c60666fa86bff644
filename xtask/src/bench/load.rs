//! Sends requests from many clients at once and measures what they cost.
//!
//! Each client is a thread with one kept connection that sends its next request when the last one is answered. What the
//! driver itself and everything else on the machine used meanwhile stands beside the server's figures, since they share
//! its cores.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::process::{self, Process};
use super::request::Request;
use super::subject::Subject;
use super::{BenchError, rounded, summary};
use crate::http::Connection;
use crate::timing;

/// How long a load runs before it is measured.
const WARM_UP: Duration = Duration::from_secs(1);
/// How much of a refusal is kept, in bytes.
const REFUSAL_BYTES_MAX: usize = 300;
/// How often in a row a client may lose its connection.
const LOST_MAX: usize = 3;
/// The stack of a client's thread, in bytes.
const STACK_BYTES: usize = 128 * 1024;

const WARMING_UP: u8 = 0;
const MEASURED: u8 = 1;
const ENDED: u8 = 2;

/// How a load is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Clients at once.
    pub(super) clients: usize,
    /// When it ends.
    pub(super) until: Until,
    /// Gives each request to one client only, so that no account is written to by two clients at once.
    pub(super) apart: bool,
}

/// When a load ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    /// After so long, the warm-up not counted.
    Time(Duration),
    /// After so many requests, without a warm-up.
    Requests(usize),
}

/// What a load cost.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// Answers with 200 while it was measured.
    pub(super) operations: usize,
    /// Answers with 200 in all, those of the warm-up included.
    pub(super) all: usize,
    /// How long it was measured.
    pub(super) secs: f64,
    /// CPU time of the server.
    pub(super) server_cpu_secs: f64,
    errors: usize,
    refusal: Option<(u16, String)>,
    answer_bytes: u64,
    latencies: Vec<Duration>,
    driver_cpu_secs: f64,
    machine_cpu_secs: f64,
    server_rss_kib: u64,
    server_rss_peak_kib: u64,
}

impl Measured {
    /// Operations in a second.
    pub(super) fn per_second(&self) -> f64 {
        count(self.operations) / self.secs
    }

    /// The server's CPU time for one operation, in microseconds.
    pub(super) fn server_cpu_micros(&self) -> f64 {
        self.server_cpu_secs * 1e6 / count(self.operations)
    }

    /// Puts the figures down.
    pub(super) fn figures(&self, load: &Load) -> Map<String, Value> {
        let operations = count(self.operations);
        let other = (self.machine_cpu_secs - self.server_cpu_secs - self.driver_cpu_secs).max(0.0);
        super::object(json!({
            "clients": load.clients,
            "seconds": rounded(self.secs),
            "operations": self.operations,
            "errors": self.errors,
            "first_error": self.refusal.as_ref().map(|(status, body)| format!("{status}: {body}")),
            "per_second": rounded(self.per_second()),
            "latency_ms": summary::millis(&self.latencies),
            "server_cpu_us_per_operation": rounded(self.server_cpu_micros()),
            "server_cpu_s_per_1000": rounded(self.server_cpu_micros() / 1000.0),
            "answer_bytes": rounded((to_f64(self.answer_bytes) / operations).round()),
            "cores": {
                "server": rounded(self.server_cpu_secs / self.secs),
                "driver": rounded(self.driver_cpu_secs / self.secs),
                "others": rounded(other / self.secs),
            },
            "server_rss_kib": self.server_rss_kib,
            "server_rss_peak_kib": self.server_rss_peak_kib,
        }))
    }
}

/// CPU time used so far.
struct Cpu {
    server: f64,
    driver: f64,
    machine: f64,
}

impl Cpu {
    fn read(subject: &Subject) -> io::Result<Self> {
        let driver = Process(std::process::id());
        Ok(Self {
            server: subject.server.cpu_secs()?,
            driver: driver.cpu_secs()?,
            machine: process::machine_cpu_secs()?,
        })
    }
}

/// What one client saw.
#[derive(Default)]
struct Seen {
    all: usize,
    latencies: Vec<Duration>,
    answer_bytes: u64,
    errors: usize,
    refusal: Option<(u16, String)>,
}

/// Sends the requests again and again, in turn; `edge` is called when measuring begins and when it ends.
///
/// Errors: the server can't be reached, or it refused every request.
pub(super) fn run(
    subject: &Subject,
    load: &Load,
    requests: &[Request],
    mut edge: impl FnMut(),
) -> Result<Measured, BenchError> {
    let (phase, next) = (AtomicU8::new(WARMING_UP), AtomicUsize::new(0));
    if let Until::Requests(_) = load.until {
        phase.store(MEASURED, Ordering::Relaxed);
    }
    let (phase, next) = (&phase, &next);
    thread::scope(|scope| {
        let mut before = Cpu::read(subject)?;
        let mut start = timing::now();
        let clients = (0..load.clients)
            .map(|own| {
                let client = move || work(&subject.url, load, requests, own, phase, next);
                thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, client)
            })
            .collect::<io::Result<Vec<_>>>()?;
        let joined = || {
            let outcomes = clients
                .into_iter()
                .map(|client| client.join().unwrap_or_else(|_| Err(io::Error::other("a client panicked"))));
            outcomes.collect::<io::Result<Vec<Seen>>>()
        };
        let (seen, after, secs) = match load.until {
            Until::Time(time) => {
                timing::pause(WARM_UP);
                before = Cpu::read(subject)?;
                start = timing::now();
                edge();
                phase.store(MEASURED, Ordering::Relaxed);
                timing::pause(time);
                let (after, secs) = (Cpu::read(subject)?, start.elapsed().as_secs_f64());
                edge();
                phase.store(ENDED, Ordering::Relaxed);
                (joined()?, after, secs)
            }
            Until::Requests(_) => {
                edge();
                let seen = joined()?;
                edge();
                (seen, Cpu::read(subject)?, start.elapsed().as_secs_f64())
            }
        };
        let measured = Measured {
            secs,
            server_cpu_secs: after.server - before.server,
            driver_cpu_secs: after.driver - before.driver,
            machine_cpu_secs: after.machine - before.machine,
            server_rss_kib: subject.server.rss_kib()?,
            server_rss_peak_kib: subject.server.rss_peak_kib()?,
            ..summed(seen)
        };
        match measured.refusal {
            Some((status, body)) if measured.all == 0 => Err(BenchError::Refused { status, body }),
            _ => Ok(measured),
        }
    })
}

fn summed(clients: Vec<Seen>) -> Measured {
    let mut sum = Measured::default();
    for seen in clients {
        sum.operations += seen.latencies.len();
        sum.all += seen.all;
        sum.errors += seen.errors;
        sum.answer_bytes += seen.answer_bytes;
        sum.latencies.extend(seen.latencies);
        sum.refusal = sum.refusal.take().or(seen.refusal);
    }
    sum
}

/// One client's work.
fn work(
    url: &str,
    load: &Load,
    requests: &[Request],
    own: usize,
    phase: &AtomicU8,
    next: &AtomicUsize,
) -> io::Result<Seen> {
    let (mut connection, mut seen) = (Connection::open(url)?, Seen::default());
    let (mut buffer, mut start_of_body, mut lost) = (Vec::new(), Vec::new(), 0);
    let limit = match load.until {
        Until::Requests(limit) => limit,
        Until::Time(_) => usize::MAX,
    };
    // The requests of this client alone: every so many-th.
    let mut turn = own;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= limit || phase.load(Ordering::Relaxed) == ENDED {
            return Ok(seen);
        }
        let index = if load.apart { turn } else { number % requests.len() };
        turn += load.clients;
        if turn >= requests.len() {
            turn = own;
        }
        let Some(request) = requests.get(index) else {
            return Err(io::Error::other("there are fewer accounts than clients"));
        };
        request.write(number as u64, &mut buffer);
        let mut answer_bytes = 0;
        start_of_body.clear();
        let start = timing::now();
        let answer = connection.exchange(&buffer, |part| {
            answer_bytes += part.len() as u64;
            let room = REFUSAL_BYTES_MAX.saturating_sub(start_of_body.len()).min(part.len());
            start_of_body.extend_from_slice(part.get(..room).unwrap_or_default());
            Ok(())
        });
        let time = start.elapsed();
        let measured = phase.load(Ordering::Relaxed) == MEASURED;
        match answer {
            Ok(200) => {
                lost = 0;
                seen.all += 1;
                if measured {
                    seen.latencies.push(time);
                    seen.answer_bytes += answer_bytes;
                }
            }
            Ok(status) => {
                seen.errors += usize::from(measured);
                seen.refusal.get_or_insert_with(|| (status, String::from_utf8_lossy(&start_of_body).into_owned()));
            }
            Err(error) => {
                lost += 1;
                if lost > LOST_MAX {
                    return Err(error);
                }
                seen.errors += usize::from(measured);
                seen.refusal.get_or_insert_with(|| (0, error.to_string()));
                connection = Connection::open(url)?;
            }
        }
    }
}

/// Makes a number of things a number to calculate with.
pub(super) fn count(number: usize) -> f64 {
    to_f64(number as u64)
}

#[expect(clippy::cast_precision_loss, reason = "figures need no sixteen digits")]
pub(super) fn to_f64(number: u64) -> f64 {
    number as f64
}
