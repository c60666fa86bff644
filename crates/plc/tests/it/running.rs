//! A directory on a port of its own, with a clock that stands still until it is moved.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use allod_atproto::{
    Did,
    json::{Limits, parse},
    plc::Operation,
};
use allod_plc::{
    client::PlcClient,
    directory::{self, Directory},
    limits::StreamLimits,
};
use allod_store::{
    Db,
    sqlite::{self, SqliteOptions},
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use url::Url;

const START_MICROS: u64 = 1_780_000_000_000_000;

pub(crate) struct Running {
    pub(crate) db: Db,
    pub(crate) url: Url,
    pub(crate) http: reqwest::Client,
    pub(crate) client: PlcClient,
    clock: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::start_with(|db| db, StreamLimits::default()).await
    }

    /// Starts with a store that may be wrapped, and streams that may be tighter.
    pub(crate) async fn start_with(wrap: impl FnOnce(Db) -> Db, limits: StreamLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = wrap(sqlite::open(SqliteOptions::new(folder.path().join("plc.sqlite"))).unwrap());
        let clock = Arc::new(AtomicU64::new(START_MICROS));
        let now = Arc::clone(&clock);
        let now = Arc::new(move || now.load(Ordering::SeqCst));
        let directory = Directory::start_with(Arc::clone(&db), now, limits).await.unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            directory::serve(listener, directory, async { drop(stopped.await) }).await.unwrap();
        });
        let http = http_client();
        let client = PlcClient::new(url.clone(), http.clone());
        Self { db, url, http, client, clock, stop: Some(stop), serving, _folder: folder }
    }

    /// Moves the clock; a negative number moves it back.
    pub(crate) fn advance_millis(&self, millis: i64) {
        self.clock.fetch_add(millis.wrapping_mul(1000).cast_unsigned(), Ordering::SeqCst);
    }

    /// Asks the service to end and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(10), &mut self.serving).await.unwrap().unwrap();
    }

    pub(crate) async fn post(&self, did: &Did, operation: &Operation) -> (u16, String) {
        let response = self.http.post(self.at(did.as_str())).json(&operation.to_json()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String, String) {
        let response = self.http.get(self.at(path)).send().await.unwrap();
        let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        (response.status().as_u16(), kind.unwrap_or_default(), response.text().await.unwrap())
    }

    pub(crate) async fn get_json(&self, path: &str) -> Value {
        let (status, _, text) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {text}");
        read_json(text)
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

pub(crate) fn http_client() -> reqwest::Client {
    // A provider that is already there is the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    #[expect(clippy::disallowed_methods, reason = "the addresses are the test's own")]
    let builder = reqwest::Client::builder();
    builder.no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// The `message` of a refusal.
pub(crate) fn message(body: &str) -> String {
    let json: Value = read_json(body);
    json["message"].as_str().unwrap().to_owned()
}

/// Reads a whole text.
pub(crate) fn read_json(text: impl AsRef<[u8]>) -> Value {
    parse(text.as_ref(), &Limits::OWN).unwrap()
}
