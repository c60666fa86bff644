//! Repositories as operators handle them: checked, written to files and read from them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use std::time::Duration;

use allod_atproto::Did;
use allod_store::tables::accounts::Account;
use serde::{Deserialize, Serialize};

use super::{
    ControlError, Part, Peer,
    execute::{failure, refusal},
};
use crate::{
    app::App,
    domain::{
        account_lookup::ACCOUNTS_PER_PAGE_MAX,
        blobs::scrub::BlobScrubError,
        pace::Pace,
        repos::{
            Reader, RepoError, export,
            import::{Import, ImportError},
            verify::{self, Problem, Report, VerifyError},
        },
        scrub::{self, EventsChecked},
        shares::Taker,
    },
};

/// How often the caller of a long command is told how far it is, in seconds.
const PROGRESS_EVERY_SECS: u64 = 1;

/// What was found of one repository.
#[derive(Debug, Serialize, Deserialize)]
pub struct RepoReport {
    /// Whose it is.
    pub did: String,
    /// The account's handle.
    pub handle: String,
    /// The newest revision.
    pub rev: Option<String>,
    /// How many records there are.
    pub records: u64,
    /// How many of them can't be shown as JSON, because they are not valid in the data model.
    #[serde(default)]
    pub unreadable: u64,
    /// How many blobs were read; none where that was not asked for.
    #[serde(default)]
    pub blobs: Option<u64>,
    /// What is wrong; nothing in a sound repository.
    pub problems: Vec<String>,
    /// How much more is wrong than is listed.
    pub further_problems: u64,
}

/// What a check came to.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReposVerified {
    /// How many repositories were looked at.
    pub checked: u64,
    /// In how many something is wrong.
    pub damaged: u64,
    /// What was found of the event log, where that was asked for.
    #[serde(default)]
    pub events: Option<EventsReport>,
}

/// What was found of the event log.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventsReport {
    /// How many events were read.
    pub events: u64,
    /// The numbers of damaged ones, as far as they are listed.
    pub damaged: Vec<i64>,
    /// How many more are damaged.
    pub further_damaged: u64,
}

/// A repository that was written out.
#[derive(Debug, Serialize, Deserialize)]
pub struct RepoExported {
    /// Whose it is.
    pub did: String,
    /// How large the file is.
    pub file_bytes: u64,
}

/// A repository that was read in.
#[derive(Debug, Serialize, Deserialize)]
pub struct RepoImported {
    /// Whose it is.
    pub did: String,
    /// Its newest commit.
    pub commit: String,
    /// The commit's revision.
    pub rev: String,
    /// How many records there are.
    pub records: u64,
    /// How many of them can't be shown as JSON, because they are not valid in the data model.
    #[serde(default)]
    pub unreadable: u64,
}

/// Checks one repository, or all; and the bytes of blobs and the event log, where that is asked for.
pub(super) async fn verify(
    app: &Arc<App>,
    account: Option<&str>,
    (blobs, events): (bool, bool),
    peer: &mut dyn Peer,
) -> Result<ReposVerified, ControlError> {
    let mut verified = ReposVerified { checked: 0, damaged: 0, events: None };
    if let Some(account) = account {
        verify_one(app, &find(app, account).await?, blobs, peer, &mut verified).await?;
    } else {
        let mut cursor = None;
        loop {
            let page = app.accounts.list(cursor.as_deref(), ACCOUNTS_PER_PAGE_MAX).await?;
            for account in &page.accounts {
                verify_one(app, account, blobs, peer, &mut verified).await?;
            }
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
    }
    if events {
        let pace = Pace::unlimited();
        let EventsChecked { events, damaged, further_damaged } =
            with_progress(scrub::check_events(app, &pace), &AtomicU64::new(0), peer).await?;
        verified.events = Some(EventsReport { events, damaged, further_damaged });
    }
    Ok(verified)
}

async fn verify_one(
    app: &Arc<App>,
    account: &Account,
    blobs: bool,
    peer: &mut dyn Peer,
    verified: &mut ReposVerified,
) -> Result<(), ControlError> {
    let records = AtomicU64::new(0);
    let progress = |seen| records.store(seen, Relaxed);
    let report = with_progress(verify::verify(app, &account.did, &progress), &records, peer).await;
    let mut report = report.map_err(|error| match error {
        VerifyError::Read(error) => error.into(),
        VerifyError::Busy(error) => refusal("NotEnoughResources", error.to_string()),
    })?;
    let blobs = if blobs {
        let checked = with_progress(verify_blobs(app, &account.did, &mut report), &AtomicU64::new(0), peer).await;
        Some(checked.map_err(|error| failure(&error))?)
    } else {
        None
    };
    verified.checked += 1;
    if report.is_sound() {
        app.integrity.repository_is_whole(&account.did);
    }
    verified.damaged += u64::from(!report.is_sound());
    let report = RepoReport {
        did: account.did.to_string(),
        handle: account.handle.to_string(),
        rev: report.rev.map(|rev| rev.to_string()),
        records: report.records,
        unreadable: report.unreadable,
        blobs,
        problems: report.problems.iter().map(ToString::to_string).collect(),
        further_problems: report.further_problems,
    };
    peer.part(Part::Verified(report)).await.map_err(|error| failure(&error))
}

/// Reads an account's blobs and adds to the report what is wrong with them; tells how many there are.
async fn verify_blobs(app: &App, did: &Did, report: &mut Report) -> Result<u64, BlobScrubError> {
    let (mut blobs, mut after) = (0, Vec::new());
    loop {
        let checked = app.blobs.check(did, &after, &Pace::unlimited()).await?;
        blobs += checked.blobs;
        for (cid, what) in checked.damaged {
            report.add(Problem::Blob(cid, what));
        }
        let Some(last) = checked.last else { return Ok(blobs) };
        after = last.to_bytes().to_vec();
    }
}

/// Gives a repository as a CAR file, piece by piece.
pub(super) async fn export(app: &Arc<App>, account: &str, peer: &mut dyn Peer) -> Result<RepoExported, ControlError> {
    let did = find(app, account).await?.did;
    let mut file = export::whole(app, &did, &Reader::Admin, &Taker::OPERATOR, None)
        .await
        .map_err(|error| export_refusal(&error))?;
    let mut file_bytes = 0;
    while let Some(piece) = file.next_chunk().await.map_err(|error| export_refusal(&error))? {
        file_bytes += piece.len() as u64;
        peer.part(Part::Bytes(piece)).await.map_err(|error| failure(&error))?;
    }
    Ok(RepoExported { did: did.to_string(), file_bytes })
}

/// Takes a repository from a CAR file of `file_bytes` bytes that the caller sends.
pub(super) async fn import(
    app: &Arc<App>,
    account: &str,
    file_bytes: u64,
    peer: &mut dyn Peer,
) -> Result<RepoImported, ControlError> {
    let did = find(app, account).await?.did;
    let mut import =
        Import::begin(app, &did, &Taker::OPERATOR, Some(file_bytes)).await.map_err(|error| import_refusal(&error))?;
    let mut left = file_bytes;
    while left > 0 {
        let Some(piece) = peer.input().await.map_err(|error| failure(&error))? else {
            return Err(refusal("InvalidRequest", "the file broke off".to_owned()));
        };
        left = left.saturating_sub(piece.len() as u64);
        import.push(piece).await.map_err(|error| import_refusal(&error))?;
    }
    let records = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&records);
    let finished = import.finish(move |records| told.store(records, Relaxed));
    let imported = with_progress(finished, &records, peer).await.map_err(|error| import_refusal(&error))?;
    Ok(RepoImported {
        did: did.to_string(),
        commit: imported.commit.to_string(),
        rev: imported.rev.to_string(),
        records: imported.records,
        unreadable: imported.unreadable,
    })
}

/// Tells how far it is while something goes on. It goes on even if nobody listens.
async fn with_progress<T>(work: impl Future<Output = T>, records: &AtomicU64, peer: &mut dyn Peer) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(Duration::from_secs(PROGRESS_EVERY_SECS)) => {
                drop(peer.part(Part::Records(records.load(Relaxed))).await);
            }
        }
    }
}

async fn find(app: &App, account: &str) -> Result<Account, ControlError> {
    let found = app.accounts.find(account).await?;
    found.ok_or_else(|| refusal("NotFound", format!("there is no account {account}")))
}

fn export_refusal(error: &RepoError) -> ControlError {
    match error {
        RepoError::NotFound(_) => refusal("NotFound", error.to_string()),
        RepoError::TooManyReaders(_) => refusal("NotEnoughResources", error.to_string()),
        RepoError::TakenDown(_)
        | RepoError::Deactivated(_)
        | RepoError::Open(_)
        | RepoError::RecordMissing { .. }
        | RepoError::RecordDamaged { .. }
        | RepoError::Overtaken(_)
        | RepoError::Read(_) => failure(error),
    }
}

fn import_refusal(error: &ImportError) -> ControlError {
    match error {
        ImportError::NotFound(_) => refusal("NotFound", error.to_string()),
        ImportError::NotAccepted
        | ImportError::TooLarge
        | ImportError::Car(_)
        | ImportError::Roots
        | ImportError::Commit(_)
        | ImportError::Foreign { .. }
        | ImportError::Future { .. }
        | ImportError::Signature
        | ImportError::Tree(_)
        | ImportError::Missing(_)
        | ImportError::MissingRecord(_)
        | ImportError::Record(..)
        | ImportError::Path(_)
        | ImportError::Collections
        | ImportError::Moved => refusal("InvalidRequest", error.to_string()),
        ImportError::Crowded(_) | ImportError::UnderWay | ImportError::Busy(_) | ImportError::BrokenOff => {
            refusal("NotEnoughResources", error.to_string())
        }
        ImportError::Unresolvable(_) => refusal("UpstreamFailure", error.to_string()),
        ImportError::NoKey(_)
        | ImportError::Key(_)
        | ImportError::Disk(_)
        | ImportError::Read(_)
        | ImportError::Store(_) => failure(error),
    }
}
