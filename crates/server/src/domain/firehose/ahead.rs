//! Subscribers whose cursor is ahead of all events: they have seen numbers that this server does not know of, as after a
//! restore from an older copy, and get nothing until its numbers are above theirs.

use std::{collections::VecDeque, net::IpAddr};

use allod_base::clock::MICROS_PER_SEC;
use allod_store::Seq;
use parking_lot::Mutex;

use super::seats::{Form, Seat};
use crate::{
    domain::shares::network,
    limits::{FIREHOSE_AHEAD_ADDRESSES_MAX, FIREHOSE_AHEAD_WARNING_EVERY_SECS},
};

/// A subscriber whose cursor was ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ahead {
    /// Its address.
    pub address: IpAddr,
    /// The form it asked for.
    pub form: Form,
    /// The cursor that it came with last.
    pub cursor: Seq,
    /// When it came last, in microseconds since the Unix epoch.
    pub at_micros: u64,
    /// How often it came since the server runs.
    pub times: u64,
}

/// The last subscribers whose cursor was ahead; a stranger can name any cursor, so only some are kept and told of.
#[derive(Debug, Default)]
pub(super) struct AheadLog(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// The last one last.
    entries: VecDeque<Ahead>,
    warned_at_micros: Option<u64>,
}

impl AheadLog {
    /// Notes that a subscriber came with a cursor above the newest number, and warns of it now and then.
    pub(super) fn note(&self, seat: &Seat, cursor: Seq, newest: Seq) {
        let listener = seat.listener();
        let at_micros = listener.since_micros;
        let mut log = self.0.lock();
        let known = log.entries.iter().position(|entry| network(entry.address) == network(listener.address));
        let before = known.and_then(|index| log.entries.remove(index)).map_or(0, |entry| entry.times);
        if log.entries.len() >= FIREHOSE_AHEAD_ADDRESSES_MAX {
            log.entries.pop_front();
        }
        let times = before.saturating_add(1);
        log.entries.push_back(Ahead { address: listener.address, form: listener.form, cursor, at_micros, times });
        let next = log.warned_at_micros.map(|at| at.saturating_add(FIREHOSE_AHEAD_WARNING_EVERY_SECS * MICROS_PER_SEC));
        let is_due = next.is_none_or(|next| at_micros >= next);
        if is_due {
            log.warned_at_micros = Some(at_micros);
        }
        drop(log);
        if is_due {
            tracing::warn!(
                address = %listener.address,
                cursor,
                newest,
                "a subscriber has seen event numbers above the newest event: it gets no events. The data may have been \
                 restored from a backup. If it is a relay: allod firehose raise-sequence (see allod firehose status)"
            );
        }
    }

    /// Who is still ahead of the newest number, the last one first.
    pub(super) fn list(&self, newest: Seq) -> Vec<Ahead> {
        self.0.lock().entries.iter().rev().filter(|entry| entry.cursor > newest).cloned().collect()
    }
}
