//! The binding table of a lwAFTR (RFC 7596 §6.1).

use std::{
    collections::HashMap,
    net::{Ipv4Addr, Ipv6Addr},
};

use foldhash::fast::FixedState;
use portledger_model::{PortParameters, PortRange, PortSet, SoftwireBinding};

use super::RelayConfigError;
use crate::DropReason;

/// A table whose keys are the operator's, so that nobody can choose them to collide.
type Table<K, V> = HashMap<K, V, FixedState>;

/// Bindings, found by either end.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    list: Vec<Entry>,
    by_address: Table<u32, Shared>,
    /// Where all who share an address do so by PSIDs of one length.
    by_psid: Table<(u32, u16), u32>,
    /// The first of each B4, which leads to its others.
    by_b4: Table<u128, u32>,
}

#[derive(Debug)]
struct Entry {
    b4: Ipv6Addr,
    address: Ipv4Addr,
    ports: PortSet,
    /// Another one of the same B4.
    next: Option<u32>,
}

/// How an address is shared.
#[derive(Debug)]
enum Shared {
    /// It is one customer's.
    Whole(u32),
    ByPsid(PortParameters),
    /// In any other way: these are asked in turn.
    Otherwise(Vec<u32>),
}

impl Bindings {
    pub(super) fn new(bindings: Vec<SoftwireBinding>) -> Result<Self, RelayConfigError> {
        let mut table = Self::default();
        let mut of_address: Table<u32, Vec<u32>> = Table::default();
        for (binding, number) in bindings.into_iter().zip(0..) {
            let bits = binding.ipv4.to_bits();
            of_address.entry(bits).or_default().push(number);
            let next = table.by_b4.insert(binding.b4.to_bits(), number);
            table.list.push(Entry {
                b4: binding.b4,
                address: binding.ipv4,
                ports: binding.ports,
                next,
            });
        }
        for (address, numbers) in of_address {
            let shared = table.shared(address, numbers)?;
            table.by_address.insert(address, shared);
        }
        Ok(table)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    #[inline]
    pub(super) fn find(&self, address: Ipv4Addr, port: Option<u16>) -> Option<Ipv6Addr> {
        let bits = address.to_bits();
        let entry = match self.by_address.get(&bits)? {
            Shared::Whole(number) => self.list.get(*number as usize),
            Shared::ByPsid(parameters) => {
                let psid = parameters.psid_of(port?)?;
                let number = self.by_psid.get(&(bits, psid))?;
                self.list.get(*number as usize)
            }
            Shared::Otherwise(numbers) => {
                let port = port?;
                numbers
                    .iter()
                    .filter_map(|&number| self.list.get(number as usize))
                    .find(|entry| entry.ports.contains(port))
            }
        };
        entry.map(|entry| entry.b4)
    }

    pub(super) fn cover(&self, address: Ipv4Addr) -> bool {
        self.by_address.contains_key(&address.to_bits())
    }

    /// The address of the one binding of a B4.
    pub(super) fn address_of(&self, end: Ipv6Addr) -> Option<Ipv4Addr> {
        self.of(end).next().map(|entry| entry.address)
    }

    /// What is wrong with a packet from a B4 that says it is from `source`, if its port is not
    /// wrong only; `None` where the B4 is unknown and the address is nobody's here.
    pub(super) fn offence(&self, end: Ipv6Addr, source: Ipv4Addr) -> Option<DropReason> {
        if self.list.is_empty() {
            return None;
        }
        let mut of_b4 = self.of(end).peekable();
        if of_b4.peek().is_none() {
            return self.cover(source).then_some(DropReason::UnknownSoftwire);
        }
        if of_b4.any(|entry| entry.address == source) {
            Some(DropReason::SoftwirePort)
        } else {
            Some(DropReason::SoftwireSource)
        }
    }

    fn of(&self, end: Ipv6Addr) -> impl Iterator<Item = &Entry> {
        let entry = |number: Option<u32>| self.list.get(number? as usize);
        let first = entry(self.by_b4.get(&end.to_bits()).copied());
        std::iter::successors(first, move |before| entry(before.next))
    }

    /// How the holders of an address share it; no port may have two.
    fn shared(&mut self, address: u32, numbers: Vec<u32>) -> Result<Shared, RelayConfigError> {
        let holder = |number: &u32| self.list.get(*number as usize);
        let holders: Vec<&Entry> = numbers.iter().filter_map(holder).collect();
        if let [only] = holders[..]
            && only.ports.ranges().eq([PortRange::ALL])
        {
            return Ok(numbers
                .first()
                .map_or(Shared::Otherwise(Vec::new()), |&only| Shared::Whole(only)));
        }
        let parameters = |entry: &Entry| match entry.ports {
            PortSet::Psid(parameters, psid) => Some((parameters, psid)),
            _ => None,
        };
        let psids: Option<Vec<_>> = holders.iter().map(|entry| parameters(entry)).collect();
        if let Some(psids) = psids
            && let Some(&(parameters, _)) = psids.first()
            && psids.iter().all(|&(others, _)| others == parameters)
        {
            for (&number, (_, psid)) in numbers.iter().zip(psids) {
                if self.by_psid.insert((address, psid), number).is_some() {
                    let first = parameters.ranges(psid).next();
                    return Err(RelayConfigError::TwoHolders {
                        address: address.into(),
                        port: first.map_or(0, |range| range.first()),
                    });
                }
            }
            return Ok(Shared::ByPsid(parameters));
        }
        let mut ranges: Vec<PortRange> = holders
            .iter()
            .flat_map(|entry| entry.ports.ranges())
            .collect();
        ranges.sort_unstable_by_key(|range| range.first());
        match ranges
            .windows(2)
            .find(|two| two[1].first() <= two[0].last())
        {
            Some(two) => Err(RelayConfigError::TwoHolders {
                address: address.into(),
                port: two[1].first(),
            }),
            None => Ok(Shared::Otherwise(numbers)),
        }
    }
}
