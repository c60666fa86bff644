//! The operations themselves: identifiers, signing, verifying, JSON.

use std::collections::BTreeMap;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::state::{keys_json, services_json};
use super::{PlcData, Service, VerificationKey};
use crate::{
    Cid, Did, Handle,
    crypto::{DidKey, SIGNATURE_BYTES, SigningKey},
};

const DID_DIGITS: usize = 24;
const PDS_SERVICE_TYPE: &str = "AtprotoPersonalDataServer";

/// A signed operation of any form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// `plc_operation`: makes a DID or sets its whole state.
    Plc(PlcOperation),
    /// `plc_tombstone`: ends a DID.
    Tombstone(Tombstone),
    /// `create`: how DIDs were made until 2023. Read and verified in its own form, never made.
    LegacyCreate(LegacyCreate),
}

/// A signed `plc_operation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlcOperation {
    /// The keys that may sign the next operation, the most powerful first.
    pub rotation_keys: Vec<DidKey>,
    /// Keys of the DID document by name, without `#`.
    pub verification_methods: BTreeMap<String, VerificationKey>,
    /// Other names, the handle as `at://…` among them.
    pub also_known_as: Vec<String>,
    /// Services by name, without `#`.
    pub services: BTreeMap<String, Service>,
    /// The operation that this one follows; `None` in the first.
    pub prev: Option<Cid>,
    /// The signature: r and s, 32 bytes each.
    pub sig: [u8; SIGNATURE_BYTES],
}

/// A signed `plc_tombstone`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// The operation that this one follows.
    pub prev: Cid,
    /// The signature: r and s, 32 bytes each.
    pub sig: [u8; SIGNATURE_BYTES],
}

/// A signed `create` operation of the retired form; its `prev` is always null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyCreate {
    /// The repository's key, which was also the second rotation key.
    pub signing_key: DidKey,
    /// The first rotation key.
    pub recovery_key: DidKey,
    /// The handle, without `at://`.
    pub handle: String,
    /// The PDS's address.
    pub service: String,
    /// The signature: r and s, 32 bytes each.
    pub sig: [u8; SIGNATURE_BYTES],
}

/// A `plc_operation` to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsignedPlcOperation {
    /// The keys that may sign the next operation, the most powerful first.
    pub rotation_keys: Vec<DidKey>,
    /// Keys of the DID document by name, without `#`.
    pub verification_methods: BTreeMap<String, VerificationKey>,
    /// Other names, the handle as `at://…` among them.
    pub also_known_as: Vec<String>,
    /// Services by name, without `#`.
    pub services: BTreeMap<String, Service>,
    /// The operation that this one follows; `None` in the first.
    pub prev: Option<Cid>,
}

/// A `plc_tombstone` to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsignedTombstone {
    /// The operation that this one follows.
    pub prev: Cid,
}

/// Why something is not a valid operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlcOperationError {
    /// A part is missing, of another type, or breaks a rule.
    #[error("Not a valid operation: {field} {reason}")]
    Invalid {
        /// The field, as the operation's JSON names it.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The signed CBOR is larger than allowed.
    #[error("Operation too large: {bytes} bytes (max {bytes_max})")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The largest allowed.
        bytes_max: usize,
    },
    /// No key given made the signature.
    #[error("Invalid signature on op")]
    InvalidSignature,
    /// A DID was asked of an operation that is not the first of one.
    #[error("Not a genesis operation")]
    NotGenesis,
}

impl Operation {
    /// The operation's identifier, over its signed bytes in their original form.
    pub fn cid(&self) -> Cid {
        Cid::for_cbor(&self.signed_bytes())
    }

    /// The DID that a genesis operation makes: the first 24 digits of its hash in base32.
    ///
    /// # Errors
    /// [`PlcOperationError::NotGenesis`] for an operation that follows another.
    pub fn did(&self) -> Result<Did, PlcOperationError> {
        if self.prev().is_some() {
            return Err(PlcOperationError::NotGenesis);
        }
        let mut text = BASE32_NOPAD.encode(&Sha256::digest(self.signed_bytes())).to_ascii_lowercase();
        text.truncate(DID_DIGITS);
        Did::parse(&format!("did:plc:{text}")).map_err(|_| PlcOperationError::NotGenesis)
    }

    /// The operation that this one follows; `None` for a genesis operation.
    pub fn prev(&self) -> Option<Cid> {
        match self {
            Self::Plc(operation) => operation.prev,
            Self::Tombstone(tombstone) => Some(tombstone.prev),
            Self::LegacyCreate(_) => None,
        }
    }

    /// The state that the operation sets, normalised; `None` for a tombstone.
    pub fn data(&self) -> Option<PlcData> {
        match self {
            Self::Plc(operation) => Some(operation.data()),
            Self::Tombstone(_) => None,
            Self::LegacyCreate(operation) => Some(operation.data()),
        }
    }

    /// Tells which of `keys` made the signature: the index of the first that did.
    ///
    /// # Errors
    /// [`PlcOperationError::InvalidSignature`] when none did, or the signature's `s` is in the upper half.
    pub fn verify_signature(&self, keys: &[DidKey]) -> Result<usize, PlcOperationError> {
        let (bytes, sig) = (self.unsigned_bytes(), self.sig());
        let signed = |key: &DidKey| key.verify(&bytes, sig).is_ok();
        keys.iter().position(signed).ok_or(PlcOperationError::InvalidSignature)
    }

    /// Writes the operation as directories take and give it.
    pub fn to_json(&self) -> Json {
        let sig = self.sig_text();
        match self {
            Self::Plc(operation) => json!({
                "sig": sig,
                "prev": operation.prev,
                "type": "plc_operation",
                "services": services_json(&operation.services),
                "alsoKnownAs": operation.also_known_as,
                "rotationKeys": operation.rotation_keys,
                "verificationMethods": keys_json(&operation.verification_methods),
            }),
            Self::Tombstone(tombstone) => json!({ "sig": sig, "prev": tombstone.prev, "type": "plc_tombstone" }),
            Self::LegacyCreate(operation) => json!({
                "sig": sig,
                "prev": null,
                "type": "create",
                "handle": operation.handle,
                "service": operation.service,
                "signingKey": operation.signing_key,
                "recoveryKey": operation.recovery_key,
            }),
        }
    }

    pub(super) fn sig_text(&self) -> String {
        BASE64URL_NOPAD.encode(self.sig())
    }

    fn sig(&self) -> &[u8; SIGNATURE_BYTES] {
        match self {
            Self::Plc(operation) => &operation.sig,
            Self::Tombstone(tombstone) => &tombstone.sig,
            Self::LegacyCreate(operation) => &operation.sig,
        }
    }
}

impl PlcOperation {
    /// The state that the operation sets.
    pub fn data(&self) -> PlcData {
        PlcData {
            rotation_keys: self.rotation_keys.clone(),
            verification_methods: self.verification_methods.clone(),
            also_known_as: self.also_known_as.clone(),
            services: self.services.clone(),
        }
    }
}

impl LegacyCreate {
    /// The state that the operation sets, in the present form.
    fn data(&self) -> PlcData {
        let service = Service { kind: PDS_SERVICE_TYPE.to_owned(), endpoint: with_http_scheme(&self.service) };
        PlcData {
            rotation_keys: vec![self.recovery_key.clone(), self.signing_key.clone()],
            verification_methods: BTreeMap::from([("atproto".to_owned(), self.signing_key.clone().into())]),
            also_known_as: vec![with_at_scheme(&self.handle)],
            services: BTreeMap::from([("atproto_pds".to_owned(), service)]),
        }
    }
}

impl UnsignedPlcOperation {
    /// Describes an AT Protocol account: its handle, its repository's key and its PDS.
    pub fn atproto(
        rotation_keys: Vec<DidKey>,
        signing_key: DidKey,
        handle: &Handle,
        pds_endpoint: &str,
        prev: Option<Cid>,
    ) -> Self {
        let service = Service { kind: PDS_SERVICE_TYPE.to_owned(), endpoint: pds_endpoint.to_owned() };
        Self {
            rotation_keys,
            verification_methods: BTreeMap::from([("atproto".to_owned(), signing_key.into())]),
            also_known_as: vec![format!("at://{handle}")],
            services: BTreeMap::from([("atproto_pds".to_owned(), service)]),
            prev,
        }
    }

    /// Sets `data` after the operation `prev`.
    pub fn from_data(data: PlcData, prev: Option<Cid>) -> Self {
        let PlcData { rotation_keys, verification_methods, also_known_as, services } = data;
        Self { rotation_keys, verification_methods, also_known_as, services, prev }
    }

    /// Signs the operation; whether the key may do so is not looked at.
    pub fn sign(self, key: &SigningKey) -> Operation {
        let sig = key.sign(&self.bytes());
        let Self { rotation_keys, verification_methods, also_known_as, services, prev } = self;
        Operation::Plc(PlcOperation { rotation_keys, verification_methods, also_known_as, services, prev, sig })
    }
}

impl UnsignedTombstone {
    /// Signs the tombstone; whether the key may do so is not looked at.
    pub fn sign(self, key: &SigningKey) -> Operation {
        let sig = key.sign(&self.bytes());
        Operation::Tombstone(Tombstone { prev: self.prev, sig })
    }
}

fn with_http_scheme(service: &str) -> String {
    let has_scheme = service.starts_with("http://") || service.starts_with("https://");
    if has_scheme { service.to_owned() } else { format!("https://{service}") }
}

fn with_at_scheme(handle: &str) -> String {
    if handle.starts_with("at://") {
        return handle.to_owned();
    }
    let bare = handle.strip_prefix("https://").or_else(|| handle.strip_prefix("http://")).unwrap_or(handle);
    format!("at://{bare}")
}
