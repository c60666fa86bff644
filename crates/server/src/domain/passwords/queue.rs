//! Who is served next: client addresses in turn, and within one address the accounts in turn, so that whoever asks for
//! much waits behind their own requests and nobody else's.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
};

use crate::domain::shares::network;

/// How much of an account's name tells it apart, in characters; what is typed may be longer.
const ACCOUNT_CHARS_MAX: usize = 256;

/// Who has a password hashed or compared.
#[derive(Debug, Clone, Copy)]
pub struct Requester<'a> {
    /// The client's address; none for the operator.
    pub address: Option<IpAddr>,
    /// The account, as the client names it.
    pub account: &'a str,
}

/// A bounded queue of `T` that serves requesters in turn.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    lanes: BTreeMap<Option<IpAddr>, Lane<T>>,
    turns: VecDeque<Option<IpAddr>>,
    waiting: usize,
    waiting_max: usize,
    waiting_per_address_max: usize,
}

/// What waits for one address.
#[derive(Debug)]
struct Lane<T> {
    accounts: BTreeMap<String, VecDeque<T>>,
    turns: VecDeque<String>,
    waiting: usize,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { accounts: BTreeMap::new(), turns: VecDeque::new(), waiting: 0 }
    }
}

impl<T> FairQueue<T> {
    /// A queue for this many in all, and for this many of one address (IPv6: one /64).
    pub(super) fn new(waiting_max: usize, waiting_per_address_max: usize) -> Self {
        Self { lanes: BTreeMap::new(), turns: VecDeque::new(), waiting: 0, waiting_max, waiting_per_address_max }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// Adds an item. A full queue has a place for whoever asks for less than others: then the newest item of whoever asks
    /// for most is given back in exchange. `Err` gives back the item itself.
    pub(super) fn push(&mut self, by: Requester<'_>, item: T) -> Result<Option<T>, T> {
        let address = by.address.map(network);
        let account: String = by.account.chars().take(ACCOUNT_CHARS_MAX).collect();
        let own = self.lanes.get(&address).map_or(0, |lane| lane.waiting);
        let mut shed = None;
        if own >= self.waiting_per_address_max {
            shed = self.shed_of(address, &account);
        } else if self.waiting >= self.waiting_max {
            let largest = self.lanes.iter().max_by_key(|(_, lane)| lane.waiting);
            let largest = largest.filter(|(_, lane)| lane.waiting > own + 1).map(|(address, _)| *address);
            shed = largest.and_then(|address| self.take_newest(address));
        }
        let is_full = own >= self.waiting_per_address_max || self.waiting >= self.waiting_max;
        if is_full && shed.is_none() {
            return Err(item);
        }
        let lane = self.lanes.entry(address).or_default();
        if lane.waiting == 0 {
            self.turns.push_back(address);
        }
        lane.push(account, item);
        self.waiting += 1;
        Ok(shed)
    }

    /// Takes the item whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let address = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&address)?;
        let item = lane.pop();
        self.waiting -= usize::from(item.is_some());
        if lane.waiting == 0 {
            self.lanes.remove(&address);
        } else {
            self.turns.push_back(address);
        }
        item
    }

    /// Takes the newest item of the account that asks for most at an address, if that is more than `account` does.
    fn shed_of(&mut self, address: Option<IpAddr>, account: &str) -> Option<T> {
        let lane = self.lanes.get(&address)?;
        let own = lane.accounts.get(account).map_or(0, VecDeque::len);
        let largest = lane.accounts.values().map(VecDeque::len).max()?;
        if largest > own + 1 { self.take_newest(address) } else { None }
    }

    fn take_newest(&mut self, address: Option<IpAddr>) -> Option<T> {
        let lane = self.lanes.get_mut(&address)?;
        let item = lane.take_newest();
        self.waiting -= usize::from(item.is_some());
        if lane.waiting == 0 {
            self.lanes.remove(&address);
            self.turns.retain(|turn| *turn != address);
        }
        item
    }
}

impl<T> Lane<T> {
    fn push(&mut self, account: String, item: T) {
        let items = self.accounts.entry(account.clone()).or_default();
        if items.is_empty() {
            self.turns.push_back(account);
        }
        items.push_back(item);
        self.waiting += 1;
    }

    fn pop(&mut self) -> Option<T> {
        let account = self.turns.pop_front()?;
        let items = self.accounts.get_mut(&account)?;
        let item = items.pop_front();
        self.waiting -= usize::from(item.is_some());
        if items.is_empty() {
            self.accounts.remove(&account);
        } else {
            self.turns.push_back(account);
        }
        item
    }

    /// Takes the newest item of the account with most.
    fn take_newest(&mut self) -> Option<T> {
        let account = self.accounts.iter().max_by_key(|(_, items)| items.len())?.0.clone();
        let items = self.accounts.get_mut(&account)?;
        let item = items.pop_back();
        self.waiting -= usize::from(item.is_some());
        if items.is_empty() {
            self.accounts.remove(&account);
            self.turns.retain(|turn| *turn != account);
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(address: &str, account: &'a str) -> Requester<'a> {
        Requester { address: Some(address.parse().unwrap()), account }
    }

    fn drained(queue: &mut FairQueue<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn addresses_take_turns() {
        let mut queue = FairQueue::new(100, 50);
        for item in ["a1", "a2", "a3"] {
            queue.push(at("192.0.2.1", item), item).unwrap();
        }
        queue.push(at("192.0.2.2", "bob"), "b1").unwrap();
        queue.push(Requester { address: None, account: "admin" }, "operator").unwrap();
        assert_eq!(queue.len(), 5);
        assert_eq!(drained(&mut queue), ["a1", "b1", "operator", "a2", "a3"]);
        assert_eq!((queue.len(), queue.lanes.len(), queue.turns.len()), (0, 0, 0));
    }

    #[test]
    fn accounts_of_one_address_take_turns() {
        let mut queue = FairQueue::new(100, 50);
        for (account, item) in [("alice", "a1"), ("alice", "a2"), ("alice", "a3"), ("bob", "b1")] {
            queue.push(at("192.0.2.1", account), item).unwrap();
        }
        assert_eq!(drained(&mut queue), ["a1", "b1", "a2", "a3"]);
    }

    #[test]
    fn one_network_is_one_address() {
        let mut queue = FairQueue::new(100, 50);
        for (address, item) in
            [("2001:db8::1", "a1"), ("2001:db8::2", "a2"), ("2001:db8:0:1::1", "b1"), ("::ffff:192.0.2.1", "c1")]
        {
            queue.push(at(address, item), item).unwrap();
        }
        queue.push(at("192.0.2.1", "c"), "c2").unwrap();
        assert_eq!(drained(&mut queue), ["a1", "b1", "c1", "a2", "c2"]);
    }

    #[test]
    fn a_full_address_gives_way_only_to_an_account_that_asks_for_less() {
        let mut queue = FairQueue::new(100, 3);
        for item in ["a1", "a2", "a3"] {
            queue.push(at("192.0.2.1", "alice"), item).unwrap();
        }
        assert_eq!(queue.push(at("192.0.2.1", "alice"), "a4"), Err("a4"));
        assert_eq!(queue.push(at("192.0.2.1", "bob"), "b1"), Ok(Some("a3")));
        assert_eq!(queue.push(at("192.0.2.1", "bob"), "b2"), Err("b2"), "both have one or two");
        assert_eq!(queue.push(at("192.0.2.2", "alice"), "other"), Ok(None), "others have their own places");
        assert_eq!(drained(&mut queue), ["a1", "other", "b1", "a2"]);
    }

    #[test]
    fn a_full_queue_gives_way_only_to_an_address_that_asks_for_less() {
        let mut queue = FairQueue::new(4, 3);
        for (address, item) in [("192.0.2.1", "a1"), ("192.0.2.1", "a2"), ("192.0.2.1", "a3"), ("192.0.2.2", "b1")] {
            queue.push(at(address, "alice"), item).unwrap();
        }
        assert_eq!(queue.push(at("192.0.2.3", "carol"), "c1"), Ok(Some("a3")));
        assert_eq!(queue.push(at("192.0.2.4", "dan"), "d1"), Ok(Some("a2")));
        assert_eq!(queue.push(at("192.0.2.5", "eve"), "e1"), Err("e1"), "everybody has one");
        assert_eq!(queue.len(), 4);
        assert_eq!(drained(&mut queue), ["a1", "b1", "c1", "d1"]);
    }
}
