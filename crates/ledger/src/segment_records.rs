//! Records as segments keep them.

use std::{collections::HashMap, iter::Peekable, ops::Range, sync::Arc};

use portledger_model::{Block, Device, Event, Record, RecordNumber, Subscriber};
use portledger_segments::{
    DeviceNumber, Dictionary, RecordBlock, RecordRow, Records, Segment, SubscriberNumber,
};

use crate::{Error, Flaw, record::text};

/// Kinds of records in a segment's file. Those without a block have their text as `details`.
const OTHER: u8 = 0;
const ALLOCATED: u8 = 1;
const HELD: u8 = 2;
const RELEASED: u8 = 3;

/// More records than this are read with the segment's dictionary in memory; fewer, subscriber by
/// subscriber.
const MANY: u64 = 20_000;

/// What is said where a dictionary lacks the device of a record it was made of.
pub(crate) const UNKNOWN_DEVICE: Flaw =
    Flaw::Meaning("a device that its own dictionary does not have");

/// Looks up devices in a dictionary. Neighbours are nearly always of one.
pub(crate) struct Devices<'a> {
    dictionary: &'a Dictionary,
    last: Option<(&'a Device, DeviceNumber)>,
}

impl<'a> Devices<'a> {
    pub(crate) const fn of(dictionary: &'a Dictionary) -> Self {
        Self {
            dictionary,
            last: None,
        }
    }

    pub(crate) fn number(&mut self, device: &'a Device) -> Result<DeviceNumber, Flaw> {
        if let Some((last, number)) = self.last
            && last == device
        {
            return Ok(number);
        }
        let number = self.dictionary.number_of_device(device);
        let number = number.ok_or(UNKNOWN_DEVICE)?;
        self.last = Some((device, number));
        Ok(number)
    }
}

/// Records as rows, in the numbers of a dictionary that has their names. `subscribers` are the
/// numbers of those whom records with a block tell of.
pub(crate) fn rows<'a>(
    records: &'a [&'a (RecordNumber, Record)],
    subscribers: &'a [SubscriberNumber],
    dictionary: &'a Dictionary,
) -> impl Iterator<Item = Result<RecordRow, Error>> {
    let mut devices = Devices::of(dictionary);
    let mut subscribers = subscribers.iter();
    records.iter().map(move |(number, record)| {
        let mut row = RecordRow {
            number: *number,
            at: record.at,
            device: devices.number(&record.device)?,
            kind: OTHER,
            block: None,
            subscriber: None,
            since: None,
            details: String::new(),
        };
        let (kind, block, since) = match &record.event {
            Event::Allocated(block) => (ALLOCATED, block, None),
            Event::Held { block, since } => (HELD, block, Some(*since)),
            Event::Released { block, since } => (RELEASED, block, Some(*since)),
            _ => {
                let mut details = Vec::new();
                text::write(record, &mut details);
                let details = String::from_utf8(details);
                row.details = details.map_err(|_| Flaw::Meaning("a text that is not UTF-8"))?;
                return Ok(row);
            }
        };
        let subscriber = subscribers.next();
        row.kind = kind;
        row.subscriber = Some(*subscriber.ok_or(Flaw::Meaning("a record of no subscriber"))?);
        row.since = since;
        row.block = Some(RecordBlock {
            external: block.external,
            ports: block.ports,
            transport: block.transport,
        });
        Ok(row)
    })
}

/// Reads the rows of one segment as records.
struct Reader<'a> {
    segment: &'a Segment,
    dictionary: Option<Dictionary>,
    known: HashMap<SubscriberNumber, Subscriber>,
}

impl<'a> Reader<'a> {
    fn new(segment: &'a Segment, many: bool) -> Result<Self, Error> {
        let dictionary = if many {
            Some(segment.dictionary()?)
        } else {
            None
        };
        Ok(Self {
            segment,
            dictionary,
            known: HashMap::new(),
        })
    }

    fn record(&mut self, row: RecordRow) -> Result<Record, Error> {
        if row.kind == OTHER {
            let record = text::read(&row.details);
            return Ok(record.ok_or(Flaw::Meaning("a record's details that are none"))?);
        }
        let parts = row.block.zip(row.subscriber);
        let (block, number) = parts.ok_or(Flaw::Meaning("a record without its block"))?;
        let block = Block {
            subscriber: self.subscriber(number)?,
            external: block.external,
            ports: block.ports,
            transport: block.transport,
        };
        let since = row.since.ok_or(Flaw::Meaning("a record without its start"));
        let device = self.segment.devices().get(usize::from(row.device.0));
        Ok(Record {
            at: row.at,
            device: device
                .cloned()
                .ok_or(Flaw::Meaning("a record of no device"))?,
            event: match row.kind {
                ALLOCATED => Event::Allocated(block),
                HELD => Event::Held {
                    block,
                    since: since?,
                },
                RELEASED => Event::Released {
                    block,
                    since: since?,
                },
                _ => return Err(Flaw::Meaning("a record of an unknown kind").into()),
            },
        })
    }

    fn subscriber(&mut self, number: SubscriberNumber) -> Result<Subscriber, Error> {
        if let Some(dictionary) = &self.dictionary {
            let known = dictionary.subscriber(number).cloned();
            return Ok(known.ok_or(Flaw::Meaning("a record of no subscriber"))?);
        }
        if let Some(known) = self.known.get(&number) {
            return Ok(known.clone());
        }
        let subscriber = self.segment.subscriber(number)?;
        self.known.insert(number, subscriber.clone());
        Ok(subscriber)
    }
}

/// Hands over the records of a range that several segments have, in order of number.
pub(crate) fn in_order(
    segments: &[Arc<Segment>],
    range: Range<u64>,
    mut each: impl FnMut(RecordNumber, Record) -> Result<(), Error>,
) -> Result<(), Error> {
    let many = MANY < range.end.saturating_sub(range.start);
    let mut readers = Vec::with_capacity(segments.len());
    for segment in segments {
        readers.push(Reader::new(segment, many)?);
    }
    let segments: Vec<_> = segments.iter().map(AsRef::as_ref).collect();
    rows_in_order(&segments, range, |place, row| {
        let number = row.number;
        match readers.get_mut(place) {
            Some(reader) => each(number, reader.record(row)?),
            None => Ok(()),
        }
    })
}

/// Hands over the rows of a range that several segments have, in order of number, each with the
/// place of its segment.
pub(crate) fn rows_in_order(
    segments: &[&Segment],
    range: Range<u64>,
    mut each: impl FnMut(usize, RecordRow) -> Result<(), Error>,
) -> Result<(), Error> {
    let range = RecordNumber(range.start)..RecordNumber(range.end);
    let mut streams: Vec<Peekable<Records<'_>>> = Vec::with_capacity(segments.len());
    for segment in segments {
        streams.push(segment.records(range.clone())?.peekable());
    }
    loop {
        let mut least: Option<(usize, RecordNumber)> = None;
        for (place, stream) in streams.iter_mut().enumerate() {
            let next = match stream.peek() {
                Some(Ok(row)) => row.number,
                // Taken first, so that it is told.
                Some(Err(_)) => RecordNumber(0),
                None => continue,
            };
            if least.is_none_or(|(_, best)| next < best) {
                least = Some((place, next));
            }
        }
        let Some((place, _)) = least else {
            return Ok(());
        };
        if let Some(row) = streams.get_mut(place).and_then(Iterator::next) {
            each(place, row?)?;
        }
    }
}
