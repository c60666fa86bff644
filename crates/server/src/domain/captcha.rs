//! Captchas at sign-up: what a browser was given for solving one is shown to the service that gave it.
//!
//! Who tells solved captchas from others is behind [`Checker`].

use std::{net::IpAddr, sync::Arc};

use allod_base::clock::{self, MICROS_PER_SEC};
use allod_store::{Txn, tables::used_tokens};
use futures_util::future::BoxFuture;

use super::{
    core::Core,
    keyed_hash::{HashUse, KeyedHash},
};
use crate::limits::CAPTCHA_TOKEN_BYTES_MAX;

/// How long a token is remembered that was used, in seconds: longer than any service takes it.
const USED_SECS: u64 = 60 * 60;

/// Tells solved captchas from others.
pub trait Checker: Send + Sync + 'static {
    /// Tells whether the token is of a captcha that was solved, at this address if it is known.
    fn check<'a>(&'a self, token: &'a str, address: Option<IpAddr>) -> BoxFuture<'a, Result<bool, CaptchaError>>;
}

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
pub enum CaptchaError {
    /// There is no token.
    #[error("A captcha is required: send the token of a solved one as verificationCode")]
    Missing,
    /// The token is wrong, used or too old.
    #[error("Could not verify the captcha. Please try again.")]
    Unsolved,
    /// The service could not be asked, or did not answer as it should.
    #[error("captchas can't be checked: {0}")]
    Unavailable(String),
}

/// A token that was found right, to be used up by the account that is made with it.
#[derive(Debug)]
pub struct Solved {
    token_hash: [u8; 32],
    ends_at: i64,
}

impl Solved {
    /// Adds: the token is used up. Conflict: [`allod_store::ConflictKey::TokenUsed`].
    pub fn use_up(&self, txn: &mut Txn) {
        used_tokens::use_up(txn, &self.token_hash, self.ends_at);
    }
}

/// The gate: who signs up needs a solved captcha.
pub struct CaptchaGate {
    core: Core,
    keyed_hash: Arc<KeyedHash>,
    checker: Arc<dyn Checker>,
}

impl CaptchaGate {
    /// Puts the gate up.
    pub fn new(core: Core, keyed_hash: Arc<KeyedHash>, checker: Arc<dyn Checker>) -> Self {
        Self { core, keyed_hash, checker }
    }

    /// Finds out whether a token is of a solved captcha. Services know a token once, and it is used up here as well.
    pub async fn verify(&self, token: &str, address: Option<IpAddr>) -> Result<Solved, CaptchaError> {
        let token = token.trim();
        if token.len() > CAPTCHA_TOKEN_BYTES_MAX {
            return Err(CaptchaError::Unsolved);
        }
        // The machine's own address says nothing of a caller.
        let address = address.filter(|address| !address.is_loopback());
        if !self.checker.check(token, address).await? {
            return Err(CaptchaError::Unsolved);
        }
        Ok(Solved {
            token_hash: self.keyed_hash.hash(HashUse::CaptchaToken, &[token.as_bytes()]),
            ends_at: clock::to_store(self.core.newest_time.for_others_micros() + USED_SECS * MICROS_PER_SEC),
        })
    }
}
