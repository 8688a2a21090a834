//! Writing the allocations of a segment.

use std::{fs::File, path::Path};

use parquet::data_type::ByteArray;
use portledger_model::{RecordNumber, Timestamp, Transport};

use super::{Column, Packing, TableWriter};
use crate::{
    Dictionary, Error, Key, LocalFile, Resolution, Row,
    dictionary::InternalText,
    layout::{ALLOCATIONS, BY_SUBSCRIBER, GROUP_ROWS, Layout, NUMBERS, SUBSCRIBERS},
    shortcuts,
    table::Table,
};

/// Writes a segment's allocations, which come in the order of [`Row::order`]. Memory is that of
/// one row group and eight bytes a row.
///
/// The files are complete once [`SegmentWriter::finish`] has returned; what a writer leaves that
/// is dropped before is of no use.
pub struct SegmentWriter<'a> {
    dir: &'a Path,
    dictionary: &'a Dictionary,
    resolution: Resolution,
    key: Option<&'a Key>,
    packing: Packing,
    allocations: TableWriter,
    numbers: TableWriter,
    devices: Vec<ByteArray>,
    group: Vec<Row>,
    /// The subscriber of each row, to group rows by.
    subscribers: Vec<u32>,
    last: Option<(u32, u16, i64)>,
    times: (i64, i64),
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How many rows.
    pub rows: u64,
    /// The least start; `None` where there are no rows.
    pub first: Option<Timestamp>,
    /// The greatest end; [`Timestamp::MAX`] where a row is held on beyond the segment.
    pub last: Option<Timestamp>,
    /// The files, durable.
    pub files: Vec<FileSummary>,
}

/// One file that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSummary {
    /// Its name in the segment's folder.
    pub name: &'static str,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

/// Rows that 32 bits can number.
const MOST_ROWS: u64 = u32::MAX as u64;

impl<'a> SegmentWriter<'a> {
    /// Begins the files in the folder `dir`, which must be there and must not have them.
    ///
    /// # Errors
    /// When a file cannot be made.
    pub fn new(
        dir: &'a Path,
        dictionary: &'a Dictionary,
        resolution: Resolution,
        key: Option<&'a Key>,
    ) -> Result<Self, Error> {
        Self::packed(dir, dictionary, resolution, key, Packing::Tight)
    }

    /// As [`SegmentWriter::new`], with files packed like this.
    ///
    /// # Errors
    /// As there.
    pub fn packed(
        dir: &'a Path,
        dictionary: &'a Dictionary,
        resolution: Resolution,
        key: Option<&'a Key>,
        packing: Packing,
    ) -> Result<Self, Error> {
        let devices = dictionary.devices().iter();
        let devices = devices.map(|device| ByteArray::from(device.as_str()));
        Ok(Self {
            dir,
            dictionary,
            resolution,
            key,
            packing,
            allocations: TableWriter::create(dir, &ALLOCATIONS, resolution, key, packing)?,
            numbers: TableWriter::create(dir, &NUMBERS, resolution, key, packing)?,
            devices: devices.collect(),
            group: Vec::new(),
            subscribers: Vec::new(),
            last: None,
            times: (i64::MAX, i64::MIN),
        })
    }

    /// Adds a row, which comes in the order of [`Row::order`].
    ///
    /// # Errors
    /// When the row comes before the last, has a time finer than the segment's resolution, names
    /// what the dictionary does not have, or is one more than 2^32 - 1; nothing is changed then.
    /// Or when a file cannot be written; the writer is of no use then.
    pub fn push(&mut self, row: Row) -> Result<(), Error> {
        let number = self.subscribers.len() as u64;
        self.check(&row, number)?;
        self.last = Some(row.order());
        self.times.0 = self.times.0.min(row.from.as_micros());
        self.times.1 = self.times.1.max(row.span().to.as_micros());
        self.subscribers.push(row.subscriber.0);
        self.group.push(row);
        if self.group.len() == GROUP_ROWS {
            self.write_group()?;
        }
        Ok(())
    }

    fn check(&self, row: &Row, number: u64) -> Result<(), Error> {
        if self.last.is_some_and(|last| row.order() < last) {
            return Err(Error::OutOfOrder { row: number });
        }
        let fine = |time: Timestamp| time.as_micros() % self.resolution.micros() != 0;
        if fine(row.from) || row.to.filter(|&to| to != Timestamp::MAX).is_some_and(fine) {
            return Err(Error::TooFine { row: number });
        }
        let what = match row {
            row if self.dictionary.subscriber(row.subscriber).is_none() => "subscriber",
            row if self.dictionary.device(row.device).is_none() => "device",
            _ if number >= MOST_ROWS => {
                return Err(Error::TooLarge {
                    what: "rows",
                    limit: MOST_ROWS,
                });
            }
            _ => return Ok(()),
        };
        Err(Error::Unknown { row: number, what })
    }

    fn write_group(&mut self) -> Result<(), Error> {
        let rows = &self.group[..];
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Ok(());
        };
        let external = (first.external.to_bits(), last.external.to_bits());
        let step = self.resolution.micros();
        let narrow = |of: fn(&Row) -> u32| {
            Column::Narrow(rows.iter().map(|row| of(row).cast_signed()).collect())
        };
        let to = |row: &Row| row.to.filter(|&to| to != Timestamp::MAX);
        let devices = rows
            .iter()
            .filter_map(|row| self.devices.get(usize::from(row.device.0)));
        let columns = [
            narrow(|row| row.external.to_bits()),
            narrow(|row| row.ports.first().into()),
            narrow(|row| row.ports.last().into()),
            Column::OptionalNarrow(
                rows.iter()
                    .filter_map(|row| row.transport)
                    .map(|transport: Transport| transport.protocol_number().into())
                    .collect(),
                rows.iter()
                    .map(|row| row.transport.is_some().into())
                    .collect(),
            ),
            Column::Wide(rows.iter().map(|row| row.from.as_micros() / step).collect()),
            Column::OptionalWide(
                rows.iter()
                    .filter_map(to)
                    .map(|to| to.as_micros() / step)
                    .collect(),
                rows.iter().map(|row| to(row).is_some().into()).collect(),
            ),
            narrow(|row| row.subscriber.0),
            Column::Texts(devices.cloned().collect()),
            narrow(|row| row.concluded.into()),
        ];
        self.allocations
            .write_group(rows.len(), &columns, external)?;
        let opened = |row: &Row| {
            let RecordNumber(number) = row.opened;
            number.cast_signed()
        };
        let numbers = [Column::Wide(rows.iter().map(opened).collect())];
        self.numbers.write_group(rows.len(), &numbers, external)?;
        self.group.clear();
        Ok(())
    }

    /// Writes what is left and makes all files durable.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn finish(mut self) -> Result<Summary, Error> {
        self.write_group()?;
        let rows = self.subscribers.len() as u64;
        let devices = self.dictionary.devices().iter();
        let devices: Vec<String> = devices.map(|device| device.as_str().to_owned()).collect();
        self.allocations.stamp().devices = devices;
        self.allocations.stamp().times = self.times;
        let mut files = vec![self.allocations.finish()?, self.numbers.finish()?];
        // From what is in the files now, not from what should be.
        let written = |layout: &'static Layout| {
            let file = LocalFile::open(&self.dir.join(layout.file));
            let file = file.map_err(|source| Error::Io {
                file: layout.file,
                action: "open",
                source,
            })?;
            Table::open(layout, Box::new(file), self.key)
        };
        let (allocations, numbers) = (written(&ALLOCATIONS)?, written(&NUMBERS)?);
        files.push(shortcuts::build(self.dir, &allocations, &numbers)?);
        let firsts = firsts(&self.subscribers, self.dictionary.subscribers().len());
        let table =
            |layout| TableWriter::create(self.dir, layout, self.resolution, self.key, self.packing);
        files.push(write_subscribers(
            table(&SUBSCRIBERS)?,
            self.dictionary,
            &firsts,
        )?);
        let by_subscriber = by_subscriber(&self.subscribers, firsts);
        files.push(write_by_subscriber(table(&BY_SUBSCRIBER)?, &by_subscriber)?);
        sync_dir(self.dir)?;
        Ok(Summary {
            rows,
            first: (rows > 0).then_some(Timestamp::from_micros(self.times.0)),
            last: (rows > 0).then_some(Timestamp::from_micros(self.times.1)),
            files,
        })
    }
}

/// Makes the names of new files durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), Error> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|source| Error::Io {
        file: ALLOCATIONS.file,
        action: "make durable the folder of",
        source,
    })
}

/// Where the rows of each subscriber begin when rows are grouped by subscriber.
fn firsts(rows: &[u32], subscribers: usize) -> Vec<u32> {
    let mut firsts = vec![0_u32; subscribers];
    for &subscriber in rows {
        if let Some(count) = firsts.get_mut(subscriber as usize) {
            *count += 1;
        }
    }
    let mut next = 0;
    for first in &mut firsts {
        (*first, next) = (next, next + *first);
    }
    firsts
}

/// The rows grouped by subscriber, in their order inside.
fn by_subscriber(rows: &[u32], mut next: Vec<u32>) -> Vec<u32> {
    let mut grouped = vec![0; rows.len()];
    for (row, &subscriber) in (0..).zip(rows) {
        if let Some(next) = next.get_mut(subscriber as usize) {
            if let Some(place) = grouped.get_mut(*next as usize) {
                *place = row;
            }
            *next += 1;
        }
    }
    grouped
}

fn write_subscribers(
    mut table: TableWriter,
    dictionary: &Dictionary,
    firsts: &[u32],
) -> Result<FileSummary, Error> {
    let groups = dictionary.subscribers().chunks(GROUP_ROWS);
    for (subscribers, firsts) in groups.zip(firsts.chunks(GROUP_ROWS)) {
        let columns = [
            Column::Texts(
                subscribers
                    .iter()
                    .map(|one| one.realm().as_str().into())
                    .collect(),
            ),
            Column::Texts(
                subscribers
                    .iter()
                    .map(|one| InternalText::new(one).as_str().into())
                    .collect(),
            ),
            Column::Narrow(firsts.iter().map(|first| first.cast_signed()).collect()),
        ];
        table.write_group(subscribers.len(), &columns, (0, 0))?;
    }
    table.finish()
}

fn write_by_subscriber(mut table: TableWriter, rows: &[u32]) -> Result<FileSummary, Error> {
    for rows in rows.chunks(GROUP_ROWS) {
        let columns = [Column::Narrow(
            rows.iter().map(|row| row.cast_signed()).collect(),
        )];
        table.write_group(rows.len(), &columns, (0, 0))?;
    }
    table.finish()
}
