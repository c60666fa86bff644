//! A repository's first commit, and the events that announce an account.

use allod_atproto::{
    Datetime, Tid,
    crypto::SigningKey,
    frame::{self, EncodedFrame},
    repo::{PlanError, Tree, plan},
};
use allod_base::{clock, randomness};
use allod_store::{
    EventKind, NewEvent, Txn,
    tables::{accounts::Account, records::RecordSet, repos},
};

use super::stored_head;
use crate::{app::App, domain::account_status::Status};

const CLOCK_ID_MASK: u16 = 0x3ff;

/// Adds the empty, signed repository of a new account; and, when it is active, the events that tell the network:
/// identity, account, commit, sync, in this order.
pub fn add(
    app: &App,
    txn: &mut Txn,
    account: &Account,
    signing: &SigningKey,
    now_micros: u64,
) -> Result<(), PlanError> {
    let clock_id = u16::from_be_bytes(randomness::bytes(&*app.randomness)) & CLOCK_ID_MASK;
    let rev = Tid::next(None, now_micros, clock_id);
    let plan = plan(&Tree::empty(), &account.did, &[], signing, None, rev)?;
    let record_set = RecordSet::from_random(randomness::bytes(&*app.randomness));
    repos::create(txn, &account.did, &stored_head(&plan, record_set));
    if !Status::of(account).is_active() {
        return Ok(());
    }
    let time = Datetime::from_unix_micros(now_micros);
    let (did, handle) = (account.did.clone(), Some(account.handle.clone()));
    let identity = frame::Identity { did: did.clone(), handle, time: time.clone() };
    let active = frame::Account { did, active: true, status: None, time: time.clone() };
    for (kind, encoded) in [
        (EventKind::Identity, frame::identity(&identity)),
        (EventKind::Account, frame::account(&active)),
        (EventKind::Commit, plan.commit_frame(&time)),
        (EventKind::Sync, frame::sync(&plan.sync_message(&time))),
    ] {
        txn.event(event(account, kind, encoded, now_micros));
    }
    Ok(())
}

fn event(account: &Account, kind: EventKind, encoded: EncodedFrame, now_micros: u64) -> NewEvent {
    NewEvent {
        did: account.did.to_string(),
        kind,
        time_micros: clock::to_store(now_micros),
        before: encoded.before,
        after: encoded.after,
    }
}
