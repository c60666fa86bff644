//! The headers that proxies write, for [`crate::fuzzing`].

use std::net::IpAddr;

use http::HeaderMap;

use super::{address::TrustedProxies, forwarded};

pub(crate) fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let mut hops = Vec::new();
    forwarded::each_hop(headers, |hop| {
        hops.push(hop);
        true
    });
    hops
}

pub(crate) fn looks_forgotten(proxies: &TrustedProxies, peer: IpAddr, headers: &HeaderMap) -> bool {
    proxies.looks_forgotten(peer, headers)
}
