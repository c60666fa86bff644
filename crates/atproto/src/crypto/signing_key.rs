//! Private keys.

use k256::ecdsa::signature::Signer;
use zeroize::Zeroizing;

use super::{Curve, DidKey, KeyError, SIGNATURE_BYTES};

/// A private key, with which repositories, operations and tokens are signed.
///
/// Wiped from memory when dropped; cannot be printed, compared or serialised.
pub struct SigningKey {
    secret: Secret,
    did_key: DidKey,
}

enum Secret {
    K256(k256::ecdsa::SigningKey),
    P256(p256::ecdsa::SigningKey),
}

impl SigningKey {
    /// Makes a key of bytes that `fill` provides, which must be unpredictable. `fill` is called
    /// again in the rare case that its bytes are no key.
    pub fn generate(curve: Curve, fill: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        loop {
            fill(bytes.as_mut_slice());
            if let Ok(key) = Self::from_bytes(curve, &bytes) {
                return key;
            }
        }
    }

    /// Reads the 32 bytes of a private scalar, highest first.
    pub fn from_bytes(curve: Curve, bytes: &[u8; 32]) -> Result<Self, KeyError> {
        const OUT_OF_RANGE: KeyError = KeyError("the private number is out of range");
        match curve {
            Curve::K256 => {
                let secret = k256::ecdsa::SigningKey::from_slice(bytes).map_err(|_| OUT_OF_RANGE)?;
                let did_key = DidKey::from_k256(*secret.verifying_key());
                Ok(Self { secret: Secret::K256(secret), did_key })
            }
            Curve::P256 => {
                let secret = p256::ecdsa::SigningKey::from_slice(bytes).map_err(|_| OUT_OF_RANGE)?;
                let did_key = DidKey::from_p256(secret.verifying_key());
                Ok(Self { secret: Secret::P256(secret), did_key })
            }
        }
    }

    /// Signs the SHA-256 of `message`. Equal messages give equal signatures (RFC 6979).
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        match &self.secret {
            Secret::K256(secret) => {
                let signature: k256::ecdsa::Signature = secret.sign(message);
                signature.normalize_s().to_bytes().into()
            }
            Secret::P256(secret) => {
                let signature: p256::ecdsa::Signature = secret.sign(message);
                signature.normalize_s().to_bytes().into()
            }
        }
    }

    /// The public half.
    pub fn did_key(&self) -> DidKey {
        self.did_key.clone()
    }

    /// The 32 bytes of the private scalar, highest first.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(match &self.secret {
            Secret::K256(secret) => secret.to_bytes().into(),
            Secret::P256(secret) => secret.to_bytes().into(),
        })
    }

    /// The curve.
    pub fn curve(&self) -> Curve {
        self.did_key.curve()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_so_that_its_public_half_agrees() {
        for curve in [Curve::K256, Curve::P256] {
            for seed in 1..24 {
                let key = SigningKey::from_bytes(curve, &[seed; 32]).unwrap();
                let signature = key.sign(b"message");
                assert_eq!(key.did_key().verify(b"message", &signature), Ok(()));
                assert!(key.did_key().verify(b"another", &signature).is_err());
                assert_eq!(*key.to_bytes(), [seed; 32]);
            }
        }
    }

    #[test]
    fn generation_asks_again_when_the_bytes_are_no_key() {
        let mut calls = 0;
        let key = SigningKey::generate(Curve::K256, &mut |bytes| {
            bytes.fill(if calls == 0 { 0xff } else { 7 });
            calls += 1;
        });
        assert_eq!((calls, *key.to_bytes()), (2, [7; 32]));
        assert!(SigningKey::from_bytes(Curve::P256, &[0; 32]).is_err());
    }
}
