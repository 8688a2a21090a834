//! How far a clock was off, from many sightings that it timed.

pub(crate) mod drift;
mod line;
mod observation;
mod sample;
mod text;

use std::time::Duration;

use portledger_model::{Evidence, Sighting, Timestamp};

use crate::shifts::{Shifts, intersection};
use observation::{Told, observe, questions};
use sample::Sample;

/// The shifts that put one clock right: added to its times, they make every sighting's endpoint
/// fall inside some allocation, whoever held it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offset {
    /// The intervals of shifts that nothing speaks against: every sighting falls inside an
    /// allocation, or into a gap of the log, where one may be missing. Of several intervals those
    /// count in which every sighting may be inside an allocation, or else more than half of them.
    /// Where there are none, the shifts that bring the most sightings inside one. In order.
    pub shifts: Vec<Shifts>,
    /// How many sightings agree with each of those shifts.
    pub satisfied: u64,
    /// Of how many sightings: all that could tell, or a sample of them where they are many and
    /// contradict each other.
    pub tried: u64,
    /// How many sightings could tell: not those below.
    pub sightings: u64,
    /// Sightings whose endpoint never had an allocation, as far as the ledger knows.
    pub not_ours: u64,
    /// Sightings that tell nothing of a clock: without a time, without a port, or IPv6.
    pub left_out: u64,
    /// Of `sightings` and `not_ours`: those for which the log is not known to be complete over
    /// all the times looked at, so that an allocation may be missing.
    pub incomplete: u64,
    /// How far was looked, either way.
    pub range: Duration,
}

impl Offset {
    /// One hour: the range to look at where nobody says another. It holds a clock that ran wild
    /// for weeks and the commonest mistake, a zone off by one hour.
    pub const RANGE: Duration = Duration::from_secs(3_600);

    /// The one interval of shifts that every sighting agrees with: what may be applied. `None`
    /// where there are several intervals, or where some sighting contradicts them.
    pub fn agreed(&self) -> Option<Shifts> {
        match self.shifts[..] {
            [shifts] if self.satisfied == self.sightings => Some(shifts),
            _ => None,
        }
    }

    /// Whether an interval reaches the end of what was looked at, and so may go on beyond it.
    pub fn reaches_the_edge(&self) -> bool {
        let searched = Shifts::around_zero(self.range);
        self.shifts
            .iter()
            .any(|s| s.first() <= searched.first() || s.last() >= searched.last())
    }
}

/// Finds how far the clock that timed a log was off: all of the log's sightings are added, some at
/// a time, and then there is an [`Offset`].
///
/// It holds what is left of the possible shifts, which every sighting makes fewer, and a sample of
/// the sightings: its memory does not grow with the log.
#[derive(Debug, Clone)]
pub struct Survey {
    range: Duration,
    asked_at: Timestamp,
    /// What no sighting has contradicted yet.
    possible: Vec<Shifts>,
    /// What brings every sighting inside an allocation.
    inside: Vec<Shifts>,
    sample: Sample,
    /// The first and the last of the times by the clock.
    times: Option<(Timestamp, Timestamp)>,
    sightings: u64,
    not_ours: u64,
    left_out: u64,
    incomplete: u64,
}

/// How many sightings are kept to see what most of them say.
const SAMPLE: usize = 4_096;

impl Survey {
    /// Of a clock that is looked for from `range` fast to `range` slow; see [`Offset::RANGE`].
    pub fn new(range: Duration, asked_at: Timestamp) -> Self {
        Self {
            range,
            asked_at,
            possible: vec![Shifts::around_zero(range)],
            inside: vec![Shifts::around_zero(range)],
            sample: Sample::of_at_most(SAMPLE),
            times: None,
            sightings: 0,
            not_ours: 0,
            left_out: 0,
            incomplete: 0,
        }
    }

    /// Adds sightings that the clock timed. The evidence is asked in its order, for each endpoint
    /// and time once: a [`CHUNK`](crate::CHUNK) of a log is a good many.
    ///
    /// # Errors
    /// When the evidence cannot be read.
    pub fn add<E: Evidence>(
        &mut self,
        evidence: &E,
        sightings: &[Sighting],
    ) -> Result<(), E::Error> {
        let (questions, left_out) = questions(sightings);
        self.left_out += left_out;
        for (query, times) in questions {
            match observe(evidence, &query, self.range, self.asked_at)? {
                Told::NotOurs { complete } => {
                    self.not_ours += times;
                    self.incomplete += if complete { 0 } else { times };
                }
                Told::Shifts(observation) => {
                    self.sightings += times;
                    self.incomplete += if observation.is_complete() { 0 } else { times };
                    self.possible = intersection(&self.possible, &observation.possible());
                    self.inside = intersection(&self.inside, &observation.inside());
                    for instant in query.instants() {
                        let (first, last) = self.times.unwrap_or((instant, instant));
                        self.times = Some((first.min(instant), last.max(instant)));
                    }
                    self.sample.offer(observation, times);
                }
            }
        }
        Ok(())
    }

    /// What the sightings say together.
    pub fn offset(&self) -> Offset {
        let support = self.sample.support(|observation| observation.inside());
        let most = if self.inside.is_empty() {
            support.of_at_least(self.sample.more_than_half())
        } else {
            self.inside.clone()
        };
        let mut shifts = self.possible.clone();
        shifts.retain(|shifts| shifts.meets(&most));
        let (satisfied, tried);
        if self.sightings == 0 || shifts.is_empty() {
            tried = self.sample.sightings();
            (shifts, satisfied) = support.best();
        } else {
            (satisfied, tried) = (self.sightings, self.sightings);
        }
        Offset {
            shifts,
            satisfied,
            tried,
            sightings: self.sightings,
            not_ours: self.not_ours,
            left_out: self.left_out,
            incomplete: self.incomplete,
            range: self.range,
        }
    }
}

#[cfg(test)]
mod tests;
