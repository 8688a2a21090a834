//! The records that are in the log and in no segment yet.

use std::{collections::HashMap, net::Ipv4Addr};

use portledger_model::{Block, Event, External, Record, RecordNumber, Subscriber, Timestamp};

use crate::{
    fragment::Beginning,
    ledger::told::{Known, Told},
};

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

    /// What it knows of the endpoint, at any time.
    pub(crate) fn of_endpoint(&self, external: External) -> impl Iterator<Item = Told> {
        let records = self.at(self.by_address.get(&external.address));
        let covering = records.filter(move |(_, record)| {
            let block = told(record).map(|(block, ..)| block);
            block.is_some_and(|block| block.covers(external.port, external.transport))
        });
        covering.filter_map(|(number, record)| fragment(*number, record))
    }

    /// What it knows of those whom one asks for as `asked`, at any time.
    pub(crate) fn of_subscriber(&self, asked: &Subscriber) -> impl Iterator<Item = Told> {
        let mut places: Vec<u32> = if asked.internal().prefix().is_none() {
            self.by_subscriber.get(asked).cloned().unwrap_or_default()
        } else {
            let meeting = self
                .by_subscriber
                .iter()
                .filter(|(one, _)| one.meets(asked));
            meeting.flat_map(|(_, places)| places).copied().collect()
        };
        // In the order in which they were told, whatever the map's is.
        places.sort_unstable();
        places.into_iter().filter_map(|place| {
            let (number, record) = self.records.get(place as usize)?;
            fragment(*number, record)
        })
    }

    /// What began on an address.
    pub(crate) fn beginnings(&self, external: Ipv4Addr) -> impl Iterator<Item = Beginning> {
        let records = self.at(self.by_address.get(&external));
        let told = records.filter_map(|(_, record)| told(record));
        told.map(|(block, from, _)| Beginning {
            from,
            ports: block.ports,
            transport: block.transport,
        })
    }

    /// All that it knows of allocations.
    pub(crate) fn all(&self) -> impl Iterator<Item = Told> {
        let records = self.records.iter();
        records.filter_map(|(number, record)| fragment(*number, record))
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

fn fragment(number: RecordNumber, record: &Record) -> Option<Told> {
    let (block, from, to) = told(record)?;
    let known = Known {
        ports: block.ports,
        transport: block.transport,
        from,
        to,
        concluded: false,
        subscriber: block.subscriber.clone(),
        device: record.device.clone(),
        record: number,
    };
    Some(Told::new(block.external, known))
}
