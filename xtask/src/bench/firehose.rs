//! The event stream: how fast it is read from the beginning, and what consumers cost while others write.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::load::{self, Load, Measured, Until, to_f64};
use super::stream::Consumer;
use super::workloads::{Ground, WRITERS};
use super::{BenchError, object, rounded};
use crate::timing;

const PATH: &str = "/xrpc/com.atproto.sync.subscribeRepos";
/// Clients that write while consumers read.
const LIVE_WRITERS: usize = 16;
/// How much is read at once, in bytes.
const READ_BYTES: usize = 256 * 1024;
/// How long nothing may come before a stream counts as read to its end.
const IDLE: Duration = Duration::from_secs(2);
/// How often consumers look for events: rarely, so that one read brings many.
const LOOK: Duration = Duration::from_millis(2);
/// How long consumers have to be there before the writes begin.
const SETTLING: Duration = Duration::from_millis(500);

/// One consumer reads everything from the first event.
pub(super) fn backfill(ground: &Ground) -> Result<Map<String, Value>, BenchError> {
    let server = ground.subject.server;
    let cpu_before = server.cpu_secs()?;
    let start = timing::now();
    let mut consumer = Consumer::open(&ground.subject.url, &format!("{PATH}?cursor=0"))?;
    consumer.set_patience(IDLE)?;
    let (mut buffer, mut time) = (vec![0; READ_BYTES], Duration::ZERO);
    while consumer.read(&mut buffer)? > 0 {
        time = start.elapsed();
    }
    let (events, secs) = (to_f64(consumer.messages()), time.as_secs_f64());
    let cpu_secs = server.cpu_secs()? - cpu_before;
    Ok(object(json!({
        "events": consumer.messages(),
        "ended_by_server": consumer.ended,
        "seconds": rounded(secs),
        "per_second": rounded(events / secs),
        "megabytes_per_second": rounded(to_f64(consumer.bytes()) / 1e6 / secs),
        "server_cpu_us_per_operation": rounded(cpu_secs * 1e6 / events),
        "server_cpu_s_per_1000": rounded(cpu_secs * 1e3 / events),
        "server_rss_kib": server.rss_kib()?,
        "server_rss_peak_kib": server.rss_peak_kib()?,
    })))
}

/// Creates so many records, for a stream that has something to read.
pub(super) fn write_events(ground: &Ground, events: usize) -> Result<(), BenchError> {
    crate::say(&format!("creating {events} records"));
    let load = Load { until: Until::Requests(events), ..ground.load(WRITERS) };
    load::run(&ground.subject, &load, &ground.creates(), || {}).map(|_| ())
}

/// A number of consumers, and the figures with them.
type Live = (usize, Map<String, Value>);

/// createRecord without consumers, and with each number of them.
pub(super) fn live(ground: &Ground, consumers: &[usize]) -> Result<Vec<Live>, BenchError> {
    let load = ground.load(LIVE_WRITERS);
    // No two clients write to one account at once, so that each write is an event of its own.
    let load = Load { apart: true, clients: load.clients.min(ground.accounts.len()), ..load };
    let alone = load::run(&ground.subject, &load, &ground.creates(), || {})?;
    let mut figures = vec![(0, alone.figures(&load))];
    for &count in consumers {
        figures.push((count, watch(ground, &load, count)?.figures(&load, &alone, count)));
    }
    Ok(figures)
}

/// A load with consumers.
struct Watched {
    load: Measured,
    /// Events that consumers saw while it was measured.
    deliveries: u64,
    /// Events that they saw in all.
    all: u64,
    /// Consumers that the server sent away.
    ended: u64,
    /// From the last answer to a write until the last event.
    behind: Duration,
}

impl Watched {
    /// The writes' figures, and beside them the consumers'.
    fn figures(&self, load: &Load, alone: &Measured, consumers: usize) -> Map<String, Value> {
        let deliveries = to_f64(self.deliveries);
        let writes_cpu = alone.server_cpu_micros() * load::count(self.load.operations);
        let expected = (self.load.all * consumers) as u64;
        let mut figures = self.load.figures(load);
        figures.extend(object(json!({
            "consumers": consumers,
            "deliveries_per_second": rounded(deliveries / self.load.secs),
            "server_cpu_us_per_delivery": rounded((self.load.server_cpu_secs * 1e6 - writes_cpu) / deliveries),
            "missing": i128::from(expected) - i128::from(self.all),
            "consumers_ended": self.ended,
            "behind_ms": rounded(self.behind.as_secs_f64() * 1000.0),
            "writes_slowed_by": rounded(1.0 - self.load.per_second() / alone.per_second()),
        })));
        figures
    }
}

fn watch(ground: &Ground, load: &Load, count: usize) -> Result<Watched, BenchError> {
    let consumers: Vec<_> = (0..count).map(|_| Consumer::open(&ground.subject.url, PATH)).collect::<io::Result<_>>()?;
    let (delivered, ended, done) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_all(consumers, &delivered, &ended, &done));
        timing::pause(SETTLING);
        let before = delivered.load(Ordering::Relaxed);
        let mut edges = Vec::new();
        let load = load::run(&ground.subject, load, &ground.creates(), || {
            edges.push(delivered.load(Ordering::Relaxed));
        });
        let start = timing::now();
        let (mut behind, mut last) = (Duration::ZERO, delivered.load(Ordering::Relaxed));
        let expected = load.as_ref().map_or(0, |load| before + (load.all * count) as u64);
        while last < expected && start.elapsed() < behind + IDLE {
            timing::pause(LOOK);
            let now = delivered.load(Ordering::Relaxed);
            if now > last {
                (last, behind) = (now, start.elapsed());
            }
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap_or_else(|_| Err(io::Error::other("the consumers panicked")))?;
        Ok(Watched {
            load: load?,
            deliveries: edges.last().zip(edges.first()).map_or(0, |(last, first)| last - first),
            all: last - before,
            ended: ended.load(Ordering::Relaxed),
            behind,
        })
    })
}

/// Reads all streams in turn, as far as each has something, and rests between.
fn read_all(
    mut consumers: Vec<Consumer>,
    delivered: &AtomicU64,
    ended: &AtomicU64,
    done: &AtomicBool,
) -> io::Result<()> {
    consumers.iter().try_for_each(Consumer::set_nonblocking)?;
    let mut buffer = vec![0; READ_BYTES];
    while !done.load(Ordering::Relaxed) {
        for consumer in consumers.iter_mut().filter(|consumer| !consumer.ended) {
            let before = consumer.messages();
            while consumer.read(&mut buffer)? == buffer.len() {}
            delivered.fetch_add(consumer.messages() - before, Ordering::Relaxed);
            ended.fetch_add(u64::from(consumer.ended), Ordering::Relaxed);
        }
        timing::pause(LOOK);
    }
    Ok(())
}
