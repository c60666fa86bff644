//! Resolves DIDs and handles of others, with timeouts, bounds and caches.

use std::{sync::Arc, time::Duration};

use allod_atproto::{
    Did, Handle,
    did_doc::DidDocument,
    json::{self, Limits},
    plc::{Operation, PlcData},
};
use allod_base::clock::{Clock, MICROS_PER_SEC};
use allod_plc::{
    client::{PlcClient, ReadError as DirectoryError},
    rules::LogEntry,
};
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use url::Url;

use crate::{
    limits::{
        CACHED_DOCUMENTS_MAX, CACHED_HANDLES_MAX, DOCUMENT_BYTES_MAX, DOCUMENT_FRESH_SECS, DOCUMENT_USABLE_SECS,
        HANDLE_FRESH_SECS, LOOKUP_MILLIS_MAX, NO_HANDLE_FRESH_SECS, QUICK_LOOKUP_MILLIS_MAX, QUICK_LOOKUP_PAUSE_SECS,
        QUICK_LOOKUPS_MAX, WELL_KNOWN_DID_BYTES_MAX,
    },
    lookups::{Busy, Lookups, Site},
    outbound::{Answer, Outbound, OutboundError},
};

const DID_WEB_BANNED_TLDS: &[&str] =
    &["alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test"];

/// Why a DID could not be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The DID is neither a did:plc nor a did:web that may be requested.
    #[error("{0} uses a DID method that this server does not resolve")]
    Unsupported(Did),
    /// The directory or host has no document for this DID, or returned the document of another DID.
    #[error("{0} has no DID document")]
    NotFound(Did),
    /// The directory or host could not be reached, or its answer was not understood.
    #[error("the DID document of {did} could not be fetched: {reason}")]
    Unavailable {
        /// The DID.
        did: Did,
        /// The cause, for the log.
        reason: String,
    },
}

/// Whether a cached answer may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// A document not older than [`DOCUMENT_FRESH_SECS`], a handle not older than [`HANDLE_FRESH_SECS`].
    Cached,
    /// None: look up now, e.g. after a signature that did not verify.
    Fresh,
}

/// A cached handle.
struct CachedHandle {
    /// `None` if the handle resolved to no DID.
    did: Option<Did>,
    fetched_at_micros: u64,
}

/// A cached document.
struct CachedDocument {
    document: Arc<DidDocument>,
    fetched_at_micros: u64,
}

/// Resolves DIDs and handles of others, and caches the answers.
///
/// Knows nothing of DIDs and handles of this server: its caller answers for those.
pub struct Resolver {
    plc: PlcClient,
    outbound: Arc<dyn Outbound>,
    clock: Arc<dyn Clock>,
    dev_mode: bool,
    lookups: Lookups,
    documents: Cache<Did, Arc<CachedDocument>>,
    handles: Cache<Handle, Arc<CachedHandle>>,
    /// When a quick lookup failed, in microseconds since the Unix epoch.
    quick_failures: Cache<Did, u64>,
    quick_lookups: Semaphore,
}

impl Resolver {
    /// Creates a resolver. In dev mode `did:web:localhost%3A<port>` is requested over plain HTTP.
    pub fn new(plc: PlcClient, outbound: Arc<dyn Outbound>, clock: Arc<dyn Clock>, dev_mode: bool) -> Self {
        let (documents, handles) = (Cache::new(CACHED_DOCUMENTS_MAX), Cache::new(CACHED_HANDLES_MAX));
        Self {
            plc,
            outbound,
            clock,
            dev_mode,
            lookups: Lookups::default(),
            documents,
            handles,
            quick_failures: Cache::new(CACHED_DOCUMENTS_MAX),
            quick_lookups: Semaphore::new(QUICK_LOOKUPS_MAX),
        }
    }

    /// Returns the guarded HTTP client.
    pub fn outbound(&self) -> &dyn Outbound {
        &*self.outbound
    }

    /// Resolves a DID to its document, which names that DID. If the lookup fails, a cached document is used that is not
    /// older than [`DOCUMENT_USABLE_SECS`], unless a fresh one was asked for.
    pub async fn document(&self, did: &Did, freshness: Freshness) -> Result<Arc<DidDocument>, ResolveError> {
        let now = self.clock.now_micros();
        let kept = self.documents.get(did);
        let age_secs = |kept: &CachedDocument| now.saturating_sub(kept.fetched_at_micros) / MICROS_PER_SEC;
        if let Some(kept) = &kept
            && freshness == Freshness::Cached
            && age_secs(kept) <= DOCUMENT_FRESH_SECS
        {
            return Ok(Arc::clone(&kept.document));
        }
        match self.fetch(did).await {
            Ok(document) => {
                let document = Arc::new(document);
                self.cache_document(did.clone(), Arc::clone(&document));
                Ok(document)
            }
            Err(error @ ResolveError::Unavailable { .. }) => match kept {
                Some(kept) if freshness == Freshness::Cached && age_secs(&kept) <= DOCUMENT_USABLE_SECS => {
                    Ok(Arc::clone(&kept.document))
                }
                _ => Err(error),
            },
            Err(error) => {
                self.documents.remove(did);
                Err(error)
            }
        }
    }

    /// As [`Resolver::document`], but within [`QUICK_LOOKUP_MILLIS_MAX`]; after that time, or if too many such lookups run,
    /// a cached document of any age. A failed lookup is not repeated for [`QUICK_LOOKUP_PAUSE_SECS`].
    pub async fn document_quickly(&self, did: &Did) -> Option<Arc<DidDocument>> {
        let now = self.clock.now_micros();
        let kept = self.documents.get(did);
        let age_secs = |since: u64| now.saturating_sub(since) / MICROS_PER_SEC;
        if let Some(kept) = &kept
            && age_secs(kept.fetched_at_micros) <= DOCUMENT_FRESH_SECS
        {
            return Some(Arc::clone(&kept.document));
        }
        let old = kept.map(|kept| Arc::clone(&kept.document));
        if self.quick_failures.get(did).is_some_and(|failed_at| age_secs(failed_at) < QUICK_LOOKUP_PAUSE_SECS) {
            return old;
        }
        let Ok(_permit) = self.quick_lookups.try_acquire() else { return old };
        let within = Duration::from_millis(QUICK_LOOKUP_MILLIS_MAX);
        match tokio::time::timeout(within, self.document(did, Freshness::Cached)).await {
            Ok(Ok(document)) => return Some(document),
            Ok(Err(error)) => tracing::info!(%did, %error, "quick lookup of a DID document failed"),
            Err(_) => tracing::info!(%did, "quick lookup of a DID document timed out"),
        }
        self.quick_failures.insert(did.clone(), now);
        old
    }

    /// Caches a document that is known to be current.
    pub fn cache_document(&self, did: Did, document: Arc<DidDocument>) {
        let kept = CachedDocument { document, fetched_at_micros: self.clock.now_micros() };
        self.documents.insert(did, Arc::new(kept));
    }

    /// Resolves a handle to a DID as [`Resolver::handle`], or from the cache. A failed lookup counts as a handle without a
    /// DID, unless it was not even started.
    pub async fn cached_handle(&self, handle: &Handle, freshness: Freshness) -> Result<Option<Did>, Busy> {
        let now = self.clock.now_micros();
        if freshness == Freshness::Cached
            && let Some(kept) = self.handles.get(handle)
        {
            let fresh_secs = if kept.did.is_some() { HANDLE_FRESH_SECS } else { NO_HANDLE_FRESH_SECS };
            if now.saturating_sub(kept.fetched_at_micros) / MICROS_PER_SEC <= fresh_secs {
                return Ok(kept.did.clone());
            }
        }
        let did = match self.handle(handle).await {
            Ok(did) => did,
            Err(OutboundError::Busy(busy)) => return Err(busy),
            Err(error) => {
                tracing::info!(%handle, %error, "handle lookup failed");
                None
            }
        };
        let kept = CachedHandle { did: did.clone(), fetched_at_micros: self.clock.now_micros() };
        self.handles.insert(handle.clone(), Arc::new(kept));
        Ok(did)
    }

    /// Resolves a handle to a DID by DNS, then by its well-known address. Does not check that the DID document names the
    /// handle.
    ///
    /// Spec: <https://atproto.com/specs/handle#handle-resolution>.
    pub async fn handle(&self, handle: &Handle) -> Result<Option<Did>, OutboundError> {
        let _slot = self.lookups.begin(Site::of_host(handle.as_str()))?;
        let looked_up = tokio::time::timeout(Duration::from_millis(LOOKUP_MILLIS_MAX), self.ask_for_handle(handle));
        looked_up.await.map_err(|_| OutboundError::Failed("timed out".to_owned()))?
    }

    async fn ask_for_handle(&self, handle: &Handle) -> Result<Option<Did>, OutboundError> {
        let by_dns = self.outbound.txt(&format!("_atproto.{handle}.")).await;
        if let Ok(records) = &by_dns {
            let mut dids = records.iter().filter_map(|record| record.strip_prefix("did="));
            match (dids.next(), dids.next()) {
                (Some(did), None) => return Ok(Did::parse(did.trim()).ok()),
                (Some(_), Some(_)) => return Ok(None),
                (None, _) => {}
            }
        }
        let Ok(url) = Url::parse(&format!("https://{handle}/.well-known/atproto-did")) else { return Ok(None) };
        let response = self.outbound.get(&url, WELL_KNOWN_DID_BYTES_MAX).await?;
        if !(200..300).contains(&response.status) {
            return Ok(None);
        }
        Ok(std::str::from_utf8(&response.body).ok().and_then(|text| Did::parse(text.trim()).ok()))
    }

    /// Reads the last operation of a DID, as [`PlcClient::last_operation`].
    pub async fn last_operation(&self, did: &Did) -> Result<Option<Operation>, DirectoryError> {
        self.ask_directory(self.plc.last_operation(did)).await
    }

    /// Reads the state of a DID, as [`PlcClient::data`].
    pub async fn plc_data(&self, did: &Did) -> Result<Option<PlcData>, DirectoryError> {
        self.ask_directory(self.plc.data(did)).await
    }

    /// Reads the audit log of a DID, as [`PlcClient::audit_log`].
    pub async fn audit_log(&self, did: &Did) -> Result<Option<Vec<LogEntry>>, DirectoryError> {
        self.ask_directory(self.plc.audit_log(did)).await
    }

    /// Runs a request to the directory in a lookup slot, with a timeout of [`LOOKUP_MILLIS_MAX`].
    async fn ask_directory<T>(
        &self,
        asked: impl Future<Output = Result<T, DirectoryError>>,
    ) -> Result<T, DirectoryError> {
        let unavailable = |reason: String| DirectoryError::Unavailable { reason };
        let _slot = self.lookups.begin(Site::Directory).map_err(|busy| unavailable(busy.to_string()))?;
        let asked = tokio::time::timeout(Duration::from_millis(LOOKUP_MILLIS_MAX), asked);
        asked.await.map_err(|_| unavailable("timed out".to_owned()))?
    }

    async fn fetch(&self, did: &Did) -> Result<DidDocument, ResolveError> {
        let unavailable = |reason: String| ResolveError::Unavailable { did: did.clone(), reason };
        let fetching = tokio::time::timeout(Duration::from_millis(LOOKUP_MILLIS_MAX), self.fetch_json(did));
        let json = fetching.await.map_err(|_| unavailable("timed out".to_owned()))??;
        DidDocument::from_json(json, did).map_err(|_| ResolveError::NotFound(did.clone()))
    }

    async fn fetch_json(&self, did: &Did) -> Result<serde_json::Value, ResolveError> {
        let unavailable = |reason: String| ResolveError::Unavailable { did: did.clone(), reason };
        if did.as_str().starts_with("did:plc:") {
            let _slot = self.lookups.begin(Site::Directory).map_err(|busy| unavailable(busy.to_string()))?;
            let answer = self.plc.document(did).await.map_err(|e| unavailable(e.to_string()))?;
            return answer.ok_or_else(|| ResolveError::NotFound(did.clone()));
        }
        let url = self.did_web_url(did).ok_or_else(|| ResolveError::Unsupported(did.clone()))?;
        let site = Site::of_host(url.host_str().unwrap_or_default());
        let _slot = self.lookups.begin(site).map_err(|busy| unavailable(busy.to_string()))?;
        let Answer { status, body } =
            self.outbound.get(&url, DOCUMENT_BYTES_MAX).await.map_err(|e| unavailable(e.to_string()))?;
        match status {
            200..300 => json::parse(&body, &Limits::bytes(DOCUMENT_BYTES_MAX)).map_err(|e| unavailable(e.to_string())),
            404 | 410 => Err(ResolveError::NotFound(did.clone())),
            status => Err(unavailable(format!("status {status}"))),
        }
    }

    /// Spec: <https://atproto.com/specs/did#blessed-did-methods>: a host name only, no path, a port only on localhost.
    fn did_web_url(&self, did: &Did) -> Option<Url> {
        let host = did.as_str().strip_prefix("did:web:")?;
        if let Some(port) = host.strip_prefix("localhost%3A") {
            let port: u16 = port.parse().ok().filter(|_| self.dev_mode)?;
            return Url::parse(&format!("http://localhost:{port}/.well-known/did.json")).ok();
        }
        let host = Handle::parse(host).ok()?;
        let tld = host.as_str().rsplit('.').next()?;
        if DID_WEB_BANNED_TLDS.contains(&tld) {
            return None;
        }
        Url::parse(&format!("https://{host}/.well-known/did.json")).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use bytes::Bytes;
    use futures_util::{
        FutureExt,
        future::{BoxFuture, join_all, pending, ready},
    };
    use tokio::time::Instant;

    use super::*;
    use crate::limits::{LOOKUPS_OF_DIRECTORY_MAX, LOOKUPS_PER_SITE_MAX};

    struct Still;

    impl Clock for Still {
        fn now_micros(&self) -> u64 {
            0
        }

        fn elapsed_micros(&self) -> u64 {
            0
        }

        fn sleep(&self, _: u64) -> BoxFuture<'_, ()> {
            pending().boxed()
        }
    }

    const OWNER: &str = "did:web:owner.com";

    /// All handles resolve to one DID; hosts of the site `silent.com` never answer.
    struct Names;

    impl Outbound for Names {
        fn get<'a>(&'a self, _: &'a Url, _: usize) -> BoxFuture<'a, Result<Answer, OutboundError>> {
            ready(Ok(Answer { status: 404, body: Bytes::new() })).boxed()
        }

        fn post_json<'a>(&'a self, _: &'a Url, _: String, _: usize) -> BoxFuture<'a, Result<Answer, OutboundError>> {
            pending().boxed()
        }

        fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, OutboundError>> {
            if name.ends_with(".silent.com.") {
                return pending().boxed();
            }
            ready(Ok(vec![format!("did={OWNER}")])).boxed()
        }
    }

    fn resolver() -> Resolver {
        // The directory is never asked.
        let directory = Url::parse("http://127.0.0.1:9").unwrap();
        // A provider that is already there is the same one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        #[expect(clippy::disallowed_methods, reason = "nothing is asked with it")]
        let client = reqwest::Client::builder().build().unwrap();
        Resolver::new(PlcClient::new(directory, client), Arc::new(Names), Arc::new(Still), false)
    }

    fn handle(name: &str) -> Handle {
        Handle::parse(name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_directory_takes_no_slots_of_others() {
        let resolver = resolver();
        let began = Instant::now();
        let asked = || resolver.ask_directory(pending::<Result<(), DirectoryError>>());
        let mut silent = pin!(join_all((0..LOOKUPS_OF_DIRECTORY_MAX).map(|_| asked())));
        assert!(silent.as_mut().now_or_never().is_none());

        let busy = DirectoryError::Unavailable { reason: Busy.to_string() };
        assert_eq!(resolver.ask_directory(ready(Ok(()))).await, Err(busy));
        let did = Did::parse("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
        let document = resolver.document(&did, Freshness::Cached).await;
        let reason = Busy.to_string();
        assert!(matches!(document, Err(ResolveError::Unavailable { reason: found, .. }) if found == reason));
        assert_eq!(resolver.handle(&handle("alice.example.com")).await.unwrap(), Some(Did::parse(OWNER).unwrap()));
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody waited");

        let timed_out = Err(DirectoryError::Unavailable { reason: "timed out".to_owned() });
        assert!(silent.await.iter().all(|answer| *answer == timed_out));
        assert_eq!(began.elapsed(), Duration::from_millis(LOOKUP_MILLIS_MAX));
        assert_eq!(resolver.ask_directory(ready(Ok(()))).await, Ok(()), "the slots are free again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_site_takes_no_slots_of_others() {
        let resolver = resolver();
        let began = Instant::now();
        let names: Vec<Handle> = (0..=LOOKUPS_PER_SITE_MAX).map(|n| handle(&format!("a{n}.silent.com"))).collect();
        let mut silent = pin!(join_all(names.iter().take(LOOKUPS_PER_SITE_MAX).map(|name| resolver.handle(name))));
        assert!(silent.as_mut().now_or_never().is_none());

        assert!(matches!(resolver.handle(names.last().unwrap()).await, Err(OutboundError::Busy(_))));
        assert_eq!(resolver.handle(&handle("alice.example.com")).await.unwrap(), Some(Did::parse(OWNER).unwrap()));
        assert_eq!(resolver.ask_directory(ready(Ok(()))).await, Ok(()));
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody waited");

        assert!(silent.await.iter().all(|answer| matches!(answer, Err(OutboundError::Failed(_)))));
        assert_eq!(began.elapsed(), Duration::from_millis(LOOKUP_MILLIS_MAX));
    }
}
