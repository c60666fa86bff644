//! What a did:plc is at a point of its log, and the DID document that says so.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value as Json, json};

use super::PlcOperationError;
use crate::{Did, base58, crypto::DidKey, did_doc::DidDocument};

/// The state that an operation sets, normalised: what a log's last valid operation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlcData {
    /// The keys that may sign the next operation, the most powerful first.
    pub rotation_keys: Vec<DidKey>,
    /// Keys of the DID document by name, without `#`.
    pub verification_methods: BTreeMap<String, VerificationKey>,
    /// Other names, the handle as `at://…` among them.
    pub also_known_as: Vec<String>,
    /// Services by name, without `#`.
    pub services: BTreeMap<String, Service>,
}

impl PlcData {
    /// Renders the DID document as plc.directory does.
    pub fn document(&self, did: &Did) -> DidDocument {
        DidDocument::from_plc_data(
            did,
            self.also_known_as.iter().map(String::as_str),
            self.verification_methods.iter().map(|(name, key)| (name.as_str(), key.as_str())),
            self.services.iter().map(|(name, s)| (name.as_str(), s.kind.as_str(), s.endpoint.as_str())),
        )
    }

    /// Renders the state as `GET /:did/data` gives it.
    pub fn to_json(&self, did: &Did) -> Json {
        let Self { rotation_keys, verification_methods, also_known_as, services } = self;
        json!({
            "did": did,
            "verificationMethods": keys_json(verification_methods),
            "rotationKeys": rotation_keys,
            "alsoKnownAs": also_known_as,
            "services": services_json(services),
        })
    }
}

/// A service of a DID: where something runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The type, such as `AtprotoPersonalDataServer`.
    pub kind: String,
    /// The address.
    pub endpoint: String,
}

/// A `did:key` of any kind: verification methods may be keys that this crate can't verify with.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerificationKey(String);

impl VerificationKey {
    /// Reads a `did:key:z…` whose multibase part is base58; what kind of key it is, is not looked at.
    pub fn parse(text: &str) -> Result<Self, PlcOperationError> {
        let digits = text.strip_prefix("did:key:z").filter(|digits| !digits.is_empty());
        match digits.and_then(base58::decode) {
            Some(_) => Ok(Self(text.to_owned())),
            None => {
                Err(PlcOperationError::Invalid { field: "verificationMethods", reason: "has a key that is no did:key" })
            }
        }
    }

    /// The whole `did:key:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key, when it is of a kind that the AT Protocol signs with.
    pub fn did_key(&self) -> Option<DidKey> {
        DidKey::parse(&self.0).ok()
    }
}

impl From<DidKey> for VerificationKey {
    fn from(key: DidKey) -> Self {
        Self(key.as_str().to_owned())
    }
}

impl AsRef<str> for VerificationKey {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerificationKey({})", self.0)
    }
}

pub(super) fn keys_json(keys: &BTreeMap<String, VerificationKey>) -> Json {
    keys.iter().map(|(name, key)| (name.clone(), Json::from(key.as_str()))).collect::<serde_json::Map<_, _>>().into()
}

pub(super) fn services_json(services: &BTreeMap<String, Service>) -> Json {
    let entry = |(name, service): (&String, &Service)| {
        (name.clone(), json!({ "type": service.kind, "endpoint": service.endpoint }))
    };
    services.iter().map(entry).collect::<serde_json::Map<_, _>>().into()
}
