//! Sends what waits in the outbox: at once when something was posted, and again ever later what could not be sent.

use std::{collections::HashSet, panic::AssertUnwindSafe, sync::Arc};

use allod_atproto::json::{self, Limits};
use allod_base::{
    clock::{self, MICROS_PER_SEC},
    randomness,
};
use allod_store::{
    CommitError, ConflictKey, ReadError, Txn,
    tables::{accounts, email_codes, mail as outbox},
};
use futures_util::{FutureExt, TryStreamExt, future::Either, stream};
use outbox::OutboxLetter;
use parking_lot::Mutex;

use super::{Content, DAY_SECS, Enclosed, Message, Transport, TransportError, letters, seal};
use crate::{
    app::App,
    domain::{
        email_codes::{self as codes, CODE_SECS, Purpose},
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

/// Tells how mail stands.
pub async fn status(app: &App) -> Result<MailStatus, ReadError> {
    let outbox = outbox::outbox(&*app.db).await?;
    let last = app.mail.last.lock().clone();
    let is_sent = app.mailbox.is_some() || app.mail.transport.is_some();
    Ok(MailStatus { is_sent, outbox, last_sent_at_micros: last.sent_at_micros, last_error: last.error })
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

/// Sends a letter at once, or not at all: to see whether letters get through.
pub async fn send_now(app: &App, to: &str, subject: String, body: String) -> Result<(), SendNowError> {
    let letter_id: [u8; 16] = randomness::bytes(&*app.randomness);
    let content = Content::FromOperator { subject, body };
    let now = app.clock.now_micros();
    let message = letters::message(&app.config.service, &letter_id, to.to_owned(), &content, now);
    if let Some(mailbox) = &app.mailbox {
        mailbox.deliver(message);
        return Ok(());
    }
    let transport = app.mail.transport.as_ref().ok_or(SendNowError::NoMailServer)?;
    match in_time(app, &**transport, &message).await {
        Ok(()) => app.mail.last.lock().sent_at_micros = Some(app.clock.now_micros()),
        Err(error) => {
            note(app, &error.to_string());
            return Err(error.into());
        }
    }
    Ok(())
}

/// Sends letters until it is dropped, which loses none.
pub async fn run(app: &App) {
    loop {
        let wait_secs = match deliver_due(app).await {
            Ok(()) => wait_secs(app).await,
            Err(error) => {
                tracing::warn!(%error, "mail queue pass failed");
                LOOK_EVERY_SECS
            }
        };
        let posted = std::pin::pin!(app.mail.posted.notified());
        match futures_util::future::select(posted, app.clock.sleep(wait_secs * MICROS_PER_SEC)).await {
            Either::Left(_) | Either::Right(_) => {}
        }
    }
}

async fn wait_secs(app: &App) -> u64 {
    let now = app.clock.now_micros();
    match outbox::next_due(&*app.db).await {
        Ok(Some(due)) => clock::from_store(due).saturating_sub(now).div_ceil(MICROS_PER_SEC).clamp(1, LOOK_EVERY_SECS),
        Ok(None) | Err(_) => LOOK_EVERY_SECS,
    }
}

/// Sends the letters that are due. Without anything to send them by, those that have expired go all the same.
pub async fn deliver_due(app: &App) -> Result<(), DeliverError> {
    // One at a time: no letter must be sent by two.
    let mut delivering = app.mail.delivering.lock().await;
    let sent = Mutex::new(std::mem::take(&mut *delivering));
    let outcome = deliver_all(app, &sent).await;
    *delivering = sent.into_inner();
    outcome
}

async fn deliver_all(app: &App, sent: &Mutex<HashSet<Vec<u8>>>) -> Result<(), DeliverError> {
    loop {
        let now = clock::to_store(app.clock.now_micros());
        let due = outbox::due(&*app.db, now, MAIL_LETTERS_PER_READ).await?;
        if due.is_empty() {
            return Ok(());
        }
        // Each is done with or put off, so that none is read again at the same time.
        let deliveries = stream::iter(due.into_iter().map(|letter| Ok(deliver(app, letter, now, sent))));
        deliveries.try_buffer_unordered(MAIL_SENDS_AT_ONCE_MAX).try_for_each(|()| async { Ok(()) }).await?;
    }
}

async fn deliver(
    app: &App,
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
        match hand_over(app, &letter).await? {
            HandedOver::Sent => {
                sent.lock().insert(letter.letter_id.clone());
                app.mail.last.lock().sent_at_micros = Some(app.clock.now_micros());
                outbox::remove(&mut txn, &letter.letter_id);
            }
            HandedOver::ToNobody => outbox::remove(&mut txn, &letter.letter_id),
            HandedOver::Not(TransportError::Lasting(reason)) => {
                let reason = note(app, &reason);
                tracing::warn!(reason, "a letter was refused and is not sent");
                outbox::remove(&mut txn, &letter.letter_id);
            }
            HandedOver::Not(TransportError::Passing(reason)) => {
                let reason = note(app, &reason);
                tracing::warn!(reason, tries = letter.tries + 1, "a letter could not be sent and is tried again");
                put_off(app, &mut txn, &letter, &reason);
            }
            HandedOver::KeptBack => put_off(app, &mut txn, &letter, "no mail server is configured"),
        }
    }
    app.db.commit(txn).await?;
    sent.lock().remove(&letter.letter_id);
    Ok(())
}

fn note(app: &App, reason: &str) -> String {
    let reason: String = reason.chars().take(MAIL_ERROR_CHARS_MAX).collect();
    app.mail.last.lock().error = Some((app.clock.now_micros(), reason.clone()));
    reason
}

fn put_off(app: &App, txn: &mut Txn, letter: &OutboxLetter, reason: &str) {
    let tripled = u32::try_from(letter.tries).ok().and_then(|tries| 3_u64.checked_pow(tries));
    let wait_secs = tripled.unwrap_or(u64::MAX).saturating_mul(RETRY_SECS).min(RETRY_SECS_MAX);
    // Looked at again when it has expired at the latest, so that it goes.
    let next = clock::to_store(app.clock.now_micros() + wait_secs * MICROS_PER_SEC);
    outbox::put_off(txn, &letter.letter_id, next, reason);
}

enum HandedOver {
    Sent,
    ToNobody,
    Not(TransportError),
    KeptBack,
}

async fn hand_over(app: &App, letter: &OutboxLetter) -> Result<HandedOver, DeliverError> {
    if app.mailbox.is_none() && app.mail.transport.is_none() {
        return Ok(HandedOver::KeptBack);
    }
    let Some(enclosed) = enclosed(app, letter) else {
        tracing::error!("a queued e-mail can't be decrypted: it was stored under another master key, or is damaged");
        return Ok(HandedOver::ToNobody);
    };
    let message = match enclosed {
        Enclosed::Message(message) => message,
        Enclosed::ResetRequest { to } => match write_reset(app, letter, &to).await? {
            Some(message) => message,
            None => return Ok(HandedOver::ToNobody),
        },
    };
    if let Some(mailbox) = &app.mailbox {
        mailbox.deliver(message);
        return Ok(HandedOver::Sent);
    }
    let Some(transport) = &app.mail.transport else { return Ok(HandedOver::KeptBack) };
    Ok(match in_time(app, &**transport, &message).await {
        Ok(()) => HandedOver::Sent,
        Err(error) => HandedOver::Not(error),
    })
}

async fn in_time(app: &App, transport: &dyn Transport, message: &Message) -> Result<(), TransportError> {
    let time_out = app.clock.sleep(MAIL_SEND_SECS_MAX * MICROS_PER_SEC);
    // One message that the mail library panics at must not hold up the others.
    let sending = AssertUnwindSafe(transport.send(message)).catch_unwind();
    match futures_util::future::select(std::pin::pin!(sending), time_out).await {
        Either::Left((Ok(outcome), _)) => outcome,
        Either::Left((Err(_), _)) => Err(TransportError::Passing("sending it panicked".to_owned())),
        Either::Right(_) => Err(TransportError::Passing(format!("no answer within {MAIL_SEND_SECS_MAX} seconds"))),
    }
}

fn enclosed(app: &App, letter: &OutboxLetter) -> Option<Enclosed> {
    let clear = app.keyring.unseal(&letter.sealed, keys::Purpose::Letter(&letter.letter_id)).ok()?;
    json::read(&clear, &Limits::OWN).ok()
}

/// Makes a code for whoever has the address and writes the letter, which then is what waits.
async fn write_reset(app: &App, letter: &OutboxLetter, to: &str) -> Result<Option<Message>, DeliverError> {
    let Some(account) = accounts::by_email_key(&*app.db, to).await? else { return Ok(None) };
    let Some(address) = account.email.clone() else { return Ok(None) };
    let mut txn = Txn::new();
    let code = codes::issue(app, &mut txn, &account.did, Purpose::ResetPassword);
    let now = app.clock.now_micros();
    let content = Content::Code { purpose: Purpose::ResetPassword, handle: account.handle, code };
    let message = letters::message(&app.config.service, &letter.letter_id, address, &content, now);
    let sealed = seal(app, &letter.letter_id, &Enclosed::Message(message.clone()));
    let expires_at = clock::to_store(now + CODE_SECS * MICROS_PER_SEC);
    outbox::rewrite(&mut txn, &letter.letter_id, &account.did, sealed, expires_at);
    match app.db.commit(txn).await {
        Ok(_) => Ok(Some(message)),
        // Somebody asked anew meanwhile.
        Err(CommitError::Conflict(ConflictKey::QueuedEmailGone)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Forgets whom letters went to that no longer count, and codes that expired long ago.
pub async fn forget_old(app: &Arc<App>) -> Result<(), DeliverError> {
    let day_ago = clock::to_store(app.clock.now_micros().saturating_sub(DAY_SECS * MICROS_PER_SEC));
    let mut txn = Txn::new();
    if outbox::any_posted_before(&*app.db, day_ago).await? {
        outbox::forget_posted_before(&mut txn, day_ago);
    }
    if email_codes::any_expired(&*app.db, day_ago).await? {
        email_codes::forget_expired(&mut txn, day_ago);
    }
    if !txn.steps.is_empty() {
        app.db.commit(txn).await?;
    }
    Ok(())
}
