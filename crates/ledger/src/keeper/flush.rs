//! From the log into parts.

use std::collections::{BTreeMap, HashMap};

use portledger_model::{Allocation, Block, Device, Record, RecordNumber, Subscriber, Timestamp};
use portledger_segments::{Dictionary, RecordWriter, Resolution, Row, SegmentWriter};

use super::Keeper;
use crate::{
    Day, Error,
    log::{folder, writer::items},
    manifest::SegmentEntry,
    recent::told,
    record::Records,
    segment_records,
};

/// Records with their numbers, in order.
type Numbered = Vec<(RecordNumber, Record)>;

impl Keeper {
    /// Makes parts of what is durable in the log and in no part yet, while it is `at_least` so
    /// many records. Returns how many that were.
    pub(super) fn flush_log(&mut self, at_least: u64) -> Result<u64, Error> {
        let before = self.manifest.sealed_until.0;
        loop {
            let (slice, until) = self.slice()?;
            if (slice.len() as u64) < at_least.max(1) {
                return Ok(self.manifest.sealed_until.0 - before);
            }
            self.flush_slice(&slice)?;
            self.manifest.sealed_until = until;
            self.publish([])?;
        }
    }

    /// The next durable records of the log: a part's worth, and the rest of the file they end in.
    fn slice(&self) -> Result<(Numbered, RecordNumber), Error> {
        let from = self.manifest.sealed_until;
        let keys = self.shelf.keys();
        let mut slice = Numbered::new();
        let contents = folder::read_some(&self.home.log_dir(), from, self.sizes.part, |chunk| {
            if chunk.first.0 + u64::from(chunk.records) <= from.0 {
                return Ok(());
            }
            let key = keys.get(chunk.day)?;
            items::<Records>(&chunk, key.as_deref(), |number, record| {
                if from <= number {
                    slice.push((number, record));
                }
                Ok(())
            })
        })?;
        let durable = contents.durable.max(from);
        slice.retain(|(number, _)| *number < durable);
        Ok((slice, durable))
    }

    fn flush_slice(&mut self, slice: &Numbered) -> Result<(), Error> {
        let calendar = self.home.settings().calendar;
        let mut days: BTreeMap<Day, Vec<&(RecordNumber, Record)>> = BTreeMap::new();
        for numbered in slice {
            let (number, record) = numbered;
            let day = calendar.day_of(record.at);
            days.entry(day).or_default().push(numbered);
            self.manifest
                .days
                .entry(day)
                .or_default()
                .add_record(number.0);
            if let Some(timeline) = self.manifest.device(record.device.as_str()) {
                timeline.apply(record);
            }
        }
        for (day, records) in days {
            let part = self.write_part(day, &records)?;
            if let Some(entry) = self.manifest.days.get_mut(&day) {
                entry.segments.push(part);
            }
        }
        Ok(())
    }

    fn write_part(
        &mut self,
        day: Day,
        records: &[&(RecordNumber, Record)],
    ) -> Result<SegmentEntry, Error> {
        let dictionary = Dictionary::new(
            records.iter().filter_map(|(_, r)| subscriber(r).cloned()),
            records.iter().map(|(_, record)| record.device.clone()),
        )?;
        let rows = rows(records, &dictionary)?;
        let times = records.iter().flat_map(|(_, record)| times(record));
        self.write_segment(day, &dictionary, Resolution::of(times), &rows, records)
    }

    fn write_segment(
        &mut self,
        day: Day,
        dictionary: &Dictionary,
        resolution: Resolution,
        rows: &[Row],
        records: &[&(RecordNumber, Record)],
    ) -> Result<SegmentEntry, Error> {
        let staged = self.stage(day)?;
        let mut writer =
            SegmentWriter::new(&staged.dir, dictionary, resolution, staged.key.as_ref())?;
        for row in rows {
            writer.push(*row)?;
        }
        let mut files = writer.finish()?.files;
        let mut written =
            RecordWriter::new(&staged.dir, dictionary, resolution, staged.key.as_ref())?;
        for (number, record) in records {
            written.push(segment_records::row(*number, record, dictionary)?)?;
        }
        files.push(written.finish()?);
        Ok(SegmentEntry {
            id: staged.id,
            whole: false,
            encrypted: staged.key.is_some(),
            left_open: true,
            allocations: rows.len() as u64,
            records: records.len() as u64,
            files: self.shelve(&staged, &files)?,
        })
    }
}

impl Keeper {
    /// Writes a part of a day that holds no record of its own: what later records told of it.
    pub(super) fn write_late_part(
        &mut self,
        day: Day,
        held: &[&Allocation],
    ) -> Result<SegmentEntry, Error> {
        let dictionary = Dictionary::new(
            held.iter().map(|held| held.block.subscriber.clone()),
            held.iter().map(|held| held.device.clone()),
        )?;
        let told = held.iter().map(|held| {
            row(
                &held.block,
                held.from,
                held.to,
                &held.device,
                held.record,
                &dictionary,
            )
        });
        let mut rows = told.collect::<Result<Vec<_>, _>>()?;
        rows.sort_unstable_by_key(order);
        let times = held
            .iter()
            .flat_map(|held| std::iter::once(held.from).chain(held.to));
        self.write_segment(day, &dictionary, Resolution::of(times), &rows, &[])
    }
}

/// What records tell of allocations: one row an allocation, in order, ended only by its release.
fn rows(records: &[&(RecordNumber, Record)], dictionary: &Dictionary) -> Result<Vec<Row>, Error> {
    let mut known: HashMap<(&Block, Timestamp), (Option<Timestamp>, RecordNumber, &Device)> =
        HashMap::new();
    for (number, record) in records {
        if let Some((block, from, to)) = told(record) {
            let row = known
                .entry((block, from))
                .or_insert((None, *number, &record.device));
            row.0 = row.0.into_iter().chain(to).min();
        }
    }
    let mut rows = Vec::with_capacity(known.len());
    for ((block, from), (to, opened, device)) in known {
        rows.push(row(block, from, to, device, opened, dictionary)?);
    }
    rows.sort_unstable_by_key(order);
    Ok(rows)
}

fn row(
    block: &Block,
    from: Timestamp,
    to: Option<Timestamp>,
    device: &Device,
    opened: RecordNumber,
    dictionary: &Dictionary,
) -> Result<Row, Error> {
    let numbers = dictionary
        .number_of(&block.subscriber)
        .zip(dictionary.number_of_device(device));
    let (subscriber, device) = numbers.ok_or(Error::Flawed(crate::Flaw::Meaning(
        "a subscriber that its own dictionary does not have",
    )))?;
    Ok(Row {
        external: block.external,
        ports: block.ports,
        transport: block.transport,
        from,
        to,
        concluded: false,
        subscriber,
        device,
        opened,
    })
}

/// A row's order, the same whatever the order in which rows came.
pub(super) fn order(row: &Row) -> impl Ord + use<> {
    (row.order(), row.ports.last(), row.transport, row.subscriber)
}

fn subscriber(record: &Record) -> Option<&Subscriber> {
    told(record).map(|(block, ..)| &block.subscriber)
}

fn times(record: &Record) -> impl Iterator<Item = Timestamp> {
    let since = told(record).map(|(_, since, _)| since);
    std::iter::once(record.at).chain(since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{nth, record};
    use portledger_model::Event;
    use std::net::Ipv4Addr;

    #[test]
    fn a_part_says_of_an_allocation_what_its_records_say() {
        let Event::Allocated(block) = nth(3).event else {
            unreachable!()
        };
        let since = nth(3).at;
        let records = [
            (RecordNumber(7), nth(3)),
            (
                RecordNumber(8),
                record(
                    50,
                    Event::Released {
                        block: block.clone(),
                        since,
                    },
                ),
            ),
            (
                RecordNumber(9),
                record(
                    40,
                    Event::Held {
                        block: block.clone(),
                        since,
                    },
                ),
            ),
        ];
        let records: Vec<_> = records.iter().collect();
        let dictionary = Dictionary::new([block.subscriber.clone()], [nth(3).device]).unwrap();
        let rows = rows(&records, &dictionary).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (rows[0].opened, rows[0].to),
            (RecordNumber(7), Some(record(50, Event::Stopped).at))
        );
        assert_eq!(rows[0].external, Ipv4Addr::new(203, 0, 113, 7));
    }
}
