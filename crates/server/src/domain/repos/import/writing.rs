//! From what was read to what is stored: the check, the records in portions, and the one transaction that makes them
//! the account's repository.

use std::sync::Arc;

use allod_atproto::{
    Datetime, Did, Tid, frame,
    repo::{Commit, SignedCommit, Step},
};
use allod_base::{clock, randomness};
use allod_store::{
    CommitError, ConflictKey, EventKind, NewEvent, Txn,
    tables::{
        accounts, blobs,
        records::{self, RecordSet},
        repos::{self, Head},
        signing_keys,
    },
};

use super::{
    ImportError, Imported, blocking,
    reading::{Portion, Reading},
};
use crate::{
    app::App,
    domain::{
        account_status::Status,
        keys::Purpose,
        repos::{open, turns},
    },
    limits::{IMPORT_IDLE_SECS_MAX, RECORD_BYTES_PER_READ, RETIRED_SET_KEPT_SECS},
};

/// How often the last transaction is tried when the account is activated or deactivated at that moment.
const TRIES_MAX: usize = 3;

/// Reads everything once. What the file does not have and the account's repository has, is taken from there: the file
/// may hold what came since a revision only.
pub(super) async fn check(
    app: &Arc<App>,
    did: &Did,
    reading: Reading,
    progress: &(impl Fn(u64) + Sync),
) -> Result<Reading, ImportError> {
    let (reading, outcome) = check_once(reading, progress).await?;
    let mut reading = match outcome {
        Ok(()) => reading,
        Err(error @ (ImportError::Missing(_) | ImportError::MissingRecord(_))) => {
            let Some(reading) = completed(app, did, reading).await? else { return Err(error) };
            let (reading, outcome) = check_once(reading, progress).await?;
            outcome?;
            reading
        }
        Err(error) => return Err(error),
    };
    reading.restart()?;
    Ok(reading)
}

async fn check_once(
    mut reading: Reading,
    progress: &(impl Fn(u64) + Sync),
) -> Result<(Reading, Result<(), ImportError>), ImportError> {
    let mut records = 0;
    reading.clear_unreadable();
    loop {
        let outcome;
        (reading, outcome) = blocking(move || {
            let outcome = reading.check_portion();
            Ok::<_, ImportError>((reading, outcome))
        })
        .await?;
        match outcome {
            Ok(0) => return Ok((reading, Ok(()))),
            Ok(more) => records += more as u64,
            Err(error) => return Ok((reading, Err(error))),
        }
        progress(records);
    }
}

/// Adds the blocks of the account's own repository; nothing when it has none to give.
async fn completed(app: &Arc<App>, did: &Did, mut reading: Reading) -> Result<Option<Reading>, ImportError> {
    let open = match open(app, did).await {
        Ok(open) if !open.tree.is_empty() => open,
        Ok(_) => return Ok(None),
        Err(error) => {
            tracing::info!(%did, %error, "an import can't be completed from the repository");
            return Ok(None);
        }
    };
    let tree = open.tree.clone();
    reading = blocking(move || {
        for step in tree.walk() {
            if let Step::Node(node) = step
                && !reading.has(&node.cid())
            {
                reading.add([(node.cid(), node.block().into())])?;
            }
        }
        Ok::<_, ImportError>(reading)
    })
    .await?;
    let mut after = String::new();
    loop {
        let set = open.head.record_set;
        let records =
            records::blocks(&*app.db, set, (&after, records::BEHIND_ALL), None, RECORD_BYTES_PER_READ).await?;
        let Some(last) = records.last() else { break };
        after.clone_from(&last.path);
        reading = blocking(move || {
            let is_whole = |record: &records::BlockRow| record.cid.matches(&record.block);
            let missing: Vec<_> =
                records.into_iter().filter(|record| !reading.has(&record.cid) && is_whole(record)).collect();
            reading.add(missing.into_iter().map(|record| (record.cid, record.block)))?;
            Ok::<_, ImportError>(reading)
        })
        .await?;
    }
    reading.restart()?;
    Ok(Some(reading))
}

/// Writes the records beside those that are there, and makes them the repository.
pub(super) async fn write(
    app: &Arc<App>,
    did: &Did,
    reading: Reading,
    progress: &(impl Fn(u64) + Sync),
) -> Result<Imported, ImportError> {
    let before = repos::head_of(&*app.db, did).await?.ok_or_else(|| ImportError::NotFound(did.clone()))?;
    let rev = app.repos.next_rev(&before.rev.max(reading.commit().commit().rev), app.clock.now_micros());
    let set = RecordSet::from_random(randomness::bytes(&*app.randomness));
    let made = async {
        let (reading, records) = write_records(app, did, reading, set, rev, progress).await?;
        let commit = swap(app, did, &reading, &before, set, rev).await?;
        let unreadable = reading.unreadable();
        if unreadable > 0 {
            tracing::warn!(%did, records, unreadable, "imported records that are not valid in the data model");
        }
        Ok(Imported { commit: commit.cid(), rev, records, unreadable })
    };
    let made = made.await;
    if made.is_err() {
        abandon(app, did, set).await;
    }
    made
}

async fn write_records(
    app: &App,
    did: &Did,
    mut reading: Reading,
    set: RecordSet,
    rev: Tid,
    progress: &(impl Fn(u64) + Sync),
) -> Result<(Reading, u64), ImportError> {
    let mut txn = Txn::new();
    records::retire(&mut txn, set, did, later(app, IMPORT_IDLE_SECS_MAX));
    app.db.commit(txn).await.map_err(refused)?;
    let mut records = 0;
    loop {
        let portion: Portion;
        (reading, portion) = blocking(move || {
            let portion = reading.next_portion()?;
            Ok::<_, ImportError>((reading, portion))
        })
        .await?;
        if portion.is_empty() {
            return Ok((reading, records));
        }
        records += portion.len() as u64;
        let mut txn = Txn::new();
        records::keep(&mut txn, set, later(app, 0), later(app, IMPORT_IDLE_SECS_MAX));
        for record in portion {
            if let Some(subject) = &record.subject {
                records::add_subject(&mut txn, set, &record.path, subject);
            }
            blobs::refer_missing_allowed(&mut txn, set, &record.path, rev, &record.blobs);
            records::create(&mut txn, set, &record.path, &record.cid, rev, record.block);
        }
        app.db.commit(txn).await.map_err(refused)?;
        progress(records);
    }
}

/// Gives the repository its new records, in its own turn, under a fresh commit.
///
/// A commit of its own task: once it is handed over, the turn lasts until it is known what became of it.
async fn swap(
    app: &Arc<App>,
    did: &Did,
    reading: &Reading,
    before: &Head,
    set: RecordSet,
    rev: Tid,
) -> Result<SignedCommit, ImportError> {
    let turn = turns::turn(app, did).await?;
    let (app, did, before) = (Arc::clone(app), did.clone(), before.clone());
    let (data, collections) = (reading.commit().commit().data, reading.collections().to_vec());
    let swapped = tokio::spawn(async move {
        let key = signing_keys::by_did(&*app.db, &did).await?.ok_or_else(|| ImportError::NoKey(did.clone()))?;
        let key = app.keyring.unwrap(&key.wrapped, Purpose::Signing(&did))?;
        let commit = Commit { did: did.clone(), rev, data, prev: None }.sign(&key);
        let commit_block = commit.bytes().clone();
        let head = Head { commit: commit.cid(), rev, data, commit_block, record_set: set };
        let mut outcome = Err(ImportError::Moved);
        for _ in 0..TRIES_MAX {
            outcome = swap_once(&app, &did, &before, &head, &commit, &collections).await;
            if !matches!(outcome, Err(ImportError::Moved)) {
                break;
            }
        }
        drop(turn);
        outcome.map(|()| commit)
    });
    swapped.await.map_err(|_| ImportError::BrokenOff)?
}

async fn swap_once(
    app: &App,
    did: &Did,
    before: &Head,
    head: &Head,
    commit: &SignedCommit,
    collections: &[String],
) -> Result<(), ImportError> {
    let account = accounts::by_did(&*app.db, did).await?.ok_or_else(|| ImportError::NotFound(did.clone()))?;
    let now_micros = app.clock.now_micros();
    let now = clock::to_store(now_micros);
    let mut txn = Txn::new();
    let is_active = Status::of(&account).is_active();
    if is_active {
        accounts::assert_active(&mut txn, did);
    } else {
        accounts::assert_inactive(&mut txn, did);
    }
    // What was written meanwhile was acknowledged, and is not to be lost.
    repos::advance(&mut txn, did, &before.commit, head);
    records::adopt(&mut txn, head.record_set, now);
    records::retire(&mut txn, before.record_set, did, later(app, RETIRED_SET_KEPT_SECS));
    records::carry_takedowns(&mut txn, before.record_set, head.record_set);
    repos::clear_collections(&mut txn, did);
    for collection in collections {
        repos::add_collection(&mut txn, did, collection);
    }
    blobs::settle(&mut txn, did, now);
    if is_active {
        let encoded = frame::sync(&commit.sync_message(&Datetime::from_unix_micros(now_micros)));
        let (before, after) = (encoded.before, encoded.after);
        txn.event(NewEvent { did: did.to_string(), kind: EventKind::Sync, time_micros: now, before, after });
    }
    // Nothing in memory is to be believed from here on, whatever becomes of the transaction.
    app.repos.forget(did);
    app.db.commit(txn).await.map(drop).map_err(refused)
}

/// Gives a set up that will not be a repository's. If that fails, it is deleted somewhat later.
async fn abandon(app: &App, did: &Did, set: RecordSet) {
    let mut txn = Txn::new();
    records::abandon(&mut txn, set, later(app, 0));
    if let Err(error) = app.db.commit(txn).await {
        tracing::info!(%did, %error, "what an import has left is deleted later");
    }
}

fn later(app: &App, secs: u64) -> i64 {
    clock::to_store(app.clock.now_micros().saturating_add(secs * clock::MICROS_PER_SEC))
}

fn refused(error: CommitError) -> ImportError {
    match error {
        CommitError::Conflict(
            ConflictKey::HeadMoved
            | ConflictKey::RecordSetGone
            | ConflictKey::AccountActive
            | ConflictKey::AccountInactive,
        ) => ImportError::Moved,
        CommitError::Conflict(_)
        | CommitError::Unavailable { .. }
        | CommitError::Unknown { .. }
        | CommitError::Refused { .. } => ImportError::Store(error),
    }
}
