//! What a request does to a repository as it is: the one change of each record that its writes come to.

use std::collections::{HashMap, hash_map::Entry};

use allod_atproto::{
    Cid, Did,
    repo::{Change, RecordPath, Write},
};
use allod_store::{Database, tables::records};

use super::{Action, Request, Swap, WriteError};
use crate::{
    app::App,
    domain::repos::{open::OpenRepo, record::Prepared},
};

/// What happens to one record.
#[derive(Debug, Clone)]
pub(super) struct Effect {
    pub(super) path: RecordPath,
    pub(super) kind: EffectKind,
}

#[derive(Debug, Clone)]
pub(super) enum EffectKind {
    Create(Prepared),
    Update(Prepared),
    Delete,
}

impl Effect {
    /// The effect as a commit is planned with it.
    pub(super) fn write(&self) -> Write {
        let change = match &self.kind {
            EffectKind::Create(record) => Change::Create(record.block.clone()),
            EffectKind::Update(record) => Change::Update(record.block.clone()),
            EffectKind::Delete => Change::Delete,
        };
        Write { path: self.path.clone(), change }
    }

    /// The record that is there afterwards.
    pub(super) fn record(&self) -> Option<&Prepared> {
        match &self.kind {
            EffectKind::Create(record) | EffectKind::Update(record) => Some(record),
            EffectKind::Delete => None,
        }
    }
}

/// A record while a request's writes are gone through.
struct State {
    before: Option<Cid>,
    now: Option<Cid>,
    record: Option<Prepared>,
}

/// Tells what a request does; an error when it can't be done. Nothing is changed.
pub(super) async fn decide(
    app: &App,
    did: &Did,
    open: &OpenRepo,
    request: &Request,
) -> Result<Vec<Effect>, WriteError> {
    if let Some(expected) = request.swap_commit
        && expected != open.head.commit
    {
        return Err(WriteError::SwapCommit { found: open.head.commit });
    }
    let mut order = Vec::with_capacity(request.writes.len());
    let mut states: HashMap<&RecordPath, State> = HashMap::with_capacity(request.writes.len());
    for write in &request.writes {
        let state = match states.entry(&write.path) {
            Entry::Occupied(seen) => seen.into_mut(),
            Entry::Vacant(new) => {
                order.push(&write.path);
                let before = open.tree.get(write.path.as_str());
                new.insert(State { before, now: before, record: None })
            }
        };
        apply(state, &write.path, &write.action)?;
    }
    let mut effects = Vec::with_capacity(order.len());
    for path in order {
        let Some(State { before, now, record }) = states.remove(path) else { continue };
        let kind = match (before, now, record) {
            (None, Some(_), Some(record)) => EffectKind::Create(record),
            (Some(before), Some(now), Some(record)) if before != now => EffectKind::Update(record),
            (Some(_), None, _) => EffectKind::Delete,
            _ => continue,
        };
        effects.push(Effect { path: path.clone(), kind });
    }
    for record in effects.iter().filter_map(Effect::record) {
        app.blobs.check_references(did, &record.blobs).await?;
    }
    add_replaced(&*app.db, open, request, &mut effects).await?;
    Ok(effects)
}

fn apply(state: &mut State, path: &RecordPath, action: &Action) -> Result<(), WriteError> {
    let set = |state: &mut State, record: &Prepared| {
        state.now = Some(record.cid);
        state.record = Some(record.clone());
    };
    match action {
        Action::Create { .. } if state.now.is_some() => return Err(WriteError::RecordExists(path.clone())),
        Action::Update { .. } if state.now.is_none() => return Err(WriteError::NoSuchRecord(path.clone())),
        Action::Create { record, .. } | Action::Update { record } => set(state, record),
        Action::Put { record, swap } => {
            check_swap(*swap, state.now)?;
            set(state, record);
        }
        Action::Delete { swap, may_be_missing } => {
            check_swap(*swap, state.now)?;
            if state.now.is_none() && !may_be_missing {
                return Err(WriteError::NoSuchRecord(path.clone()));
            }
            state.now = None;
            state.record = None;
        }
    }
    Ok(())
}

fn check_swap(swap: Swap, found: Option<Cid>) -> Result<(), WriteError> {
    match swap {
        Swap::Is(expected) if expected != found => Err(WriteError::SwapRecord { found }),
        Swap::Any | Swap::Is(_) => Ok(()),
    }
}

/// Adds the end of older records about the subjects of new ones.
async fn add_replaced(
    db: &dyn Database,
    open: &OpenRepo,
    request: &Request,
    effects: &mut Vec<Effect>,
) -> Result<(), WriteError> {
    for write in &request.writes {
        let Action::Create { record: Prepared { subject: Some(subject), .. }, replaces_same_subject: true } =
            &write.action
        else {
            continue;
        };
        let collection = write.path.collection();
        for key in records::about(db, open.head.record_set, collection, subject).await? {
            let Ok(path) = RecordPath::parse(&format!("{collection}/{key}")) else { continue };
            let is_untouched = effects.iter().all(|effect| effect.path != path);
            if is_untouched && open.tree.get(path.as_str()).is_some() {
                effects.push(Effect { path, kind: EffectKind::Delete });
            }
        }
    }
    Ok(())
}
