//! Sign-ups under way: what makes createAccount survive a crash.

use allod_atproto::{Did, Handle};

use super::{first, parsed, readable};
use crate::{ConflictKey, Database, ReadError, Row, Txn, sql};

/// How far a sign-up has durably come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignUpState {
    /// Names, invite use, key and operation are held; nothing has been sent.
    Reserved,
    /// The operation may have reached the directory.
    Submitted,
    /// The account is active; whether the caller ever heard of it is not known.
    Active,
}

impl SignUpState {
    fn code(self) -> i64 {
        match self {
            Self::Reserved => 1,
            Self::Submitted => 2,
            Self::Active => 3,
        }
    }

    fn from_code(code: i64) -> Option<Self> {
        [Self::Reserved, Self::Submitted, Self::Active].into_iter().find(|state| state.code() == code)
    }
}

/// Where a sign-up's signing key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOrigin {
    /// It was made for this sign-up.
    New,
    /// It was reserved for no DID in particular.
    Reserved,
    /// It was reserved for this DID.
    ReservedForDid,
}

impl KeyOrigin {
    fn code(self) -> i64 {
        match self {
            Self::New => 0,
            Self::Reserved => 1,
            Self::ReservedForDid => 2,
        }
    }

    fn from_code(code: i64) -> Option<Self> {
        [Self::New, Self::Reserved, Self::ReservedForDid].into_iter().find(|origin| origin.code() == code)
    }
}

/// One sign-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignUp {
    /// The DID the account will have.
    pub did: Did,
    /// How far it has come.
    pub state: SignUpState,
    /// The process run that drives it; none once a reconciler took over.
    pub driver: Option<String>,
    /// The reserved handle.
    pub handle: Handle,
    /// The address as typed.
    pub email: Option<String>,
    /// The address as compared for uniqueness.
    pub email_key: Option<String>,
    /// The password's hash in PHC form.
    pub password_hash: Option<String>,
    /// The invite code whose use is held.
    pub invite_code: Option<String>,
    /// The exact signed operation, as the JSON that is sent.
    pub operation: String,
    /// Where the signing key comes from, and goes back to when the sign-up fails.
    pub key_origin: KeyOrigin,
    /// Whether the account starts deactivated (an existing DID that moves in).
    pub deactivated: bool,
    /// When it began, in microseconds since the Unix epoch.
    pub created_at: i64,
    /// Until when the reservation is kept when the directory has not heard of it.
    pub deadline: i64,
    /// When the reconciler looks at it next.
    pub next_try_at: i64,
    /// How often the reconciler has looked.
    pub tries: i64,
    /// What went wrong last, for the operator.
    pub last_error: Option<String>,
}

fn sign_up(row: &Row) -> Result<SignUp, ReadError> {
    Ok(SignUp {
        did: parsed("sign_ups.did", Did::parse(&row.get::<String>(0)?))?,
        state: SignUpState::from_code(row.get(1)?).ok_or(ReadError::Corrupt { what: "sign_ups.state" })?,
        driver: row.get(2)?,
        handle: parsed("sign_ups.handle", Handle::parse(&row.get::<String>(3)?))?,
        email: row.get(4)?,
        email_key: row.get(5)?,
        password_hash: row.get(6)?,
        invite_code: row.get(7)?,
        operation: row.get(8)?,
        key_origin: KeyOrigin::from_code(row.get(9)?).ok_or(ReadError::Corrupt { what: "sign_ups.key_origin" })?,
        deactivated: row.get(10)?,
        created_at: row.get(11)?,
        deadline: row.get(12)?,
        next_try_at: row.get(13)?,
        tries: row.get(14)?,
        last_error: row.get(15)?,
    })
}

/// Reads the sign-up for a handle.
pub async fn by_handle(db: &dyn Database, handle: &Handle) -> Result<Option<SignUp>, ReadError> {
    let rows = db.read(sql!(
        "SELECT did, state, driver, handle, email, email_key, password_hash, invite_code, operation, key_origin, \
         deactivated, created_at, deadline, next_try_at, tries, last_error FROM sign_ups WHERE handle = $1 \
         ORDER BY created_at DESC LIMIT 1",
        handle.as_str()
    ));
    first(&rows.await?, sign_up)
}

/// Reads the sign-up with this DID.
pub async fn by_did(db: &dyn Database, did: &Did) -> Result<Option<SignUp>, ReadError> {
    let rows = db.read(sql!(
        "SELECT did, state, driver, handle, email, email_key, password_hash, invite_code, operation, key_origin, \
         deactivated, created_at, deadline, next_try_at, tries, last_error FROM sign_ups WHERE did = $1",
        did.as_str()
    ));
    first(&rows.await?, sign_up)
}

/// Reads up to `limit` sign-ups whose next look is due.
pub async fn due(db: &dyn Database, now: i64, limit: i64) -> Result<Vec<SignUp>, ReadError> {
    let rows = db.read(sql!(
        "SELECT did, state, driver, handle, email, email_key, password_hash, invite_code, operation, key_origin, \
         deactivated, created_at, deadline, next_try_at, tries, last_error FROM sign_ups WHERE next_try_at <= $1 ORDER BY next_try_at LIMIT $2",
        now,
        limit
    ));
    Ok(readable(&rows.await?, sign_up))
}

/// Reads up to `limit` sign-ups, due or not, in the order of their DIDs; those after `after`.
pub async fn page(db: &dyn Database, after: Option<&Did>, limit: i64) -> Result<Vec<SignUp>, ReadError> {
    let rows = db.read(sql!(
        "SELECT did, state, driver, handle, email, email_key, password_hash, invite_code, operation, key_origin, \
         deactivated, created_at, deadline, next_try_at, tries, last_error FROM sign_ups WHERE did > $1 ORDER BY did LIMIT $2",
        after.map_or("", Did::as_str),
        limit
    ));
    Ok(readable(&rows.await?, sign_up))
}

/// Adds: no sign-up of this DID is under way. Conflict: [`ConflictKey::SignUpMoved`].
pub fn assert_absent(txn: &mut Txn, did: &Did) {
    txn.absent(ConflictKey::SignUpMoved, sql!("SELECT 1 FROM sign_ups WHERE did = $1", did.as_str()));
}

/// Adds a sign-up in the state `Reserved`. Conflict: [`ConflictKey::SignUpMoved`] when its DID or handle has one
/// already.
pub fn insert(txn: &mut Txn, sign_up: &SignUp) {
    txn.expect(
        ConflictKey::SignUpMoved,
        1,
        sql!(
            "INSERT INTO sign_ups (did, state, driver, handle, email, email_key, password_hash, invite_code, operation, \
             key_origin, deactivated, created_at, deadline, next_try_at, tries, last_error) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
            sign_up.did.as_str(),
            sign_up.state.code(),
            sign_up.driver.as_deref(),
            sign_up.handle.as_str(),
            sign_up.email.as_deref(),
            sign_up.email_key.as_deref(),
            sign_up.password_hash.as_deref(),
            sign_up.invite_code.as_deref(),
            sign_up.operation.as_str(),
            sign_up.key_origin.code(),
            sign_up.deactivated,
            sign_up.created_at,
            sign_up.deadline,
            sign_up.next_try_at,
            sign_up.tries,
            sign_up.last_error.as_deref(),
        ),
    );
}

/// Adds: from now on the operation may be out; the account will have this password.
/// Conflict: [`ConflictKey::SignUpMoved`] when it was released meanwhile.
pub fn mark_submitted(txn: &mut Txn, did: &Did, password_hash: &str) {
    txn.expect(
        ConflictKey::SignUpMoved,
        1,
        sql!(
            "UPDATE sign_ups SET state = 2, password_hash = $2 WHERE did = $1 AND state = 1",
            did.as_str(),
            password_hash
        ),
    );
}

/// Adds: the account is active; the row stays until `forget_at` for a caller who never got the answer.
/// Conflict: [`ConflictKey::SignUpMoved`] when somebody else was first.
pub fn mark_active(txn: &mut Txn, did: &Did, driver: Option<&str>, forget_at: i64) {
    txn.expect(
        ConflictKey::SignUpMoved,
        1,
        sql!(
            "UPDATE sign_ups SET state = 3, driver = $2, next_try_at = $3, last_error = NULL \
             WHERE did = $1 AND state = 2",
            did.as_str(),
            driver,
            forget_at
        ),
    );
}

/// Adds: the reconciler looks again at `next_try_at`. Touches nothing when the row moved on.
pub fn postpone(txn: &mut Txn, did: &Did, next_try_at: i64, error: &str) {
    txn.run(sql!(
        "UPDATE sign_ups SET next_try_at = $2, tries = tries + 1, last_error = $3 WHERE did = $1 AND state IN (1, 2)",
        did.as_str(),
        next_try_at,
        error
    ));
}

/// Adds: the row in this state goes. Conflict: [`ConflictKey::SignUpMoved`] when it is not there in that state.
pub fn remove(txn: &mut Txn, did: &Did, state: SignUpState) {
    txn.expect(
        ConflictKey::SignUpMoved,
        1,
        sql!("DELETE FROM sign_ups WHERE did = $1 AND state = $2", did.as_str(), state.code()),
    );
}

/// Adds: what a finished sign-up of an account has left goes.
pub fn forget(txn: &mut Txn, did: &Did) {
    txn.run(sql!("DELETE FROM sign_ups WHERE did = $1", did.as_str()));
}
