use std::{
    cell::{Cell, RefCell},
    num::NonZeroU32,
    path::Path,
    rc::Rc,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use portledger_model::{
    Event, Evidence as _, External, GapReason, PortRange, PortSet, Realm, Record, Rule, RuleName,
    Sharing, SoftwireBinding, Span, Timestamp,
};
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

/// A rule of a day of its own name, on an address of its own.
fn rule(name: &str, host: u8) -> Arc<Rule> {
    Arc::new(Rule {
        name: RuleName::new(name).unwrap(),
        realm: Realm::default(),
        sharing: Sharing::Softwire(SoftwireBinding {
            b4: format!("2001:db8::{host}").parse().unwrap(),
            ipv4: [192, 0, 2, host].into(),
            ports: PortSet::Range(PortRange::new(1_024, 2_047).unwrap()),
        }),
    })
}

/// Who has the ports of such a rule at noon of a day, by which record, and what is not known.
fn by_rule(dir: &Path, host: u8, day: i64) -> (Vec<(String, u64)>, Vec<GapReason>) {
    let at = Timestamp::from_secs(day * DAY + 12 * 3_600);
    let endpoint = External {
        address: [192, 0, 2, host].into(),
        port: Some(1_500),
        transport: None,
    };
    let span = Span::new(at, at.after(Duration::from_secs(1)));
    let ledger = Ledger::read(dir).unwrap();
    let held = ledger.holders(endpoint, span).unwrap();
    let held = held
        .iter()
        .map(|held| (held.block.subscriber.internal().to_string(), held.record.0));
    let coverage = ledger.coverage(endpoint, span, now()).unwrap();
    (
        held.collect(),
        coverage.gaps.iter().map(|gap| gap.reason).collect(),
    )
}

/// Rules of the first day: one that ended in it, one that ended on the third, one in force and one
/// in force that is told of again on the second day.
fn told_on_the_first_day() -> Vec<Record> {
    let mut all = lives();
    let began = |secs, name, host| record(secs, Event::RuleBegan(rule(name, host)));
    all.extend([
        began(100, "over", 1),
        record(1_000, Event::RuleEnded(RuleName::new("over").unwrap())),
        began(101, "ended", 2),
        record(
            2 * DAY + 200,
            Event::RuleEnded(RuleName::new("ended").unwrap()),
        ),
        began(102, "open", 3),
        began(103, "told", 4),
        record(
            DAY + 300,
            Event::RuleHeld {
                rule: rule("told", 4),
                since: record(103, Event::Stopped).at,
            },
        ),
    ]);
    all.sort_by_key(|record| record.at);
    all
}

fn number_of(records: &[Record], is_it: impl Fn(&Event) -> bool) -> u64 {
    records
        .iter()
        .position(|record| is_it(&record.event))
        .unwrap() as u64
}

#[test]
fn a_rule_that_is_still_needed_outlives_the_day_that_told_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let records = told_on_the_first_day();
    write(dir.path(), &records);
    let began = |name: &'static str| move |event: &Event| matches!(event, Event::RuleBegan(rule) if rule.name.as_str() == name);
    let held = number_of(&records, |event| matches!(event, Event::RuleHeld { .. }));
    let (ended, open) = (
        number_of(&records, began("ended")),
        number_of(&records, began("open")),
    );
    let told = number_of(&records, began("told"));
    let who = |host: u8, record: u64| vec![(format!("softwire 2001:db8::{host}"), record)];
    for sealed in [false, true] {
        if sealed {
            Keeper::open(dir.path()).unwrap().seal(now()).unwrap();
        }
        for day in 0..2 {
            assert_eq!(by_rule(dir.path(), 2, day), (who(2, ended), vec![]));
            assert_eq!(by_rule(dir.path(), 4, day), (who(4, told), vec![]));
        }
        assert_eq!(by_rule(dir.path(), 2, 2).0, []);
        assert_eq!(by_rule(dir.path(), 3, 2), (who(3, open), vec![]));
    }
    retain(dir.path());
    // The first day is over: nothing is told of it, by no rule either.
    for host in 1..5 {
        let (held, gaps) = by_rule(dir.path(), host, 0);
        assert_eq!(held, [], "{host}");
        assert!(gaps.contains(&GapReason::Deleted), "{host}: {gaps:?}");
    }
    assert_eq!(by_rule(dir.path(), 2, 1), (who(2, ended), vec![]));
    assert_eq!(by_rule(dir.path(), 3, 2), (who(3, open), vec![]));
    // The interim record of the second day tells of it now, and proves it.
    assert_eq!(by_rule(dir.path(), 4, 2), (who(4, held), vec![]));
    assert_sound(dir.path(), "after the deletion");
    let manifest = Keeper::open(dir.path()).unwrap().manifest().clone();
    let numbers: Vec<_> = manifest
        .rules
        .iter()
        .map(|telling| telling.record)
        .collect();
    assert!(
        !numbers.contains(&number_of(&records, began("over"))),
        "{numbers:?}"
    );
    assert!(
        numbers.contains(&open) && !numbers.contains(&told),
        "{numbers:?}"
    );
    // No key of the deleted day is needed for what is left of it.
    assert!(
        manifest
            .rules
            .iter()
            .all(|telling| telling.day != "1970-01-01".parse().unwrap())
    );
}

#[test]
fn a_crash_while_a_day_is_deleted_leaves_its_rules() {
    for steps in 0.. {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &told_on_the_first_day());
        let mut keeper = Keeper::open(dir.path()).unwrap();
        keeper.fail_after_steps(steps);
        let failed = keeper.retain(now(), &Map::new()).is_err();
        drop(keeper);
        assert_eq!(by_rule(dir.path(), 3, 2).0.len(), 1, "after {steps} steps");
        retain(dir.path());
        assert_eq!(
            by_rule(dir.path(), 3, 2).0.len(),
            1,
            "after {steps} steps and again"
        );
        assert_eq!(
            by_rule(dir.path(), 2, 1).0.len(),
            1,
            "after {steps} steps and again"
        );
        assert_sound(dir.path(), &format!("after {steps} steps"));
        assert_gone(dir.path(), &format!("after {steps} steps"));
        if !failed {
            assert!(steps > 2, "{steps}");
            break;
        }
    }
}

/// Whoever changes a rule in the list is found.
#[test]
fn a_rule_in_the_list_that_no_record_says_is_found() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &told_on_the_first_day());
    let mut keeper = Keeper::open(dir.path()).unwrap();
    keeper.seal(now()).unwrap();
    let problems = |dir: &Path| {
        let verified = verify(dir, &[], |_, _| {}).unwrap();
        let what = verified.problems.iter().map(|problem| problem.what.clone());
        what.collect::<Vec<_>>().join("; ")
    };
    assert_eq!(problems(dir.path()), "");
    let known = keeper.manifest().rules.clone();
    // Another's text under a number is not opened.
    keeper.manifest_mut().rules[0].record = known[1].record;
    keeper.publish([]).unwrap();
    assert!(
        problems(dir.path()).contains("do not open"),
        "{}",
        problems(dir.path())
    );
    assert!(Ledger::read(dir.path()).is_err());
    // One that is missing is named by its record.
    keeper.manifest_mut().rules = known.into_iter().skip(1).collect();
    keeper.publish([]).unwrap();
    assert!(
        problems(dir.path()).contains("tells of a rule"),
        "{}",
        problems(dir.path())
    );
}
