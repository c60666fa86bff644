//! Records as apps read them: one, a page of a collection, and what there is in a repository.

use allod_atproto::{AtIdentifier, Cid, Did, Nsid, RecordKey, json, repo::RecordPath};
use allod_store::{
    ReadError,
    tables::{
        accounts::{self, Account},
        records::{self, Order, Record},
        repos,
    },
};
use serde_json::Value;

use super::RepoError;
use crate::{
    app::App,
    domain::{
        accounts::Status,
        identity::{Freshness, ResolveError, resolve_document},
    },
};

/// A record as it is shown.
#[derive(Debug)]
pub struct Shown {
    did: Did,
    record: Record,
}

impl Shown {
    /// Writes it as getRecord and listRecords show it: JSON with its URI, CID and value.
    pub fn write_json(&self, out: &mut Vec<u8>) -> Result<(), ShowError> {
        let Self { did, record } = self;
        // URIs and CIDs have nothing that JSON would write otherwise.
        for part in [b"{\"uri\":\"at://", did.as_str().as_bytes(), b"/", record.path.as_bytes()] {
            out.extend_from_slice(part);
        }
        for part in [b"\",\"cid\":\"", &record.cid.to_ascii()[..], b"\",\"value\":"] {
            out.extend_from_slice(part);
        }
        if json::write_json(&record.block, out).is_err() {
            return Err(ShowError::Damaged(did.clone(), record.path.clone()));
        }
        out.push(b'}');
        Ok(())
    }

    /// About how many bytes [`Self::write_json`] writes.
    pub fn json_bytes(&self) -> usize {
        self.record.block.len() * 2 + self.record.path.len() + 192
    }
}

/// A page of a collection.
#[derive(Debug)]
pub struct Page {
    /// The records.
    pub records: Vec<Shown>,
    /// What asks for the next page; none at the end.
    pub cursor: Option<String>,
}

/// Which page of a collection is asked for.
#[derive(Debug)]
pub struct PageRequest<'a> {
    /// Whose.
    pub repo: &'a AtIdentifier,
    /// Which collection.
    pub collection: &'a Nsid,
    /// How many records at most.
    pub limit: i64,
    /// Where the page before ended.
    pub cursor: Option<&'a str>,
    /// Whether the lowest key comes first; else the highest, which for TIDs is the newest.
    pub reverse: bool,
}

/// What is told of a repository.
pub struct Description {
    /// The account.
    pub account: Account,
    /// Its DID document.
    pub document: Value,
    /// Its collections, sorted.
    pub collections: Vec<Nsid>,
    /// Whether the document names the account's handle.
    pub handle_is_correct: bool,
}

/// Why something of a repository is not shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// There is no such record, or none that is shown.
    #[error("Could not locate record: at://{repo}/{collection}/{key}")]
    NoRecord {
        /// Whose.
        repo: AtIdentifier,
        /// In which collection.
        collection: Nsid,
        /// Under which key.
        key: RecordKey,
    },
    /// There is no such repository, or none that is shown.
    #[error("Could not find repo: {0}")]
    NoRepo(AtIdentifier),
    /// The repository is not shown.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The account's DID document can't be had.
    #[error("Could not resolve DID: {0}")]
    Unresolvable(Did),
    /// A stored record is not DAG-CBOR.
    #[error("the stored record at://{0}/{1} is damaged")]
    Damaged(Did, String),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Shows a record of an active account, if its CID is the one asked for.
pub async fn record(
    app: &App,
    repo: &AtIdentifier,
    collection: &Nsid,
    key: &RecordKey,
    cid: Option<Cid>,
) -> Result<Shown, ShowError> {
    let missing = || ShowError::NoRecord { repo: repo.clone(), collection: collection.clone(), key: key.clone() };
    let did = active_did(app, repo).await?.ok_or_else(missing)?;
    let path = RecordPath::new(collection, key);
    let record = records::of_active(&*app.db, &did, &path).await?;
    let record = record.filter(|record| record.takedown_ref.is_none() && cid.is_none_or(|cid| cid == record.cid));
    Ok(Shown { record: record.ok_or_else(missing)?, did })
}

/// Shows a page of a collection of an active account.
pub async fn records(app: &App, request: PageRequest<'_>) -> Result<Page, ShowError> {
    let missing = || ShowError::NoRepo(request.repo.clone());
    let did = active_did(app, request.repo).await?.ok_or_else(missing)?;
    let (between, order) = if request.reverse {
        ((request.cursor, None), Order::Ascending)
    } else {
        ((None, request.cursor), Order::Descending)
    };
    let rows = records::page(&*app.db, &did, request.collection.as_str(), between, order, request.limit).await?;
    if rows.is_empty() {
        let account = accounts::by_did(&*app.db, &did).await?;
        if account.is_none_or(|account| !Status::of(&account).is_active()) {
            return Err(missing());
        }
    }
    let last_key = rows.last().and_then(|record| record.path.split_once('/')).map(|(_, key)| key.to_owned());
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count == request.limit);
    let records = rows.into_iter().map(|record| Shown { did: did.clone(), record }).collect();
    Ok(Page { records, cursor: last_key.filter(|_| is_full) })
}

/// Tells what there is in a repository.
pub async fn describe(app: &App, repo: &AtIdentifier) -> Result<Description, ShowError> {
    let account = match repo {
        AtIdentifier::Did(did) => accounts::by_did(&*app.db, did).await?,
        AtIdentifier::Handle(handle) => accounts::by_handle(&*app.db, handle).await?,
    };
    let account = account.ok_or_else(|| ShowError::NoRepo(repo.clone()))?;
    match Status::of(&account) {
        Status::Active => {}
        Status::TakenDown => return Err(RepoError::TakenDown(account.did).into()),
        Status::Deactivated => return Err(RepoError::Deactivated(account.did).into()),
    }
    let document = match resolve_document(app, &account.did, Freshness::Cached).await {
        Ok(document) => document,
        Err(ResolveError::Read(error)) => return Err(error.into()),
        Err(error) => {
            tracing::info!(did = %account.did, %error, "an account's DID document could not be had");
            return Err(ShowError::Unresolvable(account.did));
        }
    };
    let collections = repos::collections_of(&*app.db, &account.did).await?;
    Ok(Description {
        handle_is_correct: document.handle().as_ref() == Some(&account.handle),
        document: document.json().clone(),
        collections: collections.iter().filter_map(|name| Nsid::parse(name).ok()).collect(),
        account,
    })
}

/// The DID that an identifier stands for here; a DID stands for itself, whether or not it has an account.
async fn active_did(app: &App, repo: &AtIdentifier) -> Result<Option<Did>, ReadError> {
    match repo {
        AtIdentifier::Did(did) => Ok(Some(did.clone())),
        AtIdentifier::Handle(handle) => Ok(accounts::by_handle(&*app.db, handle).await?.map(|account| account.did)),
    }
}
