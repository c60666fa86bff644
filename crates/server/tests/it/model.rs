//! A repository as a plain map, and what a request does to it: what the server's writes are held against.

use std::collections::{BTreeMap, HashMap};

use allod_atproto::{Cid, Nsid, RecordKey, repo::RecordPath};
use allod_lexicon::schema::SchemaSet;
use allod_server::domain::repos::{
    record::{self, Prepared, Validate},
    write::{Action, RecordWrite, Request, Swap, WriteError},
};
use serde_json::{Value, json};

pub(crate) const NOTES: &str = "com.example.note";
/// Its records sort before those of [`NOTES`], because "." comes before "/".
pub(crate) const DRAFTS: &str = "com.example.note.draft";
pub(crate) const LIKES: &str = "app.bsky.feed.like";

/// A repository's records.
pub(crate) type Records = BTreeMap<String, Cid>;

/// What comes of the records that a request touches: each one's CID afterwards, if it is there.
pub(crate) type Effects = BTreeMap<String, Option<Cid>>;

/// A record with its place.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) collection: &'static str,
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) prepared: Prepared,
}

impl Placed {
    pub(crate) fn note(collection: &'static str, key: &str, n: u64) -> Self {
        Self::new(collection, key, json!({ "$type": collection, "n": n }))
    }

    /// A like of one of a few posts; `n` tells likes of one post apart.
    pub(crate) fn like(key: &str, subject: u64, n: u64) -> Self {
        let post = Cid::for_cbor(b"\xa0");
        Self::new(
            LIKES,
            key,
            json!({
                "$type": LIKES,
                "subject": { "uri": subject_uri(subject), "cid": post.to_string() },
                "createdAt": format!("2026-11-25T12:00:00.{:03}Z", n % 1000),
            }),
        )
    }

    fn new(collection: &'static str, key: &str, value: Value) -> Self {
        let (nsid, rkey) = (Nsid::parse(collection).unwrap(), RecordKey::parse(key).unwrap());
        let prepared = record::prepare(&SchemaSet::built_in(), &nsid, &rkey, value.clone(), Validate::IfKnown).unwrap();
        Self { collection, key: key.to_owned(), value, prepared }
    }

    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.collection, self.key)
    }

    pub(crate) fn subject(&self) -> Option<String> {
        self.value["subject"]["uri"].as_str().map(str::to_owned)
    }
}

fn subject_uri(subject: u64) -> String {
    format!("at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/app.bsky.feed.post/post{subject}")
}

/// One write of a request.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// As createRecord does when the flag is set, else as applyWrites.
    Create(Placed, bool),
    Update(Placed),
    Put(Placed, Swap),
    /// The flag: there may be none.
    Delete(String, Swap, bool),
}

/// A request as a test makes it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) steps: Vec<Step>,
    pub(crate) swap_commit: Option<Cid>,
    pub(crate) commits_always: bool,
}

impl Asked {
    /// The request as the domain takes it.
    pub(crate) fn request(&self) -> Request {
        let write = |step: &Step| {
            let (path, action) = match step {
                Step::Create(record, replaces) => (
                    record.path(),
                    Action::Create { record: record.prepared.clone(), replaces_same_subject: *replaces },
                ),
                Step::Update(record) => (record.path(), Action::Update { record: record.prepared.clone() }),
                Step::Put(record, swap) => {
                    (record.path(), Action::Put { record: record.prepared.clone(), swap: *swap })
                }
                Step::Delete(path, swap, may_be_missing) => {
                    (path.clone(), Action::Delete { swap: *swap, may_be_missing: *may_be_missing })
                }
            };
            RecordWrite { path: RecordPath::parse(&path).unwrap(), action }
        };
        Request {
            writes: self.steps.iter().map(write).collect(),
            swap_commit: self.swap_commit,
            commits_always: self.commits_always,
        }
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    SwapCommit,
    SwapRecord,
    Exists,
    Missing,
}

impl Refused {
    pub(crate) fn of(error: &WriteError) -> Option<Self> {
        match error {
            WriteError::SwapCommit { .. } => Some(Self::SwapCommit),
            WriteError::SwapRecord { .. } => Some(Self::SwapRecord),
            WriteError::RecordExists(_) => Some(Self::Exists),
            WriteError::NoSuchRecord(_) => Some(Self::Missing),
            WriteError::TooManyWrites
            | WriteError::TooLarge
            | WriteError::Tree(_)
            | WriteError::Blobs(_)
            | WriteError::BlobGone
            | WriteError::Inactive
            | WriteError::Busy
            | WriteError::Open(_)
            | WriteError::Plan(_)
            | WriteError::Damaged(_)
            | WriteError::Read(_)
            | WriteError::Commit(_) => None,
        }
    }
}

/// What records are about, by CID.
pub(crate) type Subjects = HashMap<Cid, String>;

/// Tells what a request does to `records`, whose newest commit is `head` (none: one that nobody can name yet).
pub(crate) fn outcome(
    records: &Records,
    head: Option<Cid>,
    asked: &Asked,
    subjects: &Subjects,
) -> Result<Effects, Refused> {
    if asked.swap_commit.is_some() && asked.swap_commit != head {
        return Err(Refused::SwapCommit);
    }
    let mut now = records.clone();
    for step in &asked.steps {
        carry_out(&mut now, step)?;
    }
    let paths = records.keys().chain(now.keys());
    let mut effects: Effects = paths
        .filter(|path| records.get(*path) != now.get(*path))
        .map(|path| (path.clone(), now.get(path).copied()))
        .collect();
    for step in &asked.steps {
        let Step::Create(record, true) = step else { continue };
        let Some(subject) = record.subject() else { continue };
        let collection = format!("{}/", record.collection);
        for (path, cid) in records {
            if path.starts_with(&collection) && subjects.get(cid) == Some(&subject) && !effects.contains_key(path) {
                effects.insert(path.clone(), None);
            }
        }
    }
    Ok(effects)
}

fn carry_out(now: &mut Records, step: &Step) -> Result<(), Refused> {
    let check = |found: Option<&Cid>, swap: Swap| match swap {
        Swap::Is(expected) if expected.as_ref() != found => Err(Refused::SwapRecord),
        Swap::Is(_) | Swap::Any => Ok(()),
    };
    match step {
        Step::Create(record, _) if now.contains_key(&record.path()) => return Err(Refused::Exists),
        Step::Update(record) if !now.contains_key(&record.path()) => return Err(Refused::Missing),
        Step::Create(record, _) | Step::Update(record) => drop(now.insert(record.path(), record.prepared.cid)),
        Step::Put(record, swap) => {
            check(now.get(&record.path()), *swap)?;
            now.insert(record.path(), record.prepared.cid);
        }
        Step::Delete(path, swap, may_be_missing) => {
            check(now.get(path), *swap)?;
            if now.remove(path).is_none() && !may_be_missing {
                return Err(Refused::Missing);
            }
        }
    }
    Ok(())
}

/// Carries effects out.
pub(crate) fn apply(records: &mut Records, effects: &Effects) {
    for (path, cid) in effects {
        match cid {
            Some(cid) => drop(records.insert(path.clone(), *cid)),
            None => drop(records.remove(path)),
        }
    }
}
