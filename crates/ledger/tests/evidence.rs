//! What stands up in front of a judge: proofs that hold, damage that is found and named, and
//! days that are gone when their time is past while the rest stays proven.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    fs,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use portledger_ledger::{
    Entry, Error, Hold, Journal, Keeper, Ledger, Options, Prover, Settings, Writer, text_of_entry,
    verify,
};
use portledger_model::{
    Block, Device, Durability, Event, Evidence as _, External, GapReason, PortRange, Realm, Record,
    RecordNumber, Span, Start, Subscriber, Timestamp,
};
use portledger_proof::SignedNote;

const DAY: u64 = 86_400;

/// When a ledger day begins, five days of which are written.
fn begin() -> Timestamp {
    "2026-11-01T05:00:00Z".parse().unwrap()
}

fn after(secs: u64) -> Timestamp {
    begin().after(Duration::from_secs(secs))
}

fn block(n: u64) -> Block {
    let first = 1_024 + u16::try_from(n % 200).unwrap() * 256;
    Block {
        subscriber: Subscriber::new(
            Realm::default(),
            format!("100.64.{}.{}", n / 200, n % 200).parse().unwrap(),
        ),
        external: "203.0.113.7".parse().unwrap(),
        ports: PortRange::new(first, first + 255).unwrap(),
        transport: None,
    }
}

fn record(at: Timestamp, event: Event) -> Record {
    Record {
        at,
        device: Device::new("cgn1").unwrap(),
        event,
    }
}

/// An allocation each 10 minutes over five days, each held for 20 hours.
fn records() -> Vec<Record> {
    let start = Event::Started(Start {
        clock_error: Duration::from_millis(10),
        guard_time: Duration::from_secs(120),
        durability: Durability::LogBeforeUse,
        continues: true,
        heartbeat: None,
    });
    let mut all = vec![record(begin(), start)];
    for n in 0..5 * 144 {
        let since = after(n * 600 + 1);
        let released = Event::Released {
            block: block(n),
            since,
        };
        all.push(record(since, Event::Allocated(block(n))));
        all.push(record(
            since.after(Duration::from_secs(20 * 3_600)),
            released,
        ));
    }
    all.sort_by_key(|record| record.at);
    all
}

fn settings() -> Settings {
    Settings {
        keep_days: NonZeroU32::new(2),
        ..Settings::new([3; 16])
    }
}

/// A ledger of which four days are sealed.
fn written(dir: &Path, settings: Settings) {
    unsealed(dir, settings);
    let kept = Keeper::open(dir).unwrap().seal(after(4 * DAY)).unwrap();
    assert_eq!(kept.sealed, 4);
}

/// A ledger all of which is in the log.
fn unsealed(dir: &Path, settings: Settings) {
    let options = Options {
        file_bytes: 20_000,
        settings: Some(settings),
        ..Options::default()
    };
    let (mut writer, _) = Writer::open(dir, options).unwrap();
    for batch in records().chunks(100) {
        writer.append(batch).unwrap();
        writer.sync().unwrap();
    }
}

fn asked(n: u64) -> (External, Span) {
    let endpoint = External {
        address: "203.0.113.7".parse().unwrap(),
        port: Some(block(n).ports.first() + 7),
        transport: None,
    };
    let at = after(n * 600 + 3_600);
    (endpoint, Span::new(at, at.after(Duration::from_secs(1))))
}

fn files_under(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_under(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn every_record_is_proven_and_a_ledger_as_written_has_no_problem() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), settings());
    let prover = Prover::open(dir.path()).unwrap();
    let keys = fs::read_to_string(dir.path().join("ledger.vkey")).unwrap();
    let key = keys.lines().next().unwrap().parse().unwrap();
    assert_eq!(&key, prover.key());
    for number in [0, 1, 255, 256, 700, prover.size() - 1] {
        let proof = prover.inclusion(RecordNumber(number)).unwrap();
        let verified = proof
            .verify(proof.extra(), std::slice::from_ref(&key))
            .unwrap();
        assert_eq!(verified.index, number);
        let text = text_of_entry(proof.extra()).unwrap();
        assert!(text.contains("\"device\":\"cgn1\""), "{text}");
        let mut other = proof.extra().to_vec();
        *other.last_mut().unwrap() ^= 1;
        assert!(proof.verify(&other, std::slice::from_ref(&key)).is_err());
    }
    let verified = verify(dir.path(), &[], |_, _| {}).unwrap();
    assert_eq!(verified.problems, []);
    assert_eq!(verified.records, records().len() as u64);
    assert_eq!((verified.days, verified.checkpoints), (4, 1));
    assert!(verified.allocations > 4 * 144, "{verified:?}");
}

#[test]
fn a_log_goes_on_from_a_checkpoint_that_was_kept_elsewhere_or_it_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let all = records();
    let options = || Options {
        settings: Some(settings()),
        ..Options::default()
    };
    let (mut writer, _) = Writer::open(dir.path(), options()).unwrap();
    writer.append(&all[..301]).unwrap();
    writer.checkpoint().unwrap();
    let old: SignedNote = Prover::open(dir.path()).unwrap().checkpoint().clone();
    writer.append(&all[301..]).unwrap();
    drop(writer);
    let new = Prover::open(dir.path()).unwrap();
    assert_eq!(new.consistency(301).unwrap().new_size(), all.len() as u64);
    let verified = verify(dir.path(), std::slice::from_ref(&old), |_, _| {}).unwrap();
    assert_eq!((verified.problems.len(), verified.checkpoints), (0, 2));

    // Another log of the same ledger, with one record otherwise.
    let other = tempfile::tempdir().unwrap();
    for part in ["ledger.toml", "ledger.vkey", "master.key"] {
        fs::copy(dir.path().join(part), other.path().join(part)).unwrap();
    }
    for part in ["keys", "log", "journal", "sealed"] {
        fs::create_dir(other.path().join(part)).unwrap();
    }
    for file in files_under(&dir.path().join("keys")) {
        fs::copy(
            &file,
            other.path().join("keys").join(file.file_name().unwrap()),
        )
        .unwrap();
    }
    let mut forged = all;
    forged[200] = record(forged[200].at, Event::Heartbeat);
    let (mut writer, _) = Writer::open(other.path(), options()).unwrap();
    writer.append(&forged).unwrap();
    drop(writer);
    let verified = verify(other.path(), &[old], |_, _| {}).unwrap();
    let [problem] = &verified.problems[..] else {
        panic!("{verified:?}")
    };
    assert!(problem.what.contains("first 301 records"), "{problem:?}");
}

#[test]
fn a_changed_byte_in_any_file_of_a_sealed_day_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), settings());
    let day = dir.path().join("sealed/days/2026-11-02");
    for file in files_under(&day) {
        let sound = fs::read(&file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        for at in [sound.len() / 3, sound.len() - 40] {
            let mut changed = sound.clone();
            changed[at] ^= 0x10;
            fs::write(&file, &changed).unwrap();
            let verified = verify(dir.path(), &[], |_, _| {}).unwrap();
            let named = verified
                .problems
                .iter()
                .any(|problem| problem.place.contains(name));
            assert!(named, "{name} at {at}: {:?}", verified.problems);
            // The rest is readable: another day answers as before.
            let (endpoint, span) = asked(3 * 144);
            let ledger = Ledger::read(dir.path()).unwrap();
            assert_eq!(
                ledger
                    .holders(endpoint, span)
                    .map(|held| held.len())
                    .unwrap_or(1),
                1
            );
        }
        fs::write(&file, sound).unwrap();
    }
    assert_eq!(verify(dir.path(), &[], |_, _| {}).unwrap().problems, []);
}

#[test]
fn a_log_whose_end_was_removed_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    unsealed(dir.path(), settings());
    let log = files_under(&dir.path().join("log"));
    let last = log
        .iter()
        .rfind(|path| path.extension().is_some_and(|e| e == "plg"))
        .unwrap();
    // The header alone is a sound log file.
    let bytes = fs::read(last).unwrap();
    let header = 21 + usize::from(bytes[20]) * 32 + 4;
    fs::write(last, &bytes[..header]).unwrap();
    let verified = verify(dir.path(), &[], |_, _| {}).unwrap();
    assert!(
        verified
            .problems
            .iter()
            .any(|problem| problem.what.contains("its end was removed")),
        "{:?}",
        verified.problems
    );
    let opened = Writer::open(dir.path(), Options::default());
    assert!(matches!(opened, Err(Error::Short { .. })), "{opened:?}");
}

#[test]
fn what_is_past_its_time_is_gone_everywhere_and_the_rest_stays_proven() {
    for encrypted in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        written(
            dir.path(),
            Settings {
                encrypted,
                ..settings()
            },
        );
        let before = Prover::open(dir.path()).unwrap();
        let first_of = |n: u64| {
            let (endpoint, span) = asked(n);
            Ledger::read(dir.path()).unwrap().holders(endpoint, span)
        };
        let of_day_1 = first_of(10).unwrap()[0].record;
        let of_day_3 = first_of(2 * 144 + 10).unwrap()[0].record;
        before.inclusion(of_day_1).unwrap();
        let backup = dir.path().join("backup-of-day-1");
        fs::create_dir(&backup).unwrap();
        for file in files_under(&dir.path().join("sealed/days/2026-11-01")) {
            fs::copy(&file, backup.join(file.file_name().unwrap())).unwrap();
        }

        let now = after(4 * DAY + 3_600);
        let mut keeper = Keeper::open(dir.path()).unwrap();
        let case = Hold {
            case: "2026-17".into(),
            from: after(DAY + 7_200),
            to: after(DAY + 7_201),
        };
        keeper.hold(case).unwrap();
        let due = keeper.due(now);
        assert_eq!(
            due.iter()
                .map(|due| (due.day.to_string(), due.held_by.clone()))
                .collect::<Vec<_>>(),
            [
                ("2026-11-01".into(), None),
                ("2026-11-02".into(), Some("2026-17".into()))
            ]
        );
        keeper.retain(now, &serde_json::Map::new()).unwrap();
        drop(keeper);

        assert!(!dir.path().join("sealed/days/2026-11-01").exists());
        assert!(!dir.path().join("keys/records-2026-11-01.key").exists());
        if encrypted {
            // What a backup has of it cannot be read by anyone: its key is nowhere.
            for file in files_under(&backup) {
                let bytes = fs::read(&file).unwrap();
                assert!(!bytes.windows(6).any(|text| text == b"100.64"), "{file:?}");
            }
        }
        let prover = Prover::open(dir.path()).unwrap();
        let gone = prover.inclusion(of_day_1);
        assert!(matches!(gone, Err(Error::Deleted { .. })), "{gone:?}");
        let proof = prover.inclusion(of_day_3).unwrap();
        proof
            .verify(proof.extra(), std::slice::from_ref(prover.key()))
            .unwrap();
        let verified = verify(dir.path(), &[before.checkpoint().clone()], |_, _| {}).unwrap();
        assert_eq!(verified.problems, [], "encrypted: {encrypted}");
        assert!(verified.deleted > 0);

        // Held into the next day: still answered there, though the day it began on is gone.
        let ledger = Ledger::read(dir.path()).unwrap();
        let n = 100;
        let (endpoint, _) = asked(n);
        let at = after(DAY + 600);
        let span = Span::new(at, at.after(Duration::from_secs(1)));
        let held = ledger.holders(endpoint, span).unwrap();
        assert_eq!(
            held.iter().map(|held| &held.block).collect::<Vec<_>>(),
            [&block(n)]
        );
        let coverage = ledger
            .coverage(endpoint, Span::new(after(60), at), now)
            .unwrap();
        assert_eq!(coverage.gaps[0].reason, GapReason::Deleted);
        assert_eq!(coverage.gaps[0].span, Span::new(after(60), after(DAY)));

        let mut told = Vec::new();
        Journal::read(dir.path(), |_, entry| told.push(entry.says["day"].clone())).unwrap();
        assert_eq!(told, ["2026-11-01"]);

        // The ledger goes on, and the case is lifted.
        let (mut writer, _) = Writer::open(dir.path(), Options::default()).unwrap();
        writer.append(&[record(now, Event::Heartbeat)]).unwrap();
        drop(writer);
        let mut keeper = Keeper::open(dir.path()).unwrap();
        assert_eq!(keeper.lift("2026-17").unwrap(), 1);
        keeper.retain(now, &serde_json::Map::new()).unwrap();
        drop(keeper);
        let verified = verify(dir.path(), &[before.checkpoint().clone()], |_, _| {}).unwrap();
        assert_eq!(verified.problems, [], "encrypted: {encrypted}");
        assert!(!dir.path().join("sealed/days/2026-11-02").exists());
    }
}

#[test]
fn questions_past_their_time_are_gone_and_the_journal_stays_proven() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        keep_questions_days: NonZeroU32::new(30),
        ..settings()
    };
    written(dir.path(), settings);
    let ask = |day: u64, question: u64| {
        let at = after(day * DAY + question);
        let mut says = serde_json::Map::new();
        says.insert("question".into(), question.into());
        Journal::append(dir.path(), &Entry { at, says }).unwrap();
    };
    // More than one group of the tree, with its edge inside a day.
    for question in 0..300 {
        ask(question / 100, question);
    }
    let questions = || {
        let mut told = Vec::new();
        let gone = Journal::read(dir.path(), |_, entry| told.push(entry.says)).unwrap();
        let asked = told
            .iter()
            .filter_map(|says| says.get("question")?.as_u64());
        (gone, asked.collect::<Vec<_>>())
    };
    assert_eq!(questions(), (0, (0..300).collect()));

    let now = after(32 * DAY + 60);
    let mut keeper = Keeper::open(dir.path()).unwrap();
    let due = keeper.questions_due(now).unwrap();
    assert_eq!(
        due.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["2026-11-01", "2026-11-02"]
    );
    let retained = keeper.retain(now, &serde_json::Map::new()).unwrap();
    assert_eq!(retained.questions, due);
    assert_eq!(questions(), (200, (200..300).collect()));
    assert_eq!(keeper.questions_due(now).unwrap(), []);
    drop(keeper);

    ask(33, 300);
    let verified = verify(dir.path(), &[], |_, _| {}).unwrap();
    assert_eq!(verified.problems, []);
    // Of what is left, a changed byte is still found.
    let log = files_under(&dir.path().join("journal"));
    let last = log
        .iter()
        .rfind(|path| path.extension().is_some_and(|e| e == "plg"))
        .unwrap();
    let mut bytes = fs::read(last).unwrap();
    let end = bytes.len() - 60;
    bytes[end] ^= 1;
    fs::write(last, &bytes).unwrap();
    assert_ne!(verify(dir.path(), &[], |_, _| {}).unwrap().problems, []);
}
