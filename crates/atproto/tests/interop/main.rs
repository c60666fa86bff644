//! The public test vectors, one module per folder or subject of `tests/vectors`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a vector that cannot be read fails the test")]

mod crypto;
mod data_model;
mod derived;
mod identity;
mod plc;
mod syntax;
mod vectors;
