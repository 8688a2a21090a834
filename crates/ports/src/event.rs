//! Events with their numbers and times, in one order for a device.

use portledger_model::{Event, Timestamp};

/// The number of an event: how many this device has told, this one included. 0 is "none", and so
/// is durable already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventNumber(pub u64);

/// An event with its number and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its number.
    pub number: EventNumber,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// The events of a device that nobody has taken yet.
#[derive(Debug, Default)]
pub(crate) struct Events {
    told: EventNumber,
    waiting: Vec<Told>,
}

impl Events {
    /// Appends an event. Its number is the next.
    pub(crate) fn tell(&mut self, at: Timestamp, event: Event) -> EventNumber {
        self.told.0 += 1;
        self.waiting.push(Told {
            number: self.told,
            at,
            event,
        });
        self.told
    }

    /// The number of the event after those told so far.
    pub(crate) const fn next_number(&self) -> EventNumber {
        EventNumber(self.told.0 + 1)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn drain(&mut self) -> std::vec::Drain<'_, Told> {
        self.waiting.drain(..)
    }
}
