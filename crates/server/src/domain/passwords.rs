//! Password hashing: argon2id, on a bounded number of threads of its own with a fair queue before them, so that neither a
//! flood of sign-ins nor slow files can keep anybody from signing in.

mod queue;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use allod_base::secret::Secret;
use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{CustomizedPasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

pub use queue::Requester;

use self::queue::FairQueue;
use crate::limits::{HASH_THREAD_IDLE_SECS, HASHES_WAITING_PER_ADDRESS_AND_WORKER_MAX, HASHES_WAITING_PER_WORKER_MAX};

/// The longest password that is hashed to be compared, in characters; longer ones can't match.
pub const VERIFIED_PASSWORD_CHARS_MAX: usize = 512;

const SALT_BYTES: usize = 16;

/// What one hash costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
}

impl Default for HashCost {
    /// 19 MiB and two passes, the recommended minimum for interactive sign-in.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2 }
    }
}

/// Why nothing was hashed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Too many hashes are waiting; try again in a moment.
    #[error("too many sign-ins are waiting")]
    Overloaded,
    /// The library refused; a bug of ours.
    #[error("hashing failed: {0}")]
    Failed(String),
}

/// Hashes and verifies on a bounded number of threads with a bounded queue.
pub struct PasswordPool {
    threads: Arc<Threads>,
    params: Params,
    dummy: String,
}

/// Work for a thread, or a place in the queue that is given up.
type Job = Box<dyn FnOnce(Verdict) + Send>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Run,
    Shed,
}

/// The threads; they start when there is work, and end when there was none for a while.
struct Threads {
    state: Mutex<State>,
    work_came: Condvar,
    count_max: usize,
}

struct State {
    queue: FairQueue<Job>,
    threads: usize,
    idle: usize,
    is_closed: bool,
}

impl PasswordPool {
    /// Makes a pool that hashes `workers` passwords at once at this cost.
    ///
    /// # Errors
    /// [`HashError::Failed`] when the cost is outside what argon2 defines.
    pub fn new(workers: usize, cost: HashCost) -> Result<Self, HashError> {
        let workers = workers.max(1);
        let params =
            Params::new(cost.memory_kib, cost.passes, 1, None).map_err(|e| HashError::Failed(e.to_string()))?;
        // Never equals a hash of any password: verifying against it only spends the same time.
        let dummy = format!(
            "$argon2id$v=19$m={},t={},p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            cost.memory_kib, cost.passes
        );
        Ok(Self { threads: Arc::new(Threads::new(workers)), params, dummy })
    }

    /// Hashes a password into PHC form.
    pub async fn hash(
        &self,
        by: Requester<'_>,
        password: Secret<String>,
        salt: [u8; SALT_BYTES],
    ) -> Result<String, HashError> {
        let params = self.params.clone();
        self.run(by, move || {
            Argon2::default()
                .hash_password_customized(
                    password.expose().as_bytes(),
                    &salt,
                    Some(Algorithm::Argon2id.as_str()),
                    Some(Version::V0x13.into()),
                    params,
                )
                .map(|hash: PasswordHash| hash.to_string())
                .map_err(|e| HashError::Failed(e.to_string()))
        })
        .await
    }

    /// Compares a password with a hash; without one it spends the same time and answers `false`.
    pub async fn verify(
        &self,
        by: Requester<'_>,
        password: Secret<String>,
        hash: Option<&str>,
    ) -> Result<bool, HashError> {
        let known = hash.is_some() && password.expose().chars().count() <= VERIFIED_PASSWORD_CHARS_MAX;
        let hash = hash.filter(|_| known).unwrap_or(&self.dummy).to_owned();
        let password: String = password.expose().chars().take(VERIFIED_PASSWORD_CHARS_MAX).collect();
        let password = Secret::new(password);
        self.run(by, move || {
            let hash = PasswordHash::new(&hash).map_err(|e| HashError::Failed(e.to_string()))?;
            Ok(Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok() && known)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        by: Requester<'_>,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |verdict| {
            let outcome = match verdict {
                // The caller is gone.
                _ if answer.is_closed() => return,
                Verdict::Run => work(),
                Verdict::Shed => Err(HashError::Overloaded),
            };
            // Ignore: the caller went away meanwhile.
            let _ = answer.send(outcome);
        });
        self.threads.push(by, job)?;
        answered.await.unwrap_or_else(|_| Err(HashError::Failed("the hashing thread ended".to_owned())))
    }
}

impl Drop for PasswordPool {
    fn drop(&mut self) {
        self.threads.state.lock().is_closed = true;
        self.threads.work_came.notify_all();
    }
}

impl Threads {
    fn new(threads_max: usize) -> Self {
        let queue = FairQueue::new(
            threads_max * HASHES_WAITING_PER_WORKER_MAX,
            threads_max * HASHES_WAITING_PER_ADDRESS_AND_WORKER_MAX,
        );
        let state = State { queue, threads: 0, idle: 0, is_closed: false };
        Self { state: Mutex::new(state), work_came: Condvar::new(), count_max: threads_max }
    }

    fn push(self: &Arc<Self>, by: Requester<'_>, job: Job) -> Result<(), HashError> {
        let mut state = self.state.lock();
        let shed = state.queue.push(by, job).map_err(|_| HashError::Overloaded)?;
        if state.queue.len() > state.idle && state.threads < self.count_max {
            let threads = Arc::clone(self);
            let started = std::thread::Builder::new().name("password-hash".to_owned()).spawn(move || threads.work());
            match started {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(HashError::Failed(error.to_string())),
                // The threads that run are enough to make progress.
                Err(error) => tracing::warn!(%error, "could not start another thread for password hashes"),
            }
        }
        drop(state);
        self.work_came.notify_one();
        if let Some(shed) = shed {
            shed(Verdict::Shed);
        }
        Ok(())
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            // A panic is the job's alone: its caller sees that there is no answer.
            if catch_unwind(AssertUnwindSafe(|| job(Verdict::Run))).is_err() {
                tracing::error!("hashing a password panicked");
            }
        }
    }

    /// Waits for the next job. On `None` the thread must end: it is no longer counted in [`State::threads`], so that the
    /// next push can start another one.
    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.is_closed {
                state.threads -= 1;
                return None;
            }
            if let Some(job) = state.queue.pop() {
                return Some(job);
            }
            state.idle += 1;
            let wait = self.work_came.wait_for(&mut state, Duration::from_secs(HASH_THREAD_IDLE_SECS));
            state.idle -= 1;
            if wait.timed_out() && state.queue.len() == 0 {
                state.threads -= 1;
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const CHEAP: HashCost = HashCost { memory_kib: 8, passes: 1 };
    const OPERATOR: Requester<'static> = Requester { address: None, account: "admin" };

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    fn at(address: [u8; 4], account: &str) -> Requester<'_> {
        Requester { address: Some(address.into()), account }
    }

    /// Keeps a pool's only thread busy until the sender is dropped.
    fn busy(pool: &PasswordPool) -> mpsc::Sender<()> {
        let ((started, has_started), (end, ended)) = (mpsc::channel(), mpsc::channel::<()>());
        let job = move |_| {
            started.send(()).unwrap();
            let _ = ended.recv();
        };
        pool.threads.push(OPERATOR, Box::new(job)).unwrap();
        has_started.recv().unwrap();
        end
    }

    #[tokio::test]
    async fn verifies_its_own_hashes_and_nothing_else() {
        let pool = PasswordPool::new(1, CHEAP).unwrap();
        let hash = pool.hash(OPERATOR, secret("correct horse"), [3; 16]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        assert!(pool.verify(OPERATOR, secret("correct horse"), Some(&hash)).await.unwrap());
        assert!(!pool.verify(OPERATOR, secret("wrong horse"), Some(&hash)).await.unwrap());
        assert!(!pool.verify(OPERATOR, secret("correct horse"), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_hash_that_panics_fails_alone() {
        let pool = PasswordPool::new(1, CHEAP).unwrap();
        let end = busy(&pool);
        let panicking = pool.run::<()>(OPERATOR, || panic!("a test's panic"));
        let (panics, follows) = tokio::join!(panicking, async {
            let follows = pool.run(OPERATOR, || Ok(7));
            drop(end);
            follows.await
        });
        assert!(matches!(panics, Err(HashError::Failed(_))), "{panics:?}");
        assert_eq!(follows.unwrap(), 7, "it waited behind the panic, on the same thread");
    }

    #[tokio::test]
    async fn a_password_beyond_the_limit_never_matches() {
        let pool = PasswordPool::new(1, CHEAP).unwrap();
        let long = "x".repeat(VERIFIED_PASSWORD_CHARS_MAX + 1);
        let hash = pool.hash(OPERATOR, secret(&long), [3; 16]).await.unwrap();
        assert!(!pool.verify(OPERATOR, secret(&long), Some(&hash)).await.unwrap());
    }

    #[tokio::test]
    async fn a_flood_from_one_address_is_served_in_turn_with_everybody_else_and_shed() {
        let pool = PasswordPool::new(1, CHEAP).unwrap();
        let end = busy(&pool);
        let (served, order) = mpsc::channel();
        let mut answers = Vec::new();
        let mut ask = |by: Requester<'_>, name: String| {
            let (served, (answer, answered)) = (served.clone(), oneshot::channel());
            let job = Box::new(move |verdict| {
                if verdict == Verdict::Run {
                    served.send(name).unwrap();
                }
                let _ = answer.send(verdict);
            });
            let is_taken = pool.threads.push(by, job).is_ok();
            if is_taken {
                answers.push(answered);
            }
            is_taken
        };
        let taken = (0..80).filter(|n| ask(at([203, 0, 113, 1], &format!("guess-{n}")), format!("flood {n}"))).count();
        assert_eq!(taken, HASHES_WAITING_PER_ADDRESS_AND_WORKER_MAX);
        assert!(ask(at([198, 51, 100, 7], "alice"), "alice".to_owned()));
        assert!(ask(at([198, 51, 100, 8], "bob"), "bob".to_owned()));
        drop(end);
        for answered in answers {
            assert_eq!(answered.await, Ok(Verdict::Run));
        }
        let order: Vec<String> = order.try_iter().collect();
        assert_eq!(order[..3], ["flood 0", "alice", "bob"], "{order:?}");
        assert_eq!(order.len(), taken + 2);
    }

    #[tokio::test]
    async fn many_flooding_addresses_leave_a_place_for_one_who_asks_once() {
        let pool = PasswordPool::new(1, CHEAP).unwrap();
        let end = busy(&pool);
        let mut shed = Vec::new();
        for address in 0..4 {
            for n in 0..HASHES_WAITING_PER_ADDRESS_AND_WORKER_MAX {
                let shed_to = (address, n);
                let (answer, answered) = oneshot::channel();
                let job = Box::new(move |verdict| answer.send((shed_to, verdict)).unwrap());
                if pool.threads.push(at([203, 0, 113, address], &n.to_string()), job).is_ok() {
                    shed.push(answered);
                }
            }
        }
        assert_eq!(pool.threads.state.lock().queue.len(), HASHES_WAITING_PER_WORKER_MAX);
        let alice = pool.hash(at([198, 51, 100, 7], "alice"), secret("password"), [0; 16]);
        let ((), alice) = tokio::join!(async move { drop(end) }, alice);
        assert!(alice.is_ok(), "{alice:?}");
        let mut verdicts = Vec::new();
        for answered in shed {
            verdicts.push(answered.await.unwrap().1);
        }
        assert!(verdicts.contains(&Verdict::Shed), "somebody of the flood made the place");
    }

    #[tokio::test]
    async fn who_is_gone_costs_nothing() {
        let pool = PasswordPool::new(1, CHEAP).unwrap();
        let end = busy(&pool);
        let (ran, has_run) = mpsc::channel();
        {
            let gone = pool.run(OPERATOR, move || {
                ran.send(()).unwrap();
                Ok(())
            });
            let mut gone = std::pin::pin!(gone);
            assert!(futures_util::poll!(gone.as_mut()).is_pending());
        }
        drop(end);
        pool.hash(OPERATOR, secret("x"), [0; 16]).await.unwrap();
        assert!(has_run.recv().is_err(), "it was dropped without being run");
    }

    #[test]
    fn threads_start_when_needed_and_are_not_those_for_files() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let pool = PasswordPool::new(3, CHEAP).unwrap();
            assert_eq!(pool.threads.state.lock().threads, 0);
            let (end, ended) = mpsc::channel::<()>();
            let slow_file = tokio::task::spawn_blocking(move || ended.recv());
            for _ in 0..10 {
                pool.hash(OPERATOR, secret("x"), [0; 16]).await.unwrap();
            }
            assert!((1..=3).contains(&pool.threads.state.lock().threads));
            drop(end);
            slow_file.await.unwrap().unwrap_err();
        });
    }
}
