//! Who holds which blocks, and how close each is to its limits.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hasher},
    net::IpAddr,
    time::Duration,
};

use portledger_model::{Internal, Ipv6Prefix, Limit, Timestamp};

use crate::BlockIndex;

/// The number of a realm, as the configuration lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RealmIndex(pub u16);

/// A subscriber by realm number and internal address: the form that a packet gives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Inside {
    /// The realm.
    pub realm: RealmIndex,
    /// The internal address, or the first of the subscriber's prefix ([`SubscriberKind`]): personal
    /// data, so `Debug` leaves it out.
    pub address: IpAddr,
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inside({}, redacted)", self.realm.0)
    }
}

/// What counts as one subscriber: it holds the blocks and has the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SubscriberKind {
    /// An IPv4 address.
    #[default]
    Address,
    /// An IPv6 prefix of this length: a host has as many addresses in it as it likes (RFC 8981).
    Prefix(u8),
    /// The IPv6 prefix of this length in which the ends of its softwires lie (RFC 7785 §3).
    Softwire(u8),
}

impl SubscriberKind {
    /// The first address of the prefix that `address` is in, for this kind; `None` where the
    /// family is another's.
    pub fn subscriber(self, address: IpAddr) -> Option<IpAddr> {
        self.internal(address).map(Internal::network)
    }

    /// What the subscriber is known by to whom `address` belongs, for this kind; `None` where the
    /// family is another's.
    pub fn internal(self, address: IpAddr) -> Option<Internal> {
        let prefix = |address, length| Ipv6Prefix::around(address, length).ok();
        match (self, address) {
            (Self::Address, IpAddr::V4(address)) => Some(Internal::Address(address)),
            (Self::Prefix(length), IpAddr::V6(address)) => {
                prefix(address, length).map(Internal::Prefix)
            }
            (Self::Softwire(length), IpAddr::V6(address)) => {
                prefix(address, length).map(Internal::Softwire)
            }
            _ => None,
        }
    }
}

/// Numbers a subscriber for as long as it holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SubscriberIndex(pub(crate) u32);

/// What one subscriber holds.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) inside: Inside,
    /// In the order in which they were handed out.
    pub(crate) blocks: Vec<BlockIndex>,
    /// Ports in use, by transport.
    pub(crate) in_use: [u32; 3],
    /// Limits that were reached and have been said.
    said: u8,
    /// New mappings left in this second's budget (RFC 6888 REQ-4C).
    budget: u32,
    budget_at: Timestamp,
}

impl Holder {
    fn new(inside: Inside) -> Self {
        Self {
            inside,
            blocks: Vec::new(),
            in_use: [0; 3],
            said: 0,
            budget: 0,
            budget_at: Timestamp::MIN,
        }
    }

    /// Whether to say that `limit` was reached: once, until [`Holder::eased`].
    pub(crate) fn say(&mut self, limit: Limit) -> bool {
        let fresh = self.said & bit(limit) == 0;
        self.said |= bit(limit);
        fresh
    }

    pub(crate) fn eased(&mut self, limit: Limit) {
        self.said &= !bit(limit);
    }

    /// Takes one mapping from a budget of `rate` a second, which fills up again evenly.
    pub(crate) fn spend(&mut self, now: Timestamp, rate: u32) -> bool {
        let passed = now.since(self.budget_at).as_micros();
        let earned = passed.saturating_mul(u128::from(rate)) / 1_000_000;
        if earned > 0 {
            let full = u128::from(self.budget) + earned >= u128::from(rate);
            if full {
                (self.budget, self.budget_at) = (rate, now);
                self.eased(Limit::Rate);
            } else {
                // Not full: both terms are below `rate`.
                self.budget += u32::try_from(earned).unwrap_or(0);
                // What is not a whole one yet is not lost.
                let spent = earned * 1_000_000 / u128::from(rate);
                let spent = Duration::from_micros(u64::try_from(spent).unwrap_or(0));
                self.budget_at = self.budget_at.after(spent);
            }
        }
        let paid = self.budget > 0;
        self.budget = self.budget.saturating_sub(1);
        paid
    }
}

fn bit(limit: Limit) -> u8 {
    match limit {
        Limit::Blocks => 1,
        Limit::Rate => 2,
        Limit::State => 4,
        Limit::Ports(transport) => 8 << transport.index(),
    }
}

/// All subscribers that hold something.
#[derive(Debug)]
pub(crate) struct Holders {
    by_inside: HashMap<Inside, u32, BuildHasherDefault<Mix>>,
    holders: Vec<Holder>,
    vacant: Vec<u32>,
}

impl Holders {
    pub(crate) fn new() -> Self {
        Self {
            by_inside: HashMap::default(),
            holders: Vec::new(),
            vacant: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_inside.len()
    }

    pub(crate) fn find_or_add(&mut self, inside: Inside) -> SubscriberIndex {
        let Self {
            by_inside,
            holders,
            vacant,
        } = self;
        SubscriberIndex(*by_inside.entry(inside).or_insert_with(|| {
            if let Some(index) = vacant.pop() {
                holders[index as usize] = Holder::new(inside);
                return index;
            }
            holders.push(Holder::new(inside));
            u32::try_from(holders.len() - 1).unwrap_or(u32::MAX)
        }))
    }

    pub(crate) fn get(&self, index: SubscriberIndex) -> &Holder {
        &self.holders[index.0 as usize]
    }

    pub(crate) fn get_mut(&mut self, index: SubscriberIndex) -> &mut Holder {
        &mut self.holders[index.0 as usize]
    }

    /// Forgets a subscriber that holds no block any more.
    pub(crate) fn forget_if_empty(&mut self, index: SubscriberIndex) {
        let holder = &self.holders[index.0 as usize];
        if holder.blocks.is_empty() && self.by_inside.remove(&holder.inside).is_some() {
            self.vacant.push(index.0);
        }
    }
}

/// Spreads a realm and an address over a table. Internal addresses are the operator's, not an
/// attacker's, so this need not resist chosen keys.
#[derive(Debug, Default)]
pub(crate) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ (mixed >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_is_the_prefix_of_its_kind() {
        let of = |kind: SubscriberKind, address: &str| {
            let subscriber = kind.subscriber(address.parse().unwrap());
            subscriber.map(|address| address.to_string())
        };
        let address = "2001:db8:1:2:3:4:5:6";
        let (prefix, softwire) = (SubscriberKind::Prefix(64), SubscriberKind::Softwire(56));
        assert_eq!(of(prefix, address).unwrap(), "2001:db8:1:2::");
        assert_eq!(of(softwire, address).unwrap(), "2001:db8:1::");
        assert_eq!(of(SubscriberKind::Softwire(128), address).unwrap(), address);
        assert_eq!(of(SubscriberKind::Address, "10.0.0.1").unwrap(), "10.0.0.1");
        assert_eq!(of(SubscriberKind::Address, address), None);
        assert_eq!(of(prefix, "10.0.0.1"), None);
    }
}
