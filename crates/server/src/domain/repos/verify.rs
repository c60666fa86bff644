//! Checking what is stored of a repository against itself. Reads only: nothing is ever repaired here.

use std::{collections::BTreeSet, fmt, sync::Arc};

use allod_atproto::{
    Cid, Did, Tid,
    repo::{RecordPath, RootBuilder, SignedCommit},
};
use allod_store::{
    ReadError,
    tables::{
        blobs, records,
        repos::{self, Head},
        signing_keys,
    },
};

use super::record;
use crate::{
    app::App,
    domain::{keys::Purpose, pace::Pace},
    limits::{RECORD_BYTES_PER_READ, VERIFY_PROBLEMS_MAX},
};

/// How often a repository that is written to meanwhile is looked at again before it is looked at in its turn, which
/// holds writers up.
const TRIES_MAX: usize = 3;

/// What was found of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The newest revision; none without a repository.
    pub rev: Option<Tid>,
    /// How many records there are.
    pub records: u64,
    /// How many of them are not valid in the data model: they came with an import, and are carried as they are.
    pub unreadable: u64,
    /// What is wrong, as far as it is kept.
    pub problems: Vec<Problem>,
    /// How much more is wrong.
    pub further_problems: u64,
}

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The account has no repository.
    NoRepo,
    /// The head's commit is no commit, another one, or somebody else's.
    Commit(&'static str),
    /// The account's key has not signed the commit.
    Signature,
    /// The account's signing key is missing or can't be used.
    Key(&'static str),
    /// The records make another tree than the commit says.
    Tree {
        /// What the commit says.
        expected: Cid,
        /// What they make; nothing when they make none.
        found: Option<Cid>,
    },
    /// A record's path is none.
    Path(String),
    /// A record's bytes are not those of its identifier.
    Bytes(String),
    /// A record is no object in DAG-CBOR.
    Data(String),
    /// A record refers to a blob, and nobody has written that down.
    BlobNotListed(String, Cid),
    /// It is written down that a record refers to a blob, and it does not.
    BlobNotReferred(String, Cid),
    /// The bytes of a blob are missing or others.
    Blob(Cid, &'static str),
    /// The repository has records of a collection, and is not listed with it; or the other way round.
    Collection(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRepo => f.write_str("the account has no repository"),
            Self::Commit(reason) => write!(f, "the commit: {reason}"),
            Self::Signature => f.write_str("the commit is not signed by the account's key"),
            Self::Key(reason) => write!(f, "the signing key: {reason}"),
            Self::Tree { expected, found: Some(found) } => {
                write!(f, "the records make the tree {found}, but the commit says {expected}")
            }
            Self::Tree { expected, found: None } => {
                write!(f, "the records make no tree, but the commit says {expected}")
            }
            Self::Path(path) => write!(f, "{path}: not a record's path"),
            Self::Bytes(path) => write!(f, "{path}: the bytes are not those of the identifier"),
            Self::Data(path) => write!(f, "{path}: not an object in DAG-CBOR"),
            Self::BlobNotListed(path, cid) => write!(f, "{path}: its reference to the blob {cid} is not listed"),
            Self::BlobNotReferred(path, cid) => {
                write!(f, "{path}: a reference to the blob {cid} is listed that it has not")
            }
            Self::Blob(cid, what) => write!(f, "the blob {cid}: {what}"),
            Self::Collection(collection) => write!(f, "{collection}: listed without records, or not listed"),
        }
    }
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    /// Adds a problem.
    pub fn add(&mut self, problem: Problem) {
        if self.problems.len() < VERIFY_PROBLEMS_MAX {
            self.problems.push(problem);
        } else {
            self.further_problems += 1;
        }
    }
}

/// Why a repository could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Too much waits for the repository.
    #[error(transparent)]
    Busy(#[from] super::Busy),
}

/// Checks everything that is stored of a repository. `progress` is told how many records were looked at, again and
/// again.
pub async fn verify(app: &Arc<App>, did: &Did, progress: &(impl Fn(u64) + Sync)) -> Result<Report, VerifyError> {
    verify_at(app, did, progress, &Pace::unlimited()).await
}

/// As [`verify`], at a pace, unless the repository is written to so often that it is looked at while writers wait.
pub async fn verify_at(
    app: &Arc<App>,
    did: &Did,
    progress: &(impl Fn(u64) + Sync),
    pace: &Pace,
) -> Result<Report, VerifyError> {
    for _ in 0..TRIES_MAX {
        let before = repos::head_of(&*app.db, did).await?;
        let report = look(app, did, before.as_ref(), progress, pace).await?;
        // What was written meanwhile would look like damage.
        if report.is_sound() || repos::head_of(&*app.db, did).await? == before {
            return Ok(report);
        }
    }
    let _turn = super::turn(app, did).await?;
    let head = repos::head_of(&*app.db, did).await?;
    Ok(look(app, did, head.as_ref(), progress, &Pace::unlimited()).await?)
}

async fn look(
    app: &App,
    did: &Did,
    head: Option<&Head>,
    progress: &(impl Fn(u64) + Sync),
    pace: &Pace,
) -> Result<Report, ReadError> {
    let mut report = Report { rev: head.map(|head| head.rev), ..Report::default() };
    let Some(head) = head else {
        if app.accounts.by_did(did).await?.is_some() {
            report.add(Problem::NoRepo);
        }
        return Ok(report);
    };
    look_at_commit(app, did, head, &mut report).await?;
    let mut root = Some(RootBuilder::new());
    let mut collections = BTreeSet::new();
    let mut after = String::new();
    loop {
        let rows =
            records::blocks(&*app.db, head.record_set, (&after, records::BEHIND_ALL), None, RECORD_BYTES_PER_READ)
                .await?;
        let to = rows.last().map_or(records::BEHIND_ALL, |last| last.path.as_str());
        let mut listed: BTreeSet<(String, Cid)> =
            blobs::references_between(&*app.db, head.record_set, &after, to).await?.into_iter().collect();
        for row in &rows {
            report.records += 1;
            root = root.and_then(|mut root| root.push(&row.path, row.cid).is_ok().then_some(root));
            look_at_record(&row.path, &row.cid, &row.block, &mut listed, &mut report);
            let collection = row.path.split_once('/').map_or("", |(collection, _)| collection);
            if !collections.contains(collection) {
                collections.insert(collection.to_owned());
            }
        }
        for (path, cid) in listed {
            report.add(Problem::BlobNotReferred(path, cid));
        }
        let Some(last) = rows.last() else { break };
        after.clone_from(&last.path);
        progress(report.records);
        pace.spend(&*app.clock, rows.iter().map(|row| row.block.len() as u64).sum()).await;
    }
    let found = root.map(RootBuilder::finish);
    if found != Some(head.data) {
        report.add(Problem::Tree { expected: head.data, found });
    }
    let listed: BTreeSet<String> = repos::collections_of(&*app.db, did, usize::MAX).await?.into_iter().collect();
    for collection in listed.symmetric_difference(&collections) {
        report.add(Problem::Collection(collection.clone()));
    }
    Ok(report)
}

async fn look_at_commit(app: &App, did: &Did, head: &Head, report: &mut Report) -> Result<(), ReadError> {
    let key = signing_keys::by_did(&*app.db, did).await?;
    match &key {
        None => report.add(Problem::Key("there is none")),
        Some(key) => match app.keyring.unwrap(&key.wrapped, Purpose::Signing(did)) {
            Ok(private) if private.did_key() == key.did_key => {}
            Ok(_) => report.add(Problem::Key("its halves don't belong together")),
            Err(_) => report.add(Problem::Key("it can't be unwrapped")),
        },
    }
    if !head.commit.matches(&head.commit_block) {
        report.add(Problem::Commit("the bytes are not those of the identifier"));
    }
    let Ok(commit) = SignedCommit::parse(&head.commit_block) else {
        report.add(Problem::Commit("it is none"));
        return Ok(());
    };
    if commit.commit().did != *did {
        report.add(Problem::Commit("it is another account's"));
    }
    if commit.commit().rev != head.rev {
        report.add(Problem::Commit("its revision is not the head's"));
    }
    if commit.commit().data != head.data {
        report.add(Problem::Commit("its tree is not the head's"));
    }
    if key.is_some_and(|key| commit.verify(&key.did_key).is_err()) {
        report.add(Problem::Signature);
    }
    Ok(())
}

/// Checks a record, and takes what it refers to out of what is listed.
fn look_at_record(path: &str, cid: &Cid, block: &[u8], listed: &mut BTreeSet<(String, Cid)>, report: &mut Report) {
    if !cid.matches(block) {
        report.add(Problem::Bytes(path.to_owned()));
    }
    if !record::is_valid(block) {
        if record::is_foreign(block) {
            report.unreadable += 1;
        } else {
            report.add(Problem::Data(path.to_owned()));
        }
    }
    let Ok(parsed) = RecordPath::parse(path) else {
        report.add(Problem::Path(path.to_owned()));
        return;
    };
    let (_, referred) = record::subject_and_blobs(parsed.collection(), block);
    for cid in referred {
        if !listed.remove(&(path.to_owned(), cid)) {
            report.add(Problem::BlobNotListed(path.to_owned(), cid));
        }
    }
}
