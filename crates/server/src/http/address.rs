//! Who is at the other end: the client's address behind proxies, and how many connections an address holds.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use http::HeaderMap;
use parking_lot::Mutex;

pub use crate::domain::shares::network;
use crate::limits;

/// Tells whether a peer at this address is one of the operator's own proxies: loopback, link-local and private
/// networks. Only such a peer is believed about whom it speaks for.
pub fn is_trusted_proxy(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Finds the client's address: the peer's own, or, when the peer is a trusted proxy, the last address in
/// `X-Forwarded-For` that is not one.
pub fn client_address(peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let mut client = peer.to_canonical();
    if !is_trusted_proxy(client) {
        return client;
    }
    let lines = headers.get_all("x-forwarded-for");
    for line in lines.into_iter().rev() {
        let Ok(line) = line.to_str() else { return client };
        for hop in line.rsplit(',') {
            let Ok(hop) = hop.trim().parse::<IpAddr>() else { return client };
            client = hop.to_canonical();
            if !is_trusted_proxy(client) {
                return client;
            }
        }
    }
    client
}

/// How many connections each address holds now.
#[derive(Debug, Default)]
pub struct AddressCounts {
    counts: Mutex<HashMap<IpAddr, u32>>,
}

/// One counted connection; dropping it gives the place back.
#[derive(Debug)]
pub struct Counted {
    counts: Arc<AddressCounts>,
    key: IpAddr,
}

impl AddressCounts {
    /// Counts one more connection from this address, or refuses it at the limit.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let key = network(address);
        let mut counts = self.counts.lock();
        let count = counts.entry(key).or_insert(0);
        if *count >= limits::CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Counted { counts: Arc::clone(self), key })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.counts.counts.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
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

    #[test]
    fn a_stranger_is_not_believed_about_others() {
        assert_eq!(client_address(ip("203.0.113.9"), &forwarded(&["198.51.100.1"])), ip("203.0.113.9"));
    }

    #[test]
    fn a_proxy_is_believed_as_far_as_the_first_stranger() {
        let headers = forwarded(&["192.0.2.66, 198.51.100.1", "10.0.0.3"]);
        assert_eq!(client_address(ip("127.0.0.1"), &headers), ip("198.51.100.1"));
        assert_eq!(client_address(ip("::ffff:127.0.0.1"), &headers), ip("198.51.100.1"));
        assert_eq!(client_address(ip("127.0.0.1"), &HeaderMap::new()), ip("127.0.0.1"));
    }

    #[test]
    fn garbage_ends_the_search_at_the_hop_that_said_it() {
        assert_eq!(client_address(ip("127.0.0.1"), &forwarded(&["198.51.100.1, nonsense"])), ip("127.0.0.1"));
    }

    #[test]
    fn an_address_holds_no_more_than_its_share() {
        let counts = Arc::new(AddressCounts::default());
        let mut held: Vec<_> = (0..limits::CONNECTIONS_PER_ADDRESS_MAX)
            .map(|i| counts.admit(ip(&format!("2001:db8::{:x}", i + 1))).unwrap())
            .collect();
        assert!(counts.admit(ip("2001:db8::ffff")).is_none());
        assert!(counts.admit(ip("2001:db8:0:1::1")).is_some());
        held.pop();
        assert!(counts.admit(ip("2001:db8::ffff")).is_some());
    }

    #[test]
    fn nothing_is_remembered_of_addresses_that_left() {
        let counts = Arc::new(AddressCounts::default());
        drop(counts.admit(ip("198.51.100.1")));
        assert!(counts.counts.lock().is_empty());
    }
}
