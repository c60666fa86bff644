//! Sign-up: from a request to an account with a DID, names, a signed repository and a session.
//!
//! A state machine whose commit point is the did:plc operation. What is needed to finish or to undo is durable
//! before the directory hears of anything, so that no crash leaves a DID without an account or a name without an owner.
//! docs/adr/0003-sign-up-state-machine.md tells why.

mod admission;
pub mod failpoint;
mod hosted;
mod machine;
mod operation;
pub mod queue;
pub mod reconcile;
mod resume;

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use allod_atproto::{Did, Handle};
use allod_base::{
    randomness::{self, Randomness},
    secret::Secret,
};
use allod_net::lookups;
use allod_store::{CommitError, ReadError, tables::accounts::Account};
use data_encoding::BASE64URL_NOPAD;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    captcha::CaptchaError,
    emails::EmailUnsupported,
    handles::HandleError,
    keys::UnwrapError,
    passwords::{HashError, Requester},
    phone::PhoneError,
    reserved_keys::FindKeyError,
    service_auth::ServicePrincipal,
    sessions::TokenPair,
};
use crate::app::App;

/// How long a reservation outlives an answer that never came, in seconds.
pub const RESERVATION_SECS: u64 = 10 * 60;
/// How long a finished sign-up can still be answered to the caller who was told to try again, in seconds.
pub const UNCLAIMED_SECS: u64 = 24 * 60 * 60;
/// How long an account that moves in may stay deactivated before it is removed, in seconds.
pub const MOVE_IN_SECS: u64 = 3 * 24 * 60 * 60;

/// What a person asks for; every input of createAccount, as it came.
#[derive(Default)]
pub struct SignUpRequest {
    /// The handle, as typed.
    pub handle: String,
    /// The e-mail address, as typed.
    pub email: Option<String>,
    /// The password.
    pub password: Option<Secret<String>>,
    /// The invite code.
    pub invite_code: Option<String>,
    /// An existing DID that moves in.
    pub did: Option<Did>,
    /// A signed did:plc operation to be used in place of ours.
    pub plc_op: Option<serde_json::Value>,
    /// A rotation key of the person's own, as typed.
    pub recovery_key: Option<String>,
    /// A code sent to a telephone, or the token of a captcha.
    pub verification_code: Option<String>,
    /// A telephone number.
    pub verification_phone: Option<String>,
    /// The caller's address.
    pub address: Option<IpAddr>,
    /// Who the request's service token speaks for.
    pub caller: Caller,
    /// Whether the operator asks, who needs no invite.
    pub by_operator: bool,
    /// Whether the handle may be a reserved one.
    pub reserved_allowed: bool,
}

/// Who a request's service token speaks for.
#[derive(Default)]
pub enum Caller {
    /// There was no token.
    #[default]
    Anonymous,
    /// A token of this DID's was verified; it is used up by the sign-up.
    Verified(ServicePrincipal),
    /// The token names this issuer, whose document can't be had.
    Unresolvable(Did),
    /// The token names this issuer, whose document has no key to check it with.
    NoKey(Did),
}

impl From<FindKeyError> for SignUpError {
    fn from(error: FindKeyError) -> Self {
        match error {
            FindKeyError::Read(error) => error.into(),
            FindKeyError::Key(error) => error.into(),
        }
    }
}

/// A finished sign-up.
pub struct SignedUp {
    /// The account.
    pub account: Account,
    /// Its first session; none for the operator, who created it for somebody else.
    pub tokens: Option<TokenPair>,
    /// Its DID document, when it is known.
    pub did_document: Option<serde_json::Value>,
}

impl SignedUp {
    /// Takes the session of a client's sign-up, which has one.
    pub fn take_tokens(&mut self) -> Result<TokenPair, SignUpError> {
        let missing = || SignUpError::Internal("a client's sign-up opened no session".to_owned());
        self.tokens.take().ok_or_else(missing)
    }
}

/// Why there is no account. Unless the variant says otherwise nothing is left behind: names and invite are free.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    /// The handle can't be had by anyone, or is none.
    #[error(transparent)]
    Handle(#[from] HandleError),
    /// The handle belongs to somebody, or is being signed up for.
    #[error("Handle already taken: {0}")]
    HandleTaken(Handle),
    /// The handle is under none of our domains and no DID was brought that could own it.
    #[error("Not a supported handle domain")]
    UnsupportedDomain,
    /// The handle under a domain of its own does not lead to the DID.
    #[error("External handle did not resolve to DID")]
    HandleUnresolved,
    /// No e-mail address was given.
    #[error("Email is required")]
    EmailMissing,
    /// The e-mail address is not taken.
    #[error(transparent)]
    Email(#[from] EmailUnsupported),
    /// The e-mail address belongs to another account.
    #[error("Email already taken: {0}")]
    EmailTaken(String),
    /// No password was given.
    #[error("Password is required")]
    PasswordMissing,
    /// The password is too short.
    #[error("Password too short. Minimum length is {0} characters.")]
    PasswordTooShort(usize),
    /// The password is too long.
    #[error("Password too long. Maximum length is {0} characters.")]
    PasswordTooLong(usize),
    /// An invite code is needed.
    #[error("No invite code provided")]
    InviteMissing,
    /// The invite code has no use left, is disabled or unknown.
    #[error("Provided invite code not available")]
    InviteUnusable,
    /// The telephone number is not known to be the caller's, or makes no more accounts.
    #[error(transparent)]
    Phone(#[from] PhoneError),
    /// There is no solved captcha.
    #[error(transparent)]
    Captcha(#[from] CaptchaError),
    /// An operation was brought that may be out of date when the account is let in.
    #[error(
        "Sign-ups wait here until they are let in: sign up with the DID alone, and have plcOp submitted after that"
    )]
    OperationCantWait,
    /// The recovery key is no did:key of a curve we know.
    #[error("recoveryKey is not a did:key with a P-256 or K-256 public key")]
    RecoveryKey,
    /// A recovery key came with a did:web, which nothing is signed for.
    #[error("recoveryKey is for a did:plc: a did:web has no rotation keys")]
    RecoveryKeyUnused,
    /// A DID was given without proof that the caller speaks for it.
    #[error("Missing auth to create account with did: {0}")]
    AuthMissing(Did),
    /// The token that proved it was used before.
    #[error("Service auth token was already used")]
    AuthReplayed,
    /// The DID has no document to be found.
    #[error("Could not resolve DID: {0}")]
    UnresolvableDid(Did),
    /// The document, or the operation brought, does not fit an account here.
    #[error("{0}")]
    IncompatibleDidDoc(String),
    /// The DID has an account here.
    #[error("Repo already exists")]
    AccountExists,
    /// The directory refused the operation, with its own words.
    #[error("{0}")]
    DirectoryRefused(String),
    /// The directory could not be reached; nothing was sent.
    #[error("Unable to perform PLC operation")]
    DirectoryUnreachable,
    /// The directory's answer is not known. The sign-up goes on by itself; the same request gets its result.
    #[error("Account creation is still under way; send the same request again in a minute")]
    Pending,
    /// Too many passwords are waiting to be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A stored key can't be read.
    #[error(transparent)]
    Key(#[from] UnwrapError),
    /// Something that can't happen did.
    #[error("sign-up failed: {0}")]
    Internal(String),
}

/// The sign-ups this run of the process is driving.
pub struct SignUps {
    run_id: String,
    driving: Mutex<HashMap<Did, Driver>>,
    /// Wakes whoever waits for a wheel to be free.
    ended: Notify,
}

/// Who has the wheel of a sign-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Driver {
    /// The request that began it, or the same request again.
    Request,
    /// The reconciler, which is done in a moment.
    Reconciler,
}

impl SignUps {
    /// Names this run of the process.
    pub fn new(randomness: &dyn Randomness) -> Self {
        let run_id = BASE64URL_NOPAD.encode(&randomness::bytes::<12>(randomness));
        Self { run_id, driving: Mutex::default(), ended: Notify::new() }
    }

    fn is_driven(&self, did: &Did) -> bool {
        self.driving.lock().contains_key(did)
    }

    /// Waits until the reconciler has let go of a sign-up.
    async fn reconciled(&self, did: &Did) {
        loop {
            let ended = self.ended.notified();
            let mut ended = std::pin::pin!(ended);
            ended.as_mut().enable();
            if self.driving.lock().get(did) != Some(&Driver::Reconciler) {
                return;
            }
            ended.await;
        }
    }

    /// Takes the wheel, if need be when the reconciler lets go of it; `None` when another request has it.
    async fn drive_after_reconciler(&self, did: &Did) -> Option<Driving<'_>> {
        loop {
            self.reconciled(did).await;
            if let Some(driving) = self.drive(did, Driver::Request) {
                return Some(driving);
            }
            if self.driving.lock().get(did) == Some(&Driver::Request) {
                return None;
            }
        }
    }

    /// Takes the wheel; `None` when somebody has it.
    fn drive(&self, did: &Did, driver: Driver) -> Option<Driving<'_>> {
        let mut driving = self.driving.lock();
        if driving.contains_key(did) {
            return None;
        }
        driving.insert(did.clone(), driver);
        Some(Driving { sign_ups: self, did: did.clone() })
    }
}

/// Holds the wheel of one sign-up until dropped.
struct Driving<'a> {
    sign_ups: &'a SignUps,
    did: Did,
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        self.sign_ups.driving.lock().remove(&self.did);
        self.sign_ups.ended.notify_waiters();
    }
}

/// Who waits for the end of a sign-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiter {
    /// A client at this address, who gets a session.
    Client(Option<IpAddr>),
    /// The operator, who gets none.
    Operator,
    /// Nobody: the reconciler ends what was broken off.
    Nobody,
}

impl SignUpRequest {
    fn waiter(&self) -> Waiter {
        if self.by_operator { Waiter::Operator } else { Waiter::Client(self.address) }
    }
}

impl Waiter {
    /// In whose name a password is hashed.
    fn requester(self, handle: &str) -> Requester<'_> {
        let address = match self {
            Self::Client(address) => address,
            Self::Operator | Self::Nobody => None,
        };
        Requester { address, account: handle }
    }
}

/// Signs a person up. Runs to its end even when the caller goes away.
pub async fn sign_up(app: &Arc<App>, request: SignUpRequest) -> Result<SignedUp, SignUpError> {
    let task = lookups::spawn({
        let app = Arc::clone(app);
        async move { run(&app, request).await }
    });
    let signed_up = task.await.map_err(|e| SignUpError::Internal(e.to_string()))??;
    // Not reached when the caller is gone: the row stays, and after a restart the same request still gets the answer.
    resume::answered(app, &signed_up.account.did).await;
    Ok(signed_up)
}

async fn run(app: &App, request: SignUpRequest) -> Result<SignedUp, SignUpError> {
    if let Some(signed_up) = resume::resume(app, &request).await? {
        return Ok(signed_up);
    }
    let applicant = admission::admit(app, request).await?;
    machine::carry_out(app, applicant).await
}
