//! Accounts, and the handles and e-mail addresses that belong to one DID each.

use std::{collections::HashMap, sync::LazyLock};

use allod_atproto::{Did, Handle};

use super::{
    all, app_passwords, blobs, email_codes, first, identity_changes, known_networks, mail, parsed, phones, preferences,
    readable, repos, sessions, sign_up_queue, sign_ups, signing_keys,
};
use crate::{ConflictKey, Database, ReadError, Row, Seq, SqlValue, Statement, Touched, Txn, sql};

/// One account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its DID.
    pub did: Did,
    /// Its handle, lower-case.
    pub handle: Handle,
    /// The e-mail address, in canonical form.
    pub email: Option<String>,
    /// The password's hash in PHC form; none means nobody can sign in with a password.
    pub password_hash: Option<String>,
    /// When it was created, in microseconds since the Unix epoch.
    pub created_at: i64,
    /// When the address was confirmed.
    pub email_confirmed_at: Option<i64>,
    /// Since when it is deactivated.
    pub deactivated_at: Option<i64>,
    /// When a deactivated account is removed.
    pub delete_after: Option<i64>,
    /// The moderation decision that took it down.
    pub takedown_ref: Option<String>,
    /// The invite code it was made with.
    pub invite_code: Option<String>,
    /// Whether a sign-in with its password needs a code sent to the address too.
    pub email_auth_factor: bool,
    /// Whether its invite codes are closed and no further ones are made for it.
    pub invites_disabled: bool,
    /// Why they are, or why they are no longer.
    pub invite_note: Option<String>,
    /// Whether it ever took part in the network. One that moves in or is queued has not, until it is activated.
    pub was_activated: bool,
    /// Whether it waits in the sign-up queue, or is just being admitted.
    pub is_queued: bool,
}

impl Account {
    /// An active account that has its names and nothing else.
    pub fn new(did: Did, handle: Handle, created_at: i64) -> Self {
        Self {
            did,
            handle,
            email: None,
            password_hash: None,
            created_at,
            email_confirmed_at: None,
            deactivated_at: None,
            delete_after: None,
            takedown_ref: None,
            invite_code: None,
            email_auth_factor: false,
            invites_disabled: false,
            invite_note: None,
            was_activated: true,
            is_queued: false,
        }
    }
}

/// What [`account`] reads, in order.
macro_rules! columns {
    () => {
        "accounts.did, accounts.handle, accounts.email, accounts.password_hash, accounts.created_at, \
         accounts.email_confirmed_at, accounts.deactivated_at, accounts.delete_after, accounts.takedown_ref, \
         accounts.invite_code, accounts.email_auth_factor, accounts.invites_disabled, accounts.invite_note, \
         accounts.was_activated, accounts.is_queued"
    };
}

fn account(row: &Row) -> Result<Account, ReadError> {
    Ok(Account {
        did: parsed("accounts.did", Did::parse(&row.get::<String>(0)?))?,
        handle: parsed("accounts.handle", Handle::parse(&row.get::<String>(1)?))?,
        email: row.get(2)?,
        password_hash: row.get(3)?,
        created_at: row.get(4)?,
        email_confirmed_at: row.get(5)?,
        deactivated_at: row.get(6)?,
        delete_after: row.get(7)?,
        takedown_ref: row.get(8)?,
        invite_code: row.get(9)?,
        email_auth_factor: row.get(10)?,
        invites_disabled: row.get(11)?,
        invite_note: row.get(12)?,
        was_activated: row.get(13)?,
        is_queued: row.get(14)?,
    })
}

/// Reads the account with this DID.
pub async fn by_did(db: &dyn Database, did: &Did) -> Result<Option<Account>, ReadError> {
    let rows = db.read(sql!(concat!("SELECT ", columns!(), " FROM accounts WHERE did = $1"), did.as_str()));
    first(&rows.await?, account)
}

/// Reads the account with this handle.
pub async fn by_handle(db: &dyn Database, handle: &Handle) -> Result<Option<Account>, ReadError> {
    let rows = db.read(sql!(concat!("SELECT ", columns!(), " FROM accounts WHERE handle = $1"), handle.as_str()));
    first(&rows.await?, account)
}

/// Reads the account that holds this e-mail address, given in the form compared for uniqueness.
pub async fn by_email_key(db: &dyn Database, email_key: &str) -> Result<Option<Account>, ReadError> {
    let rows = db.read(sql!(
        concat!(
            "SELECT ",
            columns!(),
            " FROM emails JOIN accounts ON accounts.did = emails.did WHERE emails.email_key = $1"
        ),
        email_key
    ));
    first(&rows.await?, account)
}

/// Reads up to `limit` accounts in order of age, behind the one named by `after` (its creation time and DID).
pub async fn page(db: &dyn Database, after: Option<(i64, &str)>, limit: i64) -> Result<Vec<Account>, ReadError> {
    let (time, did) = after.unwrap_or((i64::MIN, ""));
    let rows = db.read(sql!(
        concat!(
            "SELECT ",
            columns!(),
            " FROM accounts WHERE created_at > $1 OR (created_at = $1 AND did > $2) ORDER BY created_at, did LIMIT $3"
        ),
        time,
        did,
        limit
    ));
    all(&rows.await?, account)
}

/// Reads up to `limit` accounts' DIDs behind `after`, in order.
pub async fn dids_after(db: &dyn Database, after: &str, limit: i64) -> Result<Vec<String>, ReadError> {
    let rows = db.read(sql!("SELECT did FROM accounts WHERE did > $1 ORDER BY did LIMIT $2", after, limit));
    all(&rows.await?, |row| row.get(0))
}

/// How many DIDs one query of [`taken_down`] holds.
const DIDS_PER_QUERY: usize = 64;

/// What is shown of the events of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownEvents {
    /// Whether the account is taken down.
    pub is_taken_down: bool,
    /// Up to this number, events of its DID are of an earlier account that was deleted.
    pub earlier_upto: Seq,
}

/// Reads which of these DIDs have an account, and what is shown of its events.
pub async fn shown_events(db: &dyn Database, dids: &[&str]) -> Result<HashMap<String, ShownEvents>, ReadError> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let places: Vec<String> = (1..=DIDS_PER_QUERY).map(|place| format!("${place}")).collect();
        let places = places.join(", ");
        format!("SELECT did, takedown_ref IS NOT NULL, earlier_events_upto FROM accounts WHERE did IN ({places})")
    });
    let mut found = HashMap::new();
    for dids in dids.chunks(DIDS_PER_QUERY) {
        // Always the same number, so that it is always the same statement; unused places are NULL, which nothing equals.
        let mut params: Vec<SqlValue> = dids.iter().map(|&did| SqlValue::from(did)).collect();
        params.resize(DIDS_PER_QUERY, SqlValue::Null);
        for row in db.read(Statement::new(SQL.as_str(), params)).await? {
            let shown = ShownEvents { is_taken_down: row.get(1)?, earlier_upto: row.get(2)? };
            found.insert(row.get(0)?, shown);
        }
    }
    Ok(found)
}

/// Reads up to `limit` accounts whose removal is due.
pub async fn due_for_removal(db: &dyn Database, now: i64, limit: i64) -> Result<Vec<Account>, ReadError> {
    let rows = db.read(sql!(
        concat!(
            "SELECT ",
            columns!(),
            " FROM accounts WHERE delete_after IS NOT NULL AND delete_after <= $1 AND deactivated_at IS NOT NULL \
         ORDER BY delete_after LIMIT $2"
        ),
        now,
        limit
    ));
    Ok(readable(&rows.await?, account))
}

/// Tells which DID holds a handle: by an account, a sign-up under way, or because it had it lately.
pub async fn handle_holder(db: &dyn Database, handle: &Handle) -> Result<Option<String>, ReadError> {
    Ok(handle_hold(db, handle).await?.map(|(did, _)| did))
}

/// Tells which DID holds a handle, and until when if it is only held for it.
pub async fn handle_hold(db: &dyn Database, handle: &Handle) -> Result<Option<(String, Option<i64>)>, ReadError> {
    let rows = db.read(sql!("SELECT did, held_until FROM handles WHERE handle = $1", handle.as_str())).await?;
    first(&rows, |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Tells which DID holds an e-mail address, account or sign-up under way.
pub async fn email_holder(db: &dyn Database, email_key: &str) -> Result<Option<String>, ReadError> {
    let rows = db.read(sql!("SELECT did FROM emails WHERE email_key = $1", email_key)).await?;
    first(&rows, |row| row.get(0))
}

/// Adds: the handle belongs to the DID, for which it may have been held. Conflict: [`ConflictKey::HandleTaken`].
pub fn hold_handle(txn: &mut Txn, handle: &Handle, did: &Did, now: i64) {
    txn.run(sql!("DELETE FROM handles WHERE handle = $1 AND held_until <= $2", handle.as_str(), now));
    txn.expect(
        ConflictKey::HandleTaken,
        1,
        sql!(
            "INSERT INTO handles (handle, did, held_since) VALUES ($1, $2, $3) ON CONFLICT (handle) DO UPDATE \
             SET held_since = excluded.held_since, held_until = NULL \
             WHERE handles.did = excluded.did AND handles.held_until IS NOT NULL",
            handle.as_str(),
            did.as_str(),
            now
        ),
    );
}

/// Adds: the DID does not get the handle after all; it is held for it as before, if it was.
pub fn unhold_handle(txn: &mut Txn, handle: &Handle, did: &Did, held_until: Option<i64>) {
    let (handle, did) = (handle.as_str(), did.as_str());
    txn.run(match held_until {
        Some(until) => sql!("UPDATE handles SET held_until = $3 WHERE handle = $1 AND did = $2", handle, did, until),
        None => sql!("DELETE FROM handles WHERE handle = $1 AND did = $2", handle, did),
    });
}

/// Until when a handle is held that is to be held for as long as its account exists; [`end_holds`] sets the end.
pub const WITH_THE_ACCOUNT: i64 = i64::MAX;

/// Adds: the handle is held for the DID for as long as it has an account here, unless another DID has the handle.
pub fn hold_with_account(txn: &mut Txn, handle: &Handle, did: &Did, now: i64) {
    txn.run(sql!("DELETE FROM handles WHERE handle = $1 AND held_until <= $2", handle.as_str(), now));
    txn.run(sql!(
        "INSERT INTO handles (handle, did, held_since, held_until) VALUES ($1, $2, $3, $4) ON CONFLICT (handle) \
         DO UPDATE SET held_until = excluded.held_until \
         WHERE handles.did = excluded.did AND handles.held_until IS NOT NULL",
        handle.as_str(),
        did.as_str(),
        now,
        WITH_THE_ACCOUNT
    ));
}

/// Adds: what is held for the DID is not held beyond `held_until`.
pub fn end_holds(txn: &mut Txn, did: &Did, held_until: i64) {
    txn.run(sql!("UPDATE handles SET held_until = $2 WHERE did = $1 AND held_until > $2", did.as_str(), held_until));
}

/// Adds: the account's handle, which it is about to lose, is held for it until `held_until`.
pub fn keep_handle(txn: &mut Txn, did: &Did, held_until: i64) {
    txn.run(sql!("UPDATE handles SET held_until = $2 WHERE did = $1 AND held_until IS NULL", did.as_str(), held_until));
}

/// Tells whether a handle is held whose time is over.
pub async fn is_any_hold_over(db: &dyn Database, now: i64) -> Result<bool, ReadError> {
    let rows = db.read(sql!("SELECT 1 FROM handles WHERE held_until <= $1 LIMIT 1", now)).await?;
    Ok(!rows.is_empty())
}

/// Adds: handles whose time is over are free.
pub fn free_held_handles(txn: &mut Txn, now: i64) {
    txn.run(sql!("DELETE FROM handles WHERE held_until <= $1", now));
}

/// How many former handles are held for one DID; of more the oldest are free.
pub const HELD_HANDLES_MAX: i64 = 10;

/// Adds: the account has a new handle, which is already its own. The old one is held for it until `held_until`, or free.
/// Conflict: [`ConflictKey::AccountChanged`] when it no longer has the old one.
pub fn set_handle(txn: &mut Txn, did: &Did, old: &Handle, new: &Handle, held_until: Option<i64>) {
    txn.touch(Touched::Account(did.to_string()));
    txn.expect(
        ConflictKey::AccountChanged,
        1,
        sql!(
            "UPDATE accounts SET handle = $3 WHERE did = $1 AND handle = $2",
            did.as_str(),
            old.as_str(),
            new.as_str()
        ),
    );
    unhold_handle(txn, old, did, held_until);
    txn.run(sql!(
        "DELETE FROM handles WHERE did = $1 AND held_until IS NOT NULL AND handle NOT IN (SELECT handle FROM handles \
         WHERE did = $1 AND held_until IS NOT NULL ORDER BY held_until DESC LIMIT $2)",
        did.as_str(),
        HELD_HANDLES_MAX
    ));
}

/// What holds a handle that nobody gets; no DID.
const NOBODY: &str = "nobody";

/// Adds: nobody gets the handle. Conflict: [`ConflictKey::HandleTaken`] when somebody has it, or it is so already.
pub fn reserve_handle(txn: &mut Txn, handle: &Handle, now: i64) {
    txn.expect(
        ConflictKey::HandleTaken,
        1,
        sql!("INSERT INTO handles (handle, did, held_since) VALUES ($1, $2, $3)", handle.as_str(), NOBODY, now),
    );
}

/// A handle that no account has and nobody else gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldHandle {
    /// The handle.
    pub handle: String,
    /// Whom it is held for; none for one that is reserved.
    pub did: Option<String>,
    /// Until when, in microseconds since the Unix epoch; none for one that is reserved, or held as long as its account exists.
    pub until: Option<i64>,
}

/// Reads up to `limit` handles that are held or reserved at `now`, in order, after the one given.
pub async fn held_handles(db: &dyn Database, after: &str, now: i64, limit: i64) -> Result<Vec<HeldHandle>, ReadError> {
    let rows = db.read(sql!(
        "SELECT handle, NULLIF(did, $4), NULLIF(held_until, $5) FROM handles \
         WHERE handle > $1 AND (held_until > $2 OR did = $4) ORDER BY handle LIMIT $3",
        after,
        now,
        limit,
        NOBODY,
        WITH_THE_ACCOUNT
    ));
    all(&rows.await?, |row| Ok(HeldHandle { handle: row.get(0)?, did: row.get(1)?, until: row.get(2)? }))
}

/// Adds: a handle that is held or reserved is free. Conflict: [`ConflictKey::HandleNotHeld`].
pub fn release_handle(txn: &mut Txn, handle: &Handle) {
    txn.expect(
        ConflictKey::HandleNotHeld,
        1,
        sql!(
            "DELETE FROM handles WHERE handle = $1 AND (held_until < $3 OR did = $2)",
            handle.as_str(),
            NOBODY,
            WITH_THE_ACCOUNT
        ),
    );
}

/// Adds: the e-mail address belongs to the DID. Conflict: [`ConflictKey::EmailTaken`].
pub fn hold_email(txn: &mut Txn, email_key: &str, did: &Did, now: i64) {
    txn.expect(
        ConflictKey::EmailTaken,
        1,
        sql!("INSERT INTO emails (email_key, did, held_since) VALUES ($1, $2, $3)", email_key, did.as_str(), now),
    );
}

/// Adds: the names that the DID has are free again. What is held because it had it before stays so.
pub fn release_names(txn: &mut Txn, did: &Did) {
    txn.run(sql!("DELETE FROM handles WHERE did = $1 AND held_until IS NULL", did.as_str()));
    txn.run(sql!("DELETE FROM emails WHERE did = $1", did.as_str()));
}

/// Adds: there is an account with this DID. Conflict: [`ConflictKey::AccountMissing`].
pub fn assert_present(txn: &mut Txn, did: &Did) {
    txn.absent(
        ConflictKey::AccountMissing,
        sql!("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE did = $1)", did.as_str()),
    );
}

/// Adds: there is no account with this DID. Conflict: [`ConflictKey::AccountExists`].
pub fn assert_absent(txn: &mut Txn, did: &Did) {
    txn.absent(ConflictKey::AccountExists, sql!("SELECT 1 FROM accounts WHERE did = $1", did.as_str()));
}

/// Adds: the account takes part in the network. Conflict: [`ConflictKey::AccountInactive`].
pub fn assert_active(txn: &mut Txn, did: &Did) {
    txn.absent(
        ConflictKey::AccountInactive,
        sql!(
            "SELECT 1 FROM accounts WHERE did = $1 AND (deactivated_at IS NOT NULL OR takedown_ref IS NOT NULL)",
            did.as_str()
        ),
    );
}

/// Adds: the account takes no part in the network. Conflict: [`ConflictKey::AccountActive`].
pub fn assert_inactive(txn: &mut Txn, did: &Did) {
    txn.absent(
        ConflictKey::AccountActive,
        sql!("SELECT 1 FROM accounts WHERE did = $1 AND deactivated_at IS NULL AND takedown_ref IS NULL", did.as_str()),
    );
}

/// Adds: the account's password, its second factor and whether it is taken down are as they were read. Conflict:
/// [`ConflictKey::AccountChanged`].
pub fn assert_same_credentials(txn: &mut Txn, account: &Account) {
    txn.absent(
        ConflictKey::AccountChanged,
        sql!(
            "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE did = $1 AND COALESCE(password_hash, '') = $2 \
             AND COALESCE(takedown_ref, '') = $3 AND email_auth_factor = $4)",
            account.did.as_str(),
            account.password_hash.as_deref().unwrap_or_default(),
            account.takedown_ref.as_deref().unwrap_or_default(),
            account.email_auth_factor
        ),
    );
}

/// Adds: the account's password is as it was read. Conflict: [`ConflictKey::AccountChanged`].
pub fn assert_same_password(txn: &mut Txn, account: &Account) {
    txn.absent(
        ConflictKey::AccountChanged,
        sql!(
            "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE did = $1 AND COALESCE(password_hash, '') = $2)",
            account.did.as_str(),
            account.password_hash.as_deref().unwrap_or_default()
        ),
    );
}

/// Adds: the account that was read as `before` is taken down or deactivated, or not, from now on; one that is not
/// deactivated has no time to be removed at. Conflict: [`ConflictKey::AccountChanged`] when another changed this
/// meanwhile.
pub fn set_status(txn: &mut Txn, before: &Account, takedown_ref: Option<&str>, deactivated_at: Option<i64>) {
    txn.use_disk_reserve();
    txn.touch(Touched::Account(before.did.to_string()));
    txn.expect(
        ConflictKey::AccountChanged,
        1,
        sql!(
            "UPDATE accounts SET takedown_ref = $2, deactivated_at = $3, \
             delete_after = CASE WHEN $3 IS NULL THEN NULL ELSE delete_after END, \
             was_activated = CASE WHEN $3 IS NULL THEN 1 ELSE was_activated END \
             WHERE did = $1 AND COALESCE(takedown_ref, '') = $4 AND COALESCE(deactivated_at, -1) = $5",
            before.did.as_str(),
            takedown_ref,
            deactivated_at,
            before.takedown_ref.as_deref().unwrap_or_default(),
            before.deactivated_at.unwrap_or(-1),
        ),
    );
}

/// Adds: nobody signs in with a password, app passwords too, until the account has another; every sign-in ends.
/// Conflict: [`ConflictKey::AccountChanged`] when the account is not there.
pub fn clear_passwords(txn: &mut Txn, did: &Did) {
    txn.use_disk_reserve();
    txn.touch(Touched::Account(did.to_string()));
    txn.expect(
        ConflictKey::AccountChanged,
        1,
        sql!("UPDATE accounts SET password_hash = NULL WHERE did = $1", did.as_str()),
    );
    app_passwords::remove_all(txn, did);
    sessions::revoke_all(txn, did);
    email_codes::remove_all(txn, did);
    sign_ups::forget(txn, did);
}

/// Adds: the account gets invite codes, or gets none and its codes are closed; and why. Conflict:
/// [`ConflictKey::AccountChanged`] when it is not there.
pub fn set_invites(txn: &mut Txn, did: &Did, disabled: bool, note: Option<&str>) {
    txn.touch(Touched::Account(did.to_string()));
    txn.expect(
        ConflictKey::AccountChanged,
        1,
        sql!(
            "UPDATE accounts SET invites_disabled = $2, invite_note = $3 WHERE did = $1",
            did.as_str(),
            disabled,
            note
        ),
    );
}

/// Reads up to `limit` accounts whose address begins with `email_prefix`, in the form compared for uniqueness, in the
/// order of the addresses behind `after`; the address of each beside it.
pub async fn by_email_prefix(
    db: &dyn Database,
    email_prefix: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<(String, Account)>, ReadError> {
    // The highest character there is: behind every address with the prefix.
    let end = format!("{email_prefix}\u{10ffff}");
    let rows = db.read(sql!(
        concat!(
            "SELECT ",
            columns!(),
            ", emails.email_key FROM emails JOIN accounts ON accounts.did = emails.did \
             WHERE emails.email_key >= $1 AND emails.email_key < $2 AND emails.email_key > $3 \
             ORDER BY emails.email_key LIMIT $4"
        ),
        email_prefix,
        end,
        after,
        limit
    ));
    all(&rows.await?, |row| Ok((row.get(15)?, account(row)?)))
}

/// Adds the account. Conflict: [`ConflictKey::AccountExists`].
pub fn insert(txn: &mut Txn, account: &Account) {
    txn.expect(
        ConflictKey::AccountExists,
        1,
        sql!(
            "INSERT INTO accounts (did, handle, email, password_hash, created_at, email_confirmed_at, deactivated_at, \
             delete_after, takedown_ref, invite_code, email_auth_factor, invites_disabled, invite_note, \
             was_activated, is_queued, earlier_events_upto) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, \
             COALESCE((SELECT seq FROM event_counter WHERE id = 1), 0))",
            account.did.as_str(),
            account.handle.as_str(),
            account.email.as_deref(),
            account.password_hash.as_deref(),
            account.created_at,
            account.email_confirmed_at,
            account.deactivated_at,
            account.delete_after,
            account.takedown_ref.as_deref(),
            account.invite_code.as_deref(),
            account.email_auth_factor,
            account.invites_disabled,
            account.invite_note.as_deref(),
            account.was_activated,
            account.is_queued,
        ),
    );
}

/// Adds: the account's address, if it is still `email`, is confirmed. Conflict: [`ConflictKey::AccountChanged`].
pub fn confirm_email(txn: &mut Txn, did: &Did, email: &str, now: i64) {
    txn.touch(Touched::Account(did.to_string()));
    txn.expect(
        ConflictKey::AccountChanged,
        1,
        sql!("UPDATE accounts SET email_confirmed_at = $3 WHERE did = $1 AND email = $2", did.as_str(), email, now),
    );
}

/// Adds: the account has another address, not confirmed yet, in place of the one it was read with; codes and the second
/// factor that were for that one go. Conflicts: [`ConflictKey::AccountChanged`], [`ConflictKey::EmailTaken`].
pub fn set_email(txn: &mut Txn, account: &Account, email: &str, now: i64) {
    let did = &account.did;
    txn.touch(Touched::Account(did.to_string()));
    txn.run(sql!("DELETE FROM emails WHERE did = $1", did.as_str()));
    hold_email(txn, email, did, now);
    txn.expect(
        ConflictKey::AccountChanged,
        1,
        sql!(
            "UPDATE accounts SET email = $2, email_confirmed_at = NULL, email_auth_factor = 0 \
             WHERE did = $1 AND COALESCE(email, '') = $3",
            did.as_str(),
            email,
            account.email.as_deref().unwrap_or_default()
        ),
    );
    email_codes::remove_all(txn, did);
    sign_ups::forget(txn, did);
}

/// Adds: signing in with the password needs a mailed code too, or no longer does. Conflict:
/// [`ConflictKey::AccountChanged`] when the address is not confirmed (any more).
pub fn set_email_auth_factor(txn: &mut Txn, account: &Account, is_needed: bool) {
    txn.touch(Touched::Account(account.did.to_string()));
    txn.expect(
        ConflictKey::AccountChanged,
        1,
        sql!(
            "UPDATE accounts SET email_auth_factor = $3 \
             WHERE did = $1 AND COALESCE(email, '') = $2 AND (email_confirmed_at IS NOT NULL OR $3 = 0)",
            account.did.as_str(),
            account.email.as_deref().unwrap_or_default(),
            is_needed
        ),
    );
    sign_ups::forget(txn, &account.did);
}

/// Adds: the account has another password; every sign-in and mailed code ends. Conflict:
/// [`ConflictKey::AccountChanged`] when there is no such account.
pub fn set_password(txn: &mut Txn, did: &Did, password_hash: &str) {
    txn.use_disk_reserve();
    txn.touch(Touched::Account(did.to_string()));
    txn.expect(
        ConflictKey::AccountChanged,
        1,
        sql!("UPDATE accounts SET password_hash = $2 WHERE did = $1", did.as_str(), password_hash),
    );
    sessions::revoke_all(txn, did);
    email_codes::remove_all(txn, did);
    sign_ups::forget(txn, did);
}

/// Adds: the account takes part in the network, unless it is taken down. Conflict: [`ConflictKey::AccountChanged`].
pub fn activate(txn: &mut Txn, did: &Did) {
    txn.touch(Touched::Account(did.to_string()));
    txn.expect(
        ConflictKey::AccountChanged,
        1,
        sql!(
            "UPDATE accounts SET deactivated_at = NULL, delete_after = NULL, was_activated = 1 \
             WHERE did = $1 AND takedown_ref IS NULL",
            did.as_str()
        ),
    );
}

/// Adds: the account takes no part in the network since `now`, or since when it already did not, and is deleted after
/// `delete_after`. Conflict: [`ConflictKey::AccountChanged`].
pub fn deactivate(txn: &mut Txn, did: &Did, now: i64, delete_after: Option<i64>) {
    txn.use_disk_reserve();
    txn.touch(Touched::Account(did.to_string()));
    txn.expect(
        ConflictKey::AccountChanged,
        1,
        sql!(
            "UPDATE accounts SET deactivated_at = COALESCE(deactivated_at, $2), delete_after = $3 WHERE did = $1",
            did.as_str(),
            now,
            delete_after
        ),
    );
}

/// Adds: the account goes, with its names, sessions, app passwords, key, blobs, repository and records, but not the use
/// of an invite. Conflict: [`ConflictKey::AccountChanged`] when it is not there, or no longer due where `due_at` is
/// given; [`ConflictKey::AccountBeingAdmitted`].
pub fn remove(txn: &mut Txn, did: &Did, due_at: Option<i64>, now: i64) {
    txn.use_disk_reserve();
    txn.touch(Touched::Account(did.to_string()));
    let statement = match due_at {
        Some(due_at) => sql!(
            "DELETE FROM accounts WHERE did = $1 AND deactivated_at IS NOT NULL AND delete_after <= $2",
            did.as_str(),
            due_at
        ),
        None => sql!("DELETE FROM accounts WHERE did = $1", did.as_str()),
    };
    txn.expect(ConflictKey::AccountChanged, 1, statement);
    release_names(txn, did);
    sessions::revoke_all(txn, did);
    app_passwords::remove_all(txn, did);
    email_codes::remove_all(txn, did);
    mail::remove_of(txn, did);
    known_networks::forget(txn, did);
    preferences::remove_all(txn, did);
    sign_ups::forget(txn, did);
    sign_up_queue::forget(txn, did);
    identity_changes::forget(txn, did);
    phones::forget_account(txn, did);
    signing_keys::remove(txn, did);
    blobs::disown(txn, did);
    repos::remove(txn, did, now);
}
