//! Turns: one repository is changed by one task at a time, in the order of asking; different repositories never wait
//! for each other.
//!
//! Who finds a repository idle starts its driver, a task of its own, so that a caller who goes away takes nothing with
//! it. What waits meanwhile is handed to the driver together, and may so share a commit.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
};

use allod_atproto::Did;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    open::{self, OpenError, OpenRepo},
    write::{WriteError, WriteJob, group},
};
use crate::{app::App, limits::REPO_TURNS_WAITING_MAX};

/// Something to be done in a repository's turn.
pub(super) enum Job {
    /// Writes records.
    Write(WriteJob),
    /// Opens the repository.
    Open(oneshot::Sender<Result<Arc<OpenRepo>, OpenError>>),
    /// Gives the turn away until it is dropped.
    Alone(oneshot::Sender<Turn>),
}

/// A repository's turn. While it is held, nothing else changes the repository.
#[derive(Debug)]
pub struct Turn {
    _ended: oneshot::Sender<()>,
}

/// More waits for a repository than is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Too many writes to this repository are waiting; try again")]
pub struct Busy;

/// What waits for each repository that is at work.
#[derive(Default)]
pub(super) struct Turns {
    waiting: Mutex<HashMap<Did, VecDeque<Job>>>,
}

impl Turns {
    /// Lets a job wait; true when nobody is at work on the repository, so that the caller has to.
    fn push(&self, did: &Did, job: Job) -> Result<bool, Busy> {
        match self.waiting.lock().entry(did.clone()) {
            Entry::Vacant(idle) => {
                idle.insert(VecDeque::from([job]));
                Ok(true)
            }
            Entry::Occupied(busy) if busy.get().len() >= REPO_TURNS_WAITING_MAX => Err(Busy),
            Entry::Occupied(mut busy) => {
                busy.get_mut().push_back(job);
                Ok(false)
            }
        }
    }

    /// Takes what waits; when it is nothing, the repository is idle from now on.
    fn take(&self, did: &Did) -> Option<VecDeque<Job>> {
        let mut waiting = self.waiting.lock();
        let jobs = waiting.get_mut(did).map(std::mem::take).filter(|jobs| !jobs.is_empty());
        if jobs.is_none() {
            waiting.remove(did);
        }
        jobs
    }
}

/// Lets a job wait for its turn.
pub(super) fn submit(app: &Arc<App>, did: &Did, job: Job) -> Result<(), Busy> {
    if app.repos.turns.push(did, job)? {
        let mut driver = Driver { app: Arc::clone(app), did: did.clone(), is_done: false };
        tokio::spawn(async move { driver.run().await });
    }
    Ok(())
}

/// Waits for a repository's turn.
pub async fn turn(app: &Arc<App>, did: &Did) -> Result<Turn, Busy> {
    let (grant, granted) = oneshot::channel();
    submit(app, did, Job::Alone(grant))?;
    granted.await.map_err(|_| Busy)
}

/// Works a repository's jobs off until there are none.
struct Driver {
    app: Arc<App>,
    did: Did,
    is_done: bool,
}

impl Driver {
    async fn run(&mut self) {
        while let Some(jobs) = self.app.repos.turns.take(&self.did) {
            let mut writes = VecDeque::new();
            for job in jobs {
                match job {
                    Job::Write(write) => writes.push_back(write),
                    Job::Open(reply) => {
                        self.write(&mut writes).await;
                        // Who has gone away needs no answer.
                        drop(reply.send(open::load(&self.app, &self.did).await));
                    }
                    Job::Alone(grant) => {
                        self.write(&mut writes).await;
                        let (turn, ended) = oneshot::channel();
                        if grant.send(Turn { _ended: turn }).is_ok() {
                            // Ends with an error, because the turn is dropped and never sent.
                            let _ended = ended.await;
                        }
                    }
                }
            }
            self.write(&mut writes).await;
        }
        self.is_done = true;
    }

    async fn write(&self, jobs: &mut VecDeque<WriteJob>) {
        if !jobs.is_empty() {
            group::write(&self.app, &self.did, jobs).await;
        }
    }
}

impl Drop for Driver {
    /// After a panic, or at the end of the process: who waits is told so instead of waiting for ever.
    fn drop(&mut self) {
        if !self.is_done {
            self.app.repos.turns.waiting.lock().remove(&self.did);
        }
    }
}

impl From<Busy> for WriteError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}
