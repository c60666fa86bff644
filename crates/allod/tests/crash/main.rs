//! The crash rig over a whole server: clients write, upload, import and sign up under load, the process is killed at a
//! random moment and started again on the same data. Then everything that was acknowledged must be there, no batch or
//! import by halves, and the firehose must go on where its reader was: no gap, no number for another payload, every
//! repository's chain unbroken.
//!
//! `ALLOD_CRASH_CYCLES` sets how many times (100), `ALLOD_CRASH_SEED` repeats a run's choices.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a rig fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a rig is set through the environment and talks to its own processes")]

mod client;
mod importer;
mod joiner;
mod network;
mod rng;
mod witness;

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use client::{Account, Client};
use importer::Importer;
use joiner::Joiner;
use network::Network;
use rng::Rng;
use witness::{Tail, Witness};

const CYCLES_DEFAULT: u64 = 100;
const ACCOUNTS: usize = 4;
const CLIENTS: u64 = 8;
/// The most acknowledgements that are waited for before a kill.
const ACKS_PER_CYCLE_MAX: u64 = 120;
/// How long a kill is waited with when acknowledgements do not come.
const LOAD_SECS_MAX: u64 = 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        // What test runners ask for.
        [.., "--list"] | ["--list", ..] => report("crash: test\n"),
        _ if words.iter().any(|word| !word.starts_with('-') && !"crash".contains(word)) => {}
        _ => {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(cycles());
        }
    }
}

/// What a run came to.
#[derive(Debug, Default)]
struct Sum {
    acknowledged: u64,
    in_flight: u64,
    carried_out: u64,
    kills_while_starting: u64,
    blobs: u64,
    imports: u64,
}

async fn cycles() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let cycles = number("ALLOD_CRASH_CYCLES").unwrap_or(CYCLES_DEFAULT);
    let seed = number("ALLOD_CRASH_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    // Whatever goes wrong is told with the seed.
    report(&format!("crash: seed {seed}\n"));
    let began = Instant::now();
    let mut rng = Rng(seed);
    let network = Network::start();
    let http = network::client();

    let mut server = network.serve().ready();
    let mut accounts = Vec::new();
    for n in 0..ACCOUNTS {
        accounts.push(Arc::new(Account::create(&http, &server.origin(), &format!("writer{n}.test")).await));
    }
    let mut clients: Vec<Client> =
        (0..CLIENTS).map(|n| Client::new(n, accounts.clone(), Rng(rng.next()), http.clone())).collect();
    let mut joiner = Joiner::new(http.clone());
    let mut importer = Importer::new(http.clone(), &server.origin()).await;
    let mut witness = Witness::new(network.directory_url(), http.clone());
    let mut sum = Sum::default();
    for cycle in 0..cycles {
        let told = || format!("seed {seed}, cycle {cycle}");
        if rng.below(3) == 0 {
            joiner.begin(&server.origin());
        }
        if rng.below(2) == 0 {
            importer.begin(&server.origin());
        }
        let load = load(&server.origin(), &mut clients, witness.seq(), &mut rng).await;
        server.kill();
        let (clients_back, acks, tail) = load.end().await;
        clients = clients_back;
        sum.acknowledged += acks;
        witness.take_tail(tail, &told()).await;

        while rng.below(8) == 0 {
            // Also while it is starting, which may be while it recovers.
            let starting = network.serve();
            tokio::time::sleep(Duration::from_millis(rng.below(150))).await;
            starting.kill();
            sum.kills_while_starting += 1;
        }
        server = network.serve().ready();
        let origin = server.origin();
        let marker = client::mark(&http, &origin, &accounts[0], cycle).await;
        witness.catch_up(&origin, marker, &told()).await;
        for account in &accounts {
            let records = witness.check_repo(&origin, &account.did, &told()).await;
            for client in &mut clients {
                let settled = client.settle(&account.did, &records, &told());
                sum.in_flight += u64::from(settled.is_some());
                sum.carried_out += u64::from(settled == Some(true));
                sum.blobs += client.check_blobs(&origin, &account.did, &told()).await;
            }
        }
        for client in &mut clients {
            witness.check_acks(&client.take_acks(), &told());
            client.forget_new();
        }
        let imported = witness.check_repo(&origin, importer.did(), &told()).await;
        sum.imports += importer.settle(&imported, &told()).await;
        witness.forget_commits();
        joiner.settle(&origin, &told()).await;
    }
    joiner.check_directory(&network.directory_url(), &[&accounts[..], &[importer.account()]].concat()).await;
    server.kill();
    assert!(sum.acknowledged > 0 && sum.in_flight > 0, "seed {seed}: nobody was given the time to write");
    report(&format!(
        "crash: {cycles} kills and {} more while starting, {} acknowledged writes and {} events, all there; {} writes \
         in flight, of which {} were carried out; {} blobs read, {} imports, {} sign-ups, each with its DID ({} s; \
         seed {seed})\n",
        sum.kills_while_starting,
        sum.acknowledged,
        witness.seq(),
        sum.in_flight,
        sum.carried_out,
        sum.blobs,
        sum.imports,
        joiner.joined(),
        began.elapsed().as_secs()
    ));
}

/// The load of one cycle, under way.
struct Load {
    clients: Vec<tokio::task::JoinHandle<Client>>,
    tail: Tail,
    acks: Arc<AtomicU64>,
}

/// Lets the clients write until it is time to kill.
async fn load(origin: &str, clients: &mut Vec<Client>, cursor: i64, rng: &mut Rng) -> Load {
    let acks = Arc::new(AtomicU64::new(0));
    let tail = Tail::open(origin, cursor).await;
    let clients = clients
        .drain(..)
        .map(|mut client| {
            let (origin, acks) = (origin.to_owned(), Arc::clone(&acks));
            tokio::spawn(async move {
                client.write_until_gone(&origin, &acks).await;
                client
            })
        })
        .collect();
    let enough = rng.below(ACKS_PER_CYCLE_MAX);
    let deadline = Instant::now() + Duration::from_secs(LOAD_SECS_MAX);
    while acks.load(Ordering::Relaxed) < enough && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // And not just after an acknowledgement.
    tokio::time::sleep(Duration::from_micros(rng.below(5_000))).await;
    Load { clients, tail, acks }
}

impl Load {
    /// Waits until everybody has noticed that the server is gone.
    async fn end(self) -> (Vec<Client>, u64, Vec<bytes::Bytes>) {
        let mut clients = Vec::new();
        for client in self.clients {
            clients.push(client.await.unwrap());
        }
        (clients, self.acks.load(Ordering::Relaxed), self.tail.end().await)
    }
}

/// One write for one line.
fn report(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}
