//! Whom a request comes from, behind proxies, and which host it is for.

use std::net::{IpAddr, Ipv4Addr};

use allod_atproto::Handle;
use allod_http::{
    address::{TrustedProxies, network},
    forwarded::each_hop,
    host::Host,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version, header::HOST, request::Parts};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
/// Addresses of clients; a list of proxies that trusts both is checked less.
const CLIENTS: [&str; 2] = ["198.51.100.7", "2001:db8:5::7"];
/// More hops than this are not written out again: that is quadratic for who mutates.
const HOPS_MAX: usize = 1000;

/// Lines of `X-Forwarded-For` behind a line with the trusted proxies and one with the peer's address.
pub(crate) fn x_forwarded_for(data: &[u8]) {
    through_proxies(&X_FORWARDED_FOR, data);
}

/// Lines of `Forwarded` behind a line with the trusted proxies and one with the peer's address.
pub(crate) fn forwarded(data: &[u8]) {
    through_proxies(&FORWARDED, data);
}

/// Reads every hop, the nearest first.
fn read_hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let mut hops = Vec::new();
    each_hop(headers, |hop| {
        hops.push(hop);
        true
    });
    hops
}

/// Whatever a client writes, it can't choose the address it is counted by.
fn through_proxies(name: &HeaderName, data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let proxies = trusted_proxies(lines.next().unwrap_or_default());
    let peer = text(lines.next()).and_then(|text| text.parse().ok()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let values: Vec<HeaderValue> = lines.filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let headers = with_values(name, &values);

    let client = proxies.client_address(peer, &headers);
    let hops = read_hops(&headers);
    assert_eq!(client, expected_client(&proxies, peer, &hops));
    assert_eq!(client, client.to_canonical(), "an IPv4 address has one form");
    assert_eq!(network(network(client)), network(client));
    let is_forgotten = proxies.looks_forgotten(peer, &headers);
    assert!(!is_forgotten || !proxies.trusts(peer) && client == peer.to_canonical() && !values.is_empty());

    if hops.len() <= HOPS_MAX && !hops.is_empty() {
        assert_eq!(read_hops(&with_values(name, &[written(name, &hops)])), hops, "what is written is read");
    }
    check_appended(name, &proxies, peer, &values);
    if name == X_FORWARDED_FOR && !values.is_empty() {
        let mut both = headers;
        both.append(FORWARDED, HeaderValue::from_static("for=192.0.2.66"));
        assert_eq!(proxies.client_address(peer, &both), client, "a proxy that writes the one passes on the other");
    }
}

fn text(line: Option<&[u8]>) -> Option<&str> {
    std::str::from_utf8(line?).ok()
}

/// Reads the list as the configuration does; this machine where it is refused.
fn trusted_proxies(line: &[u8]) -> TrustedProxies {
    let parse = |text: &str| TrustedProxies::parse(text.split(','));
    let Some(Ok(proxies)) = text(Some(line)).map(parse) else { return TrustedProxies::default() };
    assert_eq!(parse(&proxies.to_string()).as_ref(), Ok(&proxies), "what is shown can be configured");
    proxies
}

fn with_values(name: &HeaderName, values: &[HeaderValue]) -> HeaderMap {
    values.iter().map(|value| (name.clone(), value.clone())).collect()
}

/// The nearest hop that is not trusted; where a hop can't be read, the trusted one that wrote it.
fn expected_client(proxies: &TrustedProxies, peer: IpAddr, hops: &[Option<IpAddr>]) -> IpAddr {
    let peer = peer.to_canonical();
    if !proxies.trusts(peer) {
        return peer;
    }
    let trusted = hops.iter().map_while(|hop| hop.filter(|hop| proxies.trusts(*hop)));
    let stranger = hops.get(trusted.clone().count()).copied().flatten();
    stranger.or(trusted.last()).unwrap_or(peer)
}

/// Writes hops as a proxy does.
fn written(name: &HeaderName, hops: &[Option<IpAddr>]) -> HeaderValue {
    let nodes = hops.iter().rev().map(|hop| node(name, *hop));
    HeaderValue::from_str(&nodes.collect::<Vec<_>>().join(", ")).expect("addresses are ASCII")
}

fn node(name: &HeaderName, hop: Option<IpAddr>) -> String {
    let is_old = name == X_FORWARDED_FOR;
    match hop {
        None if is_old => "unknown".to_owned(),
        None => "for=unknown".to_owned(),
        Some(address) if is_old => address.to_string(),
        Some(IpAddr::V4(address)) => format!("for={address};proto=https"),
        Some(IpAddr::V6(address)) => format!("for=\"[{address}]:4711\";proto=https"),
    }
}

/// A trusted peer adds whom it forwards for behind the client's own lines: those change nothing.
fn check_appended(name: &HeaderName, proxies: &TrustedProxies, peer: IpAddr, values: &[HeaderValue]) {
    let client = CLIENTS.iter().filter_map(|text| text.parse().ok()).find(|client| !proxies.trusts(*client));
    let Some(client) = client.filter(|_| proxies.trusts(peer)) else { return };
    let node = node(name, Some(client));
    let mut lines = values.to_vec();
    lines.push(HeaderValue::from_str(&node).unwrap());
    assert_eq!(proxies.client_address(peer, &with_values(name, &lines)), client, "on a line of its own");

    let Some(last) = values.last() else { return };
    let mut line = last.as_bytes().to_vec();
    line.extend_from_slice(format!(", {node}").as_bytes());
    let mut lines = values.to_vec();
    lines.pop();
    lines.push(HeaderValue::from_bytes(&line).unwrap());
    let found = proxies.client_address(peer, &with_values(name, &lines));
    let is_readable = name == X_FORWARDED_FOR && last.to_str().is_ok();
    assert!(found == client || found == peer.to_canonical() && !is_readable, "on the client's line: {found}");
}

/// A request's version, its target, and its Host headers, a line each.
pub(crate) fn host(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let version = match lines.next() {
        Some(b"0") => Version::HTTP_10,
        Some(b"2") => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    let Ok(target) = Uri::try_from(lines.next().unwrap_or_default()) else { return };
    let values: Vec<HeaderValue> = lines.filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let authority = target.authority().map(|authority| authority.as_str().to_owned());
    let request = parts(version, target, &values);
    let Ok(found) = Host::of(&request) else { return };

    assert!(values.len() <= 1 && (version != Version::HTTP_11 || values.len() == 1));
    let header = values.first().map(|value| value.to_str().expect("a host is ASCII").to_owned());
    let given: Vec<String> = [header, authority].into_iter().flatten().filter(|text| !text.is_empty()).collect();
    let Some(host) = found else {
        assert!(given.is_empty(), "{given:?} names a host");
        return;
    };
    assert!(!given.is_empty());
    check_name(&host);
    for text in given {
        let alone = of_header(&text).expect("what is understood beside another is understood alone");
        assert!(is_same(&alone, &host), "{text:?}, but {host:?}");
    }
}

fn parts(version: Version, target: Uri, hosts: &[HeaderValue]) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    (parts.version, parts.uri) = (version, target);
    parts.headers = with_values(&HOST, hosts);
    parts
}

/// The name and the address of the host that a Host header alone stands for.
fn of_header(text: &str) -> Option<(String, Option<IpAddr>)> {
    let parts = parts(Version::HTTP_11, Uri::from_static("/"), &[HeaderValue::from_str(text).ok()?]);
    let host = Host::of(&parts).ok()??;
    Some((host.name().to_owned(), host.address()))
}

fn is_same(alone: &(String, Option<IpAddr>), host: &Host<'_>) -> bool {
    if alone.1.is_some() { alone.1 == host.address() } else { host.is(&alone.0) && host.address().is_none() }
}

/// A host is a name or an address, and nothing beside it.
fn check_name(host: &Host<'_>) {
    let name = host.name();
    assert!(host.is(&name.to_ascii_uppercase()) && host.is(&name.to_ascii_lowercase()) && !host.is(""));
    if name.starts_with('[') {
        assert!(matches!(host.address(), Some(IpAddr::V6(_))), "{name}");
    } else {
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        assert!(name.split('.').all(is_label), "{name}");
    }
    let kept = (name.to_owned(), host.address());
    for suffix in ["", ":", ":443"] {
        assert_eq!(of_header(&format!("{name}{suffix}")).as_ref(), Some(&kept));
    }
    if let Ok(handle) = Handle::parse(name) {
        assert_eq!((handle.as_str(), host.address()), (name.to_ascii_lowercase().as_str(), None));
        assert_eq!(of_header(&format!("{name}.")).as_ref(), Some(&kept));
    }
    check_url(host);
}

/// Whoever makes a URL of the host reaches the same one.
fn check_url(host: &Host<'_>) {
    let Ok(url) = url::Url::parse(&format!("http://{}/", host.name())) else { return };
    match (url.host(), host.address()) {
        (Some(url::Host::Ipv4(theirs)), Some(ours)) => assert_eq!(IpAddr::V4(theirs), ours),
        (Some(url::Host::Ipv6(theirs)), Some(ours)) => assert_eq!(IpAddr::V6(theirs), ours),
        // A name such as `127.1`, which stands for an address in URLs, is no name of ours.
        (Some(url::Host::Ipv4(_)), None) => assert!(Handle::parse(host.name()).is_err()),
        (Some(url::Host::Domain(theirs)), None) => assert!(host.is(theirs), "{theirs}"),
        (theirs, ours) => panic!("{theirs:?} and {ours:?}"),
    }
}
