//! Threads of their own: one for the directory, one for each run of the server, so that a run can end at any moment.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use allod_atproto::{
    Cid, Did,
    frame::{self, EncodedFrame, Frame, Message},
};
use allod_base::clock::Clock;
use allod_blobstore::disk::Disk;
use allod_net::{forms::Forms, outbound::Outbound, resolver::Resolver};
use allod_plc::{
    client::{PlcClient, Timeouts},
    directory::{self, Directory},
};
use allod_server::{
    app::{App, Parts},
    config::Config,
    domain::{account_status::Status, keys::Purpose},
    jobs, service,
};
use allod_store::{
    Db, Event, EventKind,
    fault::Faulty,
    sqlite::{self, SqliteOptions},
    tables::{accounts, records, repos, signing_keys},
};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::oneshot,
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt;
use url::Url;

use crate::{
    Consumer, FakeClock, Followed, ScriptedDisk, ScriptedFailpoints, ScriptedNetwork, ScriptedPlc, SeededRandomness,
    canaries::{Canaries, Kind, Verbose, canaries},
    errors::LoggedErrors,
    options::Options,
};

/// How many events are read at once.
const EVENTS_PER_READ: usize = 1000;
/// How many threads for blocking work the directory has.
const DIRECTORY_BLOCKING_THREADS: usize = 4;
/// The keys of so many accounts are noted.
const ACCOUNTS_MAX: i64 = 1000;

/// What outlives a run of the server.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) randomness: Arc<SeededRandomness>,
    pub(crate) network: Arc<ScriptedNetwork>,
    pub(crate) failpoints: Arc<ScriptedFailpoints>,
    pub(crate) plc: ScriptedPlc,
    pub(crate) errors: LoggedErrors,
    pub(crate) is_impossible: Arc<AtomicBool>,
    pub(crate) database: PathBuf,
    pub(crate) blobs: PathBuf,
    pub(crate) disk: Arc<ScriptedDisk>,
    pub(crate) imports: PathBuf,
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Requests under way are answered.
    Stop,
    /// Everything ends where it is.
    Crash,
}

/// One run of the server.
pub(crate) struct Run {
    pub(crate) app: Arc<App>,
    pub(crate) store: Arc<Faulty>,
    pub(crate) address: SocketAddr,
    end: Option<oneshot::Sender<End>>,
    thread: Option<JoinHandle<()>>,
}

impl Run {
    /// Opens the store and starts the server on a port (0: a free one); ready when it returns.
    pub(crate) async fn start(world: World, port: u16) -> Self {
        let (ready, started) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("test-pds".to_owned())
            .spawn(move || {
                let _logging = log(&world.errors);
                runtime(world.options.blocking_threads).block_on(run(world, port, ready, ended));
            })
            .expect("a thread starts");
        let Started { app, store, address } = started.await.expect("the server starts");
        Self { app, store, address, end: Some(end), thread: Some(thread) }
    }

    /// Ends the run and waits until its store is closed.
    pub(crate) fn end(&mut self, how: End) {
        if let Some(end) = self.end.take() {
            // A run that is over can't be ended.
            let _ = end.send(how);
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            // The panic was printed by its thread.
            assert!(std::thread::panicking(), "the server panicked");
        }
    }
}

/// Catches what this thread logs as an error; and writes everything down, of other threads too, if that is to be
/// searched.
fn log(errors: &LoggedErrors) -> tracing::subscriber::DefaultGuard {
    let subscriber = tracing_subscriber::registry().with(errors.clone());
    let Some(canaries) = canaries() else { return tracing::subscriber::set_default(subscriber) };
    // Another server of this process has done so for all of them.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Verbose(canaries)));
    tracing::subscriber::set_default(subscriber.with(Verbose(canaries)))
}

fn runtime(blocking_threads: usize) -> Runtime {
    Builder::new_current_thread().max_blocking_threads(blocking_threads).enable_all().build().expect("a runtime starts")
}

struct Started {
    app: Arc<App>,
    store: Arc<Faulty>,
    address: SocketAddr,
}

async fn run(world: World, port: u16, ready: oneshot::Sender<Started>, ended: oneshot::Receiver<End>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the server's port is free");
    let address = listener.local_addr().expect("a listener has an address");
    let options = world.options.store_options(&world.database);
    let store = Faulty::new(sqlite::open(options).expect("the store opens"));
    let app = app(&world, Arc::<Faulty>::clone(&store), address.port());
    let stop = CancellationToken::new();
    let jobs = tokio::spawn(jobs::run(Arc::clone(&app)));
    let serving = tokio::spawn(service::serve(listener, Arc::clone(&app), stop.clone().cancelled_owned()));
    let _ = ready.send(Started { app: Arc::clone(&app), store: Arc::clone(&store), address });
    // A test that is gone wants no answers.
    if ended.await.unwrap_or(End::Crash) == End::Stop {
        stop.cancel();
        serving.await.expect("the server stops");
    }
    jobs.abort();
    store.clear();
    check_events(&app.db, world.is_impossible.load(Ordering::Relaxed)).await;
    if let Some(canaries) = canaries() {
        note_keys(canaries, &app).await;
    }
    app.db.close().await;
}

/// Notes the server's own secrets, and the keys of those who have an account at the end.
async fn note_keys(canaries: &Canaries, app: &App) {
    let secrets = &app.config.secrets;
    canaries.note(Kind::Key, secrets.jwt_secret.expose().as_bytes());
    canaries.note_key(secrets.plc_rotation_key.expose());
    canaries.note_key(secrets.master_key.expose());
    if let Some(password) = &secrets.admin_password {
        canaries.note_administration(password.expose());
    }
    // A store that can't be read any more was broken by the test.
    for account in accounts::page(&*app.db, None, ACCOUNTS_MAX).await.unwrap_or_default() {
        if let Ok(Some(key)) = signing_keys::by_did(&*app.db, &account.did).await
            && let Ok(key) = app.keyring.unwrap(&key.wrapped, Purpose::Signing(&account.did))
        {
            canaries.note_key(&key.to_bytes());
        }
    }
}

fn app(world: &World, db: Db, port: u16) -> Arc<App> {
    let config: Config = world.options.build(port, &world.plc.url());
    let timeouts = Timeouts { submit: world.options.plc_timeout, read: world.options.plc_timeout };
    let plc = PlcClient::with_timeouts(config.identity.plc_url.clone(), http_client(), timeouts);
    let scripted = || Arc::<ScriptedNetwork>::clone(&world.network) as Arc<dyn Outbound>;
    let outbound = world.options.outbound.clone().unwrap_or_else(scripted);
    let resolver = Resolver::new(plc.clone(), outbound, Arc::<FakeClock>::clone(&world.clock), config.dev_mode);
    let faults = Arc::<ScriptedDisk>::clone(&world.disk);
    let objects = Disk::open(&world.blobs, None, Some(faults)).expect("the blobs' folder can be made");
    let parts = Parts {
        config,
        db,
        objects: Arc::new(objects),
        imports_directory: world.imports.clone(),
        clock: Arc::<FakeClock>::clone(&world.clock),
        randomness: Arc::<SeededRandomness>::clone(&world.randomness),
        plc,
        resolver,
        forms: Forms::new(http_client()),
        mail_transport: world.options.mail_transport.clone(),
        failpoints: Some(Arc::<ScriptedFailpoints>::clone(&world.failpoints)),
    };
    App::new(parts).expect("the parts make a server")
}

/// A client without any guard, for addresses of the test itself.
pub(crate) fn http_client() -> reqwest::Client {
    // A provider that is already there is the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    #[expect(clippy::disallowed_methods, reason = "the addresses are the test's own")]
    let builder = reqwest::Client::builder();
    builder.no_proxy().build().expect("a client is made")
}

/// A directory for what a server or a did:plc directory keeps. It goes with its owner, unless it is to be searched.
pub(crate) fn temporary_directory() -> TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix("allod-test-");
    let made = match canaries() {
        Some(canaries) => builder.disable_cleanup(true).tempdir_in(canaries.servers()),
        None => builder.tempdir(),
    };
    made.expect("a temporary directory")
}

/// The directory's thread: the real one and the scripted one before it.
pub(crate) struct DirectoryRun {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _files: TempDir,
}

impl DirectoryRun {
    /// Starts both; ready when it returns.
    pub(crate) async fn start(clock: Arc<FakeClock>) -> (Self, ScriptedPlc) {
        let files = temporary_directory();
        let database = files.path().join("plc.sqlite");
        let (ready, started) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("test-plc".to_owned())
            .spawn(move || {
                runtime(DIRECTORY_BLOCKING_THREADS)
                    .block_on(run_directory(&database, clock, ready, ended))
                    .expect("the directory runs");
            })
            .expect("a thread starts");
        let plc = started.await.expect("the directory starts");
        (Self { end: Some(end), thread: Some(thread), _files: files }, plc)
    }
}

impl Drop for DirectoryRun {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            assert!(std::thread::panicking(), "the directory panicked");
        }
    }
}

async fn run_directory(
    database: &Path,
    clock: Arc<FakeClock>,
    ready: oneshot::Sender<ScriptedPlc>,
    ended: oneshot::Receiver<()>,
) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let real = Url::parse(&format!("http://{}", listener.local_addr()?)).map_err(io::Error::other)?;
    let db: Db = sqlite::open(SqliteOptions::new(database)).map_err(io::Error::other)?;
    let stop = CancellationToken::new();
    tokio::spawn(serve_directory(listener, Arc::clone(&db), clock, stop.clone()));
    let (plc, door) = ScriptedPlc::bind(real, http_client())?;
    let door = tokio::spawn(door.serve());
    let _ = ready.send(plc);
    // Ends when the test lets go.
    let _ = ended.await;
    door.abort();
    stop.cancel();
    db.close().await;
    Ok(())
}

async fn serve_directory(
    listener: TcpListener,
    db: Db,
    clock: Arc<FakeClock>,
    stop: CancellationToken,
) -> io::Result<()> {
    let now_micros = move || clock.now_micros();
    let directory = Directory::start(db, Arc::new(now_micros)).await.map_err(io::Error::other)?;
    directory::serve(listener, directory, stop.cancelled_owned()).await
}

/// Checks that a consumer can follow every event, and that what it knows in the end is what the store has, unless a
/// test has broken the store or arranged what can't happen: then events need only decode.
async fn check_events(db: &Db, is_impossible: bool) {
    if db.events(0, 1).await.is_err() {
        return;
    }
    let events = decoded_events(db).await;
    if is_impossible {
        return;
    }
    let mut consumer = Consumer::default();
    for (event, frame) in events {
        if consumer.seq() == 0 && event.seq > 1 {
            consumer = Consumer::joining_late();
        }
        let (did, kind) = about(&frame.message);
        assert_eq!((did.as_str(), kind, frame.seq), (event.did.as_str(), event.kind, Some(event.seq)));
        // The key of an account that is gone is gone.
        let key = signing_keys::by_did(&**db, did).await.ok().flatten().map(|key| key.did_key);
        if let Err(error) = consumer.take(&frame, key.as_ref()) {
            panic!("event {} of {}: {error}", event.seq, event.did);
        }
    }
    for (did, followed) in consumer.repos() {
        check_repo(db, did, followed).await;
    }
}

/// Checks that what a consumer knows of a repository is what the store has.
async fn check_repo(db: &Db, did: &Did, followed: &Followed) {
    // A store that can't be read any more was broken by the test.
    let Ok(Some(account)) = accounts::by_did(&**db, did).await else { return };
    let Ok(Some(head)) = repos::head_of(&**db, did).await else { return };
    // The network is not told of what happens to an account that is not active.
    if !Status::of(&account).is_active() {
        return;
    }
    assert_eq!((head.commit, head.rev), (followed.commit, followed.rev), "the head of {did} is not what was told");
    if let Some(told) = &followed.records
        && let Ok(entries) = records::entries(&**db, head.record_set, "", i64::MAX).await
    {
        let stored: BTreeMap<String, Cid> = entries.into_iter().map(|entry| (entry.path, entry.cid)).collect();
        assert_eq!(&stored, told, "the records of {did} are not what was told");
    }
}

/// Whom a message is about, and of which kind it is.
fn about(message: &Message) -> (&Did, EventKind) {
    match message {
        Message::Commit(commit) => (&commit.repo, EventKind::Commit),
        Message::Sync(sync) => (&sync.did, EventKind::Sync),
        Message::Identity(identity) => (&identity.did, EventKind::Identity),
        Message::Account(account) => (&account.did, EventKind::Account),
        Message::Info(_) | Message::Error(_) | Message::Other { .. } => panic!("this is no event: {message:?}"),
    }
}

/// Reads every event of a store, decoding each. Panics at one that does not decode.
pub(crate) async fn decoded_events(db: &Db) -> Vec<(Event, Frame)> {
    let (mut decoded, mut after) = (Vec::new(), 0);
    loop {
        let events = db.events(after, EVENTS_PER_READ).await.expect("events can be read");
        let Some(last) = events.last() else { return decoded };
        after = last.seq;
        decoded.extend(events.into_iter().filter(|event| event.kind != EventKind::Damaged).map(|event| {
            let frame = self::decoded(&event);
            (event, frame)
        }));
    }
}

/// Decodes an event. Panics when it can't.
pub(crate) fn decoded(event: &Event) -> Frame {
    let encoded = EncodedFrame { before: event.before.clone(), after: event.after.clone() };
    match frame::decode(&encoded.with_seq(event.seq)) {
        Ok(frame) => frame,
        Err(error) => panic!("event {} of {} does not decode: {error}", event.seq, event.did),
    }
}
