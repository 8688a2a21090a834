//! One device's log: from when to when it is known to be complete.

use std::time::Duration;

use portledger_model::{Durability, Event, GapReason, Record, Span, Start, Timestamp};

/// Starts, stops and the last record of one device.
#[derive(Default)]
pub(crate) struct Timeline {
    starts: Vec<Begin>,
    last: Option<Last>,
}

/// The device's last record.
#[derive(Clone, Copy)]
pub(crate) struct Last {
    pub(crate) at: Timestamp,
    /// It was [`Event::Stopped`].
    pub(crate) stopped: bool,
}

/// A start and what came before it.
struct Begin {
    at: Timestamp,
    start: Start,
    before: Option<Last>,
}

impl Timeline {
    /// Takes in the device's next record.
    pub(crate) fn apply(&mut self, record: &Record) {
        if let Event::Started(start) = record.event {
            self.starts.push(Begin {
                at: record.at,
                start,
                before: self.last,
            });
        }
        self.last = Some(Last {
            at: record.at,
            stopped: record.event == Event::Stopped,
        });
    }

    /// The last record.
    pub(crate) fn last(&self) -> Option<Last> {
        self.last
    }

    /// What the last start promised.
    pub(crate) fn promised(&self) -> Option<Durability> {
        self.starts.last().map(|begin| begin.start.durability)
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
        gaps.extend(pairs.filter_map(|(earlier, later)| later.gap_before(&earlier.start)));
        let mut complete_until = if last.stopped {
            last.at.after(newest.start.guard_time)
        } else {
            last.at
        };
        if newest.start.durability == Durability::LogBeforeUse {
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
                largest = largest.max(begin.start.clock_error);
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
        if self.start.continues {
            self.at.before(self.start.guard_time)
        } else {
            self.at
        }
    }

    /// What is not known of the time before a later start.
    fn gap_before(&self, earlier: &Start) -> Option<(Span, GapReason)> {
        let before = self.before?;
        let lossy = matches!(earlier.durability, Durability::BoundedLoss(_));
        let (from, reason) = match (before.stopped, self.start.continues) {
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
