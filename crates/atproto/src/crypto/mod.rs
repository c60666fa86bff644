//! Keys and signatures: ECDSA over SHA-256 on the two curves of the protocol.
//!
//! A key carries its curve, so no caller can pair a key with another algorithm. Signatures are the
//! 64 bytes of `r` and `s`, and `s` is always the lower of its two forms.
//!
//! Spec: <https://atproto.com/specs/cryptography>

mod did_key;
mod signing_key;

pub use did_key::DidKey;
pub use signing_key::SigningKey;

/// The length of a signature, in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// The curves that the protocol uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Curve {
    /// secp256k1, the one for new keys.
    K256,
    /// NIST P-256, also called secp256r1.
    P256,
}

impl Curve {
    /// The name of the curve's signatures in a JWT header.
    pub fn jwt_alg(self) -> &'static str {
        match self {
            Self::K256 => "ES256K",
            Self::P256 => "ES256",
        }
    }

    /// The varint that marks a compressed public key of this curve in a multikey.
    fn multicodec(self) -> [u8; 2] {
        match self {
            Self::K256 => [0xe7, 0x01],
            Self::P256 => [0x80, 0x24],
        }
    }
}

/// Bytes or text that are not a key of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid key: {0}")]
pub struct KeyError(&'static str);

/// A signature that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not 64 bytes of two numbers in range; a DER signature among others.
    #[error("Signature is malformed")]
    Malformed,
    /// Sound, but in the higher of the two forms, which the protocol forbids.
    #[error("Signature is not in low-S form")]
    HighS,
    /// Made by another key or over other bytes.
    #[error("Signature does not match")]
    Mismatch,
}
