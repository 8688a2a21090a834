//! From the log into parts.

use std::collections::{BTreeMap, BTreeSet};

use portledger_model::{Allocation, Block, Device, Record, RecordNumber, Subscriber, Timestamp};
use portledger_segments::{
    DeviceNumber, Dictionary, Packing, RecordRow, RecordWriter, Resolution, Row, SegmentWriter,
    SubscriberNumber,
};

use super::Keeper;
use crate::{
    Day, Error,
    log::{
        folder::{self, Contents},
        writer::items,
    },
    manifest::SegmentEntry,
    recent::told,
    record::Records,
    segment_records::{self, Devices, UNKNOWN_DEVICE},
};

/// Records with their numbers, in order.
type Numbered = Vec<(RecordNumber, Record)>;

impl Keeper {
    /// Makes parts of what is durable in the log and in no part yet, while it is `at_least` so
    /// many records and `goes_on` says so. Returns how many that were.
    pub(super) fn flush_log(
        &mut self,
        at_least: u64,
        goes_on: impl Fn() -> bool,
    ) -> Result<u64, Error> {
        let before = self.manifest.sealed_until.0;
        while goes_on()
            && let (slice, contents) = self.slice()?
            && self.flush_until(slice, contents.durable, at_least)?
        {}
        Ok(self.manifest.sealed_until.0 - before)
    }

    /// Makes parts of all that is in the log and in no part yet, while nobody writes.
    pub(crate) fn flush_all(&mut self) -> Result<(), Error> {
        folder::sync_last(&self.home.log_dir())?;
        while let (slice, contents) = self.slice()?
            && self.flush_until(slice, contents.next, 1)?
        {}
        Ok(())
    }

    /// Makes parts of the records before `until`, which are durable, where they are `at_least` so
    /// many.
    fn flush_until(
        &mut self,
        mut slice: Numbered,
        until: RecordNumber,
        at_least: u64,
    ) -> Result<bool, Error> {
        slice.retain(|(number, _)| *number < until);
        if (slice.len() as u64) < at_least.max(1) {
            return Ok(false);
        }
        self.flush_slice(&slice)?;
        self.manifest.sealed_until = until;
        self.publish([])?;
        Ok(true)
    }

    /// The next records of the log: a part's worth, and the rest of the file they end in.
    fn slice(&self) -> Result<(Numbered, Contents), Error> {
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
        Ok((slice, contents))
    }

    fn flush_slice(&mut self, slice: &Numbered) -> Result<(), Error> {
        let calendar = self.home.settings().calendar;
        let mut days: BTreeMap<Day, Vec<&(RecordNumber, Record)>> = BTreeMap::new();
        // Records of one day come together: a day is looked for when it changes.
        for run in slice.chunk_by(|(_, a), (_, b)| calendar.day_of(a.at) == calendar.day_of(b.at)) {
            let Some((_, record)) = run.first() else {
                continue;
            };
            let day = calendar.day_of(record.at);
            days.entry(day).or_default().extend(run);
            let entry = self.manifest.days.entry(day).or_default();
            for (number, _) in run {
                entry.add_record(number.0);
            }
        }
        for run in slice.chunk_by(|(_, a), (_, b)| a.device == b.device) {
            let device = run.first().map(|(_, record)| &record.device);
            if let Some(timeline) = device.and_then(|name| self.manifest.device(name.as_str())) {
                for (_, record) in run {
                    timeline.apply(record);
                }
            }
        }
        self.add_rules(slice)?;
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
        let subscribers: Vec<_> = records.iter().filter_map(|(_, r)| subscriber(r)).collect();
        let (dictionary, numbers) = Dictionary::numbering(&subscribers, devices(records))?;
        let rows = rows(records, &numbers, &dictionary)?;
        let times = records.iter().flat_map(|(_, record)| times(record));
        let resolution = Resolution::of(times);
        let written = segment_records::rows(records, &numbers, &dictionary);
        self.write_segment(day, &dictionary, resolution, &rows, written)
    }

    fn write_segment(
        &mut self,
        day: Day,
        dictionary: &Dictionary,
        resolution: Resolution,
        rows: &[Row],
        records: impl Iterator<Item = Result<RecordRow, Error>>,
    ) -> Result<SegmentEntry, Error> {
        let staged = self.stage(day)?;
        let (dir, key) = (&staged.dir, staged.key.as_ref());
        let packing = Packing::Loose;
        let mut writer = SegmentWriter::packed(dir, dictionary, resolution, key, packing)?;
        for row in rows {
            writer.push(*row)?;
        }
        let mut files = writer.finish()?.files;
        let mut written = RecordWriter::packed(dir, dictionary, resolution, key, packing)?;
        let mut count = 0;
        for record in records {
            written.push(record?)?;
            count += 1;
        }
        files.push(written.finish()?);
        Ok(SegmentEntry {
            id: staged.id,
            whole: false,
            encrypted: staged.key.is_some(),
            left_open: true,
            allocations: rows.len() as u64,
            records: count,
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
        let subscribers: Vec<_> = held.iter().map(|held| &held.block.subscriber).collect();
        let devices = held.iter().map(|held| held.device.clone());
        let (dictionary, numbers) = Dictionary::numbering(&subscribers, devices)?;
        let told = held.iter().zip(numbers).map(|(held, subscriber)| {
            Ok::<_, Error>(Row {
                to: held.to,
                ..row(
                    &held.block,
                    subscriber,
                    held.from,
                    dictionary
                        .number_of_device(&held.device)
                        .ok_or(UNKNOWN_DEVICE)?,
                    held.record,
                )
            })
        });
        let mut rows = told.collect::<Result<Vec<_>, _>>()?;
        rows.sort_unstable_by_key(order);
        let times = held
            .iter()
            .flat_map(|held| std::iter::once(held.from).chain(held.to));
        self.write_segment(
            day,
            &dictionary,
            Resolution::of(times),
            &rows,
            std::iter::empty(),
        )
    }
}

/// What records tell of allocations: one row an allocation, in order, ended only by its release.
/// `subscribers` are the numbers of those whom the records tell of.
fn rows(
    records: &[&(RecordNumber, Record)],
    subscribers: &[SubscriberNumber],
    dictionary: &Dictionary,
) -> Result<Vec<Row>, Error> {
    let mut devices = Devices::of(dictionary);
    let mut rows = Vec::with_capacity(subscribers.len());
    let told = records.iter().filter_map(|(number, record)| {
        told(record).map(|(block, from, to)| (number, &record.device, block, from, to))
    });
    for ((number, device, block, from, to), subscriber) in told.zip(subscribers) {
        rows.push(Row {
            to,
            ..row(block, *subscriber, from, devices.number(device)?, *number)
        });
    }
    // The order is the allocation's identity: what is told of one stands together, by number.
    rows.sort_unstable_by_key(|row| (place(row), order(row), row.opened));
    rows.dedup_by(|later, first| {
        let same = place(later) == place(first) && order(later) == order(first);
        if same {
            first.to = first.to.into_iter().chain(later.to).min();
        }
        same
    });
    Ok(rows)
}

/// The number of a row's address, first port and start: the beginning of [`order`], which decides
/// nearly always, compared at once.
fn place(row: &Row) -> u128 {
    let (external, first, from) = row.order();
    // The sign turned around: numbers are in the order of times.
    let from = from.cast_unsigned() ^ 1 << 63;
    u128::from(external) << 80 | u128::from(first) << 64 | u128::from(from)
}

fn row(
    block: &Block,
    subscriber: SubscriberNumber,
    from: Timestamp,
    device: DeviceNumber,
    opened: RecordNumber,
) -> Row {
    Row {
        external: block.external,
        ports: block.ports,
        transport: block.transport,
        from,
        to: None,
        concluded: false,
        subscriber,
        device,
        opened,
    }
}

/// The devices of records, each once where neighbours are of one.
fn devices(records: &[&(RecordNumber, Record)]) -> BTreeSet<Device> {
    let runs = records.chunk_by(|(_, a), (_, b)| a.device == b.device);
    let firsts = runs.filter_map(|run| run.first());
    firsts.map(|(_, record)| record.device.clone()).collect()
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
        let told = [&block.subscriber; 3];
        let (dictionary, numbers) = Dictionary::numbering(&told, [nth(3).device]).unwrap();
        let rows = rows(&records, &numbers, &dictionary).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (rows[0].opened, rows[0].to),
            (RecordNumber(7), Some(record(50, Event::Stopped).at))
        );
        assert_eq!(rows[0].external, Ipv4Addr::new(203, 0, 113, 7));
    }
}
