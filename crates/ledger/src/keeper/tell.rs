//! What a day's records tell of other days.
//!
//! A record lies with the day on which it was made, but an allocation is looked for from the day
//! on which it began. Where that day does not know of it (its beginning was lost), or of its
//! release (it was concluded that it had ended), it is told by a late part, and sealed again.

use std::collections::{BTreeMap, HashMap};

use portledger_model::Allocation;
use portledger_segments::Row;

use super::{
    Keeper,
    merge::{Numbered, Wanted, by_address, identity, number_anew},
    seal::allocation,
};
use crate::{Day, Error, fragment::unite, manifest::DayEntry};

impl Keeper {
    /// What a day tells of allocations that began on other days (later ones where a clock was
    /// set back) and that those days do not know: their beginning was lost, or it was concluded
    /// that they had ended. Its parts tell, and where it is behind also the day as it was sealed: it may
    /// have been the first then, and have kept what it will now have from the days before only.
    pub(super) fn begun_elsewhere(&self, day: Day) -> Result<Vec<Allocation>, Error> {
        let span = self.home.settings().calendar.span(day);
        let mut segments = Vec::new();
        if let Some(entry) = self.manifest.days.get(&day) {
            let whole = entry.whole().filter(|_| entry.behind);
            for segment in entry.parts().chain(whole) {
                let segment = self.shelf.segment(day, segment)?;
                segments.push((segment, Wanted::BegunOutside(span)));
            }
        }
        let telling = segments.len();
        if let Some(before) = self.manifest.sealed_day(day.before()) {
            let segment = self.shelf.segment(day.before(), before)?;
            segments.push((segment, Wanted::HeldAfter(span.from)));
        }
        let (dictionary, sources) = number_anew(segments)?;
        let mut unknown = Vec::new();
        by_address(&sources, |external, of_sources| {
            let (told, left_open) = of_sources.split_at(telling);
            let left_open: HashMap<_, _> = (left_open.iter().flatten())
                .map(|known| (identity(known), known.record))
                .collect();
            let mut told = told.concat();
            told.iter_mut().for_each(Numbered::forget_conclusion);
            unite(&mut told);
            for known in told {
                // Its end is this day's to tell. That it was told of earlier than the days before know is
                // theirs: this day forgets it, should it come out that it ended before.
                let first = left_open.get(&identity(&known));
                if first.is_some_and(|first| *first <= known.record) {
                    continue;
                }
                let Some(held) = allocation(&dictionary, external, &known) else {
                    continue;
                };
                if !self.is_known(day, &held)? {
                    unknown.push(held);
                }
            }
            Ok(())
        })?;
        Ok(unknown)
    }

    /// The day that is to be told what `day` tells of an allocation: the one on which it began, or
    /// the first after it of which there is something and from which nothing up to `day` was
    /// deleted. `day` itself, where there is no other.
    fn day_to_tell(&self, day: Day, held: &Allocation) -> Day {
        let began = self.home.settings().calendar.day_of(held.from);
        if day <= began {
            return began;
        }
        let days = &self.manifest.days;
        let between = days.range(began..day).rev();
        let deleted = days.range(began..day).any(|(_, entry)| !entry.is_there());
        if !deleted && days.range(..=began).next().is_some() {
            return began;
        }
        let there = between.take_while(|(_, entry)| entry.is_there());
        there.last().map_or(day, |(first, _)| *first)
    }

    /// Whether the days from which an allocation is carried over know what `day` tells of it. An
    /// end that was only concluded gives way to a release.
    fn is_known(&self, day: Day, held: &Allocation) -> Result<bool, Error> {
        let told = self.day_to_tell(day, held);
        if told == day {
            return Ok(true);
        }
        let says = |row: &Row| {
            let released = row.to.filter(|_| !row.concluded);
            let has_ended = |told| released.is_some_and(|released| released <= told);
            row.opened <= held.record && held.to.is_none_or(has_ended)
        };
        for part in self
            .manifest
            .days
            .get(&told)
            .into_iter()
            .flat_map(DayEntry::parts)
        {
            if let Some((_, row)) = self.shelf.find(told, part, held)?
                && says(&row)
            {
                return Ok(true);
            }
        }
        let mut sealed = self.manifest.sealed(told);
        sealed.retain(|(sealed, _)| *sealed < day || day < told);
        let last = self.shelf.find_last(&sealed, held)?;
        Ok(last.is_some_and(|found| says(&found.row)))
    }

    /// Writes what other days did not know as late parts of theirs. Returns the first of these
    /// days: from there on, days are sealed again.
    pub(super) fn tell_other_days(
        &mut self,
        day: Day,
        unknown: &[Allocation],
    ) -> Result<Option<Day>, Error> {
        let mut by_day: BTreeMap<Day, Vec<&Allocation>> = BTreeMap::new();
        for held in unknown {
            let told = self.day_to_tell(day, held);
            by_day.entry(told).or_default().push(held);
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
