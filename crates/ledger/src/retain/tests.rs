use std::{
    cell::{Cell, RefCell},
    num::NonZeroU32,
    path::Path,
    rc::Rc,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use portledger_model::{Event, Evidence as _, External, Record, Span, Timestamp};
use serde_json::Map;

use crate::{
    Keeper, Ledger, Options, Settings, Writer,
    testing::{EXTERNAL, block, record, start},
    verify,
};

const DAY: i64 = 86_400;

/// A block that is handed out each half an hour of the first four days, and held for an hour.
fn lives() -> Vec<Record> {
    let mut all = vec![record(0, Event::Started(start()))];
    for n in 0..4 * 48 {
        let since = n * 1_800 + 60;
        let internal = format!("100.64.{}.{}", n / 200, n % 200);
        let first = 1_024 + u16::try_from(n % 200).unwrap() * 256;
        let block = block(&internal, first, first + 255);
        all.push(record(since, Event::Allocated(block.clone())));
        let since = record(since, Event::Stopped).at;
        all.push(record(n * 1_800 + 3_660, Event::Released { block, since }));
    }
    all.sort_by_key(|record| record.at);
    all
}

fn write(dir: &Path, records: &[Record]) {
    let options = Options {
        file_bytes: 4_000,
        settings: Some(Settings {
            keep_days: NonZeroU32::new(2),
            calendar: "00:00".parse().unwrap(),
            ..Settings::new([3; 16])
        }),
        ..Options::default()
    };
    let (mut writer, _) = Writer::open(dir, options).unwrap();
    for batch in records.chunks(40) {
        writer.append(batch).unwrap();
        writer.sync().unwrap();
    }
}

/// The third day is over, so that the first is due.
fn now() -> Timestamp {
    Timestamp::from_secs(3 * DAY + 3_600)
}

fn retain(dir: &Path) {
    let mut keeper = Keeper::open(dir).unwrap();
    keeper.retain(now(), &Map::new()).unwrap();
}

/// What was held in the middle of an hour of a day.
fn held(dir: &Path, day: i64) -> usize {
    let at = Timestamp::from_secs(day * DAY + 12 * 3_600);
    let endpoint = External {
        address: EXTERNAL,
        port: None,
        transport: None,
    };
    let span = Span::new(at, at.after(Duration::from_secs(1)));
    let ledger = Ledger::read(dir).unwrap();
    ledger.holders(endpoint, span).unwrap().len()
}

fn assert_sound(dir: &Path, when: &str) {
    for day in 1..4 {
        assert_eq!(held(dir, day), 2, "{when}: day {day}");
    }
    let verified = verify(dir, &[], |_, _| {}).unwrap();
    assert_eq!(verified.problems, [], "{when}");
}

fn assert_gone(dir: &Path, when: &str) {
    assert_eq!(held(dir, 0), 0, "{when}");
    assert!(!dir.join("sealed/days/1970-01-01").exists(), "{when}");
    assert!(!dir.join("keys/records-1970-01-01.key").exists(), "{when}");
}

/// Lets a `retain` fail after each of its steps in turn, `fail` says of what.
fn fails_after_each(fail: fn(&mut Keeper, u64)) -> u64 {
    let mut failures = 0;
    for steps in 0.. {
        let when = format!("after {steps} steps");
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &lives());
        let mut keeper = Keeper::open(dir.path()).unwrap();
        fail(&mut keeper, steps);
        let failed = keeper.retain(now(), &Map::new()).is_err();
        drop(keeper);
        assert_sound(dir.path(), &when);
        // Whoever writes goes on as before.
        let late = 3 * DAY + 86_000;
        write(dir.path(), &[record(late, Event::Heartbeat)]);
        retain(dir.path());
        assert_sound(dir.path(), &when);
        assert_gone(dir.path(), &when);
        if !failed {
            break;
        }
        failures += 1;
    }
    failures
}

#[test]
fn a_crash_at_any_removal_of_log_files_leaves_and_keys_is_finished_the_next_time() {
    let failures = fails_after_each(Keeper::fail_after_steps);
    assert!(failures >= 6, "{failures}");
}

#[test]
fn a_crash_at_any_removal_of_sealed_files_is_finished_the_next_time() {
    let failures = fails_after_each(Keeper::fail_after);
    assert!(failures > 20, "{failures}");
}

#[test]
fn what_comes_late_for_a_deleted_day_goes_with_the_next_retain() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &lives());
    retain(dir.path());
    assert_gone(dir.path(), "at first");
    let noon = 12 * 3_600;
    let late = block("100.64.9.9", 65_000, 65_007);
    write(dir.path(), &[record(noon, Event::Allocated(late))]);
    let kept = Keeper::open(dir.path()).unwrap().seal(now()).unwrap();
    assert_eq!(kept.flushed, 1);
    assert!(dir.path().join("keys/records-1970-01-01.key").exists());
    let due = Keeper::open(dir.path()).unwrap().due(now());
    assert!(due.iter().any(|due| due.day.to_string() == "1970-01-01"));
    retain(dir.path());
    assert_gone(dir.path(), "again");
    assert_sound(dir.path(), "again");
    let due = Keeper::open(dir.path()).unwrap().due(now());
    assert_eq!(due, []);
}

#[test]
fn what_comes_late_for_a_deleted_day_in_the_same_log_file_keeps_nobody_from_writing() {
    let dir = tempfile::tempdir().unwrap();
    let big = |records: &[Record]| {
        let options = Options {
            settings: Some(Settings {
                keep_days: NonZeroU32::new(2),
                calendar: "00:00".parse().unwrap(),
                ..Settings::new([3; 16])
            }),
            ..Options::default()
        };
        let (mut writer, _) = Writer::open(dir.path(), options).unwrap();
        writer.append(records).unwrap();
        writer.sync().unwrap();
    };
    big(&lives());
    retain(dir.path());
    let late = block("100.64.9.9", 65_000, 65_007);
    big(&[record(43_200, Event::Allocated(late))]);
    big(&[record(3 * DAY + 80_000, Event::Heartbeat)]);
    retain(dir.path());
    assert_gone(dir.path(), "again");
    assert_sound(dir.path(), "again");
}

#[test]
fn who_goes_on_writing_seals_nothing_with_a_key_that_was_destroyed() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &lives());
    let (mut writer, _) = Writer::open(dir.path(), Options::default()).unwrap();
    // By now it knows the key of that day.
    let early = record(43_100, Event::Heartbeat);
    writer.append(&[early]).unwrap();
    writer.sync().unwrap();
    retain(dir.path());
    let late = block("100.64.9.9", 65_000, 65_007);
    let late = record(43_200, Event::Allocated(late));
    writer.append(&[late]).unwrap();
    writer.sync().unwrap();
    retain(dir.path());
    assert_gone(dir.path(), "again");
    assert_sound(dir.path(), "again");
}

#[test]
fn what_comes_late_while_its_day_is_being_deleted_is_deleted_with_it_or_after_it() {
    for step in 0.. {
        let when = format!("at step {step}");
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &lives());
        let (writer, _) = Writer::open(dir.path(), Options::default()).unwrap();
        let writer = Arc::new(Mutex::new(writer));
        let mut keeper = Keeper::open(dir.path()).unwrap();
        let writing = Rc::new(RefCell::new(None));
        let (late, steps) = (Rc::clone(&writing), Rc::new(Cell::new(0)));
        let taken = Rc::clone(&steps);
        keeper.meanwhile(move || {
            taken.set(taken.get() + 1);
            if taken.get() - 1 == step {
                *late.borrow_mut() = Some(write_late(&writer));
            }
        });
        keeper.retain(now(), &Map::new()).unwrap();
        drop(keeper);
        let Some(written) = writing.take() else {
            assert!(step >= 4, "{step}");
            break;
        };
        written.join().unwrap();
        assert_sound(dir.path(), &when);
        // Whoever writes and whoever keeps go on, and what came late goes with the next.
        write(dir.path(), &[record(3 * DAY + 86_000, Event::Heartbeat)]);
        retain(dir.path());
        assert_gone(dir.path(), &when);
        assert_sound(dir.path(), &when);
    }
}

/// Writes a late record of the first day in another thread, and waits a while for it: it may have
/// to wait itself.
fn write_late(writer: &Arc<Mutex<Writer>>) -> thread::JoinHandle<()> {
    let writer = Arc::clone(writer);
    let (done, waits) = mpsc::channel();
    let writing = thread::spawn(move || {
        let block = block("100.64.9.9", 65_000, 65_007);
        let since = record(43_200, Event::Stopped).at;
        let late = [
            record(43_200, Event::Allocated(block.clone())),
            record(43_260, Event::Released { block, since }),
        ];
        let mut writer = writer.lock().unwrap();
        writer.append(&late).unwrap();
        writer.sync().unwrap();
        let _ = done.send(());
    });
    let _ = waits.recv_timeout(Duration::from_millis(300));
    writing
}
