//! From what a device tells to what a ledger keeps.
//!
//! A ledger wants of a release since when the ports were held; many devices do not say it. And of
//! what is missing, it wants to know that it is missing.
//!
//! ```text
//! begun ──────────────▶ Allocated          remembered: who, since when
//! still held ─────────▶ Held               also where its beginning was lost
//! ended ──────────────▶ Released           with the beginning that was remembered
//! restarted ──────────▶ Released           all that was remembered
//! ended, never begun ─▶ waits a little: it may have overtaken its beginning. Then it was held
//!                       since the log began, or its beginning was lost and there is a gap
//! ```

mod early;
mod places;
mod table;

use std::time::Duration;

use portledger_model::{Block, Device, Event, Record, Subscriber, Timestamp};
use thiserror::Error;

use crate::{EventTime, Holding, Kind, NatEvent, Phase, Told};
use early::Early;
use places::{Begun, Ended, Places};
use table::Place;

/// How long, by the device's clock, a release may be ahead of its allocation.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The times of many devices are whole seconds.
const RESOLUTION: Duration = Duration::from_secs(1);

/// Pairs the events of one device. It remembers what is held and what was given back, of 8,388,608
/// blocks or mappings at most.
#[derive(Debug)]
pub struct Pairing {
    device: Device,
    /// Since when nothing is known to be missing.
    listens_since: Option<Timestamp>,
    places: Places,
    early: Early,
}

/// Why an event is nothing a ledger could keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unkept {
    /// Ports came into the hands of somebody the device does not name.
    #[error("it does not say who holds the ports")]
    NoSubscriber,
    /// A ledger has no need of it: bindings of addresses, and limits without their figures.
    #[error("a ledger has no need of it")]
    NotNeeded,
}

impl Pairing {
    /// For a device of which nothing is known yet.
    pub fn new(device: Device) -> Self {
        Self {
            device,
            listens_since: None,
            places: Places::default(),
            early: Early::default(),
        }
    }

    /// Remembers what the ledger knows to be held.
    pub fn resume(&mut self, block: Block, since: Timestamp) {
        let place = (block.external, block.ports, block.transport);
        self.places.remember(place, &block.subscriber, since);
    }

    /// From this time on, everything that the device tells is taken.
    pub const fn listen(&mut self, since: Timestamp) {
        self.listens_since = Some(since);
    }

    /// An event that is about to be taken: what is known of its place is fetched into the processor's
    /// cache. Said of several events before the first of them is taken, their places are fetched
    /// together, which takes hardly longer than one.
    pub fn expect(&self, event: &NatEvent) {
        if let Told::Ports(holding) = &event.told {
            self.places.fetch(place(holding));
        }
    }

    /// Takes the device's next event and appends the records it makes.
    ///
    /// # Errors
    /// When the event is nothing a ledger could keep. What waited may be appended all the same.
    pub fn take(&mut self, event: NatEvent, out: &mut Vec<Record>) -> Result<(), Unkept> {
        let at = event.at.timestamp();
        self.settle(at.before(PATIENCE), out);
        let event = match event.told {
            Told::Ports(holding) => return self.ports(event.at, holding, out),
            Told::Started(start) => {
                if !start.continues {
                    self.end_all(at, out);
                }
                self.listens_since = Some(at);
                Event::Started(start)
            }
            Told::Stopped => Event::Stopped,
            Told::Heartbeat => Event::Heartbeat,
            Told::Lost { since, events } => {
                self.lost(since, at, events, out);
                return Ok(());
            }
            Told::LimitReached {
                subscriber: Some(subscriber),
                limit,
            } => Event::LimitReached { subscriber, limit },
            Told::PoolExhausted {
                blocks: Some(blocks),
                resting: Some(resting),
                ..
            } => Event::PoolExhausted { blocks, resting },
            Told::PoolThreshold {
                level,
                in_use: Some(in_use),
                blocks: Some(blocks),
                ..
            } => Event::PoolThreshold {
                level,
                in_use,
                blocks,
            },
            Told::Rule { rule, since: None } => Event::RuleBegan(rule),
            Told::Rule {
                rule,
                since: Some(since),
            } => Event::RuleHeld { rule, since },
            Told::RuleEnded(name) => Event::RuleEnded(name),
            _ => return Err(Unkept::NotNeeded),
        };
        out.push(self.record(at, event));
        Ok(())
    }

    /// Says that events were lost between two times.
    pub fn lost(
        &mut self,
        since: Timestamp,
        until: Timestamp,
        events: Option<u64>,
        out: &mut Vec<Record>,
    ) {
        self.listens_since = self.listens_since.max(Some(until));
        out.push(self.record(until, Event::Lost { since, events }));
    }

    /// What still waits waits no longer: there is nothing more to come.
    pub fn finish(&mut self, out: &mut Vec<Record>) {
        self.settle(Timestamp::MAX, out);
    }

    fn ports(
        &mut self,
        at: EventTime,
        holding: Holding,
        out: &mut Vec<Record>,
    ) -> Result<(), Unkept> {
        match holding.phase {
            Phase::Begun => self.begun(at.timestamp(), holding, out),
            Phase::Held => self.held(at.timestamp(), holding, out),
            Phase::Ended => {
                if !self.ended(at, &holding, out) {
                    self.early.push(at, holding);
                    if self.early.is_full()
                        && let Some((at, holding)) = self.early.pop()
                    {
                        self.settle_one(at.timestamp(), holding, out);
                    }
                }
                Ok(())
            }
        }
    }

    fn begun(
        &mut self,
        at: Timestamp,
        holding: Holding,
        out: &mut Vec<Record>,
    ) -> Result<(), Unkept> {
        let place = place(&holding);
        let is_session = matches!(holding.kind, Kind::Session { .. });
        let block = block(holding).ok_or(Unkept::NoSubscriber)?;
        match self.places.begin(place, &block.subscriber, at, is_session) {
            Begun::New => {}
            // Another session of the port, or the same told twice.
            Begun::Known => return Ok(()),
        }
        // Its release may have overtaken it.
        let early = self.early.take(place, at, &block.subscriber);
        out.push(self.record(at, Event::Allocated(block)));
        if let Some((ended, early)) = early {
            self.ended(ended, &early, out);
        }
        Ok(())
    }

    fn held(
        &mut self,
        at: Timestamp,
        holding: Holding,
        out: &mut Vec<Record>,
    ) -> Result<(), Unkept> {
        let (place, told) = (place(&holding), holding.since);
        let block = block(holding).ok_or(Unkept::NoSubscriber)?;
        let known = self.places.held_since(place, &block.subscriber);
        let since = match told.or(known) {
            Some(since) => since,
            None => self.unseen_beginning(place, at, out),
        };
        if known != Some(since) {
            self.places.remember(place, &block.subscriber, since);
        }
        out.push(self.record(at, Event::Held { block, since }));
        Ok(())
    }

    /// Whether it is known, or told, since when it was held.
    fn ended(&mut self, ended: EventTime, holding: &Holding, out: &mut Vec<Record>) -> bool {
        let (at, place) = (ended.timestamp(), place(holding));
        let known = self.places.end(place, holding.subscriber.as_ref(), at);
        let (subscriber, since) = match (known, &holding.subscriber, holding.since) {
            (Ended::InUse, ..) => return true,
            (Ended::Over(subscriber, since), _, told) => (subscriber, told.unwrap_or(since)),
            (Ended::Unknown, Some(subscriber), Some(since)) => {
                self.places.has_ended(place, at);
                (subscriber.clone(), since)
            }
            (Ended::Unknown, ..) => return false,
        };
        let at = if holding.kind == Kind::Block && at <= since {
            self.unclear_end(place, since, ended, out)
        } else {
            at
        };
        out.push(self.released(at, place, subscriber, since));
        true
    }

    /// By which time a block had been given back that was handed out at `since` and, by its release,
    /// not held for a moment after that. It was, and nobody says how long: until that time nothing
    /// is claimed.
    fn unclear_end(
        &mut self,
        place: Place,
        since: Timestamp,
        ended: EventTime,
        out: &mut Vec<Record>,
    ) -> Timestamp {
        let by = ended.latest().max(since.after(RESOLUTION));
        self.places.has_ended(place, by);
        self.lost(since.min(ended.timestamp()), by, None, out);
        by
    }

    /// A device that begins anew, or ends, holds nothing: whatever it did not say was given back is.
    pub fn end_all(&mut self, at: Timestamp, out: &mut Vec<Record>) {
        self.settle(Timestamp::MAX, out);
        for (place, subscriber, since) in self.places.drain() {
            out.push(self.released(at, place, subscriber, since));
        }
    }

    /// What ended before `limit` and whose beginning has not come by now.
    fn settle(&mut self, limit: Timestamp, out: &mut Vec<Record>) {
        while let Some((at, holding)) = self.early.pop_before(limit) {
            self.settle_one(at.timestamp(), holding, out);
        }
    }

    fn settle_one(&mut self, at: Timestamp, holding: Holding, out: &mut Vec<Record>) {
        let place = place(&holding);
        let since = self.unseen_beginning(place, at, out);
        self.places.has_ended(place, at);
        match holding.subscriber {
            Some(subscriber) if since < at => {
                out.push(self.released(at, place, subscriber, since));
            }
            Some(_) => {}
            None => self.lost(since, at, Some(1), out),
        }
    }

    /// Since when ports were held whose beginning nobody told. Had it been after the log began and
    /// nobody else had held them, it would have been told: so they were held all the time. Else
    /// it was lost, and nothing is claimed of the time before.
    fn unseen_beginning(
        &mut self,
        place: Place,
        at: Timestamp,
        out: &mut Vec<Record>,
    ) -> Timestamp {
        let ended = self.places.ended(place);
        match (ended, self.listens_since) {
            (Some(ended), _) => {
                self.lost(ended, at, Some(1), out);
                at
            }
            (None, Some(since)) => since.min(at),
            (None, None) => at,
        }
    }

    fn released(
        &self,
        at: Timestamp,
        (external, ports, transport): Place,
        subscriber: Subscriber,
        since: Timestamp,
    ) -> Record {
        let block = Block {
            subscriber,
            external,
            ports,
            transport,
        };
        self.record(at, Event::Released { block, since })
    }

    fn record(&self, at: Timestamp, event: Event) -> Record {
        Record {
            at,
            device: self.device.clone(),
            event,
        }
    }
}

const fn place(holding: &Holding) -> Place {
    (holding.external, holding.ports, holding.transport)
}

fn block(holding: Holding) -> Option<Block> {
    Some(Block {
        subscriber: holding.subscriber?,
        external: holding.external,
        ports: holding.ports,
        transport: holding.transport,
    })
}

#[cfg(test)]
mod tests;
