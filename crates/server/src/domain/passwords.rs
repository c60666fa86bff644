//! Password hashing: argon2id, a bounded number at a time, so that sign-ins can't starve the rest of the server.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{CustomizedPasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use super::secret::Secret;

/// How many hashes may wait for each worker before further ones are refused: about two seconds of work.
pub const QUEUED_HASHES_PER_WORKER_MAX: usize = 50;

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
    workers: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
    params: Params,
    dummy: String,
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
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
        Ok(Self {
            workers: Arc::new(Semaphore::new(workers)),
            waiting: AtomicUsize::new(0),
            waiting_max: workers * QUEUED_HASHES_PER_WORKER_MAX,
            params,
            dummy,
        })
    }

    /// Hashes a password into PHC form.
    pub async fn hash(&self, password: Secret<String>, salt: [u8; SALT_BYTES]) -> Result<String, HashError> {
        let params = self.params.clone();
        self.run(move || {
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
        .await?
    }

    /// Compares a password with a hash; without one it spends the same time and answers `false`.
    pub async fn verify(&self, password: Secret<String>, hash: Option<&str>) -> Result<bool, HashError> {
        let known = hash.is_some() && password.expose().chars().count() <= VERIFIED_PASSWORD_CHARS_MAX;
        let hash = hash.filter(|_| known).unwrap_or(&self.dummy).to_owned();
        self.run(move || {
            let hash = PasswordHash::new(&hash).map_err(|e| HashError::Failed(e.to_string()))?;
            let password: String = password.expose().chars().take(VERIFIED_PASSWORD_CHARS_MAX).collect();
            let password = Secret::new(password);
            Ok(Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok() && known)
        })
        .await?
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, HashError> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.waiting_max {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(HashError::Overloaded);
        }
        let waiting = Waiting(&self.waiting);
        let permit = Arc::clone(&self.workers).acquire_owned().await.map_err(|e| HashError::Failed(e.to_string()))?;
        drop(waiting);
        // The permit travels with the work: a caller that goes away does not free a busy worker.
        tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        })
        .await
        .map_err(|e| HashError::Failed(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: HashCost = HashCost { memory_kib: 8, passes: 1 };

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn verifies_its_own_hashes_and_nothing_else() {
        let pool = PasswordPool::new(1, CHEAP).unwrap();
        let hash = pool.hash(secret("correct horse"), [3; 16]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        assert!(pool.verify(secret("correct horse"), Some(&hash)).await.unwrap());
        assert!(!pool.verify(secret("wrong horse"), Some(&hash)).await.unwrap());
        assert!(!pool.verify(secret("correct horse"), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_password_beyond_the_limit_never_matches() {
        let pool = PasswordPool::new(1, CHEAP).unwrap();
        let long = "x".repeat(VERIFIED_PASSWORD_CHARS_MAX + 1);
        let hash = pool.hash(secret(&long), [3; 16]).await.unwrap();
        assert!(!pool.verify(secret(&long), Some(&hash)).await.unwrap());
    }

    #[tokio::test]
    async fn sheds_what_would_wait_too_long() {
        let pool = Arc::new(PasswordPool::new(1, CHEAP).unwrap());
        let busy = pool.workers.acquire().await.unwrap();
        let waiting: Vec<_> = (0..QUEUED_HASHES_PER_WORKER_MAX)
            .map(|_| {
                let pool = Arc::clone(&pool);
                tokio::spawn(async move { pool.hash(secret("x"), [0; 16]).await })
            })
            .collect();
        while pool.waiting.load(Ordering::Relaxed) < QUEUED_HASHES_PER_WORKER_MAX {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.hash(secret("x"), [0; 16]).await, Err(HashError::Overloaded));
        drop(busy);
        for hash in waiting {
            assert!(hash.await.unwrap().is_ok());
        }
    }
}
