//! Writing the records of a segment.

use std::path::Path;

use parquet::data_type::ByteArray;
use portledger_model::{RecordNumber, Timestamp};

use super::{Column, FileSummary, Packing, TableWriter, segment::sync_dir};
use crate::{
    Dictionary, Error, Key, RecordRow, Resolution,
    layout::{GROUP_ROWS, RECORDS, TEXT_BYTES},
};

/// Writes a segment's records, which come in order of number. Memory is that of one row group.
pub struct RecordWriter<'a> {
    dir: &'a Path,
    dictionary: &'a Dictionary,
    resolution: Resolution,
    table: TableWriter,
    devices: Vec<ByteArray>,
    group: Vec<RecordRow>,
    written: u64,
    last: Option<RecordNumber>,
    times: (i64, i64),
}

/// What a segment's row groups can hold.
const MOST_RECORDS: u64 = 4_096 * GROUP_ROWS as u64;

impl<'a> RecordWriter<'a> {
    /// Begins the file in the folder `dir`, which must be there and must not have it.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn new(
        dir: &'a Path,
        dictionary: &'a Dictionary,
        resolution: Resolution,
        key: Option<&Key>,
    ) -> Result<Self, Error> {
        Self::packed(dir, dictionary, resolution, key, Packing::Tight)
    }

    /// As [`RecordWriter::new`], with the file packed like this.
    ///
    /// # Errors
    /// As there.
    pub fn packed(
        dir: &'a Path,
        dictionary: &'a Dictionary,
        resolution: Resolution,
        key: Option<&Key>,
        packing: Packing,
    ) -> Result<Self, Error> {
        let devices = dictionary.devices().iter();
        let devices = devices.map(|device| ByteArray::from(device.as_str()));
        Ok(Self {
            dir,
            dictionary,
            resolution,
            table: TableWriter::create(dir, &RECORDS, resolution, key, packing)?,
            devices: devices.collect(),
            group: Vec::new(),
            written: 0,
            last: None,
            times: (i64::MAX, i64::MIN),
        })
    }

    /// Adds a record, whose number is greater than the last's.
    ///
    /// # Errors
    /// When it is not, a time is finer than the resolution, the dictionary does not have the
    /// device or the subscriber, or the details are too long; nothing is changed then. Or when the
    /// file cannot be written; the writer is of no use then.
    pub fn push(&mut self, record: RecordRow) -> Result<(), Error> {
        self.check(&record)?;
        self.last = Some(record.number);
        self.times.0 = self.times.0.min(record.at.as_micros());
        self.times.1 = self.times.1.max(record.at.as_micros());
        self.group.push(record);
        self.written += 1;
        if self.group.len() == GROUP_ROWS {
            self.write_group()?;
        }
        Ok(())
    }

    fn check(&self, record: &RecordRow) -> Result<(), Error> {
        let row = self.written;
        if self.last.is_some_and(|last| record.number <= last) {
            return Err(Error::OutOfOrder { row });
        }
        let fine = |time: Timestamp| time.as_micros() % self.resolution.micros() != 0;
        if fine(record.at) || record.since.is_some_and(fine) {
            return Err(Error::TooFine { row });
        }
        let unknown = |what| Err(Error::Unknown { row, what });
        if self.dictionary.device(record.device).is_none() {
            return unknown("device");
        }
        let subscriber = record.subscriber;
        if subscriber.is_some_and(|number| self.dictionary.subscriber(number).is_none()) {
            return unknown("subscriber");
        }
        if record.details.len() > TEXT_BYTES {
            return Err(Error::TooLong {
                record: row,
                bytes: record.details.len(),
            });
        }
        if row >= MOST_RECORDS {
            return Err(Error::TooLarge {
                what: "records",
                limit: MOST_RECORDS,
            });
        }
        Ok(())
    }

    fn write_group(&mut self) -> Result<(), Error> {
        let records = std::mem::take(&mut self.group);
        if records.is_empty() {
            return Ok(());
        }
        let step = self.resolution.micros();
        let narrow = |of: &dyn Fn(&RecordRow) -> Option<u32>| {
            let values = records.iter().filter_map(of).map(u32::cast_signed);
            let levels = records.iter().map(|record| of(record).is_some().into());
            Column::OptionalNarrow(values.collect(), levels.collect())
        };
        let devices = &self.devices;
        let device = |record: &RecordRow| devices.get(usize::from(record.device.0)).cloned();
        let since = |record: &RecordRow| record.since.map(|since| since.as_micros() / step);
        let details = |record: &&RecordRow| !record.details.is_empty();
        let columns = [
            Column::Wide(
                records
                    .iter()
                    .map(|record| record.number.0.cast_signed())
                    .collect(),
            ),
            Column::Wide(
                records
                    .iter()
                    .map(|record| record.at.as_micros() / step)
                    .collect(),
            ),
            Column::Narrow(records.iter().map(|record| record.kind.into()).collect()),
            Column::Texts(records.iter().filter_map(device).collect()),
            narrow(&|record| record.block.map(|block| block.external.to_bits())),
            narrow(&|record| record.block.map(|block| block.ports.first().into())),
            narrow(&|record| record.block.map(|block| block.ports.count())),
            narrow(&|record| {
                let transport = record.block.and_then(|block| block.transport);
                transport.map(|transport| transport.protocol_number().into())
            }),
            narrow(&|record| record.subscriber.map(|number| number.0)),
            Column::OptionalWide(
                records.iter().filter_map(since).collect(),
                records
                    .iter()
                    .map(|record| record.since.is_some().into())
                    .collect(),
            ),
            Column::OptionalTexts(
                records
                    .iter()
                    .filter(details)
                    .map(|record| ByteArray::from(record.details.as_str()))
                    .collect(),
                records
                    .iter()
                    .map(|record| details(&record).into())
                    .collect(),
            ),
        ];
        self.table.write_group(records.len(), &columns, (0, 0))?;
        self.group = records;
        self.group.clear();
        Ok(())
    }

    /// Writes what is left and makes the file durable.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(mut self) -> Result<FileSummary, Error> {
        self.write_group()?;
        let devices = self.dictionary.devices().iter();
        let devices: Vec<String> = devices.map(|device| device.as_str().to_owned()).collect();
        let stamp = self.table.stamp();
        stamp.devices = devices;
        stamp.times = self.times;
        let summary = self.table.finish()?;
        sync_dir(self.dir)?;
        Ok(summary)
    }
}
