//! Records come back as they were written, by number.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use portledger_model::{PortRange, RecordNumber, Span, Timestamp, Transport};
use portledger_segments::{
    DeviceNumber, Error, Key, RecordBlock, RecordRow, RecordWriter, Resolution, Segment,
    SubscriberNumber,
};
use support::{Random, dictionary, open, time, write};

fn records(count: u64) -> Vec<RecordRow> {
    let mut random = Random(1);
    let mut number = 5;
    (0..count)
        .map(|n| {
            number += 1 + random.below(3) / 2;
            let kind = random.below(4) as u8;
            let first = random.below(60_000) as u16;
            let block = RecordBlock {
                external: std::net::Ipv4Addr::from_bits(u32::MAX - random.below(3) as u32),
                ports: PortRange::new(first, first + random.below(5_000) as u16).unwrap(),
                transport: random.one_in(9).then_some(Transport::Udp),
            };
            RecordRow {
                number: RecordNumber(number),
                at: time(n * 4 + random.below(4)),
                device: DeviceNumber(random.below(3) as u16),
                kind,
                block: (kind > 0).then_some(block),
                subscriber: (kind != 1).then(|| SubscriberNumber(random.below(2_000) as u32)),
                since: (kind == 2).then(|| time(random.below(n + 1))),
                details: if kind == 0 {
                    format!("level={n} é")
                } else {
                    String::new()
                },
            }
        })
        .collect()
}

fn written(records: &[RecordRow], key: Option<&Key>) -> (tempfile::TempDir, Segment) {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[], key);
    let dictionary = dictionary();
    let mut writer = RecordWriter::new(dir.path(), &dictionary, Resolution::Millis, key).unwrap();
    for record in records {
        writer.push(record.clone()).unwrap();
    }
    writer.finish().unwrap();
    let segment = open(dir.path(), key);
    (dir, segment)
}

#[test]
fn records_come_back_as_they_were_written() {
    let key = Key::new(&[1; 32], "k").unwrap();
    for key in [None, Some(&key)] {
        let records = records(10_000);
        let (_dir, segment) = written(&records, key);
        segment.verify_records().unwrap();
        let all: Vec<_> = segment.all_records().unwrap().map(Result::unwrap).collect();
        assert!(all == records);
        let mut random = Random(2);
        for _ in 0..200 {
            let start = random.below(17_000);
            let numbers = RecordNumber(start)..RecordNumber(start + random.below(9_000));
            let found = segment
                .records(numbers.clone())
                .unwrap()
                .map(Result::unwrap);
            let expected = records
                .iter()
                .filter(|record| numbers.contains(&record.number));
            assert!(found.eq(expected.cloned()), "{numbers:?}");
        }
    }
}

#[test]
fn a_segment_without_records_says_so() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[], None);
    let absent = open(dir.path(), None).all_records().err();
    assert!(matches!(absent, Some(Error::Io { action: "open", .. })));
    let (_dir, none) = written(&[], None);
    assert_eq!(none.all_records().unwrap().count(), 0);
}

#[test]
fn records_that_cannot_be_kept_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dictionary = dictionary();
    let mut writer = RecordWriter::new(dir.path(), &dictionary, Resolution::Millis, None).unwrap();
    let record = records(1).remove(0);
    writer.push(record.clone()).unwrap();
    assert!(matches!(
        writer.push(record.clone()),
        Err(Error::OutOfOrder { row: 1 })
    ));
    let next = |change: &dyn Fn(&mut RecordRow)| {
        let mut next = record.clone();
        next.number.0 += 1;
        change(&mut next);
        next
    };
    let long = next(&|record| record.details = "x".repeat(4_097));
    assert!(matches!(
        writer.push(long),
        Err(Error::TooLong {
            record: 1,
            bytes: 4_097
        })
    ));
    let fine = next(&|record| record.at = Timestamp::EPOCH.after(Span::TICK));
    assert!(matches!(writer.push(fine), Err(Error::TooFine { row: 1 })));
    let unknown = next(&|record| record.subscriber = Some(SubscriberNumber(u32::MAX)));
    assert!(matches!(
        writer.push(unknown),
        Err(Error::Unknown {
            what: "subscriber",
            ..
        })
    ));
}

#[test]
fn a_flipped_bit_in_the_records_is_found_or_changes_nothing() {
    let records = records(5_000);
    let (dir, _) = written(&records, None);
    let path = dir.path().join("records.parquet");
    let bytes = fs::read(&path).unwrap();
    let mut random = Random(9);
    let mut found = 0;
    for n in 0..300 {
        let from = if n % 2 == 0 { 0 } else { bytes.len() - 3_000 };
        let at = from + random.below((bytes.len() - from) as u64) as usize;
        let mut changed = bytes.clone();
        changed[at] ^= 1 << random.below(8);
        fs::write(&path, &changed).unwrap();
        let segment = open(dir.path(), None);
        let all: Result<Vec<_>, _> = match segment.verify_records() {
            Ok(()) => segment.all_records().and_then(|all| all.collect()),
            Err(error) => Err(error),
        };
        match all {
            Ok(all) => assert!(all == records, "byte {at}: a wrong answer"),
            Err(_) => found += 1,
        }
    }
    assert!(found > 150, "{found}");
}
