//! Who is at the other end: the client's address behind proxies, and how many connections an address holds.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, LazyLock},
};

use http::HeaderMap;
use ipnet::IpNet;
use parking_lot::Mutex;

use crate::{forwarded, limits};

/// What counts as one client: an IPv4 address, or an IPv6 /64.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

/// The peers that are believed about whom they forward for: the operator's own proxies.
///
/// The one place that decides this. Everybody else counts by the address that their connection comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
}

/// Networks that are called by a word.
const WORDS: &[(&str, &[&str])] = &[
    ("loopback", &["127.0.0.0/8", "::1/128"]),
    ("private", &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10"]),
];

/// The word for no network at all.
const NONE: &str = "none";

impl TrustedProxies {
    /// Reads addresses, networks and the words `loopback` (this machine), `private` (private and link-local networks)
    /// and `none`, which stands alone. The error is for the operator.
    pub fn parse<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let parts: Vec<&str> = parts.map(str::trim).filter(|part| !part.is_empty()).collect();
        if parts.contains(&NONE) {
            return if parts.len() == 1 {
                Ok(Self { networks: Vec::new() })
            } else {
                Err("`none` can't be combined with other entries".to_owned())
            };
        }
        let mut networks = Vec::new();
        for part in parts {
            let word = WORDS.iter().find(|(word, _)| *word == part);
            match word {
                Some((_, listed)) => networks.extend(networks_in(listed)),
                None => networks.push(network_of(part)?),
            }
        }
        Ok(Self { networks })
    }

    /// Tells whether a peer at this address is believed about whom it forwards for.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Finds the client's address: the peer's own, or, when the peer is trusted, the last address in
    /// `X-Forwarded-For` (without it: in `Forwarded`) that is not trusted.
    ///
    /// What is no address ends the search at the hop that said it: such a client counts together with that hop.
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if self.trusts(client) {
            forwarded::each_hop(headers, |hop| {
                client = hop.unwrap_or(client);
                hop.is_some_and(|hop| self.trusts(hop))
            });
        }
        client
    }

    /// Tells whether a peer is likely a proxy that was not named: it is in a network of the operator's, forwards for
    /// somebody, and is not trusted.
    pub fn looks_forgotten(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        static OPERATORS: LazyLock<TrustedProxies> = LazyLock::new(|| TrustedProxies {
            networks: WORDS.iter().flat_map(|(_, listed)| networks_in(listed)).collect(),
        });
        OPERATORS.trusts(peer) && !self.trusts(peer) && forwarded::is_forwarded(headers)
    }
}

impl Default for TrustedProxies {
    /// Trusts this machine.
    fn default() -> Self {
        Self::parse(["loopback"].into_iter()).unwrap_or(Self { networks: Vec::new() })
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.networks.is_empty() {
            return f.write_str(NONE);
        }
        let networks: Vec<String> = self.networks.iter().map(ToString::to_string).collect();
        f.write_str(&networks.join(","))
    }
}

/// The networks of a word.
fn networks_in(listed: &[&str]) -> impl Iterator<Item = IpNet> {
    listed.iter().filter_map(|text| text.parse().ok())
}

fn network_of(text: &str) -> Result<IpNet, String> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text
            .parse::<IpNet>()
            .map_err(|_| format!("{text:?} is not an IP address, a network, or one of loopback, private and none"))?,
    };
    // An IPv4 address written as IPv6 is compared as what it is.
    let network = match (network.addr().to_canonical(), network.prefix_len().checked_sub(96), network) {
        (IpAddr::V4(v4), Some(prefix), IpNet::V6(_)) => {
            IpNet::new(IpAddr::V4(v4), prefix).map_err(|_| format!("{text:?} is no network"))?
        }
        _ => network,
    };
    if network.prefix_len() == 0 {
        return Err(format!("{text} trusts every address, so each client could forge its own address"));
    }
    Ok(network)
}

/// How many connections each address holds now.
#[derive(Debug, Default)]
pub struct AddressCounts {
    counts: Mutex<HashMap<IpAddr, Count>>,
}

#[derive(Debug, Default)]
struct Count {
    held: u32,
    was_refused: bool,
}

/// An address holds [`limits::CONNECTIONS_PER_ADDRESS_MAX`] connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// Whether it is the first refusal since the address had none.
    pub is_first: bool,
}

/// One counted connection; dropping it gives the place back.
#[derive(Debug)]
pub struct Counted {
    counts: Arc<AddressCounts>,
    key: IpAddr,
}

impl AddressCounts {
    /// Counts one more connection from this address, or refuses it at the limit.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Counted, TooMany> {
        let key = network(address);
        let mut counts = self.counts.lock();
        let count = counts.entry(key).or_default();
        if count.held >= limits::CONNECTIONS_PER_ADDRESS_MAX {
            return Err(TooMany { is_first: !std::mem::replace(&mut count.was_refused, true) });
        }
        count.held += 1;
        Ok(Counted { counts: Arc::clone(self), key })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.counts.counts.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            count.held -= 1;
            if count.held == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn forwarded(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-for", HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn trusting(parts: &[&str]) -> TrustedProxies {
        TrustedProxies::parse(parts.iter().copied()).unwrap()
    }

    fn client(proxies: &TrustedProxies, peer: &str, headers: &HeaderMap) -> String {
        proxies.client_address(ip(peer), headers).to_string()
    }

    #[test]
    fn a_stranger_is_not_believed_about_others() {
        let headers = forwarded(&["198.51.100.1"]);
        for peer in ["203.0.113.9", "10.0.0.3", "192.168.1.1", "172.17.0.1", "169.254.0.1", "fd00::1", "fe80::1"] {
            assert_eq!(client(&TrustedProxies::default(), peer, &headers), peer);
        }
        assert_eq!(client(&trusting(&["none"]), "127.0.0.1", &headers), "127.0.0.1");
    }

    #[test]
    fn a_proxy_is_believed_as_far_as_the_first_stranger() {
        let headers = forwarded(&["192.0.2.66, 198.51.100.1", "10.0.0.3"]);
        let proxies = trusting(&["loopback", "10.0.0.0/8", "2001:db8:1::/48"]);
        for peer in ["127.0.0.1", "::ffff:127.0.0.1", "::1", "10.9.9.9", "2001:db8:1:2::3"] {
            assert_eq!(client(&proxies, peer, &headers), "198.51.100.1", "{peer}");
        }
        assert_eq!(client(&TrustedProxies::default(), "127.0.0.1", &headers), "10.0.0.3");
        assert_eq!(client(&proxies, "127.0.0.1", &HeaderMap::new()), "127.0.0.1");
        assert_eq!(client(&proxies, "127.0.0.1", &forwarded(&["10.0.0.5, 10.0.0.6"])), "10.0.0.5");
    }

    #[test]
    fn what_is_no_address_counts_by_the_hop_that_said_it() {
        let proxies = trusting(&["loopback", "private"]);
        for (line, address) in [
            ("198.51.100.1, nonsense", "127.0.0.1"),
            ("198.51.100.1, unknown, 10.0.0.3", "10.0.0.3"),
            ("198.51.100.1, _x", "127.0.0.1"),
            ("198.51.100.1,", "127.0.0.1"),
            ("192.0.2.66, 203.0.113.9:4711", "203.0.113.9"),
            ("192.0.2.66, \"[2001:db8::1]:80\"", "2001:db8::1"),
        ] {
            assert_eq!(client(&proxies, "127.0.0.1", &forwarded(&[line])), address, "{line}");
        }
    }

    #[test]
    fn the_operator_is_told_what_can_not_be_meant() {
        let parse = |parts: &[&str]| TrustedProxies::parse(parts.iter().copied());
        assert_eq!(trusting(&["loopback"]), TrustedProxies::default());
        assert_eq!(trusting(&["none"]).to_string(), "none");
        assert_eq!(trusting(&["::ffff:10.0.0.0/104", "192.0.2.1"]).to_string(), "10.0.0.0/8,192.0.2.1/32");
        for wrong in [
            &["none", "loopback"][..],
            &["0.0.0.0/0"],
            &["::/0"],
            &["::ffff:0.0.0.0/96"],
            &["10.0.0.0/33"],
            &["proxy.example.com"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_proxy_that_nobody_named_is_noticed() {
        let (proxies, said) = (TrustedProxies::default(), forwarded(&["198.51.100.1"]));
        assert!(proxies.looks_forgotten(ip("172.17.0.1"), &said));
        assert!(!proxies.looks_forgotten(ip("172.17.0.1"), &HeaderMap::new()));
        assert!(!proxies.looks_forgotten(ip("127.0.0.1"), &said));
        assert!(!proxies.looks_forgotten(ip("203.0.113.9"), &said), "anybody may write the header");
    }

    #[test]
    fn an_address_holds_no_more_than_its_share() {
        let counts = Arc::new(AddressCounts::default());
        let mut held: Vec<_> = (0..limits::CONNECTIONS_PER_ADDRESS_MAX)
            .map(|i| counts.admit(ip(&format!("2001:db8::{:x}", i + 1))).unwrap())
            .collect();
        for is_first in [true, false] {
            assert_eq!(counts.admit(ip("2001:db8::ffff")).unwrap_err(), TooMany { is_first });
        }
        assert!(counts.admit(ip("2001:db8:0:1::1")).is_ok());
        held.pop();
        assert!(counts.admit(ip("2001:db8::ffff")).is_ok());
    }

    #[test]
    fn nothing_is_remembered_of_addresses_that_left() {
        let counts = Arc::new(AddressCounts::default());
        drop(counts.admit(ip("198.51.100.1")));
        assert!(counts.counts.lock().is_empty());
    }
}
