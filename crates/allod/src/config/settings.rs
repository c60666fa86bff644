//! Every setting, once: its names, its kind, its default and what it is for.
//!
//! `allod config check`, `allod config list`, docs/configuration.md and every message about a setting come from here.

use std::{marker::PhantomData, net::IpAddr, path::PathBuf};

use allod_atproto::{Did, crypto::DidKey};
use allod_base::secret::Secret;
use allod_http::address::TrustedProxies;
use url::Url;

use super::mail_value::{Sender, SmtpUrl};
use super::value::{
    EmailAddress, FromRaw, HandleDomains, Hostname, LogFilter, LogFormat, Networks, Relays, WebAddress,
};

/// What a setting is when nobody sets it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fallback {
    /// This text, read like a given value.
    Literal(&'static str),
    /// A value that follows from other settings or the machine; the text says which.
    Computed(&'static str),
    /// Nothing; the feature is off.
    None,
    /// The server does not start without it; the text says how to make a value.
    Required(&'static str),
}

/// A setting's description, apart from its type.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The TOML key; in capitals behind `ALLOD_` it is the environment's name.
    pub(crate) key: &'static str,
    /// The reference's name, when it has one.
    pub(crate) pds: Option<&'static str>,
    /// What a value is, for messages ("a port number").
    pub(crate) kind: &'static str,
    /// Whether the value must not be shown, and may be given as a file (`<name>_FILE`).
    pub(crate) secret: bool,
    /// What holds when nobody sets it.
    pub(crate) fallback: Fallback,
    /// What it is for, in one or two sentences.
    pub(crate) doc: &'static str,
}

impl Entry {
    /// The environment's name: `ALLOD_` and the key in capitals.
    pub(crate) fn allod_name(&self) -> String {
        format!("ALLOD_{}", self.key.to_uppercase())
    }
}

/// A setting of type `T`.
pub(crate) struct Setting<T> {
    /// Its description.
    pub(crate) entry: Entry,
    value: PhantomData<fn() -> T>,
}

impl<T: FromRaw> Setting<T> {
    const fn new(key: &'static str, pds: Option<&'static str>, fallback: Fallback, doc: &'static str) -> Self {
        Self { entry: Entry { key, pds, kind: T::KIND, secret: T::SECRET, fallback, doc }, value: PhantomData }
    }
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $key:literal, $pds:expr, $fallback:expr;)*) => {
        $($(#[doc = $doc])+ pub(crate) static $name: Setting<$type> =
            Setting::new($key, $pds, $fallback, concat!($($doc),+));)*

        /// Every setting, in the order they are explained.
        pub(crate) static ALL: &[&Entry] = &[$(&$name.entry),*];
    };
}

use Fallback::{Computed, Literal, None as Nothing, Required};

settings! {
    /// The public host name, without scheme and port. The public URL is `https://<hostname>`; for localhost it is `http://localhost:<port>`.
    HOSTNAME: Hostname = "hostname", Some("PDS_HOSTNAME"), Literal("localhost");
    /// The port for plain HTTP; 0 selects a free port.
    PORT: u16 = "port", Some("PDS_PORT"), Literal("2583");
    /// The address to listen on. Use `127.0.0.1` behind a reverse proxy on the same machine.
    BIND_ADDRESS: IpAddr = "bind_address", None, Literal("0.0.0.0");
    /// The directory for all durable data. Only one server at a time can use it.
    DATA_DIRECTORY: PathBuf = "data_directory", Some("PDS_DATA_DIRECTORY"), Literal("./allod-data");
    /// The DID of the service: the audience of the service tokens that it accepts.
    SERVICE_DID: Did = "service_did", Some("PDS_SERVICE_DID"), Computed("`did:web:<hostname>`");
    /// The server's name in pages and e-mails.
    SERVICE_NAME: String = "service_name", Some("PDS_SERVICE_NAME"), Computed("`<hostname> PDS`");
    /// The version in the response of `/xrpc/_health`.
    VERSION: String = "version", Some("PDS_VERSION"), Computed("Allod's own version");
    /// The URL of the privacy policy, published in describeServer.
    PRIVACY_POLICY_URL: WebAddress = "privacy_policy_url", Some("PDS_PRIVACY_POLICY_URL"), Nothing;
    /// The URL of the terms of service, published in describeServer.
    TERMS_OF_SERVICE_URL: WebAddress = "terms_of_service_url", Some("PDS_TERMS_OF_SERVICE_URL"), Nothing;
    /// The operator's e-mail address, published in describeServer.
    CONTACT_EMAIL_ADDRESS: EmailAddress = "contact_email_address", Some("PDS_CONTACT_EMAIL_ADDRESS"), Nothing;
    /// The domains for handles of this server, each with a leading dot.
    SERVICE_HANDLE_DOMAINS: HandleDomains = "service_handle_domains", Some("PDS_SERVICE_HANDLE_DOMAINS"), Computed("`.<hostname>`; `.test` for localhost");
    /// Whether sign-ups can create did:web accounts under the handle domains (`did:web:alice.example.com` with the same name as the handle). This server publishes their DID documents. Such an identity can't move to another server without the operator's help: see docs/operations.md.
    DID_WEB_ACCOUNTS: bool = "did_web_accounts", None, Literal("false");
    /// For how many days a handle under the service's domains is held for its former account after a handle change or a deletion; 0 releases it at once. `allod handle` lists and releases held handles.
    HANDLE_HOLD_DAYS: u64 = "handle_hold_days", None, Literal("30");
    /// Whether a sign-up needs an invite code.
    INVITE_REQUIRED: bool = "invite_required", Some("PDS_INVITE_REQUIRED"), Literal("true");
    /// The account age, in milliseconds, that earns an account one invite code, up to five unused codes. Without it accounts earn no codes.
    INVITE_INTERVAL: u64 = "invite_interval", Some("PDS_INVITE_INTERVAL"), Nothing;
    /// The earliest time from which account age counts for invite codes, in milliseconds since 1970.
    INVITE_EPOCH: u64 = "invite_epoch", Some("PDS_INVITE_EPOCH"), Literal("0");
    /// Whether sign-ups without an invite code wait in a queue until the operator admits them (`allod queue`). A queued account is not public: its DID is not created and no event is emitted.
    SIGN_UP_QUEUE: bool = "sign_up_queue", None, Literal("false");
    /// How many queued sign-ups are admitted automatically per hour, oldest first; 0 disables automatic admission.
    SIGN_UP_QUEUE_PER_HOUR: u64 = "sign_up_queue_per_hour", None, Literal("0");
    /// Whether a sign-up needs a phone number, verified by a code (requestPhoneVerification). Twilio Verify sends the code. In development mode without a provider the code is shown at /dev/mail.
    PHONE_VERIFICATION_REQUIRED: bool = "phone_verification_required", None, Literal("false");
    /// How many accounts one phone number can create. Numbers are stored only as keyed hashes; a deleted account still counts.
    PHONE_ACCOUNTS_MAX: u64 = "phone_accounts_max", None, Literal("4");
    /// The Twilio account that sends the codes.
    TWILIO_ACCOUNT_SID: String = "twilio_account_sid", None, Nothing;
    /// The auth token of the Twilio account.
    TWILIO_AUTH_TOKEN: Secret<String> = "twilio_auth_token", None, Nothing;
    /// The Twilio Verify service that sends the codes (`VA…`).
    TWILIO_SERVICE_SID: String = "twilio_service_sid", None, Nothing;
    /// The base URL of Twilio Verify, or of a service with the same API.
    TWILIO_URL: Url = "twilio_url", None, Literal("https://verify.twilio.com");
    /// The hCaptcha site key, for the page that shows the captcha. With both hCaptcha keys set, a sign-up needs a solved captcha, whose token is createAccount's `verificationCode`.
    HCAPTCHA_SITE_KEY: String = "hcaptcha_site_key", Some("PDS_HCAPTCHA_SITE_KEY"), Nothing;
    /// The hCaptcha secret key, which verifies tokens.
    HCAPTCHA_SECRET_KEY: Secret<String> = "hcaptcha_secret_key", Some("PDS_HCAPTCHA_SECRET_KEY"), Nothing;
    /// The site key of a Cloudflare Turnstile widget, as an alternative to `hcaptcha_site_key`.
    TURNSTILE_SITE_KEY: String = "turnstile_site_key", None, Nothing;
    /// The secret key of a Cloudflare Turnstile widget, which verifies tokens.
    TURNSTILE_SECRET_KEY: Secret<String> = "turnstile_secret_key", None, Nothing;
    /// The URL that verifies captcha tokens, if it is not the provider's own.
    CAPTCHA_URL: Url = "captcha_url", None, Nothing;
    /// Whether a sign-up needs an e-mail address.
    EMAIL_REQUIRED: bool = "email_required", None, Literal("true");
    /// A file with disposable e-mail domains that are rejected in addition to the built-in list: one domain per line, subdomains included. `!example.com` allows a listed domain, `!*` disables the built-in list, `#` starts a comment. Read at start.
    DISPOSABLE_EMAIL_DOMAINS_FILE: PathBuf = "disposable_email_domains_file", None, Nothing;
    /// The minimum length of a password, in characters.
    PASSWORD_CHARS_MIN: u64 = "password_chars_min", None, Literal("8");
    /// The maximum length of a password, in characters.
    PASSWORD_CHARS_MAX: u64 = "password_chars_max", None, Literal("256");
    /// The number of threads that hash passwords. Hashing a password keeps one core busy for some tens of milliseconds.
    PASSWORD_HASH_WORKERS: u64 = "password_hash_workers", None, Computed("half the cores, at least 1");
    /// The memory for hashing one password, in KiB. More memory makes stolen hashes harder to crack, and each sign-in slower.
    PASSWORD_HASH_MEMORY_KIB: u64 = "password_hash_memory_kib", None, Literal("19456");
    /// The number of passes over that memory for each password hash.
    PASSWORD_HASH_PASSES: u64 = "password_hash_passes", None, Literal("2");
    /// The memory of the repository cache, in MiB. A write to a cached repository does not need to load it first; a record takes about 200 bytes.
    REPO_CACHE_MIB: u64 = "repo_cache_mib", None, Literal("64");
    /// The maximum size of a blob, in bytes. (The reference's default is 5 MiB; 300 MiB allows videos.)
    BLOB_UPLOAD_LIMIT: u64 = "blob_upload_limit", Some("PDS_BLOB_UPLOAD_LIMIT"), Literal("314572800");
    /// The maximum total size of an account's blobs, in bytes; 0 for no limit.
    BLOB_QUOTA: u64 = "blob_quota", None, Literal("107374182400");
    /// The directory for blobs. Back it up together with the data directory.
    BLOBSTORE_DISK_LOCATION: PathBuf = "blobstore_disk_location", Some("PDS_BLOBSTORE_DISK_LOCATION"), Computed("`blobs` in the data directory");
    /// The directory for unfinished uploads. It must be on the same file system as the blobs.
    BLOBSTORE_DISK_TMP_LOCATION: PathBuf = "blobstore_disk_tmp_location", Some("PDS_BLOBSTORE_DISK_TMP_LOCATION"), Computed("`tmp` where the blobs are");
    /// The read rate of the scrub, in bytes per second. The scrub is the job that verifies all stored data once a week; 0 disables it.
    SCRUB_BYTES_PER_SEC: u64 = "scrub_bytes_per_sec", None, Literal("4194304");
    /// The retention time of firehose events, in milliseconds; events are deleted in units of a day. (The reference's default is one day, and it deletes no events.)
    REPO_BACKFILL_LIMIT_MS: u64 = "repo_backfill_limit_ms", Some("PDS_REPO_BACKFILL_LIMIT_MS"), Literal("259200000");
    /// The memory for the newest firehose events, in bytes. A live consumer that falls behind by more is disconnected as too slow.
    FIREHOSE_RING_BYTES: u64 = "firehose_ring_bytes", None, Literal("16777216");
    /// Whether the firehose is also served as JSON at /subscribe, in Jetstream format.
    JETSTREAM: bool = "jetstream", None, Literal("false");
    /// The base URLs of the relays that receive requestCrawl from this server; `https://bsky.network` is Bluesky's. Without a relay new posts do not reach the network, and the server warns about it.
    CRAWLERS: Relays = "crawlers", Some("PDS_CRAWLERS"), Nothing;
    /// Whether accounts can import repositories (importRepo).
    ACCEPTING_REPO_IMPORTS: bool = "accepting_repo_imports", Some("PDS_ACCEPTING_REPO_IMPORTS"), Literal("true");
    /// The maximum size of a CAR file for importRepo and `allod repo import`, in bytes. An import needs the same amount of free disk space while it runs. (The reference uses the blob limit if this is not set.)
    MAX_REPO_IMPORT_SIZE: u64 = "max_repo_import_size", Some("PDS_MAX_REPO_IMPORT_SIZE"), Literal("1073741824");
    /// The did:plc directory for publishing and resolving identities.
    DID_PLC_URL: Url = "did_plc_url", Some("PDS_DID_PLC_URL"), Literal("https://plc.directory");
    /// The timeout for resolving a DID or a handle, in milliseconds.
    ID_RESOLVER_TIMEOUT: u64 = "id_resolver_timeout", Some("PDS_ID_RESOLVER_TIMEOUT"), Literal("3000");
    /// Whether createSession, refreshSession and getSession return the account's DID document, from which apps learn the account's server. A document that names another server is omitted. (The reference's default is false.)
    ENABLE_DID_DOC_WITH_SESSION: bool = "enable_did_doc_with_session", Some("PDS_ENABLE_DID_DOC_WITH_SESSION"), Literal("true");
    /// A did:key of the operator, placed before the server's own rotation key in every new did:plc. If its private key is stored elsewhere, identities survive the loss of this server.
    RECOVERY_DID_KEY: DidKey = "recovery_did_key", Some("PDS_RECOVERY_DID_KEY"), Nothing;
    /// Whether an account's did:plc must list this server's rotation key. Without the key the server can change neither the handle nor the signing key; the owner must do it at the directory.
    SERVER_ROTATION_KEY_REQUIRED: bool = "server_rotation_key_required", None, Literal("true");
    /// The DID of the moderation service (Ozone). Its service tokens can call the methods that moderators need.
    MOD_SERVICE_DID: Did = "mod_service_did", Some("PDS_MOD_SERVICE_DID"), Nothing;
    /// Whether rate limits apply: to sign-ins, sign-ups, writes, e-mails, and all requests of an address. In development mode requests from this machine without a proxy are not limited by address.
    RATE_LIMITS_ENABLED: bool = "rate_limits_enabled", Some("PDS_RATE_LIMITS_ENABLED"), Computed("true; false in development mode");
    /// Requests with this value in the header `x-ratelimit-bypass` bypass the rate limits.
    RATE_LIMIT_BYPASS_KEY: Secret<String> = "rate_limit_bypass_key", Some("PDS_RATE_LIMIT_BYPASS_KEY"), Nothing;
    /// The addresses and networks that bypass the rate limits.
    RATE_LIMIT_BYPASS_IPS: Networks = "rate_limit_bypass_ips", Some("PDS_RATE_LIMIT_BYPASS_IPS"), Nothing;
    /// The proxies whose `X-Forwarded-For` header (or else `Forwarded`) sets the client address: addresses, networks, and the words `loopback` (this machine), `private` (private and link-local networks) or `none`. The client is the right-most address in the header that is not a trusted proxy. List every reverse proxy, and no network from which strangers can connect.
    TRUSTED_PROXIES: TrustedProxies = "trusted_proxies", None, Literal("loopback");
    /// Whether account owners get an e-mail about a sign-in from a network (IPv4 /24, IPv6 /48) that is new for the account. Networks are stored as keyed hashes, up to 20 per account, for 90 days.
    SIGN_IN_NOTICES: bool = "sign_in_notices", None, Literal("true");
    /// The mail server, as `smtps://user:password@host:465` or `smtp://user:password@host:587`. `smtps` uses TLS from the start. `smtp` uses STARTTLS: required with a password or with `?tls=required`, never with `?tls=none`. `smtp:///?sendmail=true` passes e-mails to this machine's `sendmail` command, or to the command at `&path=/…`. User and password are percent-encoded (`/` is `%2F`, `#` `%23`, `?` `%3F`, `@` `%40`). Without a mail server e-mails stay in the queue and expire, so users can't reset a password.
    EMAIL_SMTP_URL: SmtpUrl = "email_smtp_url", Some("PDS_EMAIL_SMTP_URL"), Nothing;
    /// A PEM file with certificate authorities that are trusted for the mail server, in addition to the public ones.
    EMAIL_SMTP_CA_FILE: PathBuf = "email_smtp_ca_file", None, Nothing;
    /// The sender of e-mails: an address, or `Name <address>`.
    EMAIL_FROM_ADDRESS: Sender = "email_from_address", Some("PDS_EMAIL_FROM_ADDRESS"), Nothing;
    /// The key that signs session tokens, at least 32 characters. Anyone who knows it can impersonate every account: a shorter or repetitive key is rejected.
    JWT_SECRET: Secret<String> = "jwt_secret", Some("PDS_JWT_SECRET"), Required("at least 32 hexadecimal digits");
    /// The password for the administration methods (HTTP Basic, user `admin`). Without it no password is accepted. `allod account` and `allod invite` need no password.
    ADMIN_PASSWORD: Secret<String> = "admin_password", Some("PDS_ADMIN_PASSWORD"), Nothing;
    /// The server's did:plc rotation key, a secp256k1 private key as 64 hexadecimal digits. It signs every did:plc operation: keep a copy elsewhere.
    PLC_ROTATION_KEY: Secret<[u8; 32]> = "plc_rotation_key_k256_private_key_hex", Some("PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX"), Required("64 hexadecimal digits");
    /// The key that encrypts the accounts' signing keys at rest, 64 hexadecimal digits; `allod secrets generate` creates one. Never change it while accounts exist. If it is not set, the key is derived from the rotation key, which then must not change either.
    MASTER_KEY: Secret<[u8; 32]> = "master_key_hex", None, Computed("HKDF-SHA256 of the rotation key, label `allod master key v1`");
    /// Development mode: captured e-mails are shown at /dev/mail; `.test` handles and plain-HTTP peers on this machine are allowed. Not allowed with a public host name.
    DEV_MODE: bool = "dev_mode", Some("PDS_DEV_MODE"), Literal("false");
    /// The log filter: a level (`error`, `warn`, `info`, `debug`, `trace`) or comma-separated `target=level` pairs.
    LOG: LogFilter = "log", None, Literal("info");
    /// Whether to log one line per request, at level `info` with target `access`: method, path, status, milliseconds, the caller's DID, the client's address, the response's bytes. Queries and tokens are never logged.
    ACCESS_LOG: bool = "access_log", None, Literal("true");
    /// The format of log lines: `text` or `json`.
    LOG_FORMAT: LogFormat = "log_format", None, Literal("text");
}
