//! Numbers for the hosts of the inside, where an IPv4 address does not name one.
//!
//! The tables know an inside host by 32 bits. In NAT44 they are its address. Behind a softwire
//! two hosts may have one address, and an IPv6 address has no room in them: there a host gets a
//! number, for as long as anything names it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portledger_ports::{Inside, RealmIndex, StaticMapping, SubscriberKind};

use crate::index::Index;

/// A host of the inside, as its packets tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) realm: RealmIndex,
    /// Its IPv6 address, or the end of the softwire it is behind.
    pub(crate) address: Ipv6Addr,
    /// Its IPv4 address behind a softwire (RFC 6333 §6.6), or 0.
    pub(crate) behind: u32,
}

/// What the tables' 32 bits of an inside host are.
#[derive(Debug)]
pub(crate) enum Hosts {
    /// Its IPv4 address.
    Addresses,
    /// Its number.
    Numbers(Box<Numbers>),
}

impl Hosts {
    /// The subscriber of a host.
    pub(crate) fn subscriber(&self, realm: RealmIndex, host: u32) -> Inside {
        let address = match self {
            Self::Addresses => IpAddr::from(host.to_be_bytes()),
            Self::Numbers(numbers) => numbers.subscriber(host),
        };
        Inside { realm, address }
    }

    /// The host of a static mapping.
    pub(crate) fn of_static(&mut self, mapping: &StaticMapping) -> Option<u32> {
        match (self, mapping.internal) {
            (Self::Addresses, IpAddr::V4(address)) => Some(address.to_bits()),
            (Self::Numbers(numbers), IpAddr::V6(address)) => numbers.find_or_add(Host {
                realm: mapping.realm,
                address,
                behind: mapping.behind.map_or(0, Ipv4Addr::to_bits),
            }),
            _ => None,
        }
    }

    /// Notes that one thing more names a host.
    pub(crate) fn hold(&mut self, host: u32) {
        if let Self::Numbers(numbers) = self {
            numbers.hold(host);
        }
    }

    /// Bytes in use and set aside.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Addresses => 0,
            Self::Numbers(numbers) => numbers.bytes(),
        }
    }

    /// Notes that one thing less does.
    pub(crate) fn release(&mut self, host: u32) {
        if let Self::Numbers(numbers) = self {
            numbers.release(host);
        }
    }
}

/// Hosts by number. A number is given to another host once nothing names it: no mapping, no
/// datagram whose fragments are followed, no packet under way.
#[derive(Debug)]
pub struct Numbers {
    kind: SubscriberKind,
    entries: Vec<Entry>,
    vacant: Vec<u32>,
    by_host: Index,
    key: [u64; 3],
    most: u32,
}

/// Half a cache line.
#[derive(Debug, Clone, Copy)]
struct Entry {
    host: Host,
    references: u32,
    hash: u32,
}

impl Numbers {
    /// For at most `most` hosts at once.
    pub(crate) fn new(kind: SubscriberKind, most: u32, key: [u64; 5]) -> Self {
        Self {
            kind,
            entries: Vec::new(),
            vacant: Vec::new(),
            by_host: Index::new(most, [key[0], key[1]]),
            key: [key[2], key[3], key[4]],
            most,
        }
    }

    /// The hash of a host: keyed, as a host chooses its own address in its prefix.
    pub(crate) fn hash(&self, host: &Host) -> u32 {
        let bits = host.address.to_bits();
        #[expect(clippy::cast_possible_truncation, reason = "two halves")]
        let (high, low) = ((bits >> 64) as u64, bits as u64);
        let rest = u64::from(host.behind) << 16 | u64::from(host.realm.0);
        let mixed = multiply(high ^ self.key[0], low ^ self.key[1]);
        self.by_host.hash(multiply(mixed ^ rest, self.key[2] | 1))
    }

    /// Reads what [`Numbers::find`] will read first. A candidate only.
    pub(crate) fn approach(&self, hash: u32) -> Option<u32> {
        self.by_host.candidate(hash)
    }

    /// Reads a host so that it is near when it is needed.
    pub(crate) fn glance(&self, number: u32) -> u32 {
        self.entries
            .get(number as usize)
            .map_or(0, |entry| entry.hash)
    }

    /// The number of a host, where it has one.
    pub(crate) fn find(&self, hash: u32, host: &Host) -> Option<u32> {
        self.by_host.find(hash, |number| {
            self.entries
                .get(number as usize)
                .is_some_and(|entry| entry.host == *host)
        })
    }

    /// The number of a host that has none yet: it must be held, or it is given to another.
    pub(crate) fn add(&mut self, hash: u32, host: Host) -> Option<u32> {
        let entry = Entry {
            host,
            references: 0,
            hash,
        };
        let number = if let Some(number) = self.vacant.pop() {
            self.entries[number as usize] = entry;
            number
        } else {
            let number = u32::try_from(self.entries.len()).ok()?;
            if number >= self.most {
                return None;
            }
            self.entries.push(entry);
            number
        };
        self.by_host.insert(hash, number);
        Some(number)
    }

    pub(crate) fn find_or_add(&mut self, host: Host) -> Option<u32> {
        let hash = self.hash(&host);
        self.find(hash, &host).or_else(|| self.add(hash, host))
    }

    /// The host of a number.
    pub(crate) fn get(&self, number: u32) -> Option<Host> {
        self.entries.get(number as usize).map(|entry| entry.host)
    }

    pub(crate) fn hold(&mut self, number: u32) {
        if let Some(entry) = self.entries.get_mut(number as usize) {
            entry.references += 1;
        }
    }

    pub(crate) fn release(&mut self, number: u32) {
        let Some(entry) = self.entries.get_mut(number as usize) else {
            return;
        };
        debug_assert!(entry.references > 0, "released once too often");
        entry.references = entry.references.saturating_sub(1);
        if entry.references == 0 {
            self.by_host.remove(entry.hash, number);
            self.vacant.push(number);
        }
    }

    /// Hosts that have a number.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.vacant.len()
    }

    /// Bytes in use and set aside.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + self.vacant.capacity() * size_of::<u32>()
            + self.by_host.bytes()
    }

    fn subscriber(&self, number: u32) -> IpAddr {
        let address = self
            .get(number)
            .map_or(Ipv6Addr::UNSPECIFIED, |host| host.address);
        self.kind
            .subscriber(address.into())
            .unwrap_or(address.into())
    }
}

/// Both halves of a product, folded: no bit of either factor is lost.
#[expect(clippy::cast_possible_truncation, reason = "two halves")]
const fn multiply(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn host(number: u8) -> Host {
        // Overlapping addresses behind two softwires, and one softwire in two realms.
        Host {
            realm: RealmIndex(u16::from(number & 1)),
            address: Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(number >> 1 & 3)),
            behind: u32::from(number >> 3),
        }
    }

    #[test]
    fn two_hosts_are_a_cache_line() {
        assert_eq!(size_of::<Entry>(), 32);
    }

    proptest! {
        /// Whoever is held keeps its number, nobody else gets it meanwhile, and it is found.
        #[test]
        fn a_number_has_one_host_while_it_is_held(steps in prop::collection::vec((any::<bool>(), 0_u8..64), 1..400)) {
            let mut numbers = Numbers::new(SubscriberKind::Prefix(64), 40, [1, 2, 3, 4, 5]);
            let mut held: HashMap<u8, (u32, u32)> = HashMap::new();
            for (take, which) in steps {
                let host = host(which);
                let hash = numbers.hash(&host);
                if take {
                    let found = numbers.find(hash, &host);
                    prop_assert_eq!(found, held.get(&which).map(|&(number, _)| number));
                    let Some(number) = found.or_else(|| numbers.add(hash, host)) else {
                        prop_assert_eq!(held.len(), 40);
                        continue;
                    };
                    numbers.hold(number);
                    let (_, count) = held.entry(which).or_insert((number, 0));
                    *count += 1;
                } else if let Some((number, count)) = held.get_mut(&which) {
                    numbers.release(*number);
                    *count -= 1;
                    if *count == 0 {
                        held.remove(&which);
                    }
                }
                prop_assert_eq!(numbers.len(), held.len());
                for (&which, &(number, _)) in &held {
                    prop_assert_eq!(numbers.get(number), Some(self::host(which)));
                }
            }
        }
    }
}
