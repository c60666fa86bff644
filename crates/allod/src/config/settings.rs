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
    /// The public host name, without scheme or port. The public URL is `https://<hostname>`; for localhost it is `http://localhost:<port>`.
    HOSTNAME: Hostname = "hostname", Some("PDS_HOSTNAME"), Literal("localhost");
    /// The port to listen on, plain HTTP; 0 takes a free one.
    PORT: u16 = "port", Some("PDS_PORT"), Literal("2583");
    /// The address to listen on. `127.0.0.1` when a reverse proxy on the same machine is in front.
    BIND_ADDRESS: IpAddr = "bind_address", None, Literal("0.0.0.0");
    /// Where everything durable is kept. One server at a time may use it.
    DATA_DIRECTORY: PathBuf = "data_directory", Some("PDS_DATA_DIRECTORY"), Literal("./allod-data");
    /// The service's own DID, the audience of the tokens it takes.
    SERVICE_DID: Did = "service_did", Some("PDS_SERVICE_DID"), Computed("`did:web:<hostname>`");
    /// What pages and mail call the server.
    SERVICE_NAME: String = "service_name", Some("PDS_SERVICE_NAME"), Computed("`<hostname> PDS`");
    /// The version that `/xrpc/_health` tells.
    VERSION: String = "version", Some("PDS_VERSION"), Computed("Allod's own version");
    /// The privacy policy's address, told by describeServer.
    PRIVACY_POLICY_URL: WebAddress = "privacy_policy_url", Some("PDS_PRIVACY_POLICY_URL"), Nothing;
    /// The terms of service's address, told by describeServer.
    TERMS_OF_SERVICE_URL: WebAddress = "terms_of_service_url", Some("PDS_TERMS_OF_SERVICE_URL"), Nothing;
    /// Where people can write to the operator, told by describeServer.
    CONTACT_EMAIL_ADDRESS: EmailAddress = "contact_email_address", Some("PDS_CONTACT_EMAIL_ADDRESS"), Nothing;
    /// The domains handles are given under, each with its leading dot.
    SERVICE_HANDLE_DOMAINS: HandleDomains = "service_handle_domains", Some("PDS_SERVICE_HANDLE_DOMAINS"), Computed("`.<hostname>`; `.test` for localhost");
    /// Whether accounts may be on did:webs under the handle domains (`did:web:alice.example.com` with that very handle), whose documents this server keeps. Such an identity can't leave without the operator's help: see docs/operations.md.
    DID_WEB_ACCOUNTS: bool = "did_web_accounts", None, Literal("false");
    /// For how many days a handle under the service's domains is held for the account that had it, after a change of the handle or a deletion; 0 frees it at once. `allod handle` lists and releases what is held.
    HANDLE_HOLD_DAYS: u64 = "handle_hold_days", None, Literal("30");
    /// Whether a sign-up needs an invite code.
    INVITE_REQUIRED: bool = "invite_required", Some("PDS_INVITE_REQUIRED"), Literal("true");
    /// How old an account has to grow, in milliseconds, for each invite code that it may give away, up to five unused ones. Without it accounts get none of themselves.
    INVITE_INTERVAL: u64 = "invite_interval", Some("PDS_INVITE_INTERVAL"), Nothing;
    /// From when on accounts grow older for that, in milliseconds since 1970.
    INVITE_EPOCH: u64 = "invite_epoch", Some("PDS_INVITE_EPOCH"), Literal("0");
    /// Whether sign-ups without an invite code wait until the operator admits them (`allod queue`). Until then the account is not public: it has no DID and emits no event.
    SIGN_UP_QUEUE: bool = "sign_up_queue", None, Literal("false");
    /// How many waiting sign-ups are admitted automatically each hour, oldest first; 0 for none.
    SIGN_UP_QUEUE_PER_HOUR: u64 = "sign_up_queue_per_hour", None, Literal("0");
    /// Whether a sign-up needs a telephone number that gets a code (requestPhoneVerification). Twilio Verify sends it; in development mode it is shown at /dev/mail when no provider is set.
    PHONE_VERIFICATION_REQUIRED: bool = "phone_verification_required", None, Literal("false");
    /// How many accounts one telephone number makes. Numbers are stored as keyed hashes alone; one that has made an account stays counted when the account is deleted.
    PHONE_ACCOUNTS_MAX: u64 = "phone_accounts_max", None, Literal("4");
    /// The Twilio account that codes are sent with.
    TWILIO_ACCOUNT_SID: String = "twilio_account_sid", None, Nothing;
    /// The Twilio account's token.
    TWILIO_AUTH_TOKEN: Secret<String> = "twilio_auth_token", None, Nothing;
    /// The Twilio Verify service that codes are of (`VA…`).
    TWILIO_SERVICE_SID: String = "twilio_service_sid", None, Nothing;
    /// Where Twilio Verify is, or a service that speaks like it.
    TWILIO_URL: Url = "twilio_url", None, Literal("https://verify.twilio.com");
    /// The site key of an hCaptcha account, for the page that shows the captcha. With both keys a sign-up needs a solved captcha: its token is createAccount's `verificationCode`.
    HCAPTCHA_SITE_KEY: String = "hcaptcha_site_key", Some("PDS_HCAPTCHA_SITE_KEY"), Nothing;
    /// The secret key of an hCaptcha account, with which tokens are checked.
    HCAPTCHA_SECRET_KEY: Secret<String> = "hcaptcha_secret_key", Some("PDS_HCAPTCHA_SECRET_KEY"), Nothing;
    /// The site key of a Cloudflare Turnstile widget; as `hcaptcha_site_key`, in place of it.
    TURNSTILE_SITE_KEY: String = "turnstile_site_key", None, Nothing;
    /// The secret key of a Cloudflare Turnstile widget, with which tokens are checked.
    TURNSTILE_SECRET_KEY: Secret<String> = "turnstile_secret_key", None, Nothing;
    /// Where tokens of captchas are checked, when not at hCaptcha's or Turnstile's own address.
    CAPTCHA_URL: Url = "captcha_url", None, Nothing;
    /// Whether a sign-up needs an e-mail address.
    EMAIL_REQUIRED: bool = "email_required", None, Literal("true");
    /// A file of disposable e-mail domains, in addition to the built-in list: one per line, subdomains included. `!example.com` allows a listed domain, `!*` drops the built-in list, `#` begins a comment. Read at start.
    DISPOSABLE_EMAIL_DOMAINS_FILE: PathBuf = "disposable_email_domains_file", None, Nothing;
    /// The shortest password taken, in characters.
    PASSWORD_CHARS_MIN: u64 = "password_chars_min", None, Literal("8");
    /// The longest password taken, in characters.
    PASSWORD_CHARS_MAX: u64 = "password_chars_max", None, Literal("256");
    /// How many passwords are hashed at once, on threads of their own; each takes one core for some tens of milliseconds.
    PASSWORD_HASH_WORKERS: u64 = "password_hash_workers", None, Computed("half the cores, at least 1");
    /// How much memory hashing one password takes, in KiB. More makes stolen hashes dearer to guess, and each sign-in slower.
    PASSWORD_HASH_MEMORY_KIB: u64 = "password_hash_memory_kib", None, Literal("19456");
    /// How many passes hashing one password makes over its memory.
    PASSWORD_HASH_PASSES: u64 = "password_hash_passes", None, Literal("2");
    /// How much memory open repositories may take, in MiB. One that is written to again while it is open need not be read first; a record takes about 200 bytes.
    REPO_CACHE_MIB: u64 = "repo_cache_mib", None, Literal("64");
    /// The largest blob taken, in bytes. (The reference's default is 5 MiB; 300 MiB allows videos.)
    BLOB_UPLOAD_LIMIT: u64 = "blob_upload_limit", Some("PDS_BLOB_UPLOAD_LIMIT"), Literal("314572800");
    /// How many bytes of blobs an account may hold; 0 for as many as it likes.
    BLOB_QUOTA: u64 = "blob_quota", None, Literal("107374182400");
    /// Where blobs are kept. Back it up together with the data directory.
    BLOBSTORE_DISK_LOCATION: PathBuf = "blobstore_disk_location", Some("PDS_BLOBSTORE_DISK_LOCATION"), Computed("`blobs` in the data directory");
    /// Where unfinished uploads are kept; it must be on the same file system as the blobs.
    BLOBSTORE_DISK_TMP_LOCATION: PathBuf = "blobstore_disk_tmp_location", Some("PDS_BLOBSTORE_DISK_TMP_LOCATION"), Computed("`tmp` where the blobs are");
    /// How many bytes a second the scrub reads: the job that checks everything that is stored once a week. 0 for no scrub.
    SCRUB_BYTES_PER_SEC: u64 = "scrub_bytes_per_sec", None, Literal("4194304");
    /// How long events can be had from the firehose, in milliseconds; trimmed by the day. (The reference's default is a day, and it trims nothing.)
    REPO_BACKFILL_LIMIT_MS: u64 = "repo_backfill_limit_ms", Some("PDS_REPO_BACKFILL_LIMIT_MS"), Literal("259200000");
    /// How many bytes of the newest events are held in memory for consumers of the firehose; a live consumer that is further behind is too slow.
    FIREHOSE_RING_BYTES: u64 = "firehose_ring_bytes", None, Literal("16777216");
    /// Whether the firehose can be had as JSON too, at /subscribe, in the form of Jetstream.
    JETSTREAM: bool = "jetstream", None, Literal("false");
    /// Base URLs of the relays that get requestCrawl from this server; `https://bsky.network` is Bluesky's. Without one new posts do not reach the network, and a warning says so.
    CRAWLERS: Relays = "crawlers", Some("PDS_CRAWLERS"), Nothing;
    /// Whether repositories are imported from elsewhere (importRepo).
    ACCEPTING_REPO_IMPORTS: bool = "accepting_repo_imports", Some("PDS_ACCEPTING_REPO_IMPORTS"), Literal("true");
    /// The largest repository taken by importRepo and `allod repo import`, as a CAR file in bytes. It needs as much room on the disk while it is imported. (The reference takes the blob limit when this is not set.)
    MAX_REPO_IMPORT_SIZE: u64 = "max_repo_import_size", Some("PDS_MAX_REPO_IMPORT_SIZE"), Literal("1073741824");
    /// The did:plc directory that identities are published to and read from.
    DID_PLC_URL: Url = "did_plc_url", Some("PDS_DID_PLC_URL"), Literal("https://plc.directory");
    /// How long one look-up of a DID or a handle may take, in milliseconds.
    ID_RESOLVER_TIMEOUT: u64 = "id_resolver_timeout", Some("PDS_ID_RESOLVER_TIMEOUT"), Literal("3000");
    /// Whether createSession, refreshSession and getSession answer with the account's DID document, from which apps learn its server; a document that names another server is left out. (The reference's default is false.)
    ENABLE_DID_DOC_WITH_SESSION: bool = "enable_did_doc_with_session", Some("PDS_ENABLE_DID_DOC_WITH_SESSION"), Literal("true");
    /// A did:key of the operator's, put ahead of the server's own rotation key in every new did:plc: with its private half kept elsewhere, identities survive the loss of this server.
    RECOVERY_DID_KEY: DidKey = "recovery_did_key", Some("PDS_RECOVERY_DID_KEY"), Nothing;
    /// Whether the did:plc of an account here must list this server's rotation key. Without the key the server can change neither the handle nor the signing key; the owner does, at the directory.
    SERVER_ROTATION_KEY_REQUIRED: bool = "server_rotation_key_required", None, Literal("true");
    /// The DID of the moderation service (Ozone). Its service tokens may call the methods that moderators need.
    MOD_SERVICE_DID: Did = "mod_service_did", Some("PDS_MOD_SERVICE_DID"), Nothing;
    /// Whether callers are limited in how often they do things: sign-ins, sign-ups, writes, mail, and all calls of an address. In development mode a caller on this machine that no proxy forwards for is not counted by its address.
    RATE_LIMITS_ENABLED: bool = "rate_limits_enabled", Some("PDS_RATE_LIMITS_ENABLED"), Computed("true; false in development mode");
    /// Requests with this value in the header `x-ratelimit-bypass` are not limited.
    RATE_LIMIT_BYPASS_KEY: Secret<String> = "rate_limit_bypass_key", Some("PDS_RATE_LIMIT_BYPASS_KEY"), Nothing;
    /// The addresses and networks whose callers are not limited.
    RATE_LIMIT_BYPASS_IPS: Networks = "rate_limit_bypass_ips", Some("PDS_RATE_LIMIT_BYPASS_IPS"), Nothing;
    /// The proxies whose `X-Forwarded-For` header (without it `Forwarded`) sets the client address: addresses, networks, and the words `loopback` (this machine), `private` (private and link-local networks) or `none`. The client is the right-most address in the header that is not such a proxy. List every reverse proxy, and no network from which strangers can connect.
    TRUSTED_PROXIES: TrustedProxies = "trusted_proxies", None, Literal("loopback");
    /// Whether account owners get an e-mail when somebody signs in to their account from a network (IPv4 /24, IPv6 /48) that is new for it. Networks are kept as keyed hashes, 20 an account, for 90 days.
    SIGN_IN_NOTICES: bool = "sign_in_notices", None, Literal("true");
    /// The mail server, as `smtps://user:password@host:465` or `smtp://user:password@host:587`. The first is protected by TLS throughout; the second uses STARTTLS, and must if there is a password or `?tls=required`; `?tls=none` does without. `smtp:///?sendmail=true` hands e-mails to this machine's `sendmail` command, or that at `&path=/…`. User and password are percent-encoded (`/` is `%2F`, `#` `%23`, `?` `%3F`, `@` `%40`). Without a mail server e-mails wait for one, and expire: nobody can reset a password.
    EMAIL_SMTP_URL: SmtpUrl = "email_smtp_url", Some("PDS_EMAIL_SMTP_URL"), Nothing;
    /// A PEM file of certificate authorities that may have signed the mail server's certificate, beside the public ones.
    EMAIL_SMTP_CA_FILE: PathBuf = "email_smtp_ca_file", None, Nothing;
    /// The sender of e-mails: an address, or `Name <address>`.
    EMAIL_FROM_ADDRESS: Sender = "email_from_address", Some("PDS_EMAIL_FROM_ADDRESS"), Nothing;
    /// Signs session tokens, at least 32 characters. Anybody who knows it can impersonate every account: a shorter or repetitive one is rejected.
    JWT_SECRET: Secret<String> = "jwt_secret", Some("PDS_JWT_SECRET"), Required("32 hexadecimal digits or more");
    /// Opens the administration methods (HTTP Basic, user `admin`). Without one they are closed; `allod account` and `allod invite` need none.
    ADMIN_PASSWORD: Secret<String> = "admin_password", Some("PDS_ADMIN_PASSWORD"), Nothing;
    /// The server's did:plc rotation key, a secp256k1 private key as 64 hexadecimal digits. It signs every did:plc operation: keep a copy elsewhere.
    PLC_ROTATION_KEY: Secret<[u8; 32]> = "plc_rotation_key_k256_private_key_hex", Some("PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX"), Required("64 hexadecimal digits");
    /// Encrypts the accounts' signing keys at rest, 64 hexadecimal digits; `allod secrets generate` makes one. Never change it while accounts exist. Without it the key is derived from the rotation key, which then must not change either.
    MASTER_KEY: Secret<[u8; 32]> = "master_key_hex", None, Computed("HKDF-SHA256 of the rotation key, label `allod master key v1`");
    /// A local network for development: captured mail is shown at /dev/mail, `.test` handles and plain-HTTP peers on this machine are allowed. Refused with a public hostname.
    DEV_MODE: bool = "dev_mode", Some("PDS_DEV_MODE"), Literal("false");
    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`) or `target=level` pairs with commas.
    LOG: LogFilter = "log", None, Literal("info");
    /// Whether each request is logged with a line of its own, at the level `info` under the target `access`: method, path, status, milliseconds, the caller's DID, the client's address, the bytes of the answer. Never a query or a token.
    ACCESS_LOG: bool = "access_log", None, Literal("true");
    /// How log lines look: `text` or `json`.
    LOG_FORMAT: LogFormat = "log_format", None, Literal("text");
}
