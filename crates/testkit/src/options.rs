//! What a test wants its server to be like.

use std::{path::Path, sync::Arc, time::Duration};

use allod_atproto::Did;
use allod_base::secret::Secret;
use allod_http::{address::TrustedProxies, limits::CONNECTIONS_MAX};
use allod_net::outbound::Outbound;
use allod_server::{
    config::{Config, IdentityConfig, RateLimitConfig, Secrets, ServiceConfig, SignUpConfig, Verification},
    domain::{
        disposable_domains::DisposableDomains,
        firehose::{FirehoseConfig, RING_BYTES_MAX},
        mail::Transport,
        passwords::HashCost,
        repos::import::ImportConfig,
    },
};
use allod_store::sqlite::SqliteOptions;
use url::Url;

use crate::TestPds;

/// The administrator's password of every test server.
pub(crate) const ADMIN_PASSWORD: &str = "admin-of-the-test";

/// How long the server waits for the directory, unless a test says otherwise; longer than any healthy answer takes on
/// a loaded machine.
const PLC_TIMEOUT: Duration = Duration::from_secs(10);

/// How many threads for blocking work a server has, unless a test says otherwise.
const BLOCKING_THREADS: usize = 64;

/// How long events are kept: three days.
const RETENTION_MICROS: u64 = 3 * 24 * 3600 * 1_000_000;

type Change = Arc<dyn Fn(&mut Config) + Send + Sync>;
type StoreChange = Arc<dyn Fn(SqliteOptions) -> SqliteOptions + Send + Sync>;

/// What a test wants its server to be like; also after a restart.
#[derive(Clone)]
pub struct Options {
    pub(crate) seed: u64,
    pub(crate) plc_timeout: Duration,
    pub(crate) mail_transport: Option<Arc<dyn Transport>>,
    pub(crate) outbound: Option<Arc<dyn Outbound>>,
    pub(crate) blocking_threads: usize,
    changes: Vec<Change>,
    store_changes: Vec<StoreChange>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            plc_timeout: PLC_TIMEOUT,
            mail_transport: None,
            outbound: None,
            blocking_threads: BLOCKING_THREADS,
            changes: Vec::new(),
            store_changes: Vec::new(),
        }
    }
}

impl Options {
    /// Asks for an invite code at sign-up. It is off otherwise.
    #[must_use]
    pub fn invite_required(self) -> Self {
        self.config(|config| config.sign_up.invite_required = true)
    }

    /// Gives handles under these domains, each with its leading dot, instead of `.test`.
    #[must_use]
    pub fn handle_domains(self, domains: &[&str]) -> Self {
        let domains: Vec<String> = domains.iter().map(|&domain| domain.to_owned()).collect();
        self.config(move |config| config.sign_up.handle_domains.clone_from(&domains))
    }

    /// Changes the configuration.
    #[must_use]
    pub fn config(mut self, change: impl Fn(&mut Config) + Send + Sync + 'static) -> Self {
        self.changes.push(Arc::new(change));
        self
    }

    /// Changes how the store is opened.
    #[must_use]
    pub fn store(mut self, change: impl Fn(SqliteOptions) -> SqliteOptions + Send + Sync + 'static) -> Self {
        self.store_changes.push(Arc::new(change));
        self
    }

    /// Draws other random bytes: two servers of one test must not make the same keys.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Lets the server wait for the directory's answer no longer than this, in real time.
    #[must_use]
    pub fn plc_timeout(mut self, timeout: Duration) -> Self {
        self.plc_timeout = timeout;
        self
    }

    /// Sends mail by a transport, instead of capturing it.
    #[must_use]
    pub fn mail_transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.mail_transport = Some(transport);
        self
    }

    /// Looks identities up in this network instead of the scripted one.
    #[must_use]
    pub fn outbound(mut self, outbound: Arc<dyn Outbound>) -> Self {
        self.outbound = Some(outbound);
        self
    }

    /// Gives the server's runtime this many threads for blocking work.
    #[must_use]
    pub fn blocking_threads(mut self, threads: usize) -> Self {
        self.blocking_threads = threads;
        self
    }

    /// Starts the server.
    pub async fn start(self) -> TestPds {
        TestPds::with(self).await
    }

    /// Starts the server in the same network as another: with its directory and its clock.
    pub async fn start_beside(self, other: &TestPds) -> TestPds {
        TestPds::beside(other, self).await
    }

    pub(crate) fn store_options(&self, path: &Path) -> SqliteOptions {
        self.store_changes.iter().fold(SqliteOptions::new(path), |options, change| change(options))
    }

    pub(crate) fn build(&self, port: u16, plc_url: &Url) -> Config {
        let mut config = Config {
            service: ServiceConfig {
                hostname: "localhost".to_owned(),
                public_url: format!("http://localhost:{port}"),
                did: Did::parse("did:web:localhost").expect("did:web:localhost is a DID"),
                name: "Test PDS".to_owned(),
                version: "0.0.0-test".to_owned(),
                contact_email: None,
                privacy_policy_url: None,
                terms_of_service_url: None,
            },
            sign_up: SignUpConfig {
                handle_domains: vec![".test".to_owned()],
                invite_required: false,
                invite_interval_millis: None,
                invite_epoch_millis: 0,
                queue: None,
                verification: Verification::Nothing,
                email_required: true,
                disposable_domains_file: None,
                disposable_domains: DisposableDomains::default(),
                password_chars_min: 8,
                password_chars_max: 256,
                did_web_accounts: false,
                server_rotation_key_required: true,
            },
            identity: IdentityConfig {
                plc_url: plc_url.clone(),
                recovery_key: None,
                resolve_timeout_millis: 3000,
                document_with_session: true,
                handle_hold_secs: 30 * 24 * 60 * 60,
            },
            firehose: FirehoseConfig {
                retention_micros: RETENTION_MICROS,
                ring_bytes_max: RING_BYTES_MAX,
                relays: Vec::new(),
                jetstream: false,
            },
            moderation_service_did: None,
            sign_in_notices: true,
            rate_limits: RateLimitConfig::default(),
            trusted_proxies: TrustedProxies::default(),
            connections_max: CONNECTIONS_MAX,
            access_log: true,
            mail: None,
            secrets: Secrets {
                jwt_secret: Secret::new("0123456789abcdef0123456789abcdef".to_owned()),
                admin_password: Some(Secret::new(ADMIN_PASSWORD.to_owned())),
                plc_rotation_key: Secret::new([0x11; 32]),
                master_key: Secret::new([0x22; 32]),
            },
            imports: ImportConfig { accepted: true, file_bytes_max: 16 * 1024 * 1024 },
            blob_upload_bytes_max: 5 * 1024 * 1024,
            blob_directory: None,
            blob_temporary_directory: None,
            blob_quota_bytes: 0,
            scrub_bytes_per_sec: None,
            repo_cache_bytes_max: 1024 * 1024,
            password_hash_workers: 2,
            password_hash_cost: HashCost { memory_kib: 8, passes: 1 },
            dev_mode: true,
        };
        for change in &self.changes {
            change(&mut config);
        }
        config
    }
}
