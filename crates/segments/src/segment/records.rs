//! The records of a segment, by number.

use std::{net::Ipv4Addr, ops::Range};

use portledger_model::{PortRange, RecordNumber, Timestamp};

use super::{Segment, devices::Devices, open};
use crate::{
    Error, Flaw, RecordBlock, RecordRow, SubscriberNumber,
    format::page::Values,
    layout::{GROUP_ROWS, RECORDS, record as at},
    row::transport,
    table::Table,
};

/// The records' file, open.
pub(super) struct RecordsTable {
    pub(super) table: Table,
    devices: Devices,
}

/// Records in order of number; memory is that of one page. Ends with the first error.
pub struct Records<'a> {
    records: &'a RecordsTable,
    page: Option<RecordPage>,
    next: u64,
    end: RecordNumber,
}

impl Segment {
    /// The records with numbers in `numbers`, in order. The file is only there where a
    /// [`RecordWriter`](crate::RecordWriter) wrote it.
    ///
    /// # Errors
    /// When the file cannot be opened or is damaged.
    pub fn records(&self, numbers: Range<RecordNumber>) -> Result<Records<'_>, Error> {
        let records = self.records_table()?;
        let table = &records.table;
        // The first page whose greatest number is not below the range.
        let mut first = table.rows();
        for group in 0..table.groups() {
            let bounds = table.index(group)?.wide(at::NUMBER);
            let start = numbers.start.0;
            let page = bounds.partition_point(|([_, most], _)| most.cast_unsigned() < start);
            if page < bounds.len() {
                let page = page as u64 * RECORDS.page_rows as u64;
                first = u64::from(group) * GROUP_ROWS as u64 + page;
                break;
            }
        }
        let mut found = Records {
            records,
            page: None,
            next: first,
            end: numbers.end,
        };
        while found.peek()?.is_some_and(|number| number < numbers.start) {
            found.next += 1;
        }
        Ok(found)
    }

    /// All records.
    ///
    /// # Errors
    /// As [`Segment::records`].
    pub fn all_records(&self) -> Result<Records<'_>, Error> {
        let mut all = self.records(RecordNumber(0)..RecordNumber(u64::MAX))?;
        // The greatest number is a number too.
        all.end = RecordNumber(u64::MAX);
        Ok(all)
    }

    /// How many records it holds.
    ///
    /// # Errors
    /// When the file cannot be opened or is damaged.
    pub fn record_count(&self) -> Result<u64, Error> {
        Ok(self.records_table()?.table.rows())
    }

    /// Reads all of the records' file, as [`Segment::verify`] does the others.
    ///
    /// # Errors
    /// The first damage, with its place.
    pub fn verify_records(&self) -> Result<(), Error> {
        let records = self.records_table()?;
        records.table.verify_extent()?;
        let subscribers = self.subscribers()?.rows();
        let mut last = None;
        let mut count = 0;
        for record in self.all_records()? {
            let record = record?;
            let damaged = |column, flaw| Err(records.table.damaged_row(count, column, flaw));
            if last.is_some_and(|last| record.number <= last) {
                return damaged(at::NUMBER, Flaw::Order(count));
            }
            last = Some(record.number);
            let unknown = |number: SubscriberNumber| u64::from(number.0) >= subscribers;
            if record.subscriber.is_some_and(unknown) {
                let flaw = Flaw::Mismatch("a subscriber that the dictionary does not have");
                return damaged(at::SUBSCRIBER, flaw);
            }
            count += 1;
        }
        if count == records.table.rows() {
            return Ok(());
        }
        let flaw = Flaw::Mismatch("a row that the index does not lead to");
        Err(records.table.damaged_row(count, at::NUMBER, flaw))
    }

    fn records_table(&self) -> Result<&RecordsTable, Error> {
        if let Some(records) = self.records.get() {
            return Ok(records);
        }
        let table = open(&self.files, &RECORDS, self.key.as_ref())?;
        let devices = Devices::of(&table, at::DEVICE)?;
        Ok(self.records.get_or_init(|| RecordsTable { table, devices }))
    }
}

impl Records<'_> {
    /// The number of the next record.
    fn peek(&mut self) -> Result<Option<RecordNumber>, Error> {
        let table = &self.records.table;
        if self.next >= table.rows() {
            return Ok(None);
        }
        let (group, page, place) = table.place_of(self.next);
        let page = match &self.page {
            Some(found) if (found.group, found.page) == (group, page) => found,
            _ => self.page.insert(RecordPage::read(table, group, page)?),
        };
        let number = page.wide(at::NUMBER, place).unwrap_or(i64::MAX);
        Ok(Some(RecordNumber(number.cast_unsigned())))
    }

    fn record(&mut self) -> Result<Option<RecordRow>, Error> {
        let Some(number) = self.peek()? else {
            return Ok(None);
        };
        if number >= self.end && self.end != RecordNumber(u64::MAX) {
            return Ok(None);
        }
        let (_, _, place) = self.records.table.place_of(self.next);
        let page = self.page.as_ref();
        let record = page
            .map(|page| page.record(self.records, self.next, place))
            .transpose();
        self.next += 1;
        record
    }
}

impl Iterator for Records<'_> {
    type Item = Result<RecordRow, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.record();
        if record.is_err() {
            self.next = u64::MAX;
        }
        record.transpose()
    }
}

/// The pages of all columns that hold the same records.
struct RecordPage {
    group: u32,
    page: u32,
    columns: Vec<Values>,
}

impl RecordPage {
    fn read(table: &Table, group: u32, page: u32) -> Result<Self, Error> {
        let columns = 0..RECORDS.columns.len();
        let columns = columns.map(|column| table.read_page(group, column, page));
        Ok(Self {
            group,
            page,
            columns: columns.collect::<Result<_, _>>()?,
        })
    }

    /// A value of 64 bits; null is `None`.
    fn wide(&self, column: usize, place: usize) -> Option<i64> {
        let value = self.columns.get(column)?.wide().get(place).copied();
        value.filter(|&value| value != i64::MAX)
    }

    /// A value of 32 bits or fewer; null is `None`.
    fn narrow(&self, column: usize, place: usize) -> Option<u32> {
        let value = self.columns.get(column)?.narrow().get(place).copied();
        value.filter(|&value| value != u32::MAX)
    }

    fn record(&self, records: &RecordsTable, row: u64, place: usize) -> Result<RecordRow, Error> {
        let table = &records.table;
        let damaged = |column, what| table.damaged_row(row, column, Flaw::Meaning(what));
        let step = table.stamp.resolution.micros();
        let time = |value: i64| Timestamp::from_micros(value.saturating_mul(step));
        let missing = |column| damaged(column, "a value is missing");
        let at_time = self.wide(at::AT, place).ok_or_else(|| missing(at::AT))?;
        let number = self.wide(at::NUMBER, place).unwrap_or(i64::MAX);
        let kind = self
            .narrow(at::KIND, place)
            .and_then(|kind| u8::try_from(kind).ok());
        let device = self
            .narrow(at::DEVICE, place)
            .ok_or_else(|| missing(at::DEVICE))?;
        let device = records.devices.number(table, self.group, device)?;
        let number_of = |column| {
            self.wide(column, place)
                .and_then(|value| u32::try_from(value).ok())
        };
        let details = self
            .columns
            .get(at::DETAILS)
            .and_then(|texts| texts.text(place));
        Ok(RecordRow {
            number: RecordNumber(number.cast_unsigned()),
            at: time(at_time),
            device: device.ok_or_else(|| damaged(at::DEVICE, "no device of that number"))?,
            kind: kind.ok_or_else(|| missing(at::KIND))?,
            block: match number_of(at::EXTERNAL) {
                Some(external) => Some(RecordBlock {
                    external: Ipv4Addr::from_bits(external),
                    ports: self
                        .ports(place)
                        .ok_or_else(|| damaged(at::FIRST, "not a range of ports"))?,
                    transport: match self.narrow(at::TRANSPORT, place) {
                        None => None,
                        Some(number) => Some(
                            transport(number)
                                .ok_or_else(|| damaged(at::TRANSPORT, "a transport of no name"))?,
                        ),
                    },
                }),
                None => None,
            },
            subscriber: number_of(at::SUBSCRIBER).map(SubscriberNumber),
            since: self.wide(at::SINCE, place).map(time),
            details: details.unwrap_or("").to_owned(),
        })
    }

    fn ports(&self, place: usize) -> Option<PortRange> {
        let first = self.narrow(at::FIRST, place)?;
        let count = u32::try_from(self.wide(at::COUNT, place)?).ok()?;
        let last = first.checked_add(count)?.checked_sub(1)?;
        PortRange::new(first.try_into().ok()?, last.try_into().ok()?).ok()
    }
}
