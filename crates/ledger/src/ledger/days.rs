//! The days of a ledger: sealed ones, each asked alone, and those whose parts are asked together
//! with what is recent.
//!
//! ```text
//!  sealed  sealed  sealed │ part part part │ log
//!  ───────────────────────┼────────────────┴────
//!    one file an instant  │ put together for each question, with what the last
//!                         │ sealed day left open
//! ```

use std::{collections::HashMap, net::Ipv4Addr, sync::Arc};

use portledger_model::{Allocation, External, Gap, GapReason, Span, Subscriber, Timestamp};
use portledger_segments::{Row, Segment};

use super::told::{Known, Told, allocation};
use crate::{
    Error,
    calendar::{Calendar, Day},
    fragment::Beginning,
    manifest::{DayState, Manifest, SegmentEntry},
    shelf::Shelf,
};

pub(crate) struct Days {
    manifest: Manifest,
    calendar: Calendar,
    shelf: Option<Shelf>,
    /// The first sealed day that does not know what an earlier one was told since: sealing goes on,
    /// or was interrupted. Of what it and later days know, earlier ones may know better.
    behind: Option<Day>,
}

impl Days {
    pub(crate) fn new(manifest: Manifest, calendar: Calendar, shelf: Option<Shelf>) -> Self {
        Self {
            behind: manifest.first_behind(),
            manifest,
            calendar,
            shelf,
        }
    }

    pub(crate) const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What sealed days know of the endpoint within `span`.
    pub(crate) fn holders(&self, external: External, span: Span) -> Result<Vec<Told>, Error> {
        let mut found = Vec::new();
        for (segment, until) in self.touched(span)? {
            for row in segment.rows_of(external, span)? {
                found.push(of_row(&segment, &row)?.of_sealed(until));
            }
        }
        Ok(found)
    }

    /// What sealed days know of a subscriber within `span`.
    pub(crate) fn by_subscriber(
        &self,
        subscriber: &Subscriber,
        span: Span,
    ) -> Result<Vec<Told>, Error> {
        let mut found = Vec::new();
        for (segment, until) in self.touched(span)? {
            for row in rows_of_subscriber(&segment, subscriber, span)? {
                found.push(of_row(&segment, &row)?.of_sealed(until));
            }
        }
        Ok(found)
    }

    /// Adds what sealed days know of an allocation.
    pub(crate) fn add_to(&self, told: &mut Told) -> Result<(), Error> {
        let Some(shelf) = self.shelf.as_ref().filter(|_| !told.is_settled) else {
            return Ok(());
        };
        told.is_settled = true;
        let sealed = self.manifest.sealed(self.calendar.day_of(told.known.from));
        let held = allocation(told.external, told.known.clone());
        let (mut last, mut has_ended) = (None, false);
        // Days up to the next that is behind know the same; from there on, what was known before.
        for run in sealed.chunk_by(|_, (day, _)| !self.manifest.is_behind(*day)) {
            if let Some(found) = shelf.find_last(run, &held)? {
                let known = of_row(&found.segment, &found.row)?.known;
                told.known.add(&known);
                has_ended |= known.to.is_some();
                last = Some(found.day);
            }
        }
        if has_ended {
            return Ok(());
        }
        // The days after it were sealed without it: whoever took its ports there did not end it.
        let address = address(told.external);
        let without = sealed.iter().filter(|(day, _)| last < Some(*day));
        for &(day, entry) in without {
            if told.known.to.is_some() {
                break;
            }
            let rows = shelf.segment(day, entry)?.rows_of(address, Span::ALWAYS)?;
            let beginnings: Vec<_> = rows.iter().map(beginning).collect();
            told.known.end_before(&beginnings);
        }
        Ok(())
    }

    /// What each sealed day knows of the endpoint, from the one with `at` backwards, with the
    /// time at which the day began.
    pub(crate) fn backwards(
        &self,
        external: External,
        at: Timestamp,
    ) -> impl Iterator<Item = (Timestamp, Result<Vec<Told>, Error>)> {
        self.sealed_until(at).map(move |(day, entry)| {
            let told = || {
                let Some(segment) = self.open(day, Some(entry))? else {
                    return Ok(Vec::new());
                };
                let until = self.knows_until(day);
                let rows = segment.rows_of(external, Span::ALWAYS)?.into_iter();
                rows.map(|row| Ok(of_row(&segment, &row)?.of_sealed(until)))
                    .collect()
            };
            (self.calendar.span(day).from, told())
        })
    }

    /// The last allocation of the endpoint that ended by `at`, as far as sealed days know.
    pub(crate) fn nearest_before(
        &self,
        external: External,
        at: Timestamp,
    ) -> Result<Option<Allocation>, Error> {
        for (day, entry) in self.sealed_until(at) {
            if let Some(segment) = self.open(day, Some(entry))?
                && let Some(before) = segment.nearest(external, at)?.before
            {
                return Ok(Some(before));
            }
        }
        Ok(None)
    }

    /// The first allocation of the endpoint that began after `at`, as far as sealed days know.
    pub(crate) fn nearest_after(
        &self,
        external: External,
        at: Timestamp,
    ) -> Result<Option<Allocation>, Error> {
        let day = self.calendar.day_of(at);
        for (&day, entry) in self.manifest.days.range(day..) {
            if let Some(segment) = self.open(day, entry.sealed())?
                && let Some(after) = segment.nearest(external, at)?.after
            {
                return Ok(Some(after));
            }
        }
        Ok(None)
    }

    /// What parts of days know of the endpoint at any time, and what the last sealed day left open.
    pub(crate) fn unsettled(&self, external: External) -> Result<Vec<Told>, Error> {
        let mut found = Vec::new();
        for unsettled in self.unsettled_segments(false)? {
            for row in unsettled.segment.rows_of(external, Span::ALWAYS)? {
                if unsettled.has(&row) {
                    found.push(unsettled.told(&row)?);
                }
            }
        }
        Ok(found)
    }

    /// As [`Days::unsettled`], of a subscriber.
    pub(crate) fn unsettled_of_subscriber(
        &self,
        subscriber: &Subscriber,
    ) -> Result<Vec<Told>, Error> {
        let mut found = Vec::new();
        for unsettled in self.unsettled_segments(false)? {
            for row in rows_of_subscriber(&unsettled.segment, subscriber, Span::ALWAYS)? {
                if unsettled.has(&row) {
                    found.push(unsettled.told(&row)?);
                }
            }
        }
        Ok(found)
    }

    /// What began on an address, as far as not all sealed days know it.
    pub(crate) fn unsettled_beginnings(&self, external: Ipv4Addr) -> Result<Vec<Beginning>, Error> {
        let mut found = Vec::new();
        for unsettled in self.unsettled_segments(false)? {
            if unsettled.until != Some(Timestamp::MAX) {
                let rows = unsettled.segment.rows_of(address(external), Span::ALWAYS)?;
                let rows = rows.iter().filter(|row| unsettled.has(row));
                found.extend(rows.map(beginning));
            }
        }
        Ok(found)
    }

    /// All that is not settled, by address.
    ///
    /// Of the last sealed day also what ended at `since` or later.
    pub(crate) fn all_unsettled(
        &self,
        since: Timestamp,
    ) -> Result<HashMap<Ipv4Addr, Vec<Told>>, Error> {
        let mut all: HashMap<Ipv4Addr, Vec<Told>> = HashMap::new();
        for mut unsettled in self.unsettled_segments(true)? {
            unsettled.left_after = unsettled.left_after.map(|end| {
                let before_since = Timestamp::from_micros(since.as_micros().saturating_sub(1));
                end.min(before_since)
            });
            for row in unsettled.segment.rows() {
                let row = row?;
                if unsettled.has(&row) {
                    let told = unsettled.told(&row)?;
                    all.entry(told.external).or_default().push(told);
                }
            }
        }
        Ok(all)
    }

    /// The parts, and the sealed days whose next day does not have all that is carried over to
    /// it: of those only what they left open.
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
                found.push(Unsettled {
                    segment: shelf.segment(day, part)?,
                    left_after: None,
                    until: None,
                });
            }
            if let Some(whole) = entry.whole()
                && (whole.left_open || also_ended)
                && self.manifest.carries_over(day.next()).is_none()
            {
                found.push(Unsettled {
                    segment: shelf.segment(day, whole)?,
                    left_after: Some(self.calendar.span(day).to),
                    until: Some(self.knows_until(day)),
                });
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

    /// The time from which on other sealed days may know better than this one.
    fn knows_until(&self, day: Day) -> Timestamp {
        if self.behind.is_some_and(|behind| behind <= day) {
            return Timestamp::MIN;
        }
        match self.manifest.next_sealed(day.next()) {
            Some(_) => self.calendar.span(day).to,
            None => Timestamp::MAX,
        }
    }

    /// Whether some sealed days do not know what earlier ones were told since.
    pub(super) const fn is_any_behind(&self) -> bool {
        self.behind.is_some()
    }

    /// The sealed days that know of `span`, and until when each knows all.
    fn touched(&self, span: Span) -> Result<Vec<(Arc<Segment>, Timestamp)>, Error> {
        let Some(days) = self.calendar.days(span) else {
            return Ok(Vec::new());
        };
        let last = *days.end();
        let sealed = self.manifest.days.range(days);
        let sealed = sealed.filter_map(|(day, entry)| Some((*day, entry.sealed()?)));
        let next = self.instead_of(last);
        let mut found = Vec::new();
        for (day, entry) in sealed.chain(next) {
            if let Some(segment) = self.open(day, Some(entry))? {
                found.push((segment, self.knows_until(day)));
            }
        }
        Ok(found)
    }

    /// The sealed days that know what ended by `at`, from the last one backwards.
    fn sealed_until(&self, at: Timestamp) -> impl Iterator<Item = (Day, &SegmentEntry)> {
        let last = self.calendar.day_of(at);
        let days = self.manifest.days.range(..=last).rev();
        let sealed = days.filter_map(|(day, entry)| Some((*day, entry.sealed()?)));
        self.instead_of(last).into_iter().chain(sealed)
    }

    /// Of a day that is not sealed (it may have been quiet, or be told of only now) the next
    /// sealed one may know what was held on.
    fn instead_of(&self, day: Day) -> Option<(Day, &SegmentEntry)> {
        let entry = self.manifest.days.get(&day);
        let unsealed = entry.is_none_or(|entry| entry.is_there() && entry.whole().is_none());
        unsealed.then(|| self.manifest.next_sealed(day))?
    }

    fn open(&self, day: Day, entry: Option<&SegmentEntry>) -> Result<Option<Arc<Segment>>, Error> {
        let opened = self.shelf.as_ref().zip(entry);
        opened
            .map(|(shelf, entry)| shelf.segment(day, entry))
            .transpose()
    }
}

/// A segment whose rows are not settled.
struct Unsettled {
    segment: Arc<Segment>,
    /// Of a sealed day, only what went on after this.
    left_after: Option<Timestamp>,
    /// Until when a sealed day knows all.
    until: Option<Timestamp>,
}

impl Unsettled {
    fn has(&self, row: &Row) -> bool {
        self.left_after
            .is_none_or(|end| row.to.is_none_or(|to| end < to))
    }

    fn told(&self, row: &Row) -> Result<Told, Error> {
        let told = of_row(&self.segment, row)?;
        Ok(match self.until {
            Some(until) => told.of_sealed(until),
            None => told,
        })
    }
}

const fn address(external: Ipv4Addr) -> External {
    External {
        address: external,
        port: None,
        transport: None,
    }
}

fn rows_of_subscriber(
    segment: &Segment,
    asked: &Subscriber,
    span: Span,
) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    for number in segment.numbers_meeting(asked)? {
        rows.extend(segment.rows_of_subscriber(number, span)?);
    }
    Ok(rows)
}

const fn beginning(row: &Row) -> Beginning {
    Beginning {
        from: row.from,
        ports: row.ports,
        transport: row.transport,
    }
}

fn of_row(segment: &Segment, row: &Row) -> Result<Told, Error> {
    let held = segment.allocation(row)?;
    let known = Known {
        ports: held.block.ports,
        transport: held.block.transport,
        from: held.from,
        to: held.to,
        concluded: row.concluded,
        subscriber: held.block.subscriber,
        device: held.device,
        record: held.record,
    };
    Ok(Told::new(held.block.external, known))
}
