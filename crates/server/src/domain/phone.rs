//! Telephone numbers at sign-up: a code is sent, shown again, and used up by one account.
//!
//! Who sends and checks codes is behind [`Verifier`]. Numbers are stored as keyed hashes alone.

mod number;

use std::sync::Arc;

use allod_atproto::Did;
use allod_base::clock::{self, MICROS_PER_SEC};
use allod_store::{
    CommitError, ReadError, Txn,
    tables::phones::{self, Shown},
};
use futures_util::future::BoxFuture;

pub use number::{NotANumber, PhoneNumber};

use super::{
    core::Core,
    keyed_hash::{HashUse, KeyedHash},
};

/// How long a code that was found right can be used, in seconds; also how long one can be shown in development mode.
pub const CODE_SECS: u64 = 10 * 60;

/// How many digits a code can have.
const CODE_DIGITS: std::ops::RangeInclusive<usize> = 4..=10;

/// Sends codes and tells right ones from wrong ones. A code that was found right is not found right again.
pub trait Verifier: Send + Sync + 'static {
    /// Sends a code to a number.
    fn send<'a>(&'a self, number: &'a PhoneNumber) -> BoxFuture<'a, Result<(), ProviderError>>;

    /// Tells whether this is the code that was sent to the number.
    fn check<'a>(&'a self, number: &'a PhoneNumber, code: &'a str) -> BoxFuture<'a, Result<bool, ProviderError>>;
}

/// Why a provider did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It sends nothing to this number.
    #[error("No text message can be sent to this phone number")]
    NumberRefused,
    /// The number got as many codes as it may for now.
    #[error("Too many codes were sent to this phone number; try again later")]
    TooMany,
    /// It could not be asked, or did not answer as it should.
    #[error("phone verification is not available: {0}")]
    Unavailable(String),
}

/// Why a number was not verified.
#[derive(Debug, thiserror::Error)]
pub enum PhoneError {
    /// This server verifies no numbers.
    #[error("phone verification not enabled")]
    Off,
    /// Number or code is missing.
    #[error(
        "Phone verification is required: ask for a code with com.atproto.temp.requestPhoneVerification and send \
         verificationPhone and verificationCode"
    )]
    Missing,
    /// The number is none.
    #[error(transparent)]
    Number(#[from] NotANumber),
    /// The code is wrong, used or too old.
    #[error("Could not verify phone number. Please try again.")]
    Code,
    /// The number has made as many accounts as it may.
    #[error("There are too many accounts currently using this phone number. Max: {0}")]
    Spent(u32),
    /// The provider did not do it.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// A number and a code that belong together, to be used up by the account that is made with them.
#[derive(Debug)]
pub struct Verified {
    shown: Shown,
    accounts_max: u32,
}

impl Verified {
    /// Adds: the code is used up, and the account counts for the number. Conflicts: those of [`phones::use_up`].
    pub fn use_up(&self, txn: &mut Txn, did: &Did, now: i64) {
        phones::use_up(txn, &self.shown, did, self.accounts_max, now);
    }

    /// Why the number makes no account, when it has made others meanwhile.
    pub fn spent(&self) -> PhoneError {
        PhoneError::Spent(self.accounts_max)
    }
}

/// The gate: who signs up needs a number.
pub struct PhoneGate {
    core: Core,
    keyed_hash: Arc<KeyedHash>,
    accounts_max: u32,
    verifier: Arc<dyn Verifier>,
}

impl PhoneGate {
    /// Puts the gate up: one number makes at most so many accounts.
    pub fn new(core: Core, keyed_hash: Arc<KeyedHash>, accounts_max: u32, verifier: Arc<dyn Verifier>) -> Self {
        Self { core, keyed_hash, accounts_max, verifier }
    }

    /// Sends a code to a number. Whether the number has made accounts is not told: not everybody who types it owns it.
    pub async fn request_code(&self, number: &str) -> Result<(), PhoneError> {
        let number = PhoneNumber::parse(number)?;
        Ok(self.verifier.send(&number).await?)
    }

    /// Finds out whether a code was sent to a number, and keeps that it was until the account is made.
    ///
    /// A provider knows a code once. Kept, it can be shown again when the sign-up fails for another reason.
    pub async fn verify(&self, number: &str, code: &str) -> Result<Verified, PhoneError> {
        let number = PhoneNumber::parse(number)?;
        let code = code.trim();
        if !CODE_DIGITS.contains(&code.len()) || !code.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(PhoneError::Code);
        }
        let shown = Shown {
            number_hash: self.keyed_hash.hash(HashUse::PhoneNumber, &[number.as_str().as_bytes()]),
            code_hash: self.keyed_hash.hash(HashUse::PhoneCode, &[number.as_str().as_bytes(), code.as_bytes()]),
        };
        let now = self.core.newest_time.now_micros();
        if !phones::is_approved(&*self.core.db, &shown, clock::to_store(now)).await? {
            if !self.verifier.check(&number, code).await? {
                return Err(PhoneError::Code);
            }
            let mut txn = Txn::new();
            phones::approve(&mut txn, &shown, clock::to_store(now + CODE_SECS * MICROS_PER_SEC));
            self.core.db.commit(txn).await?;
        }
        let verified = Verified { shown, accounts_max: self.accounts_max };
        if phones::is_spent(&*self.core.db, &shown.number_hash, self.accounts_max).await? {
            return Err(verified.spent());
        }
        Ok(verified)
    }
}

/// Forgets codes whose time is over.
pub async fn forget_old(core: &Core) -> Result<(), PhoneError> {
    let now = clock::to_store(core.newest_time.now_micros());
    if phones::any_code_ended(&*core.db, now).await? {
        let mut txn = Txn::new();
        phones::forget_ended(&mut txn, now);
        core.db.commit(txn).await?;
    }
    Ok(())
}
