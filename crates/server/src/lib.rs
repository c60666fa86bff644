//! The PDS: `domain` (accounts, repositories, identity; no HTTP) and the HTTP around it.
//!
//! Inside: `xrpc | pages | well_known -> domain -> store`, never back. `adapters` implements traits of the domain.

pub mod access;
pub mod adapters;
pub mod app;
pub mod config;
pub mod control;
pub mod cors;
pub mod domain;
#[doc(hidden)]
pub mod fuzzing;
pub mod jobs;
pub mod limits;
pub mod pages;
pub mod reply;
pub mod service;
pub mod streams;
pub mod well_known;
pub mod xrpc;
