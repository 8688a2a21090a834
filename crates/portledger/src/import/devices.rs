//! The devices of which files tell: each one's events are paired apart.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};

use portledger_ledger::Writer;
use portledger_model::{Device, Durability, Event, Record, Start, Timestamp};
use portledger_wire::{EventTime, NatEvent, Pairing, Told, Unkept};

use crate::failure::Failure;

/// The devices of which something was told.
pub(super) struct Devices {
    pasts: HashMap<Device, Past>,
    /// From then on everything is told, by the operator's word.
    complete_from: Option<Timestamp>,
    /// How far their clocks may be off.
    clock_error: Duration,
    /// Records that are yet to be written.
    pub(super) batch: Vec<Record>,
}

/// What was told of a device so far.
struct Past {
    pairing: Pairing,
    complete_from: Option<Timestamp>,
    last: Timestamp,
    /// Since when the numbers of its messages follow no order.
    disordered: Option<Timestamp>,
}

impl Devices {
    pub(super) fn new(complete_from: Option<Timestamp>, clock_error: Duration) -> Self {
        Self {
            pasts: HashMap::new(),
            complete_from,
            clock_error,
            batch: Vec::new(),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.pasts.len()
    }

    /// Takes a device's next event; says why, where it is nothing a ledger keeps.
    pub(super) fn take(
        &mut self,
        device: &Device,
        event: NatEvent,
        writer: &Writer,
    ) -> Result<Option<Unkept>, Failure> {
        let (at, clock_error) = (event.at.timestamp(), self.clock_error);
        let past = self.past(device, at, writer)?;
        past.last = past.last.max(at);
        let mut records = Vec::new();
        let start = past.complete_from.take_if(|from| *from <= at);
        let unkept = start
            .map(|from| started(from, clock_error))
            .into_iter()
            .chain([event])
            .filter_map(|event| past.pairing.take(event, &mut records).err())
            .last();
        self.batch.append(&mut records);
        Ok(unkept)
    }

    /// Events of a device were lost.
    pub(super) fn lost(
        &mut self,
        device: &Device,
        (since, until): (Timestamp, Timestamp),
        events: Option<u64>,
        writer: &Writer,
    ) -> Result<(), Failure> {
        let mut records = Vec::new();
        let past = self.past(device, since, writer)?;
        past.pairing.lost(since, until, events, &mut records);
        self.batch.append(&mut records);
        Ok(())
    }

    /// From there on nobody can say what of a device is missing.
    pub(super) fn disordered(
        &mut self,
        device: &Device,
        since: Timestamp,
        writer: &Writer,
    ) -> Result<(), Failure> {
        let past = self.past(device, since, writer)?;
        past.disordered = Some(past.disordered.unwrap_or(since).min(since));
        Ok(())
    }

    /// There is nothing more to come.
    pub(super) fn finish(&mut self) {
        for past in self.pasts.values_mut() {
            past.pairing.finish(&mut self.batch);
            if let Some(since) = past.disordered {
                past.pairing.lost(since, past.last, None, &mut self.batch);
            }
        }
    }

    /// What was told of a device. When it is told of first, what the ledger knows it to hold is
    /// remembered from there.
    fn past(
        &mut self,
        device: &Device,
        first: Timestamp,
        writer: &Writer,
    ) -> Result<&mut Past, Failure> {
        let unknown = match self.pasts.entry(device.clone()) {
            Entry::Occupied(known) => return Ok(known.into_mut()),
            Entry::Vacant(unknown) => unknown,
        };
        let mut pairing = Pairing::new(device.clone());
        let resume = writer.ledger()?.resume(device, first)?;
        let goes_on = resume.filter(|resume| resume.last <= first);
        let mut complete_from = self.complete_from;
        if complete_from.is_none() {
            self.batch.push(Record {
                at: first,
                device: device.clone(),
                event: Event::Joined {
                    clock_error: self.clock_error,
                },
            });
        }
        if complete_from.is_none() || goes_on.is_some() {
            pairing.listen(first);
        }
        if let Some(resume) = goes_on {
            // The word that was given for the files before holds for these.
            complete_from = None;
            for held in resume.open {
                pairing.resume(held.block, held.since);
            }
        }
        Ok(unknown.insert(Past {
            pairing,
            complete_from,
            last: first,
            disordered: None,
        }))
    }
}

/// The operator's word that from then on everything is told.
const fn started(at: Timestamp, clock_error: Duration) -> NatEvent {
    NatEvent {
        at: EventTime::Told(at),
        told: Told::Started(Start {
            clock_error,
            guard_time: Duration::ZERO,
            durability: Durability::LogBeforeUse,
            continues: false,
            heartbeat: None,
        }),
    }
}
