//! The state machine: reserve, submit, then only forward; or release and leave nothing.

use allod_atproto::{Did, plc::Operation};
use allod_base::{
    clock::{self, MICROS_PER_SEC},
    randomness,
};
use allod_store::{
    CommitError, ConflictKey, Txn,
    tables::{
        accounts::{self, Account},
        did_web, invites, phones,
        sign_ups::{self, KeyOrigin, SignUp, SignUpState},
        signing_keys::{self, WrappedKey},
        used_tokens,
    },
};

use super::{
    Driver, MOVE_IN_SECS, RESERVATION_SECS, SignUpError, SignedUp, UNCLAIMED_SECS, Waiter,
    admission::Applicant,
    failpoint::{Failpoint, pass},
    hosted::USED_BEFORE,
    operation::{AccountKey, AtOnce, Identity, Submission},
    queue,
};
use crate::{
    app::App,
    domain::{
        captcha::CaptchaError,
        identity_lookup::hosted::host_of,
        keys::Purpose,
        phone::{PhoneError, Verified},
        plc_operations::{self, Attempt, Outcome},
        repos::genesis,
        sessions::{self, OpenError, Proof, TokenPair},
    },
};

/// How soon the reconciler looks at a sign-up whose driver is gone, in seconds.
const FIRST_LOOK_SECS: u64 = 30;

/// Makes the account of an applicant.
pub(super) async fn carry_out(app: &App, applicant: Applicant) -> Result<SignedUp, SignUpError> {
    pass(app, Failpoint::Admitted).await?;
    match &applicant.identity {
        Identity::MovesIn(_) | Identity::Hosted(_) => at_once(app, applicant).await,
        Identity::Submits(_) if applicant.waits => at_once(app, applicant).await,
        Identity::Submits(_) => create(app, applicant).await,
    }
}

async fn create(app: &App, applicant: Applicant) -> Result<SignedUp, SignUpError> {
    let Applicant { identity, password, .. } = &applicant;
    let by = applicant.waiter.requester(applicant.handle.as_str());
    let Identity::Submits(submission) = identity else {
        return Err(SignUpError::Internal("nothing to submit".to_owned()));
    };
    let did = &submission.did;
    let driving = app.sign_ups.drive(did, Driver::Request).ok_or(SignUpError::Pending)?;
    let row = reserve(app, &applicant, submission).await?;

    let submitted = async {
        pass(app, Failpoint::Reserved).await?;
        let hash = app.passwords.hash(by, password.clone(), randomness::bytes(&*app.randomness)).await?;
        pass(app, Failpoint::Hashed).await?;
        mark_submitted(app, did, &hash).await?;
        Ok::<_, SignUpError>(hash)
    };
    let password_hash = match submitted.await {
        Ok(password_hash) => password_hash,
        Err(error) => return Err(give_up(app, &row, error).await),
    };
    let row = SignUp { state: SignUpState::Submitted, password_hash: Some(password_hash), ..row };
    let (account, tokens) =
        submit_and_finish(app, &row, &submission.operation, Attempt::First, applicant.waiter).await?;
    drop(driving);
    Ok(SignedUp { account, tokens, did_document: Some(submission.document.clone()) })
}

/// Sends the operation, and finishes or undoes according to the answer.
pub(super) async fn submit_and_finish(
    app: &App,
    row: &SignUp,
    operation: &Operation,
    attempt: Attempt,
    waiter: Waiter,
) -> Result<(Account, Option<TokenPair>), SignUpError> {
    pass(app, Failpoint::Submitting).await?;
    let sent = plc_operations::send(&app.plc, &row.did, operation, attempt).await;
    pass(app, Failpoint::Answered).await?;
    let error = match sent {
        Ok(Outcome::Accepted) => None,
        Ok(Outcome::Rejected(message)) => Some(SignUpError::DirectoryRefused(message)),
        Ok(Outcome::NotSent(_)) => Some(SignUpError::DirectoryUnreachable),
        Err(undecided) => return Err(pending(&row.did, &undecided.to_string())),
    };
    if let Some(error) = error {
        release(app, row).await?;
        return Err(error);
    }
    let (account, tokens) = finish(app, row, waiter).await?;
    pass(app, Failpoint::Activated).await?;
    Ok((account, tokens))
}

pub(super) fn pending(did: &Did, reason: &str) -> SignUpError {
    tracing::warn!(%did, reason, "the directory's answer to a sign-up is not known yet");
    SignUpError::Pending
}

async fn reserve(app: &App, applicant: &Applicant, submission: &Submission) -> Result<SignUp, SignUpError> {
    let now = app.clock.now_micros();
    let stored_now = clock::to_store(now);
    let row = SignUp {
        did: submission.did.clone(),
        state: SignUpState::Reserved,
        driver: Some(app.sign_ups.run_id.clone()),
        handle: applicant.handle.clone(),
        email: applicant.email.as_ref().map(|email| email.as_str().to_owned()),
        email_key: applicant.email.as_ref().map(|email| email.as_str().to_owned()),
        password_hash: None,
        invite_code: applicant.invite_code.clone(),
        operation: submission.operation.to_json().to_string(),
        key_origin: submission.key.origin,
        deactivated: submission.is_update,
        created_at: stored_now,
        deadline: clock::to_store(now + RESERVATION_SECS * MICROS_PER_SEC),
        next_try_at: clock::to_store(now + FIRST_LOOK_SECS * MICROS_PER_SEC),
        tries: 0,
        last_error: None,
    };
    let mut txn = Txn::new();
    hold(app, &mut txn, applicant, &row.did, &submission.key, stored_now);
    sign_ups::insert(&mut txn, &row);
    commit(app, txn, applicant, &row.did).await?;
    Ok(row)
}

/// Adds everything that a sign-up holds: names, invite use, key, token.
fn hold(app: &App, txn: &mut Txn, applicant: &Applicant, did: &Did, key: &AccountKey, now: i64) {
    accounts::assert_absent(txn, did);
    sign_ups::assert_absent(txn, did);
    accounts::hold_handle(txn, &applicant.handle, did, now);
    if let Some(email) = &applicant.email {
        accounts::hold_email(txn, email.as_str(), did, now);
    }
    if let Some(code) = &applicant.invite_code {
        invites::take_use(txn, code, did, now);
    }
    if let Some(phone) = &applicant.phone {
        phone.use_up(txn, did, now);
    }
    if let Some(captcha) = &applicant.captcha {
        captcha.use_up(txn);
    }
    if let Some(token) = &applicant.token {
        let ends = clock::to_store(token.expires_at_secs.saturating_mul(MICROS_PER_SEC));
        used_tokens::use_up(txn, &token.token_hash, ends);
    }
    let did_key = key.signing.did_key();
    if key.origin != KeyOrigin::New {
        signing_keys::consume_reserved(txn, &did_key);
    }
    let wrapped = app.keyring.wrap(&key.signing, Purpose::Signing(did), &*app.randomness);
    signing_keys::insert(txn, did, &WrappedKey { did_key, wrapped }, now);
}

async fn commit(app: &App, txn: Txn, applicant: &Applicant, did: &Did) -> Result<(), SignUpError> {
    let Err(error) = app.db.commit(txn).await else { return Ok(()) };
    Err(match error {
        CommitError::Conflict(ConflictKey::HandleTaken) => SignUpError::HandleTaken(applicant.handle.clone()),
        CommitError::Conflict(ConflictKey::EmailTaken) => {
            SignUpError::EmailTaken(applicant.email.as_ref().map(|e| e.as_typed().to_owned()).unwrap_or_default())
        }
        CommitError::Conflict(ConflictKey::InviteUnusable) => SignUpError::InviteUnusable,
        CommitError::Conflict(ConflictKey::TokenUsed) if applicant.token.is_none() => CaptchaError::Unsolved.into(),
        CommitError::Conflict(ConflictKey::TokenUsed) => SignUpError::AuthReplayed,
        CommitError::Conflict(ConflictKey::PhoneCodeUsed) => PhoneError::Code.into(),
        CommitError::Conflict(ConflictKey::PhoneNumberSpent) => {
            applicant.phone.as_ref().map_or(PhoneError::Code, Verified::spent).into()
        }
        CommitError::Conflict(ConflictKey::AccountExists | ConflictKey::SignUpMoved | ConflictKey::HeadMoved) => {
            account_exists(applicant)
        }
        CommitError::Conflict(ConflictKey::DidWebUsed) => SignUpError::IncompatibleDidDoc(USED_BEFORE.to_owned()),
        CommitError::Conflict(ConflictKey::ReservedKeyMoved) => {
            SignUpError::IncompatibleDidDoc("the reserved signing key was used for another account".to_owned())
        }
        CommitError::Conflict(key) => SignUpError::Internal(format!("unexpected conflict {key} for {did}")),
        error @ (CommitError::Unavailable { .. } | CommitError::Unknown { .. } | CommitError::Refused { .. }) => {
            error.into()
        }
    })
}

async fn mark_submitted(app: &App, did: &Did, password_hash: &str) -> Result<(), SignUpError> {
    let mut txn = Txn::new();
    sign_ups::mark_submitted(&mut txn, did, password_hash);
    app.db.commit(txn).await?;
    Ok(())
}

/// Releases what was reserved after a failure before anything was sent; gives the failure back.
async fn give_up(app: &App, row: &SignUp, error: SignUpError) -> SignUpError {
    if let Err(release_error) = release(app, row).await {
        // The reconciler releases it later.
        tracing::warn!(did = %row.did, error = %release_error, "a failed sign-up could not be released yet");
    }
    error
}

/// Frees everything a sign-up holds. The directory must not have its operation.
pub(super) async fn release(app: &App, row: &SignUp) -> Result<(), SignUpError> {
    pass(app, Failpoint::Releasing).await?;
    let now = app.clock.now_micros();
    let mut txn = Txn::new();
    sign_ups::remove(&mut txn, &row.did, row.state);
    accounts::release_names(&mut txn, &row.did);
    if let Some(code) = &row.invite_code {
        invites::give_back_use(&mut txn, code, &row.did);
    }
    phones::give_back(&mut txn, &row.did);
    if row.key_origin != KeyOrigin::New
        && let Some(key) = signing_keys::by_did(&*app.db, &row.did).await?
    {
        let signing = app.keyring.unwrap(&key.wrapped, Purpose::Signing(&row.did))?;
        let wrapped = app.keyring.wrap(&signing, Purpose::Reserved(&key.did_key), &*app.randomness);
        let expires_at = clock::to_store(now + crate::domain::reserved_keys::RESERVED_KEY_SECS * MICROS_PER_SEC);
        let key = WrappedKey { did_key: key.did_key, wrapped };
        let owner = (row.key_origin == KeyOrigin::ReservedForDid).then_some(&row.did);
        signing_keys::give_back_reserved(&mut txn, owner, &key, clock::to_store(now), expires_at);
    }
    signing_keys::remove(&mut txn, &row.did);
    app.db.commit(txn).await?;
    Ok(())
}

/// Creates the account of a sign-up whose operation the directory has: account, repository, events and session at once.
pub(super) async fn finish(
    app: &App,
    row: &SignUp,
    waiter: Waiter,
) -> Result<(Account, Option<TokenPair>), SignUpError> {
    pass(app, Failpoint::Activating).await?;
    let now = app.clock.now_micros();
    let key = signing_keys::by_did(&*app.db, &row.did).await?;
    let key = key.ok_or_else(|| SignUpError::Internal(format!("{} has no signing key", row.did)))?;
    let signing = app.keyring.unwrap(&key.wrapped, Purpose::Signing(&row.did))?;
    let account = account(row, now);

    let mut txn = Txn::new();
    let driver = (waiter != Waiter::Nobody).then_some(app.sign_ups.run_id.as_str());
    sign_ups::mark_active(&mut txn, &row.did, driver, clock::to_store(now + UNCLAIMED_SECS * MICROS_PER_SEC));
    let tokens = first_session(app, &mut txn, &account, waiter, false).await?;
    accounts::insert(&mut txn, &account);
    genesis::add(app, &mut txn, &account, &signing, now).map_err(|e| SignUpError::Internal(e.to_string()))?;
    match app.db.commit(txn).await {
        Ok(_) => Ok((account, tokens)),
        Err(CommitError::Conflict(ConflictKey::SignUpMoved)) => Err(pending(&row.did, "somebody else is finishing it")),
        // Nobody else can have made the account of a reserved DID: waiting would not end.
        Err(CommitError::Conflict(key)) => {
            tracing::error!(did = %row.did, which = key.name(), "a sign-up that the directory accepted conflicts with what is stored");
            Err(SignUpError::Internal(format!("the sign-up of {} conflicts: {key}", row.did)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Adds the first session of an account that the transaction creates after this, if somebody waits for one.
async fn first_session(
    app: &App,
    txn: &mut Txn,
    account: &Account,
    waiter: Waiter,
    waits: bool,
) -> Result<Option<TokenPair>, SignUpError> {
    let Waiter::Client(address) = waiter else { return Ok(None) };
    match sessions::open(app, txn, account, Proof::SignUp { waits }, address).await {
        Ok(tokens) => Ok(Some(tokens)),
        Err(OpenError::Read(error)) => Err(error.into()),
        Err(error) => Err(SignUpError::Internal(error.to_string())),
    }
}

fn account(row: &SignUp, now: u64) -> Account {
    Account {
        email: row.email_key.clone(),
        password_hash: row.password_hash.clone(),
        deactivated_at: row.deactivated.then_some(clock::to_store(now)),
        was_activated: !row.deactivated,
        delete_after: row.deactivated.then_some(clock::to_store(now + MOVE_IN_SECS * MICROS_PER_SEC)),
        invite_code: row.invite_code.clone(),
        ..Account::new(row.did.clone(), row.handle.clone(), clock::to_store(now))
    }
}

/// Nothing is sent, so one transaction does it all: a DID that exists moves in, one that is kept here is made, or an
/// account waits to be let in.
async fn at_once(app: &App, applicant: Applicant) -> Result<SignedUp, SignUpError> {
    let (did, key, document, operation) = match &applicant.identity {
        Identity::MovesIn(AtOnce { did, key, document }) | Identity::Hosted(AtOnce { did, key, document }) => {
            (did, key, document, None)
        }
        Identity::Submits(Submission { did, key, document, operation, .. }) => (did, key, document, Some(operation)),
    };
    accounts_absent(app, &applicant, did).await?;
    let by = applicant.waiter.requester(applicant.handle.as_str());
    let salt = randomness::bytes(&*app.randomness);
    let password_hash = app.passwords.hash(by, applicant.password.clone(), salt).await?;
    pass(app, Failpoint::Hashed).await?;
    let now = app.clock.now_micros();
    let stored_now = clock::to_store(now);
    let moves_in = matches!(applicant.identity, Identity::MovesIn(_));
    let is_active = !moves_in && !applicant.waits;
    let account = Account {
        email: applicant.email.as_ref().map(|email| email.as_str().to_owned()),
        password_hash: Some(password_hash),
        deactivated_at: (!is_active).then_some(stored_now),
        was_activated: is_active,
        is_queued: applicant.waits,
        // Whoever waits has all the time that it takes.
        delete_after: (moves_in && !applicant.waits).then_some(clock::to_store(now + MOVE_IN_SECS * MICROS_PER_SEC)),
        invite_code: applicant.invite_code.clone(),
        ..Account::new(did.clone(), applicant.handle.clone(), stored_now)
    };
    let mut txn = Txn::new();
    hold(app, &mut txn, &applicant, did, key, stored_now);
    if matches!(applicant.identity, Identity::Hosted(_)) {
        did_web::insert(&mut txn, did, stored_now);
    } else if let Some(host) = host_of(did).filter(|host| *host != applicant.handle)
        && app.handles.is_under_service_domain(&host)
    {
        accounts::hold_with_account(&mut txn, &host, did, stored_now);
    }
    let tokens = first_session(app, &mut txn, &account, applicant.waiter, applicant.waits).await?;
    accounts::insert(&mut txn, &account);
    genesis::add(app, &mut txn, &account, &key.signing, now).map_err(|e| SignUpError::Internal(e.to_string()))?;
    if applicant.waits {
        let operation = operation.map(|operation| operation.to_json().to_string());
        queue::join(&mut txn, &account, operation, moves_in);
    }
    pass(app, Failpoint::Activating).await?;
    commit(app, txn, &applicant, did).await?;
    pass(app, Failpoint::Activated).await?;
    Ok(SignedUp { account, tokens, did_document: Some(document.clone()) })
}

async fn accounts_absent(app: &App, applicant: &Applicant, did: &Did) -> Result<(), SignUpError> {
    match accounts::by_did(&*app.db, did).await? {
        Some(_) => Err(account_exists(applicant)),
        None => Ok(()),
    }
}

/// Whoever asks for a did:web that somebody else got a moment ago asks for its handle.
fn account_exists(applicant: &Applicant) -> SignUpError {
    match applicant.identity {
        Identity::Hosted(_) => SignUpError::HandleTaken(applicant.handle.clone()),
        Identity::MovesIn(_) | Identity::Submits(_) => SignUpError::AccountExists,
    }
}
