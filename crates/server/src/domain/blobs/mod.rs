//! Blobs: bytes that an account uploads and its records refer to.
//!
//! A blob is stored before any record refers to it, and shown only while one does.

pub mod references;
