//! The lexicons as a run-time schema set: parses lexicon documents and checks JSON against them.
//!
//! [`SchemaSet::built_in`] holds the lexicons that have wire types and those of records; each is parsed when first asked
//! for. Nothing here is global: whoever checks something is handed a set. The texts of [`Invalid`] are those clients know from the reference implementation. Unknown fields are ignored everywhere.
//! Owns no HTTP: which status an [`Invalid`] becomes is decided by the caller.
//!
//! Spec: <https://atproto.com/specs/lexicon>

mod check;
mod definition;
mod document;
mod format;
mod invalid;
mod parameters;
mod set;

#[cfg(test)]
mod tests;

pub use definition::RecordKeyRule;
pub use document::{Document, DocumentError};
pub use invalid::{Invalid, InvalidKind};
pub use set::SchemaSet;
