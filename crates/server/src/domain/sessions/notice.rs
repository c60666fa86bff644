//! Telling an account's owner of a sign-in from a network that they never signed in from.
//!
//! Networks are kept as keyed hashes: whoever has the data can't tell where people live.

use std::net::IpAddr;

use allod_base::clock::{self, MICROS_PER_SEC};
use allod_store::{
    CommitError, ReadError, Txn,
    tables::{
        accounts::Account,
        known_networks::{self, Familiarity},
    },
};
use ipnet::IpNet;

use crate::{
    app::App,
    domain::{
        keyed_hash::HashUse,
        mail::{Content, Letter},
    },
};

/// For how long a network is known from which nobody signs in any more, in seconds: 90 days.
pub const KNOWN_SECS: u64 = 90 * 24 * 60 * 60;

/// How much of an IPv4 address tells a network apart, in bits.
const IPV4_BITS: u8 = 24;
/// How much of an IPv6 address tells a network apart, in bits.
const IPV6_BITS: u8 = 48;

/// Adds: the account has signed in from here, and its owner gets a letter if they never did. The first network that is
/// known of an account is taken for theirs.
pub(super) async fn note(
    app: &App,
    txn: &mut Txn,
    account: &Account,
    address: Option<IpAddr>,
    app_password: Option<&str>,
) -> Result<(), ReadError> {
    let (Some(address), Some(to), true) = (address, &account.email, app.config.sign_in_notices) else {
        return Ok(());
    };
    let network = network(address);
    let network_hash = app.keyed_hash.hash(HashUse::Network, &[account.did.as_str().as_bytes(), network.as_bytes()]);
    let now = app.clock.now_micros();
    let familiarity = known_networks::familiarity(&*app.db, &account.did, &network_hash).await?;
    known_networks::remember(txn, &account.did, &network_hash, clock::to_store(now));
    if familiarity == Familiarity::New {
        let content = Content::SignedIn {
            handle: account.handle.clone(),
            address,
            time: clock::datetime(now),
            app_password: app_password.map(str::to_owned),
        };
        app.mail.post(txn, Letter { to: to.clone(), account: Some(account.did.clone()), content });
    }
    Ok(())
}

/// Forgets networks from which nobody has signed in for [`KNOWN_SECS`].
pub async fn forget_old(app: &App) -> Result<(), CommitError> {
    let before = clock::to_store(app.clock.now_micros().saturating_sub(KNOWN_SECS * MICROS_PER_SEC));
    if !known_networks::any_seen_before(&*app.db, before).await.unwrap_or(true) {
        return Ok(());
    }
    let mut txn = Txn::new();
    known_networks::forget_seen_before(&mut txn, before);
    app.db.commit(txn).await.map(|_| ())
}

/// The network of an address, as text.
fn network(address: IpAddr) -> String {
    let address = address.to_canonical();
    let bits = if address.is_ipv4() { IPV4_BITS } else { IPV6_BITS };
    IpNet::new(address, bits).map_or_else(|_| address.to_string(), |network| network.trunc().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_network() {
        let of = |address: &str| network(address.parse().unwrap());
        assert_eq!(of("203.0.113.7"), of("203.0.113.200"));
        assert_eq!(of("203.0.113.7"), of("::ffff:203.0.113.9"));
        assert_ne!(of("203.0.113.7"), of("203.0.114.7"));
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:ffff::1"));
        assert_ne!(of("2001:db8:1::"), of("2001:db8:2::"));
    }
}
