use std::{fs, io::Write as _, path::Path, thread, time::Duration};

use portledger_model::RecordNumber;
use proptest::prelude::*;

use super::{Followed, Follower};
use crate::{
    Error, Keeper, Options, Writer,
    keeper::Sizes,
    log::folder,
    testing::{Failing, any_record, at, nth},
};

fn small_files() -> Options {
    Options {
        file_bytes: 2_000,
        ..Options::default()
    }
}

fn writer(dir: &Path) -> Writer {
    Writer::open(dir, small_files()).unwrap().0
}

/// Appends records by their numbers, durably, three at a time.
fn write(writer: &mut Writer, numbers: std::ops::Range<u32>) {
    let records: Vec<_> = numbers.map(nth).collect();
    for some in records.chunks(3) {
        writer.append(some).unwrap();
        writer.sync().unwrap();
    }
}

fn follow(follower: &mut Follower) -> Vec<Followed> {
    let mut followed = Vec::new();
    loop {
        let before = followed.len();
        follower.read(10, &mut followed).unwrap();
        if followed.len() == before {
            return followed;
        }
    }
}

fn records(numbers: std::ops::Range<u32>) -> Vec<Followed> {
    numbers
        .map(|n| Followed::Record(RecordNumber(n.into()), nth(n)))
        .collect()
}

fn log_files(dir: &Path) -> Vec<(RecordNumber, std::path::PathBuf)> {
    folder::list(&dir.join("log")).unwrap()
}

#[test]
fn records_come_in_order_over_the_ends_of_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    write(&mut writer, 0..200);
    assert!(log_files(dir.path()).len() > 3);
    let mut follower = Follower::open(dir.path(), RecordNumber(0)).unwrap();
    assert_eq!(follow(&mut follower), records(0..200));
    assert_eq!(follower.next(), RecordNumber(200));
    assert_eq!(follower.end().unwrap(), RecordNumber(200));
    write(&mut writer, 200..203);
    assert_eq!(follower.end().unwrap(), RecordNumber(203));
    assert_eq!(follow(&mut follower), records(200..203));
    for from in [0_u32, 1, 7, 100, 202, 203] {
        let mut follower = Follower::open(dir.path(), RecordNumber(from.into())).unwrap();
        assert_eq!(follow(&mut follower), records(from..203));
    }
}

#[test]
fn what_is_not_durable_is_not_handed_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    write(&mut writer, 0..3);
    let mut follower = Follower::open(dir.path(), RecordNumber(0)).unwrap();
    writer.append(&[nth(3)]).unwrap();
    assert_eq!(follow(&mut follower), records(0..3));
    writer.append(&[nth(4)]).unwrap();
    assert_eq!(follow(&mut follower), []);
    assert_eq!(follower.end().unwrap(), RecordNumber(3));
    writer.sync().unwrap();
    assert_eq!(follow(&mut follower), records(3..5));
}

#[test]
fn what_a_full_disk_took_back_is_never_handed_out() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Failing::default();
    let (mut writer, _) =
        Writer::open_on(Box::new(disk.clone()), dir.path(), Options::default()).unwrap();
    write(&mut writer, 0..3);
    let mut follower = Follower::open(dir.path(), RecordNumber(0)).unwrap();
    // Not synced: frames that nothing vouches for, and then others in their place.
    writer.append(&[nth(3)]).unwrap();
    assert_eq!(follow(&mut follower), records(0..3));
    disk.set_room(Some(40));
    assert!(matches!(
        writer.append(&[nth(50), nth(51)]),
        Err(Error::Full { .. })
    ));
    assert_eq!(follow(&mut follower), []);
    disk.set_room(None);
    write(&mut writer, 4..7);
    assert_eq!(follow(&mut follower), records(3..7));
}

#[test]
fn a_follower_goes_on_behind_the_cut_of_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = writer(dir.path());
    write(&mut first, 0..5);
    drop(first);
    let (_, path) = log_files(dir.path()).pop().unwrap();
    let torn = [77, 0, 0, 0, 1, 2, 3, 4, 5];
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(&torn).unwrap();
    let mut follower = Follower::open(dir.path(), RecordNumber(0)).unwrap();
    assert_eq!(follow(&mut follower), records(0..5));
    assert_eq!(follow(&mut follower), []);
    let (mut second, recovery) = Writer::open(dir.path(), small_files()).unwrap();
    assert_eq!(recovery.cut.unwrap().bytes, torn.len() as u64);
    write(&mut second, 5..90);
    assert_eq!(follow(&mut follower), records(5..90));
}

#[test]
fn a_changed_bit_is_damage_and_no_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Writer::open(dir.path(), Options::default()).unwrap().0;
    write(&mut first, 0..9);
    let (_, path) = log_files(dir.path()).pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 4;
    fs::write(&path, bytes).unwrap();
    let mut follower = Follower::open(dir.path(), RecordNumber(0)).unwrap();
    let mut followed = Vec::new();
    let mut found = None;
    // The first look may take it for what is being written.
    for n in 9..12 {
        write(&mut first, n..n + 1);
        if let Err(error) = follower.read(100, &mut followed) {
            found = Some(error);
        }
    }
    assert!(matches!(found, Some(Error::Damaged { .. })), "{found:?}");
    assert!(followed.len() < 9);
}

#[test]
fn what_left_the_log_is_read_from_the_sealed_days() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    write(&mut writer, 0..300);
    let mut early = Follower::open(dir.path(), RecordNumber(0)).unwrap();
    let mut followed = Vec::new();
    early.read(5, &mut followed).unwrap();
    let mut keeper = Keeper::open(dir.path()).unwrap();
    keeper.set_sizes(Sizes {
        part: 50,
        fan_in: 2,
    });
    keeper.flush().unwrap();
    assert!(log_files(dir.path())[0].0 > RecordNumber(200));
    write(&mut writer, 300..310);
    followed.extend(follow(&mut early));
    assert_eq!(followed, records(0..310));
    keeper.seal(at(10 * 86_400)).unwrap();
    write(&mut writer, 310..320);
    for from in [0, 99, 299, 305] {
        let mut late = Follower::open(dir.path(), RecordNumber(from.into())).unwrap();
        assert_eq!(follow(&mut late), records(from..320));
    }
}

#[test]
fn a_removed_file_is_told_with_how_many_records_and_from_when_to_when() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    write(&mut writer, 0..200);
    let files = log_files(dir.path());
    let (from, to) = (files[1].0.0 as u32, files[3].0.0 as u32);
    fs::remove_file(&files[1].1).unwrap();
    fs::remove_file(&files[2].1).unwrap();
    let gone = Followed::Gone {
        records: u64::from(to - from),
        since: Some(nth(from - 1).at),
        until: nth(to).at,
    };
    let mut expected = records(0..from);
    expected.push(gone);
    expected.extend(records(to..200));
    let mut follower = Follower::open(dir.path(), RecordNumber(0)).unwrap();
    assert_eq!(follow(&mut follower), expected);
    // Asked for one in the middle of what is gone, it knows of nothing before.
    let mut follower = Follower::open(dir.path(), RecordNumber(u64::from(to) - 1)).unwrap();
    let mut expected = vec![Followed::Gone {
        records: 1,
        since: None,
        until: nth(to).at,
    }];
    expected.extend(records(to..200));
    assert_eq!(follow(&mut follower), expected);
}

#[test]
fn nothing_is_lost_or_told_twice_while_another_thread_writes_and_seals() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    let mut follower = Follower::open(dir.path(), RecordNumber(0)).unwrap();
    let mut followed = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| write(&mut writer, 0..900));
        scope.spawn(|| {
            for _ in 0..10 {
                let mut keeper = Keeper::open(dir.path()).unwrap();
                keeper.set_sizes(Sizes {
                    part: 100,
                    fan_in: 2,
                });
                keeper.flush().unwrap();
            }
        });
        while follower.next() < RecordNumber(900) {
            let before = followed.len();
            follower.read(100, &mut followed).unwrap();
            if followed.len() == before {
                thread::sleep(Duration::from_millis(1));
            }
        }
    });
    assert_eq!(followed, records(0..900));
}

#[test]
fn a_follower_before_the_first_record_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        Follower::open(dir.path(), RecordNumber(0)),
        Err(Error::NoLedger { .. })
    ));
    let mut writer = writer(dir.path());
    let mut follower = Follower::open(dir.path(), RecordNumber(0)).unwrap();
    assert_eq!(follow(&mut follower), []);
    write(&mut writer, 0..1);
    assert_eq!(follow(&mut follower), records(0..1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn whatever_is_written_is_followed(
        batches in prop::collection::vec((prop::collection::vec(any_record(), 1..20), any::<bool>()), 1..12),
        from in 0..100_u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path());
        let mut follower = Follower::open(dir.path(), RecordNumber(from)).unwrap();
        let (mut written, mut followed) = (Vec::new(), Vec::new());
        for (batch, synced) in batches {
            writer.append(&batch).unwrap();
            written.extend(batch);
            if synced {
                writer.sync().unwrap();
                followed.extend(follow(&mut follower));
            }
        }
        writer.sync().unwrap();
        followed.extend(follow(&mut follower));
        let expected: Vec<_> = (0..).zip(written).skip(from as usize)
            .map(|(n, record)| Followed::Record(RecordNumber(n), record)).collect();
        prop_assert_eq!(followed, expected);
    }
}
