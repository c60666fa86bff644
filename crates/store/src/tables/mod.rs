//! The SQL of the project: one module per group of tables, typed reads and typed additions to a transaction.

pub mod accounts;
pub mod admin_tokens;
pub mod app_passwords;
pub mod audit;
pub mod blobs;
pub mod denied_blobs;
pub mod did_web;
pub mod email_codes;
pub mod identity_changes;
pub mod invites;
pub mod known_networks;
pub mod mail;
pub mod phones;
pub mod plc;
pub mod preferences;
pub mod records;
pub mod relays;
pub mod repos;
pub mod sessions;
pub mod sign_up_queue;
pub mod sign_ups;
pub mod signing_keys;
pub mod used_tokens;

use crate::{ReadError, Row, Rows};

fn first<T>(rows: &Rows, read: impl FnOnce(&Row) -> Result<T, ReadError>) -> Result<Option<T>, ReadError> {
    rows.first().map(read).transpose()
}

fn all<T>(rows: &Rows, read: impl FnMut(&Row) -> Result<T, ReadError>) -> Result<Vec<T>, ReadError> {
    rows.iter().map(read).collect()
}

fn parsed<T, E>(what: &'static str, value: Result<T, E>) -> Result<T, ReadError> {
    value.map_err(|_| ReadError::Corrupt { what })
}
