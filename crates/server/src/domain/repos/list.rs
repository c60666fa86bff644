//! Lists of repositories.

use allod_atproto::{Did, Nsid};
use allod_store::{
    ReadError,
    tables::{
        PageSize,
        repos::{self, Listed},
    },
};

use crate::{app::App, limits::LIST_ANSWER_BYTES_MAX};

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// What is on it.
    pub repos: Vec<T>,
    /// What asks for the next page; none at the end.
    pub cursor: Option<String>,
}

/// Why a page is not shown.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The cursor is none that a page has given.
    #[error("Malformed cursor")]
    Cursor,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Lists repositories in the order of their accounts' age, whatever their status.
pub async fn all(app: &App, cursor: Option<&str>, limit: i64) -> Result<Page<Listed>, ListError> {
    let after = cursor.map(parse).transpose()?;
    let after = after.as_ref().map(|(time, did)| (*time, did.as_str()));
    let page = repos::page(&*app.db, after, size(limit)).await?;
    let cursor = page.items.last().filter(|_| page.may_go_on).map(cursor_behind);
    Ok(Page { repos: page.items, cursor })
}

/// Lists the active accounts that have records of a collection, in the order of their DIDs.
pub async fn with_collection(
    app: &App,
    collection: &Nsid,
    cursor: Option<&str>,
    limit: i64,
) -> Result<Page<Did>, ListError> {
    let after = cursor.map(Did::parse).transpose().map_err(|_| ListError::Cursor)?;
    let after = after.as_ref().map_or("", Did::as_str);
    let page = repos::with_collection(&*app.db, collection.as_str(), after, size(limit)).await?;
    let cursor = page.items.last().filter(|_| page.may_go_on).map(Did::to_string);
    Ok(Page { repos: page.items, cursor })
}

fn size(rows: i64) -> PageSize {
    PageSize { rows, bytes: LIST_ANSWER_BYTES_MAX }
}

fn cursor_behind(last: &Listed) -> String {
    format!("{}::{}", last.created_at, last.did)
}

fn parse(cursor: &str) -> Result<(i64, Did), ListError> {
    let (time, did) = cursor.split_once("::").ok_or(ListError::Cursor)?;
    Ok((time.parse().map_err(|_| ListError::Cursor)?, Did::parse(did).map_err(|_| ListError::Cursor)?))
}
