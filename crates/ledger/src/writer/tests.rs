use super::*;
use crate::{
    Flaw,
    log::{frame::FRAME, payload::MARK_PAYLOAD},
    sign::CHECKPOINT,
    testing::{Failing, nth},
};

const MARK: usize = FRAME + MARK_PAYLOAD;

fn open(dir: &Path) -> (Writer, Recovery) {
    Writer::open(dir, Options::default()).unwrap()
}

fn open_on(disk: &Failing, dir: &Path) -> Writer {
    let disk = Box::new(disk.clone());
    Writer::open_on(disk, dir, Options::default()).unwrap().0
}

fn small_files() -> Options {
    Options {
        file_bytes: 300,
        ..Options::default()
    }
}

fn records(dir: &Path) -> u64 {
    Ledger::read(dir).unwrap().stats().records
}

fn log_files(dir: &Path) -> Vec<PathBuf> {
    let files = folder::list(&dir.join("log")).unwrap();
    files.into_iter().map(|(_, path)| path).collect()
}

/// Writes records one by one, each durable by itself, and crashes before a checkpoint is signed;
/// returns the log file and where each record's frame begins.
fn crashed(dir: &Path, count: u32) -> (PathBuf, Vec<usize>) {
    let (mut writer, _) = open(dir);
    let path = log_files(dir).remove(0);
    let mut places = Vec::new();
    for n in 0..count {
        places.push(usize::try_from(fs::metadata(&path).unwrap().len()).unwrap());
        writer.append(&[nth(n)]).unwrap();
        writer.sync().unwrap();
    }
    drop(writer);
    fs::remove_file(dir.join("log").join(CHECKPOINT)).unwrap();
    (path, places)
}

#[test]
fn opening_and_closing_adds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = crashed(dir.path(), 3);
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
fn files_are_begun_in_turn_and_the_tree_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let (mut writer, _) = Writer::open(dir.path(), small_files()).unwrap();
        for n in 0..100 {
            writer.append(&[nth(round * 100 + n)]).unwrap();
        }
        drop(writer);
    }
    assert!(log_files(dir.path()).len() > 5);
    assert_eq!(records(dir.path()), 400);
    let verified = crate::verify(dir.path(), &[], |_, _| {}).unwrap();
    assert_eq!((verified.problems.len(), verified.records), (0, 400));
}

#[test]
fn a_torn_end_is_cut_at_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (path, places) = crashed(dir.path(), 5);
    let whole = fs::read(&path).unwrap();
    let (last, end) = (places[4], whole.len() - MARK);
    for length in last + 1..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let kept = if length < end { 4 } else { 5 };
        assert_eq!(records(dir.path()), kept, "cut at {length}");
        let (writer, recovery) = open(dir.path());
        assert_eq!(writer.next_record(), RecordNumber(kept));
        let sound = if length < end { last } else { end };
        let bytes = recovery.cut.map_or(0, |cut| cut.bytes);
        assert_eq!(bytes, (length - sound) as u64, "cut at {length}");
        drop(writer);
        fs::remove_file(dir.path().join("log").join(CHECKPOINT)).unwrap();
    }
    // Of the right length, but with a hole: the disk wrote the end first.
    for hole in last..end {
        let mut torn = whole[..end].to_vec();
        torn[hole] ^= 0xff;
        fs::write(&path, &torn).unwrap();
        assert_eq!(records(dir.path()), 4, "hole at {hole}");
    }
}

#[test]
fn a_flipped_byte_of_what_was_acknowledged_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let (path, places) = crashed(dir.path(), 5);
    let whole = fs::read(&path).unwrap();
    for at in 0..places[4] {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x20;
        fs::write(&path, &flipped).unwrap();
        match Ledger::read(dir.path()) {
            Err(Error::Damaged { file, offset, .. }) => {
                assert_eq!(file, path);
                assert!(offset as usize <= at);
            }
            Err(Error::Version { .. }) if (8..12).contains(&at) => {}
            other => panic!("byte {at}: {other:?}"),
        }
    }
}

#[test]
fn a_file_that_was_removed_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(dir.path(), small_files()).unwrap();
    for n in 0..30 {
        writer.append(&[nth(n)]).unwrap();
    }
    drop(writer);
    fs::remove_file(&log_files(dir.path())[1]).unwrap();
    let read = Ledger::read(dir.path());
    let missed = matches!(
        read,
        Err(Error::Damaged {
            flaw: Flaw::Sequence { .. },
            ..
        })
    );
    assert!(missed, "{read:?}");
}

#[test]
fn a_full_disk_takes_nothing_and_recovers() {
    for room in (0..300).step_by(13) {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Failing::default());
        let mut writer = open_on(&disk, dir.path());
        writer.append(&[nth(0)]).unwrap();
        writer.sync().unwrap();
        let batch: Vec<_> = (1..15).map(nth).collect();
        disk.set_room(Some(room));
        let full = writer.append(&batch);
        assert!(
            matches!(full, Err(Error::Full { .. })),
            "room {room}: {full:?}"
        );
        writer.sync().unwrap();
        assert_eq!(records(dir.path()), 1);
        disk.set_room(None);
        assert_eq!(writer.append(&batch).unwrap(), Some(RecordNumber(14)));
        drop(writer);
        let verified = crate::verify(dir.path(), &[], |_, _| {}).unwrap();
        assert_eq!((verified.problems.len(), verified.records), (0, 15));
    }
}

#[test]
fn after_a_failed_sync_nothing_is_taken() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Failing::default());
    let mut writer = open_on(&disk, dir.path());
    writer.append(&[nth(0)]).unwrap();
    disk.set_sync(true);
    assert!(matches!(writer.sync(), Err(Error::Io { .. })));
    disk.set_sync(false);
    assert!(matches!(writer.sync(), Err(Error::Poisoned { .. })));
    let more = writer.append(&[nth(1)]);
    assert!(matches!(more, Err(Error::Poisoned { .. })), "{more:?}");
}

#[test]
fn what_cannot_be_cut_back_poisons() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Failing::default());
    let mut writer = open_on(&disk, dir.path());
    disk.set_room(Some(5));
    disk.set_cut(true);
    assert!(matches!(writer.append(&[nth(0)]), Err(Error::Io { .. })));
    disk.set_room(None);
    disk.set_cut(false);
    let more = writer.append(&[nth(0)]);
    assert!(matches!(more, Err(Error::Poisoned { .. })), "{more:?}");
    drop(writer);
    let (_, recovery) = open(dir.path());
    assert_eq!(recovery.cut.map(|cut| cut.bytes), Some(5));
}

#[test]
fn the_log_is_not_for_everybody() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().unwrap();
    let (path, _) = crashed(dir.path(), 1);
    let mode = fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "{mode:o}");
}
