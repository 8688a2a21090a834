//! The days of a ledger: sealed ones, each asked alone, and those whose parts are asked together
//! with what is recent.
//!
//! ```text
//!  sealed  sealed  sealed │ part part part │ log
//!  ───────────────────────┼────────────────┴────
//!    one file an instant  │ put together for each question, with what the last
//!                         │ sealed day left open
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
    sync::Arc,
};

use portledger_model::{
    Allocation, Block, External, Gap, GapReason, Nearest, PortRange, Span, Subscriber, Timestamp,
};
use portledger_segments::{Row, Segment};

use super::allocation;
use crate::{
    Error,
    calendar::{Calendar, Day},
    manifest::{DayState, Manifest, SegmentEntry},
    recent::Known,
    shelf::Shelf,
};

const ALWAYS: Span = Span::new(Timestamp::MIN, Timestamp::MAX);

pub(crate) struct Days {
    manifest: Manifest,
    calendar: Calendar,
    shelf: Option<Shelf>,
    /// The whole segments, by day.
    whole: BTreeMap<Day, SegmentEntry>,
}

impl Days {
    pub(crate) fn new(manifest: Manifest, calendar: Calendar, shelf: Option<Shelf>) -> Self {
        let days = manifest.days.iter().filter(|(_, entry)| entry.is_there());
        let whole = days
            .filter_map(|(day, entry)| Some((*day, entry.whole()?.clone())))
            .collect();
        Self {
            manifest,
            calendar,
            shelf,
            whole,
        }
    }

    pub(crate) const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What sealed days know of the endpoint within `span`, as each day has it.
    pub(crate) fn holders(&self, external: External, span: Span) -> Result<Vec<Told>, Error> {
        let mut found = Vec::new();
        for (_, segment) in self.touched(span)? {
            for row in segment.rows_of(external, span)? {
                found.push((row.external, of_row(&segment, &row)?));
            }
        }
        Ok(found)
    }

    /// What sealed days know of a subscriber within `span`, as each day has it.
    pub(crate) fn by_subscriber(
        &self,
        subscriber: &Subscriber,
        span: Span,
    ) -> Result<Vec<Told>, Error> {
        let mut found = Vec::new();
        for (_, segment) in self.touched(span)? {
            if let Some(number) = segment.number_of(subscriber)? {
                for row in segment.rows_of_subscriber(number, span)? {
                    found.push((row.external, of_row(&segment, &row)?));
                }
            }
        }
        Ok(found)
    }

    /// Makes one list of what days say, each with its end where some day knows it: within `span`,
    /// by start. `end` asks what is recent.
    pub(crate) fn settle(
        &self,
        mut found: Vec<Told>,
        span: Span,
        end: impl Fn(&Allocation) -> Result<Option<Timestamp>, Error>,
    ) -> Result<Vec<Allocation>, Error> {
        found.sort_by(|a, b| order(a).cmp(&order(b)));
        found.dedup_by(|later, kept| {
            let same = order(later) == order(kept);
            if same {
                kept.1.add(&later.1);
            }
            same
        });
        let mut settled = Vec::with_capacity(found.len());
        for (external, known) in found {
            let mut held = allocation(external, known);
            if held.to.is_none() {
                held.to = match self.end_in_sealed(&held)? {
                    Some(to) => Some(to),
                    None => end(&held)?,
                };
            }
            if held.span().overlaps(span) {
                settled.push(held);
            }
        }
        Ok(settled)
    }

    /// When an allocation ended that some sealed day left open.
    ///
    /// It is in each of the following days until it ends, so that the last one that has it is
    /// found by halves, however many there are.
    fn end_in_sealed(&self, held: &Allocation) -> Result<Option<Timestamp>, Error> {
        let first = self.calendar.day_of(held.from);
        let days: Vec<_> = self.whole.range(first..).map(|(day, _)| *day).collect();
        let (mut low, mut high) = (0, days.len());
        let mut to = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(&day) = days.get(middle) else { break };
            match self.in_day(held, day)? {
                Some(here) => {
                    to = here.to;
                    low = middle + 1;
                }
                None => high = middle,
            }
        }
        Ok(to)
    }

    /// What is not settled of an allocation, with what the sealed day on which it began knows: a
    /// release that was told there comes before a second one.
    pub(crate) fn with_first_day(&self, (external, mut known): Told) -> Result<Told, Error> {
        let began = self.calendar.day_of(known.from);
        if let Some(segment) = self.segment(began)?
            && let Some(row) = find(&segment, &allocation(external, known.clone()))?
        {
            known.add(&of_row(&segment, &row)?);
        }
        Ok((external, known))
    }

    fn in_day(&self, held: &Allocation, day: Day) -> Result<Option<Row>, Error> {
        match self.segment(day)? {
            Some(segment) => find(&segment, held),
            None => Ok(None),
        }
    }

    /// The nearest allocations that sealed days know of, outwards from `at` until one is found on
    /// either side.
    pub(crate) fn nearest(&self, external: External, at: Timestamp) -> Result<Nearest, Error> {
        let day = self.calendar.day_of(at);
        let mut nearest = Nearest::default();
        for (&day, _) in self.whole.range(..=day).rev() {
            let Some(segment) = self.segment(day)? else {
                continue;
            };
            nearest.before = segment.nearest(external, at)?.before;
            if nearest.before.is_some() {
                break;
            }
        }
        for (&day, _) in self.whole.range(day..) {
            let Some(segment) = self.segment(day)? else {
                continue;
            };
            nearest.after = segment.nearest(external, at)?.after;
            if nearest.after.is_some() {
                break;
            }
        }
        Ok(nearest)
    }

    /// What parts of days know of the endpoint at any time, and what the sealed days before them
    /// left open.
    pub(crate) fn unsettled(
        &self,
        external: External,
        within: PortRange,
        known: &mut Vec<Known>,
    ) -> Result<(), Error> {
        for (segment, left_after) in self.unsettled_segments(false)? {
            for row in segment.rows_of(external, ALWAYS)? {
                if row.ports.overlaps(within)
                    && left_after.is_none_or(|end| row.to.is_none_or(|to| end < to))
                {
                    known.push(of_row(&segment, &row)?);
                }
            }
        }
        Ok(())
    }

    /// The blocks that a subscriber held at some time that is not settled.
    pub(crate) fn unsettled_blocks_of(&self, subscriber: &Subscriber) -> Result<Vec<Block>, Error> {
        let mut blocks = Vec::new();
        for (segment, _) in self.unsettled_segments(false)? {
            let held = segment.by_subscriber(subscriber, ALWAYS)?;
            blocks.extend(held.into_iter().map(|held| held.block));
        }
        Ok(blocks)
    }

    /// All that is not settled, by address.
    ///
    /// Of the last sealed day also what ended at `since` or later.
    pub(crate) fn all_unsettled(
        &self,
        since: Timestamp,
    ) -> Result<HashMap<Ipv4Addr, Vec<Known>>, Error> {
        let mut all: HashMap<Ipv4Addr, Vec<Known>> = HashMap::new();
        for (segment, left_after) in self.unsettled_segments(true)? {
            for row in segment.rows() {
                let row: Row = row?;
                if left_after.is_none_or(|end| row.to.is_none_or(|to| end.min(since) <= to)) {
                    let known = of_row(&segment, &row)?;
                    all.entry(row.external).or_default().push(known);
                }
            }
        }
        Ok(all)
    }

    /// The parts, and the sealed days whose next day is not sealed: of those only what they left
    /// open, or what ended after the time told.
    /// `also_ended`: those too that left nothing open.
    fn unsettled_segments(&self, also_ended: bool) -> Result<Vec<Unsettled>, Error> {
        let Some(shelf) = &self.shelf else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for (&day, entry) in &self.manifest.days {
            if !entry.is_there() {
                continue;
            }
            for part in entry.parts() {
                found.push((shelf.segment(day, part)?, None));
            }
            if let Some(whole) = entry.whole()
                && (whole.left_open || also_ended)
                && !self.whole.contains_key(&day.next())
            {
                let end = self.calendar.span(day).to;
                found.push((shelf.segment(day, whole)?, Some(end)));
            }
        }
        Ok(found)
    }

    /// Gaps where days were deleted.
    pub(crate) fn deleted(&self, span: Span) -> Vec<Gap> {
        let deleted = self
            .manifest
            .days
            .iter()
            .filter(|(_, entry)| matches!(entry.state, DayState::Deleted | DayState::Deleting));
        let mut gaps: Vec<Gap> = Vec::new();
        for (day, _) in deleted {
            let whole = self.calendar.span(*day);
            let part = Span::new(whole.from.max(span.from), whole.to.min(span.to));
            match gaps.last_mut() {
                _ if part.is_empty() => {}
                Some(before) if before.span.to == part.from => before.span.to = part.to,
                _ => gaps.push(Gap {
                    span: part,
                    device: None,
                    reason: GapReason::Deleted,
                }),
            }
        }
        gaps
    }

    /// The sealed days that `span` touches.
    fn touched(&self, span: Span) -> Result<Vec<(Day, Arc<Segment>)>, Error> {
        let Some(days) = self.calendar.days(span) else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for (&day, _) in self.whole.range(days) {
            if let Some(segment) = self.segment(day)? {
                found.push((day, segment));
            }
        }
        Ok(found)
    }

    fn segment(&self, day: Day) -> Result<Option<Arc<Segment>>, Error> {
        match (&self.shelf, self.whole.get(&day)) {
            (Some(shelf), Some(entry)) => shelf.segment(day, entry).map(Some),
            _ => Ok(None),
        }
    }
}

/// A segment whose days are not settled; of a sealed one, only what went on after the time.
type Unsettled = (Arc<Segment>, Option<Timestamp>);

/// What some place knows of an allocation, with its external address.
pub(crate) type Told = (Ipv4Addr, Known);

/// A segment's row of an allocation.
pub(crate) fn find(segment: &Segment, held: &Allocation) -> Result<Option<Row>, Error> {
    let block = &held.block;
    let endpoint = External {
        address: block.external,
        port: Some(block.ports.first()),
        transport: None,
    };
    for row in segment.rows_of(endpoint, ALWAYS)? {
        if row.from == held.from
            && row.ports == block.ports
            && row.transport == block.transport
            && segment.allocation(&row)?.block.subscriber == block.subscriber
        {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// What tells one allocation from another, in order of start.
fn order((external, known): &Told) -> impl Ord + '_ {
    let Known {
        from,
        ports,
        transport,
        subscriber,
        ..
    } = known;
    (*from, *external, *ports, *transport, subscriber)
}

fn of_row(segment: &Segment, row: &Row) -> Result<Known, Error> {
    let held = segment.allocation(row)?;
    Ok(Known {
        ports: held.block.ports,
        transport: held.block.transport,
        from: held.from,
        to: held.to,
        concluded: row.concluded,
        subscriber: held.block.subscriber,
        device: held.device,
        record: held.record,
    })
}
