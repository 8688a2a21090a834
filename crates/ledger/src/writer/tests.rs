use std::{fs, thread, time::Duration};

use portledger_model::Event;

use super::*;
use crate::{
    Flaw,
    log::{frame::FRAME, payload::MARK_PAYLOAD},
    testing::{Failing, nth, record},
};

const MARK: usize = FRAME + MARK_PAYLOAD;

fn open(dir: &Path) -> (Writer, Recovery) {
    Writer::open(dir, Options::default()).unwrap()
}

fn small_files() -> Options {
    Options { file_bytes: 300 }
}

/// Writes records one by one, each durable by itself; returns the file and where each record's
/// frame begins.
fn written(dir: &Path, count: u32) -> (PathBuf, Vec<usize>) {
    let (mut writer, _) = open(dir);
    // The names are defined in front of record 0: it is not one that the tests cut.
    let mut places = Vec::new();
    for n in 0..count {
        places.push(usize::try_from(writer.length).unwrap());
        let last = writer.append(&[nth(n)]).unwrap();
        assert_eq!(last, Some(RecordNumber(n.into())));
        writer.sync().unwrap();
    }
    (writer.path.clone(), places)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "plg"));
    files.sort();
    files
}

#[test]
fn what_was_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = written(dir.path(), 50);
    assert!(path.ends_with("log-00000000000000000000.plg"));
    let stats = Ledger::read(dir.path()).unwrap().stats();
    assert_eq!((stats.records, stats.allocations, stats.open), (50, 50, 50));
    assert_eq!(stats.bytes, fs::metadata(&path).unwrap().len());
    let (writer, recovery) = open(dir.path());
    assert_eq!(recovery.cut, None);
    assert_eq!(writer.ledger().stats(), stats);
    assert_eq!(writer.next_record(), RecordNumber(50));
}

#[test]
fn opening_and_closing_adds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = written(dir.path(), 3);
    let before = fs::read(&path).unwrap();
    drop(open(dir.path()));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_second_writer_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_writer, _) = open(dir.path());
    let refused = Writer::open(dir.path(), Options::default());
    assert!(matches!(refused.err(), Some(Error::Locked { .. })));
}

#[test]
fn files_are_begun_in_turn_and_each_is_readable_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(dir.path(), small_files()).unwrap();
    for n in 0..100 {
        writer.append(&[nth(n)]).unwrap();
    }
    writer.sync().unwrap();
    let stats = writer.ledger().stats();
    drop(writer);
    let files = files(dir.path());
    assert!(files.len() > 5, "{}", files.len());
    let alone = files
        .iter()
        .map(|file| Ledger::from_bytes(&fs::read(file).unwrap()).unwrap());
    assert_eq!(alone.map(|ledger| ledger.stats().records).sum::<u64>(), 100);
    assert_eq!(Ledger::read(dir.path()).unwrap().stats(), stats);
    let (writer, _) = Writer::open(dir.path(), small_files()).unwrap();
    assert_eq!(writer.ledger().stats(), stats);
}

#[test]
fn the_smallest_files_hold_a_batch_each() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let (mut writer, _) = Writer::open(dir.path(), Options { file_bytes: 0 }).unwrap();
        for n in 0..4 {
            writer
                .append(&[nth(round * 8 + n), nth(round * 8 + n + 4)])
                .unwrap();
        }
        let stats = writer.ledger().stats();
        drop(writer);
        assert_eq!(Ledger::read(dir.path()).unwrap().stats(), stats);
    }
    assert_eq!(files(dir.path()).len(), 12);
}

#[test]
fn a_torn_end_is_cut_at_every_byte() {
    let origin = tempfile::tempdir().unwrap();
    let (path, places) = written(origin.path(), 5);
    let whole = fs::read(&path).unwrap();
    let last = places[4];
    let end = whole.len() - MARK;
    for length in last + 1..whole.len() {
        let torn = &whole[..length];
        let records = if length < end { 4 } else { 5 };
        check_cut(torn, records, if length < end { last } else { end });
    }
    // Of the right length, but with a hole: the disk wrote the end first.
    for hole in last..end {
        let mut torn = whole[..end].to_vec();
        torn[hole] ^= 0x40;
        check_cut(&torn, 4, last);
    }
}

fn check_cut(torn: &[u8], records: u64, end: usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = folder::log_path(dir.path(), RecordNumber(0));
    fs::write(&path, torn).unwrap();
    assert_eq!(Ledger::read(dir.path()).unwrap().stats().records, records);
    let (mut writer, recovery) = open(dir.path());
    let cut = (torn.len() > end).then(|| Cut {
        file: path.clone(),
        offset: end as u64,
        bytes: (torn.len() - end) as u64,
        record: RecordNumber(records),
    });
    assert_eq!(recovery.cut, cut);
    let last = writer.append(&[record(9, Event::Heartbeat)]).unwrap();
    assert_eq!(last, Some(RecordNumber(records)));
    writer.sync().unwrap();
    drop(writer);
    assert_eq!(
        Ledger::read(dir.path()).unwrap().stats().records,
        records + 1
    );
}

#[test]
fn a_torn_header_is_written_again() {
    let origin = tempfile::tempdir().unwrap();
    let (path, _) = written(origin.path(), 1);
    let whole = fs::read(path).unwrap();
    for length in 0..HEADER {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            folder::log_path(dir.path(), RecordNumber(0)),
            &whole[..length],
        )
        .unwrap();
        assert_eq!(Ledger::read(dir.path()).unwrap().stats().records, 0);
        let (mut writer, recovery) = open(dir.path());
        assert_eq!(recovery.cut.map_or(0, |cut| cut.bytes), length as u64);
        writer.append(&[nth(0)]).unwrap();
        drop(writer);
        assert_eq!(Ledger::read(dir.path()).unwrap().stats().records, 1);
    }
}

#[test]
fn a_flipped_byte_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let (path, places) = written(dir.path(), 6);
    let whole = fs::read(&path).unwrap();
    for at in 0..places[5] {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x04;
        fs::write(&path, &flipped).unwrap();
        // In front of a record stands the mark of the one before, and of the first its names.
        let named = places.iter().filter(|place| **place <= at).count() as u64;
        let frame = places
            .iter()
            .copied()
            .take_while(|place| *place <= at)
            .last()
            .unwrap_or(0);
        let next = places.iter().copied().find(|place| *place > at).unwrap();
        for error in [
            Ledger::read(dir.path()).err(),
            Writer::open(dir.path(), Options::default()).err(),
        ] {
            let Some(Error::Damaged {
                file,
                offset,
                record,
                ..
            }) = error
            else {
                panic!("byte {at}: {error:?}");
            };
            assert_eq!(file, path);
            assert!(
                (frame as u64..next as u64).contains(&offset),
                "byte {at}: offset {offset}"
            );
            assert!(offset <= at as u64, "byte {at}: offset {offset}");
            let expected = if at < HEADER {
                [0, 0]
            } else {
                [named - 1, named]
            };
            assert!(expected.contains(&record.0), "byte {at}: record {record}");
        }
    }
}

#[test]
fn a_flipped_byte_in_one_large_batch_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(dir.path());
    writer
        .append(&(0..1_000).map(nth).collect::<Vec<_>>())
        .unwrap();
    writer.sync().unwrap();
    let path = writer.path.clone();
    drop(writer);
    let mut bytes = fs::read(&path).unwrap();
    bytes[200] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = Ledger::read(dir.path()).err().unwrap();
    assert!(
        matches!(
            &error,
            Error::Damaged {
                flaw: Flaw::Checksum,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("is damaged at byte 199, record 5"),
        "{error}"
    );
}

#[test]
fn damage_in_a_sealed_file_is_found_at_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(dir.path(), small_files()).unwrap();
    for n in 0..40 {
        writer.append(&[nth(n)]).unwrap();
    }
    drop(writer);
    let files = files(dir.path());
    let whole = fs::read(&files[1]).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x01;
        fs::write(&files[1], &flipped).unwrap();
        assert!(
            matches!(Ledger::read(dir.path()).err(), Some(Error::Damaged { file, .. }) if file == files[1])
        );
        fs::write(&files[1], &whole[..at]).unwrap();
        let cut = Ledger::read(dir.path());
        if at == whole.len() - MARK {
            // Only the mark is gone: no record is.
            assert_eq!(cut.unwrap().stats().records, 40);
        } else {
            assert!(
                matches!(cut.err(), Some(Error::Damaged { .. })),
                "cut at {at}"
            );
        }
    }
    fs::remove_file(&files[1]).unwrap();
    let error = Ledger::read(dir.path()).err();
    assert!(matches!(
        error,
        Some(Error::Damaged {
            flaw: Flaw::Sequence { .. },
            ..
        })
    ));
}

#[test]
fn a_later_format_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut header = frame::header(RecordNumber(0));
    header[8] = 2;
    let crc = crc32c::crc32c(&header[..20]).to_le_bytes();
    header[20..].copy_from_slice(&crc);
    fs::write(folder::log_path(dir.path(), RecordNumber(0)), header).unwrap();
    let error = Writer::open(dir.path(), Options::default()).err();
    assert!(matches!(error, Some(Error::Version { version: 2, .. })));
}

#[test]
fn a_full_disk_takes_nothing_and_recovers() {
    for room in (0..400).step_by(13) {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Failing::default());
        let (mut writer, _) =
            Writer::open_on(Box::new(disk.clone()), dir.path(), Options::default()).unwrap();
        writer.append(&[nth(0)]).unwrap();
        writer.sync().unwrap();
        // A name that only the failed batch uses is defined again later.
        let mut second = nth(1);
        second.device = portledger_model::Device::new("cgn2").unwrap();
        let batch: Vec<_> = [second].into_iter().chain((2..15).map(nth)).collect();
        disk.set_room(Some(room));
        let full = writer.append(&batch);
        assert!(
            matches!(full, Err(Error::Full { .. })),
            "room {room}: {full:?}"
        );
        writer.sync().unwrap();
        assert_eq!(Ledger::read(dir.path()).unwrap().stats().records, 1);
        disk.set_room(None);
        assert_eq!(writer.append(&batch).unwrap(), Some(RecordNumber(14)));
        writer.sync().unwrap();
        let ledger = Ledger::read(dir.path()).unwrap();
        assert_eq!(ledger.stats(), writer.ledger().stats());
        assert_eq!(ledger.devices().count(), 2);
    }
}

#[test]
fn a_full_disk_at_a_new_file_takes_nothing_and_recovers() {
    for room in 0..HEADER {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Failing::default());
        let (mut writer, _) =
            Writer::open_on(Box::new(disk.clone()), dir.path(), small_files()).unwrap();
        writer
            .append(&(0..10).map(nth).collect::<Vec<_>>())
            .unwrap();
        writer.sync().unwrap();
        disk.set_room(Some(room));
        assert!(matches!(writer.append(&[nth(10)]), Err(Error::Full { .. })));
        assert_eq!(Ledger::read(dir.path()).unwrap().stats().records, 10);
        disk.set_room(None);
        writer.append(&[nth(10)]).unwrap();
        assert_eq!(files(dir.path()).len(), 2);
        assert_eq!(
            Ledger::read(dir.path()).unwrap().stats(),
            writer.ledger().stats()
        );
    }
}

#[test]
fn a_mark_that_finds_no_room_is_written_later() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Failing::default());
    let (mut writer, _) =
        Writer::open_on(Box::new(disk.clone()), dir.path(), Options::default()).unwrap();
    writer.append(&[nth(0)]).unwrap();
    disk.set_room(Some(3));
    writer.sync().unwrap();
    let unmarked = writer.length;
    disk.set_room(None);
    writer.sync().unwrap();
    assert_eq!(writer.length, unmarked + MARK as u64);
    assert_eq!(Ledger::read(dir.path()).unwrap().stats().records, 1);
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Failing::default());
    let (mut writer, _) =
        Writer::open_on(Box::new(disk.clone()), dir.path(), Options::default()).unwrap();
    writer.append(&[nth(0)]).unwrap();
    disk.set_sync(true);
    assert!(matches!(writer.sync(), Err(Error::Io { .. })));
    disk.set_sync(false);
    assert!(matches!(writer.sync(), Err(Error::Poisoned { .. })));
    assert!(matches!(
        writer.append(&[nth(1)]),
        Err(Error::Poisoned { .. })
    ));
    drop(writer);
    // Opened again, what was not acknowledged is written anew and made durable.
    let (writer, recovery) = open(dir.path());
    assert_eq!(
        (recovery.cut, writer.next_record()),
        (None, RecordNumber(1))
    );
}

#[test]
fn what_cannot_be_cut_back_poisons() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Failing::default());
    let (mut writer, _) =
        Writer::open_on(Box::new(disk.clone()), dir.path(), Options::default()).unwrap();
    disk.set_room(Some(5));
    disk.set_cut(true);
    assert!(matches!(writer.append(&[nth(0)]), Err(Error::Io { .. })));
    disk.set_room(None);
    disk.set_cut(false);
    assert!(matches!(
        writer.append(&[nth(0)]),
        Err(Error::Poisoned { .. })
    ));
    drop(writer);
    let (_, recovery) = open(dir.path());
    assert_eq!(recovery.cut.map(|cut| cut.bytes), Some(5));
}

#[test]
fn readers_see_a_growing_prefix_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(dir.path(), Options { file_bytes: 4_000 }).unwrap();
    let path = dir.path().to_owned();
    let writing = thread::spawn(move || {
        for n in 0..200 {
            let batch: Vec<_> = (n * 10..n * 10 + 10).map(nth).collect();
            writer.append(&batch).unwrap();
            thread::sleep(Duration::from_micros(200));
        }
        writer
    });
    let (mut seen, mut reads) = (0, 0);
    while !writing.is_finished() {
        let stats = Ledger::read(&path).unwrap().stats();
        assert!(seen <= stats.records);
        assert_eq!(stats.records, stats.allocations);
        seen = stats.records;
        reads += 1;
    }
    assert!(reads > 5, "{reads}");
    let writer = writing.join().unwrap();
    assert_eq!(
        Ledger::read(&path).unwrap().stats(),
        writer.ledger().stats()
    );
}

#[cfg(unix)]
#[test]
fn the_log_is_not_for_everybody() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().unwrap();
    let (writer, _) = Writer::open(dir.path(), Options::default()).unwrap();
    let mode = std::fs::metadata(&writer.path)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o007, 0, "{mode:o}");
}
