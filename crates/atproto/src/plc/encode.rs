//! The canonical bytes of an operation: map keys in DAG-CBOR's order, the shorter first.

use std::collections::BTreeMap;

use super::{
    LegacyCreate, Operation, PlcOperation, Service, Tombstone, UnsignedPlcOperation, UnsignedTombstone, VerificationKey,
};
use crate::{Cid, cbor::Encoder, crypto::DidKey};

const TYPICAL_BYTES: usize = 768;

impl Operation {
    /// The bytes that are signed: the operation without `sig`.
    pub fn unsigned_bytes(&self) -> Vec<u8> {
        self.bytes(None)
    }

    /// The bytes whose hash is the operation's CID.
    pub fn signed_bytes(&self) -> Vec<u8> {
        self.bytes(Some(&self.sig_text()))
    }

    fn bytes(&self, sig: Option<&str>) -> Vec<u8> {
        match self {
            Self::Plc(operation) => regular(&Fields::from(operation), sig),
            Self::Tombstone(Tombstone { prev, .. }) => tombstone(prev, sig),
            Self::LegacyCreate(operation) => legacy_create(operation, sig),
        }
    }
}

impl UnsignedPlcOperation {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let Self { rotation_keys, verification_methods, also_known_as, services, prev } = self;
        let prev = prev.as_ref();
        regular(&Fields { rotation_keys, verification_methods, also_known_as, services, prev }, None)
    }
}

impl UnsignedTombstone {
    pub(super) fn bytes(&self) -> Vec<u8> {
        tombstone(&self.prev, None)
    }
}

struct Fields<'a> {
    rotation_keys: &'a [DidKey],
    verification_methods: &'a BTreeMap<String, VerificationKey>,
    also_known_as: &'a [String],
    services: &'a BTreeMap<String, Service>,
    prev: Option<&'a Cid>,
}

impl<'a> From<&'a PlcOperation> for Fields<'a> {
    fn from(operation: &'a PlcOperation) -> Self {
        let PlcOperation { rotation_keys, verification_methods, also_known_as, services, prev, .. } = operation;
        Self { rotation_keys, verification_methods, also_known_as, services, prev: prev.as_ref() }
    }
}

fn regular(fields: &Fields<'_>, sig: Option<&str>) -> Vec<u8> {
    let mut cbor = start(7, sig);
    prev(&mut cbor, fields.prev);
    cbor.text("type").text("plc_operation").text("services").map(fields.services.len());
    for (name, service) in in_cbor_order(fields.services) {
        cbor.text(name).map(2).text("type").text(&service.kind).text("endpoint").text(&service.endpoint);
    }
    cbor.text("alsoKnownAs").array(fields.also_known_as.len());
    for name in fields.also_known_as {
        cbor.text(name);
    }
    cbor.text("rotationKeys").array(fields.rotation_keys.len());
    for key in fields.rotation_keys {
        cbor.text(key.as_str());
    }
    cbor.text("verificationMethods").map(fields.verification_methods.len());
    for (name, key) in in_cbor_order(fields.verification_methods) {
        cbor.text(name).text(key.as_str());
    }
    cbor.into_bytes()
}

fn tombstone(before: &Cid, sig: Option<&str>) -> Vec<u8> {
    let mut cbor = start(3, sig);
    prev(&mut cbor, Some(before));
    cbor.text("type").text("plc_tombstone");
    cbor.into_bytes()
}

fn legacy_create(operation: &LegacyCreate, sig: Option<&str>) -> Vec<u8> {
    let mut cbor = start(7, sig);
    prev(&mut cbor, None);
    cbor.text("type").text("create");
    cbor.text("handle").text(&operation.handle);
    cbor.text("service").text(&operation.service);
    cbor.text("signingKey").text(operation.signing_key.as_str());
    cbor.text("recoveryKey").text(operation.recovery_key.as_str());
    cbor.into_bytes()
}

fn start(fields: usize, sig: Option<&str>) -> Encoder {
    let mut cbor = Encoder::with_capacity(TYPICAL_BYTES);
    match sig {
        Some(sig) => cbor.map(fields).text("sig").text(sig),
        None => cbor.map(fields - 1),
    };
    cbor
}

fn prev(cbor: &mut Encoder, prev: Option<&Cid>) {
    cbor.text("prev");
    match prev {
        Some(cid) => cbor.text(&cid.to_string()),
        None => cbor.null(),
    };
}

fn in_cbor_order<T>(map: &BTreeMap<String, T>) -> Vec<(&String, &T)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(name, _)| name.len());
    entries
}
