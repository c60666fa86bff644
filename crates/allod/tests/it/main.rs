//! The command line as its users meet it: what is printed where, and the exit codes.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod administer;
mod canaries;
mod config;
mod control;
mod dev;
mod did_web;
mod help;
mod installation;
mod mail;
mod migrate_in;
mod process;
mod repo;
mod secrets;
mod sequence;
mod serve;
