//! The settings that are secrets, and what can be wrong with them.

use std::collections::BTreeSet;

use allod_atproto::crypto::{Curve, SigningKey};
use allod_base::secret::Secret;
use allod_server::config::Secrets;
use hkdf::Hkdf;
use sha2::Sha256;

use super::{problem::Problem, reader::Reader, settings as s};

/// Separates the master key from every other use of the rotation key.
const MASTER_KEY_LABEL: &[u8] = b"allod master key v1";

/// The shortest token secret taken, in characters.
const JWT_SECRET_CHARS_MIN: usize = 32;

/// A token secret with fewer different characters was not made at random: of 32 random hexadecimal digits there are
/// fewer less than once in ten million times.
const JWT_SECRET_DISTINCT_MIN: usize = 7;

/// An administration password shorter than this, in characters, can be guessed.
const ADMIN_PASSWORD_CHARS_SAFE: usize = 12;

/// An administration password with fewer different characters can be guessed.
const ADMIN_PASSWORD_DISTINCT_SAFE: usize = 6;

/// What administration passwords are called in examples; one of these in a password that is otherwise short gives it away.
const EXAMPLE_PASSWORDS: [&str; 8] =
    ["password", "admin", "secret", "changeme", "change-me", "change_me", "example", "hunter2"];

/// Reads the secrets.
pub(super) fn read_secrets(reader: &mut Reader, dev_mode: Option<bool>) -> Option<Secrets> {
    let jwt_secret = reader.read(&s::JWT_SECRET);
    if let Some(weakness) = jwt_secret.as_ref().and_then(|secret| jwt_secret_weakness(secret.expose())) {
        let place = reader.place(&s::JWT_SECRET);
        reader.problem(Problem::at(place, format!("{weakness}; `allod secrets generate` creates one")));
    }
    let admin_password = reader.read(&s::ADMIN_PASSWORD);
    if dev_mode == Some(false)
        && let Some(weakness) = admin_password.as_ref().and_then(|password| password_weakness(password.expose()))
    {
        let place = reader.place(&s::ADMIN_PASSWORD);
        let message = format!(
            "{weakness}: anyone who guesses the administration password controls every account; `allod secrets generate` \
             creates one"
        );
        reader.warning(Problem::at(place, message));
    }
    let plc_rotation_key = reader.read(&s::PLC_ROTATION_KEY);
    if plc_rotation_key.as_ref().is_some_and(|key| SigningKey::from_bytes(Curve::K256, key.expose()).is_err()) {
        let place = reader.place(&s::PLC_ROTATION_KEY);
        reader.problem(Problem::at(place, "is not a secp256k1 private key; `allod secrets generate` creates one"));
    }
    let mut is_derived = false;
    let master_key = reader.read_or(&s::MASTER_KEY, || {
        is_derived = true;
        plc_rotation_key.as_ref().and_then(derive_master_key)
    });
    if is_derived && master_key.is_some() && dev_mode == Some(false) {
        let place = reader.place(&s::MASTER_KEY);
        let message = "is not set: it is derived from the rotation key, so a leak of the rotation key reveals both, and changing \
                       it loses every signing key; set the value that `allod secrets master-key` prints";
        reader.warning(Problem::at(place, message));
    }
    Some(Secrets {
        jwt_secret: jwt_secret?,
        admin_password,
        plc_rotation_key: plc_rotation_key?,
        master_key: master_key?,
    })
}

fn distinct_chars(text: &str) -> usize {
    text.chars().collect::<BTreeSet<_>>().len()
}

/// Why a token secret could be guessed. Anyone who guesses it can sign in as any account.
fn jwt_secret_weakness(secret: &str) -> Option<String> {
    if secret.chars().count() < JWT_SECRET_CHARS_MIN {
        return Some(format!("is too short: use at least {JWT_SECRET_CHARS_MIN} random hexadecimal digits"));
    }
    let is_repetitive = distinct_chars(secret) < JWT_SECRET_DISTINCT_MIN;
    is_repetitive.then(|| "is not random: it has too few different characters".to_owned())
}

/// Why an administration password could be guessed.
fn password_weakness(password: &str) -> Option<&'static str> {
    let lower = password.to_lowercase();
    let rest = EXAMPLE_PASSWORDS.iter().fold(lower, |rest, example| rest.replace(example, ""));
    if password.chars().count() < ADMIN_PASSWORD_CHARS_SAFE {
        Some("is short (fewer than 12 characters)")
    } else if rest.chars().count() < ADMIN_PASSWORD_CHARS_SAFE && rest.len() < password.len() {
        Some("contains a word that is common in examples")
    } else if distinct_chars(password) < ADMIN_PASSWORD_DISTINCT_SAFE {
        Some("has too few different characters")
    } else {
        None
    }
}

/// Derives the master key from the rotation key, so that one secret less has to be kept.
fn derive_master_key(rotation_key: &Secret<[u8; 32]>) -> Option<Secret<[u8; 32]>> {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, rotation_key.expose()).expand(MASTER_KEY_LABEL, &mut key).ok()?;
    Some(Secret::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_can_be_guessed_are_told() {
        for (secret, is_weak) in [
            ("0123456789abcdef0123456789abcde", true),
            ("0123456789abcdef0123456789abcdef", false),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true),
            ("a long sentence that somebody thought of", false),
        ] {
            assert_eq!(jwt_secret_weakness(secret).is_some(), is_weak, "{secret}");
        }
        for (password, is_weak) in [
            ("admin", true),
            ("Password1234", true),
            ("my-secret-password", true),
            ("1111111111111111", true),
            ("0123456789abcdef0123456789abcdef", false),
            ("correct horse battery", false),
            ("administration of seven geese", false),
        ] {
            assert_eq!(password_weakness(password).is_some(), is_weak, "{password}");
        }
    }
}
