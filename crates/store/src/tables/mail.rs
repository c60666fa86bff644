//! Letters that wait to be sent, and how often somebody was written to.

use allod_atproto::Did;
use bytes::Bytes;

use super::{first, parsed, readable};
use crate::{ConflictKey, Database, ReadError, Row, Touched, Txn, sql};

/// A letter in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxLetter {
    /// What it is known by: 16 random bytes.
    pub letter_id: Vec<u8>,
    /// A keyed hash of the address.
    pub recipient: Vec<u8>,
    /// The account it is about.
    pub did: Option<Did>,
    /// Which kind of letter it is; kinds are counted apart.
    pub kind: i64,
    /// Two letters with the same value are one: a keyed hash.
    pub same_letter: Vec<u8>,
    /// Address and content, sealed.
    pub sealed: Bytes,
    /// When it was posted.
    pub created_at: i64,
    /// When it is of no more use.
    pub expires_at: i64,
    /// When it is to be tried next.
    pub next_try_at: i64,
    /// How often it was tried.
    pub tries: i64,
    /// Why it was not sent the last time.
    pub last_error: Option<String>,
}

/// How many letters of one kind a recipient gets, and how many of any kind an account causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// For one recipient, of one kind, since `hour_ago`.
    pub recipient_hour: i64,
    /// Likewise since `day_ago`.
    pub recipient_day: i64,
    /// For one account, of all kinds, since `hour_ago`.
    pub account_hour: i64,
    /// Likewise since `day_ago`.
    pub account_day: i64,
    /// How many letters may wait.
    pub waiting: i64,
    /// An hour before now.
    pub hour_ago: i64,
    /// A day before now.
    pub day_ago: i64,
}

/// What becomes of the transaction when a letter would exceed the caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenTooMany {
    /// It goes on without the letter.
    LeaveOut,
    /// It is refused with [`ConflictKey::TooManyEmails`].
    Refuse,
}

fn letter(row: &Row) -> Result<OutboxLetter, ReadError> {
    let did: Option<String> = row.get(2)?;
    Ok(OutboxLetter {
        letter_id: row.get(0)?,
        recipient: row.get(1)?,
        did: did.map(|did| parsed("mail_outbox.did", Did::parse(&did))).transpose()?,
        kind: row.get(3)?,
        same_letter: row.get(4)?,
        sealed: row.get(5)?,
        created_at: row.get(6)?,
        expires_at: row.get(7)?,
        next_try_at: row.get(8)?,
        tries: row.get(9)?,
        last_error: row.get(10)?,
    })
}

/// Adds a letter. It takes the place of one that waits and is the same; one that is left out leaves that.
/// Conflict: [`ConflictKey::TooManyEmails`], if that is to refuse.
pub fn post(txn: &mut Txn, letter: &OutboxLetter, caps: Caps, too_many: WhenTooMany) {
    txn.touch(Touched::Outbox);
    if too_many == WhenTooMany::Refuse {
        txn.run(sql!("DELETE FROM mail_outbox WHERE same_letter = $1", letter.same_letter.as_slice()));
    }
    let insert = sql!(
        "INSERT INTO mail_outbox (letter_id, recipient, did, kind, same_letter, sealed, created_at, expires_at, \
         next_try_at, tries) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, 0 \
         WHERE (SELECT COUNT(*) FROM mail_outbox) < $10 \
         AND (SELECT COUNT(*) FROM mail_posted WHERE recipient = $2 AND kind = $4 AND posted_at > $11) < $13 \
         AND (SELECT COUNT(*) FROM mail_posted WHERE recipient = $2 AND kind = $4 AND posted_at > $12) < $14 \
         AND (SELECT COUNT(*) FROM mail_posted WHERE did = $3 AND posted_at > $11) < $15 \
         AND (SELECT COUNT(*) FROM mail_posted WHERE did = $3 AND posted_at > $12) < $16 \
         ON CONFLICT DO NOTHING",
        letter.letter_id.as_slice(),
        letter.recipient.as_slice(),
        letter.did.as_ref().map(Did::as_str),
        letter.kind,
        letter.same_letter.as_slice(),
        letter.sealed.clone(),
        letter.created_at,
        letter.expires_at,
        letter.next_try_at,
        caps.waiting,
        caps.hour_ago,
        caps.day_ago,
        caps.recipient_hour,
        caps.recipient_day,
        caps.account_hour,
        caps.account_day
    );
    match too_many {
        WhenTooMany::LeaveOut => txn.run(insert),
        WhenTooMany::Refuse => txn.expect(ConflictKey::TooManyEmails, 1, insert),
    }
    txn.run(sql!(
        "INSERT INTO mail_posted (letter_id, recipient, did, kind, posted_at) \
         SELECT letter_id, recipient, did, kind, created_at FROM mail_outbox WHERE letter_id = $1",
        letter.letter_id.as_slice()
    ));
}

/// Reads up to `limit` letters that are due, in the order in which they are.
pub async fn due(db: &dyn Database, now: i64, limit: i64) -> Result<Vec<OutboxLetter>, ReadError> {
    let rows = db.read(sql!(
        "SELECT letter_id, recipient, did, kind, same_letter, sealed, created_at, expires_at, next_try_at, tries, \
         last_error FROM mail_outbox WHERE next_try_at <= $1 ORDER BY next_try_at LIMIT $2",
        now,
        limit
    ));
    Ok(readable(&rows.await?, letter))
}

/// Tells when the next letter is due.
pub async fn next_due(db: &dyn Database) -> Result<Option<i64>, ReadError> {
    let rows = db.read(sql!("SELECT MIN(next_try_at) FROM mail_outbox")).await?;
    Ok(first(&rows, |row| row.get(0))?.flatten())
}

/// Adds: the letter is done with.
pub fn remove(txn: &mut Txn, letter_id: &[u8]) {
    // A letter that stays would be sent again.
    txn.use_disk_reserve();
    txn.run(sql!("DELETE FROM mail_outbox WHERE letter_id = $1", letter_id));
}

/// Adds: the letter could not be sent and is tried again.
pub fn put_off(txn: &mut Txn, letter_id: &[u8], next_try_at: i64, error: &str) {
    txn.run(sql!(
        "UPDATE mail_outbox SET next_try_at = $2, tries = tries + 1, last_error = $3 WHERE letter_id = $1",
        letter_id,
        next_try_at,
        error
    ));
}

/// Adds: the letter's content becomes another. Conflict: [`ConflictKey::QueuedEmailGone`].
pub fn rewrite(txn: &mut Txn, letter_id: &[u8], did: &Did, sealed: Bytes, expires_at: i64) {
    txn.expect(
        ConflictKey::QueuedEmailGone,
        1,
        sql!(
            "UPDATE mail_outbox SET did = $2, sealed = $3, expires_at = $4 WHERE letter_id = $1",
            letter_id,
            did.as_str(),
            sealed,
            expires_at
        ),
    );
}

/// Adds: letters about the account that still wait are not sent.
pub fn remove_of(txn: &mut Txn, did: &Did) {
    txn.run(sql!("DELETE FROM mail_outbox WHERE did = $1", did.as_str()));
    txn.run(sql!("DELETE FROM mail_posted WHERE did = $1", did.as_str()));
}

/// How the outbox stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outbox {
    /// How many letters wait.
    pub waiting: i64,
    /// Since when the oldest does.
    pub oldest_at: Option<i64>,
    /// How many of them were tried already.
    pub tried: i64,
}

/// Tells how the outbox stands.
pub async fn outbox(db: &dyn Database) -> Result<Outbox, ReadError> {
    let rows = db.read(sql!("SELECT COUNT(*), MIN(created_at), COUNT(last_error) FROM mail_outbox")).await?;
    let read = |row: &Row| Ok(Outbox { waiting: row.get(0)?, oldest_at: row.get(1)?, tried: row.get(2)? });
    Ok(first(&rows, read)?.unwrap_or_default())
}

/// Tells whether letters are remembered that were posted so long ago that they no longer count.
pub async fn any_posted_before(db: &dyn Database, time: i64) -> Result<bool, ReadError> {
    let rows = db.read(sql!("SELECT 1 FROM mail_posted WHERE posted_at <= $1 LIMIT 1", time)).await?;
    Ok(!rows.is_empty())
}

/// Adds: letters that were posted so long ago are forgotten.
pub fn forget_posted_before(txn: &mut Txn, time: i64) {
    txn.run(sql!("DELETE FROM mail_posted WHERE posted_at <= $1", time));
}
