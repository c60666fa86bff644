//! Records as apps read them: one, a page of a collection, and what there is in a repository.

use std::sync::Arc;

use allod_atproto::{AtIdentifier, Cid, Did, Nsid, RecordKey, json, repo::RecordPath};
use allod_net::resolver::Freshness;
use allod_store::{
    ReadError,
    tables::{
        PageSize,
        accounts::{self, Account},
        records::{self, Order, Record},
        repos,
    },
};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::{Reader, RepoError};
use crate::{
    app::App,
    domain::{account_status::Status, identity_lookup::DocumentError, integrity},
    limits::{LIST_ANSWER_BYTES_MAX, RECORD_PAGE_BYTES_MAX},
};

/// A record as it is shown.
#[derive(Debug)]
pub struct Shown {
    did: Did,
    record: Record,
    /// Whether its bytes are not those of its CID.
    is_damaged: bool,
    /// One of the pages that are read and written as JSON at once.
    _turn: Option<OwnedSemaphorePermit>,
}

impl Shown {
    /// Writes it as getRecord and listRecords show it: JSON with its URI, CID and value.
    pub fn write_json(&self, out: &mut Vec<u8>) -> Result<(), ShowError> {
        let Self { did, record, .. } = self;
        if self.is_damaged {
            return Err(ShowError::Damaged(did.clone(), record.path.clone()));
        }
        // URIs and CIDs have nothing that JSON would write otherwise.
        for part in [b"{\"uri\":\"at://", did.as_str().as_bytes(), b"/", record.path.as_bytes()] {
            out.extend_from_slice(part);
        }
        for part in [b"\",\"cid\":\"", &record.cid.to_ascii()[..], b"\",\"value\":"] {
            out.extend_from_slice(part);
        }
        if json::write_json(&record.block, out).is_err() {
            return Err(ShowError::Unreadable(did.clone(), record.path.clone()));
        }
        out.push(b'}');
        Ok(())
    }

    /// About how many bytes [`Self::write_json`] writes.
    pub fn json_bytes(&self) -> usize {
        self.record.block.len() + self.record.block.len() / 4 + self.record.path.len() + 192
    }

    fn key(&self) -> &str {
        self.record.path.split_once('/').map_or("", |(_, key)| key)
    }
}

/// A page of a collection.
#[derive(Debug)]
pub struct Page {
    /// The records.
    pub records: Vec<Shown>,
    /// Whether there may be more behind the last of them.
    pub may_go_on: bool,
    /// One of the pages that are read and written as JSON at once.
    _turn: Option<OwnedSemaphorePermit>,
}

impl Page {
    /// Writes the page as listRecords shows it. It ends before its last record when it gets too long.
    pub fn write_json(&self) -> Result<Vec<u8>, ShowError> {
        let bytes: usize = self.records.iter().map(Shown::json_bytes).sum();
        let mut json = Vec::with_capacity(bytes + 64);
        json.extend_from_slice(b"{\"records\":[");
        let (mut last, mut is_first) = (None, true);
        for record in &self.records {
            let before = json.len();
            if !is_first {
                if before >= LIST_ANSWER_BYTES_MAX {
                    break;
                }
                json.push(b',');
            }
            match record.write_json(&mut json) {
                Ok(()) => is_first = false,
                // The others can be read all the same; getRecord says what is wrong with this one.
                Err(ShowError::Unreadable(..) | ShowError::Damaged(..)) => json.truncate(before),
                Err(error) => return Err(error),
            }
            last = Some(record);
        }
        json.push(b']');
        let is_cut = last.map(Shown::key) != self.records.last().map(Shown::key);
        if let Some(last) = last.filter(|_| is_cut || self.may_go_on) {
            // A record key has nothing that JSON would write otherwise.
            json.extend_from_slice(format!(",\"cursor\":\"{}\"", last.key()).as_bytes());
        }
        json.push(b'}');
        Ok(json)
    }
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
    /// Its collections, sorted; not all, where they come to more than an answer has room for.
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
    /// The stored bytes of a record are not those of its CID.
    #[error("the stored record at://{0}/{1} is damaged")]
    Damaged(Did, String),
    /// A record came with an import and holds what JSON of the protocol can't say: a float, or the like.
    #[error(
        "The record at://{0}/{1} can't be shown as JSON: it is not valid in the data model. com.atproto.sync.getRecord has its bytes"
    )]
    Unreadable(Did, String),
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
    let turn = turn(app).await;
    let record = records::of_active(&*app.db, &did, &path).await?;
    let record = record.filter(|record| record.takedown_ref.is_none() && cid.is_none_or(|cid| cid == record.cid));
    match record {
        Some(record) if is_whole(app, &did, &record) => Ok(Shown { record, did, is_damaged: false, _turn: turn }),
        Some(record) => Err(ShowError::Damaged(did, record.path)),
        None => Err(inactive(app, &did).await.unwrap_or_else(missing)),
    }
}

/// Whether a record's bytes are those of its CID; reports them if not.
fn is_whole(app: &App, did: &Did, record: &Record) -> bool {
    let is_whole = record.cid.matches(&record.block);
    if !is_whole {
        app.integrity.report(&integrity::record(did, &record.path), integrity::BYTES_CHANGED);
    }
    is_whole
}

/// Why nothing of an account is shown, if it is because the account is not active.
async fn inactive(app: &App, did: &Did) -> Option<ShowError> {
    match super::readable(app, did, &Reader::Public).await {
        Ok(()) | Err(RepoError::NotFound(_)) => None,
        Err(error) => Some(error.into()),
    }
}

/// Shows a page of a collection of an active account. Damaged records are left out.
pub async fn records(app: &App, request: PageRequest<'_>) -> Result<Page, ShowError> {
    let missing = || ShowError::NoRepo(request.repo.clone());
    let did = active_did(app, request.repo).await?.ok_or_else(missing)?;
    let (between, order) = if request.reverse {
        ((request.cursor, None), Order::Ascending)
    } else {
        ((None, request.cursor), Order::Descending)
    };
    let turn = turn(app).await;
    let size = PageSize { rows: request.limit, bytes: RECORD_PAGE_BYTES_MAX };
    let page = records::page(&*app.db, &did, request.collection.as_str(), between, order, size).await?;
    if page.items.is_empty() {
        match super::readable(app, &did, &Reader::Public).await {
            Ok(()) => {}
            Err(RepoError::NotFound(_)) => return Err(missing()),
            Err(error) => return Err(error.into()),
        }
    }
    let shown = |record: Record| {
        let is_damaged = !is_whole(app, &did, &record);
        Shown { did: did.clone(), record, is_damaged, _turn: None }
    };
    let records = page.items.into_iter().map(shown).collect();
    Ok(Page { records, may_go_on: page.may_go_on, _turn: turn })
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
        Status::Deactivated | Status::Queued => return Err(RepoError::Deactivated(account.did).into()),
    }
    let document = match app.identities.resolve_document(&account.did, Freshness::Cached).await {
        Ok(document) => document,
        Err(DocumentError::Read(error)) => return Err(error.into()),
        Err(DocumentError::Resolve(error)) => {
            tracing::info!(did = %account.did, %error, "an account's DID document could not be had");
            return Err(ShowError::Unresolvable(account.did));
        }
    };
    let collections = repos::collections_of(&*app.db, &account.did, LIST_ANSWER_BYTES_MAX).await?;
    Ok(Description {
        handle_is_correct: document.handle().as_ref() == Some(&account.handle),
        document: document.json().clone(),
        collections: collections.iter().filter_map(|name| Nsid::parse(name).ok()).collect(),
        account,
    })
}

/// Waits until a page may be read, so that those held at once are few. The semaphore is never closed.
async fn turn(app: &App) -> Option<OwnedSemaphorePermit> {
    Arc::clone(&app.repos.pages).acquire_owned().await.ok()
}

/// The DID that an identifier stands for here; a DID stands for itself, whether or not it has an account.
async fn active_did(app: &App, repo: &AtIdentifier) -> Result<Option<Did>, ReadError> {
    match repo {
        AtIdentifier::Did(did) => Ok(Some(did.clone())),
        AtIdentifier::Handle(handle) => Ok(accounts::by_handle(&*app.db, handle).await?.map(|account| account.did)),
    }
}
