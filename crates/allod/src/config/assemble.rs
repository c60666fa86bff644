//! Makes the server's configuration out of the settings.

use std::{net::IpAddr, path::PathBuf};

use allod_atproto::{Did, crypto::DidKey};
use allod_base::secret::Secret;
use allod_http::{address::TrustedProxies, limits::CONNECTIONS_MAX};
use allod_server::{
    adapters::{
        sendmail::SendmailConfig,
        site_verify::{CaptchaConfig, HCAPTCHA_URL, TURNSTILE_URL},
        smtp::SmtpConfig,
        twilio::TwilioConfig,
    },
    config::{
        Config, IdentityConfig, MailConfig, PhoneConfig, RateLimitConfig, Secrets, ServiceConfig, SignUpConfig,
        Verification,
    },
    domain::{
        disposable_domains::DisposableDomains,
        firehose::{FirehoseConfig, relays::RELAYS_MAX},
        passwords::HashCost,
        repos::import::ImportConfig,
        sign_up::queue::{PER_HOUR_MAX, QueueConfig},
    },
};
use url::Url;

use super::{
    given::{self, Sources},
    mail_value::{Sender, SmtpServer, SmtpUrl},
    problem::Problem,
    reader::{Effective, Reader},
    secrets::read_secrets,
    settings as s,
    value::{EmailAddress, HandleDomains, Hostname, LogFormat, Networks, Relays, WebAddress},
};

/// The longest password that may be allowed, in characters: hashing must stay cheap to ask for.
const PASSWORD_CHARS_CEILING: u64 = 1024;

/// The longest look-up that may be allowed, in milliseconds.
const RESOLVE_TIMEOUT_MILLIS_CEILING: u64 = 60_000;

/// The longest that a handle may be held, in days: ten years.
const HANDLE_HOLD_DAYS_CEILING: u64 = 3_660;

const SECS_PER_DAY: u64 = 24 * 60 * 60;

/// The most accounts that one telephone number may be allowed to make.
const PHONE_ACCOUNTS_CEILING: u64 = 1_000_000;

/// The most password hashing workers that may be asked for.
const PASSWORD_HASH_WORKERS_CEILING: u64 = 256;

/// The least memory that argon2 knows, in KiB.
const MEMORY_KIB_MIN: u64 = 8;

/// The largest repository that may be allowed, in bytes: 1 TiB.
const IMPORT_BYTES_CEILING: u64 = 1 << 40;

const BYTES_PER_MIB: u64 = 1024 * 1024;

/// The most memory that hashing one password may take, in KiB.
const PASSWORD_HASH_MEMORY_KIB_CEILING: u64 = 4 * 1024 * 1024;

/// The most passes that hashing one password may make.
const PASSWORD_HASH_PASSES_CEILING: u64 = 100;

/// The longest that events may be kept, in milliseconds: ten years.
const BACKFILL_MILLIS_CEILING: u64 = 10 * 366 * 24 * 3600 * 1000;

/// The least memory that the newest events may have, in bytes.
const RING_BYTES_FLOOR: u64 = 1024 * 1024;

/// The most memory that the newest events may have, in bytes.
const RING_BYTES_CEILING: u64 = 4 * 1024 * 1024 * 1024;

/// A configuration that was read, good or bad.
pub(crate) struct Loaded {
    /// The settings, when nothing is wrong.
    pub(crate) settings: Option<Settings>,
    /// Where the data is, which commands need even when the rest is wrong.
    pub(crate) data_directory: Option<PathBuf>,
    /// Whether the operator said where the data is.
    pub(crate) data_directory_given: bool,
    /// What keeps the server from starting.
    pub(crate) problems: Vec<Problem>,
    /// What does not.
    pub(crate) warnings: Vec<Problem>,
    /// What holds for each setting, in the table's order.
    pub(crate) effective: Vec<Effective>,
}

/// Every setting, read and checked.
pub(crate) struct Settings {
    /// The address to listen on.
    pub(crate) bind_address: IpAddr,
    /// The port to listen on; 0 takes a free one.
    pub(crate) port: u16,
    /// Where everything durable is kept.
    pub(crate) data_directory: PathBuf,
    /// What is logged.
    pub(crate) log: String,
    /// How log lines look.
    pub(crate) log_format: LogFormat,
    hostname: Hostname,
    service: Service,
    sign_up: SignUpConfig,
    identity: IdentityConfig,
    firehose: FirehoseConfig,
    moderation_service_did: Option<Did>,
    rate_limits: RateLimitConfig,
    trusted_proxies: TrustedProxies,
    access_log: bool,
    sign_in_notices: bool,
    mail: Option<MailConfig>,
    secrets: Secrets,
    blobs: Blobs,
    imports: ImportConfig,
    repo_cache_bytes_max: u64,
    password_hash_workers: usize,
    password_hash_cost: HashCost,
    dev_mode: bool,
}

struct Blobs {
    upload_bytes_max: u64,
    quota_bytes: u64,
    scrub_bytes_per_sec: u64,
    directory: Option<PathBuf>,
    temporary_directory: Option<PathBuf>,
}

struct Service {
    did: Did,
    name: String,
    version: String,
    contact_email: Option<String>,
    privacy_policy_url: Option<String>,
    terms_of_service_url: Option<String>,
}

impl Settings {
    /// The key that encrypts signing keys.
    pub(crate) fn master_key(&self) -> &Secret<[u8; 32]> {
        &self.secrets.master_key
    }

    /// The port that DID documents name: on this machine alone, and unless any port will do.
    pub(crate) fn fixed_port(&self) -> Option<u16> {
        (self.hostname.is_localhost() && self.port != 0).then_some(self.port)
    }

    /// The server's configuration, once the port that was really taken is known.
    pub(crate) fn into_config(self, port: u16) -> Config {
        let public_url = if self.hostname.is_localhost() {
            format!("http://localhost:{port}")
        } else {
            format!("https://{}", self.hostname.0)
        };
        let Service { did, name, version, contact_email, privacy_policy_url, terms_of_service_url } = self.service;
        Config {
            service: ServiceConfig {
                hostname: self.hostname.0,
                public_url,
                did,
                name,
                version,
                contact_email,
                privacy_policy_url,
                terms_of_service_url,
            },
            sign_up: self.sign_up,
            identity: self.identity,
            firehose: self.firehose,
            moderation_service_did: self.moderation_service_did,
            rate_limits: self.rate_limits,
            trusted_proxies: self.trusted_proxies,
            connections_max: CONNECTIONS_MAX,
            access_log: self.access_log,
            sign_in_notices: self.sign_in_notices,
            mail: self.mail,
            secrets: self.secrets,
            blob_upload_bytes_max: self.blobs.upload_bytes_max,
            blob_quota_bytes: self.blobs.quota_bytes,
            scrub_bytes_per_sec: Some(self.blobs.scrub_bytes_per_sec).filter(|bytes| *bytes > 0),
            blob_directory: self.blobs.directory,
            blob_temporary_directory: self.blobs.temporary_directory,
            imports: self.imports,
            repo_cache_bytes_max: self.repo_cache_bytes_max,
            password_hash_workers: self.password_hash_workers,
            password_hash_cost: self.password_hash_cost,
            dev_mode: self.dev_mode,
        }
    }
}

/// Reads the configuration. `cores` is the machine's number of cores.
pub(crate) fn load(sources: &Sources<'_>, cores: usize) -> Loaded {
    let given = given::collect(sources);
    let data_directory_given = given.values.contains_key(s::DATA_DIRECTORY.entry.key);
    let mut reader = Reader::new(given);
    let hostname = reader.read(&s::HOSTNAME);
    let port = reader.read(&s::PORT);
    let bind_address = reader.read(&s::BIND_ADDRESS);
    let data_directory = reader.read(&s::DATA_DIRECTORY);
    let service = read_service(&mut reader, hostname.as_ref());
    let sign_up = read_sign_up(&mut reader, hostname.as_ref());
    let password_hash_workers = read_hash_workers(&mut reader, cores);
    let password_hash_cost = read_hash_cost(&mut reader);
    let repo_cache_bytes_max = reader.read(&s::REPO_CACHE_MIB).map(|mib| mib.saturating_mul(BYTES_PER_MIB));
    let blobs = read_blobs(&mut reader);
    let imports = read_imports(&mut reader);
    let firehose = read_firehose(&mut reader);
    let identity = read_identity(&mut reader);
    let sign_up = sign_up.zip(reader.read(&s::SERVER_ROTATION_KEY_REQUIRED)).map(|(mut sign_up, required)| {
        sign_up.server_rotation_key_required = required;
        sign_up
    });
    let dev_mode = reader.read(&s::DEV_MODE);
    let secrets = read_secrets(&mut reader, dev_mode);
    let moderation_service_did = reader.read(&s::MOD_SERVICE_DID);
    let sign_up = sign_up.zip(read_verification(&mut reader, dev_mode)).map(|(mut sign_up, verification)| {
        sign_up.verification = verification;
        sign_up
    });
    let rate_limits = read_rate_limits(&mut reader, dev_mode);
    let trusted_proxies = reader.read(&s::TRUSTED_PROXIES);
    let access_log = reader.read(&s::ACCESS_LOG);
    let sign_in_notices = reader.read(&s::SIGN_IN_NOTICES);
    let email_required = sign_up.as_ref().map(|sign_up| sign_up.email_required);
    let mail = read_mail(&mut reader, dev_mode, email_required);
    let log = reader.read(&s::LOG);
    let log_format = reader.read(&s::LOG_FORMAT);
    check_dev_mode(&mut reader, hostname.as_ref(), dev_mode);
    check_relays(&mut reader, firehose.as_ref(), dev_mode);
    check_hash_cost(&mut reader, password_hash_cost, dev_mode);

    let (problems, warnings, effective) = reader.finish();
    let settings = (|| {
        Some(Settings {
            bind_address: bind_address?,
            port: port?,
            data_directory: data_directory.clone()?,
            log: log?.0,
            log_format: log_format?,
            hostname: hostname?,
            service: service?,
            sign_up: sign_up?,
            identity: identity?,
            firehose: firehose?,
            moderation_service_did,
            rate_limits: rate_limits?,
            trusted_proxies: trusted_proxies?,
            access_log: access_log?,
            sign_in_notices: sign_in_notices?,
            mail,
            secrets: secrets?,
            blobs: blobs?,
            imports: imports?,
            repo_cache_bytes_max: repo_cache_bytes_max?,
            password_hash_workers: password_hash_workers?,
            password_hash_cost: password_hash_cost?,
            dev_mode: dev_mode?,
        })
    })();
    let settings = settings.filter(|_| problems.is_empty());
    Loaded { settings, data_directory, data_directory_given, problems, warnings, effective }
}

fn read_service(reader: &mut Reader, hostname: Option<&Hostname>) -> Option<Service> {
    let did = reader.read_or(&s::SERVICE_DID, || Did::parse(&format!("did:web:{}", hostname?.0)).ok());
    let name = reader.read_or(&s::SERVICE_NAME, || Some(format!("{} PDS", hostname?.0)));
    let version = reader.read_or(&s::VERSION, || Some(env!("CARGO_PKG_VERSION").to_owned()));
    let privacy_policy_url = reader.read(&s::PRIVACY_POLICY_URL).map(|WebAddress(text)| text);
    let terms_of_service_url = reader.read(&s::TERMS_OF_SERVICE_URL).map(|WebAddress(text)| text);
    let contact_email = reader.read(&s::CONTACT_EMAIL_ADDRESS).map(|EmailAddress(text)| text);
    Some(Service { did: did?, name: name?, version: version?, contact_email, privacy_policy_url, terms_of_service_url })
}

fn read_mail(reader: &mut Reader, dev_mode: Option<bool>, email_required: Option<bool>) -> Option<MailConfig> {
    let url = reader.read(&s::EMAIL_SMTP_URL);
    let from = reader.read(&s::EMAIL_FROM_ADDRESS);
    let ca_file = reader.read(&s::EMAIL_SMTP_CA_FILE);
    match (reader.is_given(&s::EMAIL_SMTP_URL), reader.is_given(&s::EMAIL_FROM_ADDRESS)) {
        (true, true) => {
            let Sender(from) = from?;
            let mail = match url? {
                SmtpUrl::Server(SmtpServer { host, port, tls, credentials }) => {
                    MailConfig::Smtp(SmtpConfig { host, port, tls, credentials, from, ca_file })
                }
                SmtpUrl::Sendmail(command) => MailConfig::Sendmail(SendmailConfig { command, from }),
            };
            return Some(mail);
        }
        (true, false) => {
            let text = "is required when a mail server is set (email_smtp_url)";
            reader.problem(Problem::at(s::EMAIL_FROM_ADDRESS.entry.key.to_owned(), text));
        }
        (false, true) => {
            let text = "is required when a sender is set (email_from_address)";
            reader.problem(Problem::at(s::EMAIL_SMTP_URL.entry.key.to_owned(), text));
        }
        (false, false) if dev_mode == Some(false) => {
            let needed = if email_required == Some(true) {
                ". Sign-ups require an address (email_required), which can't be confirmed without a mail server"
            } else {
                ""
            };
            reader.warning(Problem::general(format!(
                "no mail server is configured (email_smtp_url): e-mails are not delivered, and users can't reset a password \
                 or confirm an address{needed}"
            )));
        }
        (false, false) => {}
    }
    None
}

fn read_sign_up(reader: &mut Reader, hostname: Option<&Hostname>) -> Option<SignUpConfig> {
    let handle_domains = reader.read_or(&s::SERVICE_HANDLE_DOMAINS, || {
        let hostname = hostname?;
        let domain = if hostname.is_localhost() { ".test".to_owned() } else { format!(".{}", hostname.0) };
        Some(HandleDomains(vec![domain]))
    });
    let did_web_accounts = reader.read(&s::DID_WEB_ACCOUNTS);
    let invite_required = reader.read(&s::INVITE_REQUIRED);
    let invite_interval = reader.read(&s::INVITE_INTERVAL);
    if invite_interval == Some(0) {
        let place = reader.place(&s::INVITE_INTERVAL);
        reader.problem(Problem::at(place, "must be at least 1 millisecond"));
    }
    let invite_epoch = reader.read(&s::INVITE_EPOCH);
    let queue = read_queue(reader, invite_required);
    let email_required = reader.read(&s::EMAIL_REQUIRED);
    let disposable_domains_file = reader.read(&s::DISPOSABLE_EMAIL_DOMAINS_FILE);
    let shortest = reader.read(&s::PASSWORD_CHARS_MIN);
    let longest = reader.read(&s::PASSWORD_CHARS_MAX);
    let (shortest, longest) = (shortest?, longest?);
    if shortest == 0 || shortest > longest || longest > PASSWORD_CHARS_CEILING {
        let place = reader.place(if longest > PASSWORD_CHARS_CEILING {
            &s::PASSWORD_CHARS_MAX
        } else {
            &s::PASSWORD_CHARS_MIN
        });
        reader.problem(Problem::at(
            place,
            format!("invalid password length {shortest} to {longest}: 1 <= min <= max <= {PASSWORD_CHARS_CEILING} is required"),
        ));
    }
    let (is_queueing, queue) = queue?;
    Some(SignUpConfig {
        handle_domains: handle_domains?.0,
        invite_required: invite_required?,
        invite_interval_millis: invite_interval,
        invite_epoch_millis: invite_epoch?,
        queue: is_queueing.then_some(queue),
        verification: Verification::Nothing,
        email_required: email_required?,
        disposable_domains_file,
        disposable_domains: DisposableDomains::default(),
        password_chars_min: usize::try_from(shortest).ok()?,
        password_chars_max: usize::try_from(longest).ok()?,
        did_web_accounts: did_web_accounts?,
        server_rotation_key_required: true,
    })
}

/// Tells whether there is a queue, and how it moves.
fn read_queue(reader: &mut Reader, invite_required: Option<bool>) -> Option<(bool, QueueConfig)> {
    let is_on = reader.read(&s::SIGN_UP_QUEUE);
    let per_hour = reader.read(&s::SIGN_UP_QUEUE_PER_HOUR);
    if is_on == Some(true) && invite_required == Some(true) {
        let place = reader.place(&s::SIGN_UP_QUEUE);
        reader.problem(Problem::at(
            place,
            "has no effect with invite_required: a sign-up with an invite code is admitted at once, and every sign-up needs one",
        ));
    }
    let per_hour = u32::try_from(per_hour?).ok().filter(|per_hour| *per_hour <= PER_HOUR_MAX);
    if per_hour.is_none() {
        let place = reader.place(&s::SIGN_UP_QUEUE_PER_HOUR);
        reader.problem(Problem::at(place, format!("must be 0 to {PER_HOUR_MAX}")));
    }
    Some((is_on?, QueueConfig { per_hour: per_hour? }))
}

/// What is only half set is a mistake: the operator thinks that a gate is up.
fn read_verification(reader: &mut Reader, dev_mode: Option<bool>) -> Option<Verification> {
    let phone_required = reader.read(&s::PHONE_VERIFICATION_REQUIRED);
    let accounts_max = reader.read(&s::PHONE_ACCOUNTS_MAX);
    if accounts_max.is_some_and(|max| !(1..=PHONE_ACCOUNTS_CEILING).contains(&max)) {
        let place = reader.place(&s::PHONE_ACCOUNTS_MAX);
        reader.problem(Problem::at(place, format!("must be 1 to {PHONE_ACCOUNTS_CEILING}")));
    }
    let account_sid = reader.read(&s::TWILIO_ACCOUNT_SID);
    let auth_token = reader.read(&s::TWILIO_AUTH_TOKEN);
    let service_sid = reader.read(&s::TWILIO_SERVICE_SID);
    let base_url = reader.read(&s::TWILIO_URL);
    let any_given = account_sid.is_some() || auth_token.is_some() || service_sid.is_some();
    let twilio = (|| {
        let (account_sid, auth_token, service_sid) = (account_sid?, auth_token?, service_sid?);
        Some(TwilioConfig { base_url: base_url?, account_sid, auth_token, service_sid })
    })();
    if twilio.is_none() && (any_given || (phone_required == Some(true) && dev_mode == Some(false))) {
        let place = reader.place(&s::PHONE_VERIFICATION_REQUIRED);
        let message =
            "phone verification needs Twilio: set twilio_account_sid, twilio_auth_token and twilio_service_sid";
        reader.problem(Problem::at(place, message));
    }
    let captcha = read_captcha(reader);
    if phone_required == Some(true) && captcha.is_some() {
        let place = reader.place(&s::PHONE_VERIFICATION_REQUIRED);
        let message = "captchas and phone verification exclude each other: a sign-up has only one verificationCode";
        reader.problem(Problem::at(place, message));
    }
    if phone_required? {
        let accounts_max = u32::try_from(accounts_max?).ok()?;
        return Some(Verification::Phone(PhoneConfig { accounts_max, twilio }));
    }
    Some(captcha.map_or(Verification::Nothing, Verification::Captcha))
}

/// `None` as well when something is wrong, which is a problem then.
fn read_captcha(reader: &mut Reader) -> Option<CaptchaConfig> {
    let hcaptcha = (reader.read(&s::HCAPTCHA_SITE_KEY), reader.read(&s::HCAPTCHA_SECRET_KEY));
    let turnstile = (reader.read(&s::TURNSTILE_SITE_KEY), reader.read(&s::TURNSTILE_SECRET_KEY));
    let url: Option<Url> = reader.read(&s::CAPTCHA_URL);
    let (site_key, secret_key, own_url) = match (hcaptcha, turnstile) {
        ((None, None), (None, None)) => return None,
        ((Some(site_key), Some(secret_key)), (None, None)) => (site_key, secret_key, HCAPTCHA_URL),
        ((None, None), (Some(site_key), Some(secret_key))) => (site_key, secret_key, TURNSTILE_URL),
        (hcaptcha, _) => {
            let is_hcaptcha = hcaptcha.0.is_some() || hcaptcha.1.is_some();
            let place = reader.place(if is_hcaptcha { &s::HCAPTCHA_SITE_KEY } else { &s::TURNSTILE_SITE_KEY });
            let message =
                "captchas need the site key and the secret key of exactly one provider, hCaptcha or Turnstile";
            reader.problem(Problem::at(place, message));
            return None;
        }
    };
    let url = url.or_else(|| Url::parse(own_url).ok())?;
    Some(CaptchaConfig { url, site_key, secret_key })
}

fn read_blobs(reader: &mut Reader) -> Option<Blobs> {
    let upload_bytes_max = reader.read(&s::BLOB_UPLOAD_LIMIT);
    let quota_bytes = reader.read(&s::BLOB_QUOTA);
    let scrub_bytes_per_sec = reader.read(&s::SCRUB_BYTES_PER_SEC);
    // Without one the data directory decides, which is known later.
    let directory = reader.read(&s::BLOBSTORE_DISK_LOCATION);
    let temporary_directory = reader.read(&s::BLOBSTORE_DISK_TMP_LOCATION);
    Some(Blobs {
        upload_bytes_max: upload_bytes_max?,
        quota_bytes: quota_bytes?,
        scrub_bytes_per_sec: scrub_bytes_per_sec?,
        directory,
        temporary_directory,
    })
}

fn read_imports(reader: &mut Reader) -> Option<ImportConfig> {
    let accepted = reader.read(&s::ACCEPTING_REPO_IMPORTS);
    let file_bytes_max = reader.read(&s::MAX_REPO_IMPORT_SIZE);
    if file_bytes_max.is_some_and(|bytes| bytes > IMPORT_BYTES_CEILING) {
        let place = reader.place(&s::MAX_REPO_IMPORT_SIZE);
        reader.problem(Problem::at(place, format!("must be at most {IMPORT_BYTES_CEILING}")));
    }
    Some(ImportConfig { accepted: accepted?, file_bytes_max: file_bytes_max? })
}

fn read_hash_workers(reader: &mut Reader, cores: usize) -> Option<usize> {
    let workers = reader.read_or(&s::PASSWORD_HASH_WORKERS, || u64::try_from((cores / 2).max(1)).ok())?;
    if workers == 0 || workers > PASSWORD_HASH_WORKERS_CEILING {
        let place = reader.place(&s::PASSWORD_HASH_WORKERS);
        reader.problem(Problem::at(place, format!("must be 1 to {PASSWORD_HASH_WORKERS_CEILING}")));
    }
    usize::try_from(workers).ok()
}

fn read_hash_cost(reader: &mut Reader) -> Option<HashCost> {
    let memory_kib = reader.read(&s::PASSWORD_HASH_MEMORY_KIB);
    let passes = reader.read(&s::PASSWORD_HASH_PASSES);
    let (memory_kib, passes) = (memory_kib?, passes?);
    if !(MEMORY_KIB_MIN..=PASSWORD_HASH_MEMORY_KIB_CEILING).contains(&memory_kib) {
        let place = reader.place(&s::PASSWORD_HASH_MEMORY_KIB);
        reader.problem(Problem::at(place, format!("must be {MEMORY_KIB_MIN} to {PASSWORD_HASH_MEMORY_KIB_CEILING}")));
    }
    if !(1..=PASSWORD_HASH_PASSES_CEILING).contains(&passes) {
        let place = reader.place(&s::PASSWORD_HASH_PASSES);
        reader.problem(Problem::at(place, format!("must be 1 to {PASSWORD_HASH_PASSES_CEILING}")));
    }
    Some(HashCost { memory_kib: u32::try_from(memory_kib).ok()?, passes: u32::try_from(passes).ok()? })
}

/// Passwords that are cheap to guess are for measuring and trying things out.
fn check_hash_cost(reader: &mut Reader, cost: Option<HashCost>, dev_mode: Option<bool>) {
    let (Some(cost), Some(false)) = (cost, dev_mode) else { return };
    let least = HashCost::default();
    if cost.memory_kib < least.memory_kib || cost.passes < least.passes {
        let place = reader.place(if cost.passes < least.passes {
            &s::PASSWORD_HASH_PASSES
        } else {
            &s::PASSWORD_HASH_MEMORY_KIB
        });
        let (memory_kib, passes) = (least.memory_kib, least.passes);
        let message = format!("less than {memory_kib} KiB and {passes} passes is allowed in development mode only");
        reader.problem(Problem::at(place, message));
    }
}

fn read_firehose(reader: &mut Reader) -> Option<FirehoseConfig> {
    let retention_millis = reader.read(&s::REPO_BACKFILL_LIMIT_MS);
    if retention_millis.is_some_and(|millis| !(1..=BACKFILL_MILLIS_CEILING).contains(&millis)) {
        let place = reader.place(&s::REPO_BACKFILL_LIMIT_MS);
        reader.problem(Problem::at(place, format!("must be 1 to {BACKFILL_MILLIS_CEILING} milliseconds")));
    }
    let ring_bytes = reader.read(&s::FIREHOSE_RING_BYTES);
    if ring_bytes.is_some_and(|bytes| !(RING_BYTES_FLOOR..=RING_BYTES_CEILING).contains(&bytes)) {
        let place = reader.place(&s::FIREHOSE_RING_BYTES);
        reader.problem(Problem::at(place, format!("must be {RING_BYTES_FLOOR} to {RING_BYTES_CEILING} bytes")));
    }
    let jetstream = reader.read(&s::JETSTREAM);
    let relays = reader.read(&s::CRAWLERS).unwrap_or(Relays(Vec::new()));
    if relays.0.len() > RELAYS_MAX {
        let place = reader.place(&s::CRAWLERS);
        reader.problem(Problem::at(place, format!("must be at most {RELAYS_MAX}")));
    }
    Some(FirehoseConfig {
        retention_micros: retention_millis?.saturating_mul(1000),
        ring_bytes_max: usize::try_from(ring_bytes?).ok()?,
        relays: relays.0,
        jetstream: jetstream?,
    })
}

fn read_identity(reader: &mut Reader) -> Option<IdentityConfig> {
    let plc_url: Option<Url> = reader.read(&s::DID_PLC_URL);
    let resolve_timeout_millis = reader.read(&s::ID_RESOLVER_TIMEOUT)?;
    if resolve_timeout_millis == 0 || resolve_timeout_millis > RESOLVE_TIMEOUT_MILLIS_CEILING {
        let place = reader.place(&s::ID_RESOLVER_TIMEOUT);
        reader.problem(Problem::at(place, format!("must be 1 to {RESOLVE_TIMEOUT_MILLIS_CEILING} milliseconds")));
    }
    let recovery_key: Option<DidKey> = reader.read(&s::RECOVERY_DID_KEY);
    let document_with_session = reader.read(&s::ENABLE_DID_DOC_WITH_SESSION);
    let handle_hold_days = reader.read(&s::HANDLE_HOLD_DAYS)?;
    if handle_hold_days > HANDLE_HOLD_DAYS_CEILING {
        let place = reader.place(&s::HANDLE_HOLD_DAYS);
        reader.problem(Problem::at(place, format!("must be 0 to {HANDLE_HOLD_DAYS_CEILING} days")));
    }
    Some(IdentityConfig {
        plc_url: plc_url?,
        recovery_key,
        resolve_timeout_millis,
        document_with_session: document_with_session?,
        handle_hold_secs: handle_hold_days.min(HANDLE_HOLD_DAYS_CEILING) * SECS_PER_DAY,
    })
}

fn read_rate_limits(reader: &mut Reader, dev_mode: Option<bool>) -> Option<RateLimitConfig> {
    let enabled = reader.read_or(&s::RATE_LIMITS_ENABLED, || dev_mode.map(|dev_mode| !dev_mode));
    let bypass_key = reader.read(&s::RATE_LIMIT_BYPASS_KEY);
    let bypass_networks = reader.read(&s::RATE_LIMIT_BYPASS_IPS).map_or_else(Vec::new, |Networks(list)| list);
    Some(RateLimitConfig { enabled: enabled?, bypass_key, bypass_networks })
}

/// Who may read what is asked of a relay could answer for it.
fn check_relays(reader: &mut Reader, firehose: Option<&FirehoseConfig>, dev_mode: Option<bool>) {
    let (Some(firehose), Some(false)) = (firehose, dev_mode) else { return };
    if firehose.relays.is_empty() {
        reader.warning(Problem::general(
            "no relay is configured (crawlers): new posts do not reach the network. \
             Bluesky's relay is https://bsky.network",
        ));
    }
    if let Some(relay) = firehose.relays.iter().find(|relay| relay.scheme() != "https" || relay.port().is_some()) {
        let place = reader.place(&s::CRAWLERS);
        reader
            .problem(Problem::at(place, format!("{relay} is not a relay URL: it must use https and the default port")));
    }
}

fn check_dev_mode(reader: &mut Reader, hostname: Option<&Hostname>, dev_mode: Option<bool>) {
    let Some(hostname) = hostname else { return };
    if dev_mode == Some(true) && !hostname.is_private() {
        let place = reader.place(&s::DEV_MODE);
        let message = format!(
            "development mode is not allowed with the public hostname {}: it shows e-mails to everyone and can reach this machine's network",
            hostname.0
        );
        reader.problem(Problem::at(place, message));
    }
}
