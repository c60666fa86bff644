//! The server a test talks to.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use allod_atproto::{Did, Handle, frame::Frame};
use allod_server::{app::App, domain::mail::Message};
use allod_store::{Event, fault::Faulty};
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Call, FakeClock, Options, ScriptedDisk, ScriptedFailpoints, ScriptedNetwork, ScriptedPlc, SeededRandomness, Stream,
    canaries::canaries,
    errors::LoggedErrors,
    server::{DirectoryRun, End, Run, World, decoded, decoded_events, http_client, temporary_directory},
};

/// A whole server of a test's own.
pub struct TestPds {
    run: Run,
    world: World,
    client: reqwest::Client,
    /// Runs for as long as one of its servers does.
    directory: Arc<DirectoryRun>,
    _files: TempDir,
}

/// Somebody with an account, signed in.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The account's DID.
    pub did: Did,
    /// Its handle.
    pub handle: Handle,
    /// Its e-mail address.
    pub email: String,
    /// Its password.
    pub password: String,
    /// An access token.
    pub access: String,
    /// A refresh token.
    pub refresh: String,
}

impl TestPds {
    /// Starts a server with the usual options: open sign-up, handles under `.test`.
    pub async fn start() -> Self {
        Self::options().start().await
    }

    /// The usual options, to be changed.
    pub fn options() -> Options {
        Options::default()
    }

    pub(crate) async fn with(options: Options) -> Self {
        let clock = Arc::new(FakeClock::default());
        let (directory, plc) = DirectoryRun::start(Arc::clone(&clock)).await;
        Self::at(options, clock, Arc::new(directory), plc).await
    }

    pub(crate) async fn beside(other: &Self, options: Options) -> Self {
        let (clock, plc) = (Arc::clone(&other.world.clock), other.world.plc.clone());
        Self::at(options, clock, Arc::clone(&other.directory), plc).await
    }

    async fn at(options: Options, clock: Arc<FakeClock>, directory: Arc<DirectoryRun>, plc: ScriptedPlc) -> Self {
        let files = temporary_directory();
        let world = World {
            clock,
            randomness: Arc::new(SeededRandomness::new(options.seed)),
            network: Arc::default(),
            failpoints: Arc::default(),
            plc,
            errors: LoggedErrors::default(),
            is_impossible: Arc::default(),
            database: files.path().join("allod.sqlite"),
            blobs: files.path().join("blobs"),
            disk: Arc::default(),
            imports: files.path().join("imports"),
            options,
        };
        let run = Run::start(world.clone(), 0).await;
        let client = http_client();
        Self { run, world, client, directory, _files: files }
    }

    /// The server's origin: scheme, host and port.
    pub fn url(&self) -> String {
        format!("http://{}", self.run.address)
    }

    /// The server's own DID.
    pub fn did(&self) -> &Did {
        &self.run.app.config.service.did
    }

    /// The server's insides, to arrange the impossible.
    pub fn app(&self) -> &Arc<App> {
        &self.run.app
    }

    /// The store's file.
    pub fn database(&self) -> PathBuf {
        self.world.database.clone()
    }

    /// Where blobs' bytes are kept.
    pub fn blobs(&self) -> PathBuf {
        self.world.blobs.clone()
    }

    /// Faults of the disk that blobs are on; they stay after a restart.
    pub fn disk(&self) -> &ScriptedDisk {
        &self.world.disk
    }

    /// Where repositories are kept while they are imported.
    pub fn imports(&self) -> PathBuf {
        self.world.imports.clone()
    }

    /// Faults of the store, to be ordered; none is left after a restart.
    pub fn store(&self) -> &Faulty {
        &self.run.store
    }

    /// The directory's script.
    pub fn plc(&self) -> &ScriptedPlc {
        &self.world.plc
    }

    /// The network outside.
    pub fn network(&self) -> &ScriptedNetwork {
        &self.world.network
    }

    /// What happens between the durable steps of a sign-up.
    pub fn failpoints(&self) -> &ScriptedFailpoints {
        &self.world.failpoints
    }

    /// Time.
    pub fn clock(&self) -> &FakeClock {
        &self.world.clock
    }

    /// Moves time forward.
    pub fn advance(&self, by: Duration) {
        self.world.clock.advance(by);
    }

    /// The mail that was sent, oldest first; what is due is sent before.
    pub async fn mail(&self) -> Vec<Message> {
        self.deliver_mail().await;
        let mail = self.run.app.mailbox.as_ref().map(|mailbox| mailbox.messages()).unwrap_or_default();
        if let Some(canaries) = canaries() {
            for letter in &mail {
                canaries.note_letter(&letter.text);
            }
        }
        mail
    }

    /// Sends the mail that is due, without waiting for the worker.
    pub async fn deliver_mail(&self) {
        self.run.app.mail.deliver_due().await.expect("the outbox can be seen to");
    }

    /// The code in the newest letter to this address. Panics when there is none.
    pub async fn code_mailed_to(&self, address: &str) -> String {
        let mail = self.mail().await;
        let letter = mail.iter().rev().find(|letter| letter.to == address).expect("a letter was sent to the address");
        let code = letter.text.lines().find_map(|line| line.strip_prefix("    "));
        code.expect("the letter has a code").to_owned()
    }

    /// An HTTP client for everything that is no XRPC call.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Starts putting a query together.
    pub fn xrpc_get(&self, nsid: &str) -> Call {
        Call::new(&self.client, &self.url(), Method::GET, nsid, &self.app().schemas)
    }

    /// Starts putting a procedure call together.
    pub fn xrpc_post(&self, nsid: &str) -> Call {
        Call::new(&self.client, &self.url(), Method::POST, nsid, &self.app().schemas)
    }

    /// Listens to the firehose, from a cursor on or from now on.
    pub async fn subscribe(&self, cursor: Option<i64>) -> Stream {
        let cursor = cursor.map(|cursor| format!("?cursor={cursor}")).unwrap_or_default();
        self.stream(&format!("/xrpc/com.atproto.sync.subscribeRepos{cursor}"), &[]).await.expect("the stream opens")
    }

    /// Opens a WebSocket at a path; a refusal is given as status and body.
    pub async fn stream(&self, path: &str, headers: &[(&str, &str)]) -> Result<Stream, (u16, String)> {
        Stream::open(&format!("ws://{}{path}", self.run.address), headers).await
    }

    /// Signs somebody up, with an invite code if one is needed.
    pub async fn account(&self, name: &str) -> Actor {
        let config = &self.run.app.config.sign_up;
        let domain = config.handle_domains.first().expect("the server gives handles under a domain");
        let (handle, email, password) =
            (format!("{name}{domain}"), format!("{name}@mail.test"), format!("password-of-{name}"));
        let mut body = json!({ "handle": handle, "email": email, "password": password });
        if config.invite_required {
            body["inviteCode"] = self.invite(1).await.into();
        }
        let created = self.xrpc_post("com.atproto.server.createAccount").json(&body).ok().await;
        Actor {
            did: Did::parse(text(&created, "did")).expect("createAccount answers with a DID"),
            handle: Handle::parse(text(&created, "handle")).expect("createAccount answers with a handle"),
            email,
            password,
            access: text(&created, "accessJwt").to_owned(),
            refresh: text(&created, "refreshJwt").to_owned(),
        }
    }

    /// Signs an account of [`TestPds::account`] in once more.
    pub async fn sign_in(&self, name: &str) -> Actor {
        self.sign_in_with(name, &format!("password-of-{name}")).await
    }

    /// Signs an account in with another password than its first.
    pub async fn sign_in_with(&self, name: &str, password: &str) -> Actor {
        let domain = self.run.app.config.sign_up.handle_domains.first().expect("there is a domain");
        let body = json!({ "identifier": format!("{name}{domain}"), "password": password });
        let session = self.xrpc_post("com.atproto.server.createSession").json(&body).ok().await;
        Actor {
            did: Did::parse(text(&session, "did")).expect("createSession answers with a DID"),
            handle: Handle::parse(text(&session, "handle")).expect("createSession answers with a handle"),
            email: text(&session, "email").to_owned(),
            password: password.to_owned(),
            access: text(&session, "accessJwt").to_owned(),
            refresh: text(&session, "refreshJwt").to_owned(),
        }
    }

    /// Makes an app password for an account, and gives it.
    pub async fn app_password(&self, actor: &Actor, name: &str, privileged: bool) -> String {
        let body = json!({ "name": name, "privileged": privileged });
        let call = self.xrpc_post("com.atproto.server.createAppPassword").bearer(&actor.access).json(&body);
        text(&call.ok().await, "password").to_owned()
    }

    /// Makes an invite code.
    pub async fn invite(&self, uses: u32) -> String {
        let call = self.xrpc_post("com.atproto.server.createInviteCode").admin();
        let created = call.json(&json!({ "useCount": uses })).ok().await;
        text(&created, "code").to_owned()
    }

    /// Stops the server, letting requests end, and starts it again on the same store and port.
    pub async fn restart(&mut self) {
        self.again(End::Stop).await;
    }

    /// Ends the server where it is, requests and all, and starts it again on the same store and port.
    pub async fn crash(&mut self) {
        self.again(End::Crash).await;
    }

    /// As [`TestPds::crash`]; while the server is down, `meanwhile` does to its files what befell them.
    pub async fn crash_and(&mut self, meanwhile: impl FnOnce()) {
        let port = self.run.address.port();
        self.run.end(End::Crash);
        meanwhile();
        self.run = Run::start(self.world.clone(), port).await;
    }

    async fn again(&mut self, how: End) {
        let port = self.run.address.port();
        self.run.end(how);
        self.run = Run::start(self.world.clone(), port).await;
    }

    /// Does the background work that is due, without waiting for its timer.
    pub async fn do_jobs(&self) {
        allod_server::jobs::pass(&self.run.app).await;
    }

    /// Every event, decoded.
    pub async fn events(&self) -> Vec<(Event, Frame)> {
        decoded_events(&self.run.app.db).await
    }

    /// Says that the test arranges what can't happen: events that no consumer could follow, records that are not those
    /// of the head. What is checked at the end is then only that every event decodes.
    pub fn arranges_the_impossible(&self) {
        self.world.is_impossible.store(true, Ordering::Relaxed);
    }

    /// Decodes an event. Panics when it can't.
    pub fn decode(&self, event: &Event) -> Frame {
        decoded(event)
    }

    /// Takes the errors that were logged so far; a test that expects some reads them here.
    pub fn logged_errors(&self) -> Vec<String> {
        self.world.errors.take()
    }

    /// Ignores errors with this text: those of a job that comes by at a time of its own.
    pub fn ignores_errors(&self, text: &str) {
        self.world.errors.ignore(text);
    }
}

impl Drop for TestPds {
    fn drop(&mut self) {
        self.run.end(End::Crash);
        if let Some(canaries) = canaries() {
            canaries.flush();
        }
        if std::thread::panicking() {
            return;
        }
        let errors = self.world.errors.take();
        assert!(errors.is_empty(), "errors were logged that the test did not read:\n{}", errors.join("\n"));
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
