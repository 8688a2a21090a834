//! All records of a ledger by number, wherever they lie: in segments, or still in the log.

use std::sync::Arc;

use portledger_model::{Record, RecordNumber};
use portledger_proof::Hash;

use crate::{
    Day, Error, Flaw,
    home::Home,
    log::{
        folder,
        keys::Keys,
        tree::{GROUP, Stored, kept_leaves},
        writer::{Hasher, items},
    },
    manifest::{DayEntry, DayState, Manifest, Run},
    record::Records,
    segment_records,
    shelf::Shelf,
};

/// All records of a ledger by number.
pub(crate) struct Archive {
    home: Home,
    manifest: Manifest,
    shelf: Shelf,
    keys: Arc<Keys>,
    /// Whose records each run of numbers are, by first number.
    runs: Vec<(Run, Day)>,
}

/// Where a record is.
enum Place<'a> {
    Segment(Day, &'a DayEntry),
    /// In a part of a day that was deleted before the record came; what the part lacks was deleted.
    Late(Day, &'a DayEntry),
    Deleted,
    Log,
}

impl Archive {
    pub(crate) fn open(home: Home) -> Result<Self, Error> {
        let store = Arc::new(home.store()?);
        let manifest = Manifest::newest_or_new(&store, home.settings().calendar)?;
        let keys = home.keys::<Records>();
        let shelf = Shelf::new(store, Arc::clone(&keys));
        let days = manifest.days.iter();
        let mut runs: Vec<_> = days
            .flat_map(|(day, entry)| entry.runs.iter().map(|run| (*run, *day)))
            .collect();
        runs.sort_by_key(|(run, _)| run.first);
        Ok(Self {
            home,
            manifest,
            shelf,
            keys,
            runs,
        })
    }

    pub(crate) const fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(crate) const fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    pub(crate) const fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// How many records there ever were.
    pub(crate) fn len(&self) -> Result<u64, Error> {
        let from = self.manifest.sealed_until;
        let contents = folder::read(&self.home.log_dir(), from, |_| Ok(()))?;
        Ok(contents.next.max(from).0)
    }

    /// A record; `None` where it was deleted.
    ///
    /// # Errors
    /// When there is no such record, or it cannot be read.
    pub(crate) fn record(&self, number: RecordNumber) -> Result<Option<Record>, Error> {
        let mut found = None;
        self.range(number.0, number.0 + 1, |_, record| {
            found = record;
            Ok(())
        })?;
        Ok(found)
    }

    /// Hands over the records of a range in order; `None` for those that were deleted. It ends
    /// where the log does.
    pub(crate) fn range(
        &self,
        from: u64,
        to: u64,
        mut each: impl FnMut(RecordNumber, Option<Record>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut next = from;
        while next < to {
            let (place, run) = self.place(next)?;
            let end = run.map_or(to, |run| to.min(run.first + run.records));
            match place {
                Place::Deleted => {
                    for number in next..end {
                        each(RecordNumber(number), None)?;
                    }
                }
                Place::Segment(day, entry) => {
                    let mut expected = next;
                    self.of_segments(day, entry, next, end, |number, record| {
                        if number.0 != expected {
                            return Err(missing(expected, number.0));
                        }
                        expected += 1;
                        each(number, Some(record))
                    })?;
                    if expected != end {
                        return Err(missing(expected, end));
                    }
                }
                Place::Late(day, entry) => {
                    let mut expected = next;
                    self.of_segments(day, entry, next, end, |number, record| {
                        for deleted in expected..number.0 {
                            each(RecordNumber(deleted), None)?;
                        }
                        expected = number.0 + 1;
                        each(number, Some(record))
                    })?;
                    for deleted in expected..end {
                        each(RecordNumber(deleted), None)?;
                    }
                }
                Place::Log => {
                    folder::read(&self.home.log_dir(), RecordNumber(next), |chunk| {
                        let (first, count) = (chunk.first.0, u64::from(chunk.records));
                        if first + count <= next || end <= first {
                            return Ok(());
                        }
                        let key = self.keys.get(chunk.day)?;
                        items::<Records>(&chunk, key.as_deref(), |number, record| {
                            if (next..end).contains(&number.0) {
                                each(number, Some(record))?;
                            }
                            Ok(())
                        })
                    })?;
                }
            }
            next = end;
        }
        Ok(())
    }

    /// The leaf of each record of a group, as many as there are.
    pub(crate) fn leaves(&self, group: u64) -> Result<Vec<Hash>, Error> {
        let first = group * GROUP;
        let kept = kept_leaves(&self.home.log_dir(), group)?.unwrap_or_default();
        let mut hasher = Hasher::<Records>::new(&self.keys);
        let mut leaves = Vec::new();
        self.range(first, first + GROUP, |number, record| {
            leaves.push(match record {
                Some(record) => {
                    let day = self.home.settings().calendar.day_of(record.at);
                    let key = self.keys.get(day)?.ok_or(Flaw::Sealed(day))?;
                    hasher.leaf(&key, number, &record)
                }
                None => {
                    let at = usize::try_from(number.0 - first).unwrap_or(usize::MAX);
                    *kept.get(at).ok_or(Error::NoLeaves { group })?
                }
            });
            Ok(())
        })?;
        Ok(leaves)
    }

    /// The hashes of the tree over the records.
    pub(crate) fn tree(&self) -> Stored<impl Fn(u64) -> Result<Vec<Hash>, Error>> {
        Stored::open(&self.home.log_dir(), |group| self.leaves(group))
    }

    fn place(&self, number: u64) -> Result<(Place<'_>, Option<Run>), Error> {
        if self.manifest.sealed_until.0 <= number {
            return Ok((Place::Log, None));
        }
        let after = self.runs.partition_point(|(run, _)| run.first <= number);
        let found = after.checked_sub(1).and_then(|at| self.runs.get(at));
        let found = found.filter(|(run, _)| number < run.first + run.records);
        let (run, day) = found.ok_or_else(|| missing(number, number + 1))?;
        let entry = self.manifest.days.get(day);
        let entry = entry.ok_or_else(|| missing(number, number + 1))?;
        let place = match entry.state {
            _ if entry.is_there() => Place::Segment(*day, entry),
            // What came for it since it was deleted is there until it is deleted, too.
            DayState::Deleted | DayState::Deleting if !entry.segments.is_empty() => {
                Place::Late(*day, entry)
            }
            _ => Place::Deleted,
        };
        Ok((place, Some(*run)))
    }

    /// Hands over what the segments of a day have of a range, in order of number.
    fn of_segments(
        &self,
        day: Day,
        entry: &DayEntry,
        from: u64,
        to: u64,
        each: impl FnMut(RecordNumber, Record) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut segments = Vec::new();
        for segment in entry.segments.iter().filter(|segment| segment.records > 0) {
            segments.push(self.shelf.segment(day, segment)?);
        }
        segment_records::in_order(&segments, from..to, each)
    }
}

fn missing(from: u64, to: u64) -> Error {
    Error::Missing {
        from: RecordNumber(from),
        to: RecordNumber(to),
    }
}
