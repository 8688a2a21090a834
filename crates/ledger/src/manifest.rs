//! The list of what is sealed: which files make which day, and what each device's log promises.
//!
//! Each change writes a new list under the next number, put there only if nobody else has, so
//! that two who maintain one ledger cannot both succeed, on a disk or in an object store alike.

use std::collections::BTreeMap;

use portledger_model::{RecordNumber, Timestamp};
use portledger_store::{Store, StorePath};
use serde::{Deserialize, Serialize};

use crate::{
    Error,
    calendar::{Calendar, Day},
    log::chunk::Chunk,
    rules::Telling,
    timeline::{Timeline, micros},
};

const FORMAT: u32 = 2;

/// Lists that are kept: a reader may still hold an older one.
const KEPT: usize = 3;

/// The list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: u32,
    /// Its own number.
    pub(crate) generation: u64,
    /// When days begin, so that settings that were changed are noticed.
    pub(crate) day_starts: String,
    /// All records before this one are in segments, or deleted.
    #[serde(with = "record_number")]
    pub(crate) sealed_until: RecordNumber,
    /// The number of the next segment.
    pub(crate) next_segment: u64,
    #[serde(with = "by_day")]
    pub(crate) days: BTreeMap<Day, DayEntry>,
    pub(crate) devices: Vec<(String, Timeline)>,
    pub(crate) holds: Vec<Hold>,
    /// The records that tell of rules which were in force in time that is kept, or are still.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rules: Vec<Telling>,
    /// Of the time before this, nothing is told by rules any more.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "maybe_micros"
    )]
    pub(crate) rules_from: Option<Timestamp>,
    /// Folders of segments that others have replaced. They go with the change after the one that
    /// replaced them, so that who read the list before has time to open them.
    pub(crate) replaced: Vec<String>,
}

/// One day.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct DayEntry {
    pub(crate) state: DayState,
    pub(crate) segments: Vec<SegmentEntry>,
    /// Runs of the records that were made on this day, by first number.
    pub(crate) runs: Vec<Run>,
    /// It was sealed, but something else is carried over from the day before by now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) behind: bool,
}

/// What has become of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DayState {
    /// Its parts are looked at together, with what is still held of the day before.
    #[default]
    Open,
    /// One segment holds all that touches the day. Further parts came later.
    Sealed,
    /// Its key and its files are about to be destroyed.
    Deleting,
    /// Its key and its files are destroyed.
    Deleted,
}

/// Consecutive records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) first: u64,
    pub(crate) records: u64,
}

/// A segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentEntry {
    /// Names its folder, and no other's ever.
    pub(crate) id: u64,
    /// Holds all that touches the day, rather than what some records say.
    pub(crate) whole: bool,
    pub(crate) encrypted: bool,
    /// Some allocation goes on beyond the day.
    pub(crate) left_open: bool,
    pub(crate) allocations: u64,
    pub(crate) records: u64,
    pub(crate) files: Vec<FileEntry>,
}

/// A file of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// Days that must not be deleted while a case is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The case's reference.
    pub case: String,
    /// The first instant that is held.
    #[serde(with = "micros")]
    pub from: Timestamp,
    /// The first instant after it.
    #[serde(with = "micros")]
    pub to: Timestamp,
}

impl Manifest {
    pub(crate) fn new(calendar: Calendar) -> Self {
        Self {
            format: FORMAT,
            generation: 0,
            day_starts: calendar.to_string(),
            sealed_until: RecordNumber(0),
            next_segment: 0,
            days: BTreeMap::new(),
            devices: Vec::new(),
            holds: Vec::new(),
            rules: Vec::new(),
            rules_from: None,
            replaced: Vec::new(),
        }
    }

    /// The newest list; `None` where nothing was sealed yet.
    pub(crate) fn newest(store: &Store) -> Result<Option<Self>, Error> {
        let Some((_, path)) = generations(store)?.pop() else {
            return Ok(None);
        };
        let bytes = store.get(&path)?;
        let wrong = |reason: String| Error::Manifest {
            file: path.to_string(),
            reason,
        };
        let manifest: Self =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if manifest.format == FORMAT {
            Ok(Some(manifest))
        } else {
            Err(wrong(format!(
                "it is in format {}, which this release cannot read",
                manifest.format
            )))
        }
    }

    /// The newest list, or an empty one.
    pub(crate) fn newest_or_new(store: &Store, calendar: Calendar) -> Result<Self, Error> {
        let manifest = Self::newest(store)?.unwrap_or_else(|| Self::new(calendar));
        if manifest.day_starts == calendar.to_string() {
            return Ok(manifest);
        }
        Err(Error::Settings {
            file: crate::settings::FILE.into(),
            reason: format!(
                "day_starts is {calendar}, but days were sealed that start at {}: put that back",
                manifest.day_starts
            ),
        })
    }

    /// Makes this the newest list.
    pub(crate) fn publish(&mut self, store: &Store) -> Result<(), Error> {
        self.generation += 1;
        let bytes = serde_json::to_vec(self).map_err(|error| Error::Manifest {
            file: "manifest".into(),
            reason: error.to_string(),
        })?;
        store.put_new(&path(self.generation)?, bytes)?;
        let mut old = generations(store)?;
        old.truncate(old.len().saturating_sub(KEPT));
        for (_, path) in old {
            store.delete(&path)?;
        }
        Ok(())
    }

    /// Whether a chunk of the log was deleted: its day was, after it had gone into segments.
    pub(crate) fn has_deleted(&self, chunk: &Chunk<'_>) -> bool {
        let end = chunk.first.0.saturating_add(chunk.records.into());
        let entry = self.days.get(&chunk.day);
        end <= self.sealed_until.0 && entry.is_some_and(|entry| !entry.is_there())
    }

    /// Whether a segment is in the list.
    pub(crate) fn names(&self, day: Day, id: u64) -> bool {
        let segments = self.days.get(&day).map(|entry| &entry.segments);
        segments.is_some_and(|segments| segments.iter().any(|segment| segment.id == id))
    }

    /// The segment of a sealed day whose records are there.
    pub(crate) fn sealed_day(&self, day: Day) -> Option<&SegmentEntry> {
        self.days.get(&day)?.sealed()
    }

    /// The segment of a sealed day that has all that is carried over from the day before.
    pub(crate) fn carries_over(&self, day: Day) -> Option<&SegmentEntry> {
        self.days.get(&day).filter(|entry| !entry.behind)?.sealed()
    }

    /// Whether a sealed day does not have all that is carried over to it.
    pub(crate) fn is_behind(&self, day: Day) -> bool {
        self.days.get(&day).is_some_and(|entry| entry.behind)
    }

    /// The first sealed day that is behind.
    pub(crate) fn first_behind(&self) -> Option<Day> {
        let mut days = self.days.iter();
        days.find_map(|(day, entry)| (entry.behind && entry.is_there()).then_some(*day))
    }

    /// The first sealed day from a day on.
    pub(crate) fn next_sealed(&self, from: Day) -> Option<(Day, &SegmentEntry)> {
        let mut days = self.days.range(from..);
        days.find_map(|(day, entry)| Some((*day, entry.sealed()?)))
    }

    /// Whether nothing is known of the time before a day: there is no earlier one, or it was
    /// deleted.
    pub(crate) fn is_first(&self, day: Day) -> bool {
        let before = self.days.range(..day).next_back();
        before.is_none_or(|(_, entry)| !entry.is_there())
    }

    /// The sealed days from a day on.
    pub(crate) fn sealed(&self, from: Day) -> Vec<(Day, &SegmentEntry)> {
        let days = self.days.range(from..);
        days.filter_map(|(day, entry)| Some((*day, entry.sealed()?)))
            .collect()
    }

    /// A device's timeline, made where there is none.
    pub(crate) fn device(&mut self, name: &str) -> Option<&mut Timeline> {
        let place = self.devices.iter().position(|(known, _)| known == name);
        let place = place.unwrap_or_else(|| {
            self.devices.push((name.to_owned(), Timeline::default()));
            self.devices.len() - 1
        });
        self.devices.get_mut(place).map(|(_, timeline)| timeline)
    }
}

impl DayEntry {
    /// The segment that holds all of the day, where it is sealed.
    pub(crate) fn whole(&self) -> Option<&SegmentEntry> {
        self.segments.iter().find(|segment| segment.whole)
    }

    /// The same, unless it was deleted.
    pub(crate) fn sealed(&self) -> Option<&SegmentEntry> {
        self.whole().filter(|_| self.is_there())
    }

    /// Segments that are looked at together with everything recent.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &SegmentEntry> {
        self.segments.iter().filter(|segment| !segment.whole)
    }

    /// Whether something of it can be read.
    pub(crate) fn is_there(&self) -> bool {
        matches!(self.state, DayState::Open | DayState::Sealed)
    }

    /// Notes that records were made on this day.
    pub(crate) fn add_record(&mut self, number: u64) {
        match self.runs.last_mut() {
            Some(run) if run.first + run.records == number => run.records += 1,
            _ => self.runs.push(Run {
                first: number,
                records: 1,
            }),
        }
    }
}

/// Where a segment's files lie.
pub(crate) fn segment_path(day: Day, id: u64) -> Result<StorePath, Error> {
    Ok(format!("days/{day}/{id:08}").parse::<StorePath>()?)
}

/// Where a day's files lie.
pub(crate) fn day_path(day: Day) -> Result<StorePath, Error> {
    Ok(format!("days/{day}").parse::<StorePath>()?)
}

fn path(generation: u64) -> Result<StorePath, Error> {
    Ok(format!("manifest/{generation:020}.json").parse::<StorePath>()?)
}

/// The lists there are, oldest first.
fn generations(store: &Store) -> Result<Vec<(u64, StorePath)>, Error> {
    let all = store.list(Some(&"manifest".parse::<StorePath>()?))?;
    let mut found: Vec<_> = all
        .into_iter()
        .filter_map(|entry| {
            let digits = entry.path.name().strip_suffix(".json")?;
            Some((digits.parse().ok()?, entry.path))
        })
        .collect();
    found.sort_by_key(|(generation, _)| *generation);
    Ok(found)
}

mod record_number {
    use portledger_model::RecordNumber;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        number: &RecordNumber,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        number.0.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<RecordNumber, D::Error> {
        u64::deserialize(deserializer).map(RecordNumber)
    }
}

mod maybe_micros {
    use portledger_model::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        at: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        at.map(Timestamp::as_micros).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<i64>::deserialize(deserializer)?.map(Timestamp::from_micros))
    }
}

mod by_day {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    use super::{Day, DayEntry};

    pub(crate) fn serialize<S: Serializer>(
        days: &BTreeMap<Day, DayEntry>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(days.iter().map(|(day, entry)| (day.to_string(), entry)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Day, DayEntry>, D::Error> {
        let days = BTreeMap::<String, DayEntry>::deserialize(deserializer)?;
        let parsed = days
            .into_iter()
            .map(|(day, entry)| Ok((day.parse().map_err(D::Error::custom)?, entry)));
        parsed.collect()
    }
}
