//! Changes of an account's identity: durable before the directory hears of them, made here once it has taken them.
//!
//! What a change holds (a handle, a new key) and the exact operation are written first. Then the operation is sent.
//! What the directory took is made true here and told to the network in one transaction; what it refused is given up.
//! When its answer is not known, the change stays, and is brought to its end by [`reconcile`] or by the account's next
//! change.

use std::{collections::HashSet, sync::Arc};

use allod_atproto::{
    Datetime, Did, Handle,
    crypto::SigningKey,
    frame::{self, EncodedFrame},
    plc::Operation,
};
use allod_base::clock::{self, MICROS_PER_SEC};
use allod_plc::client::{ReadError as DirectoryError, SubmitError};
use allod_store::{
    CommitError, EventKind, NewEvent, ReadError, Txn,
    tables::{
        accounts::{self, Account},
        identity_changes::{self, CHANGE_MOVED, IdentityChange},
        signing_keys::{self, WrappedKey},
    },
};
use parking_lot::Mutex;

use super::published::{Misfit, PublishedError};
use crate::{
    app::App,
    domain::{
        account_status::was_ever_active,
        handles, integrity,
        keys::Purpose,
        repos::{self, AnnounceError},
        reserved_keys::FindKeyError,
    },
};

/// For how long a change is tried that the directory does not have, in seconds.
pub const CHANGE_SECS_MAX: u64 = 10 * 60;
/// How soon the reconciler looks at a change whose driver is gone, in seconds.
const FIRST_LOOK_SECS: u64 = 30;
/// The longest pause before a change is looked at again, in seconds.
const RETRY_PAUSE_SECS_MAX: u64 = 60;
/// How many changes one pass looks at.
const LOOKS_PER_PASS_MAX: i64 = 200;

/// Why an identity was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such account.
    #[error("Account not found")]
    NotFound,
    /// The handle belongs to somebody else.
    #[error("Handle already taken: {0}")]
    HandleTaken(Handle),
    /// The identity was ended.
    #[error("Did is tombstoned")]
    Tombstoned,
    /// The DID can't be changed by us, for it does not name our key.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// It is not known what the DID says.
    #[error(transparent)]
    Published(#[from] PublishedError),
    /// The operation would break a rule of did:plc.
    #[error("Invalid operation: {0}")]
    Operation(String),
    /// The signing key asked for is none whose private half is here.
    #[error("The signing key was not reserved here; com.atproto.server.reserveSigningKey gives one")]
    NotReserved,
    /// The directory took the operation as wrong. Nothing has changed.
    #[error("The DID directory refused the operation: {0}")]
    Refused(String),
    /// The directory was not reached. Nothing has changed.
    #[error("The DID directory could not be reached; nothing was changed")]
    Unreachable,
    /// What becomes of the change is decided within minutes.
    #[error("The DID directory has not answered yet; the change is finished or given up within minutes")]
    Pending,
    /// Likewise: what the directory says of this DID can't be read.
    #[error("The DID directory's log of this DID can't be read; the change is finished when it can")]
    LogUnreadable,
    /// The account waits to be let in; its identity is not public yet.
    #[error("The account waits in the sign-up queue; its identity can be changed when it has been let in")]
    Waits,
    /// Another change of the same identity is being made.
    #[error("Another change of this identity is under way; try again")]
    UnderWay,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The change could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The repository could not be signed anew.
    #[error(transparent)]
    Announce(#[from] AnnounceError),
    /// A fault of ours.
    #[error("{0}")]
    Internal(String),
}

impl From<FindKeyError> for ChangeError {
    fn from(error: FindKeyError) -> Self {
        match error {
            FindKeyError::Read(error) => error.into(),
            FindKeyError::Key(error) => Self::Internal(error.to_string()),
        }
    }
}

/// The identities that this process is changing.
#[derive(Debug, Default)]
pub struct Changes {
    changing: Mutex<HashSet<Did>>,
}

/// The right to change one identity, until it is dropped.
pub struct Turn {
    app: Arc<App>,
    did: Did,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.app.identity_changes.changing.lock().remove(&self.did);
    }
}

impl Turn {
    /// Begins a change of a DID that may have no account any more, or none of the directory's.
    pub(in crate::domain) fn take(app: &Arc<App>, did: &Did) -> Result<Self, ChangeError> {
        if !app.identity_changes.changing.lock().insert(did.clone()) {
            return Err(ChangeError::UnderWay);
        }
        Ok(Self { app: Arc::clone(app), did: did.clone() })
    }

    /// Begins a change, after bringing an earlier one to its end. Gives the account as it is then.
    pub async fn begin(app: &Arc<App>, did: &Did) -> Result<(Self, Account), ChangeError> {
        let turn = Self::take(app, did)?;
        if let Some(earlier) = identity_changes::by_did(&*app.db, did).await? {
            settle(app, &earlier).await?;
        }
        let account = accounts::by_did(&*app.db, did).await?.ok_or(ChangeError::NotFound)?;
        if app.accounts.waits(&account).await? {
            return Err(ChangeError::Waits);
        }
        Ok((turn, account))
    }

    /// Makes a change that needs an operation of the directory.
    pub async fn submit(&self, account: &Account, change: Planned) -> Result<(), ChangeError> {
        let app = &self.app;
        let row = hold(app, account, change).await?;
        let operation = stored_operation(app, &row)?;
        match app.plc.submit(&row.did, &operation).await {
            Ok(()) => finish(app, &row, &operation).await,
            Err(SubmitError::Refused { message, .. }) => {
                release(app, &row).await?;
                Err(ChangeError::Refused(message))
            }
            Err(SubmitError::Unreachable { reason }) => {
                tracing::warn!(did = %row.did, reason, "the directory was not reached");
                release(app, &row).await?;
                Err(ChangeError::Unreachable)
            }
            Err(SubmitError::Unknown { reason }) => {
                tracing::warn!(did = %row.did, reason, "the directory's answer to a change is not known yet");
                if is_accepted(app, &row.did, &operation).await? {
                    finish(app, &row, &operation).await
                } else {
                    Err(ChangeError::Pending)
                }
            }
        }
    }

    /// Gives the account a handle that its DID claims already, and tells the network.
    pub async fn adopt_handle(&self, account: &Account, handle: &Handle) -> Result<(), ChangeError> {
        let now = self.app.clock.now_micros();
        let mut txn = Txn::new();
        if *handle != account.handle {
            accounts::hold_handle(&mut txn, handle, &account.did, clock::to_store(now));
        }
        set_handle(&self.app, &mut txn, account, handle, now);
        commit(&self.app, txn, handle).await
    }
}

/// What is to be changed.
pub struct Planned {
    /// The signed operation that says so.
    pub operation: Operation,
    /// The account's new handle.
    pub handle: Option<Handle>,
    /// What signs the account's repository from then on.
    pub key: Option<NewKey>,
}

/// A signing key for an account.
pub struct NewKey {
    /// The key.
    pub signing: SigningKey,
    /// Whether it was reserved, which is used up.
    pub is_reserved: bool,
}

/// Writes down what will be sent, and holds what it needs.
async fn hold(app: &App, account: &Account, change: Planned) -> Result<IdentityChange, ChangeError> {
    let now = app.clock.now_micros();
    let handle = change.handle.filter(|handle| *handle != account.handle);
    let held_before = match &handle {
        Some(handle) => accounts::handle_hold(&*app.db, handle).await?,
        None => None,
    };
    let mut txn = Txn::new();
    if let Some(key) = change.key.as_ref().filter(|key| key.is_reserved) {
        signing_keys::consume_reserved(&mut txn, &key.signing.did_key());
    }
    let row = IdentityChange {
        did: account.did.clone(),
        operation: change.operation.to_json().to_string(),
        handle_held_until: held_before.filter(|(did, _)| *did == account.did.as_str()).and_then(|(_, until)| until),
        handle,
        key: change.key.map(|key| WrappedKey {
            did_key: key.signing.did_key(),
            wrapped: app.keyring.wrap(&key.signing, Purpose::Signing(&account.did), &*app.randomness),
        }),
        created_at: clock::to_store(now),
        deadline: clock::to_store(now + CHANGE_SECS_MAX * MICROS_PER_SEC),
        next_try_at: clock::to_store(now + FIRST_LOOK_SECS * MICROS_PER_SEC),
        tries: 0,
        last_error: None,
    };
    accounts::assert_present(&mut txn, &account.did);
    if let Some(handle) = &row.handle {
        accounts::hold_handle(&mut txn, handle, &row.did, clock::to_store(now));
    }
    identity_changes::insert(&mut txn, &row);
    commit(app, txn, row.handle.as_ref().unwrap_or(&account.handle)).await?;
    Ok(row)
}

/// Makes a change true here whose operation the directory has.
async fn finish(app: &Arc<App>, row: &IdentityChange, operation: &Operation) -> Result<(), ChangeError> {
    let account = accounts::by_did(&*app.db, &row.did).await?.ok_or(ChangeError::NotFound)?;
    let now = app.clock.now_micros();
    if let Some(key) = &row.key {
        return swap_key(app, row, key.clone(), operation).await;
    }
    let mut txn = Txn::new();
    identity_changes::remove(&mut txn, row);
    let handle = row.handle.as_ref().unwrap_or(&account.handle);
    set_handle(app, &mut txn, &account, handle, now);
    if let Some(data) = operation.data() {
        app.resolver.cache_document(row.did.clone(), Arc::new(data.document(&row.did)));
    }
    commit(app, txn, handle).await
}

/// Signs with the new key from now on, beginning with a commit that changes nothing.
async fn swap_key(
    app: &Arc<App>,
    row: &IdentityChange,
    key: WrappedKey,
    operation: &Operation,
) -> Result<(), ChangeError> {
    let signing = app.keyring.unwrap(&key.wrapped, Purpose::Signing(&row.did));
    let signing = signing.map_err(|error| ChangeError::Internal(error.to_string()))?;
    let (change, now) = (row.clone(), clock::to_store(app.clock.now_micros()));
    let swapped = repos::resign(app, &row.did, signing, move |txn| {
        identity_changes::remove(txn, &change);
        signing_keys::replace(txn, &change.did, &key, now);
    });
    swapped.await?;
    if let Some(data) = operation.data() {
        app.resolver.cache_document(row.did.clone(), Arc::new(data.document(&row.did)));
    }
    Ok(())
}

/// Adds: the account has this handle, its former one is held for it, and the network is told to look at the identity.
fn set_handle(app: &App, txn: &mut Txn, account: &Account, handle: &Handle, now_micros: u64) {
    if *handle != account.handle {
        let is_ours = app.handles.is_under_service_domain(&account.handle);
        let until = if handles::is_host_of(&account.handle, &account.did) {
            Some(accounts::WITH_THE_ACCOUNT)
        } else {
            app.handles.held_until(now_micros)
        };
        accounts::set_handle(txn, &account.did, &account.handle, handle, until.filter(|_| is_ours));
    }
    // Nobody has heard yet of an account that moves in.
    if was_ever_active(account) {
        txn.event(identity_event(&account.did, handle, now_micros));
    }
}

/// The event that makes others look at an identity anew.
pub(in crate::domain) fn identity_event(did: &Did, handle: &Handle, now_micros: u64) -> NewEvent {
    let time = Datetime::from_unix_micros(now_micros);
    let identity = frame::Identity { did: did.clone(), handle: Some(handle.clone()), time };
    let EncodedFrame { before, after } = frame::identity(&identity);
    let time_micros = clock::to_store(now_micros);
    NewEvent { did: did.to_string(), kind: EventKind::Identity, time_micros, before, after }
}

/// Gives a change up whose operation the directory does not have.
async fn release(app: &App, row: &IdentityChange) -> Result<(), ChangeError> {
    let mut txn = Txn::new();
    identity_changes::remove(&mut txn, row);
    if let Some(handle) = &row.handle {
        accounts::unhold_handle(&mut txn, handle, &row.did, row.handle_held_until);
    }
    app.db.commit(txn).await?;
    Ok(())
}

async fn commit(app: &App, txn: Txn, handle: &Handle) -> Result<(), ChangeError> {
    match app.db.commit(txn).await {
        Ok(_) => Ok(()),
        Err(CommitError::Conflict { which }) => Err(match which {
            accounts::HANDLE_TAKEN => ChangeError::HandleTaken(handle.clone()),
            accounts::ACCOUNT_MISSING => ChangeError::NotFound,
            signing_keys::RESERVED_KEY_MOVED => ChangeError::NotReserved,
            CHANGE_MOVED | accounts::ACCOUNT_CHANGED => ChangeError::UnderWay,
            which => CommitError::Conflict { which }.into(),
        }),
        Err(error) => Err(error.into()),
    }
}

fn stored_operation(app: &App, row: &IdentityChange) -> Result<Operation, ChangeError> {
    Operation::parse_text(&row.operation).map_err(|_| {
        app.integrity.report(&integrity::repository(&row.did), "the stored change of its identity can't be read");
        ChangeError::Read(ReadError::Corrupt { what: "identity_changes.operation" })
    })
}

/// Asks the directory whether it has an operation.
async fn is_accepted(app: &App, did: &Did, operation: &Operation) -> Result<bool, ChangeError> {
    let wanted = operation.cid();
    match app.plc.audit_log(did).await {
        Ok(log) => Ok(log.iter().flatten().any(|entry| entry.cid == wanted && !entry.nullified)),
        Err(error) => {
            tracing::warn!(%did, %error, "the directory could not be asked about a change");
            Err(match error {
                DirectoryError::Unavailable { .. } => ChangeError::Pending,
                DirectoryError::Refused { .. } | DirectoryError::Invalid { .. } => ChangeError::LogUnreadable,
            })
        }
    }
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    Finished,
    Released,
}

/// Brings a change to its end whose driver is gone, or tells that it still waits for the directory.
async fn settle(app: &Arc<App>, row: &IdentityChange) -> Result<Settled, ChangeError> {
    let operation = stored_operation(app, row)?;
    let mut has_it = is_accepted(app, &row.did, &operation).await?;
    if !has_it && row.deadline > clock::to_store(app.clock.now_micros()) {
        match app.plc.submit(&row.did, &operation).await {
            Ok(()) => has_it = true,
            // A directory that refuses what it already has, has it.
            Err(SubmitError::Refused { .. }) => has_it = is_accepted(app, &row.did, &operation).await?,
            Err(SubmitError::Unreachable { .. } | SubmitError::Unknown { .. }) => return Err(ChangeError::Pending),
        }
    }
    if has_it {
        finish(app, row, &operation).await?;
        Ok(Settled::Finished)
    } else {
        release(app, row).await?;
        Ok(Settled::Released)
    }
}

/// What a pass did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reconciled {
    /// Changes that were made.
    pub finished: usize,
    /// Changes that were given up.
    pub released: usize,
    /// Changes that wait for the directory.
    pub waiting: usize,
    /// Whether the directory did not answer: the rest was left alone.
    pub is_outage: bool,
}

/// Looks at all that earlier runs of the process left, due or not; to be called once at start.
pub async fn recover(app: &Arc<App>) -> Result<Reconciled, ChangeError> {
    let mut reconciled = Reconciled::default();
    let mut after = None;
    while !reconciled.is_outage {
        let rows = identity_changes::page(&*app.db, after.as_ref(), LOOKS_PER_PASS_MAX).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.did.clone());
        reconcile(app, rows, &mut reconciled).await?;
    }
    Ok(reconciled)
}

/// Looks at every change whose time has come, and frees handles that were held long enough.
pub async fn pass(app: &Arc<App>) -> Result<Reconciled, ChangeError> {
    let now = clock::to_store(app.clock.now_micros());
    let rows = identity_changes::due(&*app.db, now, LOOKS_PER_PASS_MAX).await?;
    let mut reconciled = Reconciled::default();
    reconcile(app, rows, &mut reconciled).await?;
    if accounts::is_any_hold_over(&*app.db, now).await? {
        let mut txn = Txn::new();
        accounts::free_held_handles(&mut txn, now);
        app.db.commit(txn).await?;
    }
    Ok(reconciled)
}

async fn reconcile(app: &Arc<App>, rows: Vec<IdentityChange>, reconciled: &mut Reconciled) -> Result<(), ChangeError> {
    for row in rows {
        let Ok(_turn) = Turn::take(app, &row.did) else { continue };
        match settle(app, &row).await {
            Ok(Settled::Finished) => reconciled.finished += 1,
            Ok(Settled::Released) => reconciled.released += 1,
            // Moved on meanwhile by the account's next change.
            Err(ChangeError::UnderWay | ChangeError::Commit(CommitError::Conflict { which: CHANGE_MOVED })) => {}
            Err(error) => {
                reconciled.waiting += 1;
                postpone(app, &row, &error).await?;
                // A directory that did not answer for one does not answer for the next one either.
                if matches!(error, ChangeError::Pending) {
                    reconciled.is_outage = true;
                    break;
                }
            }
        }
    }
    Ok(())
}

async fn postpone(app: &App, row: &IdentityChange, error: &ChangeError) -> Result<(), ChangeError> {
    let tries = u32::try_from(row.tries).unwrap_or(u32::MAX).min(10);
    let pause_secs = (1_u64 << tries).min(RETRY_PAUSE_SECS_MAX);
    let again = clock::to_store(app.clock.now_micros() + pause_secs * MICROS_PER_SEC);
    if matches!(error, ChangeError::Pending) {
        tracing::info!(did = %row.did, pause_secs, "an identity change waits for the directory");
    } else {
        tracing::warn!(did = %row.did, %error, pause_secs, "an identity change could not be finished; it is tried again");
    }
    let mut txn = Txn::new();
    identity_changes::postpone(&mut txn, &row.did, again, &error.to_string());
    app.db.commit(txn).await?;
    Ok(())
}
