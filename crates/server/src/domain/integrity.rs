//! Damage that was found in what is stored: named once in the log, counted, listed for `allod status` and noted in the
//! audit log. What is damaged is never shown.

use std::collections::BTreeMap;

use allod_atproto::Did;
use parking_lot::Mutex;

use super::audit::{Actor, AuditLog, By};
use crate::limits::DAMAGES_LISTED_MAX;

/// Damage of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What is damaged: a record's address, or a blob's DID and CID.
    pub subject: String,
    /// What is wrong with it.
    pub what: &'static str,
    /// How often it was met.
    pub count: u64,
}

/// The damage that was found since the server started.
#[derive(Default)]
pub struct Integrity(Mutex<Found>);

#[derive(Default)]
struct Found {
    by_subject: BTreeMap<String, (&'static str, u64)>,
    further: u64,
    /// Not in the audit log yet.
    unaudited: Vec<Damage>,
}

impl Integrity {
    /// Notes damage, and logs it: the first time, and then each time its count has another digit.
    pub fn report(&self, subject: &str, what: &'static str) {
        let mut found = self.0.lock();
        let is_full = found.by_subject.len() >= DAMAGES_LISTED_MAX;
        let count = match found.by_subject.get_mut(subject) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None if is_full => {
                found.further += 1;
                found.further
            }
            None => {
                found.by_subject.insert(subject.to_owned(), (what, 1));
                found.unaudited.push(Damage { subject: subject.to_owned(), what, count: 1 });
                1
            }
        };
        drop(found);
        if 10_u64.checked_pow(count.ilog10()) == Some(count) {
            tracing::error!(subject, what, count, "damaged data was found; `allod status` says what to do");
        }
    }

    /// Notes that something is whole.
    pub fn is_whole(&self, subject: &str) {
        if self.0.lock().by_subject.remove(subject).is_some() {
            tracing::info!(subject, "damaged data was repaired");
        }
    }

    /// Notes that a repository and all its records are whole.
    pub fn repository_is_whole(&self, did: &Did) {
        self.is_whole(&repository(did));
        let records = record(did, "");
        self.0.lock().by_subject.retain(|subject, _| !subject.starts_with(&records));
    }

    /// The damage that is known, and how much more was met than is listed.
    pub fn list(&self) -> (Vec<Damage>, u64) {
        let found = self.0.lock();
        let listed = found.by_subject.iter().map(|(subject, (what, count))| Damage {
            subject: subject.clone(),
            what,
            count: *count,
        });
        (listed.collect(), found.further)
    }

    /// Notes in the audit log what was found since the last time.
    pub async fn note(&self, log: &AuditLog) {
        let by = By { actor: Actor::Server, method: "integrity" };
        for Damage { subject, what, .. } in self.take_unaudited() {
            log.found(&by, &subject, &format!("damaged: {what}")).await;
        }
    }

    fn take_unaudited(&self) -> Vec<Damage> {
        std::mem::take(&mut self.0.lock().unaudited)
    }
}

/// What is wrong with a record or blob whose bytes are others.
pub const BYTES_CHANGED: &str = "its bytes are not those of its CID";

/// What is wrong with a repository whose records are others.
pub const RECORDS_DIFFER: &str = "its records are not what its tree says";
/// What is wrong with an account whose rows are not what the schema says.
pub const ROWS_UNREADABLE: &str = "its rows can't be read";

/// The subject of a blob's damage.
pub fn blob(did: &impl std::fmt::Display, cid: &impl std::fmt::Display) -> String {
    format!("{did} blob {cid}")
}

/// The subject of a record's damage.
pub fn record(did: &impl std::fmt::Display, path: &str) -> String {
    format!("at://{did}/{path}")
}

/// The subject of a repository's damage.
pub fn repository(did: &impl std::fmt::Display) -> String {
    format!("{did} repository")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_counted_listed_and_bounded() {
        let integrity = Integrity::default();
        for _ in 0..3 {
            integrity.report("a", "wrong");
        }
        let damage = |count| Damage { subject: "a".to_owned(), what: "wrong", count };
        assert_eq!(integrity.list(), (vec![damage(3)], 0));
        assert_eq!(integrity.take_unaudited(), [damage(1)]);
        assert_eq!(integrity.take_unaudited(), []);
        integrity.is_whole("a");
        assert_eq!(integrity.list(), (vec![], 0));
        for n in 0..DAMAGES_LISTED_MAX + 5 {
            integrity.report(&n.to_string(), "wrong");
        }
        let (listed, further) = integrity.list();
        assert_eq!((listed.len(), further), (DAMAGES_LISTED_MAX, 5));
    }
}
