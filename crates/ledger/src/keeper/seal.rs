//! From the parts of a day that is over to the day, whole.
//!
//! A sealed day has every allocation that touched it: those handed out in it, those held on from
//! the day before, and those of which only a later release told. So an instant needs one file.

use std::collections::{BTreeMap, HashSet};

use portledger_model::{Allocation, Block, Span, Timestamp};

use super::{
    Keeper,
    merge::{Numbered, Output, Wanted, by_address, identity, number_anew},
};
use crate::{
    Day, Error,
    fragment::reconcile,
    ledger::find,
    manifest::{DayEntry, DayState, SegmentEntry},
};

impl Keeper {
    /// Seals the days that ended before `now`, one after the other. Returns how many.
    pub(super) fn seal_days(&mut self, now: Timestamp) -> Result<u64, Error> {
        let mut sealed = 0;
        let mut day = self.manifest.days.keys().next().copied();
        while let Some(next) = day.filter(|day| self.home.settings().calendar.span(*day).to <= now)
        {
            let mut begun_elsewhere = Elsewhere::default();
            if self.wants_sealing(next) {
                begun_elsewhere = self.begun_elsewhere(next)?;
                if let Some(first) = self.tell_other_days(&begun_elsewhere)? {
                    day = Some(first.min(next));
                    continue;
                }
            }
            // Something new in a day goes on into the next one, as far as it was held.
            let mut again = self
                .wants_sealing(next)
                .then_some((next, begun_elsewhere.ended));
            while let Some((day, ended)) = again {
                let goes_on = self.seal_day(day, &ended)?;
                sealed += 1;
                let following = self.manifest.days.get(&day.next());
                let was_sealed = following.is_some_and(|entry| entry.whole().is_some());
                again = if goes_on && was_sealed {
                    Some((day.next(), self.begun_elsewhere(day.next())?.ended))
                } else {
                    None
                };
            }
            day = self.following(next);
        }
        Ok(sealed)
    }

    /// Whether a day has parts, or was quiet while something was held on into it.
    fn wants_sealing(&self, day: Day) -> bool {
        match self.manifest.days.get(&day) {
            Some(entry) => {
                entry.is_there() && (entry.parts().next().is_some() || entry.whole().is_none())
            }
            None => true,
        }
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

    /// Seals a day, with all that is known of it by now. Returns whether anything in it that goes
    /// on beyond it is new.
    /// `ended` ended before the day, whatever its parts say.
    fn seal_day(&mut self, day: Day, ended: &HashSet<(Block, Timestamp)>) -> Result<bool, Error> {
        let span = self.home.settings().calendar.span(day);
        let old = self.manifest.days.get(&day).cloned().unwrap_or_default();
        let mut segments = Vec::new();
        let whole = old.whole().cloned();
        let before = self.whole_before(day);
        if let Some(whole) = &whole {
            // What began earlier is taken from the day before, which may know better by now.
            let wanted = match before {
                Some(_) => Wanted::WithRecords(span),
                None => Wanted::All,
            };
            segments.push((self.shelf.segment(day, whole)?, wanted));
        }
        for part in old.parts() {
            segments.push((self.shelf.segment(day, part)?, Wanted::All));
        }
        let own = segments.len();
        if let Some(before) = before.filter(|before| before.left_open) {
            let wanted = Wanted::HeldAfter(span.from);
            segments.push((self.shelf.segment(day.before(), before)?, wanted));
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
        let (dictionary, sources) = number_anew(segments)?;
        let ended: HashSet<_> = ended
            .iter()
            .filter_map(|(block, from)| {
                let subscriber = dictionary.number_of(&block.subscriber)?;
                let identity = (*from, block.ports, block.transport, subscriber);
                Some((block.external, identity))
            })
            .collect();
        let staged = self.stage(day)?;
        let mut output = Output::new(&staged, &dictionary, &sources)?;
        let mut left_open = false;
        by_address(&sources, |external, of_sources| {
            let mut known = touching(of_sources, span);
            known.retain(|known| !ended.contains(&(external, identity(known))));
            left_open |= known
                .iter()
                .any(|known| known.to.is_none_or(|to| span.to < to));
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
        let goes_on = match &whole {
            Some(whole) => self.goes_on_otherwise(day, whole, &sealed)?,
            None => left_open,
        };
        let replaced: Vec<_> = old
            .segments
            .iter()
            .map(|segment| (day, segment.id))
            .collect();
        let entry = self.manifest.days.entry(day).or_default();
        entry.state = DayState::Sealed;
        entry.segments = vec![sealed];
        self.publish(replaced)?;
        Ok(goes_on)
    }

    /// The segment of the day before, where that is sealed.
    fn whole_before(&self, day: Day) -> Option<&SegmentEntry> {
        let before = self.manifest.days.get(&day.before());
        before.filter(|entry| entry.is_there())?.whole()
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

/// What a day's parts tell of allocations that began on other days (later ones where a clock was set
/// back) and that the last sealed day does not have among those it left open.
#[derive(Default)]
struct Elsewhere {
    /// The day they began on did not know of them: their beginning was lost, or the log begins
    /// after it.
    unknown: Vec<Allocation>,
    /// The day they began on knows that they ended: a second, later release counts for nothing.
    ended: HashSet<(Block, Timestamp)>,
}

impl Keeper {
    fn begun_elsewhere(&self, day: Day) -> Result<Elsewhere, Error> {
        let span = self.home.settings().calendar.span(day);
        let mut segments = Vec::new();
        for part in self
            .manifest
            .days
            .get(&day)
            .into_iter()
            .flat_map(DayEntry::parts)
        {
            let part = self.shelf.segment(day, part)?;
            segments.push((part, Wanted::BegunOutside(span)));
        }
        let parts = segments.len();
        let sealed = self.manifest.days.range(..day).rev();
        let before = sealed.filter(|(_, entry)| entry.is_there());
        if let Some((other, whole)) = before.filter_map(|(d, e)| Some((*d, e.whole()?))).next() {
            let end = self.home.settings().calendar.span(other).to;
            let segment = self.shelf.segment(other, whole)?;
            segments.push((segment, Wanted::HeldAfter(end)));
        }
        let (dictionary, sources) = number_anew(segments)?;
        let mut elsewhere = Elsewhere::default();
        by_address(&sources, |external, of_sources| {
            let (told, left_open) = of_sources.split_at(parts);
            let left_open: HashSet<_> = left_open.iter().flatten().map(identity).collect();
            let mut told = told.concat();
            reconcile(&mut told);
            for known in told {
                if left_open.contains(&identity(&known)) {
                    continue;
                }
                let named = dictionary
                    .subscriber(known.subscriber)
                    .zip(dictionary.device(known.device));
                let Some((subscriber, device)) = named else {
                    continue;
                };
                let held = Allocation {
                    block: Block {
                        subscriber: subscriber.clone(),
                        external,
                        ports: known.ports,
                        transport: known.transport,
                    },
                    from: known.from,
                    to: known.to,
                    device: device.clone(),
                    record: known.record,
                };
                if self.is_settled(&held)? {
                    elsewhere.ended.insert((held.block, held.from));
                } else {
                    elsewhere.unknown.push(held);
                }
            }
            Ok(())
        })?;
        Ok(elsewhere)
    }

    /// Whether the day on which it began knows of an allocation's release, or cannot be told any
    /// more. An end that was only concluded is believed no longer when a release is told.
    fn is_settled(&self, held: &Allocation) -> Result<bool, Error> {
        let calendar = self.home.settings().calendar;
        let day = calendar.day_of(held.from);
        let Some(entry) = self.manifest.days.get(&day) else {
            return Ok(false);
        };
        if !entry.is_there() {
            return Ok(true);
        }
        for segment in &entry.segments {
            let segment = self.shelf.segment(day, segment)?;
            if let Some(row) = find(&segment, held)?
                && (held.to.is_none() || !row.concluded)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes what other days did not know as late parts of theirs. Returns the first of these
    /// days: from there on, days are sealed again.
    fn tell_other_days(&mut self, elsewhere: &Elsewhere) -> Result<Option<Day>, Error> {
        let calendar = self.home.settings().calendar;
        let mut by_day: BTreeMap<Day, Vec<&Allocation>> = BTreeMap::new();
        for held in &elsewhere.unknown {
            by_day
                .entry(calendar.day_of(held.from))
                .or_default()
                .push(held);
        }
        let first = by_day.keys().next().copied();
        for (day, held) in by_day {
            let part = self.write_late_part(day, &held)?;
            self.manifest
                .days
                .entry(day)
                .or_default()
                .segments
                .push(part);
        }
        if first.is_some() {
            self.publish([])?;
        }
        Ok(first)
    }
}

/// What is known of an address, put together: the allocations that touch the day.
fn touching(of_sources: &[Vec<Numbered>], span: Span) -> Vec<Numbered> {
    let mut known = of_sources.concat();
    reconcile(&mut known);
    known.retain(|known| {
        let to = known.to.unwrap_or(Timestamp::MAX);
        Span::new(known.from, to.max(known.from.after(Span::TICK))).overlaps(span)
    });
    known
}

fn whole_of(known: &Numbered) -> impl Eq + std::hash::Hash + use<> {
    (identity(known), known.to, known.concluded)
}
