//! The index: what the records add up to, held in memory.
//!
//! ```text
//! entries    one an allocation, 44 bytes; never moved
//! addresses  external address -> ports -> entries by time
//! holders    subscriber -> its last entry -> the one before ...
//! timelines  device -> starts, stops and the last record: what is complete and what is not
//! ```
//!
//! What an allocation is does not depend on the order in which its records arrive: it is a block
//! and the time it was handed out. It ends when its release says so; without one, when the next
//! allocation of overlapping ports begins, since then its release was lost or is still to come.

mod address;
mod entry;
mod intern;
#[cfg(test)]
mod tests;
mod timeline;

use std::net::Ipv4Addr;

use hashbrown::HashMap;
use portledger_model::{
    Allocation, Block, Device, Event, External, Nearest, PortRange, Record, RecordNumber, Span,
    Subscriber, Timestamp,
};

pub(crate) use self::timeline::Timeline;
use self::{
    address::Address,
    entry::{Entries, Entry},
    intern::{Devices, Holders},
};
use crate::error::TooLarge;

/// What the records add up to.
#[derive(Default)]
pub(crate) struct Index {
    entries: Entries,
    addresses: HashMap<Ipv4Addr, Address>,
    holders: Holders,
    devices: Devices,
    timelines: Vec<Timeline>,
    times: Option<(Timestamp, Timestamp)>,
}

/// How an index came to hear of an allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    Handed,
    Held,
    Released(Timestamp),
}

impl Index {
    /// Takes in the next record.
    pub(crate) fn apply(&mut self, number: RecordNumber, record: &Record) -> Result<(), TooLarge> {
        self.note(record)?;
        match block_of(&record.event) {
            Some(block) => {
                let holder = self.holders.intern(&block.subscriber)?;
                self.hear(number, record, holder)
            }
            None => Ok(()),
        }
    }

    /// Takes in the next records, those of one address together: what is known of an address is
    /// fetched from memory once, and what addresses hold does not depend on each other.
    pub(crate) fn apply_all(&mut self, records: &[(RecordNumber, Record)]) -> Result<(), TooLarge> {
        let mut order = Vec::with_capacity(records.len());
        for (place, (_, record)) in (0_u32..).zip(records) {
            self.note(record)?;
            if let Some(block) = block_of(&record.event) {
                // One after the other without other work between, the look-ups overlap.
                let holder = self.holders.intern(&block.subscriber)?;
                order.push((block.external.to_bits(), place, holder));
            }
        }
        order.sort_unstable();
        for (_, place, holder) in order {
            let (number, record) = &records[place as usize];
            self.hear(*number, record, holder)?;
        }
        Ok(())
    }

    /// The times of the earliest and of the latest record.
    pub(crate) fn times(&self) -> Option<(Timestamp, Timestamp)> {
        self.times
    }

    /// Allocations, and how many of them are open.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.entries.len().into(), self.entries.open_len())
    }

    /// Allocations of the endpoint that overlap `span`, by start.
    pub(crate) fn holders(&self, external: External, span: Span) -> Vec<Allocation> {
        let Some(address) = self.addresses.get(&external.address) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        address.overlapping(
            &self.entries,
            ports_of(external),
            external.transport,
            span,
            |id| {
                found.push(id);
            },
        );
        self.allocations(found)
    }

    /// The allocations of the endpoint on either side of `at`.
    pub(crate) fn nearest(&self, external: External, at: Timestamp) -> Nearest {
        let Some(address) = self.addresses.get(&external.address) else {
            return Nearest::default();
        };
        let (before, after) =
            address.nearest(&self.entries, ports_of(external), external.transport, at);
        Nearest {
            before: before.map(|id| self.allocation(self.entries.get(id))),
            after: after.map(|id| self.allocation(self.entries.get(id))),
        }
    }

    /// Allocations of the subscriber that overlap `span`, by start.
    pub(crate) fn by_subscriber(&self, subscriber: &Subscriber, span: Span) -> Vec<Allocation> {
        let mut found = Vec::new();
        let mut next = self
            .holders
            .find(subscriber)
            .and_then(|holder| self.holders.newest(holder));
        while let Some(id) = next {
            let entry = self.entries.get(id);
            if entry.overlaps(span) {
                found.push(id);
            }
            next = entry.previous();
        }
        self.allocations(found)
    }

    /// The open allocations of a device, by start.
    pub(crate) fn open_of(&self, device: &Device) -> Vec<Allocation> {
        let Some(device) = self.devices.find(device) else {
            return Vec::new();
        };
        let of_device = |id: &u32| self.entries.get(*id).device() == device;
        self.allocations(self.entries.open().filter(of_device).collect())
    }

    /// The allocations of a device that ended at `since` or later, by start.
    pub(crate) fn ended_of(&self, device: &Device, since: Timestamp) -> Vec<Allocation> {
        let Some(device) = self.devices.find(device) else {
            return Vec::new();
        };
        let ended = |id: &u32| {
            let entry = self.entries.get(*id);
            entry.device() == device && !entry.is_open() && since <= entry.to()
        };
        self.allocations((0..self.entries.len()).filter(ended).collect())
    }

    /// Every device, by first record.
    pub(crate) fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter()
    }

    /// What is known of a device's log.
    pub(crate) fn timeline(&self, device: &Device) -> Option<&Timeline> {
        self.timelines.get(self.devices.find(device)? as usize)
    }

    /// The devices whose logs decide on the completeness for `external`: those that ever handed
    /// out its ports, or all of them where none did.
    pub(crate) fn concerned(&self, external: Ipv4Addr) -> Vec<(&Device, &Timeline)> {
        let seen = self.addresses.get(&external).map(Address::devices);
        let all = self.devices.iter().zip(&self.timelines);
        all.enumerate()
            .filter(|(id, _)| seen.is_none_or(|seen| seen.iter().any(|s| *s as usize == *id)))
            .map(|(_, pair)| pair)
            .collect()
    }

    /// What a record says of its device.
    fn note(&mut self, record: &Record) -> Result<(), TooLarge> {
        let device = self.devices.intern(&record.device)? as usize;
        if self.timelines.len() <= device {
            self.timelines.push(Timeline::default());
        }
        if let Some(timeline) = self.timelines.get_mut(device) {
            timeline.apply(record);
        }
        let (first, last) = self.times.unwrap_or((record.at, record.at));
        self.times = Some((first.min(record.at), last.max(record.at)));
        Ok(())
    }

    /// What a record says of an allocation. `holder` is its subscriber.
    fn hear(&mut self, number: RecordNumber, record: &Record, holder: u32) -> Result<(), TooLarge> {
        let (block, from, heard) = match &record.event {
            Event::Allocated(block) => (block, record.at, Heard::Handed),
            Event::Held { block, since } => (block, *since, Heard::Held),
            Event::Released { block, since } => (block, *since, Heard::Released(record.at)),
            _ => return Ok(()),
        };
        let device = self.devices.intern(&record.device)?;
        let address = self.addresses.entry(block.external).or_default();
        address.note_device(device);
        let mut entry = Entry::new(holder, block, from, device, number);
        if let Some(id) = address.find(&self.entries, &entry) {
            self.hear_again(id, number, heard);
            return Ok(());
        }
        // Ports are in one hand at a time: an older allocation without a release has ended by now.
        let rivals = address.rivals(&self.entries, &entry);
        for id in rivals.outlasting {
            self.entries.change(id, |older| older.end(from));
            address.ended(&self.entries, id);
        }
        match heard {
            Heard::Released(at) => entry.release(at),
            Heard::Handed => entry.handed(number),
            Heard::Held => {}
        }
        if let Some(successor) = rivals.successor {
            entry.end(successor);
        }
        entry.link(self.holders.newest(holder));
        let id = self.entries.push(entry)?;
        self.holders.set_newest(holder, id);
        address.insert(&self.entries, id);
        Ok(())
    }

    fn hear_again(&mut self, id: u32, number: RecordNumber, heard: Heard) {
        match heard {
            Heard::Held => {}
            Heard::Handed => self.entries.change(id, |entry| entry.handed(number)),
            Heard::Released(at) => {
                self.entries.change(id, |entry| entry.release(at));
                let external = self.entries.get(id).external();
                if let Some(address) = self.addresses.get_mut(&external) {
                    address.ended(&self.entries, id);
                }
            }
        }
    }

    fn allocations(&self, mut ids: Vec<u32>) -> Vec<Allocation> {
        ids.sort_by_key(|id| (self.entries.get(*id).from(), *id));
        ids.into_iter()
            .map(|id| self.allocation(self.entries.get(id)))
            .collect()
    }

    fn allocation(&self, entry: Entry) -> Allocation {
        Allocation {
            block: Block {
                subscriber: self.holders.get(entry.holder()),
                external: entry.external(),
                ports: entry.ports(),
                transport: entry.transport(),
            },
            from: entry.from(),
            to: (!entry.is_open()).then(|| entry.to()),
            device: self.devices.get(entry.device()),
            record: entry.record(),
        }
    }
}

fn block_of(event: &Event) -> Option<&Block> {
    match event {
        Event::Allocated(block) | Event::Held { block, .. } | Event::Released { block, .. } => {
            Some(block)
        }
        _ => None,
    }
}

const ALL_PORTS: PortRange = match PortRange::new(0, u16::MAX) {
    Ok(ports) => ports,
    Err(_) => PortRange::single(0),
};

fn ports_of(external: External) -> PortRange {
    match external.port {
        Some(port) => PortRange::single(port),
        None => ALL_PORTS,
    }
}
