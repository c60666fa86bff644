//! Other people's identities: DID documents and handles, looked up with bounds and kept for a stated time.

pub mod changes;
mod global_address;
pub mod handle;
pub mod hosted;
pub mod lookups;
mod operations;
pub mod outbound;
pub mod owner;
pub mod published;
pub mod recheck;
pub mod recovery_key;
pub mod resolution;
pub mod signing_key;
#[cfg(test)]
mod ssrf;

use std::{sync::Arc, time::Duration};

use allod_atproto::{
    Did, Handle,
    did_doc::DidDocument,
    json::{self, Limits},
    plc::{Operation, PlcData},
};
use allod_plc::{
    client::{PlcClient, ReadError as DirectoryError},
    rules::LogEntry,
};
use allod_store::ReadError as StoreError;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use url::Url;

use self::{
    lookups::{Busy, Lookups, Site},
    outbound::{Answer, Outbound, OutboundError},
};
use super::{
    accounts,
    clock::{Clock, MICROS_PER_SEC},
    handles,
};
use crate::{
    app::App,
    limits::{LOOKUP_MILLIS_MAX, SESSION_DOCUMENT_MILLIS_MAX, SESSION_LOOKUPS_MAX, SESSION_PAUSE_SECS},
};

/// How many DID documents are kept.
pub const CACHED_DOCUMENTS_MAX: usize = 2_000;
/// Up to which age a document is used without asking again, in seconds.
pub const DOCUMENT_FRESH_SECS: u64 = 60 * 60;
/// Up to which age a document is used when asking again fails, in seconds.
pub const DOCUMENT_USABLE_SECS: u64 = 24 * 60 * 60;
/// How many handles' DIDs are kept.
pub const CACHED_HANDLES_MAX: usize = 10_000;
/// Up to which age a handle's DID is used without asking again, in seconds.
pub const HANDLE_FRESH_SECS: u64 = 10 * 60;
/// Up to which age it is believed that a handle leads nowhere, in seconds.
pub const NO_HANDLE_FRESH_SECS: u64 = 60;
/// The largest DID document read, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;
/// The largest answer of a handle's well-known address, in bytes.
pub const WELL_KNOWN_DID_BYTES_MAX: usize = 2 * 1024;

const DID_WEB_BANNED_TLDS: &[&str] =
    &["alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test"];

/// Why a DID has no document for us.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Neither did:plc nor a did:web that may be asked.
    #[error("{0} is of a kind this server does not resolve")]
    Unsupported(Did),
    /// The place to ask says there is none, or gives another's.
    #[error("{0} has no DID document")]
    NotFound(Did),
    /// The place to ask could not be reached or answered nonsense.
    #[error("the DID document of {did} could not be fetched: {reason}")]
    Unavailable {
        /// Whose.
        did: Did,
        /// For the log.
        reason: String,
    },
    /// It may be one that was made here, and the store could not be read.
    #[error(transparent)]
    Read(#[from] StoreError),
}

/// Why a handle was not looked up.
#[derive(Debug, thiserror::Error)]
pub enum HandleLookupError {
    /// Too many look-ups are under way.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// Whether an account here has it could not be read.
    #[error(transparent)]
    Read(#[from] StoreError),
}

/// Whether a kept document will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// One that is not older than [`DOCUMENT_FRESH_SECS`].
    Cached,
    /// Ask again now, as after a signature that did not verify.
    Fresh,
}

/// Resolves a handle for anybody: of an active account here, else by the handle's own means. A handle under one of this
/// server's domains is nowhere else.
pub async fn resolve_handle(
    app: &App,
    handle: &Handle,
    freshness: Freshness,
) -> Result<Option<Did>, HandleLookupError> {
    if let Some(account) = accounts::active_by_handle(app, handle).await? {
        return Ok(Some(account.did));
    }
    if handles::is_under_service_domain(handle, &app.config.sign_up.handle_domains) {
        return Ok(None);
    }
    Ok(app.resolver.remembered_handle(handle, freshness).await?)
}

/// Resolves a DID to its document, which names that DID: of one that was made here, else by the DID's own means.
pub async fn resolve_document(app: &App, did: &Did, freshness: Freshness) -> Result<Arc<DidDocument>, ResolveError> {
    match hosted::find(app, did).await? {
        Some(hosted) => hosted::document(app, &hosted).map(Arc::new).ok_or_else(|| ResolveError::NotFound(did.clone())),
        None => app.resolver.document(did, freshness).await,
    }
}

/// The DID document that answers about a session have; none when the operator does not want it, or it can't be had
/// quickly. One that names another server is left out too: clients send all further calls, and with them the session's
/// tokens, to the server that the document names, which is wrong until an account that moves in has changed its DID.
pub async fn session_document(app: &App, did: &Did) -> Option<serde_json::Value> {
    if !app.config.identity.document_with_session {
        return None;
    }
    if let Ok(Some(hosted)) = hosted::find(app, did).await {
        return hosted::document(app, &hosted).map(DidDocument::into_json);
    }
    let document = app.resolver.document_soon(did).await?;
    let endpoint = document.pds_endpoint()?;
    published::is_same_endpoint(endpoint, &app.config.service.public_url).then(|| document.json().clone())
}

/// Tells whether a DID that was not made here has a document all the same, as far as can be found out.
pub async fn exists_elsewhere(app: &App, did: &Did) -> bool {
    app.resolver.document(did, Freshness::Fresh).await.is_ok()
}

/// Where a handle was found to lead.
struct KeptHandle {
    did: Option<Did>,
    fetched_at_micros: u64,
}

struct Kept {
    document: Arc<DidDocument>,
    fetched_at_micros: u64,
}

/// Looks up DID documents and handles.
pub struct Resolver {
    plc: PlcClient,
    outbound: Arc<dyn Outbound>,
    clock: Arc<dyn Clock>,
    dev_mode: bool,
    lookups: Lookups,
    documents: Cache<Did, Arc<Kept>>,
    handles: Cache<Handle, Arc<KeptHandle>>,
    /// When the look-up of a document for a session failed, in microseconds since the Unix epoch.
    session_failures: Cache<Did, u64>,
    session_lookups: Semaphore,
}

impl Resolver {
    /// Makes a resolver. In dev mode `did:web:localhost%3A<port>` is asked over plain HTTP.
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
            session_failures: Cache::new(CACHED_DOCUMENTS_MAX),
            session_lookups: Semaphore::new(SESSION_LOOKUPS_MAX),
        }
    }

    /// The way out of the server.
    pub fn outbound(&self) -> &dyn Outbound {
        &*self.outbound
    }

    /// Resolves a DID to its document, which names that DID. It may be one of those that were made here, of which this
    /// knows nothing: [`resolve_document`] is what others ask.
    pub(super) async fn document(&self, did: &Did, freshness: Freshness) -> Result<Arc<DidDocument>, ResolveError> {
        let now = self.clock.now_micros();
        let kept = self.documents.get(did);
        let age_secs = |kept: &Kept| now.saturating_sub(kept.fetched_at_micros) / MICROS_PER_SEC;
        if let Some(kept) = &kept
            && freshness == Freshness::Cached
            && age_secs(kept) <= DOCUMENT_FRESH_SECS
        {
            return Ok(Arc::clone(&kept.document));
        }
        match self.fetch(did).await {
            Ok(document) => {
                let document = Arc::new(document);
                self.remember(did.clone(), Arc::clone(&document));
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

    /// As [`Resolver::document`], but within [`SESSION_DOCUMENT_MILLIS_MAX`]; else an old one that is kept. A look-up that
    /// failed is not repeated for [`SESSION_PAUSE_SECS`].
    async fn document_soon(&self, did: &Did) -> Option<Arc<DidDocument>> {
        let now = self.clock.now_micros();
        let kept = self.documents.get(did);
        let age_secs = |since: u64| now.saturating_sub(since) / MICROS_PER_SEC;
        if let Some(kept) = &kept
            && age_secs(kept.fetched_at_micros) <= DOCUMENT_FRESH_SECS
        {
            return Some(Arc::clone(&kept.document));
        }
        let old = kept.map(|kept| Arc::clone(&kept.document));
        if self.session_failures.get(did).is_some_and(|failed_at| age_secs(failed_at) < SESSION_PAUSE_SECS) {
            return old;
        }
        let Ok(_place) = self.session_lookups.try_acquire() else { return old };
        let within = Duration::from_millis(SESSION_DOCUMENT_MILLIS_MAX);
        match tokio::time::timeout(within, self.document(did, Freshness::Cached)).await {
            Ok(Ok(document)) => return Some(document),
            Ok(Err(error)) => tracing::info!(%did, %error, "no DID document for a session"),
            Err(_) => tracing::info!(%did, "no DID document for a session within {SESSION_DOCUMENT_MILLIS_MAX} ms"),
        }
        self.session_failures.insert(did.clone(), now);
        old
    }

    /// Keeps a document that is known to be current.
    pub fn remember(&self, did: Did, document: Arc<DidDocument>) {
        let kept = Kept { document, fetched_at_micros: self.clock.now_micros() };
        self.documents.insert(did, Arc::new(kept));
    }

    /// Resolves a handle to a DID as [`Resolver::handle`], or as it was found a moment ago. A failure is a handle that
    /// leads nowhere, but for one that was not even tried.
    pub async fn remembered_handle(&self, handle: &Handle, freshness: Freshness) -> Result<Option<Did>, Busy> {
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
                tracing::info!(%handle, %error, "a handle could not be looked up");
                None
            }
        };
        let kept = KeptHandle { did: did.clone(), fetched_at_micros: self.clock.now_micros() };
        self.handles.insert(handle.clone(), Arc::new(kept));
        Ok(did)
    }

    /// Resolves a handle to a DID by DNS, then by its well-known address. Does not check the way back.
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
    pub(super) async fn last_operation(&self, did: &Did) -> Result<Option<Operation>, DirectoryError> {
        self.ask_directory(self.plc.last_operation(did)).await
    }

    /// Reads the state of a DID, as [`PlcClient::data`].
    pub(super) async fn plc_data(&self, did: &Did) -> Result<Option<PlcData>, DirectoryError> {
        self.ask_directory(self.plc.data(did)).await
    }

    /// Reads the audit log of a DID, as [`PlcClient::audit_log`].
    pub(in crate::domain) async fn audit_log(&self, did: &Did) -> Result<Option<Vec<LogEntry>>, DirectoryError> {
        self.ask_directory(self.plc.audit_log(did)).await
    }

    /// Asks the directory in one of its slots, for [`LOOKUP_MILLIS_MAX`] at the most.
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

    /// All handles lead to one DID; hosts of the site `silent.com` never answer.
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
        assert!(matches!(document, Err(ResolveError::Unavailable { reason: told, .. }) if told == reason));
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
