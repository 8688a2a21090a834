//! How far a clock was off, from many sightings that it timed.

use std::time::Duration;

use portledger_model::{Evidence, Sighting, Span, Timestamp};

use crate::{
    Query,
    ask::up_to,
    query::TICK,
    shifts::{Shifts, union},
};

/// The shifts that put one clock right: added to its times, they make every sighting's endpoint
/// fall inside some allocation, whoever held it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offset {
    /// The shifts that satisfy the most sightings, in order; none where none satisfies any.
    pub shifts: Vec<Shifts>,
    /// How many sightings each of those shifts satisfies.
    pub satisfied: usize,
    /// How many sightings could tell: not those below.
    pub sightings: usize,
    /// Sightings whose endpoint never had an allocation, as far as the ledger knows.
    pub not_ours: usize,
    /// Sightings that tell nothing of a clock: without a time, without a port, or IPv6.
    pub left_out: usize,
    /// Of `sightings` and `not_ours`: those for which the log is not known to be complete over
    /// all the times looked at, so that an allocation may be missing.
    pub incomplete: usize,
    /// How far was looked, either way.
    pub range: Duration,
}

impl Offset {
    /// One hour: the range to look at where nobody says another. It holds a clock that ran wild
    /// for weeks and the commonest mistake, a zone off by one hour.
    pub const RANGE: Duration = Duration::from_secs(3_600);

    /// The offset of the clock that timed all of `sightings`, looked for from `range` fast to
    /// `range` slow. One query of the evidence a sighting, and no sampling: each sighting gives
    /// intervals, and they are intersected.
    ///
    /// # Errors
    /// When the evidence cannot be read.
    pub fn find<'a, E: Evidence>(
        evidence: &E,
        sightings: impl IntoIterator<Item = &'a Sighting>,
        range: Duration,
        asked_at: Timestamp,
    ) -> Result<Self, E::Error> {
        let mut offset = Self {
            shifts: Vec::new(),
            satisfied: 0,
            sightings: 0,
            not_ours: 0,
            left_out: 0,
            incomplete: 0,
            range,
        };
        let mut all = Vec::new();
        for sighting in sightings {
            match Query::from_sighting(sighting, Duration::ZERO) {
                Ok(query) if query.port.is_some() => {
                    let shifts = possible(evidence, &query, range)?;
                    offset.incomplete +=
                        usize::from(!is_complete(evidence, &query, range, asked_at)?);
                    if shifts.is_empty() && !is_ours(evidence, &query)? {
                        offset.not_ours += 1;
                    } else {
                        offset.sightings += 1;
                        all.extend(shifts);
                    }
                }
                Ok(_) | Err(_) => offset.left_out += 1,
            }
        }
        (offset.shifts, offset.satisfied) = best_supported(&all);
        Ok(offset)
    }

    /// The one interval of shifts that satisfies every sighting: what may be applied. `None`
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
            .any(|s| s.first() == searched.first() || s.last() == searched.last())
    }
}

/// The times at which the sighting may have been, if its clock is off by up to `range`.
fn reach(query: &Query, instant: Timestamp, range: Duration) -> Span {
    Span::new(
        instant.before(range),
        instant.after(query.resolution).after(range).after(TICK),
    )
}

/// The shifts that bring the sighting inside some allocation: ordered and apart.
fn possible<E: Evidence>(
    evidence: &E,
    query: &Query,
    range: Duration,
) -> Result<Vec<Shifts>, E::Error> {
    let searched = Shifts::around_zero(range);
    // The true instant is anywhere in the clock's step, which does not include its end.
    let step = query.resolution.saturating_sub(TICK);
    let mut shifts = Vec::new();
    for instant in query.instants() {
        let held = evidence.holders(query.endpoint(), reach(query, instant, range))?;
        shifts.extend(held.iter().filter_map(|allocation| {
            let span = allocation.span();
            Shifts::from_to(instant, span.from.before(step), span.to)?.and(searched)
        }));
    }
    Ok(union(shifts))
}

fn is_complete<E: Evidence>(
    evidence: &E,
    query: &Query,
    range: Duration,
    asked_at: Timestamp,
) -> Result<bool, E::Error> {
    for instant in query.instants() {
        let span = up_to(reach(query, instant, range), asked_at);
        if !span.is_empty() {
            let coverage = evidence.coverage(query.address, span, asked_at)?;
            if coverage.gaps.iter().any(|gap| gap.span.overlaps(span)) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Whether the endpoint ever had an allocation, when none is within reach.
fn is_ours<E: Evidence>(evidence: &E, query: &Query) -> Result<bool, E::Error> {
    let nearest = evidence.nearest(query.endpoint(), query.at)?;
    Ok(nearest.before.is_some() || nearest.after.is_some())
}

/// The shifts that lie in the most of `intervals`, and in how many.
fn best_supported(intervals: &[Shifts]) -> (Vec<Shifts>, usize) {
    let mut edges: Vec<(i64, isize)> = intervals
        .iter()
        .flat_map(|s| [(s.first(), 1), (s.last().saturating_add(1), -1)])
        .collect();
    edges.sort_unstable();

    let (mut best, mut most, mut inside) = (Vec::new(), 0, 0);
    for pair in edges.windows(2) {
        let &[(here, step), (next, _)] = pair else {
            continue;
        };
        inside += step;
        let Some(stretch) = Shifts::new(here, next) else {
            continue;
        };
        if inside > most {
            most = inside;
            best.clear();
        }
        if inside == most && most > 0 {
            best.push(stretch);
        }
    }
    (union(best), most.unsigned_abs())
}
