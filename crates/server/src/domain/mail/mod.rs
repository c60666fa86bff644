//! Mail: a letter is posted in the transaction that is its reason, waits in the outbox sealed, and is sent by a worker.
//!
//! So no request waits for a mail server or fails with one, and no letter is lost or goes out for something that did
//! not happen. A letter may be sent twice when the server ends between sending it and noting so; both have one
//! Message-ID.

mod letters;
mod mailbox;
mod worker;

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use allod_atproto::{Did, Handle};
use allod_base::{
    clock::{self, MICROS_PER_SEC},
    secret::Secret,
};
use allod_store::{
    CommitError, ConflictKey, Txn,
    tables::{
        accounts::Account,
        mail::{self as outbox, Caps, OutboxLetter, WhenTooMany},
    },
};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

pub use mailbox::{CAPTURED_MESSAGES_MAX, Mailbox};
pub use worker::{DeliverError, MailStatus, SendNowError};

use super::{
    core::Core,
    email_codes::{CODE_SECS, EmailCodes, Purpose},
    emails,
    keyed_hash::{HashUse, KeyedHash},
    keys::{self, Keyring},
};
use crate::{
    config::ServiceConfig,
    limits::{
        MAIL_ACCOUNT_LETTERS_PER_DAY, MAIL_ACCOUNT_LETTERS_PER_HOUR, MAIL_RECIPIENT_LETTERS_PER_DAY,
        MAIL_RECIPIENT_LETTERS_PER_HOUR, MAIL_RECIPIENT_SIGN_INS_PER_DAY, MAIL_RECIPIENT_SIGN_INS_PER_HOUR,
        MAIL_WAITING_MAX,
    },
};

/// How long a letter that carries no code is tried, in seconds.
pub const TRIED_SECS: u64 = 24 * 60 * 60;

const HOUR_SECS: u64 = 60 * 60;
const DAY_SECS: u64 = 24 * HOUR_SECS;

/// A letter to be posted.
pub struct Letter {
    /// The recipient's address.
    pub to: String,
    /// The account it is about; the letter goes with it.
    pub account: Option<Did>,
    /// What it says.
    pub content: Content,
}

/// What a letter says.
pub enum Content {
    /// A code, and what it is for.
    Code {
        /// What for.
        purpose: Purpose,
        /// The account's handle.
        handle: Handle,
        /// The code.
        code: Secret<String>,
    },
    /// The account's password was changed.
    PasswordChanged {
        /// The account's handle.
        handle: Handle,
    },
    /// The account has another address; told to the old one.
    EmailChanged {
        /// The account's handle.
        handle: Handle,
    },
    /// Somebody signed in from a network that the owner never signed in from.
    SignedIn {
        /// The account's handle.
        handle: Handle,
        /// Where from.
        address: IpAddr,
        /// When, RFC 3339.
        time: String,
        /// The name of the app password it was with, if it was with one.
        app_password: Option<String>,
    },
    /// The account waited, and is let in.
    LetIn {
        /// The account's handle.
        handle: Handle,
    },
    /// Something that the operator writes.
    FromOperator {
        /// The subject line.
        subject: String,
        /// The body, as HTML or plain text.
        body: String,
    },
}

impl Content {
    fn kind(&self) -> Kind {
        match self {
            Self::Code { purpose, .. } => Kind::Code(*purpose),
            Self::PasswordChanged { .. } | Self::EmailChanged { .. } | Self::LetIn { .. } => Kind::Notice,
            Self::SignedIn { .. } => Kind::SignedIn,
            Self::FromOperator { .. } => Kind::FromOperator,
        }
    }
}

/// Letters of one kind are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code(Purpose),
    Notice,
    FromOperator,
    SignedIn,
}

impl Kind {
    fn code(self) -> i64 {
        match self {
            Self::Code(purpose) => purpose.code(),
            Self::Notice => 100,
            Self::FromOperator => 101,
            Self::SignedIn => 102,
        }
    }

    /// How many of it a recipient gets in an hour and in a day, and whether the account's own caps count.
    fn caps(self) -> (i64, i64, bool) {
        match self {
            Self::Code(Purpose::SignIn) | Self::Notice | Self::SignedIn => {
                (MAIL_RECIPIENT_SIGN_INS_PER_HOUR, MAIL_RECIPIENT_SIGN_INS_PER_DAY, true)
            }
            Self::Code(_) => (MAIL_RECIPIENT_LETTERS_PER_HOUR, MAIL_RECIPIENT_LETTERS_PER_DAY, true),
            Self::FromOperator => (i64::MAX, i64::MAX, false),
        }
    }

    fn when_too_many(self) -> WhenTooMany {
        match self {
            // What a notice tells of is not refused for want of it.
            Self::Notice | Self::SignedIn => WhenTooMany::LeaveOut,
            Self::Code(_) | Self::FromOperator => WhenTooMany::Refuse,
        }
    }
}

/// A letter ready to be sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Message {
    /// What it is known by: the left part of its Message-ID.
    pub id: String,
    /// The recipient's address.
    pub to: String,
    /// The subject line.
    pub subject: String,
    /// The plain-text body.
    pub text: String,
    /// The HTML body.
    pub html: String,
    /// When it was posted, in microseconds since the Unix epoch.
    pub time_micros: u64,
}

/// What is sealed in the outbox.
#[derive(Serialize, Deserialize)]
enum Enclosed {
    Message(Message),
    /// Somebody asked for a new password for whoever has this address. Whether anybody does is looked up when it is
    /// sent, so that asking takes the same time either way.
    ResetRequest {
        to: String,
    },
}

/// Why a letter was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// It may be sent later.
    #[error("{0}")]
    Passing(String),
    /// It will never be sent.
    #[error("{0}")]
    Lasting(String),
}

/// Sends letters.
pub trait Transport: Send + Sync + 'static {
    /// Sends one.
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), TransportError>>;
}

/// What mail is made of.
pub struct MailParts {
    /// The store, time and randomness.
    pub core: Core,
    /// Hashes whom e-mails are for.
    pub keyed_hash: Arc<KeyedHash>,
    /// Seals what waits in the outbox.
    pub keyring: Arc<Keyring>,
    /// Makes the codes of e-mails that carry one.
    pub email_codes: EmailCodes,
    /// Who the server is.
    pub service: ServiceConfig,
    /// What sends e-mails; without it and without a mailbox they wait.
    pub transport: Option<Arc<dyn Transport>>,
    /// Where e-mails are captured instead of being sent.
    pub mailbox: Option<Arc<Mailbox>>,
    /// Notified when an e-mail was posted.
    pub posted: Arc<Notify>,
    /// Whether it is limited how many e-mails a recipient gets.
    pub is_counted: bool,
}

/// Posts and sends e-mails, and knows how that goes.
pub struct Mail {
    parts: MailParts,
    /// Held while letters are sent; in it those that were sent and are still in the outbox.
    delivering: tokio::sync::Mutex<HashSet<Vec<u8>>>,
    last: Mutex<worker::Last>,
}

/// Why no code was mailed.
#[derive(Debug, thiserror::Error)]
pub enum SendCodeError {
    /// The account has no address.
    #[error("account does not have an email address")]
    NoAddress,
    /// There were too many of late. An earlier code is as good as before.
    #[error("Rate Limit Exceeded")]
    TooMany,
    /// The letter could not be posted.
    #[error(transparent)]
    Commit(CommitError),
}

struct Posting<'a> {
    letter_id: [u8; 16],
    to: &'a str,
    account: Option<Did>,
    kind: Kind,
    same_letter: Vec<u8>,
    enclosed: &'a Enclosed,
    now: u64,
}

impl Mail {
    /// Puts the parts together. Sends nothing yet.
    pub fn new(parts: MailParts) -> Self {
        Self { parts, delivering: tokio::sync::Mutex::default(), last: Mutex::default() }
    }

    /// Makes a code for an account and posts it to the account's address; an earlier one for the same purpose is void.
    pub async fn send_code(&self, account: &Account, purpose: Purpose) -> Result<(), SendCodeError> {
        let to = account.email.clone().ok_or(SendCodeError::NoAddress)?;
        let mut txn = Txn::new();
        // Deleting an account takes a code, and signing in may.
        txn.use_some_disk_reserve();
        let code = self.parts.email_codes.issue(&mut txn, &account.did, purpose);
        let content = Content::Code { purpose, handle: account.handle.clone(), code };
        self.post(&mut txn, Letter { to, account: Some(account.did.clone()), content });
        match self.parts.core.db.commit(txn).await {
            Ok(_) => Ok(()),
            Err(CommitError::Conflict(ConflictKey::TooManyEmails)) => Err(SendCodeError::TooMany),
            Err(error) => Err(SendCodeError::Commit(error)),
        }
    }

    /// Adds a letter: it is sent once the transaction is durable.
    ///
    /// It takes the place of one that is the same and still waits; a code, that of an earlier one for the same purpose.
    /// Conflict: [`ConflictKey::TooManyEmails`] when the recipient got enough of the kind lately;
    /// notices are left out instead.
    pub fn post(&self, txn: &mut Txn, letter: Letter) {
        let Letter { to, account, content } = letter;
        let kind = content.kind();
        let letter_id: [u8; 16] = self.parts.core.random_bytes();
        let now = self.parts.core.clock.now_micros();
        let message = letters::message(&self.parts.service, &letter_id, to, &content, now);
        let same = match (kind, &account) {
            (Kind::Code(_), Some(did)) => vec![did.as_str().as_bytes()],
            (Kind::Code(_), None) => vec![message.to.as_bytes()],
            (Kind::Notice | Kind::SignedIn | Kind::FromOperator, _) => {
                vec![message.to.as_bytes(), message.subject.as_bytes(), message.html.as_bytes()]
            }
        };
        let same_letter = self.same_letter(kind, &same);
        let (to, enclosed) = (message.to.clone(), Enclosed::Message(message));
        self.add(txn, Posting { letter_id, to: &to, account, kind, same_letter, enclosed: &enclosed, now });
    }

    /// Adds: whoever has this address, if anybody, is mailed a code for a new password.
    /// Conflict: [`ConflictKey::TooManyEmails`], whether or not there is an account.
    pub fn post_reset_request(&self, txn: &mut Txn, address: &str) {
        let kind = Kind::Code(Purpose::ResetPassword);
        let to = emails::lookup_key(address);
        let same_letter = self.same_letter(kind, &[to.as_bytes()]);
        let enclosed = Enclosed::ResetRequest { to: to.clone() };
        let letter_id = self.parts.core.random_bytes();
        let now = self.parts.core.clock.now_micros();
        self.add(txn, Posting { letter_id, to: &to, account: None, kind, same_letter, enclosed: &enclosed, now });
    }

    fn same_letter(&self, kind: Kind, parts: &[&[u8]]) -> Vec<u8> {
        let kind = kind.code().to_be_bytes();
        let parts: Vec<&[u8]> = [kind.as_slice()].into_iter().chain(parts.iter().copied()).collect();
        self.parts.keyed_hash.hash(HashUse::SameLetter, &parts).to_vec()
    }

    fn add(&self, txn: &mut Txn, posting: Posting<'_>) {
        let Posting { letter_id, to, account, kind, same_letter, enclosed, now } = posting;
        let lasts_secs = match kind {
            Kind::Code(_) => CODE_SECS,
            Kind::Notice | Kind::SignedIn | Kind::FromOperator => TRIED_SECS,
        };
        let recipient =
            self.parts.keyed_hash.hash(HashUse::MailRecipient, &[emails::lookup_key(to).as_bytes()]).to_vec();
        let stored_now = clock::to_store(now);
        let row = OutboxLetter {
            letter_id: letter_id.to_vec(),
            recipient,
            did: account,
            kind: kind.code(),
            same_letter,
            sealed: self.seal(&letter_id, enclosed),
            created_at: stored_now,
            expires_at: clock::to_store(now + lasts_secs * MICROS_PER_SEC),
            next_try_at: stored_now,
            tries: 0,
            last_error: None,
        };
        outbox::post(txn, &row, self.caps(kind, now), kind.when_too_many());
    }

    fn seal(&self, letter_id: &[u8], enclosed: &Enclosed) -> bytes::Bytes {
        #[expect(clippy::expect_used, reason = "texts and a number always have a JSON form")]
        let clear = zeroize::Zeroizing::new(serde_json::to_vec(enclosed).expect("a letter has a JSON form"));
        self.parts.keyring.seal(&clear, keys::Purpose::Letter(letter_id), &*self.parts.core.randomness)
    }

    fn caps(&self, kind: Kind, now: u64) -> Caps {
        let ago = |secs: u64| clock::to_store(now.saturating_sub(secs * MICROS_PER_SEC));
        let is_counted = self.parts.is_counted;
        let (hour, day, of_account) = kind.caps();
        let counted = |max: i64, is_counted: bool| if is_counted { max } else { i64::MAX };
        Caps {
            recipient_hour: counted(hour, is_counted),
            recipient_day: counted(day, is_counted),
            account_hour: counted(MAIL_ACCOUNT_LETTERS_PER_HOUR, is_counted && of_account),
            account_day: counted(MAIL_ACCOUNT_LETTERS_PER_DAY, is_counted && of_account),
            waiting: MAIL_WAITING_MAX,
            hour_ago: ago(HOUR_SECS),
            day_ago: ago(DAY_SECS),
        }
    }
}
