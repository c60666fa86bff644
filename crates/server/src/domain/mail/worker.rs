//! Sends what waits in the outbox: at once when something was posted, and again ever later what could not be sent.

use std::{collections::HashSet, panic::AssertUnwindSafe};

use allod_atproto::json::{self, Limits};
use allod_base::clock::{self, MICROS_PER_SEC};
use allod_store::{
    CommitError, ConflictKey, ReadError, Txn,
    tables::{accounts, mail as outbox},
};
use futures_util::{FutureExt, TryStreamExt, future::Either, stream};
use outbox::OutboxLetter;
use parking_lot::Mutex;

use super::{Content, DAY_SECS, Enclosed, Mail, Message, Transport, TransportError, letters};
use crate::{
    domain::{
        email_codes::{CODE_SECS, Purpose},
        keys,
    },
    limits::{MAIL_ERROR_CHARS_MAX, MAIL_LETTERS_PER_READ, MAIL_SEND_SECS_MAX, MAIL_SENDS_AT_ONCE_MAX},
};

/// How long the first wait after a failure is, in seconds; it triples.
const RETRY_SECS: u64 = 5;
/// The longest such wait, in seconds.
const RETRY_SECS_MAX: u64 = 30 * 60;
/// How often the outbox is looked at although nothing was posted, in seconds.
const LOOK_EVERY_SECS: u64 = 60;

/// Why e-mails could not be delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The outbox could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// How it went could not be kept.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// How sending went lately.
#[derive(Debug, Default, Clone)]
pub(super) struct Last {
    sent_at_micros: Option<u64>,
    error: Option<(u64, String)>,
}

/// How mail stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailStatus {
    /// Whether letters are sent, or captured, rather than kept back.
    pub is_sent: bool,
    /// How many letters wait, since when, and how many were tried.
    pub outbox: outbox::Outbox,
    /// When the last letter was sent since the server runs.
    pub last_sent_at_micros: Option<u64>,
    /// Why the last one that was not sent was not, and when.
    pub last_error: Option<(u64, String)>,
}

/// Why a letter was not sent at once.
#[derive(Debug, thiserror::Error)]
pub enum SendNowError {
    /// There is nothing to send it by.
    #[error("no mail server is configured")]
    NoMailServer,
    /// It was not taken.
    #[error("the letter was not sent: {0}")]
    Transport(#[from] TransportError),
}

enum HandedOver {
    Sent,
    ToNobody,
    Not(TransportError),
    KeptBack,
}

impl Mail {
    /// Tells how mail stands.
    pub async fn status(&self) -> Result<MailStatus, ReadError> {
        let outbox = outbox::outbox(&*self.parts.core.db).await?;
        let last = self.last.lock().clone();
        let is_sent = self.parts.mailbox.is_some() || self.parts.transport.is_some();
        Ok(MailStatus { is_sent, outbox, last_sent_at_micros: last.sent_at_micros, last_error: last.error })
    }

    /// Sends a letter at once, or not at all: to see whether letters get through.
    pub async fn send_now(&self, to: &str, subject: String, body: String) -> Result<(), SendNowError> {
        let letter_id: [u8; 16] = self.parts.core.random_bytes();
        let content = Content::FromOperator { subject, body };
        let now = self.parts.core.clock.now_micros();
        let message = letters::message(&self.parts.service, &letter_id, to.to_owned(), &content, now);
        if let Some(mailbox) = &self.parts.mailbox {
            mailbox.deliver(message);
            return Ok(());
        }
        let transport = self.parts.transport.as_ref().ok_or(SendNowError::NoMailServer)?;
        match self.in_time(&**transport, &message).await {
            Ok(()) => self.last.lock().sent_at_micros = Some(self.parts.core.clock.now_micros()),
            Err(error) => {
                self.note(&error.to_string());
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Sends letters until it is dropped, which loses none.
    pub async fn run(&self) {
        loop {
            let wait_secs = match self.deliver_due().await {
                Ok(()) => self.wait_secs().await,
                Err(error) => {
                    tracing::warn!(%error, "mail queue pass failed");
                    LOOK_EVERY_SECS
                }
            };
            let posted = std::pin::pin!(self.parts.posted.notified());
            match futures_util::future::select(posted, self.parts.core.clock.sleep(wait_secs * MICROS_PER_SEC)).await {
                Either::Left(_) | Either::Right(_) => {}
            }
        }
    }

    async fn wait_secs(&self) -> u64 {
        let now = self.parts.core.clock.now_micros();
        match outbox::next_due(&*self.parts.core.db).await {
            Ok(Some(due)) => {
                clock::from_store(due).saturating_sub(now).div_ceil(MICROS_PER_SEC).clamp(1, LOOK_EVERY_SECS)
            }
            Ok(None) | Err(_) => LOOK_EVERY_SECS,
        }
    }

    /// Sends the letters that are due. Without anything to send them by, those that have expired go all the same.
    pub async fn deliver_due(&self) -> Result<(), DeliverError> {
        // One at a time: no letter must be sent by two.
        let mut delivering = self.delivering.lock().await;
        let sent = Mutex::new(std::mem::take(&mut *delivering));
        let outcome = self.deliver_all(&sent).await;
        *delivering = sent.into_inner();
        outcome
    }

    async fn deliver_all(&self, sent: &Mutex<HashSet<Vec<u8>>>) -> Result<(), DeliverError> {
        loop {
            let now = self.parts.core.stored_now();
            let due = outbox::due(&*self.parts.core.db, now, MAIL_LETTERS_PER_READ).await?;
            if due.is_empty() {
                return Ok(());
            }
            // Each is done with or put off, so that none is read again at the same time.
            let deliveries = stream::iter(due.into_iter().map(|letter| Ok(self.deliver(letter, now, sent))));
            deliveries.try_buffer_unordered(MAIL_SENDS_AT_ONCE_MAX).try_for_each(|()| async { Ok(()) }).await?;
        }
    }

    async fn deliver(
        &self,
        letter: OutboxLetter,
        now: i64,
        sent: &Mutex<HashSet<Vec<u8>>>,
    ) -> Result<(), DeliverError> {
        let mut txn = Txn::new();
        let was_sent = sent.lock().contains(&letter.letter_id);
        if was_sent {
            outbox::remove(&mut txn, &letter.letter_id);
        } else if letter.expires_at <= now {
            tracing::warn!(tries = letter.tries, last_error = letter.last_error, "a letter expired before it was sent");
            outbox::remove(&mut txn, &letter.letter_id);
        } else {
            match self.hand_over(&letter).await? {
                HandedOver::Sent => {
                    sent.lock().insert(letter.letter_id.clone());
                    self.last.lock().sent_at_micros = Some(self.parts.core.clock.now_micros());
                    outbox::remove(&mut txn, &letter.letter_id);
                }
                HandedOver::ToNobody => outbox::remove(&mut txn, &letter.letter_id),
                HandedOver::Not(TransportError::Lasting(reason)) => {
                    let reason = self.note(&reason);
                    tracing::warn!(reason, "a letter was refused and is not sent");
                    outbox::remove(&mut txn, &letter.letter_id);
                }
                HandedOver::Not(TransportError::Passing(reason)) => {
                    let reason = self.note(&reason);
                    tracing::warn!(reason, tries = letter.tries + 1, "a letter could not be sent and is tried again");
                    self.put_off(&mut txn, &letter, &reason);
                }
                HandedOver::KeptBack => self.put_off(&mut txn, &letter, "no mail server is configured"),
            }
        }
        self.parts.core.db.commit(txn).await?;
        sent.lock().remove(&letter.letter_id);
        Ok(())
    }

    fn note(&self, reason: &str) -> String {
        let reason: String = reason.chars().take(MAIL_ERROR_CHARS_MAX).collect();
        self.last.lock().error = Some((self.parts.core.clock.now_micros(), reason.clone()));
        reason
    }

    fn put_off(&self, txn: &mut Txn, letter: &OutboxLetter, reason: &str) {
        let tripled = u32::try_from(letter.tries).ok().and_then(|tries| 3_u64.checked_pow(tries));
        let wait_secs = tripled.unwrap_or(u64::MAX).saturating_mul(RETRY_SECS).min(RETRY_SECS_MAX);
        // Looked at again when it has expired at the latest, so that it goes.
        let next = clock::to_store(self.parts.core.clock.now_micros() + wait_secs * MICROS_PER_SEC);
        outbox::put_off(txn, &letter.letter_id, next, reason);
    }

    async fn hand_over(&self, letter: &OutboxLetter) -> Result<HandedOver, DeliverError> {
        if self.parts.mailbox.is_none() && self.parts.transport.is_none() {
            return Ok(HandedOver::KeptBack);
        }
        let Some(enclosed) = self.enclosed(letter) else {
            tracing::error!(
                "a queued e-mail can't be decrypted: it was stored under another master key, or is damaged"
            );
            return Ok(HandedOver::ToNobody);
        };
        let message = match enclosed {
            Enclosed::Message(message) => message,
            Enclosed::ResetRequest { to } => match self.write_reset(letter, &to).await? {
                Some(message) => message,
                None => return Ok(HandedOver::ToNobody),
            },
        };
        if let Some(mailbox) = &self.parts.mailbox {
            mailbox.deliver(message);
            return Ok(HandedOver::Sent);
        }
        let Some(transport) = &self.parts.transport else { return Ok(HandedOver::KeptBack) };
        Ok(match self.in_time(&**transport, &message).await {
            Ok(()) => HandedOver::Sent,
            Err(error) => HandedOver::Not(error),
        })
    }

    async fn in_time(&self, transport: &dyn Transport, message: &Message) -> Result<(), TransportError> {
        let time_out = self.parts.core.clock.sleep(MAIL_SEND_SECS_MAX * MICROS_PER_SEC);
        // One message that the mail library panics at must not hold up the others.
        let sending = AssertUnwindSafe(transport.send(message)).catch_unwind();
        match futures_util::future::select(std::pin::pin!(sending), time_out).await {
            Either::Left((Ok(outcome), _)) => outcome,
            Either::Left((Err(_), _)) => Err(TransportError::Passing("sending it panicked".to_owned())),
            Either::Right(_) => Err(TransportError::Passing(format!("no answer within {MAIL_SEND_SECS_MAX} seconds"))),
        }
    }

    fn enclosed(&self, letter: &OutboxLetter) -> Option<Enclosed> {
        let clear = self.parts.keyring.unseal(&letter.sealed, keys::Purpose::Letter(&letter.letter_id)).ok()?;
        json::read(&clear, &Limits::OWN).ok()
    }

    /// Makes a code for whoever has the address and writes the letter, which then is what waits.
    async fn write_reset(&self, letter: &OutboxLetter, to: &str) -> Result<Option<Message>, DeliverError> {
        let Some(account) = accounts::by_email_key(&*self.parts.core.db, to).await? else { return Ok(None) };
        let Some(address) = account.email.clone() else { return Ok(None) };
        let mut txn = Txn::new();
        let code = self.parts.email_codes.issue(&mut txn, &account.did, Purpose::ResetPassword);
        let now = self.parts.core.clock.now_micros();
        let content = Content::Code { purpose: Purpose::ResetPassword, handle: account.handle, code };
        let message = letters::message(&self.parts.service, &letter.letter_id, address, &content, now);
        let sealed = self.seal(&letter.letter_id, &Enclosed::Message(message.clone()));
        let expires_at = clock::to_store(now + CODE_SECS * MICROS_PER_SEC);
        outbox::rewrite(&mut txn, &letter.letter_id, &account.did, sealed, expires_at);
        match self.parts.core.db.commit(txn).await {
            Ok(_) => Ok(Some(message)),
            // Somebody asked anew meanwhile.
            Err(CommitError::Conflict(ConflictKey::QueuedEmailGone)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets whom letters went to that no longer count, and codes that expired long ago.
    pub async fn forget_old(&self) -> Result<(), DeliverError> {
        let day_ago = clock::to_store(self.parts.core.clock.now_micros().saturating_sub(DAY_SECS * MICROS_PER_SEC));
        let mut txn = Txn::new();
        if outbox::any_posted_before(&*self.parts.core.db, day_ago).await? {
            outbox::forget_posted_before(&mut txn, day_ago);
        }
        self.parts.email_codes.forget_expired(&mut txn, day_ago).await?;
        if !txn.steps.is_empty() {
            self.parts.core.db.commit(txn).await?;
        }
        Ok(())
    }
}
