//! The binding table of a lwAFTR (RFC 7596 §6.1).

use std::{
    collections::{BTreeMap, HashMap},
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
    /// The B4s of those who share an address by PSIDs, one after the other: the way in ends here
    /// with a single read. [`NOBODY`] where a PSID is not bound.
    by_psid: Vec<u128>,
    /// The first of each B4, which leads to its others.
    by_b4: Table<u128, u32>,
}

/// The unspecified address, at which no B4 is.
const NOBODY: u128 = 0;

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
    Whole(Ipv6Addr),
    /// All by PSIDs of one length: these places in `by_psid`, from here on.
    ByPsid(PortParameters, u32),
    /// In any other way: these are asked in turn.
    Otherwise(Vec<u32>),
}

impl Bindings {
    pub(super) fn new(bindings: Vec<SoftwireBinding>) -> Result<Self, RelayConfigError> {
        let mut table = Self::default();
        let mut of_address: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
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

    pub(super) const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    #[inline]
    pub(super) fn find(&self, address: Ipv4Addr, port: Option<u16>) -> Option<Ipv6Addr> {
        match self.by_address.get(&address.to_bits())? {
            Shared::Whole(b4) => Some(*b4),
            Shared::ByPsid(parameters, first) => {
                let place = *first as usize + usize::from(parameters.psid_of(port?)?);
                let b4 = *self.by_psid.get(place)?;
                (b4 != NOBODY).then(|| Ipv6Addr::from_bits(b4))
            }
            Shared::Otherwise(numbers) => {
                let port = port?;
                numbers
                    .iter()
                    .filter_map(|&number| self.list.get(number as usize))
                    .find(|entry| entry.ports.contains(port))
                    .map(|entry| entry.b4)
            }
        }
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
            return Ok(Shared::Whole(only.b4));
        }
        if let Some(parameters) = by_psids(&holders) {
            let first = self.by_psid.len();
            let count = parameters.sharing_ratio() as usize;
            let mut places = vec![NOBODY; count];
            for entry in &holders {
                let PortSet::Psid(_, psid) = entry.ports else {
                    continue;
                };
                let Some(place) = places.get_mut(usize::from(psid)) else {
                    continue;
                };
                if *place != NOBODY {
                    let port = parameters.ranges(psid).next();
                    return Err(two_holders(address, port));
                }
                *place = entry.b4.to_bits();
            }
            self.by_psid.extend(places);
            let first = u32::try_from(first).unwrap_or(u32::MAX);
            return Ok(Shared::ByPsid(parameters, first));
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
            Some(two) => Err(two_holders(address, Some(two[1]))),
            None => Ok(Shared::Otherwise(numbers)),
        }
    }
}

/// Places that may be empty for each that is not. Few bindings of long PSIDs are asked in turn.
const SPARSE: usize = 256;

/// The lengths by which all of these have their ports, where they are the same.
fn by_psids(holders: &[&Entry]) -> Option<PortParameters> {
    let parameters = |entry: &&Entry| match entry.ports {
        PortSet::Psid(parameters, _) => Some(parameters),
        _ => None,
    };
    let first = holders.first().and_then(parameters)?;
    let is_dense = first.sharing_ratio() as usize <= SPARSE * holders.len();
    let is_same = holders.iter().all(|entry| parameters(entry) == Some(first));
    (is_dense && is_same).then_some(first)
}

fn two_holders(address: u32, range: Option<PortRange>) -> RelayConfigError {
    RelayConfigError::TwoHolders {
        address: address.into(),
        port: range.map_or(0, |range| range.first()),
    }
}
