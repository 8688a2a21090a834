//! The `parquet` crate's own reader finds in the files what was written, value by value.
#![allow(clippy::unwrap_used)]

mod support;

use std::{fs::File, net::Ipv4Addr, path::Path};

use parquet::{
    file::reader::{FileReader as _, SerializedFileReader},
    record::Field,
};
use portledger_model::{RecordNumber, Timestamp};
use portledger_segments::{
    DeviceNumber, Dictionary, RecordRow, RecordWriter, Resolution, Row, SegmentWriter,
    SubscriberNumber,
};
use support::{Random, dictionary, rows, time};

/// All values of a file, row by row, under their columns' names.
fn values(dir: &Path, file: &str) -> Vec<Vec<(String, Field)>> {
    let reader = SerializedFileReader::new(File::open(dir.join(file)).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| row.unwrap().into_columns()).collect()
}

fn named<const N: usize>(fields: [(&str, Field); N]) -> Vec<(String, Field)> {
    let owned = |(name, field): (&str, Field)| (name.to_owned(), field);
    fields.into_iter().map(owned).collect()
}

fn at(time: Timestamp, resolution: Resolution) -> Field {
    match resolution {
        Resolution::Millis => Field::TimestampMillis(time.as_micros() / 1_000),
        Resolution::Micros => Field::TimestampMicros(time.as_micros()),
    }
}

/// Null where there is nothing.
fn or_null<T>(value: Option<T>, field: impl FnOnce(T) -> Field) -> Field {
    value.map_or(Field::Null, field)
}

fn device(dictionary: &Dictionary, number: DeviceNumber) -> Field {
    Field::Str(dictionary.device(number).unwrap().as_str().to_owned())
}

fn allocation(row: &Row, dictionary: &Dictionary, resolution: Resolution) -> Vec<(String, Field)> {
    let transport = row.transport.map(|transport| transport.protocol_number());
    named([
        ("external", Field::UInt(row.external.to_bits())),
        ("first_port", Field::UShort(row.ports.first())),
        ("last_port", Field::UShort(row.ports.last())),
        ("transport", or_null(transport, Field::UByte)),
        ("from", at(row.from, resolution)),
        ("to", or_null(row.to, |to| at(to, resolution))),
        ("subscriber", Field::UInt(row.subscriber.0)),
        ("device", device(dictionary, row.device)),
        ("concluded", Field::UByte(row.concluded.into())),
    ])
}

/// Holds all files of a segment of these rows against them.
fn agree(rows: &[Row], resolution: Resolution) {
    let (dir, dictionary) = (tempfile::tempdir().unwrap(), dictionary());
    let mut writer = SegmentWriter::new(dir.path(), &dictionary, resolution, None).unwrap();
    for row in rows {
        writer.push(*row).unwrap();
    }
    writer.finish().unwrap();

    let found = values(dir.path(), "allocations.parquet");
    assert_eq!(found.len(), rows.len());
    for (found, row) in found.iter().zip(rows) {
        assert_eq!(found, &allocation(row, &dictionary, resolution));
    }
    let found = values(dir.path(), "numbers.parquet");
    let numbers = rows.iter().map(|row| row.opened.0);
    let expected: Vec<_> = numbers
        .map(|number| named([("opened", Field::ULong(number))]))
        .collect();
    assert_eq!(found, expected);

    let mut by_subscriber: Vec<(u32, u32)> = (0..)
        .zip(rows)
        .map(|(number, row)| (row.subscriber.0, number))
        .collect();
    by_subscriber.sort_unstable();
    let found = values(dir.path(), "by_subscriber.parquet");
    let ways = by_subscriber.iter();
    let expected: Vec<_> = ways
        .map(|&(_, row)| named([("row", Field::UInt(row))]))
        .collect();
    assert_eq!(found, expected);

    let found = values(dir.path(), "subscribers.parquet");
    let expected: Vec<_> = (0..)
        .zip(dictionary.subscribers())
        .map(|(number, subscriber)| {
            let first = by_subscriber.partition_point(|&(of, _)| of < number);
            named([
                ("realm", Field::Str(subscriber.realm().as_str().to_owned())),
                ("internal", Field::Str(subscriber.internal().to_string())),
                ("first", Field::UInt(first as u32)),
            ])
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn another_reader_finds_every_value() {
    agree(&rows(20_000, 30, 11), Resolution::Millis);
    agree(&[], Resolution::Millis);
}

#[test]
fn another_reader_finds_values_that_are_the_same_in_a_whole_page() {
    let mut rows = rows(10_000, 3, 12);
    for row in &mut rows {
        row.transport = None;
        row.concluded = false;
        row.device = DeviceNumber(1);
        row.subscriber = SubscriberNumber(7);
    }
    agree(&rows, Resolution::Millis);
}

#[test]
fn another_reader_finds_the_greatest_and_the_least() {
    let mut random = Random(13);
    let mut rows = rows(9_000, 30, 14);
    for row in &mut rows {
        if random.one_in(2) {
            row.external = Ipv4Addr::BROADCAST;
        }
        row.opened = RecordNumber(match random.below(3) {
            0 => u64::MAX,
            1 => 0,
            _ => 1 << 63,
        });
        row.from = Timestamp::from_micros(row.from.as_micros() + random.below(1_000) as i64);
        row.to = row.to.filter(|_| random.one_in(2));
    }
    rows.sort_by_key(Row::order);
    agree(&rows, Resolution::Micros);
}

#[test]
fn another_reader_finds_every_record() {
    let (dir, dictionary) = (tempfile::tempdir().unwrap(), dictionary());
    let mut random = Random(15);
    let records: Vec<RecordRow> = (0..9_000)
        .zip(rows(9_000, 30, 16))
        .map(|(number, row)| RecordRow {
            number: RecordNumber(number * 2),
            at: time(number),
            device: row.device,
            kind: random.below(5) as u8,
            block: (!random.one_in(3)).then_some(portledger_segments::RecordBlock {
                external: row.external,
                ports: row.ports,
                transport: row.transport,
            }),
            subscriber: (!random.one_in(4)).then_some(row.subscriber),
            since: random.one_in(2).then_some(row.from),
            details: "é".repeat(random.below(4) as usize),
        })
        .collect();
    let resolution = Resolution::Millis;
    let mut writer = RecordWriter::new(dir.path(), &dictionary, resolution, None).unwrap();
    for record in &records {
        writer.push(record.clone()).unwrap();
    }
    writer.finish().unwrap();
    let found = values(dir.path(), "records.parquet");
    assert_eq!(found.len(), records.len());
    for (found, record) in found.iter().zip(&records) {
        let block = record.block.as_ref();
        let transport = block.and_then(|block| block.transport);
        let details = (!record.details.is_empty()).then(|| record.details.clone());
        let expected = named([
            ("number", Field::ULong(record.number.0)),
            ("at", at(record.at, resolution)),
            ("kind", Field::UByte(record.kind)),
            ("device", device(&dictionary, record.device)),
            (
                "external",
                or_null(block, |b| Field::UInt(b.external.to_bits())),
            ),
            (
                "first_port",
                or_null(block, |b| Field::UShort(b.ports.first())),
            ),
            ("ports", or_null(block, |b| Field::UInt(b.ports.count()))),
            (
                "transport",
                or_null(transport, |held| Field::UByte(held.protocol_number())),
            ),
            (
                "subscriber",
                or_null(record.subscriber, |of| Field::UInt(of.0)),
            ),
            (
                "since",
                or_null(record.since, |since| at(since, resolution)),
            ),
            ("details", or_null(details, Field::Str)),
        ]);
        assert_eq!(found, &expected);
    }
}
