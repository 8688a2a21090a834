//! Several segments as one, address by address.

use std::{collections::BTreeMap, iter::Peekable, net::Ipv4Addr, sync::Arc};

use portledger_model::{PortRange, Span, Subscriber, Timestamp, Transport};
use portledger_segments::{
    DeviceNumber, Dictionary, FileSummary, RecordRow, RecordWriter, Resolution, Row, Rows, Segment,
    SegmentWriter, SubscriberNumber,
};

use super::{Keeper, flush::order, staging::Staged};
use crate::{
    Day, Error,
    fragment::{Fragment, unite},
    manifest::{DayState, SegmentEntry},
    segment_records,
};

/// A segment to be merged.
pub(super) struct Source {
    pub(super) segment: Arc<Segment>,
    wanted: Wanted,
    /// What its numbers become.
    subscribers: Vec<SubscriberNumber>,
    devices: Vec<DeviceNumber>,
}

/// Which rows of a source are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    All,
    /// Those that were held on after this time.
    HeldAfter(Timestamp),
    /// Those that did not begin within this time.
    BegunOutside(Span),
    /// Those that began within this time.
    BegunWithin(Span),
}

impl Wanted {
    fn wants(self, row: &Row) -> bool {
        match self {
            Self::All => true,
            Self::HeldAfter(end) => row.to.is_none_or(|to| end < to),
            Self::BegunOutside(span) => !span.contains(row.from),
            Self::BegunWithin(span) => span.contains(row.from),
        }
    }
}

/// What is known of an allocation in the merged segment's numbers.
pub(super) type Numbered = Fragment<SubscriberNumber, DeviceNumber>;

/// What tells one allocation on an address from another.
pub(super) type Identity = (Timestamp, PortRange, Option<Transport>, SubscriberNumber);

impl Keeper {
    /// Makes one part of many parts of about one size.
    pub(super) fn merge_parts(&mut self) -> Result<(), Error> {
        while let Some((day, parts)) = self.parts_to_merge() {
            let merged = self.merge(day, &parts)?;
            if let Some(entry) = self.manifest.days.get_mut(&day) {
                entry.segments.retain(|segment| !parts.contains(segment));
                entry.segments.push(merged);
            }
            self.publish(parts.iter().map(|part| (day, part.id)))?;
        }
        Ok(())
    }

    fn parts_to_merge(&self) -> Option<(Day, Vec<SegmentEntry>)> {
        let open = self.manifest.days.iter();
        open.filter(|(_, entry)| entry.state == DayState::Open)
            .find_map(|(day, entry)| {
                let mut sizes: BTreeMap<u32, Vec<SegmentEntry>> = BTreeMap::new();
                for part in entry.parts() {
                    let size = part.records.max(1).ilog(self.sizes.fan_in as u64);
                    sizes.entry(size).or_default().push(part.clone());
                }
                let many = sizes
                    .into_values()
                    .find(|parts| parts.len() >= self.sizes.fan_in);
                many.map(|parts| (*day, parts))
            })
    }

    /// One part of several: what they say of one allocation together, and nothing concluded.
    fn merge(&mut self, day: Day, parts: &[SegmentEntry]) -> Result<SegmentEntry, Error> {
        let segments = parts
            .iter()
            .map(|part| self.shelf.segment(day, part))
            .collect::<Result<Vec<_>, _>>()?;
        let wanted: Vec<_> = segments.into_iter().map(|s| (s, Wanted::All)).collect();
        let (dictionary, sources) = number_anew(wanted)?;
        let staged = self.stage(day)?;
        let mut output = Output::new(&staged, &dictionary, &sources)?;
        by_address(&sources, |external, of_sources| {
            let mut together: Vec<Numbered> = of_sources.concat();
            unite(&mut together);
            output.push(external, together)
        })?;
        let own: Vec<_> = sources.iter().collect();
        output.write_records(&own)?;
        let (rows, records, files) = output.finish()?;
        Ok(SegmentEntry {
            id: staged.id,
            whole: false,
            encrypted: staged.key.is_some(),
            left_open: true,
            allocations: rows,
            records,
            files: self.shelve(&staged, &files)?,
        })
    }
}

pub(super) fn identity(known: &Numbered) -> Identity {
    (known.from, known.ports, known.transport, known.subscriber)
}

/// One dictionary for what is wanted of several segments, and what the numbers of each become
/// in it.
pub(super) fn number_anew(
    segments: Vec<(Arc<Segment>, Wanted)>,
) -> Result<(Dictionary, Vec<Source>), Error> {
    let mut known = Vec::with_capacity(segments.len());
    for (segment, wanted) in segments {
        let dictionary = segment.dictionary()?;
        let mut used = vec![matches!(wanted, Wanted::All); dictionary.subscribers().len()];
        if !matches!(wanted, Wanted::All) {
            for row in segment.rows() {
                let row = row?;
                if wanted.wants(&row)
                    && let Some(used) = used.get_mut(row.subscriber.0 as usize)
                {
                    *used = true;
                }
            }
        }
        known.push((segment, wanted, dictionary, used));
    }
    let all = known.iter().flat_map(|(_, _, old, used)| wanted(old, used));
    let subscribers: Vec<&Subscriber> = all.collect();
    let devices = known.iter().flat_map(|(_, _, old, _)| old.devices());
    let (dictionary, numbers) = Dictionary::numbering(&subscribers, devices.cloned())?;
    // In the order in which they were handed over.
    let mut numbers = numbers.into_iter();
    let none = SubscriberNumber(u32::MAX);
    let sources = known
        .into_iter()
        .map(|(segment, wanted, old, used)| Source {
            segment,
            wanted,
            subscribers: (used.iter())
                .map(|used| {
                    let number = if *used { numbers.next() } else { None };
                    number.unwrap_or(none)
                })
                .collect(),
            devices: (old.devices().iter())
                .map(|device| {
                    dictionary
                        .number_of_device(device)
                        .unwrap_or(DeviceNumber(0))
                })
                .collect(),
        });
    let sources = sources.collect();
    Ok((dictionary, sources))
}

/// The subscribers of a dictionary that are used.
fn wanted<'a>(old: &'a Dictionary, used: &'a [bool]) -> impl Iterator<Item = &'a Subscriber> {
    let all = old.subscribers().iter().zip(used);
    all.filter_map(|(subscriber, used)| used.then_some(subscriber))
}

/// The resolution that holds the times of all.
pub(super) fn resolution(sources: &[Source]) -> Resolution {
    let fine = sources
        .iter()
        .any(|source| source.segment.resolution() == Resolution::Micros);
    if fine {
        Resolution::Micros
    } else {
        Resolution::Millis
    }
}

/// Hands over what the sources know, one external address after the other; each source's apart.
pub(super) fn by_address(
    sources: &[Source],
    mut each: impl FnMut(Ipv4Addr, &[Vec<Numbered>]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut streams: Vec<Peekable<Rows<'_>>> = Vec::with_capacity(sources.len());
    for source in sources {
        streams.push(source.segment.rows().peekable());
    }
    loop {
        let mut next: Option<Ipv4Addr> = None;
        for stream in &mut streams {
            // An error is met again below, and told then.
            if let Some(Ok(row)) = stream.peek() {
                next = Some(next.map_or(row.external, |least| least.min(row.external)));
            } else if let Some(Err(error)) = stream.next_if(Result::is_err) {
                return Err(error.into());
            }
        }
        let Some(external) = next else {
            return Ok(());
        };
        let mut together = Vec::with_capacity(streams.len());
        for (stream, source) in streams.iter_mut().zip(sources) {
            let mut mine = Vec::new();
            while let Some(row) =
                stream.next_if(|row| row.as_ref().is_ok_and(|row| row.external == external))
            {
                let row = row?;
                if source.wanted.wants(&row) {
                    mine.push(source.number(&row));
                }
            }
            together.push(mine);
        }
        each(external, &together)?;
    }
}

impl Source {
    fn number_record(&self, row: RecordRow) -> RecordRow {
        let subscriber = row.subscriber.map(|old| self.subscriber(old));
        RecordRow {
            device: self.device(row.device),
            subscriber,
            ..row
        }
    }

    fn subscriber(&self, old: SubscriberNumber) -> SubscriberNumber {
        let new = self.subscribers.get(old.0 as usize).copied();
        new.unwrap_or(SubscriberNumber(u32::MAX))
    }

    fn device(&self, old: DeviceNumber) -> DeviceNumber {
        let new = self.devices.get(usize::from(old.0)).copied();
        new.unwrap_or(DeviceNumber(u16::MAX))
    }

    fn number(&self, row: &Row) -> Numbered {
        Fragment {
            ports: row.ports,
            transport: row.transport,
            from: row.from,
            to: row.to,
            concluded: row.concluded,
            subscriber: self.subscriber(row.subscriber),
            device: self.device(row.device),
            record: row.opened,
        }
    }
}

/// A merged segment that is being written.
pub(super) struct Output<'a> {
    staged: &'a Staged,
    dictionary: &'a Dictionary,
    resolution: Resolution,
    rows: SegmentWriter<'a>,
    count: u64,
    records: Option<(u64, FileSummary)>,
}

impl<'a> Output<'a> {
    pub(super) fn new(
        staged: &'a Staged,
        dictionary: &'a Dictionary,
        sources: &[Source],
    ) -> Result<Self, Error> {
        let resolution = resolution(sources);
        let key = staged.key.as_ref();
        Ok(Self {
            staged,
            dictionary,
            resolution,
            rows: SegmentWriter::new(&staged.dir, dictionary, resolution, key)?,
            count: 0,
            records: None,
        })
    }

    /// Writes what is known of one address.
    pub(super) fn push(&mut self, external: Ipv4Addr, known: Vec<Numbered>) -> Result<(), Error> {
        let rows = known.into_iter().map(|known| Row {
            external,
            ports: known.ports,
            transport: known.transport,
            from: known.from,
            to: known.to,
            concluded: known.concluded,
            subscriber: known.subscriber,
            device: known.device,
            opened: known.record,
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_unstable_by_key(order);
        for row in rows {
            self.rows.push(row)?;
            self.count += 1;
        }
        Ok(())
    }

    /// Writes the records of the sources, in order of number.
    pub(super) fn write_records(&mut self, sources: &[&Source]) -> Result<(), Error> {
        let key = self.staged.key.as_ref();
        let mut writer =
            RecordWriter::new(&self.staged.dir, self.dictionary, self.resolution, key)?;
        let mut count = 0;
        let segments: Vec<_> = sources
            .iter()
            .map(|source| source.segment.as_ref())
            .collect();
        segment_records::rows_in_order(&segments, 0..u64::MAX, |place, row| {
            if let Some(source) = sources.get(place) {
                writer.push(source.number_record(row))?;
                count += 1;
            }
            Ok(())
        })?;
        self.records = Some((count, writer.finish()?));
        Ok(())
    }

    /// How many rows and records there are, and the files.
    pub(super) fn finish(self) -> Result<(u64, u64, Vec<FileSummary>), Error> {
        let mut files = self.rows.finish()?.files;
        let (records, file) = self.records.unzip();
        files.extend(file);
        Ok((self.count, records.unwrap_or(0), files))
    }
}
