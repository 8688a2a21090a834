//! The records that are in the log and in no segment yet.

use std::{collections::HashMap, net::Ipv4Addr};

use portledger_model::{
    Block, Device, Event, External, PortRange, Record, RecordNumber, Subscriber, Timestamp,
};

use crate::fragment::Fragment;

/// What is told of an allocation, with the external address it is on.
pub(crate) type Known = Fragment<Subscriber, Device>;

/// Records by number, found by address.
#[derive(Default)]
pub(crate) struct Recent {
    records: Vec<(RecordNumber, Record)>,
    by_address: HashMap<Ipv4Addr, Vec<u32>>,
    by_subscriber: HashMap<Subscriber, Vec<u32>>,
}

impl Recent {
    pub(crate) fn push(&mut self, number: RecordNumber, record: Record) {
        if let Some((block, ..)) = told(&record) {
            // More records than 32 bits count are never held in memory.
            let place = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
            self.by_address
                .entry(block.external)
                .or_default()
                .push(place);
            match self.by_subscriber.get_mut(&block.subscriber) {
                Some(places) => places.push(place),
                None => drop(
                    self.by_subscriber
                        .insert(block.subscriber.clone(), vec![place]),
                ),
            }
        }
        self.records.push((number, record));
    }

    /// What it knows of the endpoint's blocks that have some of the ports `within`, at any time.
    pub(crate) fn of_endpoint(
        &self,
        external: External,
        within: PortRange,
        known: &mut Vec<Known>,
    ) {
        let places = self.by_address.get(&external.address);
        for (number, record) in self.at(places) {
            if let Some((block, from, to)) = told(record)
                && block.covers(external.port, external.transport)
                && block.ports.overlaps(within)
            {
                known.push(fragment(block, from, to, &record.device, *number));
            }
        }
    }

    /// The endpoints of which a subscriber held some, at any time.
    pub(crate) fn of_subscriber<'a>(
        &'a self,
        subscriber: &Subscriber,
    ) -> impl Iterator<Item = &'a Block> {
        let places = self.by_subscriber.get(subscriber);
        self.at(places)
            .filter_map(|(_, record)| Some(told(record)?.0))
    }

    /// All of its records, in order.
    pub(crate) fn records(&self) -> &[(RecordNumber, Record)] {
        &self.records
    }

    fn at<'a>(
        &'a self,
        places: Option<&'a Vec<u32>>,
    ) -> impl Iterator<Item = &'a (RecordNumber, Record)> {
        let places = places.into_iter().flatten();
        places.filter_map(|place| self.records.get(*place as usize))
    }
}

/// What a record tells of an allocation: the block, its start, and its end where it ended.
pub(crate) fn told(record: &Record) -> Option<(&Block, Timestamp, Option<Timestamp>)> {
    match &record.event {
        Event::Allocated(block) => Some((block, record.at, None)),
        Event::Held { block, since } => Some((block, *since, None)),
        // A clock may have been set back meanwhile.
        Event::Released { block, since } => Some((block, *since, Some(record.at.max(*since)))),
        _ => None,
    }
}

pub(crate) fn fragment(
    block: &Block,
    from: Timestamp,
    to: Option<Timestamp>,
    device: &Device,
    record: RecordNumber,
) -> Known {
    Fragment {
        ports: block.ports,
        transport: block.transport,
        from,
        to,
        concluded: false,
        subscriber: block.subscriber.clone(),
        device: device.clone(),
        record,
    }
}
