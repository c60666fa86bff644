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
pub mod meta;
pub mod newest_time;
pub mod phones;
pub mod plc;
pub mod preferences;
pub mod records;
pub mod relays;
pub mod repos;
pub mod scrub;
pub mod sessions;
pub mod sign_up_queue;
pub mod sign_ups;
pub mod signing_keys;
pub mod unconverted_emails;
pub mod used_tokens;

use crate::{Database, ReadError, Row, Rows, SqlValue, Statement};

/// How large a page of a list is at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize {
    /// In rows.
    pub rows: i64,
    /// In bytes of texts and blobs; the row that reaches them is the page's last.
    pub bytes: usize,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Whether there may be more behind the last of them.
    pub may_go_on: bool,
}

impl PageSize {
    async fn read<T>(
        self,
        db: &dyn Database,
        query: Statement,
        read: impl FnMut(&Row) -> Result<T, ReadError>,
    ) -> Result<Page<T>, ReadError> {
        let (rows, may_go_on) = self.rows(db, query).await?;
        Ok(Page { items: all(&rows, read)?, may_go_on })
    }

    /// Reads rows of different accounts, without those that can't be read.
    async fn read_of_many<T>(
        self,
        db: &dyn Database,
        query: Statement,
        read: impl FnMut(&Row) -> Result<T, ReadError>,
    ) -> Result<Page<T>, ReadError> {
        let (rows, may_go_on) = self.rows(db, query).await?;
        Ok(Page { items: readable(&rows, read), may_go_on })
    }

    async fn rows(self, db: &dyn Database, query: Statement) -> Result<(Rows, bool), ReadError> {
        let rows = db.read(query.up_to_bytes(self.bytes)).await?;
        let bytes: usize = rows.iter().flat_map(|row| &row.0).map(SqlValue::content_bytes).sum();
        let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= self.rows) || bytes >= self.bytes;
        let may_go_on = is_full && !rows.is_empty();
        Ok((rows, may_go_on))
    }
}

fn first<T>(rows: &Rows, read: impl FnOnce(&Row) -> Result<T, ReadError>) -> Result<Option<T>, ReadError> {
    let Some(row) = rows.first() else { return Ok(None) };
    read(row).inspect_err(|error| rows.report(row, error)).map(Some)
}

fn all<T>(rows: &Rows, mut read: impl FnMut(&Row) -> Result<T, ReadError>) -> Result<Vec<T>, ReadError> {
    rows.iter().map(|row| read(row).inspect_err(|error| rows.report(row, error))).collect()
}

/// Reads the rows of different accounts: one that can't be read is told of and left out, for the sake of the others.
fn readable<T>(rows: &Rows, mut read: impl FnMut(&Row) -> Result<T, ReadError>) -> Vec<T> {
    rows.iter().filter_map(|row| read(row).inspect_err(|error| rows.report(row, error)).ok()).collect()
}

fn parsed<T, E>(what: &'static str, value: Result<T, E>) -> Result<T, ReadError> {
    value.map_err(|_| ReadError::Corrupt { what })
}
