//! The workloads by name, and all of them in one go.

use std::io;
use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::process::Process;
use super::subject::Subject;
use super::workloads::Ground;
use super::{BenchError, disk, firehose};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// All that follow, in an order in which none spoils the next.
    Suite,
    /// com.atproto.repo.createRecord: 64 clients over all accounts, and one client for one account.
    CreateRecord,
    /// com.atproto.repo.applyWrites of 200 creates: 4 clients over all accounts.
    ApplyWrites,
    /// com.atproto.repo.getRecord: 16 clients.
    GetRecord,
    /// com.atproto.repo.listRecords of 100: 16 clients.
    ListRecords,
    /// com.atproto.sync.getRepo of repositories of each size in --records: one client.
    GetRepo,
    /// com.atproto.server.getSession: 16 clients over all accounts.
    GetSession,
    /// com.atproto.repo.uploadBlob of 1 MB: 8 clients.
    UploadBlob,
    /// com.atproto.sync.getBlob of 1 MB: 8 clients.
    GetBlob,
    /// com.atproto.sync.subscribeRepos from the first event: one consumer.
    FirehoseBackfill,
    /// com.atproto.sync.subscribeRepos with each number of --consumers, while 16 clients create records.
    FirehoseLive,
}

/// What a load can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// What is measured.
    workload: Workload,
    /// Measures this server, whichever it is, instead of starting one; needs --pid.
    #[arg(long, requires = "pid")]
    url: Option<String>,
    /// The process id of the server at --url.
    #[arg(long)]
    pid: Option<u32>,
    /// How many accounts the writes go to.
    #[arg(long, default_value_t = 100)]
    accounts: usize,
    /// How many clients send at once, in place of each workload's own number.
    #[arg(long)]
    clients: Option<usize>,
    /// How long each figure is measured.
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// The sizes of the filled repositories; the smallest serves the other reads.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000])]
    records: Vec<usize>,
    /// How many events `firehose-backfill` makes before it reads; the suite has made enough by then.
    #[arg(long, default_value_t = 20_000)]
    events: usize,
    /// How many consumers listen.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100])]
    consumers: Vec<usize>,
    /// Names the file of results.
    #[arg(long)]
    name: Option<String>,
}

impl Options {
    /// Tells whether a workload is to be measured, alone or as part of the suite.
    fn wants(&self, workload: Workload) -> bool {
        self.workload == workload || self.workload == Workload::Suite
    }

    /// Names the file of results.
    pub(super) fn name(&self) -> String {
        let workload = self.workload.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let other = if self.url.is_some() { "-other" } else { "" };
        self.name.clone().unwrap_or_else(|| format!("{workload}{other}"))
    }
}

/// Measures the server that the options name, or a fresh one.
pub(super) fn measure(root: &Path, options: &Options) -> Result<Value, BenchError> {
    if options.accounts == 0 || options.clients == Some(0) || options.records.contains(&0) || options.seconds == 0 {
        return Err(BenchError::Usage("--accounts, --clients, --records and --seconds must be at least 1"));
    }
    let subject = if let (Some(url), Some(pid)) = (&options.url, options.pid) {
        Subject::running(url, Process(pid), None)
    } else {
        super::build(root)?;
        Subject::start(root, "bench-load", &[])?
    };
    let idle_rss_kib = subject.server.rss_kib()?;
    let time = Duration::from_secs(options.seconds);
    let ground = Ground::prepare(subject, options.accounts, time, options.clients)?;
    let mut figures = Figures { root, all: Map::new() };
    figures.all.insert("idle_rss_kib".to_owned(), Value::from(idle_rss_kib));
    writes(&ground, options, &mut figures)?;
    reads(&ground, options, &mut figures)?;
    Ok(Value::Object(figures.all))
}

/// Everything on small repositories. The stream is read while its events hold one record each, as they do in life.
fn writes(ground: &Ground, options: &Options, figures: &mut Figures<'_>) -> Result<(), BenchError> {
    if options.wants(Workload::GetSession) {
        figures.add("get-session", ground.get_session()?)?;
    }
    if options.wants(Workload::CreateRecord) {
        figures.add("create-record-1", ground.create_record_one()?)?;
        figures.add("create-record", ground.create_record()?)?;
    }
    if options.workload == Workload::FirehoseBackfill {
        firehose::write_events(ground, options.events)?;
    }
    if options.wants(Workload::FirehoseBackfill) {
        figures.add("firehose-backfill", firehose::backfill(ground)?)?;
    }
    if options.wants(Workload::FirehoseLive) {
        for (consumers, live) in firehose::live(ground, &options.consumers)? {
            figures.add(&format!("firehose-live-{consumers}"), live)?;
        }
    }
    if options.wants(Workload::ApplyWrites) {
        figures.add("apply-writes", ground.apply_writes()?)?;
    }
    if options.wants(Workload::UploadBlob) {
        figures.add("upload-blob", ground.upload_blob()?)?;
    }
    if options.wants(Workload::GetBlob) {
        figures.add("get-blob", ground.get_blob()?)?;
    }
    Ok(())
}

/// Everything on filled repositories.
fn reads(ground: &Ground, options: &Options, figures: &mut Figures<'_>) -> Result<(), BenchError> {
    let (records, lists) = (options.wants(Workload::GetRecord), options.wants(Workload::ListRecords));
    let repos = options.wants(Workload::GetRepo);
    let mut sizes = options.records.clone();
    sizes.sort_unstable();
    if !records && !lists && !repos {
        return Ok(());
    }
    for (index, &size) in sizes.iter().enumerate() {
        let smallest = index == 0;
        if !smallest && !repos {
            break;
        }
        let account = ground.filled(size)?;
        if smallest && records {
            figures.add("get-record", ground.get_record(&account)?)?;
        }
        if smallest && lists {
            figures.add("list-records", ground.list_records(&account)?)?;
        }
        if repos {
            figures.add(&format!("get-repo-{size}"), ground.get_repo(&account)?)?;
        }
    }
    Ok(())
}

/// What has been measured so far.
struct Figures<'a> {
    root: &'a Path,
    all: Map<String, Value>,
}

impl Figures<'_> {
    /// Keeps a figure and shows the gist of it.
    fn add(&mut self, name: &str, mut figures: Map<String, Value>) -> io::Result<()> {
        figures.insert("disk_sync_ms".to_owned(), disk::sync_millis(self.root)?);
        let number = |name: &str| figures.get(name).and_then(Value::as_f64);
        let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        let latency = |name: &str| shown(figures.get("latency_ms").and_then(|times| times.get(name)?.as_f64()));
        let deliveries = number("deliveries_per_second");
        crate::say(&format!(
            "{name:<24} {:>10}/s  p50 {:>8} p95 {:>8} p99 {:>8} ms  server {:>9} us/op  rss {:>6} MiB{}",
            shown(number("per_second")),
            latency("p50"),
            latency("p95"),
            latency("p99"),
            shown(number("server_cpu_us_per_operation")),
            number("server_rss_kib").map_or_else(|| "-".to_owned(), |kib| format!("{:.0}", kib / 1024.0)),
            deliveries.map(|rate| format!("  {rate:.0} deliveries/s")).unwrap_or_default(),
        ));
        self.all.insert(name.to_owned(), Value::Object(figures));
        Ok(())
    }
}
