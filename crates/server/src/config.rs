//! What an operator chooses, as plain values; the binary reads files and environment into it.

use std::path::PathBuf;

use allod_atproto::{Did, crypto::DidKey};
use allod_base::secret::Secret;
use allod_http::address::TrustedProxies;
use ipnet::IpNet;
use url::Url;

use crate::{
    adapters::{sendmail::SendmailConfig, site_verify::CaptchaConfig, smtp::SmtpConfig, twilio::TwilioConfig},
    domain::{
        disposable_domains::DisposableDomains, firehose::FirehoseConfig, passwords::HashCost,
        repos::import::ImportConfig, sign_up::queue::QueueConfig,
    },
};

/// The whole configuration of a running server.
pub struct Config {
    /// Who the server is.
    pub service: ServiceConfig,
    /// Who may sign up, and with what.
    pub sign_up: SignUpConfig,
    /// Where identities are looked up and published.
    pub identity: IdentityConfig,
    /// What is streamed to others, and for how long it can be had.
    pub firehose: FirehoseConfig,
    /// The moderation service, whose tokens open what moderators need.
    pub moderation_service_did: Option<Did>,
    /// Whether callers are limited in how often they do things.
    pub rate_limits: RateLimitConfig,
    /// The peers that are believed about whom they forward for.
    pub trusted_proxies: TrustedProxies,
    /// How many connections are held at once.
    pub connections_max: usize,
    /// Whether each request is logged.
    pub access_log: bool,
    /// Whether people get a letter when somebody signs in to their account from a network that is new for it.
    pub sign_in_notices: bool,
    /// What takes mail; without it e-mails wait, or are captured in dev mode.
    pub mail: Option<MailConfig>,
    /// Everything that must stay unknown to others.
    pub secrets: Secrets,
    /// Whether and how repositories are imported.
    pub imports: ImportConfig,
    /// The largest blob taken, in bytes.
    pub blob_upload_bytes_max: u64,
    /// Where blobs are kept, when not in the data directory.
    pub blob_directory: Option<PathBuf>,
    /// Where unfinished uploads are kept, when not beside the blobs; it must be on the same file system.
    pub blob_temporary_directory: Option<PathBuf>,
    /// How many bytes of blobs an account may hold; 0 for as many as it likes.
    pub blob_quota_bytes: u64,
    /// How many bytes a second the scrub reads; none for no scrub.
    pub scrub_bytes_per_sec: Option<u64>,
    /// How many bytes of open repositories are kept in memory.
    pub repo_cache_bytes_max: u64,
    /// How many passwords are hashed at once.
    pub password_hash_workers: usize,
    /// What hashing one password costs.
    pub password_hash_cost: HashCost,
    /// Whether this is a local network for development: captured mail is shown, `.test` handles and plain-HTTP
    /// peers on this machine are allowed.
    pub dev_mode: bool,
}

/// What takes mail.
#[derive(Clone)]
pub enum MailConfig {
    /// A mail server.
    Smtp(SmtpConfig),
    /// The command of this machine's mail server.
    Sendmail(SendmailConfig),
}

/// Who the server is.
#[derive(Clone)]
pub struct ServiceConfig {
    /// The public host name, without scheme or port.
    pub hostname: String,
    /// The origin that clients and DID documents use: scheme, host and an optional port, no trailing slash.
    pub public_url: String,
    /// The service's own DID, the audience of its tokens; `did:web:<hostname>` by default.
    pub did: Did,
    /// What pages and mail call the server.
    pub name: String,
    /// The version that `_health` tells.
    pub version: String,
    /// Where the operator can be written to.
    pub contact_email: Option<String>,
    /// The privacy policy's address.
    pub privacy_policy_url: Option<String>,
    /// The terms of service's address.
    pub terms_of_service_url: Option<String>,
}

/// Who may sign up, and with what.
pub struct SignUpConfig {
    /// The domains handles are given under, each with its leading dot.
    pub handle_domains: Vec<String>,
    /// Whether a sign-up needs an invite code.
    pub invite_required: bool,
    /// How old an account has to grow for each invite code it may give away; without it none is made by itself.
    pub invite_interval_millis: Option<u64>,
    /// From when on accounts grow older for that, in milliseconds since the Unix epoch.
    pub invite_epoch_millis: u64,
    /// Whether whoever signs up uninvited waits until they are let in.
    pub queue: Option<QueueConfig>,
    /// What else shows that a person signs up.
    pub verification: Verification,
    /// Whether a sign-up needs an e-mail address.
    pub email_required: bool,
    /// The operator's list of throw-away e-mail domains, if there is one.
    pub disposable_domains_file: Option<PathBuf>,
    /// Which e-mail domains are taken for throw-away ones: the built-in list and what is in that file.
    pub disposable_domains: DisposableDomains,
    /// The shortest password taken, in characters.
    pub password_chars_min: usize,
    /// The longest password taken, in characters.
    pub password_chars_max: usize,
    /// Whether accounts may be on did:webs under the handle domains, whose documents this server keeps.
    pub did_web_accounts: bool,
    /// Whether the did:plc of an account must list this server's rotation key.
    pub server_rotation_key_required: bool,
}

/// What shows that a person signs up, and none of somebody's many robots.
#[derive(Clone, Default)]
pub enum Verification {
    /// Nothing is asked for.
    #[default]
    Nothing,
    /// A telephone number.
    Phone(PhoneConfig),
    /// A solved captcha.
    Captcha(CaptchaConfig),
}

/// Whether and how numbers are verified.
#[derive(Clone)]
pub struct PhoneConfig {
    /// How many accounts one number makes.
    pub accounts_max: u32,
    /// Who sends codes; in development mode they are shown among the captured mail when it is nobody.
    pub twilio: Option<TwilioConfig>,
}

/// Where identities are looked up and published.
pub struct IdentityConfig {
    /// The did:plc directory's base URL.
    pub plc_url: Url,
    /// A rotation key of the operator's that is put before the server's own in every new did:plc.
    pub recovery_key: Option<DidKey>,
    /// How long a single DID or handle look-up may take, in milliseconds.
    pub resolve_timeout_millis: u64,
    /// Whether answers about a session have the account's DID document.
    pub document_with_session: bool,
    /// For how long a handle under a service domain is held for the account that had it, in seconds; 0 for not at all.
    pub handle_hold_secs: u64,
}

/// Whether callers are limited in how often they do things, and who is not.
#[derive(Clone, Default)]
pub struct RateLimitConfig {
    /// Whether they are.
    pub enabled: bool,
    /// Whoever shows this in `x-ratelimit-bypass` is not limited.
    pub bypass_key: Option<Secret<String>>,
    /// Callers from these addresses are not limited.
    pub bypass_networks: Vec<IpNet>,
}

/// Everything that must stay unknown to others.
pub struct Secrets {
    /// Signs session tokens.
    pub jwt_secret: Secret<String>,
    /// Opens the administration methods; none closes them.
    pub admin_password: Option<Secret<String>>,
    /// The did:plc rotation key, a secp256k1 private key.
    pub plc_rotation_key: Secret<[u8; 32]>,
    /// Wraps signing keys at rest.
    pub master_key: Secret<[u8; 32]>,
}
