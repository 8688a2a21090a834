//! One device's events out of its ledger, for a target that may not lag too far.

use std::{collections::VecDeque, path::Path, time::Duration};

use portledger_ledger::{Error, Followed, Follower};
use portledger_model::{Device, Event, RecordNumber, Timestamp};
use portledger_wire::{EventTime, NatEvent, Told};

use super::{cursor::Mark, target::Keep};

/// Records that are read at once.
const READ: usize = 2_048;

/// Reads a device's events in order. What the target does not get is told in the place where it
/// would have been.
pub(super) struct Source {
    follower: Follower,
    device: Device,
    keep: Keep,
    followed: Vec<Followed>,
    /// When the last event happened that was handed on, or that the target has.
    last: Option<Timestamp>,
    /// Records that the target lost and was not told of yet.
    owed: u64,
    /// Behind the last record of another device, where nothing was owed.
    passed: Option<RecordNumber>,
    /// No other device was met: every record that is lost is an event of this one.
    alone: bool,
    /// Records before this one had been in the ledger for a while when they were asked for: of
    /// these, age is lag. A record that comes late into the ledger is none that lags.
    waiting: Waiting,
}

/// Where the ledger ended a while ago.
#[derive(Debug, Default)]
struct Waiting {
    /// At these times, of which there are nine at most.
    noted: VecDeque<(Timestamp, RecordNumber)>,
    /// What is before this has waited for as long as anything may, or since the target was begun
    /// to be served.
    until: Option<RecordNumber>,
}

/// An event with the place behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) event: NatEvent,
    /// All before this record is told once the event is.
    pub(super) next: RecordNumber,
    /// So many events are told to be lost by this one.
    pub(super) lost: u64,
}

impl Source {
    pub(super) fn open(dir: &Path, device: Device, keep: Keep) -> Result<Self, Error> {
        Ok(Self {
            follower: Follower::open(dir, RecordNumber(0))?,
            device,
            keep,
            followed: Vec::new(),
            last: None,
            owed: 0,
            alone: true,
            passed: None,
            waiting: Waiting::default(),
        })
    }

    pub(super) fn ledger(&self) -> &str {
        self.follower.ledger()
    }

    /// The number after the last record of the ledger.
    pub(super) fn end(&mut self) -> Result<RecordNumber, Error> {
        self.follower.end()
    }

    /// All records before it are handed on or are another device's, where nothing is owed.
    pub(super) const fn passed(&self) -> Option<RecordNumber> {
        self.passed
    }

    /// Goes on from a place.
    pub(super) fn seek(&mut self, mark: Mark) -> Result<(), Error> {
        self.follower.seek(mark.next);
        self.last = mark.last;
        (self.owed, self.passed) = (0, None);
        self.waiting = Waiting {
            noted: VecDeque::new(),
            until: Some(self.follower.end()?),
        };
        Ok(())
    }

    /// Appends the next events. `false` where nothing is new; otherwise there may be none all the
    /// same, as records are another device's or lost.
    pub(super) fn read(&mut self, now: Timestamp, out: &mut Vec<Next>) -> Result<bool, Error> {
        self.keep_to_number()?;
        self.note_waiting(now)?;
        let mut followed = std::mem::take(&mut self.followed);
        let before = self.follower.next();
        let read = self.follower.read(READ, &mut followed);
        for one in followed.drain(..) {
            self.take(now, one, out);
        }
        self.followed = followed;
        read.map(|()| before < self.follower.next())
    }

    fn take(&mut self, now: Timestamp, followed: Followed, out: &mut Vec<Next>) {
        let (number, record) = match followed {
            Followed::Gone { records, .. } => {
                self.owed = self.owed.saturating_add(records);
                return;
            }
            Followed::Record(number, record) => (number, record),
        };
        let behind = RecordNumber(number.0.saturating_add(1));
        if record.device != self.device {
            self.alone = false;
            if self.owed == 0 {
                self.passed = Some(behind);
            }
            return;
        }
        if self.waited_too_long(now, number, record.at) {
            self.owed = self.owed.saturating_add(1);
            return;
        }
        let since = self.last.unwrap_or(record.at).min(record.at);
        let lost = std::mem::take(&mut self.owed);
        if lost > 0 {
            out.push(Next {
                event: NatEvent {
                    at: EventTime::Told(record.at),
                    told: Told::Lost {
                        since,
                        events: self.alone.then_some(lost),
                    },
                },
                next: number,
                lost,
            });
        }
        let mut event = NatEvent::from(&record);
        if matches!(record.event, Event::Joined { .. }) {
            event.told = Told::Lost {
                since,
                events: None,
            };
        }
        self.last = Some(record.at);
        out.push(Next {
            event,
            next: behind,
            lost: 0,
        });
    }

    /// Passes records where too many wait.
    fn keep_to_number(&mut self) -> Result<(), Error> {
        let Some(most) = self.keep.records else {
            return Ok(());
        };
        let (next, end) = (self.follower.next(), self.follower.end()?);
        let waiting = end.0.saturating_sub(next.0);
        if most < waiting {
            let passed = waiting - most;
            self.follower.seek(RecordNumber(next.0 + passed));
            self.owed = self.owed.saturating_add(passed);
        }
        Ok(())
    }

    /// Every so often, what was the end of the ledger a while ago has waited since.
    fn note_waiting(&mut self, now: Timestamp) -> Result<(), Error> {
        let Some(keep) = self.keep.time else {
            return Ok(());
        };
        let every = (keep / 8).max(Duration::from_secs(1));
        let noted = self.waiting.noted.back().map(|(at, _)| *at);
        if noted.is_none_or(|noted| now.since(noted) >= every) {
            let end = self.follower.end()?;
            self.waiting.noted.push_back((now, end));
        }
        while let Some((_, end)) = self
            .waiting
            .noted
            .pop_front_if(|(at, _)| now.since(*at) >= keep)
        {
            self.waiting.until = self.waiting.until.max(Some(end));
        }
        Ok(())
    }

    fn waited_too_long(&self, now: Timestamp, number: RecordNumber, at: Timestamp) -> bool {
        let waits = self.waiting.until.is_some_and(|until| number < until);
        waits && self.keep.time.is_some_and(|keep| now.since(at) > keep)
    }
}
