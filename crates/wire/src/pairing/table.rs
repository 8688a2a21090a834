//! The table of a device's places: entries of 48 bytes that are looked for and never taken out.
//!
//! ```text
//! hash of a place ── first byte ──▶ one of 256 parts ── last bits ──▶ a slot, or one behind it
//! ```
//! Parts grow one by one, so that no growth keeps a datagram waiting for long. Where an entry stands
//! is known from the hash alone: several can be fetched from memory at once ([`Table::fetch`]).

use std::{
    hash::BuildHasher as _,
    hint::black_box,
    net::{Ipv4Addr, Ipv6Addr},
};

use foldhash::fast::RandomState;
use portledger_model::{Internal, Ipv6Prefix, PortRange, Timestamp, Transport};

/// Where ports are.
pub(super) type Place = (Ipv4Addr, PortRange, Option<Transport>);

/// Earlier than any device has given anything back.
pub(super) const NEVER: Timestamp = Timestamp::MIN;

/// What is known of a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// Address and ports.
    place: u64,
    /// Since when it is held.
    pub(super) since: Timestamp,
    /// When it was given back last; [`NEVER`] where that was not told.
    pub(super) ended: Timestamp,
    /// Sessions that use the port; 0 where nobody holds it.
    pub(super) sessions: u32,
    /// Who holds it.
    pub(super) who: Who,
    /// `None` where the slot is free.
    transport: Option<Option<Transport>>,
}

/// A subscriber, in few bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Who {
    /// The realm's number, and [`SOFTWIRE`] of a softwire.
    realm: [u8; 2],
    /// Of a prefix; an IPv4 address is mapped into one.
    network: [u8; 16],
    /// How many bits the prefix has; [`V4`] of an IPv4 address.
    length: u8,
}

/// More bits than a prefix has.
const V4: u8 = u8::MAX;
const SOFTWIRE: u16 = 1 << 15;

impl Who {
    const NOBODY: Self = Self {
        realm: [0; 2],
        network: [0; 16],
        length: 0,
    };

    /// Whoever is known as `internal` in the realm of that number; `None` where the number is too
    /// large.
    pub(super) fn new(realm: u16, internal: Internal) -> Option<Self> {
        let realm = Some(realm).filter(|realm| *realm < SOFTWIRE)?;
        let kind = if internal.is_softwire() { SOFTWIRE } else { 0 };
        let (network, length) = match internal {
            Internal::Address(address) => (address.to_ipv6_mapped(), V4),
            Internal::Prefix(prefix) | Internal::Softwire(prefix) => {
                (prefix.network(), prefix.length())
            }
        };
        Some(Self {
            realm: (realm | kind).to_ne_bytes(),
            network: network.octets(),
            length,
        })
    }

    /// The realm's number.
    pub(super) fn realm(self) -> u16 {
        u16::from_ne_bytes(self.realm) & !SOFTWIRE
    }

    /// What is known of the subscriber inside the realm.
    pub(super) fn internal(self) -> Internal {
        let network = Ipv6Addr::from(self.network);
        // Each was made of what it is turned to again, so that neither of the two is missing.
        let prefix = || Ipv6Prefix::around(network, self.length).unwrap_or_else(|_| network.into());
        if self.length == V4 {
            Internal::Address(network.to_ipv4_mapped().unwrap_or(Ipv4Addr::UNSPECIFIED))
        } else if u16::from_ne_bytes(self.realm) & SOFTWIRE != 0 {
            Internal::Softwire(prefix())
        } else {
            Internal::Prefix(prefix())
        }
    }
}

impl Slot {
    const FREE: Self = Self {
        place: 0,
        since: NEVER,
        ended: NEVER,
        sessions: 0,
        who: Who::NOBODY,
        transport: None,
    };

    fn is_of(&self, place: u64, transport: Option<Transport>) -> bool {
        self.place == place && self.transport == Some(transport)
    }

    /// Which place it is of; `None` where it is free.
    pub(super) fn place(&self) -> Option<Place> {
        let transport = self.transport?;
        let external = Ipv4Addr::from_bits((self.place >> 32) as u32);
        let (first, last) = ((self.place >> 16) as u16, self.place as u16);
        Some((external, PortRange::new(first, last).ok()?, transport))
    }
}

fn number((external, ports, _): Place) -> u64 {
    let ports = u64::from(ports.first()) << 16 | u64::from(ports.last());
    u64::from(external.to_bits()) << 32 | ports
}

const PARTS: usize = 256;
/// Slots of a part that has its first entry.
const FEWEST: usize = 8;

/// The table.
#[derive(Debug, Default)]
pub(super) struct Table {
    parts: Vec<Part>,
    entries: usize,
    hasher: RandomState,
}

/// As many slots as a power of two says, or none.
#[derive(Debug, Clone, Default)]
struct Part {
    slots: Vec<Slot>,
    entries: usize,
}

impl Table {
    #[cfg(test)]
    const fn len(&self) -> usize {
        self.entries
    }

    /// Fetches the slot of a place into the processor's cache.
    #[inline]
    pub(super) fn fetch(&self, place: Place) {
        let (_, hash) = self.hash(place);
        if let Some(part) = self.parts.get(part_of(hash))
            && let Some(slot) = part.slots.get(part.first(hash))
        {
            // Both ends: it may lie on two lines.
            black_box((slot.place, slot.transport));
        }
    }

    /// What is known of a place.
    #[inline]
    pub(super) fn get(&mut self, place: Place) -> Option<&mut Slot> {
        let (number, hash) = self.hash(place);
        let part = self.parts.get_mut(part_of(hash))?;
        let found = part.find(number, hash, place.2)?;
        let slot = part.slots.get_mut(found)?;
        slot.transport.is_some().then_some(slot)
    }

    /// What is known of a place, nothing at first; `None` where nothing is and there is no room.
    #[inline]
    pub(super) fn get_or_insert(&mut self, place: Place, room: usize) -> Option<&mut Slot> {
        let (number, hash) = self.hash(place);
        if self.parts.is_empty() {
            self.parts = vec![Part::default(); PARTS];
        }
        let part = self.parts.get_mut(part_of(hash))?;
        let found = part.find(number, hash, place.2);
        if let Some(at) = found
            && part
                .slots
                .get(at)
                .is_some_and(|slot| slot.transport.is_some())
        {
            return part.slots.get_mut(at);
        }
        if self.entries >= room {
            return None;
        }
        let free = if part.is_full() {
            part.grow(&self.hasher);
            part.find(number, hash, place.2)
        } else {
            found
        };
        let slot = part.slots.get_mut(free?)?;
        part.entries += 1;
        self.entries += 1;
        slot.place = number;
        slot.transport = Some(place.2);
        Some(slot)
    }

    /// All entries, in no order.
    pub(super) fn into_entries(self) -> impl Iterator<Item = (Place, Slot)> {
        let slots = self.parts.into_iter().flat_map(|part| part.slots);
        slots.filter_map(|slot| Some((slot.place()?, slot)))
    }

    #[inline]
    fn hash(&self, place: Place) -> (u64, u64) {
        let number = number(place);
        (number, hash(&self.hasher, number, place.2))
    }
}

impl Part {
    /// Where the search for a place begins.
    #[inline]
    fn first(&self, hash: u64) -> usize {
        hash as usize & self.slots.len().wrapping_sub(1)
    }

    /// The place's slot, or the one that it would get; `None` where there are no slots.
    #[inline]
    fn find(&self, place: u64, hash: u64, transport: Option<Transport>) -> Option<usize> {
        let mut at = self.first(hash);
        // There are free slots always.
        loop {
            let slot = self.slots.get(at)?;
            if slot.is_of(place, transport) || slot.transport.is_none() {
                return Some(at);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Whether one more would leave less than a quarter free.
    fn is_full(&self) -> bool {
        self.entries * 4 >= self.slots.len() * 3
    }

    fn grow(&mut self, hasher: &RandomState) {
        let larger = (self.slots.len() * 2).max(FEWEST);
        let old = std::mem::replace(&mut self.slots, vec![Slot::FREE; larger]);
        for slot in old {
            if let Some(transport) = slot.transport {
                let hash = hash(hasher, slot.place, transport);
                if let Some(at) = self.find(slot.place, hash, transport)
                    && let Some(free) = self.slots.get_mut(at)
                {
                    *free = slot;
                }
            }
        }
    }
}

#[inline]
fn hash(hasher: &RandomState, place: u64, transport: Option<Transport>) -> u64 {
    let transport = transport.map_or(0, |transport| transport.index() as u64 + 1);
    hasher.hash_one(place ^ transport << 14)
}

/// The hash's first byte: its last bits are a slot's.
#[inline]
const fn part_of(hash: u64) -> usize {
    (hash >> 56) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn place(number: u16) -> Place {
        let transport = [
            None,
            Some(Transport::Tcp),
            Some(Transport::Udp),
            Some(Transport::Icmp),
        ];
        let first = number / 4;
        let ports = PortRange::new(first, first.saturating_add(number % 3)).unwrap();
        (
            [203, 0, 113, 7].into(),
            ports,
            transport[usize::from(number % 4)],
        )
    }

    proptest! {
        #[test]
        fn what_is_put_is_found_and_nothing_else(numbers in prop::collection::vec(0..4_000_u16, 0..3_000)) {
            const ROOM: usize = 1_500;
            let (mut table, mut list) = (Table::default(), BTreeMap::new());
            for (turn, number) in (0..).zip(numbers) {
                let place = place(number);
                table.fetch(place);
                let known = list.get(&place).copied();
                prop_assert_eq!(table.get(place).map(|slot| slot.sessions), known);
                let slot = table.get_or_insert(place, ROOM);
                prop_assert_eq!(slot.is_some(), known.is_some() || list.len() < ROOM);
                if let Some(slot) = slot {
                    prop_assert_eq!(slot.sessions, known.unwrap_or(0));
                    slot.sessions = turn;
                    list.insert(place, turn);
                }
                prop_assert_eq!(table.len(), list.len());
            }
            let mut all: Vec<_> = table.into_entries().map(|(place, slot)| (place, slot.sessions)).collect();
            all.sort_unstable();
            prop_assert_eq!(all, list.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_place_is_known_in_few_bytes() {
        assert_eq!(size_of::<Slot>(), 48);
    }
}
