//! Starts a job again after a panic.

use std::{panic::AssertUnwindSafe, sync::Arc};

use allod_base::clock::{Clock, MICROS_PER_SEC};
use futures_util::FutureExt;

use crate::limits::{JOB_RESTART_SECS, JOB_RESTART_SECS_MAX};

/// Runs a job until it ends by itself; after a panic again, later each time.
///
/// What the job shares with others survives the unwinding: locks are released, and nothing but the store is relied on
/// from one run to the next.
pub(super) async fn supervise<F>(clock: Arc<dyn Clock>, job: &'static str, work: impl Fn() -> F)
where
    F: Future<Output = ()>,
{
    let mut panics = 0_u32;
    loop {
        // The panic itself was logged by the hook, with its place.
        if AssertUnwindSafe(async { work().await }).catch_unwind().await.is_ok() {
            return;
        }
        let wait_secs = (JOB_RESTART_SECS << panics.min(16)).min(JOB_RESTART_SECS_MAX);
        panics = panics.saturating_add(1);
        tracing::error!(job, panics, wait_secs, "job panicked; it is started again");
        clock.sleep(wait_secs * MICROS_PER_SEC).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use futures_util::future::{BoxFuture, ready};

    use super::*;

    /// Never waits, and adds up what it should have waited.
    #[derive(Default)]
    struct Impatient(AtomicU64);

    impl Clock for Impatient {
        fn now_micros(&self) -> u64 {
            0
        }

        fn elapsed_micros(&self) -> u64 {
            0
        }

        fn sleep(&self, micros: u64) -> BoxFuture<'_, ()> {
            self.0.fetch_add(micros / MICROS_PER_SEC, Relaxed);
            Box::pin(ready(()))
        }
    }

    #[tokio::test]
    async fn a_job_that_panics_is_started_again_ever_later() {
        let (clock, runs) = (Arc::new(Impatient::default()), AtomicU64::new(0));
        supervise(Arc::<Impatient>::clone(&clock), "test", || async {
            assert!(runs.fetch_add(1, Relaxed) >= 3, "a test's panic");
        })
        .await;
        assert_eq!(runs.load(Relaxed), 4);
        assert_eq!(clock.0.load(Relaxed), JOB_RESTART_SECS * (1 + 2 + 4));
    }
}
