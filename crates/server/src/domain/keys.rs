//! Private keys at rest: wrapped with XChaCha20-Poly1305 under the master key, bound to whom and what they are for.

use allod_atproto::Did;
use allod_atproto::crypto::{Curve, DidKey, SigningKey};
use allod_base::randomness::{self, Randomness};
use bytes::Bytes;
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;

/// What a wrapped key is bound to; it can't be unwrapped as anything else.
#[derive(Clone, Copy)]
pub enum Purpose<'a> {
    /// The signing key of this DID's repository.
    Signing(&'a Did),
    /// A signing key reserved for an account to come, known by its public half.
    Reserved(&'a DidKey),
    /// No key: a letter that waits to be sent, known by this.
    Letter(&'a [u8]),
}

impl Purpose<'_> {
    fn label(self) -> Vec<u8> {
        let (purpose, subject) = match self {
            Self::Signing(did) => ("signing", did.as_str().as_bytes()),
            Self::Reserved(did_key) => ("reserved", did_key.as_str().as_bytes()),
            Self::Letter(letter_id) => ("letter", letter_id),
        };
        [purpose.as_bytes(), &[0], subject].concat()
    }
}

/// Why a key could not be unwrapped.
#[derive(Debug, thiserror::Error)]
pub enum UnwrapError {
    /// Another master key, another subject, or damaged bytes.
    #[error("a stored key can't be unwrapped: another master key, or damaged bytes")]
    Unreadable,
}

/// Wraps and unwraps private keys.
pub struct Keyring {
    cipher: XChaCha20Poly1305,
}

impl Keyring {
    /// Takes the master key.
    pub fn new(master_key: &[u8; 32]) -> Self {
        Self { cipher: XChaCha20Poly1305::new(&(*master_key).into()) }
    }

    /// Wraps a private key: version, nonce, sealed curve and scalar.
    pub fn wrap(&self, key: &SigningKey, purpose: Purpose<'_>, randomness: &dyn Randomness) -> Bytes {
        let mut clear = Zeroizing::new([0; KEY_BYTES + 1]);
        let (curve, scalar) = clear.split_at_mut(1);
        curve.copy_from_slice(&[curve_code(key.curve())]);
        scalar.copy_from_slice(&*key.to_bytes());
        self.seal(&*clear, purpose, randomness)
    }

    /// Seals something that is no key: version, nonce, what is sealed.
    pub fn seal(&self, clear: &[u8], purpose: Purpose<'_>, randomness: &dyn Randomness) -> Bytes {
        let nonce: [u8; NONCE_BYTES] = randomness::bytes(randomness);
        let mut message = vec![VERSION];
        message.extend_from_slice(&nonce);
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), Payload { msg: clear, aad: &purpose.label() });
        #[expect(clippy::expect_used, reason = "nothing in memory exceeds the cipher's limit of 256 GiB")]
        message.extend_from_slice(&sealed.expect("the message is below the cipher's limit"));
        Bytes::from(message)
    }

    /// Unwraps a private key.
    pub fn unwrap(&self, wrapped: &[u8], purpose: Purpose<'_>) -> Result<SigningKey, UnwrapError> {
        let clear = self.unseal(wrapped, purpose)?;
        let (curve, scalar) = clear.split_first().ok_or(UnwrapError::Unreadable)?;
        let curve = curve_from_code(*curve).ok_or(UnwrapError::Unreadable)?;
        let scalar = Zeroizing::new(<[u8; KEY_BYTES]>::try_from(scalar).map_err(|_| UnwrapError::Unreadable)?);
        SigningKey::from_bytes(curve, &scalar).map_err(|_| UnwrapError::Unreadable)
    }

    /// Gives what was sealed.
    pub fn unseal(&self, sealed: &[u8], purpose: Purpose<'_>) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
        let (version, rest) = sealed.split_first().ok_or(UnwrapError::Unreadable)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(UnwrapError::Unreadable)?;
        if *version != VERSION {
            return Err(UnwrapError::Unreadable);
        }
        self.cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &purpose.label() })
            .map(Zeroizing::new)
            .map_err(|_| UnwrapError::Unreadable)
    }
}

/// Makes a new signing key.
pub fn generate(randomness: &dyn Randomness) -> SigningKey {
    SigningKey::generate(Curve::K256, &mut |buffer| randomness.fill(buffer))
}

fn curve_code(curve: Curve) -> u8 {
    match curve {
        Curve::K256 => 1,
        Curve::P256 => 2,
    }
}

fn curve_from_code(code: u8) -> Option<Curve> {
    [Curve::K256, Curve::P256].into_iter().find(|curve| curve_code(*curve) == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(std::sync::atomic::AtomicU8);

    impl Randomness for Counting {
        fn fill(&self, buffer: &mut [u8]) {
            for byte in buffer {
                *byte = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn unwraps_only_as_what_it_was_wrapped_for() {
        let keyring = Keyring::new(&[7; 32]);
        let randomness = Counting(1.into());
        let key = SigningKey::from_bytes(Curve::P256, &[9; 32]).unwrap();
        let alice = Did::parse("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
        let bob = Did::parse("did:plc:bbbbbbbbbbbbbbbbbbbbbbbb").unwrap();
        let wrapped = keyring.wrap(&key, Purpose::Signing(&alice), &randomness);

        assert_eq!(keyring.unwrap(&wrapped, Purpose::Signing(&alice)).unwrap().did_key(), key.did_key());
        assert!(keyring.unwrap(&wrapped, Purpose::Signing(&bob)).is_err());
        assert!(keyring.unwrap(&wrapped, Purpose::Reserved(&key.did_key())).is_err());
        assert!(Keyring::new(&[8; 32]).unwrap(&wrapped, Purpose::Signing(&alice)).is_err());
        assert!(!wrapped.windows(32).any(|window| window == [9; 32]), "the scalar must not be there in clear");
    }

    #[test]
    fn refuses_damaged_bytes() {
        let keyring = Keyring::new(&[7; 32]);
        let key = SigningKey::from_bytes(Curve::K256, &[9; 32]).unwrap();
        let alice = Did::parse("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
        let wrapped = keyring.wrap(&key, Purpose::Signing(&alice), &Counting(1.into()));
        for at in 0..wrapped.len() {
            let mut damaged = wrapped.to_vec();
            damaged[at] ^= 1;
            assert!(keyring.unwrap(&damaged, Purpose::Signing(&alice)).is_err(), "byte {at}");
            assert!(keyring.unwrap(&wrapped[..at], Purpose::Signing(&alice)).is_err(), "length {at}");
        }
    }
}
