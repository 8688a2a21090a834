//! What one sighting says of the clock that timed it.

use std::{borrow::Cow, time::Duration};

use portledger_model::{Allocation, Evidence, Sighting, Span, Subscriber, Timestamp};

use crate::{Query, Shifts, ask::by_device_clocks, query::TICK, shifts::union};

/// How much of a connection's length is not relied upon: servers write it in whole seconds (Apache
/// httpd's `%T`) or by a clock that stands still for some milliseconds (nginx's).
const LENGTH_IS_SURE_TO: Duration = Duration::from_secs(1);

/// What one sighting says of the clock that timed it.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// The endpoint never had an allocation, as far as the ledger knows.
    NotOurs { complete: bool },
    /// Which shifts there may be.
    Shifts(Observation),
}

/// The shifts that one sighting allows.
#[derive(Debug, Clone)]
pub(crate) struct Observation {
    /// One for each instant that the sighting's time may name.
    pub(crate) instants: Vec<Instant>,
}

/// The shifts of one instant by the sighting's clock, each list ordered and apart.
#[derive(Debug, Clone)]
pub(crate) struct Instant {
    pub(crate) at: Timestamp,
    /// Those that bring it inside an allocation.
    pub(crate) inside: Vec<Shifts>,
    /// Those that bring it where the log is not known to be complete: an allocation may be
    /// missing there.
    unknown: Vec<Shifts>,
}

impl Instant {
    /// The shifts that nothing speaks against.
    pub(crate) fn possible(&self) -> Cow<'_, [Shifts]> {
        if self.unknown.is_empty() {
            return Cow::Borrowed(&self.inside);
        }
        Cow::Owned(union([&*self.inside, &*self.unknown].concat()))
    }
}

impl Observation {
    /// Whether the log is complete over all that was looked at.
    pub(crate) fn is_complete(&self) -> bool {
        self.instants
            .iter()
            .all(|instant| instant.unknown.is_empty())
    }

    /// The shifts that bring it inside an allocation, where the clock is off by one shift.
    pub(crate) fn inside(&self) -> Cow<'_, [Shifts]> {
        self.of_all(|instant| Cow::Borrowed(&instant.inside))
    }

    /// The shifts that nothing speaks against, where the clock is off by one shift.
    pub(crate) fn possible(&self) -> Cow<'_, [Shifts]> {
        self.of_all(Instant::possible)
    }

    fn of_all<'a>(&'a self, of: impl Fn(&'a Instant) -> Cow<'a, [Shifts]>) -> Cow<'a, [Shifts]> {
        match &self.instants[..] {
            [only] => of(only),
            several => {
                let all = several.iter().flat_map(|instant| of(instant).into_owned());
                Cow::Owned(union(all.collect()))
            }
        }
    }
}

/// What `sightings` ask of the evidence, in its order, each once with how often it is asked, and
/// how many tell nothing of a clock: without a time, without a port, or IPv6.
pub(crate) fn questions(sightings: &[Sighting]) -> (Vec<(Query, u64)>, u64) {
    let mut queries: Vec<_> = sightings
        .iter()
        .filter_map(|sighting| Query::from_sighting(sighting, Duration::ZERO).ok())
        .filter(|query| query.port.is_some())
        .collect();
    let left_out = sightings.len() - queries.len();
    queries.sort_unstable_by_key(Query::order);
    let mut questions: Vec<(Query, u64)> = Vec::with_capacity(queries.len());
    for query in queries {
        match questions.last_mut() {
            Some((last, times)) if *last == query => *times += 1,
            _ => questions.push((query, 1)),
        }
    }
    (questions, left_out as u64)
}

/// What `query` says of its clock, if that is off by up to `range`.
///
/// An endpoint outlives its last packet by minutes (RFC 5382 REQ-5, RFC 4787 REQ-5), so that a
/// line which is written when a request ended, or shortly after, is still inside the allocation.
/// Where a sighting says how long the connection had lasted, all of that is inside one holding.
pub(crate) fn observe<E: Evidence>(
    evidence: &E,
    query: &Query,
    range: Duration,
    asked_at: Timestamp,
) -> Result<Told, E::Error> {
    let mut instants = Vec::with_capacity(1);
    for at in query.instants() {
        instants.push(instant(evidence, query, at, range, asked_at)?);
    }
    let observation = Observation { instants };
    if observation.instants.iter().all(|i| i.inside.is_empty()) {
        let nearest = evidence.nearest(query.endpoint(), query.at)?;
        if nearest.before.is_none() && nearest.after.is_none() {
            let complete = observation.is_complete();
            return Ok(Told::NotOurs { complete });
        }
    }
    Ok(Told::Shifts(observation))
}

fn instant<E: Evidence>(
    evidence: &E,
    query: &Query,
    at: Timestamp,
    range: Duration,
    asked_at: Timestamp,
) -> Result<Instant, E::Error> {
    let lasted = query.lasted.saturating_sub(LENGTH_IS_SURE_TO);
    // The true instant is anywhere in the clock's step, which does not include its end.
    let step = query.resolution.saturating_sub(TICK);
    let reach = Span::new(
        at.before(range).before(lasted),
        at.after(step).after(range).after(TICK),
    );
    let (looked_at, gaps) = by_device_clocks(evidence, query.endpoint(), reach, asked_at)?;
    // A clock of the devices may be off by so much from the one that is looked for.
    let error = reach.from.since(looked_at.from);

    let searched = Shifts::around_zero(range);
    let shifts = |from: Timestamp, to: Timestamp| {
        Shifts::from_to(at, from.before(step).before(error), to.after(error))?.and(searched)
    };
    let inside = tenures(&evidence.holders(query.endpoint(), looked_at)?)
        .into_iter()
        .filter(|span| span.to.since(span.from) > lasted)
        .filter_map(|span| shifts(span.from.after(lasted), span.to));
    let unknown = gaps
        .iter()
        .filter_map(|gap| shifts(gap.span.from, gap.span.to.after(lasted)));
    Ok(Instant {
        at,
        inside: union(inside.collect()),
        unknown: union(unknown.collect()),
    })
}

/// The times for which one subscriber after the other held the endpoint: allocations of the same
/// one that touch or overlap are one. `held` is in order of time.
fn tenures(held: &[Allocation]) -> Vec<Span> {
    let mut tenures: Vec<(&Subscriber, Span)> = Vec::with_capacity(held.len());
    for allocation in held {
        let (holder, span) = (&allocation.block.subscriber, allocation.span());
        let mut before = tenures.iter_mut().rev();
        match before.find(|(other, _)| *other == holder) {
            Some((_, before)) if span.from <= before.to => before.to = before.to.max(span.to),
            _ => tenures.push((holder, span)),
        }
    }
    tenures.into_iter().map(|(_, span)| span).collect()
}
