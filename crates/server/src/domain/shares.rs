//! Limited places, and how many of them one address and one account may take.
//!
//! A place is taken when the total, the address and the account all allow it, or not at all. Whoever has some gets
//! no more than half of what is left: the shares shrink as places fill up, so that a few who take all they can leave some
//! for others.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use allod_atproto::Did;
use parking_lot::Mutex;

use crate::limits;

/// Who takes a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taker {
    address: Option<IpAddr>,
    account: Option<Did>,
}

impl Taker {
    /// The operator, on this machine: counted in the total, and never refused.
    pub const OPERATOR: Self = Self { address: None, account: None };

    /// A client at this address, signed in as `account` or not. Addresses count by [`network`].
    pub fn new(address: IpAddr, account: Option<Did>) -> Self {
        Self { address: Some(network(address)), account }
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 /64.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

/// How many places there are, or how many bytes.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// In all.
    pub total: usize,
    /// For one address.
    pub per_address: usize,
    /// For one account.
    pub per_account: usize,
}

/// Why no place is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowded {
    /// All are taken.
    Server,
    /// The address has its share.
    Address,
    /// The account has its share.
    Account,
}

/// Limited places of one kind.
#[derive(Debug)]
pub struct Places {
    bounds: Bounds,
    taken: Mutex<Taken>,
    total: AtomicUsize,
}

#[derive(Debug, Default)]
struct Taken {
    by_address: HashMap<IpAddr, usize>,
    by_account: HashMap<Did, usize>,
}

/// A place, or several; dropping it gives them back.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    taker: Taker,
    amount: usize,
}

impl Places {
    /// Makes places that nobody has taken.
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds, taken: Mutex::default(), total: AtomicUsize::new(0) })
    }

    /// Takes `amount` places. One request may exceed the share of an address or account that has taken none.
    pub fn take(self: &Arc<Self>, taker: &Taker, amount: usize) -> Result<Place, Crowded> {
        let mut place = Place { places: Arc::clone(self), taker: taker.clone(), amount: 0 };
        place.resize(amount)?;
        Ok(place)
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        self.total.load(Relaxed)
    }

    fn check(&self, taken: &Taken, taker: &Taker, more: usize) -> Result<(), Crowded> {
        if *taker == Taker::OPERATOR {
            return Ok(());
        }
        // Changed only under the lock.
        let left = self.bounds.total.saturating_sub(self.taken());
        let fits = |has: usize, bound: usize| has == 0 || has.saturating_add(more) <= bound.min(left.div_ceil(2));
        let has = |count: Option<&usize>| count.copied().unwrap_or(0);
        if let Some(account) = &taker.account
            && !fits(has(taken.by_account.get(account)), self.bounds.per_account)
        {
            return Err(Crowded::Account);
        }
        if let Some(address) = &taker.address
            && !fits(has(taken.by_address.get(address)), self.bounds.per_address)
        {
            return Err(Crowded::Address);
        }
        if more > left { Err(Crowded::Server) } else { Ok(()) }
    }
}

impl Place {
    /// Takes more places or gives some back; after an error it has what it had.
    pub fn resize(&mut self, amount: usize) -> Result<(), Crowded> {
        let places = &self.places;
        let mut taken = places.taken.lock();
        if amount > self.amount {
            let more = amount - self.amount;
            places.check(&taken, &self.taker, more)?;
            places.total.fetch_add(more, Relaxed);
            if let Some(address) = self.taker.address {
                *taken.by_address.entry(address).or_insert(0) += more;
            }
            if let Some(account) = &self.taker.account {
                match taken.by_account.get_mut(account) {
                    Some(count) => *count += more,
                    None => drop(taken.by_account.insert(account.clone(), more)),
                }
            }
        } else {
            let less = self.amount - amount;
            places.total.fetch_sub(less, Relaxed);
            if let Some(address) = &self.taker.address {
                give_back(&mut taken.by_address, address, less);
            }
            if let Some(account) = &self.taker.account {
                give_back(&mut taken.by_account, account, less);
            }
        }
        self.amount = amount;
        Ok(())
    }
}

fn give_back<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K, less: usize) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(less);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Giving back is never refused.
        let _ = self.resize(0);
    }
}

/// The bytes of answers that are held in memory until their clients have taken them.
///
/// Large answers have a part of their own, so that they never keep a small one, an error for one, from being given.
#[derive(Debug)]
pub struct AnswerBudget {
    small: Arc<Places>,
    large: Arc<Places>,
}

impl Default for AnswerBudget {
    fn default() -> Self {
        let places = |total, per_address| Places::new(Bounds { total, per_address, per_account: usize::MAX });
        Self {
            small: places(limits::SMALL_ANSWERS_BYTES_MAX, limits::SMALL_ANSWERS_PER_ADDRESS_BYTES_MAX),
            large: places(limits::LARGE_ANSWERS_BYTES_MAX, limits::LARGE_ANSWERS_PER_ADDRESS_BYTES_MAX),
        }
    }
}

impl AnswerBudget {
    /// Takes room for an answer of so many bytes.
    pub fn take(&self, taker: &Taker, bytes: usize) -> Result<Place, Crowded> {
        let places = if bytes <= limits::SMALL_ANSWER_BYTES_MAX { &self.small } else { &self.large };
        places.take(taker, bytes)
    }

    /// How many bytes are held.
    pub fn held_bytes(&self) -> usize {
        self.small.taken() + self.large.taken()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taker(address: u8, account: &str) -> Taker {
        let account = (!account.is_empty()).then(|| Did::parse(&format!("did:web:{account}.test")).unwrap());
        Taker::new(IpAddr::from([192, 0, 2, address]), account)
    }

    fn places() -> Arc<Places> {
        Places::new(Bounds { total: 12, per_address: 4, per_account: 3 })
    }

    #[test]
    fn an_account_and_an_address_have_their_share_and_the_others_theirs() {
        let places = places();
        let take = |address, account| places.take(&taker(address, account), 1);
        let mut held: Vec<_> = (0..3).map(|_| take(1, "alice").unwrap()).collect();
        assert_eq!(take(1, "alice").unwrap_err(), Crowded::Account);
        assert_eq!(take(2, "alice").unwrap_err(), Crowded::Account);
        held.push(take(1, "bob").unwrap());
        assert_eq!(take(1, "bob").unwrap_err(), Crowded::Address);
        assert_eq!(take(1, "").unwrap_err(), Crowded::Address);
        held.push(take(2, "bob").unwrap());
        assert_eq!(places.taken(), 5, "a refusal takes nothing");
        held.remove(0);
        drop(take(1, "alice").unwrap());
        held.extend((3..11).map(|address| take(address, "").unwrap()));
        assert_eq!(take(11, "carol").unwrap_err(), Crowded::Server);
        drop(places.take(&Taker::OPERATOR, 1).unwrap());
        drop(held);
        assert_eq!(places.taken(), 0);
        let taken = places.taken.lock();
        assert!(taken.by_address.is_empty() && taken.by_account.is_empty());
    }

    #[test]
    fn a_few_who_take_all_they_can_leave_some_for_others() {
        let places = Places::new(Bounds { total: 256, per_address: 32, per_account: usize::MAX });
        let mut held = Vec::new();
        for address in 0..12 {
            held.extend(std::iter::from_fn(|| places.take(&taker(address, ""), 1).ok()));
        }
        assert!((240..256).contains(&places.taken()), "{} taken", places.taken());
        let few = Places::new(Bounds { total: 4, per_address: 2, per_account: usize::MAX });
        let held: Vec<_> = (0..2).flat_map(|address| (0..2).map(move |_| address)).collect();
        let held: Vec<_> = held.into_iter().filter_map(|address| few.take(&taker(address, ""), 1).ok()).collect();
        assert_eq!(held.len(), 3);
        few.take(&taker(2, ""), 1).unwrap();
    }

    #[test]
    fn one_large_request_passes_where_nothing_is_taken() {
        let places = places();
        let mut large = places.take(&taker(1, ""), 7).unwrap();
        assert_eq!(places.take(&taker(1, ""), 1).unwrap_err(), Crowded::Address);
        assert_eq!(places.take(&taker(2, ""), 11).unwrap_err(), Crowded::Server);
        assert_eq!(large.resize(8).unwrap_err(), Crowded::Address);
        large.resize(2).unwrap();
        let other = places.take(&taker(1, ""), 2).unwrap();
        assert_eq!(places.taken(), 4);
        assert_eq!(large.resize(3).unwrap_err(), Crowded::Address);
        drop((large, other));
        assert_eq!(places.taken(), 0);
    }
}
