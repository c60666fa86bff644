//! Resolves names without the system's resolver, which blocks a thread until a nameserver answers.
//!
//! `/etc/hosts` is consulted first, then the nameservers of `/etc/resolv.conf`. Both files are read again after a change.
//! Every lookup has a deadline.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::{Either, select};
use hickory_resolver::{
    Hosts, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts},
    lookup::Lookup,
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::Query,
        rr::{Name, RData, RecordType},
    },
    system_conf::read_system_conf,
};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::limits::{
    DNS_CACHED_ANSWERS_MAX, DNS_FILES_CHECKED_MILLIS, DNS_LOOKUP_MILLIS_MAX, DNS_OTHER_FAMILY_MILLIS,
    DNS_QUERIES_AT_ONCE_MAX,
};

const HOSTS_FILE: &str = "/etc/hosts";
const CONFIGURATION_FILE: &str = "/etc/resolv.conf";

/// Why a name could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The text is not a valid DNS name.
    #[error("{0:?} is not a valid DNS name")]
    Name(String),
    /// The name has no address.
    #[error("{0} has no address")]
    NoAddress(String),
    /// No answer within the deadline.
    #[error("the DNS query timed out")]
    Timeout,
    /// The nameservers could not be reached, or returned an error.
    #[error("the DNS query failed: {0}")]
    Failed(String),
}

/// A DNS resolver. Reads no file before the first lookup.
pub struct Dns {
    nameservers: Nameservers,
    deadline: Duration,
    loaded: Mutex<Option<Loaded>>,
}

enum Nameservers {
    /// Those of [`CONFIGURATION_FILE`].
    OfTheSystem,
    /// These, without a search list.
    These(Vec<SocketAddr>),
}

#[derive(Clone)]
struct Loaded {
    resolver: TokioResolver,
    hosts: Arc<Hosts>,
    files: [Option<(SystemTime, u64)>; 2],
    checked_at: Instant,
}

impl Dns {
    /// Creates a resolver that uses this machine's configuration.
    pub fn of_the_system() -> Arc<Self> {
        Self::new(Nameservers::OfTheSystem)
    }

    /// Creates a resolver that asks these nameservers instead of the configured ones, after `/etc/hosts`.
    pub fn asking(nameservers: Vec<SocketAddr>) -> Arc<Self> {
        Self::new(Nameservers::These(nameservers))
    }

    fn new(nameservers: Nameservers) -> Arc<Self> {
        let deadline = Duration::from_millis(DNS_LOOKUP_MILLIS_MAX);
        Arc::new(Self { nameservers, deadline, loaded: Mutex::new(None) })
    }

    /// Resolves a host that the operator chose: a name, to which the search list applies, or a literal address. Returns at
    /// least one address, IPv4 first.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        self.within_deadline(self.find_addresses(host, false)).await
    }

    /// Resolves a name from others, without the search list: it would lead to hosts in this machine's network.
    pub async fn addresses_of_stranger(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        self.within_deadline(self.find_addresses(host, true)).await
    }

    /// Returns a name's TXT records, the strings of each concatenated; an empty list if there are none.
    pub async fn txt(&self, name: &str) -> Result<Vec<String>, DnsError> {
        let mut absolute = parse(name)?;
        absolute.set_fqdn(true);
        let resolver = self.loaded()?.resolver;
        let answer = self.within_deadline(async { lookup(&resolver, absolute, RecordType::TXT).await }).await?;
        let Some(answer) = answer else { return Ok(Vec::new()) };
        let texts = answer.answers().iter().filter_map(|record| {
            let RData::TXT(txt) = &record.data else { return None };
            Some(txt.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect())
        });
        Ok(texts.collect())
    }

    async fn within_deadline<T>(&self, work: impl Future<Output = Result<T, DnsError>>) -> Result<T, DnsError> {
        timeout(self.deadline, work).await.map_err(|_| DnsError::Timeout)?
    }

    async fn find_addresses(&self, host: &str, is_absolute: bool) -> Result<Vec<IpAddr>, DnsError> {
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(vec![address]);
        }
        let mut name = parse(host)?;
        let Loaded { resolver, hosts, .. } = self.loaded()?;
        let static_addresses = [RecordType::A, RecordType::AAAA]
            .into_iter()
            .filter_map(|kind| hosts.lookup_static_host(&Query::query(name.clone(), kind)))
            .flat_map(|found| addresses_in(&found))
            .collect::<Vec<_>>();
        if !static_addresses.is_empty() {
            return Ok(static_addresses);
        }
        if host.trim_end_matches('.').eq_ignore_ascii_case("localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        if is_absolute {
            name.set_fqdn(true);
        }
        let found = both_families(&resolver, name).await?;
        if found.is_empty() { Err(DnsError::NoAddress(host.to_owned())) } else { Ok(found) }
    }

    /// Returns the resolver and the static hosts for the current content of the files.
    ///
    /// When a check is due, one lookup reads the files, briefly and on its own thread: a slow disk may hold up all threads
    /// for blocking work. Other lookups continue with the previous content.
    fn loaded(&self) -> Result<Loaded, DnsError> {
        let now = Instant::now();
        let before = {
            let mut loaded = self.loaded.lock();
            if let Some(loaded) = &*loaded
                && now.duration_since(loaded.checked_at) < Duration::from_millis(DNS_FILES_CHECKED_MILLIS)
            {
                return Ok(loaded.clone());
            }
            loaded.as_mut().map(|loaded| {
                loaded.checked_at = now;
                loaded.clone()
            })
        };
        let files = [HOSTS_FILE, CONFIGURATION_FILE].map(version_of);
        if let Some(before) = before
            && before.files == files
        {
            return Ok(before);
        }
        let hosts = Arc::new(Hosts::from_system().unwrap_or_default());
        let fresh = Loaded { resolver: self.build()?, hosts, files, checked_at: now };
        *self.loaded.lock() = Some(fresh.clone());
        Ok(fresh)
    }

    fn build(&self) -> Result<TokioResolver, DnsError> {
        let (config, mut options) = match &self.nameservers {
            Nameservers::OfTheSystem => read_system_conf().unwrap_or_else(|error| {
                // resolv.conf(5): the default nameserver is this machine.
                tracing::warn!(%error, "/etc/resolv.conf has no nameserver; using 127.0.0.1");
                let local = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
                (ResolverConfig::from_parts(None, Vec::new(), vec![local]), ResolverOpts::default())
            }),
            Nameservers::These(addresses) => {
                let servers = addresses.iter().map(nameserver).collect();
                (ResolverConfig::from_parts(None, Vec::new(), servers), ResolverOpts::default())
            }
        };
        // A second attempt fits into the deadline.
        options.timeout = options.timeout.min(self.deadline / 2);
        options.cache_size = DNS_CACHED_ANSWERS_MAX;
        options.max_active_requests = DNS_QUERIES_AT_ONCE_MAX;
        // `find_addresses` consults the static hosts, before the search list applies.
        options.use_hosts_file = hickory_resolver::config::ResolveHosts::Never;
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map_err(|error| DnsError::Failed(error.to_string()))
    }
}

fn nameserver(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn parse(name: &str) -> Result<Name, DnsError> {
    Name::from_ascii(name).map_err(|_| DnsError::Name(name.to_owned()))
}

fn version_of(path: &str) -> Option<(SystemTime, u64)> {
    let known = fs::metadata(path).ok()?;
    Some((known.modified().ok()?, known.len()))
}

/// Asks for one kind of record; `None` if there is none.
async fn lookup(resolver: &TokioResolver, name: Name, kind: RecordType) -> Result<Option<Lookup>, DnsError> {
    match resolver.lookup(name, kind).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_no_records_found() => Ok(None),
        Err(NetError::Timeout) => Err(DnsError::Timeout),
        Err(error) => Err(DnsError::Failed(error.to_string())),
    }
}

/// Asks for both kinds of addresses. Some nameservers never answer for one kind: once the other one is there, the rest
/// is waited for only [`DNS_OTHER_FAMILY_MILLIS`].
async fn both_families(resolver: &TokioResolver, name: Name) -> Result<Vec<IpAddr>, DnsError> {
    let v4 = Box::pin(lookup(resolver, name.clone(), RecordType::A));
    let v6 = Box::pin(lookup(resolver, name, RecordType::AAAA));
    let (first, other) = match select(v4, v6).await {
        Either::Left((first, other)) | Either::Right((first, other)) => (first, other),
    };
    let first = first.map(|answer| found(answer.as_ref()));
    let other = if first.as_ref().is_ok_and(|addresses| !addresses.is_empty()) {
        timeout(Duration::from_millis(DNS_OTHER_FAMILY_MILLIS), other).await.unwrap_or(Ok(None))
    } else {
        other.await
    };
    let mut addresses = match (first, other.map(|answer| found(answer.as_ref()))) {
        (Ok(first), Ok(other)) => [first, other].concat(),
        (Ok(found), Err(error)) | (Err(error), Ok(found)) => {
            if found.is_empty() {
                return Err(error);
            }
            found
        }
        (Err(error), Err(_)) => return Err(error),
    };
    addresses.sort_by_key(IpAddr::is_ipv6);
    Ok(addresses)
}

fn found(answer: Option<&Lookup>) -> Vec<IpAddr> {
    answer.map(addresses_in).unwrap_or_default()
}

fn addresses_in(answer: &Lookup) -> Vec<IpAddr> {
    answer.answers().iter().filter_map(|record| record.data.ip_addr()).collect()
}

#[cfg(test)]
mod tests;
