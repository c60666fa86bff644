//! did:plc operations: what they hold, their bytes, identifiers and signatures.
//!
//! Owns the reading and writing of single operations and of the state they describe. Whether an operation may follow
//! a log of others is not decided here. An operation has three forms: the regular one ([`PlcOperation`]), the
//! [`Tombstone`] that ends a DID, and the retired [`LegacyCreate`], which is read and checked but never made.
//!
//! The bytes are DAG-CBOR; `prev` is a *text* in them, not a link. The operation's CID is over the signed bytes, the
//! signature over the same without `sig`, and the DID is the start of the hash of the first operation's signed bytes.
//!
//! Spec: <https://web.plc.directory/spec/v0.1/did-plc>

mod encode;
mod limits;
mod operation;
mod parse;
mod state;

pub use limits::{
    ALSO_KNOWN_AS_BYTES_MAX, ALSO_KNOWN_AS_MAX, ENDPOINT_BYTES_MAX, ID_BYTES_MAX, KEY_BYTES_MAX,
    NEW_OPERATION_BYTES_MAX, NEW_ROTATION_KEYS_MAX, OPERATION_BYTES_MAX, ROTATION_KEYS_MAX, SERVICE_TYPE_BYTES_MAX,
    SERVICES_MAX, VERIFICATION_METHODS_MAX,
};
pub use operation::{
    LegacyCreate, Operation, PlcOperation, PlcOperationError, Tombstone, UnsignedPlcOperation, UnsignedTombstone,
};
pub use state::{PlcData, Service, VerificationKey};
