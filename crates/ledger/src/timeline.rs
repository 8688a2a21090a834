//! One device's log: from when to when it is known to be complete.

use std::{net::Ipv4Addr, time::Duration};

use portledger_model::{Durability, Event, GapReason, Record, Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rules::{is_of_rule, told};

/// Starts, stops, losses and the last record of one device, and the addresses it handed out
/// ports of. It stays in the list of sealed days when the records are gone from the log.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Timeline {
    starts: Vec<Begin>,
    /// Losses that were told, and silences longer than promised, in order.
    missing: Vec<Missing>,
    last: Option<Last>,
    addresses: Addresses,
}

/// The device's last record.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Last {
    #[serde(with = "micros")]
    pub(crate) at: Timestamp,
    /// It was [`Event::Stopped`].
    pub(crate) stopped: bool,
}

/// A start and what came before it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Begin {
    #[serde(with = "micros")]
    at: Timestamp,
    clock_error: Duration,
    guard_time: Duration,
    loss: Option<Duration>,
    continues: bool,
    heartbeat: Option<Duration>,
    before: Option<Last>,
    /// The device ran before: [`Event::Joined`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    joined: bool,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Missing {
    #[serde(with = "micros")]
    from: Timestamp,
    #[serde(with = "micros")]
    to: Timestamp,
    /// Nothing was heard, rather than something lost.
    silence: bool,
}

impl Timeline {
    /// Takes in the device's next record.
    pub(crate) fn apply(&mut self, record: &Record) {
        if is_of_rule(record) {
            // Whoever tells of a rule, perhaps long after or from a file, does not say that all
            // else was told until then.
            self.note_addresses(record);
            return;
        }
        self.note_silence(record);
        match &record.event {
            Event::Started(start) => self.starts.push(Begin {
                at: record.at,
                clock_error: start.clock_error,
                guard_time: start.guard_time,
                loss: match start.durability {
                    Durability::LogBeforeUse => None,
                    Durability::BoundedLoss(loss) => Some(loss),
                },
                continues: start.continues,
                heartbeat: start.heartbeat,
                before: self.last,
                joined: false,
            }),
            Event::Joined { clock_error } => self.starts.push(Begin {
                at: record.at,
                clock_error: *clock_error,
                guard_time: Duration::ZERO,
                loss: None,
                continues: false,
                heartbeat: None,
                before: self.last,
                joined: true,
            }),
            Event::Lost { since, .. } => self.missing.push(Missing {
                from: *since,
                to: record.at,
                silence: false,
            }),
            Event::Allocated(block) | Event::Held { block, .. } | Event::Released { block, .. } => {
                self.addresses.insert(block.external);
            }
            _ => {}
        }
        self.last = Some(Last {
            at: record.at,
            stopped: record.event == Event::Stopped,
        });
    }

    fn note_addresses(&mut self, record: &Record) {
        if let Some((rule, _)) = told(record) {
            for (first, last) in rule.addresses() {
                self.addresses.insert_range(first, last);
            }
        }
    }

    /// A device that promises a record every so often was unheard if none came for longer; half
    /// as long again is allowed for its timer and the way.
    fn note_silence(&mut self, record: &Record) {
        let promised = self.starts.last().and_then(|begin| begin.heartbeat);
        if let (Some(heartbeat), Some(last)) = (promised, self.last)
            && !last.stopped
            && record.at.since(last.at) > heartbeat + heartbeat / 2
        {
            self.missing.push(Missing {
                from: last.at,
                to: record.at,
                silence: true,
            });
        }
    }

    /// The last record.
    pub(crate) fn last(&self) -> Option<Last> {
        self.last
    }

    /// Whether it handed out ports of the address.
    pub(crate) fn has(&self, external: Ipv4Addr) -> bool {
        self.addresses.contains(external)
    }

    /// What the last start promised.
    pub(crate) fn promised(&self) -> Option<Durability> {
        self.starts.last().map(|begin| match begin.loss {
            None => Durability::LogBeforeUse,
            Some(loss) => Durability::BoundedLoss(loss),
        })
    }

    /// The times for which the log is not known to be complete. `alive_until`: a live process
    /// was writing this log at that time.
    pub(crate) fn gaps(&self, alive_until: Option<Timestamp>) -> Vec<(Span, GapReason)> {
        let (Some(first), Some(newest), Some(last)) =
            (self.starts.first(), self.starts.last(), self.last)
        else {
            let always = Span::new(Timestamp::MIN, Timestamp::MAX);
            return vec![(always, GapReason::BeforeFirstRecord)];
        };
        let until = Span::new(Timestamp::MIN, first.complete_from());
        let mut gaps = vec![(until, GapReason::BeforeFirstRecord)];
        let pairs = self.starts.iter().zip(self.starts.iter().skip(1));
        gaps.extend(pairs.filter_map(|(earlier, later)| later.gap_before(earlier)));
        let nexts = self.starts.iter().skip(1).map(|next| next.at);
        let begins = self.starts.iter().zip(nexts.chain([Timestamp::MAX]));
        gaps.extend(
            begins
                .filter(|(begin, _)| begin.joined)
                .map(|(begin, until)| (Span::new(begin.at, until), GapReason::HeldBefore)),
        );
        gaps.extend(self.missing.iter().map(|missing| {
            let reason = if missing.silence {
                GapReason::Silence
            } else {
                GapReason::LostOnTheWay
            };
            (Span::new(missing.from, missing.to), reason)
        }));
        let mut complete_until = if last.stopped {
            last.at.after(newest.guard_time)
        } else {
            last.at
        };
        if newest.loss.is_none() {
            complete_until = complete_until.max(alive_until.unwrap_or(complete_until));
        }
        let after = Span::new(complete_until, Timestamp::MAX);
        gaps.push((after, GapReason::AfterLastRecord));
        gaps
    }

    /// The largest clock error of the starts that hold within `span`.
    pub(crate) fn clock_error(&self, span: Span) -> Duration {
        let ends = self
            .starts
            .iter()
            .skip(1)
            .map(|next| next.at)
            .chain([Timestamp::MAX]);
        let mut from = Timestamp::MIN;
        let mut largest = Duration::ZERO;
        for (begin, to) in self.starts.iter().zip(ends) {
            if Span::new(from, to).overlaps(span) {
                largest = largest.max(begin.clock_error);
            }
            from = to;
        }
        largest
    }
}

impl Begin {
    /// For the first start: nobody held a port before it if its past was empty, and whoever held
    /// one before that has let it rest for the guard time.
    fn complete_from(&self) -> Timestamp {
        if self.continues {
            self.at.before(self.guard_time)
        } else {
            self.at
        }
    }

    /// What is not known of the time before a later start.
    fn gap_before(&self, earlier: &Self) -> Option<(Span, GapReason)> {
        let before = self.before?;
        let lossy = earlier.loss.is_some();
        let (from, reason) = match (before.stopped, self.continues) {
            // Nobody says that there was nothing between one file and the next.
            _ if self.joined => (before.at, GapReason::AfterLastRecord),
            (true, true) => return None,
            (false, true) if !lossy => return None,
            (false, _) => (before.at, GapReason::LostInCrash),
            // Nobody is given a port for the guard time after a stop.
            (true, false) => (
                before.at.after(earlier.guard_time),
                GapReason::AfterLastRecord,
            ),
        };
        Some((Span::new(from, self.at), reason))
    }
}

/// A set of addresses, as ranges: a pool's are side by side.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Addresses(Vec<(u32, u32)>);

impl Addresses {
    fn contains(&self, address: Ipv4Addr) -> bool {
        let address = address.to_bits();
        let after = self.0.partition_point(|(first, _)| *first <= address);
        let range = after.checked_sub(1).and_then(|at| self.0.get(at));
        range.is_some_and(|(_, last)| address <= *last)
    }

    fn insert(&mut self, address: Ipv4Addr) {
        if self.contains(address) {
            return;
        }
        self.insert_range(address, address);
    }

    fn insert_range(&mut self, first: Ipv4Addr, last: Ipv4Addr) {
        let (first, last) = (first.to_bits(), last.to_bits());
        let at = self.0.partition_point(|(known, _)| *known < first);
        self.0.insert(at, (first, last));
        self.0.dedup_by(|later, kept| {
            let adjoins = later.0 <= kept.1.saturating_add(1);
            if adjoins {
                kept.1 = kept.1.max(later.1);
            }
            adjoins
        });
    }
}

/// A time as microseconds since 1970.
pub(crate) mod micros {
    use portledger_model::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        at: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        at.as_micros().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(Timestamp::from_micros)
    }
}
