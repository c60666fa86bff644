//! Requests to URLs from others: the guarded HTTP client.
//!
//! It connects only to global unicast addresses, checked on the very address of the connection, and only by HTTPS on its
//! default port. It follows no redirects and uses no proxies from the environment; size and time are limited.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::CONTENT_TYPE;
use url::{Host, Url};

use crate::{
    dns::{Dns, DnsError},
    global_address::is_global_unicast,
    limits::{CONNECT_TIMEOUT_SECS, POST_TIMEOUT_SECS},
    lookups::Busy,
};

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, at most as long as was allowed.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The URL or address may not be requested.
    #[error("{0} is not a permitted address for outbound requests")]
    Forbidden(String),
    /// The answer was longer than allowed.
    #[error("the response is longer than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// No answer came.
    #[error("no response: {0}")]
    Failed(String),
    /// Too many lookups are running; the request was not sent.
    #[error(transparent)]
    Busy(#[from] Busy),
}

impl From<DnsError> for OutboundError {
    fn from(error: DnsError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The network, as far as resolution and relays need it.
pub trait Outbound: Send + Sync + 'static {
    /// Fetches a URL, reading at most `bytes_max` bytes.
    fn get<'a>(&'a self, url: &'a Url, bytes_max: usize) -> BoxFuture<'a, Result<Answer, OutboundError>>;

    /// Posts JSON to a URL, with the timeout [`POST_TIMEOUT_SECS`], and reads at most `bytes_max` bytes of the answer.
    fn post_json<'a>(
        &'a self,
        url: &'a Url,
        json: String,
        bytes_max: usize,
    ) -> BoxFuture<'a, Result<Answer, OutboundError>>;

    /// Returns a name's TXT records, the strings of each concatenated; an empty list if there are none.
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, OutboundError>>;
}

/// The guarded client of the real network.
pub struct Guarded {
    timeout: Duration,
    localhost_allowed: bool,
    client: OnceLock<reqwest::Client>,
    dns: Arc<Dns>,
}

impl Guarded {
    /// Creates the client; nothing is opened or read before the first request.
    ///
    /// `localhost_allowed` permits plain HTTP to the name `localhost`, for development on one machine.
    pub fn new(timeout_millis: u64, localhost_allowed: bool, dns: Arc<Dns>) -> Self {
        Self { timeout: Duration::from_millis(timeout_millis), localhost_allowed, client: OnceLock::new(), dns }
    }

    /// Checks a URL before its name is resolved.
    pub(crate) fn check(&self, url: &Url) -> Result<(), OutboundError> {
        let forbidden = || OutboundError::Forbidden(url.to_string());
        let Some(Host::Domain(host)) = url.host() else { return Err(forbidden()) };
        if self.localhost_allowed && url.scheme() == "http" && host == "localhost" {
            return Ok(());
        }
        let plain = url.username().is_empty() && url.password().is_none();
        // With a dot at the end, a name of the local network looks like a public one.
        let is_global_name = host.contains('.') && !host.ends_with('.');
        if url.scheme() == "https" && url.port().is_none() && plain && is_global_name {
            Ok(())
        } else {
            Err(forbidden())
        }
    }

    fn client(&self) -> Result<&reqwest::Client, OutboundError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        #[expect(clippy::disallowed_methods, reason = "this is the guarded client")]
        let client = reqwest::Client::builder()
            .dns_resolver(Arc::new(self.names()))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(CONNECT_TIMEOUT_SECS))
            .timeout(self.timeout)
            .user_agent(concat!("allod/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| OutboundError::Failed(e.to_string()))?;
        Ok(self.client.get_or_init(|| client))
    }

    /// Returns the DNS resolver of the client.
    pub(crate) fn names(&self) -> GlobalOnly {
        GlobalOnly { localhost_allowed: self.localhost_allowed, dns: Arc::clone(&self.dns) }
    }
}

impl Outbound for Guarded {
    fn get<'a>(&'a self, url: &'a Url, bytes_max: usize) -> BoxFuture<'a, Result<Answer, OutboundError>> {
        Box::pin(async move {
            self.check(url)?;
            answer(self.client()?.get(url.clone()), bytes_max).await
        })
    }

    fn post_json<'a>(
        &'a self,
        url: &'a Url,
        json: String,
        bytes_max: usize,
    ) -> BoxFuture<'a, Result<Answer, OutboundError>> {
        Box::pin(async move {
            self.check(url)?;
            let request = self.client()?.post(url.clone()).timeout(Duration::from_secs(POST_TIMEOUT_SECS));
            answer(request.header(CONTENT_TYPE, "application/json").body(json), bytes_max).await
        })
    }

    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, OutboundError>> {
        Box::pin(async move {
            let looked_up = tokio::time::timeout(self.timeout, self.dns.txt(name)).await;
            Ok(looked_up.map_err(|_| DnsError::Timeout)??)
        })
    }
}

/// Sends a request and reads its answer.
async fn answer(request: reqwest::RequestBuilder, bytes_max: usize) -> Result<Answer, OutboundError> {
    let failed = |e: reqwest::Error| OutboundError::Failed(e.without_url().to_string());
    let mut response = request.send().await.map_err(failed)?;
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > bytes_max {
            return Err(OutboundError::TooLarge { bytes_max });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status: response.status().as_u16(), body: body.freeze() })
}

/// Resolves names to global addresses only, so that the connector dials none that was not checked.
pub(crate) struct GlobalOnly {
    localhost_allowed: bool,
    dns: Arc<Dns>,
}

impl GlobalOnly {
    /// Resolves a name to those of its addresses that may be dialled.
    pub(crate) async fn addresses(&self, name: &str) -> Result<Vec<SocketAddr>, OutboundError> {
        let is_local = self.localhost_allowed && name == "localhost";
        let found = self.dns.addresses_of_stranger(name).await?;
        let allowed = found.into_iter().filter(|address| is_local || is_global_unicast(*address));
        let allowed: Vec<SocketAddr> = allowed.map(|address| SocketAddr::new(address, 0)).collect();
        if allowed.is_empty() { Err(OutboundError::Forbidden(name.to_owned())) } else { Ok(allowed) }
    }
}

impl Resolve for GlobalOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let names = Self { localhost_allowed: self.localhost_allowed, dns: Arc::clone(&self.dns) };
        Box::pin(async move {
            let allowed = names.addresses(name.as_str()).await?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_only_plain_https_addresses() {
        let guarded = Guarded::new(1_000, false, Dns::of_the_system());
        let allowed = |url: &str| guarded.check(&Url::parse(url).unwrap()).is_ok();
        assert!(allowed("https://alice.example.com/.well-known/atproto-did"));
        for url in [
            "http://alice.example.com/",
            "https://alice.example.com:8443/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://017700000001/",
            "https://localhost/",
            "http://localhost:80/",
            "https://user@alice.example.com/",
            "https://user:pass@alice.example.com/",
            "https://intranet/",
            "ftp://a.example.com/",
        ] {
            assert!(!allowed(url), "{url}");
        }
        assert!(
            Guarded::new(1_000, true, Dns::of_the_system())
                .check(&Url::parse("http://localhost:2583/").unwrap())
                .is_ok()
        );
    }
}
