use std::fs::File;

use portledger_model::{Durability, Event, Start};

use super::*;
use crate::{
    Options, Writer,
    testing::{EXTERNAL, at, block, record, record_of, start},
};

/// [`EXTERNAL`], whatever the port.
const ENDPOINT: External = External {
    address: EXTERNAL,
    port: None,
    transport: None,
};

fn of(records: &[Record]) -> Ledger {
    let mut ledger = Ledger::unsealed();
    for (number, record) in (0..).zip(records) {
        ledger.take(RecordNumber(number), record.clone());
    }
    ledger
}

/// The gaps for [`EXTERNAL`] between two seconds, in seconds.
fn gaps(ledger: &Ledger, from: i64, to: i64, asked_at: i64) -> Vec<(i64, i64, GapReason)> {
    let span = Span::new(at(from), at(to));
    let coverage = ledger.coverage(ENDPOINT, span, at(asked_at)).unwrap();
    let seconds = |at: Timestamp| at.as_micros() / 1_000_000;
    let found = coverage.gaps.iter();
    found
        .map(|gap| (seconds(gap.span.from), seconds(gap.span.to), gap.reason))
        .collect()
}

fn handed(secs: i64) -> Record {
    record(secs, Event::Allocated(block("100.64.3.9", 1_024, 1_279)))
}

fn started(secs: i64, start: Start) -> Record {
    record(secs, Event::Started(start))
}

fn heartbeat(secs: i64) -> Record {
    record(secs, Event::Heartbeat)
}

const FAR: i64 = 1_000_000;

#[test]
fn with_no_device_nothing_is_known() {
    let ledger = of(&[]);
    assert_eq!(
        gaps(&ledger, 0, 10, FAR),
        [(0, 10, GapReason::BeforeFirstRecord)]
    );
    let coverage = ledger
        .coverage(ENDPOINT, Span::new(at(0), at(10)), at(FAR))
        .unwrap();
    assert_eq!(coverage.gaps[0].device, None);
}

#[test]
fn before_the_first_start_only_the_guard_time_is_known() {
    let ledger = of(&[started(1_000, start()), handed(1_100), heartbeat(2_000)]);
    assert_eq!(
        gaps(&ledger, 0, 3_000, FAR),
        [
            (0, 880, GapReason::BeforeFirstRecord),
            (2_000, 3_000, GapReason::AfterLastRecord)
        ]
    );
    let fresh = Start {
        continues: false,
        ..start()
    };
    let ledger = of(&[started(1_000, fresh), handed(1_100), heartbeat(2_000)]);
    assert_eq!(
        gaps(&ledger, 900, 2_000, FAR),
        [(900, 1_000, GapReason::BeforeFirstRecord)]
    );
}

#[test]
fn without_a_start_nothing_is_complete() {
    let ledger = of(&[handed(100), heartbeat(200)]);
    assert_eq!(
        gaps(&ledger, 100, 200, FAR),
        [(100, 200, GapReason::BeforeFirstRecord)]
    );
}

#[test]
fn a_log_that_begins_while_the_device_runs_says_so() {
    let clock_error = Duration::from_secs(1);
    let joined = record(100, Event::Joined { clock_error });
    let ledger = of(&[joined, handed(110), heartbeat(200)]);
    assert_eq!(
        gaps(&ledger, 50, 300, FAR),
        [
            (50, 100, GapReason::BeforeFirstRecord),
            (100, 300, GapReason::HeldBefore),
            (200, 300, GapReason::AfterLastRecord)
        ]
    );
}

#[test]
fn a_crash_costs_what_the_start_did_not_promise() {
    let lossy = Start {
        durability: Durability::BoundedLoss(Duration::from_secs(1)),
        ..start()
    };
    let restart = |first: Start, second: Start, stopped: bool| {
        let mut records = vec![started(1_000, first), handed(1_100)];
        if stopped {
            records.push(record(1_200, Event::Stopped));
        } else {
            records.push(heartbeat(1_200));
        }
        records.extend([started(1_500, second), heartbeat(2_000)]);
        gaps(&of(&records), 1_000, 2_000, FAR)
    };
    let forgetful = Start {
        continues: false,
        ..start()
    };
    assert_eq!(restart(start(), start(), false), []);
    assert_eq!(
        restart(lossy, start(), false),
        [(1_200, 1_500, GapReason::LostInCrash)]
    );
    assert_eq!(restart(start(), lossy, false), []);
    assert_eq!(
        restart(start(), forgetful, false),
        [(1_200, 1_500, GapReason::LostInCrash)]
    );
    assert_eq!(restart(lossy, start(), true), []);
    assert_eq!(
        restart(start(), forgetful, true),
        [(1_320, 1_500, GapReason::AfterLastRecord)]
    );
}

#[test]
fn after_a_stop_the_guard_time_is_known() {
    let ledger = of(&[
        started(0, start()),
        handed(100),
        record(200, Event::Stopped),
    ]);
    assert_eq!(
        gaps(&ledger, 100, 400, FAR),
        [(320, 400, GapReason::AfterLastRecord)]
    );
}

#[test]
fn the_future_is_not_asked_for() {
    let ledger = of(&[started(0, start()), handed(100), heartbeat(200)]);
    assert_eq!(
        gaps(&ledger, 100, 400, 200),
        [(200, 200, GapReason::AfterLastRecord)]
    );
    assert_eq!(gaps(&ledger, 100, 400, 150), []);
    assert_eq!(gaps(&ledger, 300, 400, 150), []);
}

#[test]
fn only_the_devices_of_the_address_count() {
    let slow = Start {
        clock_error: Duration::from_secs(5),
        ..start()
    };
    let mut records = vec![
        started(0, start()),
        record_of("cgn2", 50, Event::Started(slow)),
        record_of("cgn2", 900, Event::Heartbeat),
        heartbeat(500),
    ];
    // None of them has the address yet: the log of each of them may be the one that lacks.
    let after = |from| (from, 1_000, GapReason::AfterLastRecord);
    assert_eq!(
        gaps(&of(&records), 400, 1_000, FAR),
        [after(500), after(900)]
    );
    records.push(handed(600));
    let ledger = of(&records);
    assert_eq!(gaps(&ledger, 400, 1_000, FAR), [after(600)]);
    let coverage = ledger
        .coverage(ENDPOINT, Span::new(at(0), at(10)), at(FAR))
        .unwrap();
    assert_eq!(coverage.clock_error, Duration::from_millis(10));
}

#[test]
fn the_clock_error_is_that_of_the_starts_that_matter() {
    let error = |secs| Start {
        clock_error: Duration::from_secs(secs),
        ..start()
    };
    let ledger = of(&[
        started(0, error(3)),
        handed(10),
        started(100, error(1)),
        started(200, error(2)),
    ]);
    let of = |from, to| {
        let span = Span::new(at(from), at(to));
        ledger
            .coverage(ENDPOINT, span, at(FAR))
            .unwrap()
            .clock_error
            .as_secs()
    };
    assert_eq!(
        (of(0, 50), of(100, 150), of(150, 250), of(50, 250)),
        (3, 1, 2, 3)
    );
}

#[test]
fn times_that_go_backwards_do_no_harm() {
    let ledger = of(&[
        started(1_000, start()),
        handed(1_100),
        started(900, start()),
        heartbeat(800),
    ]);
    assert_eq!(gaps(&ledger, 700, 1_000, FAR).len(), 2);
}

#[test]
fn a_live_writer_vouches_for_the_present() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(dir.path(), Options::default()).unwrap();
    let promised = [started(1_000, start()), handed(1_100)];
    writer.append(&promised).unwrap();
    // The writer's own index never falls behind.
    assert_eq!(gaps(&writer.ledger().unwrap(), 1_000, 9_000, 5_000), []);
    let read = Ledger::read(dir.path()).unwrap();
    assert_eq!(gaps(&read, 1_000, 9_000, 5_000), []);
    // What was read knows nothing of the time since.
    let later = now().after(Duration::from_secs(60));
    let span = Span::new(at(2_000), later.after(Duration::from_secs(60)));
    let coverage = read.coverage(ENDPOINT, span, later).unwrap();
    assert_eq!(coverage.gaps.len(), 1);
    assert!(coverage.gaps[0].span.from <= now());

    let lossy = Durability::BoundedLoss(Duration::from_secs(1));
    let lossy = Start {
        durability: lossy,
        ..start()
    };
    writer
        .append(&[started(1_200, lossy), heartbeat(1_300)])
        .unwrap();
    let expected = [(1_300, 5_000, GapReason::AfterLastRecord)];
    assert_eq!(
        gaps(&writer.ledger().unwrap(), 1_000, 9_000, 5_000),
        expected
    );
    drop(writer);
    let read = Ledger::read(dir.path()).unwrap();
    assert_eq!(gaps(&read, 1_000, 9_000, 5_000), expected);
}

#[test]
fn that_a_collector_lives_says_nothing_of_the_devices_it_hears() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        collects: true,
        ..Options::default()
    };
    let (mut writer, _) = Writer::open(dir.path(), options).unwrap();
    let promised = [started(1_000, start()), handed(1_100)];
    writer.append(&promised).unwrap();
    let expected = [(1_100, 5_000, GapReason::AfterLastRecord)];
    for ledger in [writer.ledger(), Ledger::read(dir.path())] {
        assert_eq!(gaps(&ledger.unwrap(), 1_000, 9_000, 5_000), expected);
    }
}

#[test]
fn a_reader_with_the_lock_for_a_moment_does_not_stop_a_writer() {
    let dir = tempfile::tempdir().unwrap();
    drop(Writer::open(dir.path(), Options::default()).unwrap());
    let reader = File::open(dir.path().join("LOCK")).unwrap();
    reader.lock_shared().unwrap();
    let waiting = std::thread::spawn({
        let dir = dir.path().to_owned();
        move || Writer::open(&dir, Options::default()).map(drop)
    });
    std::thread::sleep(Duration::from_millis(20));
    drop(reader);
    waiting.join().unwrap().unwrap();
}

#[test]
fn a_restarting_device_finds_what_it_held() {
    let (mine, given_back, long_ago) = (
        block("100.64.0.1", 1_024, 1_279),
        block("100.64.0.2", 1_280, 1_535),
        block("100.64.0.3", 1_536, 1_791),
    );
    let ledger = of(&[
        started(0, start()),
        record(10, Event::Allocated(mine.clone())),
        record(20, Event::Allocated(given_back.clone())),
        record(30, Event::Allocated(long_ago.clone())),
        record_of(
            "cgn2",
            35,
            Event::Allocated(block("100.64.0.4", 2_048, 2_303)),
        ),
        record(
            40,
            Event::Released {
                block: long_ago,
                since: at(30),
            },
        ),
        record(
            200,
            Event::Released {
                block: given_back.clone(),
                since: at(20),
            },
        ),
        record(210, Event::Stopped),
    ]);
    let cgn1 = Device::new("cgn1").unwrap();
    let expected = Resume {
        open: vec![Held {
            block: mine,
            since: at(10),
        }],
        released: vec![Rested {
            block: given_back,
            since: at(20),
            at: at(200),
        }],
        stopped: true,
        durability: Some(start().durability),
        last: at(210),
    };
    assert_eq!(ledger.resume(&cgn1, at(100)).unwrap(), Some(expected));
    assert_eq!(
        ledger
            .resume(&Device::new("cgn3").unwrap(), at(100))
            .unwrap(),
        None
    );
}
