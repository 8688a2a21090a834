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

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    net::Ipv4Addr,
    time::Duration,
};

use foldhash::fast::RandomState;
use portledger_model::{Block, Device, Event, PortRange, Record, Subscriber, Timestamp, Transport};
use smallvec::SmallVec;
use thiserror::Error;

use crate::{Holding, Kind, NatEvent, Phase, Told};

/// How long, by the device's clock, a release may be ahead of its allocation.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How many blocks or mappings of one device are remembered. One that does not fit is kept in the
/// ledger all the same; its release has to say since when it was held, or is a gap.
const ROOM: usize = 8 << 20;

/// How many releases wait for their allocation; the oldest wait no longer then.
const WAITING: usize = 65_536;

/// Pairs the events of one device. It remembers what is held and what was given back, of 8,388,608
/// blocks or mappings at most.
#[derive(Debug)]
pub struct Pairing {
    device: Device,
    /// Since when nothing is known to be missing.
    listens_since: Option<Timestamp>,
    places: HashMap<Place, Known, RandomState>,
    early: VecDeque<(Timestamp, Holding)>,
}

/// Where ports are.
type Place = (Ipv4Addr, PortRange, Option<Transport>);

/// What is known of a place.
#[derive(Debug, Default)]
struct Known {
    /// Several only where a device lets subscribers share a port among destinations.
    holders: SmallVec<[Holder; 1]>,
    /// When it was given back last.
    ended: Option<Timestamp>,
}

#[derive(Debug)]
struct Holder {
    subscriber: Subscriber,
    since: Timestamp,
    /// Sessions that use the port.
    sessions: u32,
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

impl Known {
    fn holder(&mut self, subscriber: &Subscriber) -> Option<&mut Holder> {
        let mut holders = self.holders.iter_mut();
        holders.find(|holder| holder.subscriber == *subscriber)
    }

    fn remember(&mut self, subscriber: Subscriber, since: Timestamp) {
        self.holders
            .retain(|holder| holder.subscriber != subscriber);
        self.holders.push(Holder {
            subscriber,
            since,
            sessions: 1,
        });
    }
}

impl Pairing {
    /// For a device of which nothing is known yet.
    pub fn new(device: Device) -> Self {
        Self {
            device,
            listens_since: None,
            places: HashMap::default(),
            early: VecDeque::new(),
        }
    }

    /// Remembers what the ledger knows to be held.
    pub fn resume(&mut self, block: Block, since: Timestamp) {
        let place = (block.external, block.ports, block.transport);
        self.remember(place, block.subscriber, since);
    }

    /// From this time on, everything that the device tells is taken.
    pub const fn listen(&mut self, since: Timestamp) {
        self.listens_since = Some(since);
    }

    /// Takes the device's next event and appends the records it makes.
    ///
    /// # Errors
    /// When the event is nothing a ledger could keep. What waited may be appended all the same.
    pub fn take(&mut self, event: NatEvent, out: &mut Vec<Record>) -> Result<(), Unkept> {
        let at = event.at.timestamp();
        self.settle(at.before(PATIENCE), out);
        let event = match event.told {
            Told::Ports(holding) => return self.ports(at, holding, out),
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
        at: Timestamp,
        holding: Holding,
        out: &mut Vec<Record>,
    ) -> Result<(), Unkept> {
        match holding.phase {
            Phase::Begun => self.begun(at, holding, out),
            Phase::Held => self.held(at, holding, out),
            Phase::Ended => {
                if !self.ended(at, &holding, out) {
                    self.early.push_back((at, holding));
                    if self.early.len() > WAITING {
                        self.settle_next(out);
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
        let block = block(&holding).ok_or(Unkept::NoSubscriber)?;
        let place = place(&holding);
        // A million places lie far apart in memory: each event looks its own up once.
        let room = self.places.len() < ROOM;
        let known = match self.places.entry(place) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(unknown) => room.then(|| unknown.insert(Known::default())),
        };
        if let Some(known) = known {
            if let Some(holder) = known.holder(&block.subscriber) {
                if matches!(holding.kind, Kind::Session { .. }) {
                    holder.sessions = holder.sessions.saturating_add(1);
                    return Ok(());
                }
                // The same told twice.
                if holder.since == at {
                    return Ok(());
                }
            }
            known.remember(block.subscriber.clone(), at);
        }
        out.push(self.record(at, Event::Allocated(block)));
        // Its release may have overtaken it.
        let mine = |(ended, early): &(Timestamp, Holding)| {
            at <= *ended
                && self::place(early) == place
                && (early.subscriber.is_none() || early.subscriber == holding.subscriber)
        };
        if let Some(found) = self.early.iter().position(mine)
            && let Some((ended, early)) = self.early.remove(found)
        {
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
        let block = block(&holding).ok_or(Unkept::NoSubscriber)?;
        let place = place(&holding);
        let known = self
            .holder(place, &block.subscriber)
            .map(|known| known.since);
        let since = match holding.since.or(known) {
            Some(since) => since,
            None => self.unseen_beginning(place, at, out),
        };
        if known != Some(since) {
            self.remember(place, block.subscriber.clone(), since);
        }
        out.push(self.record(at, Event::Held { block, since }));
        Ok(())
    }

    /// Whether it is known, or told, since when it was held.
    fn ended(&mut self, at: Timestamp, holding: &Holding, out: &mut Vec<Record>) -> bool {
        let place = place(holding);
        let found = self.places.get_mut(&place).and_then(|known| {
            let holders = &mut known.holders;
            let named = |holder: &Holder| Some(&holder.subscriber) == holding.subscriber.as_ref();
            let found = match holding.subscriber {
                Some(_) => holders.iter().position(named),
                // Who it was is clear where nobody else holds it.
                None => (holders.len() == 1).then_some(0),
            }?;
            let holder = holders.get_mut(found)?;
            if holder.sessions > 1 {
                holder.sessions -= 1;
                return Some(None);
            }
            known.ended = known.ended.max(Some(at));
            Some(Some(holders.swap_remove(found)))
        });
        let (subscriber, since) = match (found, &holding.subscriber, holding.since) {
            (Some(None), ..) => return true,
            (Some(Some(holder)), _, since) => (holder.subscriber, since.unwrap_or(holder.since)),
            (None, Some(subscriber), Some(since)) => {
                self.has_ended(place, at);
                (subscriber.clone(), since)
            }
            (None, ..) => return false,
        };
        out.push(self.released(at, place, subscriber, since));
        true
    }

    /// A device that begins anew holds nothing: whatever it did not say was given back is.
    fn end_all(&mut self, at: Timestamp, out: &mut Vec<Record>) {
        self.settle(Timestamp::MAX, out);
        let mut held: Vec<_> = self.places.drain().collect();
        held.sort_by_key(|(place, _)| *place);
        for (place, known) in held {
            for holder in known.holders {
                out.push(self.released(at, place, holder.subscriber, holder.since));
            }
        }
    }

    /// What ended before `limit` and whose beginning has not come by now.
    fn settle(&mut self, limit: Timestamp, out: &mut Vec<Record>) {
        while self.early.front().is_some_and(|(at, _)| *at < limit) {
            self.settle_next(out);
        }
    }

    fn settle_next(&mut self, out: &mut Vec<Record>) {
        let Some((at, holding)) = self.early.pop_front() else {
            return;
        };
        let place = place(&holding);
        let since = self.unseen_beginning(place, at, out);
        self.has_ended(place, at);
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
        let ended = self.places.get(&place).and_then(|known| known.ended);
        match (ended, self.listens_since) {
            (Some(ended), _) => {
                self.lost(ended, at, Some(1), out);
                at
            }
            (None, Some(since)) => since.min(at),
            (None, None) => at,
        }
    }

    fn holder(&mut self, place: Place, subscriber: &Subscriber) -> Option<&mut Holder> {
        self.places.get_mut(&place)?.holder(subscriber)
    }

    fn remember(&mut self, place: Place, subscriber: Subscriber, since: Timestamp) {
        if self.places.len() >= ROOM && !self.places.contains_key(&place) {
            return;
        }
        let known = self.places.entry(place).or_default();
        known.remember(subscriber, since);
    }

    fn has_ended(&mut self, place: Place, at: Timestamp) {
        if self.places.len() < ROOM || self.places.contains_key(&place) {
            let known = self.places.entry(place).or_default();
            known.ended = known.ended.max(Some(at));
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

fn block(holding: &Holding) -> Option<Block> {
    Some(Block {
        subscriber: holding.subscriber.clone()?,
        external: holding.external,
        ports: holding.ports,
        transport: holding.transport,
    })
}

#[cfg(test)]
mod tests;
