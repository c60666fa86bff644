//! The public test vectors, one module per folder or subject of `tests/vectors`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a vector that cannot be read fails the test")]

mod car;
mod commit_proofs;
mod crypto;
mod data_model;
mod derived;
mod firehose;
mod identity;
mod mst;
mod plc;
mod syntax;
mod vectors;
