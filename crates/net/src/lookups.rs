//! Bounds how many identities are looked up at once: for all clients together, for one client, and at one site. A site
//! that never answers does not hold up lookups of others; a lookup without a free slot fails at once.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;

use crate::limits::{LOOKUPS_MAX, LOOKUPS_OF_DIRECTORY_MAX, LOOKUPS_PER_CLIENT_MAX, LOOKUPS_PER_SITE_MAX};

tokio::task_local! {
    /// The client whose request is running. Task-local instead of an argument, so that no path from a request to a lookup
    /// can leave it out.
    static CLIENT: IpAddr;
}

/// Runs a request's work, whose lookups count for the client: an IPv4 address, or an IPv6 /64 by its first address.
pub async fn on_behalf_of<F: Future>(client: IpAddr, work: F) -> F::Output {
    CLIENT.scope(client, work).await
}

/// Spawns a task whose lookups count for the client of the current task: a new task does not inherit a task-local.
pub fn spawn<F>(work: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match CLIENT.try_with(|client| *client) {
        Ok(client) => tokio::spawn(CLIENT.scope(client, work)),
        Err(_) => tokio::spawn(work),
    }
}

/// The party that answers a lookup.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Site {
    /// The did:plc directory.
    Directory,
    /// All hosts of one site.
    Of(String),
}

impl Site {
    /// Returns the site of a host: its last two labels, or three if the second to last one is as short as in `co.uk`.
    /// This approximates the list of public suffixes; where it is wrong, unrelated hosts share slots, or one owner has
    /// more of them.
    pub fn of_host(host: &str) -> Self {
        const SUFFIX_CHARS_MAX: usize = 3;
        let labels: Vec<&str> = host.trim_end_matches('.').rsplitn(4, '.').collect();
        let kept = match labels.as_slice() {
            [tld, second, _, ..] if tld.len() == 2 && second.len() <= SUFFIX_CHARS_MAX => 3,
            _ => 2,
        };
        let mut kept: Vec<&str> = labels.into_iter().take(kept).collect();
        kept.reverse();
        Self::Of(kept.join(".").to_ascii_lowercase())
    }

    fn lookups_max(&self) -> usize {
        match self {
            Self::Directory => LOOKUPS_OF_DIRECTORY_MAX,
            Self::Of(_) => LOOKUPS_PER_SITE_MAX,
        }
    }
}

/// There is no free slot for a lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many identity lookups are in progress")]
pub struct Busy;

#[derive(Default)]
struct Counts {
    all: usize,
    of_sites: HashMap<Site, usize>,
    of_clients: HashMap<IpAddr, usize>,
}

/// Counts running lookups. Cheap to clone.
#[derive(Clone, Default)]
pub struct Lookups(Arc<Mutex<Counts>>);

impl Lookups {
    /// Takes a slot for a lookup at a site, for the client of [`on_behalf_of`] if there is one.
    pub fn begin(&self, site: Site) -> Result<Slot, Busy> {
        let client = CLIENT.try_with(|client| *client).ok();
        let mut counts = self.0.lock();
        let of_site = counts.of_sites.get(&site).copied().unwrap_or(0);
        let of_client = client.and_then(|client| counts.of_clients.get(&client).copied()).unwrap_or(0);
        if counts.all >= LOOKUPS_MAX || of_site >= site.lookups_max() || of_client >= LOOKUPS_PER_CLIENT_MAX {
            return Err(Busy);
        }
        counts.all += 1;
        counts.of_sites.insert(site.clone(), of_site + 1);
        if let Some(client) = client {
            counts.of_clients.insert(client, of_client + 1);
        }
        Ok(Slot { lookups: self.clone(), site, client })
    }
}

/// A slot for one lookup; released when dropped.
pub struct Slot {
    lookups: Lookups,
    site: Site,
    client: Option<IpAddr>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.lookups.0.lock();
        counts.all = counts.all.saturating_sub(1);
        decrement(&mut counts.of_sites, &self.site);
        if let Some(client) = &self.client {
            decrement(&mut counts.of_clients, client);
        }
    }
}

fn decrement<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    match counts.get_mut(key) {
        Some(count) if *count > 1 => *count -= 1,
        _ => {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(index: usize) -> Site {
        Site::of_host(&format!("alice.site{index}.example"))
    }

    #[test]
    fn a_site_is_about_a_registrable_domain() {
        for (name, site) in [
            ("_atproto.alice.example.com.", "example.com"),
            ("a.b.c.Example.com", "example.com"),
            ("example.com", "example.com"),
            ("alice.example.co.uk", "example.co.uk"),
            ("alice.bsky.social", "bsky.social"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(Site::of_host(name), Site::Of(site.to_owned()), "{name}");
        }
    }

    #[test]
    fn a_silent_site_takes_no_slots_of_others() {
        let lookups = Lookups::default();
        let held: Vec<Slot> = (0..LOOKUPS_PER_SITE_MAX).map(|_| lookups.begin(host(1)).unwrap()).collect();
        assert!(lookups.begin(host(1)).is_err());
        assert!(lookups.begin(host(2)).is_ok());
        drop(held);
        assert!(lookups.begin(host(1)).is_ok(), "a dropped slot is free again");
        assert!(lookups.0.lock().of_sites.is_empty(), "no count of zero is stored");
    }

    #[tokio::test]
    async fn one_client_takes_no_slots_of_others() {
        let lookups = Lookups::default();
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let take_all =
            async { (0..LOOKUPS_MAX).map_while(|index| lookups.begin(host(index)).ok()).collect::<Vec<_>>() };
        let held = on_behalf_of(one, take_all).await;
        assert_eq!(held.len(), LOOKUPS_PER_CLIENT_MAX);
        assert!(on_behalf_of(other, async { lookups.begin(host(1)).is_ok() }).await);
        drop(held);
        assert!(lookups.0.lock().of_clients.is_empty());
    }

    #[test]
    fn all_together_are_bounded() {
        let lookups = Lookups::default();
        let held: Vec<Slot> = (0..2 * LOOKUPS_MAX).map_while(|index| lookups.begin(host(index)).ok()).collect();
        assert_eq!(held.len(), LOOKUPS_MAX);
    }
}
