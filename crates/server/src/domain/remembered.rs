//! Accounts and sign-ins that were lately asked for, so that not every request has to read them again.
//!
//! What a transaction changes of them it says itself ([`Touched`]); [`Forgetting`] stands before the store and sees to
//! it that the change is seen by everybody from the moment it is acknowledged.

use std::{path::Path, sync::Arc};

use allod_atproto::Did;
use allod_store::{
    CommitError, Committed, Database, Db, Event, EventDay, ReadError, Rows, Seq, Statement, StoreState, Touched, Txn,
    tables::{
        accounts::{self, Account},
        sessions,
    },
};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tokio::sync::{Notify, watch};

use crate::limits::{REMEMBERED_ACCOUNTS_MAX, REMEMBERED_SESSIONS_MAX};

/// What was lately asked for.
pub struct Remembered {
    accounts: Cache<String, Arc<Account>>,
    /// Sign-ins that were alive, and whose they are.
    sessions: Cache<String, Did>,
    /// Counts what was forgotten, so that nothing read before is remembered after. Held while something is remembered or
    /// forgotten: nobody sees what is not to stay.
    forgotten: Mutex<u64>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            accounts: Cache::new(REMEMBERED_ACCOUNTS_MAX),
            sessions: Cache::new(REMEMBERED_SESSIONS_MAX),
            forgotten: Mutex::new(0),
        }
    }
}

impl Remembered {
    /// Gives an account.
    pub async fn account(&self, db: &dyn Database, did: &Did) -> Result<Option<Arc<Account>>, ReadError> {
        if let Some(account) = self.accounts.get(did.as_str()) {
            return Ok(Some(account));
        }
        let before = self.forgotten();
        let Some(account) = accounts::by_did(db, did).await?.map(Arc::new) else { return Ok(None) };
        self.remember(before, || self.accounts.insert(did.to_string(), Arc::clone(&account)));
        Ok(Some(account))
    }

    /// Tells whether a sign-in of an account is not ended. An ended one is never remembered as alive; one that merely
    /// ran out may be, which the shorter life of access tokens makes good.
    pub async fn is_alive(&self, db: &dyn Database, did: &Did, family: &str, now: i64) -> Result<bool, ReadError> {
        if self.sessions.get(family).is_some_and(|whose| whose == *did) {
            return Ok(true);
        }
        let before = self.forgotten();
        if !sessions::is_alive(db, did, family, now).await? {
            return Ok(false);
        }
        self.remember(before, || self.sessions.insert(family.to_owned(), did.clone()));
        Ok(true)
    }

    fn forgotten(&self) -> u64 {
        *self.forgotten.lock()
    }

    /// Remembers what was read when `before` counted, unless something was forgotten since.
    fn remember(&self, before: u64, insert: impl FnOnce()) {
        let forgotten = self.forgotten.lock();
        if *forgotten == before {
            insert();
        }
    }

    fn forget(&self, touched: &[Touched]) {
        let mut forgotten = self.forgotten.lock();
        *forgotten += 1;
        for touched in touched {
            match touched {
                Touched::Account(did) => {
                    self.accounts.remove(did.as_str());
                    self.sessions.retain(|_, whose| whose.as_str() != did);
                }
                Touched::Session(family) => drop(self.sessions.remove(family.as_str())),
                // Nothing of it is remembered.
                Touched::Outbox => {}
            }
        }
    }
}

/// A store whose commits are seen by [`Remembered`].
pub struct Forgetting {
    inner: Db,
    remembered: Arc<Remembered>,
    outbox: Arc<Notify>,
}

impl Forgetting {
    /// Stands before a store; `outbox` is told of letters that were posted.
    pub fn new(inner: Db, remembered: Arc<Remembered>, outbox: Arc<Notify>) -> Self {
        Self { inner, remembered, outbox }
    }
}

impl Database for Forgetting {
    fn read(&self, query: Statement) -> BoxFuture<'_, Result<Rows, ReadError>> {
        self.inner.read(query)
    }

    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<Committed, CommitError>> {
        if txn.touched.is_empty() {
            return self.inner.commit(txn);
        }
        let (inner, remembered) = (Arc::clone(&self.inner), Arc::clone(&self.remembered));
        let outbox = txn.touched.contains(&Touched::Outbox).then(|| Arc::clone(&self.outbox));
        // In a task of its own: a caller who goes away must not leave something remembered that has changed.
        let committed = tokio::spawn(async move {
            let touched = txn.touched.clone();
            let outcome = inner.commit(txn).await;
            remembered.forget(&touched);
            if let Some(outbox) = outbox {
                outbox.notify_one();
            }
            outcome
        });
        Box::pin(async move {
            committed.await.unwrap_or_else(|error| Err(CommitError::Unknown { reason: error.to_string() }))
        })
    }

    fn events(&self, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Event>, ReadError>> {
        self.inner.events(after, limit)
    }

    fn watch(&self) -> watch::Receiver<Seq> {
        self.inner.watch()
    }

    fn drop_events_before(&self, day: EventDay) -> BoxFuture<'_, Result<(), CommitError>> {
        self.inner.drop_events_before(day)
    }

    fn raise_sequence(&self, floor: Seq) -> BoxFuture<'_, Result<(), CommitError>> {
        self.inner.raise_sequence(floor)
    }

    fn state(&self) -> StoreState {
        self.inner.state()
    }

    fn backup<'a>(&'a self, to: &'a Path) -> BoxFuture<'a, Result<(), ReadError>> {
        self.inner.backup(to)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const ROUNDS: usize = 20_000;

    fn dora() -> Did {
        Did::parse("did:web:dora.test").unwrap()
    }

    #[test]
    fn what_was_read_before_something_was_forgotten_is_not_remembered() {
        let remembered = Remembered::default();
        let before = remembered.forgotten();
        remembered.forget(&[Touched::Session("family".to_owned())]);
        remembered.remember(before, || remembered.sessions.insert("family".to_owned(), dora()));
        assert!(remembered.sessions.get("family").is_none());
        let before = remembered.forgotten();
        remembered.remember(before, || remembered.sessions.insert("family".to_owned(), dora()));
        assert!(remembered.sessions.get("family").is_some());
    }

    #[test]
    fn nobody_sees_for_a_moment_what_was_forgotten() {
        let remembered = Remembered::default();
        for _ in 0..ROUNDS {
            let before = remembered.forgotten();
            thread::scope(|scope| {
                scope.spawn(|| remembered.remember(before, || remembered.sessions.insert("family".to_owned(), dora())));
                remembered.forget(&[Touched::Session("family".to_owned())]);
                assert!(remembered.sessions.get("family").is_none(), "its end was acknowledged");
            });
        }
    }
}
