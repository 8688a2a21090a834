//! The files of sealed days: that they are what was written, and that their allocations are what
//! the records say.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hash},
};

use portledger_model::{Block, Event, Timestamp};
use portledger_segments::Segment;
use portledger_store::StorePath;
use ring::digest::{Context, SHA256};

use super::{Verified, rules::Listed};
use crate::{
    Day, Error,
    archive::Archive,
    keeper::hex,
    manifest::{DayEntry, DayState, FileEntry, SegmentEntry, segment_path},
    recent::told,
    rules::is_of_rule,
    segment_records,
};

/// Bytes of a file that are read at once.
const READ: usize = 1 << 20;

pub(super) fn verify(archive: &Archive, verified: &mut Verified) {
    // Read when the first record of a rule is met: most ledgers have none.
    let mut rules = None;
    for (day, entry) in &archive.manifest().days {
        if !entry.is_there() {
            continue;
        }
        let mut sound = true;
        for segment in &entry.segments {
            sound &= verify_segment(archive, *day, segment, verified);
        }
        if entry.state == DayState::Sealed {
            verified.days += 1;
        }
        let Some(whole) = entry.whole().filter(|_| sound) else {
            continue;
        };
        match compare(archive, *day, entry, whole, &mut rules) {
            Ok(Compared { rows, wrong: None }) => verified.allocations += rows,
            Ok(Compared {
                wrong: Some(what), ..
            }) => verified.problem(format!("day {day}"), what),
            Err(error) => verified.problem(format!("day {day}"), error),
        }
    }
}

/// Whether the files of a segment are sound.
fn verify_segment(
    archive: &Archive,
    day: Day,
    segment: &SegmentEntry,
    verified: &mut Verified,
) -> bool {
    let before = verified.problems.len();
    for file in &segment.files {
        let place = segment_path(day, segment.id).and_then(|folder| Ok(folder.join(&file.name)?));
        match place.and_then(|path| Ok((is_as_written(archive, &path, file)?, path))) {
            Ok((true, _)) => verified.files += 1,
            Ok((false, path)) => {
                verified.problem(path, "its bytes are not those that were written");
            }
            Err(error) => verified.problem(format!("{day}/{}", file.name), error),
        }
    }
    // The pages tell where in a file it is.
    let pages = archive.shelf().segment(day, segment).and_then(|opened| {
        opened.verify()?;
        if segment.records > 0 {
            opened.verify_records()?;
        }
        Ok(())
    });
    if let Err(error) = pages {
        verified.problem(format!("day {day}"), error);
    }
    verified.problems.len() == before
}

fn is_as_written(archive: &Archive, path: &StorePath, file: &FileEntry) -> Result<bool, Error> {
    let opened = archive.shelf().store().open_file(path)?;
    if opened.len() != file.bytes {
        return Ok(false);
    }
    let mut digest = Context::new(&SHA256);
    let mut buffer = vec![0; READ];
    let mut offset = 0;
    while offset < file.bytes {
        let left = usize::try_from(file.bytes - offset).unwrap_or(READ);
        let Some(part) = buffer.get_mut(..left.min(READ)) else {
            break;
        };
        opened
            .read_at(part, offset)
            .map_err(|error| Error::io(path.as_str(), "read", error))?;
        digest.update(part);
        offset += part.len() as u64;
    }
    Ok(hex(digest.finish().as_ref()) == file.sha256)
}

/// What comparing a day's allocations with its records found.
struct Compared {
    rows: u64,
    wrong: Option<String>,
}

/// Hashes of what is compared, with a key of this run, so that nobody can make two alike.
struct Hashes(RandomState);

impl Hashes {
    fn of(&self, block: &Block, from: Timestamp, more: impl Hash) -> u64 {
        self.0.hash_one((block, from, more))
    }
}

/// Compares the allocations of a day with its records: each that a record hands out is there,
/// each that is there was told of by the record it names, each release was told.
fn compare(
    archive: &Archive,
    day: Day,
    entry: &DayEntry,
    whole: &SegmentEntry,
    rules: &mut Option<Listed>,
) -> Result<Compared, Error> {
    let span = archive.home().settings().calendar.span(day);
    let hashes = Hashes(RandomState::new());
    let mut unlisted = None;
    let (mut handed, mut told_of, mut released) = (Vec::new(), Vec::new(), Vec::new());
    let mut segments = Vec::new();
    for segment in entry.segments.iter().filter(|segment| segment.records > 0) {
        segments.push(archive.shelf().segment(day, segment)?);
    }
    segment_records::in_order(&segments, 0..u64::MAX, |number, record| {
        if let Some((block, from, to)) = told(&record) {
            told_of.push(hashes.of(block, from, number));
            match record.event {
                Event::Allocated(_) => handed.push(hashes.of(block, from, ())),
                _ => released.extend(to.map(|to| hashes.of(block, from, to))),
            }
        } else if is_of_rule(&record) {
            let listed = match rules {
                Some(listed) => listed,
                None => rules.insert(Listed::of(archive)?),
            };
            if listed.lacks(archive, number, &record) {
                unlisted.get_or_insert(number);
            }
        }
        Ok(())
    })?;
    for list in [&mut handed, &mut told_of, &mut released] {
        list.sort_unstable();
    }
    let segment = archive.shelf().segment(day, whole)?;
    let mut rows = Vec::new();
    let mut count = 0;
    let wrong = each_row(&segment, |block, row| {
        count += 1;
        rows.push(hashes.of(&block, row.from, ()));
        let here = |number: u64| {
            let runs = entry.runs.iter();
            runs.into_iter()
                .any(|run| (run.first..run.first + run.records).contains(&number))
        };
        let known = hashes.of(&block, row.from, row.opened);
        if here(row.opened.0) && told_of.binary_search(&known).is_err() {
            return Some(format!(
                "an allocation names record {} as the first that tells of it, which does not",
                row.opened
            ));
        }
        let ended = row.to.filter(|to| !row.concluded && span.contains(*to));
        if let Some(to) = ended
            && released
                .binary_search(&hashes.of(&block, row.from, to))
                .is_err()
        {
            return Some(format!(
                "the allocation of record {} ended at {to}, which no record says",
                row.opened
            ));
        }
        None
    })?;
    rows.sort_unstable();
    let missing = handed
        .iter()
        .filter(|hash| rows.binary_search(hash).is_err())
        .count();
    let wrong = wrong.or_else(|| {
        let number = unlisted?;
        Some(format!(
            "record {number} tells of a rule that the list of sealed days does not have"
        ))
    });
    let wrong = wrong.or_else(|| {
        (missing > 0)
            .then(|| format!("{missing} allocations that its records hand out are not there"))
    });
    Ok(Compared { rows: count, wrong })
}

/// Looks at all rows until something is wrong with one.
fn each_row(
    segment: &Segment,
    mut look: impl FnMut(Block, &portledger_segments::Row) -> Option<String>,
) -> Result<Option<String>, Error> {
    let dictionary = segment.dictionary()?;
    for row in segment.rows() {
        let row = row?;
        let Some(subscriber) = dictionary.subscriber(row.subscriber) else {
            return Ok(Some("an allocation of no subscriber".into()));
        };
        let block = Block {
            subscriber: subscriber.clone(),
            external: row.external,
            ports: row.ports,
            transport: row.transport,
        };
        if let Some(wrong) = look(block, &row) {
            return Ok(Some(wrong));
        }
    }
    Ok(None)
}
