//! From the parts of a day that is over to the day, whole.
//!
//! A sealed day has every allocation that touched it: those handed out in it, those held on from
//! the day before, and those of which only a later release told. So an instant needs one file.

use std::{collections::HashSet, net::Ipv4Addr, sync::Arc};

use portledger_model::{Allocation, Block, Span, Timestamp};
use portledger_segments::{Dictionary, Segment};

use super::{
    Keeper,
    merge::{Numbered, Output, Wanted, by_address, identity, number_anew},
};
use crate::{
    Day, Error,
    fragment::reconcile,
    manifest::{DayEntry, DayState, SegmentEntry},
};

impl Keeper {
    /// Seals the days that ended before `now`, one after the other. Returns how many.
    pub(super) fn seal_days(&mut self, now: Timestamp) -> Result<u64, Error> {
        let mut sealed = 0;
        let mut day = self.manifest.days.keys().next().copied();
        while let Some(next) = day.filter(|day| self.is_over(*day, now)) {
            if self.wants_sealing(next) {
                let unknown = self.begun_elsewhere(next)?;
                if let Some(first) = self.tell_other_days(next, &unknown)? {
                    day = Some(first.min(next));
                    continue;
                }
                self.seal_day(next)?;
                sealed += 1;
            }
            day = self.following(next);
        }
        Ok(sealed)
    }

    /// Whether a day has ended: a later one that was sealed had, too, whatever the clock says now.
    fn is_over(&self, day: Day, now: Timestamp) -> bool {
        let calendar = self.home.settings().calendar;
        calendar.span(day).to <= now || self.manifest.next_sealed(day).is_some()
    }

    /// Whether a day has parts, does not know what is carried over to it, or was quiet while
    /// something was held on into it.
    fn wants_sealing(&self, day: Day) -> bool {
        self.manifest.days.get(&day).is_none_or(|entry| {
            let is_new = entry.whole().is_none() || entry.parts().next().is_some();
            entry.is_there() && (is_new || entry.behind)
        })
    }

    /// The next day there is something of: the day after, where something was held on into it
    /// by a device that was still heard of.
    fn following(&self, day: Day) -> Option<Day> {
        let next = day.next();
        let held_on = self.manifest.days.get(&day).is_some_and(|entry| {
            entry.is_there() && entry.whole().is_some_and(|whole| whole.left_open)
        });
        let begins = self.home.settings().calendar.span(next).from;
        let heard = self
            .manifest
            .devices
            .iter()
            .any(|(_, timeline)| timeline.last().is_some_and(|last| begins <= last.at));
        if held_on && heard {
            return Some(next);
        }
        self.manifest.days.range(next..).next().map(|(day, _)| *day)
    }

    /// Seals a day, with all that is known of it by now. Where anything that goes on beyond it is
    /// new, the next day is to be sealed again; where the day itself is new, the next that is sealed.
    fn seal_day(&mut self, day: Day) -> Result<(), Error> {
        let span = self.home.settings().calendar.span(day);
        let old = self.manifest.days.get(&day).cloned().unwrap_or_default();
        let sources = self.sources(day, &old)?;
        let (own, carried) = (sources.own, sources.carried);
        let (dictionary, sources) = number_anew(sources.segments)?;
        let staged = self.stage(day)?;
        let mut output = Output::new(&staged, &dictionary, &sources)?;
        let mut left_open = false;
        let later = self.manifest.sealed(day.next());
        by_address(&sources, |external, of_sources| {
            let mut known = of_sources.concat();
            reconcile(&mut known);
            for known in known.iter_mut().filter(|known| known.concluded) {
                // A day that was sealed before this one may know of its release.
                if let Some(held) = allocation(&dictionary, external, known)
                    && let Some(found) = self.shelf.find_last(&later, &held)?
                    && !found.row.concluded
                {
                    known.to = found.row.to.or(known.to);
                    known.concluded = found.row.to.is_none();
                }
            }
            known.retain(|known| known.from < span.to);
            if let Carried::From(place) = carried {
                // What the day before does not have at its end had ended, whatever was told since.
                let carried = place.and_then(|place| of_sources.get(place));
                let carried: HashSet<_> = carried.into_iter().flatten().map(identity).collect();
                known.retain(|known| {
                    span.from <= known.from
                        || carried.contains(&identity(known)) && is_held_after(known, span.from)
                });
            }
            left_open |= known.iter().any(|known| is_held_after(known, span.to));
            output.push(external, known)
        })?;
        let of_day: Vec<_> = sources.iter().take(own).collect();
        output.write_records(&of_day)?;
        let (allocations, records, files) = output.finish()?;
        let sealed = SegmentEntry {
            id: staged.id,
            whole: true,
            encrypted: staged.key.is_some(),
            left_open,
            allocations,
            records,
            files: self.shelve(&staged, &files)?,
        };
        let told = match old.whole() {
            Some(whole) => self
                .goes_on_otherwise(day, whole, &sealed)?
                .then(|| day.next()),
            // A later day that had none before it kept all it was told. Of what began before it, this
            // one knows better.
            None => self
                .manifest
                .next_sealed(day.next())
                .map(|(later, _)| later),
        };
        let replaced: Vec<_> = (old.segments.iter())
            .map(|segment| (day, segment.id))
            .collect();
        let entry = self.manifest.days.entry(day).or_default();
        entry.state = DayState::Sealed;
        entry.segments = vec![sealed];
        entry.behind = false;
        if let Some(told) = told.and_then(|told| self.manifest.days.get_mut(&told)) {
            told.behind |= told.sealed().is_some();
        }
        self.publish(replaced)
    }

    /// The segments that know something of a day.
    fn sources(&self, day: Day, old: &DayEntry) -> Result<DaySources, Error> {
        let span = self.home.settings().calendar.span(day);
        let mut segments = Vec::new();
        for segment in &old.segments {
            segments.push((self.shelf.segment(day, segment)?, Wanted::All));
        }
        let own = segments.len();
        let carried = if self.manifest.is_first(day) {
            Carried::Unknown
        } else if let Some(before) = self.manifest.sealed_day(day.before()) {
            let wanted = Wanted::HeldAfter(span.from);
            segments.push((self.shelf.segment(day.before(), before)?, wanted));
            Carried::From(Some(own))
        } else {
            Carried::From(None)
        };
        // Of a day that is told of after a later one: what that one knows to have been held already.
        if old.whole().is_none()
            && let Some((later, whole)) = self.manifest.next_sealed(day.next())
        {
            let wanted = Wanted::BegunWithin(Span::new(Timestamp::MIN, span.to));
            segments.push((self.shelf.segment(later, whole)?, wanted));
        }
        for (&other, entry) in &self.manifest.days {
            // A later part tells of the release of what began on this day.
            if day < other && entry.is_there() {
                for part in entry.parts() {
                    let wanted = Wanted::BegunWithin(span);
                    segments.push((self.shelf.segment(other, part)?, wanted));
                }
            }
        }
        Ok(DaySources {
            segments,
            own,
            carried,
        })
    }

    /// Whether what goes on beyond a day is otherwise in its new segment than in the one before.
    fn goes_on_otherwise(
        &self,
        day: Day,
        old: &SegmentEntry,
        new: &SegmentEntry,
    ) -> Result<bool, Error> {
        let end = self.home.settings().calendar.span(day).to;
        let mut segments = Vec::new();
        for entry in [old, new] {
            segments.push((self.shelf.segment(day, entry)?, Wanted::HeldAfter(end)));
        }
        let (_, sources) = number_anew(segments)?;
        let mut otherwise = false;
        by_address(&sources, |_, of_sources| {
            if let [old, new] = of_sources {
                let all = |known: &[Numbered]| known.iter().map(whole_of).collect::<HashSet<_>>();
                otherwise |= all(old) != all(new);
            }
            Ok(())
        })?;
        Ok(otherwise)
    }
}

/// The segments that know something of a day.
struct DaySources {
    segments: Vec<(Arc<Segment>, Wanted)>,
    /// So many, the first, are the day's own.
    own: usize,
    carried: Carried,
}

/// What is carried over to a day.
#[derive(Clone, Copy)]
enum Carried {
    /// Nobody knows: there is no day before. What ended before it may come to be an earlier day's,
    /// told of later, so all that is told is kept.
    Unknown,
    /// What the segment at this place has; `None`: nothing, since the day before was quiet.
    From(Option<usize>),
}

/// What is known of an allocation, in words.
pub(super) fn allocation(
    dictionary: &Dictionary,
    external: Ipv4Addr,
    known: &Numbered,
) -> Option<Allocation> {
    Some(Allocation {
        block: Block {
            subscriber: dictionary.subscriber(known.subscriber)?.clone(),
            external,
            ports: known.ports,
            transport: known.transport,
        },
        from: known.from,
        to: known.to,
        device: dictionary.device(known.device)?.clone(),
        record: known.record,
        by_rule: None,
    })
}

fn is_held_after(known: &Numbered, time: Timestamp) -> bool {
    known.to.is_none_or(|to| time < to)
}

/// All that days say of an allocation. The record that told of it first is a part of that: a day that
/// does not learn of an earlier one would be taken for ever not to know what was told.
fn whole_of(known: &Numbered) -> impl Eq + std::hash::Hash + use<> {
    (identity(known), known.to, known.concluded, known.record)
}
