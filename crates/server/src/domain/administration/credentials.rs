//! The administration password and named tokens: who shows one, and how often somebody may guess.
//!
//! An address that shows wrong ones has to pause between them, longer each time, and hears nothing about its credential
//! meanwhile. When many addresses guess at once, each has one try, so that the operator still gets in from an address
//! of their own.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use allod_base::{clock::MICROS_PER_SEC, secret::Secret};
use allod_store::ReadError;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{AdminScope, tokens};
use crate::domain::audit::{Actor, By};
use crate::{
    app::App,
    domain::shares::network,
    limits::{
        ADMIN_PAUSE_SECS_MAX, ADMIN_TRIES_ADDRESSES_MAX, ADMIN_TRIES_FORGOTTEN_SECS, ADMIN_TRIES_FREE,
        ADMIN_TRIES_LOGGED_MAX, ADMIN_TRIES_OF_ALL_MAX, ADMIN_TRIES_WINDOW_SECS,
    },
};

/// What somebody shows.
pub enum Shown {
    /// The administration password, or a named token in its place.
    Password(Secret<String>),
    /// A named token.
    Token(Secret<String>),
}

/// Why it was not looked at, or could not be.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// Too many wrong ones were shown.
    #[error("Rate Limit Exceeded")]
    TooManyTries {
        /// When the next one is looked at, in seconds from now; at least 1.
        retry_after_secs: u32,
    },
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Finds who shows a credential, and what it opens; none when it is wrong. `method` is for log and audit log.
pub async fn find(
    app: &App,
    shown: &Shown,
    address: IpAddr,
    method: &'static str,
) -> Result<Option<(Actor, AdminScope)>, CredentialError> {
    app.admin_tries.check(app.newest_time.now_micros(), address)?;
    let found = match shown {
        Shown::Password(shown) if is_password(app, shown) => Some((Actor::Password, AdminScope::Admin)),
        Shown::Password(shown) | Shown::Token(shown) => {
            tokens::find(app, shown).await?.map(|token| (Actor::Token(token.name), token.scope))
        }
    };
    match &found {
        Some((_, AdminScope::Admin)) => app.admin_tries.passed(address),
        // Its holder could alternate it with guesses of the password.
        Some((_, AdminScope::Moderator)) => {}
        None => note_failure(app, address, method).await,
    }
    Ok(found)
}

fn is_password(app: &App, shown: &Secret<String>) -> bool {
    app.config.secrets.admin_password.as_ref().is_some_and(|password| same(shown, password))
}

/// Compares digests, so that neither content nor length shows in the time it takes.
fn same(left: &Secret<String>, right: &Secret<String>) -> bool {
    let digest = |secret: &Secret<String>| Sha256::digest(secret.expose().as_bytes());
    digest(left).as_slice().ct_eq(digest(right).as_slice()).into()
}

async fn note_failure(app: &App, address: IpAddr, method: &'static str) {
    let failure = app.admin_tries.failed(app.newest_time.now_micros(), address);
    if failure.in_window <= ADMIN_TRIES_LOGGED_MAX {
        let tries = failure.of_address;
        // A line of fixed form: docs/operations.md has a filter for it.
        tracing::warn!(target: "security", parent: None, client = %address, %method, tries, "wrong administration credential");
    } else if failure.in_window == ADMIN_TRIES_LOGGED_MAX + 1 {
        tracing::warn!("many wrong administration credentials: further ones are not logged for a few minutes");
    }
    if failure.in_window == 1 {
        let by = By { actor: Actor::Unknown, method };
        app.audit
            .refused(&by, &address.to_string(), &"wrong credential; see the server's log for further attempts")
            .await;
    }
}

/// Wrong credentials of late.
pub struct AdminTries {
    of_all: Mutex<Window>,
    addresses: Cache<IpAddr, Arc<Mutex<Tries>>>,
}

#[derive(Default)]
struct Window {
    began_micros: u64,
    failures: u32,
}

#[derive(Default)]
struct Tries {
    failures: u32,
    last_micros: u64,
}

/// How many wrong credentials there were with this one.
struct Failure {
    of_address: u32,
    in_window: u32,
}

impl Default for AdminTries {
    fn default() -> Self {
        Self { of_all: Mutex::default(), addresses: Cache::new(ADMIN_TRIES_ADDRESSES_MAX) }
    }
}

impl AdminTries {
    /// Tells whether a credential from this address is looked at.
    fn check(&self, now_micros: u64, address: IpAddr) -> Result<(), CredentialError> {
        let Some(tries) = self.addresses.get(&network(address)) else { return Ok(()) };
        let tries = tries.lock();
        let mut until = tries.last_micros + u64::from(pause_secs(tries.failures)) * MICROS_PER_SEC;
        let of_all = self.of_all.lock();
        if of_all.failures > ADMIN_TRIES_OF_ALL_MAX && tries.last_micros >= of_all.began_micros {
            until = until.max(of_all.began_micros + ADMIN_TRIES_WINDOW_SECS * MICROS_PER_SEC);
        }
        let left_secs = until.saturating_sub(now_micros).div_ceil(MICROS_PER_SEC);
        match u32::try_from(left_secs).unwrap_or(u32::MAX) {
            0 => Ok(()),
            retry_after_secs => Err(CredentialError::TooManyTries { retry_after_secs }),
        }
    }

    fn failed(&self, now_micros: u64, address: IpAddr) -> Failure {
        let fresh = || Ok::<_, Infallible>(Arc::default());
        let tries = match self.addresses.get_or_insert_with(&network(address), fresh) {
            Ok(tries) => tries,
            Err(never) => match never {},
        };
        let of_address = {
            let mut tries = tries.lock();
            if now_micros >= tries.last_micros + ADMIN_TRIES_FORGOTTEN_SECS * MICROS_PER_SEC {
                tries.failures = 0;
            }
            *tries = Tries { failures: tries.failures.saturating_add(1), last_micros: now_micros };
            tries.failures
        };
        let mut of_all = self.of_all.lock();
        if now_micros >= of_all.began_micros + ADMIN_TRIES_WINDOW_SECS * MICROS_PER_SEC {
            *of_all = Window { began_micros: now_micros, failures: 0 };
        }
        of_all.failures = of_all.failures.saturating_add(1);
        Failure { of_address, in_window: of_all.failures }
    }

    /// Forgets the wrong credentials of an address that showed a right one.
    fn passed(&self, address: IpAddr) {
        self.addresses.remove(&network(address));
    }
}

/// How long an address pauses after this many wrong credentials, in seconds.
fn pause_secs(failures: u32) -> u32 {
    match failures.checked_sub(ADMIN_TRIES_FREE) {
        None | Some(0) => 0,
        Some(beyond) => 1_u32.checked_shl(beyond - 1).unwrap_or(u32::MAX).min(ADMIN_PAUSE_SECS_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000_000 * MICROS_PER_SEC;

    fn address(last: u8) -> IpAddr {
        [203, 0, 113, last].into()
    }

    /// Seconds until the next try is looked at.
    fn wait(tries: &AdminTries, now: u64, address: IpAddr) -> u32 {
        match tries.check(now, address) {
            Err(CredentialError::TooManyTries { retry_after_secs }) => retry_after_secs,
            Ok(()) | Err(CredentialError::Read(_)) => 0,
        }
    }

    #[test]
    fn only_equal_secrets_are_the_same() {
        let secret = |text: &str| Secret::new(text.to_owned());
        assert!(same(&secret("hunter2"), &secret("hunter2")));
        for wrong in ["hunter3", "hunter22", "hunter", ""] {
            assert!(!same(&secret(wrong), &secret("hunter2")), "{wrong}");
        }
    }

    #[test]
    fn pauses_double_up_to_five_minutes_and_are_the_addresss_own() {
        let tries = AdminTries::default();
        let mut now = START;
        let mut pauses = Vec::new();
        for _ in 0..ADMIN_TRIES_FREE + 11 {
            tries.failed(now, address(1));
            let pause = wait(&tries, now, address(1));
            pauses.push(pause);
            now += u64::from(pause) * MICROS_PER_SEC;
            assert_eq!(wait(&tries, now, address(1)), 0, "after the pause it is looked at");
        }
        assert_eq!(pauses, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(wait(&tries, now, address(2)), 0);
        tries.failed(now, address(1));
        assert_eq!(wait(&tries, now, address(1)), 300);
        tries.passed(address(1));
        assert_eq!(wait(&tries, now, address(1)), 0);
    }

    #[test]
    fn an_address_that_rested_begins_anew() {
        let tries = AdminTries::default();
        for _ in 0..20 {
            tries.failed(START, address(1));
        }
        let later = START + ADMIN_TRIES_FORGOTTEN_SECS * MICROS_PER_SEC;
        tries.failed(later, address(1));
        assert_eq!(wait(&tries, later, address(1)), 0);
    }

    #[test]
    fn while_many_guess_each_address_has_one_try() {
        let tries = AdminTries::default();
        for last in 0..=60 {
            assert_eq!(wait(&tries, START, address(last)), 0);
            tries.failed(START, address(last));
        }
        assert_eq!(wait(&tries, START, address(1)), 300);
        assert_eq!(wait(&tries, START + 299 * MICROS_PER_SEC, address(1)), 1);
        assert_eq!(wait(&tries, START, address(200)), 0, "the operator's own address");
        assert_eq!(wait(&tries, START + 300 * MICROS_PER_SEC, address(1)), 0);
    }
}
