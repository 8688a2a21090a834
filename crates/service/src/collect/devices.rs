//! The devices that are heard: each one's events are paired apart.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};

use portledger_ledger::{Error, Ledger, Resume};
use portledger_model::{Device, Durability, Event, Record, Start, Timestamp};
use portledger_wire::{
    EventTime, NatEvent, Pairing, Told, Unkept,
    flow::{Item, Unit, Unread},
};

/// The devices of which something was told.
pub struct Devices {
    places: HashMap<Device, DeviceIndex>,
    pasts: Vec<Past>,
    /// What the ledger knew of devices before they were heard.
    resumes: HashMap<Device, Resume>,
    /// Records that are yet to be written.
    batch: Vec<Record>,
}

/// Which of the [`Devices`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceIndex(usize);

impl DeviceIndex {
    /// Devices are numbered from 0 as they are entered.
    pub const fn place(self) -> usize {
        self.0
    }
}

/// How long it takes at most from an event to its message, for a device that tells things as they
/// happen: what is older than that when a message comes was told before it.
const ON_THE_WAY: Duration = Duration::from_secs(60);

/// What an operator says of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Promise {
    /// How far its clock may be off, either way.
    pub clock_error: Duration,
    /// From then on everything is told; `None` where nobody knows.
    pub complete_from: Option<Timestamp>,
}

/// What was told of a device so far.
struct Past {
    device: Device,
    pairing: Pairing,
    promise: Promise,
    /// The latest of its events. `None` where it was not heard yet.
    last: Option<Timestamp>,
    /// Its last event came as it happened, rather than out of a store that is being emptied.
    is_live: bool,
    /// Since when the numbers of its messages follow no order.
    disordered: Option<Timestamp>,
    /// The way to it broke after this; what it told until it is heard again may be lost.
    interrupted: Option<Timestamp>,
    /// Nothing but a loss was noted since its last event, and until when losses go on. One record
    /// stands for all of them: whoever sends what nobody understands does not fill the ledger.
    losing: Option<Timestamp>,
}

/// Between two times events of a device were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// After this; `None` for the last event that was heard.
    pub since: Option<Timestamp>,
    /// Before this.
    pub until: Timestamp,
    /// How many, where that is known.
    pub events: Option<u64>,
}

impl Loss {
    const fn between(since: Timestamp, until: Timestamp, events: Option<u64>) -> Self {
        Self {
            since: Some(since),
            until,
            events,
        }
    }
}

/// What a [`Session`](portledger_wire::flow::Session)'s item came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// An event of this time.
    Event {
        /// By the device's clock.
        at: Timestamp,
        /// Why it is nothing a ledger keeps.
        unkept: Option<Unkept>,
    },
    /// So much is missing by the sequence numbers; 0 where nobody can say how much.
    Lost(u32),
    /// Something was not understood.
    Rejected {
        /// Why, and where in the message.
        reason: String,
        /// The bytes, where they are not those of the message that was read.
        set: Option<Unread>,
    },
    /// From here on nobody can say what is missing.
    Disordered,
}

impl Devices {
    /// Devices that go on where the ledger left them. Nobody else may write the ledger from now
    /// on.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn new(ledger: &Ledger) -> Result<Self, Error> {
        Ok(Self {
            places: HashMap::new(),
            pasts: Vec::new(),
            // What was given back has no say in what comes.
            resumes: ledger.resumes(Timestamp::MAX)?.into_iter().collect(),
            batch: Vec::new(),
        })
    }

    /// How many were heard, or entered.
    pub fn len(&self) -> usize {
        self.pasts.len()
    }

    /// How many told of an event.
    pub fn heard(&self) -> usize {
        let heard = self.pasts.iter().filter(|past| past.last.is_some());
        heard.count()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.pasts.is_empty()
    }

    /// Whether a device was heard, or the ledger knows of it.
    pub fn knows(&self, device: &Device) -> bool {
        self.places.contains_key(device) || self.resumes.contains_key(device)
    }

    /// A device's place; what is promised counts the first time.
    pub fn enter(&mut self, device: &Device, promise: Promise) -> DeviceIndex {
        match self.places.entry(device.clone()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => {
                let index = DeviceIndex(self.pasts.len());
                self.pasts.push(Past {
                    device: device.clone(),
                    pairing: Pairing::new(device.clone()),
                    promise,
                    last: None,
                    is_live: false,
                    disordered: None,
                    interrupted: None,
                    losing: None,
                });
                *unknown.insert(index)
            }
        }
    }

    /// Takes a device's next event, received at this time where it is heard as it is told; says
    /// why, where it is nothing a ledger keeps.
    pub fn take(
        &mut self,
        index: DeviceIndex,
        event: NatEvent,
        received: Option<Timestamp>,
    ) -> Option<Unkept> {
        let at = event.at.timestamp();
        if let Told::Rule { .. } | Told::RuleEnded(_) = &event.told {
            // It says nothing of what else was told: a log neither begins nor goes on with it.
            let past = self.pasts.get_mut(index.0)?;
            return past.pairing.take(event, &mut self.batch).err();
        }
        let past = heard(
            &mut self.pasts,
            index,
            at,
            &mut self.resumes,
            &mut self.batch,
        )?;
        past.goes_on(received.unwrap_or(at).max(at), &mut self.batch);
        past.last = past.last.max(Some(at));
        past.is_live = received.is_some_and(|received| received <= at.after(ON_THE_WAY));
        let mut unkept = None;
        if let Some(from) = past.promise.complete_from.take_if(|from| *from <= at) {
            let told = started(from, past.promise.clock_error);
            unkept = past.pairing.take(told, &mut self.batch).err();
        }
        past.pairing.take(event, &mut self.batch).err().or(unkept)
    }

    /// A device holds nothing from a time on, of which it was heard then.
    pub fn over(&mut self, index: DeviceIndex, at: Timestamp, received: Timestamp) {
        let (pasts, resumes) = (&mut self.pasts, &mut self.resumes);
        let Some(past) = heard(pasts, index, at, resumes, &mut self.batch) else {
            return;
        };
        past.goes_on(received.max(at), &mut self.batch);
        past.last = past.last.max(Some(at));
        past.pairing.end_all(at, &mut self.batch);
    }

    /// What a device's session says and [`Devices::item`] is about to take: what is known of it is
    /// fetched from memory meanwhile, all at once.
    pub fn expect(&self, index: DeviceIndex, items: &[Item]) {
        let Some(past) = self.pasts.get(index.0) else {
            return;
        };
        for item in items {
            if let Item::Event { event, .. } = item {
                past.pairing.expect(event);
            }
        }
    }

    /// Takes what a device's session says, received at this time where it is heard as it is told.
    pub fn item(&mut self, index: DeviceIndex, item: Item, received: Option<Timestamp>) -> Came {
        match item {
            Item::Event { event, .. } => Came::Event {
                at: event.at.timestamp(),
                unkept: self.take(index, event, received),
            },
            Item::Rejected { offset, why } => Came::Rejected {
                reason: format!("byte {offset}: {why}"),
                set: None,
            },
            Item::Gap {
                missing,
                unit,
                since,
                until,
                ..
            } => {
                let events = (unit == Unit::Records).then_some(missing.into());
                self.lost(index, Loss::between(since, until, events));
                Came::Lost(missing)
            }
            Item::Restarted { since, until, .. } => {
                self.lost(index, Loss::between(since, until, None));
                Came::Lost(0)
            }
            Item::Dropped {
                template,
                set,
                since,
                until,
                ..
            } => {
                self.lost(index, Loss::between(since, until, None));
                Came::Rejected {
                    reason: format!("data: template {template} never came"),
                    set: Some(set),
                }
            }
            Item::Disordered { since, .. } => {
                self.disordered(index, since);
                Came::Disordered
            }
        }
    }

    /// Events of a device were lost. Of a device that was not heard yet nothing is claimed anyway.
    pub fn lost(&mut self, index: DeviceIndex, loss: Loss) {
        let Some(past) = self.pasts.get_mut(index.0) else {
            return;
        };
        let Some(since) = loss.since.or(past.last) else {
            return;
        };
        let until = loss.until.max(since);
        if let (None, Some(losing)) = (loss.since, &mut past.losing) {
            *losing = until.max(*losing);
            return;
        }
        let past = heard(
            &mut self.pasts,
            index,
            since,
            &mut self.resumes,
            &mut self.batch,
        );
        if let Some(past) = past {
            past.pairing
                .lost(since, until, loss.events, &mut self.batch);
            past.last = past.last.max(Some(until));
            past.losing = past.losing.max(Some(until));
        }
    }

    /// The way to a device broke: what it tells until it is heard again may be lost.
    pub fn interrupted(&mut self, index: DeviceIndex) {
        if let Some(past) = self.pasts.get_mut(index.0) {
            past.is_interrupted();
        }
    }

    /// The way to all devices broke.
    pub fn all_interrupted(&mut self) {
        self.pasts.iter_mut().for_each(Past::is_interrupted);
    }

    /// From there on nobody can say what of a device is missing.
    fn disordered(&mut self, index: DeviceIndex, since: Timestamp) {
        if let Some(past) = self.pasts.get_mut(index.0) {
            past.disordered = Some(past.disordered.unwrap_or(since).min(since));
        }
    }

    /// A message of the device came at `now`: it lives, and what it told a while before was heard.
    /// That is noted once in a while. Nothing comes of it for a device whose messages follow no
    /// order, or that does not tell things as they happen: what it has yet to tell is older.
    pub fn alive(&mut self, index: DeviceIndex, now: Timestamp) {
        let Some(past) = self.pasts.get_mut(index.0) else {
            return;
        };
        if past.interrupted.is_some() {
            past.goes_on(now, &mut self.batch);
            past.last = past.last.max(Some(now));
            return;
        }
        let at = now.before(ON_THE_WAY);
        let is_new = past.last.is_some_and(|last| last.after(ON_THE_WAY) < at);
        if past.is_live && past.disordered.is_none() && is_new {
            past.note_losses(&mut self.batch);
            past.last = past.last.max(Some(at));
            self.batch.push(Record {
                at,
                device: past.device.clone(),
                event: Event::Heartbeat,
            });
        }
    }

    /// There is nothing more to come.
    pub fn finish(&mut self) {
        for past in &mut self.pasts {
            past.note_losses(&mut self.batch);
            past.pairing.finish(&mut self.batch);
            if let (Some(since), Some(last)) = (past.disordered, past.last) {
                past.pairing.lost(since, last, None, &mut self.batch);
            }
        }
    }

    /// The records that are yet to be written.
    pub const fn batch(&mut self) -> &mut Vec<Record> {
        &mut self.batch
    }
}

impl Past {
    /// Of a device that was not heard yet something is claimed only where its operator did.
    fn is_interrupted(&mut self) {
        let since = self.last.or(self.promise.complete_from);
        self.interrupted = self.interrupted.or(since);
    }

    /// It is heard again now: notes what may have been lost until then. What it tells first may
    /// be older, and is no proof that nothing newer was lost.
    fn goes_on(&mut self, now: Timestamp, batch: &mut Vec<Record>) {
        if let Some(since) = self.interrupted.take() {
            self.pairing.lost(since, now.max(since), None, batch);
        }
        self.note_losses(batch);
    }

    /// Notes the losses that followed the last one that was noted.
    fn note_losses(&mut self, batch: &mut Vec<Record>) {
        if let (Some(until), Some(last)) = (self.losing.take(), self.last)
            && last < until
        {
            self.pairing.lost(last, until, None, batch);
            self.last = Some(until);
        }
    }
}

/// A device that is heard now. When that is the first time, what the ledger knows it to hold is
/// remembered from there, and its log begins anew: nobody says what happened in between.
fn heard<'p>(
    pasts: &'p mut [Past],
    index: DeviceIndex,
    at: Timestamp,
    resumes: &mut HashMap<Device, Resume>,
    batch: &mut Vec<Record>,
) -> Option<&'p mut Past> {
    let past = pasts.get_mut(index.0)?;
    if past.last.is_some() {
        return Some(past);
    }
    past.last = Some(at);
    let goes_on = resumes
        .remove(&past.device)
        .filter(|resume| resume.last <= at);
    if past.promise.complete_from.is_none() {
        batch.push(Record {
            at,
            device: past.device.clone(),
            event: Event::Joined {
                clock_error: past.promise.clock_error,
            },
        });
    }
    if past.promise.complete_from.is_none() || goes_on.is_some() {
        past.pairing.listen(at);
    }
    if let Some(resume) = goes_on {
        // The word that was given for what came before holds for this.
        past.promise.complete_from = None;
        for held in resume.open {
            past.pairing.resume(held.block, held.since);
        }
    }
    Some(past)
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
