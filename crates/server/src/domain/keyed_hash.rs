//! Hashes that only this server can make: to find a secret again, or something private, without keeping it.
//!
//! For secrets with enough randomness of their own; passwords that people choose are hashed in `passwords`.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What is hashed; the same text has another hash for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashUse {
    /// An app password of an account.
    AppPassword,
    /// A code that was mailed, with its account and purpose.
    EmailCode,
    /// The first half of such a code, with its purpose.
    EmailCodePlace,
    /// The token of a captcha.
    CaptchaToken,
    /// A telephone number.
    PhoneNumber,
    /// A code that was sent to a telephone number, with the number.
    PhoneCode,
    /// Whom a letter is for.
    MailRecipient,
    /// What makes two letters the same.
    SameLetter,
    /// A token that opens the administration methods.
    AdminToken,
    /// A network that an account signs in from.
    Network,
}

impl HashUse {
    fn label(self) -> &'static str {
        match self {
            Self::AppPassword => "app password",
            Self::EmailCode => "email code",
            Self::EmailCodePlace => "email code place",
            Self::CaptchaToken => "captcha token",
            Self::PhoneNumber => "phone number",
            Self::PhoneCode => "phone code",
            Self::MailRecipient => "mail recipient",
            Self::SameLetter => "same letter",
            Self::AdminToken => "admin token",
            Self::Network => "network",
        }
    }
}

/// Makes the hashes.
pub struct KeyedHash {
    mac: Hmac<Sha256>,
}

impl KeyedHash {
    /// Derives the key from the master key.
    pub fn new(master_key: &[u8; 32]) -> Self {
        let derived = hmac(master_key).chain_update(b"allod keyed hashes").finalize().into_bytes();
        Self { mac: hmac(&derived) }
    }

    /// Hashes the parts, in order.
    pub fn hash(&self, of: HashUse, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.mac.clone();
        for part in [of.label().as_bytes()].iter().chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_and_the_borders_between_the_parts_count() {
        let hash = KeyedHash::new(&[1; 32]);
        let of = |parts: &[&[u8]]| hash.hash(HashUse::AppPassword, parts);
        assert_eq!(of(&[b"ab", b"c"]), of(&[b"ab", b"c"]));
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"ab"]), KeyedHash::new(&[2; 32]).hash(HashUse::AppPassword, &[b"ab"]));
    }
}
