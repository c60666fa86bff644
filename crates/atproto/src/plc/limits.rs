//! How large an operation may be.
//!
//! Two measures: what is read (every valid operation of the public logs must pass) and what is taken as new, where the
//! stricter of the specification and of plc.directory's own checks holds, so that any directory accepts it.

use std::collections::HashSet;

use super::{Operation, PlcOperation, PlcOperationError};

/// The largest operation that is read, in bytes of signed CBOR. Spec: "Operation Serialization, Signing, and Validation".
pub const OPERATION_BYTES_MAX: usize = 7500;
/// The largest operation that is taken as new, in bytes of signed CBOR (plc.directory's measure).
pub const NEW_OPERATION_BYTES_MAX: usize = 4000;
/// The most rotation keys that are read; old operations may repeat one or have none.
pub const ROTATION_KEYS_MAX: usize = 10;
/// The most rotation keys of a new operation; at least one, all different.
pub const NEW_ROTATION_KEYS_MAX: usize = 5;
/// The most `alsoKnownAs` entries.
pub const ALSO_KNOWN_AS_MAX: usize = 10;
/// The longest `alsoKnownAs` entry, in bytes.
pub const ALSO_KNOWN_AS_BYTES_MAX: usize = 258;
/// The most services.
pub const SERVICES_MAX: usize = 10;
/// The most verification methods.
pub const VERIFICATION_METHODS_MAX: usize = 10;
/// The longest name of a service or verification method, in bytes.
pub const ID_BYTES_MAX: usize = 32;
/// The longest service type, in bytes.
pub const SERVICE_TYPE_BYTES_MAX: usize = 256;
/// The longest service endpoint, in bytes.
pub const ENDPOINT_BYTES_MAX: usize = 512;
/// The longest `did:key`, in bytes.
pub const KEY_BYTES_MAX: usize = 256;

impl Operation {
    /// Checks what only a new operation must meet: the present form, and the stricter sizes.
    pub fn check_new(&self) -> Result<(), PlcOperationError> {
        let bytes = self.signed_bytes().len();
        if bytes > NEW_OPERATION_BYTES_MAX {
            return Err(PlcOperationError::TooLarge { bytes, bytes_max: NEW_OPERATION_BYTES_MAX });
        }
        match self {
            Self::Plc(operation) => check(operation),
            Self::Tombstone(_) => Ok(()),
            Self::LegacyCreate(_) => Err(limit("type", "\"create\" is no longer accepted")),
        }
    }
}

fn check(operation: &PlcOperation) -> Result<(), PlcOperationError> {
    let keys = &operation.rotation_keys;
    if keys.is_empty() {
        return Err(limit("rotationKeys", "needs at least one key"));
    }
    if keys.len() > NEW_ROTATION_KEYS_MAX {
        return Err(limit("rotationKeys", "has too many items (max 5)"));
    }
    if !all_differ(keys) {
        return Err(limit("rotationKeys", "has a duplicate"));
    }
    if operation.also_known_as.iter().any(|name| name.len() > ALSO_KNOWN_AS_BYTES_MAX) {
        return Err(limit("alsoKnownAs", "has an item that is too long (max 258)"));
    }
    if !all_differ(&operation.also_known_as) {
        return Err(limit("alsoKnownAs", "has a duplicate"));
    }
    if operation.verification_methods.keys().any(|id| id.len() > ID_BYTES_MAX) {
        return Err(limit("verificationMethods", "has an id that is too long (max 32)"));
    }
    if operation.verification_methods.values().any(|key| key.as_str().len() > KEY_BYTES_MAX) {
        return Err(limit("verificationMethods", "has a key that is too long (max 256)"));
    }
    if operation.services.keys().any(|id| id.len() > ID_BYTES_MAX) {
        return Err(limit("services", "has an id that is too long (max 32)"));
    }
    if operation.services.values().any(|service| service.kind.len() > SERVICE_TYPE_BYTES_MAX) {
        return Err(limit("services", "has a type that is too long (max 256)"));
    }
    if operation.services.values().any(|service| service.endpoint.len() > ENDPOINT_BYTES_MAX) {
        return Err(limit("services", "has an endpoint that is too long (max 512)"));
    }
    Ok(())
}

fn all_differ<T: Eq + std::hash::Hash>(items: &[T]) -> bool {
    let mut seen = HashSet::with_capacity(items.len());
    items.iter().all(|item| seen.insert(item))
}

fn limit(field: &'static str, reason: &'static str) -> PlcOperationError {
    PlcOperationError::Invalid { field, reason }
}
