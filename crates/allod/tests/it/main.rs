//! The command line as its users meet it: what is printed where, and the exit codes.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]
#![expect(clippy::disallowed_methods, reason = "a test reads the answers of servers that it started")]

mod access_log;
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
mod status;
