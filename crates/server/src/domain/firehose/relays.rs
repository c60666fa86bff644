//! Asks relays to come when there is something new: `com.atproto.sync.requestCrawl`.
//!
//! A relay that listens already learns nothing by it; one that lost the connection and gave up comes back. So each is
//! asked at most every [`RELAY_EVERY_SECS`], and a failure is tried again ever later. What is known is kept in the
//! store: a restart neither forgets that something is new nor asks again for nothing.

use allod_base::clock::{self, MICROS_PER_SEC};
use allod_net::outbound::OutboundError;
use allod_store::{
    CommitError, ReadError, Seq, Txn,
    tables::relays::{self, Relay},
};
use futures_util::future::join_all;
use url::Url;

use super::Firehose;

/// How long a relay that agreed is left alone, in seconds.
pub const RELAY_EVERY_SECS: u64 = 20 * 60;
/// How long the first wait after a failure is, in seconds; it doubles.
pub const RETRY_SECS: u64 = 60;
/// The longest such wait, in seconds.
pub const RETRY_SECS_MAX: u64 = 6 * 3600;
/// How many relays may be configured.
pub const RELAYS_MAX: usize = 32;
/// How much of a relay's answer is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How much of a refusal is kept, in characters.
const ERROR_CHARS_MAX: usize = 300;

/// Why relays could not be seen to.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// What is known of them could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// How it went could not be kept.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Firehose {
    /// Asks every relay that is due, if there is something new for it.
    pub async fn ask_relays(&self) -> Result<(), RelayError> {
        // One pass at a time: a relay must not be asked twice for the same.
        let _turn = self.asking.lock().await;
        let asked = self.relays.iter().map(|url| self.ask_if_due(url));
        join_all(asked).await.into_iter().collect()
    }

    async fn ask_if_due(&self, url: &Url) -> Result<(), RelayError> {
        let newest = self.newest();
        let now = self.core.clock.now_micros();
        let known = relays::by_url(&*self.core.db, url.as_str()).await?;
        let is_due = known.as_ref().is_none_or(|relay| clock::to_store(now) >= relay.next_try_at);
        if newest <= known.as_ref().map_or(0, |relay| relay.told_seq) || !is_due {
            return Ok(());
        }
        let asked = self.request_crawl(url).await;
        let mut txn = Txn::new();
        relays::put(&mut txn, &self.after(url, known, newest, now, asked));
        self.core.db.commit(txn).await?;
        Ok(())
    }

    /// What is known of a relay once it was asked.
    fn after(&self, url: &Url, known: Option<Relay>, newest: Seq, now: u64, asked: Result<(), String>) -> Relay {
        let known = known.unwrap_or(Relay {
            url: url.to_string(),
            told_seq: 0,
            last_try_at: 0,
            last_success_at: None,
            last_error: None,
            failures: 0,
            next_try_at: 0,
        });
        let at = |secs: u64| clock::to_store(now.saturating_add(secs.saturating_mul(MICROS_PER_SEC)));
        let tried = Relay { last_try_at: clock::to_store(now), ..known };
        match asked {
            Ok(()) => {
                tracing::info!(relay = %url, "a relay was asked to come");
                Relay {
                    told_seq: newest,
                    last_success_at: Some(tried.last_try_at),
                    last_error: None,
                    failures: 0,
                    next_try_at: at(RELAY_EVERY_SECS),
                    ..tried
                }
            }
            Err(reason) => {
                tracing::warn!(relay = %url, reason, "requestCrawl failed");
                let wait = retry_secs(tried.failures, u64::from_be_bytes(self.core.random_bytes()));
                let failures = tried.failures.saturating_add(1);
                Relay { last_error: Some(reason), failures, next_try_at: at(wait), ..tried }
            }
        }
    }

    /// Asks one relay; what went wrong is for the operator.
    async fn request_crawl(&self, relay: &Url) -> Result<(), String> {
        let url = relay.join("/xrpc/com.atproto.sync.requestCrawl").map_err(|error| error.to_string())?;
        let body = serde_json::json!({ "hostname": host(&self.public_url) }).to_string();
        let answer = self.resolver.outbound().post_json(&url, body, ANSWER_BYTES_MAX).await;
        let answer = answer.map_err(|error: OutboundError| error.to_string())?;
        if (200..300).contains(&answer.status) {
            return Ok(());
        }
        let said: String = String::from_utf8_lossy(&answer.body).chars().take(ERROR_CHARS_MAX).collect();
        Err(format!("status {}: {said}", answer.status))
    }
}

/// How long to wait after one more failure: twice as long each time, and up to half as long again by chance, so that
/// servers that failed together don't come back together.
fn retry_secs(failures: i64, chance: u64) -> u64 {
    let doublings = u32::try_from(failures).unwrap_or(u32::MAX).min(16);
    let wait = (RETRY_SECS << doublings).min(RETRY_SECS_MAX);
    wait + chance % (wait / 2 + 1)
}

/// The host in an origin, with its port on this machine.
fn host(origin: &str) -> &str {
    origin.split_once("://").map_or(origin, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_an_end_and_differ() {
        assert_eq!(retry_secs(0, 0), RETRY_SECS);
        assert_eq!(retry_secs(3, 0), 8 * RETRY_SECS);
        assert_eq!(retry_secs(3, 240), 12 * RETRY_SECS);
        for failures in [9, 60, i64::MAX] {
            let wait = retry_secs(failures, u64::MAX);
            assert!((RETRY_SECS_MAX..=RETRY_SECS_MAX * 3 / 2).contains(&wait), "{failures}: {wait}");
        }
        assert_ne!(retry_secs(2, 5), retry_secs(2, 6));
    }

    #[test]
    fn the_host_is_named_as_it_is_reached() {
        assert_eq!(host("https://pds.example.com"), "pds.example.com");
        assert_eq!(host("http://localhost:2583"), "localhost:2583");
    }
}
