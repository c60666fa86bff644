//! Somebody who knows nothing of a server but its events, and believes none of them unchecked.

use std::collections::{BTreeMap, HashMap};

use allod_atproto::{
    Cid, Did, Tid,
    car::{self, Limits},
    crypto::DidKey,
    frame::{Account, AccountStatus, Commit, Frame, Message, Sync},
    repo::{OpAction, SignedCommit, Tree, verify_commit_message},
};

/// Up to how many records a repository's tree is built from scratch at every commit; beyond that now and then.
const REBUILT_EACH_TIME_RECORDS_MAX: usize = 64;
/// Every how many commits a larger repository's tree is built from scratch.
const REBUILT_EVERY_COMMITS: u64 = 32;

/// Follows events in order, as a relay and an app behind it do together: numbers ascend, every commit is signed and
/// inverts to the tree before it, revisions ascend, each commit follows on the one before, and the records that the
/// operations come to make the tree that the commit names.
#[derive(Debug, Default, Clone)]
pub struct Consumer {
    seq: i64,
    repos: HashMap<Did, Followed>,
    inactive: HashMap<Did, bool>,
    joined_late: bool,
}

/// A repository as its events tell it.
#[derive(Debug, Clone)]
pub struct Followed {
    /// The newest commit.
    pub commit: Cid,
    /// Its revision.
    pub rev: Tid,
    /// Its tree.
    pub data: Cid,
    /// Its records by path; none when the events do not tell all of them.
    pub records: Option<BTreeMap<String, Cid>>,
    commits: u64,
}

impl Consumer {
    /// Somebody who was not there from the beginning: the first commit of a repository need not be its first.
    pub fn joining_late() -> Self {
        Self { joined_late: true, ..Self::default() }
    }

    /// The newest number taken.
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// What is known of a repository.
    pub fn repo(&self, did: &Did) -> Option<&Followed> {
        self.repos.get(did)
    }

    /// All repositories that it knows of.
    pub fn repos(&self) -> impl Iterator<Item = (&Did, &Followed)> {
        self.repos.iter()
    }

    /// Takes the next event; the account's key checks its signature, when it is known. The error tells what a relay
    /// would drop it for, or an app be led astray by.
    pub fn take(&mut self, frame: &Frame, key: Option<&DidKey>) -> Result<(), String> {
        let seq = frame.seq.ok_or("there is no number")?;
        if seq <= self.seq {
            return Err(format!("the number {seq} comes after {}", self.seq));
        }
        self.seq = seq;
        match &frame.message {
            Message::Commit(commit) => self.take_commit(commit, key),
            Message::Sync(sync) => self.take_sync(sync, key),
            Message::Account(account) => {
                self.take_account(account);
                Ok(())
            }
            Message::Identity(_) => Ok(()),
            Message::Info(_) | Message::Error(_) | Message::Other { .. } => Err("this is no event".to_owned()),
        }
    }

    fn take_account(&mut self, account: &Account) {
        self.inactive.insert(account.did.clone(), !account.active);
        if account.status == Some(AccountStatus::Deleted) {
            self.repos.remove(&account.did);
        }
    }

    fn take_commit(&mut self, commit: &Commit, key: Option<&DidKey>) -> Result<(), String> {
        if self.inactive.get(&commit.repo) == Some(&true) {
            return Err("the account is not active".to_owned());
        }
        if let Some(key) = key {
            verify_commit_message(commit, key).map_err(|error| error.to_string())?;
        }
        let data = data_of(commit)?;
        let before = self.repos.remove(&commit.repo);
        let (records, commits) = match before {
            Some(before) => {
                if commit.rev <= before.rev {
                    return Err(format!("the revision {} comes after {}", commit.rev, before.rev));
                }
                let expected = (Some(before.rev), Some(before.data));
                if (commit.since, commit.prev_data) != expected {
                    return Err(format!("it follows on {:?}, not {expected:?}", (commit.since, commit.prev_data)));
                }
                (before.records, before.commits + 1)
            }
            None if commit.since.is_none() && commit.prev_data.is_none() => (Some(BTreeMap::new()), 0),
            None if self.joined_late => (None, 0),
            None => return Err("the commits before it are missing".to_owned()),
        };
        let records = records.map(|records| after(records, commit)).transpose()?;
        if let Some(records) = &records
            && (records.len() <= REBUILT_EACH_TIME_RECORDS_MAX || commits % REBUILT_EVERY_COMMITS == 0)
        {
            let tree = Tree::from_sorted(records.iter().map(|(path, cid)| (path, *cid)));
            let root = tree.map_err(|error| error.to_string())?.root();
            if root != data {
                return Err(format!("the records make the tree {root}, the commit names {data}"));
            }
        }
        let followed = Followed { commit: commit.commit, rev: commit.rev, data, records, commits };
        self.repos.insert(commit.repo.clone(), followed);
        Ok(())
    }

    fn take_sync(&mut self, sync: &Sync, key: Option<&DidKey>) -> Result<(), String> {
        let blocks = car::read(&sync.blocks, &Limits::COMMIT).map_err(|error| error.to_string())?;
        let cid = blocks.root().ok_or("it has no root")?;
        let block = blocks.get(&cid).ok_or("its commit is missing")?;
        let signed = SignedCommit::parse(block).map_err(|error| error.to_string())?;
        if let Some(key) = key {
            signed.verify(key).map_err(|error| error.to_string())?;
        }
        let commit = signed.commit();
        if (&commit.did, commit.rev) != (&sync.did, sync.rev) {
            return Err("it is not of the commit in it".to_owned());
        }
        let before = self.repos.get(&sync.did);
        if let Some(before) = before
            && (sync.rev < before.rev || (sync.rev == before.rev && cid != before.commit))
        {
            return Err(format!("it goes back to {}, behind {}", sync.rev, before.rev));
        }
        // A tree that is not the one before has to be fetched.
        let known = before.filter(|before| before.data == commit.data).and_then(|before| before.records.clone());
        let followed = Followed { commit: cid, rev: sync.rev, data: commit.data, records: known, commits: 0 };
        self.repos.insert(sync.did.clone(), followed);
        Ok(())
    }
}

/// The tree that a commit names.
fn data_of(commit: &Commit) -> Result<Cid, String> {
    let blocks = car::read(&commit.blocks, &Limits::COMMIT).map_err(|error| error.to_string())?;
    let block = blocks.get(&commit.commit).ok_or("its commit is missing")?;
    Ok(SignedCommit::parse(block).map_err(|error| error.to_string())?.commit().data)
}

/// The records after a commit, each operation held against what was there.
fn after(mut records: BTreeMap<String, Cid>, commit: &Commit) -> Result<BTreeMap<String, Cid>, String> {
    for op in &commit.ops {
        let path = op.path.to_string();
        let found = match op.action {
            OpAction::Create { cid } | OpAction::Update { cid, .. } => records.insert(path, cid),
            OpAction::Delete { .. } => records.remove(op.path.as_str()),
        };
        let told = match op.action {
            OpAction::Create { .. } => None,
            OpAction::Update { prev, .. } | OpAction::Delete { prev } => Some(prev.ok_or("it tells nothing before")?),
        };
        if found != told {
            return Err(format!("{} was {found:?}, the operation says {told:?}", op.path));
        }
    }
    Ok(records)
}
