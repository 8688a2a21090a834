//! Shortcuts change no answer: where they are missing, damaged or another segment's, the columns
//! answer as they did.
#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, path::Path};

use portledger_model::{Allocation, PortRange, Span, Timestamp};
use portledger_segments::{Error, Key, Question, Row, Segment, SubscriberNumber};
use support::{Random, dictionary, expected, key, open, question, rows, write};

const FILE: &str = "shortcuts.idx";
const ADDRESSES: u64 = 5;

/// What the segment says to some questions: one by one, all at once, and of some subscribers.
fn answers(segment: &Segment, seed: u64) -> Vec<Vec<Row>> {
    let mut random = Random(seed);
    let mut questions: Vec<Question> = (0..60)
        .map(|index| {
            let (external, span) = question(&mut random, ADDRESSES);
            Question {
                external,
                span,
                index,
            }
        })
        .collect();
    questions.sort_by_key(Question::order);
    let one_by_one = questions
        .iter()
        .map(|asked| segment.rows_of(asked.external, asked.span).unwrap());
    let mut all: Vec<Vec<Row>> = one_by_one.collect();
    let mut joined = vec![Vec::new(); questions.len()];
    segment
        .join(&questions, &mut |index, row| {
            joined[index as usize].push(*row)
        })
        .unwrap();
    all.extend(joined);
    let held = |number| {
        let span = Span::new(Timestamp::MIN, Timestamp::MAX);
        segment.rows_of_subscriber(SubscriberNumber(number), span)
    };
    all.extend((0..20).map(|number| held(number * 31).unwrap()));
    for rows in &mut all {
        rows.sort_by_key(|row| (row.order(), row.opened.0));
    }
    all
}

fn holders(segment: &Segment, rows: &[Row], questions: u64) {
    let (mut random, dictionary) = (Random(21), dictionary());
    for _ in 0..questions {
        let (asked, span) = question(&mut random, ADDRESSES);
        let mut found: Vec<Allocation> = Vec::new();
        segment.holders(asked, span, &mut found).unwrap();
        found.sort_by_key(key);
        assert_eq!(found, expected(rows, &dictionary, asked, span));
    }
}

fn keys() -> [Option<Key>; 2] {
    [None, Some(Key::new(&[9; 16], "k").unwrap())]
}

fn damaged(segment: &Segment) -> bool {
    matches!(segment.verify(), Err(Error::Damaged { file: FILE, .. }))
}

#[test]
fn a_segment_without_shortcuts_answers_the_same() {
    for key in keys() {
        let (dir, rows) = (tempfile::tempdir().unwrap(), rows(20_000, ADDRESSES, 1));
        let summary = write(dir.path(), &rows, key.as_ref());
        assert!(summary.files.iter().any(|file| file.name == FILE));
        let with = answers(&open(dir.path(), key.as_ref()), 1);
        fs::remove_file(dir.path().join(FILE)).unwrap();
        let segment = open(dir.path(), key.as_ref());
        assert_eq!(answers(&segment, 1), with);
        holders(&segment, &rows, 100);
        segment.verify().unwrap();
    }
}

#[test]
fn shortcuts_are_used_where_they_are() {
    let (dir, rows) = (tempfile::tempdir().unwrap(), rows(20_000, ADDRESSES, 1));
    write(dir.path(), &rows, None);
    // The first page of the first column is damaged: shortcuts lead past it, columns do not.
    let path = dir.path().join("allocations.parquet");
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 4;
    fs::write(&path, &bytes).unwrap();
    let asked = |segment: &Segment| {
        let span = Span::new(Timestamp::MIN, Timestamp::MAX);
        let external = portledger_model::External {
            address: rows[0].external,
            port: Some(rows[0].ports.first()),
            transport: None,
        };
        segment.rows_of(external, span)
    };
    assert!(asked(&open(dir.path(), None)).unwrap().contains(&rows[0]));
    fs::remove_file(dir.path().join(FILE)).unwrap();
    assert!(asked(&open(dir.path(), None)).is_err());
}

#[test]
fn rows_of_single_ports_have_no_runs_and_answer_the_same() {
    let (dir, mut rows) = (tempfile::tempdir().unwrap(), rows(20_000, ADDRESSES, 2));
    for row in &mut rows {
        row.ports = PortRange::new(row.ports.first(), row.ports.first()).unwrap();
    }
    write(dir.path(), &rows, None);
    let segment = open(dir.path(), None);
    holders(&segment, &rows, 200);
    segment.verify().unwrap();
    let length = fs::metadata(dir.path().join(FILE)).unwrap().len();
    assert!(length < 20_000, "{length}");
}

#[test]
fn a_flipped_bit_in_the_shortcuts_is_found_and_changes_no_answer() {
    for key in keys() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &rows(9_000, ADDRESSES, 3), key.as_ref());
        let sound = answers(&open(dir.path(), key.as_ref()), 3);
        let path = dir.path().join(FILE);
        let bytes = fs::read(&path).unwrap();
        let mut random = Random(4);
        for n in 0..80 {
            // Half of the tries at the end, which leads to the parts.
            let from = if n % 2 == 0 { 0 } else { bytes.len() - 120 };
            let at = from + random.below((bytes.len() - from) as u64) as usize;
            let mut changed = bytes.clone();
            changed[at] ^= 1 << random.below(8);
            fs::write(&path, &changed).unwrap();
            let segment = open(dir.path(), key.as_ref());
            assert_eq!(answers(&segment, 3), sound, "byte {at}");
            assert!(damaged(&segment), "byte {at}");
        }
    }
}

#[test]
fn shortcuts_cut_off_anywhere_change_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &rows(9_000, ADDRESSES, 3), None);
    let sound = answers(&open(dir.path(), None), 3);
    let path = dir.path().join(FILE);
    let bytes = fs::read(&path).unwrap();
    let mut random = Random(4);
    for _ in 0..40 {
        let length = random.below(bytes.len() as u64) as usize;
        fs::write(&path, &bytes[..length]).unwrap();
        let segment = open(dir.path(), None);
        assert_eq!(answers(&segment, 3), sound);
        assert!(damaged(&segment), "{length} bytes");
    }
}

/// Writes both segments, gives the first the shortcuts of the other, and returns whether that was
/// found; its answers must stay what they were.
fn swapped(one: &[Row], other: &[Row], key: Option<&Key>) -> bool {
    let (dir, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(dir.path(), one, key);
    write(from.path(), other, key);
    let sound = answers(&open(dir.path(), key), 5);
    fs::copy(from.path().join(FILE), dir.path().join(FILE)).unwrap();
    let segment = open(dir.path(), key);
    assert_eq!(answers(&segment, 5), sound);
    damaged(&segment)
}

#[test]
fn shortcuts_of_another_segment_are_not_believed() {
    for key in keys() {
        let rows = rows(9_000, ADDRESSES, 6);
        let changed = |change: &dyn Fn(&mut Row)| {
            let mut other = rows.clone();
            change(&mut other[4_500]);
            other
        };
        // Files of the same length with the same bounds, but for one number.
        let subscriber = changed(&|row| row.subscriber.0 ^= 1);
        assert!(swapped(&rows, &subscriber, key.as_ref()));
        let opened = changed(&|row| row.opened.0 ^= 1);
        assert!(swapped(&rows, &opened, key.as_ref()));
        let port = changed(&|row| {
            let last = row.ports.last() ^ 1;
            row.ports = PortRange::new(row.ports.first().min(last), last).unwrap();
        });
        assert!(swapped(&rows, &port, key.as_ref()));
        // The same rows again: the same file, unless each is encrypted with numbers of its own.
        assert_eq!(swapped(&rows, &rows, key.as_ref()), key.is_some());
    }
}

#[test]
fn shortcuts_are_made_again_as_they_were() {
    for key in keys() {
        let (dir, rows) = (tempfile::tempdir().unwrap(), rows(9_000, ADDRESSES, 7));
        let written = write(dir.path(), &rows, key.as_ref());
        let again = tempfile::tempdir().unwrap();
        let summary = open(dir.path(), key.as_ref()).write_shortcuts(again.path());
        let summary = summary.unwrap();
        let first = written.files.iter().find(|file| file.name == FILE).unwrap();
        assert_eq!(summary.bytes, first.bytes);
        // Sealed parts begin with random bytes.
        assert_eq!(summary.sha256 == first.sha256, key.is_none());
        fs::copy(again.path().join(FILE), dir.path().join(FILE)).unwrap();
        let segment = open(dir.path(), key.as_ref());
        segment.verify().unwrap();
        holders(&segment, &rows, 50);
        // What is there is not written over.
        assert!(segment.write_shortcuts(again.path()).is_err());
    }
}

#[test]
fn encrypted_shortcuts_show_no_subscriber() {
    let (dir, rows) = (tempfile::tempdir().unwrap(), rows(9_000, ADDRESSES, 8));
    let key = Key::new(&[9; 32], "k").unwrap();
    write(dir.path(), &rows, Some(&key));
    let sealed = read(dir.path());
    let plain = tempfile::tempdir().unwrap();
    write(plain.path(), &rows, None);
    // The addresses of the first page stand in the plain file, and not in the other.
    let address = rows[0].external.to_bits().to_le_bytes();
    let holds = |bytes: &[u8]| {
        bytes
            .windows(6)
            .any(|six| six[..4] == address && six[4..] == [0; 2])
    };
    assert!(holds(&read(plain.path())));
    assert!(!holds(&sealed));
}

fn read(dir: &Path) -> Vec<u8> {
    fs::read(dir.join(FILE)).unwrap()
}
