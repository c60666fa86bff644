//! The running server's parts, put together once and shared by every request.

use std::{path::PathBuf, sync::Arc};

use allod_atproto::crypto::{Curve, SigningKey};
use allod_base::{clock::Clock, randomness::Randomness};
use allod_blobstore::objects::ObjectStore;
use allod_lexicon::schema::SchemaSet;
use allod_net::{forms::Forms, resolver::Resolver};
use allod_plc::client::PlcClient;
use allod_store::Db;

use crate::{
    adapters::{phone_codes::DevCodes, site_verify::SiteVerify, twilio::Twilio},
    config::{Config, PhoneConfig, Verification},
    domain::{
        account_lookup::AccountLookup,
        administration::credentials::AdminTries,
        audit::AuditLog,
        blobs::Blobs,
        captcha::CaptchaGate,
        core::Core,
        email_codes::EmailCodes,
        emails::EmailPolicy,
        firehose::Firehose,
        handles::HandlePolicy,
        identity::{changes::Changes, recheck::Round},
        identity_lookup::IdentityLookup,
        integrity::Integrity,
        invites::Invites,
        keyed_hash::KeyedHash,
        keys::Keyring,
        mail::{Mail, MailParts, Mailbox, Transport},
        newest_time::NewestTime,
        passwords::{HashError, PasswordPool},
        phone::{PhoneGate, Verifier},
        preferences::Preferences,
        rate_limits::RateLimits,
        remembered::{Forgetting, Remembered},
        repos::{Repositories, import::Imports},
        reserved_keys::ReservedKeys,
        service_auth::ServiceAuth,
        sessions::SessionKeys,
        shares::AnswerBudget,
        sign_up::{SignUps, failpoint::Failpoints, queue::Timetable},
    },
    streams::Streams,
};

/// What a server is made of, handed over by the binary or a test.
pub struct Parts {
    /// The operator's choices.
    pub config: Config,
    /// The store.
    pub db: Db,
    /// Where blobs' bytes are.
    pub objects: Arc<dyn ObjectStore>,
    /// Where files are kept while they are imported.
    pub imports_directory: PathBuf,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Unpredictable bytes.
    pub randomness: Arc<dyn Randomness>,
    /// The did:plc directory.
    pub plc: PlcClient,
    /// Looks up other people's identities.
    pub resolver: Resolver,
    /// Asks services that the operator chose.
    pub forms: Forms,
    /// What sends mail; without one it is captured in dev mode, and otherwise waits.
    pub mail_transport: Option<Arc<dyn Transport>>,
    /// Places where a sign-up is made to fail; only tests have them.
    pub failpoints: Option<Arc<dyn Failpoints>>,
}

/// A server, apart from its sockets.
pub struct App {
    /// The operator's choices.
    pub config: Config,
    /// What nearly every part needs: the fields `db`, `clock`, `newest_time` and `randomness` in one.
    pub core: Core,
    /// The store.
    pub db: Db,
    /// Who changed what.
    pub audit: AuditLog,
    /// Blobs.
    pub blobs: Blobs,
    /// The lexicons that requests and records are checked against.
    pub schemas: Arc<SchemaSet>,
    /// The damage that was found in what is stored.
    pub integrity: Arc<Integrity>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The newest time seen, by which tokens and codes end.
    pub newest_time: Arc<NewestTime>,
    /// Unpredictable bytes.
    pub randomness: Arc<dyn Randomness>,
    /// The did:plc directory.
    pub plc: PlcClient,
    /// Looks up other people's identities.
    pub resolver: Arc<Resolver>,
    /// Looks up identities, those of accounts here with them.
    pub identities: Arc<IdentityLookup>,
    /// Makes and checks service tokens.
    pub service_auth: ServiceAuth,
    /// The identities that are being changed.
    pub identity_changes: Changes,
    /// Where the checking of what is published of accounts is.
    pub identity_round: Round,
    /// Wraps and unwraps signing keys.
    pub keyring: Arc<Keyring>,
    /// Hashes secrets that are found again by what they are.
    pub keyed_hash: Arc<KeyedHash>,
    /// This server's did:plc rotation key.
    pub rotation_key: SigningKey,
    /// Signs and reads session tokens.
    pub session_keys: SessionKeys,
    /// Counts what callers do.
    pub rate_limits: RateLimits,
    /// Wrong administration credentials of late.
    pub admin_tries: AdminTries,
    /// Hashes passwords, a bounded number at a time.
    pub passwords: PasswordPool,
    /// The sign-ups this process is driving.
    pub sign_ups: SignUps,
    /// When accounts that wait are let in.
    pub timetable: Timetable,
    /// Accounts and sign-ins that were lately asked for.
    pub remembered: Arc<Remembered>,
    /// The repositories at work.
    pub repos: Repositories,
    /// The imports under way.
    pub imports: Imports,
    /// The bytes of answers that are held in memory.
    pub answers: AnswerBudget,
    /// The event stream and who listens to it.
    pub firehose: Arc<Firehose>,
    /// The encodings of it that clients subscribe to.
    pub streams: Streams,
    /// Finds accounts.
    pub accounts: AccountLookup,
    /// Which handles accounts may have.
    pub handles: HandlePolicy,
    /// Which e-mail addresses accounts may have.
    pub emails: EmailPolicy,
    /// Invite codes.
    pub invites: Invites,
    /// Signing keys that were made before their account.
    pub reserved_keys: ReservedKeys,
    /// The private preferences of accounts.
    pub preferences: Preferences,
    /// Codes that are mailed.
    pub email_codes: EmailCodes,
    /// Posts and sends e-mails.
    pub mail: Arc<Mail>,
    /// Captured mail, in dev mode.
    pub mailbox: Option<Arc<Mailbox>>,
    /// Checks captchas, when a sign-up needs one.
    pub captcha: Option<CaptchaGate>,
    /// Verifies telephone numbers, when a sign-up needs one.
    pub phone: Option<PhoneGate>,
    /// Places where a sign-up is made to fail; only tests have them.
    pub failpoints: Option<Arc<dyn Failpoints>>,
}

/// Why the parts don't make a server.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The rotation key is no private key of its curve.
    #[error("the did:plc rotation key is not a secp256k1 private key")]
    RotationKey,
    /// A sign-up needs a telephone number, and nobody sends codes.
    #[error("phone verification is required, and there is no provider that sends codes")]
    PhoneProvider,
    /// The cost of a password hash is outside what argon2 defines.
    #[error(transparent)]
    PasswordHashCost(#[from] HashError),
}

impl App {
    /// Puts the parts together. Starts nothing.
    pub fn new(parts: Parts) -> Result<Arc<Self>, AppError> {
        let Parts { config, db, objects, imports_directory, clock, randomness, plc, resolver, .. } = parts;
        let Parts { mail_transport, forms, failpoints, .. } = parts;
        let rotation_key = SigningKey::from_bytes(Curve::K256, config.secrets.plc_rotation_key.expose())
            .map_err(|_| AppError::RotationKey)?;
        let remembered = Arc::new(Remembered::default());
        let is_captured = config.dev_mode && mail_transport.is_none();
        let mailbox = is_captured.then(|| Arc::new(Mailbox::default()));
        let posted = Arc::default();
        let db: Db = Arc::new(Forgetting::new(db, Arc::clone(&remembered), Arc::clone(&posted)));
        let newest_time = Arc::new(NewestTime::new(Arc::clone(&clock)));
        let core = Core {
            db: Arc::clone(&db),
            clock: Arc::clone(&clock),
            newest_time: Arc::clone(&newest_time),
            randomness: Arc::clone(&randomness),
        };
        let keyring = Arc::new(Keyring::new(config.secrets.master_key.expose()));
        let keyed_hash = Arc::new(KeyedHash::new(config.secrets.master_key.expose()));
        let captcha = match &config.sign_up.verification {
            Verification::Captcha(captcha) => {
                let checker = Arc::new(SiteVerify::new(captcha.clone(), forms.clone()));
                Some(CaptchaGate::new(core.clone(), Arc::clone(&keyed_hash), checker))
            }
            Verification::Nothing | Verification::Phone(_) => None,
        };
        let phone = match &config.sign_up.verification {
            Verification::Nothing | Verification::Captcha(_) => None,
            Verification::Phone(phone) => {
                let verifier = verifier(phone, forms, mailbox.as_ref(), &core).ok_or(AppError::PhoneProvider)?;
                Some(PhoneGate::new(core.clone(), Arc::clone(&keyed_hash), phone.accounts_max, verifier))
            }
        };
        let email_codes = EmailCodes::new(core.clone(), Arc::clone(&keyed_hash));
        let mail = Arc::new(Mail::new(MailParts {
            core: core.clone(),
            keyed_hash: Arc::clone(&keyed_hash),
            keyring: Arc::clone(&keyring),
            email_codes: email_codes.clone(),
            service: config.service.clone(),
            transport: mail_transport,
            mailbox: mailbox.clone(),
            posted,
            // A developer asks as often as it takes, like everywhere else.
            is_counted: config.rate_limits.enabled || !config.dev_mode,
        }));
        let resolver = Arc::new(resolver);
        let firehose = Firehose::new(core.clone(), Arc::clone(&resolver), &config);
        let accounts = AccountLookup::new(core.clone());
        let handles = HandlePolicy::new(config.sign_up.handle_domains.clone(), config.identity.handle_hold_secs);
        let identities = Arc::new(IdentityLookup::new(
            core.clone(),
            Arc::clone(&resolver),
            accounts.clone(),
            handles.clone(),
            &config,
        ));
        let integrity = Arc::<Integrity>::default();
        let audit = AuditLog::new(core.clone());
        Ok(Arc::new(Self {
            service_auth: ServiceAuth::new(core.clone(), Arc::clone(&keyring), Arc::clone(&identities), &config),
            identities,
            accounts,
            handles,
            emails: EmailPolicy::new(config.sign_up.disposable_domains.clone()),
            invites: Invites::new(core.clone(), audit.clone(), &config),
            reserved_keys: ReservedKeys::new(core.clone(), Arc::clone(&keyring)),
            preferences: Preferences::new(core.clone()),
            audit,
            newest_time,
            admin_tries: AdminTries::default(),
            remembered,
            identity_changes: Changes::default(),
            identity_round: Round::default(),
            rotation_key,
            session_keys: SessionKeys::new(config.secrets.jwt_secret.expose().as_bytes()),
            passwords: PasswordPool::new(config.password_hash_workers, config.password_hash_cost)?,
            blobs: Blobs::new(core.clone(), objects, Arc::clone(&integrity), &config),
            integrity,
            schemas: Arc::new(SchemaSet::built_in()),
            rate_limits: RateLimits::new(config.rate_limits.enabled, Arc::clone(&clock), &*randomness),
            sign_ups: SignUps::new(&*randomness),
            timetable: Timetable::default(),
            repos: Repositories::new(config.repo_cache_bytes_max, &*randomness),
            imports: Imports::new(imports_directory),
            answers: AnswerBudget::default(),
            streams: Streams::new(&firehose),
            firehose,
            email_codes,
            mail,
            mailbox,
            captcha,
            phone,
            config,
            keyring,
            keyed_hash,
            core,
            db,
            clock,
            randomness,
            plc,
            resolver,
            failpoints,
        }))
    }
}

/// Who sends codes to telephone numbers; `None` when there is nobody.
fn verifier(
    config: &PhoneConfig,
    forms: Forms,
    mailbox: Option<&Arc<Mailbox>>,
    core: &Core,
) -> Option<Arc<dyn Verifier>> {
    match (&config.twilio, mailbox) {
        (Some(twilio), _) => Some(Arc::new(Twilio::new(twilio.clone(), forms))),
        (None, Some(mailbox)) => {
            let (clock, randomness) = (Arc::clone(&core.clock), Arc::clone(&core.randomness));
            Some(Arc::new(DevCodes::new(Arc::clone(mailbox), clock, randomness)))
        }
        (None, None) => None,
    }
}
