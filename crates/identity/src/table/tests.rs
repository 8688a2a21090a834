use std::sync::Arc;

use portledger_model::{Realm, Span, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::{Customer, Error, Flaw, Interval, Prefix, row, row::tests::intervals, steps::Steps};

const KEY: [u8; 32] = [7; 32];

pub(crate) fn written(mut rows: Vec<Vec<u8>>, part: Part) -> Vec<u8> {
    rows.sort();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table");
    let key = DataKey::from_bytes(KEY);
    let mut writer = TableWriter::create(&path, part, &key, &Steps::new()).unwrap();
    for row in &rows {
        writer.push(row).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), rows.len() as u64);
    std::fs::read(path).unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<Interval>, Error> {
    Table::from_bytes(bytes.to_vec(), &DataKey::from_bytes(KEY))?.intervals()
}

/// So many intervals, and so many chunks of them.
fn many(count: u32) -> Vec<Vec<u8>> {
    let row = |number: u32| {
        let mut customer = Customer::new(&format!("C-{number:04}")).unwrap();
        customer.insert("name", &"x".repeat(100)).unwrap();
        let prefix = Prefix::around((0x6440_0000 + number / 3).to_be_bytes().into(), 32).unwrap();
        let from = Timestamp::from_secs(i64::from(number % 3) * 10);
        let to = Some(from.after(std::time::Duration::from_secs(10)));
        row::encode(&Interval::new(Realm::default(), prefix, from, to, customer).unwrap())
    };
    (0..count).map(row).collect()
}

#[test]
fn many_chunks_come_back_in_order() {
    let rows = many(1_000);
    let found = read(&written(rows.clone(), Part::Whole)).unwrap();
    let expected: Vec<_> = rows.iter().map(|row| row::decode(row).unwrap()).collect();
    assert!(found == expected);
}

#[test]
fn a_question_finds_its_rows_wherever_chunks_end() {
    let bytes = written(many(1_000), Part::Whole);
    let table = Table::from_bytes(bytes, &DataKey::from_bytes(KEY)).unwrap();
    let asked = |address: u32, length| {
        let address = (0x6440_0000 + address).to_be_bytes().into();
        (Prefix::around(address, length).unwrap(), 1 << (32 - length))
    };
    // Single addresses, and all that is inside a prefix.
    let prefixes = [asked(0, 24), asked(32, 28), asked(330, 31)];
    for (asked, addresses) in (0..333).map(|n| asked(n, 32)).chain(prefixes) {
        for (from, to, expected) in [
            (0, 30, 3),
            (5, 15, 2),
            (10, 20, 1),
            (25, 99, 1),
            (30, 99, 0),
        ] {
            let span = Span::new(Timestamp::from_secs(from), Timestamp::from_secs(to));
            let mut found = 0;
            table
                .find(&Realm::default(), asked, span, |_| found += 1)
                .unwrap();
            let held = expected * addresses;
            let asked = (asked.address(), asked.length());
            assert_eq!(found, held, "{asked:?} from {from} to {to}");
        }
    }
}

#[test]
fn rows_of_one_key_that_fill_chunks_are_all_found() {
    let row = |number: u32| {
        let mut customer = Customer::new(&format!("C-{number:04}")).unwrap();
        customer.insert("name", &"x".repeat(1_000)).unwrap();
        let prefix = Prefix::parse("100.64.3.9").unwrap();
        row::encode(
            &Interval::new(Realm::default(), prefix, Timestamp::EPOCH, None, customer).unwrap(),
        )
    };
    let bytes = written((0..100).map(row).collect(), Part::Whole);
    let table = Table::from_bytes(bytes, &DataKey::from_bytes(KEY)).unwrap();
    let mut found = 0;
    let span = Span::new(Timestamp::EPOCH, Timestamp::MAX);
    let asked = Prefix::parse("100.64.3.9").unwrap();
    table
        .find(&Realm::default(), asked, span, |_| found += 1)
        .unwrap();
    assert_eq!(found, 100);
    let key = row(0);
    assert!(table.has(row::split(&key).unwrap().0).unwrap());
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let bytes = written(many(300), Part::Whole);
    assert!(bytes.len() > 2 * CHUNK, "there are chunks");
    for at in (0..bytes.len())
        .step_by(17)
        .chain(0..12)
        .chain(bytes.len() - 16..bytes.len())
    {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        let error = read(&bytes).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "byte {at}: {error}");
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let bytes = written(many(20), Part::Whole);
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn chunks_that_changed_places_are_found() {
    let mut bytes = written(many(300), Part::Whole);
    let table = Table::from_bytes(bytes.clone(), &DataKey::from_bytes(KEY)).unwrap();
    // Of equal length, so that nothing but the place differs.
    let places: Vec<_> = table
        .index
        .chunks
        .iter()
        .map(|chunk| (chunk.offset, chunk.length))
        .collect();
    let (one, two) = places
        .iter()
        .enumerate()
        .find_map(|(at, one)| Some((*one, *places[at + 1..].iter().find(|two| two.1 == one.1)?)))
        .unwrap();
    let range = |(offset, length): (u64, u32)| offset as usize..offset as usize + length as usize;
    let first = bytes[range(one)].to_vec();
    bytes.copy_within(range(two), one.0 as usize);
    bytes[range(two)].copy_from_slice(&first);
    let error = read(&bytes).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Damaged {
                flaw: Flaw::Chunk(_),
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn another_key_another_part_and_a_later_release_are_told() {
    let bytes = written(many(20), Part::Run(3));
    let flaw = |error| match error {
        Error::Damaged { flaw, .. } => flaw,
        other => panic!("{other}"),
    };
    assert_eq!(flaw(read(&bytes).unwrap_err()), Flaw::Index);
    let mut bytes = written(many(20), Part::Whole);
    let other = Table::from_bytes(bytes.clone(), &DataKey::from_bytes([8; 32]));
    assert_eq!(flaw(other.unwrap_err()), Flaw::Index);
    bytes[8] = 2;
    assert_eq!(flaw(read(&bytes).unwrap_err()), Flaw::Version(2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(intervals in prop::collection::vec(intervals(), 0..60)) {
        let mut rows: Vec<_> = intervals.iter().map(row::encode).collect();
        let bytes = written(rows.clone(), Part::Whole);
        rows.sort();
        let table = Table::from_bytes(bytes, &DataKey::from_bytes(KEY)).unwrap();
        prop_assert_eq!(table.first_end(), rows.iter().map(|row| row::end(row).unwrap()).min().unwrap_or(Timestamp::MAX));
        let mut stream = Stream::new(Arc::new(table));
        for row in rows {
            prop_assert!(stream.advance().unwrap());
            prop_assert_eq!(stream.row(), row);
        }
        prop_assert!(!stream.advance().unwrap());
    }

    #[test]
    fn any_bytes_are_a_file_or_none(bytes in any::<Vec<u8>>()) {
        prop_assert!(read(&bytes).is_err());
        let framed = [&MAGIC[..], &VERSION.to_le_bytes(), &bytes, &12_u64.to_le_bytes(), END].concat();
        prop_assert!(read(&framed).is_err());
    }
}
