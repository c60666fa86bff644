//! Keys and operations of the tests.

use allod_atproto::{
    Cid, Did, Handle,
    crypto::{Curve, SigningKey},
    plc::{Operation, UnsignedPlcOperation, UnsignedTombstone},
};

/// A DID's owner with three rotation keys, the most powerful first.
pub(crate) struct Owner {
    pub(crate) keys: [SigningKey; 3],
    handle: String,
}

impl Owner {
    pub(crate) fn new(name: &str) -> Self {
        let key = |n, curve| SigningKey::from_bytes(curve, &[n; 32]).unwrap();
        Self { keys: [key(1, Curve::K256), key(2, Curve::P256), key(3, Curve::K256)], handle: format!("{name}.test") }
    }

    /// The first operation, signed by the last key, and the DID it makes.
    pub(crate) fn genesis(&self) -> (Did, Operation) {
        let operation = self.update(None, 2, "");
        (operation.did().unwrap(), operation)
    }

    /// An operation after `prev`, signed by the key of that index.
    pub(crate) fn update(&self, prev: Option<Cid>, key: usize, note: &str) -> Operation {
        let handle = Handle::parse(&format!("{note}{}", self.handle)).unwrap();
        let keys = self.keys.iter().map(SigningKey::did_key).collect();
        let signing = SigningKey::from_bytes(Curve::K256, &[9; 32]).unwrap().did_key();
        UnsignedPlcOperation::atproto(keys, signing, &handle, "https://pds.test", prev).sign(&self.keys[key])
    }

    pub(crate) fn tombstone(&self, prev: Cid, key: usize) -> Operation {
        UnsignedTombstone { prev }.sign(&self.keys[key])
    }
}
