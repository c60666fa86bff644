//! Requests that waited together, written in as few commits as they allow.
//!
//! Requests share a commit while no two of them touch one record or subject, none asks for a certain commit, and the
//! commit's limits are kept. So sharing never shows: everybody is answered as if each request had been carried out by
//! itself, in the order of asking. When a shared commit can't be made, each of its requests is tried alone, so that
//! nobody fails for a neighbour.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use allod_atproto::{
    Cid, Datetime, Did, Tid,
    repo::{self, CommitPlan, OPS_MAX, RecordPath, Tree, Write},
};
use allod_base::clock;
use allod_store::{
    CommitError, ConflictKey, EventKind, NewEvent, Txn,
    tables::{
        accounts, blobs,
        records::{self, RecordSet},
        repos,
    },
};
use tokio::sync::oneshot;

use super::{
    CommitMade, Outcome, Request, WriteError, WriteJob,
    decide::{self, Effect, EffectKind},
};
use crate::{
    app::App,
    domain::{
        integrity,
        repos::{
            open::{self, OpenRepo},
            record::SINGLE_SUBJECT_COLLECTIONS,
            snapshot, stored_head,
        },
    },
    limits::SHARED_COMMIT_RECORD_BYTES_MAX,
};

/// How often a commit is planned anew because somebody else's came first. Only a second process on the same store can
/// be that quick.
const TRIES_MAX: usize = 4;

/// A request with what it does.
struct Decided {
    request: Request,
    effects: Vec<Effect>,
    reply: oneshot::Sender<Outcome>,
}

/// Carries out everything that waits, in order. Everybody is answered.
pub(in crate::domain::repos) async fn write(app: &App, did: &Did, jobs: &mut VecDeque<WriteJob>) {
    while !jobs.is_empty() {
        match open::load(app, did).await {
            Ok(open) => write_next(app, did, &open, jobs).await,
            Err(error) => jobs.drain(..).for_each(|job| answer(job.reply, Err(error.clone().into()))),
        }
    }
}

/// Takes the first requests that can share a commit, and carries them out.
async fn write_next(app: &App, did: &Did, open: &OpenRepo, jobs: &mut VecDeque<WriteJob>) {
    let mut shared = Shared::default();
    let mut group = Vec::new();
    while let Some(job) = jobs.pop_front() {
        if !group.is_empty() && !shared.is_apart_from(&job.request) {
            // What it finds is what the commit before it leaves.
            jobs.push_front(job);
            break;
        }
        match decide::decide(app, did, open, &job.request).await {
            Err(error) => answer(job.reply, Err(error)),
            Ok(effects) if effects.is_empty() && !job.request.commits_always => answer(job.reply, Ok(None)),
            Ok(effects) => {
                if !group.is_empty() && !shared.has_room_for(&effects) {
                    jobs.push_front(job);
                    break;
                }
                shared.add(&job.request, &effects);
                group.push(Decided { request: job.request, effects, reply: job.reply });
            }
        }
    }
    let effects: Vec<&Effect> = group.iter().flat_map(|decided| &decided.effects).collect();
    if group.is_empty() {
        return;
    }
    match commit(app, did, open, &effects).await {
        Ok(made) => group.into_iter().for_each(|decided| answer(decided.reply, Ok(Some(made)))),
        Err(Failed::For(error)) if group.len() == 1 || is_everybodys(&error) => {
            for decided in group {
                answer(decided.reply, Err(error.clone()));
            }
        }
        Err(Failed::Moved | Failed::For(_)) => write_alone(app, did, group).await,
    }
}

/// Carries out each request in a commit of its own, deciding anew what it does.
async fn write_alone(app: &App, did: &Did, group: Vec<Decided>) {
    for Decided { request, reply, .. } in group {
        answer(reply, write_one(app, did, &request).await);
    }
}

async fn write_one(app: &App, did: &Did, request: &Request) -> Outcome {
    for _ in 0..TRIES_MAX {
        let open = open::load(app, did).await?;
        let effects = decide::decide(app, did, &open, request).await?;
        if effects.is_empty() && !request.commits_always {
            return Ok(None);
        }
        match commit(app, did, &open, &effects.iter().collect::<Vec<_>>()).await {
            Ok(made) => return Ok(Some(made)),
            Err(Failed::Moved) => {}
            Err(Failed::For(error)) => return Err(error),
        }
    }
    Err(WriteError::Busy)
}

/// Whether an error of a shared commit would meet each of its requests alone as well.
fn is_everybodys(error: &WriteError) -> bool {
    match error {
        WriteError::Inactive
        | WriteError::Busy
        | WriteError::Open(_)
        | WriteError::Damaged(_)
        | WriteError::Read(_) => true,
        WriteError::Commit(error) => match **error {
            CommitError::Unavailable { .. } | CommitError::Unknown { .. } => true,
            CommitError::Conflict(_) | CommitError::Refused { .. } => false,
        },
        WriteError::SwapCommit { .. }
        | WriteError::SwapRecord { .. }
        | WriteError::RecordExists(_)
        | WriteError::NoSuchRecord(_)
        | WriteError::TooManyWrites
        | WriteError::TooLarge
        | WriteError::Tree(_)
        | WriteError::Blobs(_)
        | WriteError::BlobGone
        | WriteError::Plan(_) => false,
    }
}

/// What the requests of one commit touch.
#[derive(Default)]
struct Shared {
    paths: HashSet<RecordPath>,
    subjects: HashSet<(String, String)>,
    record_bytes: usize,
    asks_for_commit: bool,
}

impl Shared {
    /// Whether nothing that a request asks for or about is touched by those before it.
    fn is_apart_from(&self, request: &Request) -> bool {
        !self.asks_for_commit
            && request.swap_commit.is_none()
            && request.writes.iter().all(|write| !self.paths.contains(&write.path))
    }

    /// Whether what a request does keeps the commit within its limits and touches nothing that is touched already.
    fn has_room_for(&self, effects: &[Effect]) -> bool {
        self.paths.len() + effects.len() <= OPS_MAX
            && self.record_bytes + record_bytes(effects) <= SHARED_COMMIT_RECORD_BYTES_MAX
            && effects.iter().all(|effect| !self.paths.contains(&effect.path))
            && subjects(effects).all(|subject| !self.subjects.contains(&subject))
    }

    fn add(&mut self, request: &Request, effects: &[Effect]) {
        self.asks_for_commit |= request.swap_commit.is_some();
        self.record_bytes += record_bytes(effects);
        self.paths.extend(effects.iter().map(|effect| effect.path.clone()));
        self.subjects.extend(subjects(effects));
    }
}

fn record_bytes(effects: &[Effect]) -> usize {
    effects.iter().filter_map(Effect::record).map(|record| record.block.len()).sum()
}

fn subjects(effects: &[Effect]) -> impl Iterator<Item = (String, String)> {
    effects.iter().filter_map(|effect| {
        let subject = effect.record()?.subject.clone()?;
        Some((effect.path.collection().to_owned(), subject))
    })
}

/// Why a commit was not made.
enum Failed {
    /// The repository's head is another one by now.
    Moved,
    /// As it is told.
    For(WriteError),
}

/// Plans a commit, makes it durable together with its event, and keeps the repository as it is then.
async fn commit(app: &App, did: &Did, open: &OpenRepo, effects: &[&Effect]) -> Result<CommitMade, Failed> {
    let now_micros = app.clock.now_micros();
    let rev = app.repos.next_rev(&open.head.rev, now_micros);
    let writes: Vec<Write> = effects.iter().map(|effect| effect.write()).collect();
    let plan = repo::plan(&open.tree, did, &writes, &open.key, Some(&open.protocol_head()), rev)
        .map_err(|error| Failed::For(error.into()))?;
    let head = stored_head(&plan, open.head.record_set);

    let mut txn = Txn::new();
    accounts::assert_active(&mut txn, did);
    repos::advance(&mut txn, did, &open.head.commit, &head);
    for effect in effects {
        add_effect(&mut txn, did, open.head.record_set, (rev, now_micros), effect);
    }
    add_collections(&mut txn, did, (&open.tree, &plan.tree), effects);
    txn.event(event(&plan, did, now_micros));
    if effects.iter().all(|effect| matches!(effect.kind, EffectKind::Delete)) {
        txn.use_some_disk_reserve();
    }

    let replaced = effects.iter().filter(|effect| !matches!(effect.kind, EffectKind::Create(_)));
    let replaced: Vec<&RecordPath> = replaced.map(|effect| &effect.path).collect();
    snapshot::keep_replaced(app, did, open, &replaced).await;
    match app.db.commit(txn).await {
        Ok(_) => {
            let made = CommitMade { cid: head.commit, rev };
            app.repos.keep(did, &Arc::new(OpenRepo { head, tree: plan.tree, key: Arc::clone(&open.key) }));
            Ok(made)
        }
        Err(error) => {
            // Whatever the store has now, it is not known to be what is in memory.
            app.repos.forget(did);
            Err(match error {
                CommitError::Conflict(ConflictKey::HeadMoved) => Failed::Moved,
                CommitError::Conflict(ConflictKey::AccountInactive) => Failed::For(WriteError::Inactive),
                CommitError::Conflict(ConflictKey::BlobGone) => Failed::For(WriteError::BlobGone),
                CommitError::Conflict(ConflictKey::RecordDiffers) => {
                    app.integrity.report(&integrity::repository(did), integrity::RECORDS_DIFFER);
                    Failed::For(WriteError::Damaged(did.clone()))
                }
                CommitError::Conflict(_)
                | CommitError::Unavailable { .. }
                | CommitError::Unknown { .. }
                | CommitError::Refused { .. } => Failed::For(WriteError::Commit(Arc::new(error))),
            })
        }
    }
}

/// Adds what happens to one record: its row, what it is about, and the blobs it refers to.
fn add_effect(txn: &mut Txn, did: &Did, set: RecordSet, (rev, now_micros): (Tid, u64), effect: &Effect) {
    let Effect { path, kind } = effect;
    match kind {
        EffectKind::Create(record) => records::create(txn, set, path, &record.cid, rev, record.block.clone()),
        EffectKind::Update(record) => records::update(txn, set, path, &record.cid, rev, record.block.clone()),
        EffectKind::Delete => records::delete(txn, set, path),
    }
    if !matches!(kind, EffectKind::Create(_)) {
        if SINGLE_SUBJECT_COLLECTIONS.contains(&path.collection()) {
            records::remove_subjects(txn, set, path);
        }
        blobs::drop_references(txn, did, set, path, clock::to_store(now_micros));
    }
    let Some(record) = effect.record() else { return };
    if let Some(subject) = &record.subject {
        records::add_subject(txn, set, path, subject);
    }
    let mut cids: Vec<Cid> = record.blobs.iter().map(|reference| reference.cid).collect();
    cids.sort_unstable();
    cids.dedup();
    blobs::refer(txn, did, set, path, rev, &cids);
}

/// Adds which collections are new to the repository, and which it has no more.
fn add_collections(txn: &mut Txn, did: &Did, (before, after): (&Tree, &Tree), effects: &[&Effect]) {
    let mut seen = HashSet::new();
    for Effect { path, kind } in effects {
        let collection = path.collection();
        if matches!(kind, EffectKind::Update(_)) || !seen.insert(collection) {
            continue;
        }
        let prefix = format!("{collection}/");
        match (before.has_prefix(&prefix), after.has_prefix(&prefix)) {
            (false, true) => repos::add_collection(txn, did, collection),
            (true, false) => repos::remove_collection(txn, did, collection),
            (true, true) | (false, false) => {}
        }
    }
}

fn event(plan: &CommitPlan, did: &Did, now_micros: u64) -> NewEvent {
    let frame = plan.commit_frame(&Datetime::from_unix_micros(now_micros));
    NewEvent {
        did: did.to_string(),
        kind: EventKind::Commit,
        time_micros: clock::to_store(now_micros),
        before: frame.before,
        after: frame.after,
    }
}

fn answer(reply: oneshot::Sender<Outcome>, outcome: Outcome) {
    // Who has gone away needs no answer.
    drop(reply.send(outcome));
}
