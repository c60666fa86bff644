//! Public keys, as `did:key` and as the multibase text in DID documents.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use k256::ecdsa::signature::Verifier;
use k256::elliptic_curve::scalar::IsHigh;

use super::{Curve, KeyError, SIGNATURE_BYTES, SignatureError};
use crate::base58;

const DID_KEY_PREFIX: &str = "did:key:";
/// The length of a point with one coordinate and a sign.
const COMPRESSED_BYTES: usize = 33;
/// The length of a point with both coordinates.
const UNCOMPRESSED_BYTES: usize = 65;

const NOT_ON_CURVE: KeyError = KeyError("not a point of its curve");

/// A public key, known to be a point of its curve. Its text is a `did:key`.
#[derive(Clone)]
pub struct DidKey {
    text: Arc<str>,
    point: Point,
}

#[derive(Clone)]
enum Point {
    K256(k256::ecdsa::VerifyingKey),
    /// Uncompressed, as the verifier wants it.
    P256([u8; UNCOMPRESSED_BYTES]),
}

impl DidKey {
    /// Parses `did:key:z…` of either curve.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let multibase = text.strip_prefix(DID_KEY_PREFIX).ok_or(KeyError("does not begin with \"did:key:\""))?;
        Self::from_multibase(multibase)
    }

    /// Parses the `publicKeyMultibase` of a `Multikey`: base58 of a curve's mark and a compressed point.
    pub fn from_multibase(text: &str) -> Result<Self, KeyError> {
        let bytes = decode_base58(text)?;
        let (mark, point) = bytes.split_first_chunk::<2>().ok_or(KeyError("too short"))?;
        let curve = [Curve::K256, Curve::P256]
            .into_iter()
            .find(|curve| curve.multicodec() == *mark)
            .ok_or(KeyError("of an unknown kind"))?;
        if point.len() != COMPRESSED_BYTES {
            return Err(KeyError("must be a compressed point of 33 bytes"));
        }
        Self::from_point(curve, point)
    }

    /// Parses the `publicKeyMultibase` of the older document types, which name the curve: base58 of
    /// a bare point, compressed or not.
    pub fn from_legacy_multibase(curve: Curve, text: &str) -> Result<Self, KeyError> {
        Self::from_point(curve, &decode_base58(text)?)
    }

    /// Reads a point in SEC 1 form: 33 bytes compressed or 65 bytes uncompressed.
    pub fn from_point(curve: Curve, bytes: &[u8]) -> Result<Self, KeyError> {
        let has_shape =
            matches!((bytes.first(), bytes.len()), (Some(2 | 3), COMPRESSED_BYTES) | (Some(4), UNCOMPRESSED_BYTES));
        if !has_shape {
            return Err(KeyError("must be a compressed or uncompressed point"));
        }
        match curve {
            Curve::K256 => {
                k256::ecdsa::VerifyingKey::from_sec1_bytes(bytes).map(Self::from_k256).map_err(|_| NOT_ON_CURVE)
            }
            Curve::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes)
                .map(|key| Self::from_p256(&key))
                .map_err(|_| NOT_ON_CURVE),
        }
    }

    pub(super) fn from_k256(key: k256::ecdsa::VerifyingKey) -> Self {
        let text = did_key_text(Curve::K256, key.to_sec1_point(true).as_bytes());
        Self { text, point: Point::K256(key) }
    }

    pub(super) fn from_p256(key: &p256::ecdsa::VerifyingKey) -> Self {
        let text = did_key_text(Curve::P256, key.to_sec1_point(true).as_bytes());
        let mut point = [0; UNCOMPRESSED_BYTES];
        point.copy_from_slice(key.to_sec1_point(false).as_bytes());
        Self { text, point: Point::P256(point) }
    }

    /// The text, `did:key:z…`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text without `did:key:`, as in the `publicKeyMultibase` of a `Multikey`.
    pub fn multibase(&self) -> &str {
        self.text.strip_prefix(DID_KEY_PREFIX).unwrap_or_default()
    }

    /// The curve.
    pub fn curve(&self) -> Curve {
        match self.point {
            Point::K256(_) => Curve::K256,
            Point::P256(_) => Curve::P256,
        }
    }

    /// Verifies a signature over the SHA-256 of `message`: 64 bytes, in low-S form.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if is_high_s(self.curve(), signature)? {
            return Err(SignatureError::HighS);
        }
        self.verify_allowing_high_s(message, signature)
    }

    /// Verifies a signature over the SHA-256 of `message`: 64 bytes, in either form. For tokens
    /// made elsewhere only, where a second form of a signature does no harm.
    pub fn verify_allowing_high_s(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        match &self.point {
            Point::K256(key) => {
                let signature = parse_k256(signature)?.normalize_s();
                key.verify(message, &signature).map_err(|_| SignatureError::Mismatch)
            }
            Point::P256(point) => {
                parse_p256(signature)?;
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point.as_slice())
                    .verify(message, signature)
                    .map_err(|_| SignatureError::Mismatch)
            }
        }
    }
}

fn decode_base58(text: &str) -> Result<Vec<u8>, KeyError> {
    let digits = text.strip_prefix('z').ok_or(KeyError("must be in base58 (begin with \"z\")"))?;
    base58::decode(digits).ok_or(KeyError("not base58"))
}

fn did_key_text(curve: Curve, compressed: &[u8]) -> Arc<str> {
    let mut bytes = curve.multicodec().to_vec();
    bytes.extend_from_slice(compressed);
    format!("{DID_KEY_PREFIX}z{}", base58::encode(&bytes)).into()
}

fn is_high_s(curve: Curve, signature: &[u8]) -> Result<bool, SignatureError> {
    Ok(match curve {
        Curve::K256 => parse_k256(signature)?.s().is_high().into(),
        Curve::P256 => parse_p256(signature)?.s().is_high().into(),
    })
}

fn parse_k256(signature: &[u8]) -> Result<k256::ecdsa::Signature, SignatureError> {
    let bytes: &[u8; SIGNATURE_BYTES] = signature.try_into().map_err(|_| SignatureError::Malformed)?;
    k256::ecdsa::Signature::from_slice(bytes).map_err(|_| SignatureError::Malformed)
}

fn parse_p256(signature: &[u8]) -> Result<p256::ecdsa::Signature, SignatureError> {
    let bytes: &[u8; SIGNATURE_BYTES] = signature.try_into().map_err(|_| SignatureError::Malformed)?;
    p256::ecdsa::Signature::from_slice(bytes).map_err(|_| SignatureError::Malformed)
}

impl PartialEq for DidKey {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for DidKey {}

impl PartialOrd for DidKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DidKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for DidKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for DidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for DidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DidKey({})", self.text)
    }
}

impl AsRef<str> for DidKey {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl std::str::FromStr for DidKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for DidKey {
    type Error = KeyError;

    fn try_from(text: &str) -> Result<Self, KeyError> {
        Self::parse(text)
    }
}

impl serde::Serialize for DidKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for DidKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SigningKey;

    #[test]
    fn has_one_text_only() {
        for (curve, seed) in [(Curve::K256, 1), (Curve::K256, 2), (Curve::P256, 1), (Curve::P256, 3)] {
            let key = SigningKey::from_bytes(curve, &[seed; 32]).unwrap().did_key();
            let bytes = base58::decode(&key.multibase()[1..]).unwrap();
            for tag in (0..=255).filter(|tag| *tag != bytes[2]) {
                let mut other = bytes.clone();
                other[2] = tag;
                let parsed = DidKey::from_multibase(&format!("z{}", base58::encode(&other)));
                assert!(parsed.is_err() || (matches!(tag, 2 | 3) && parsed.unwrap() != key), "tag {tag}");
            }
            assert_eq!(DidKey::parse(key.as_str()), Ok(key));
        }
    }

    #[test]
    fn reads_keys_without_a_mark_only_when_told_the_curve() {
        let key = SigningKey::from_bytes(Curve::P256, &[9; 32]).unwrap().did_key();
        let Point::P256(uncompressed) = &key.point else { panic!("not P-256") };
        let text = format!("z{}", base58::encode(uncompressed));
        assert_eq!(DidKey::from_legacy_multibase(Curve::P256, &text), Ok(key));
        assert!(DidKey::from_legacy_multibase(Curve::K256, &text).is_err());
        assert!(DidKey::from_multibase(&text).is_err());
    }

    #[test]
    fn refuses_what_is_no_signature() {
        for curve in [Curve::K256, Curve::P256] {
            let key = SigningKey::from_bytes(curve, &[4; 32]).unwrap();
            let signature = key.sign(b"m");
            let malformed: [&[u8]; 5] =
                [b"", &signature[..63], &[signature.as_slice(), &[0]].concat(), &[0; 64], &[0xff; 64]];
            for bytes in malformed {
                assert_eq!(key.did_key().verify(b"m", bytes), Err(SignatureError::Malformed));
            }
        }
    }

    #[test]
    fn refuses_what_is_no_key() {
        for text in
            ["", "did:key:", "did:key:z", "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK", "did:key:zO0l"]
        {
            assert!(DidKey::parse(text).is_err(), "{text}");
        }
        assert!(DidKey::parse(&format!("did:key:z{}", "2".repeat(100_000))).is_err());
    }
}
