//! What an attacker who reaches the ledger's folder, but not its master key, can do to the log and
//! the keys: whatever is changed, removed or swapped, no answer is another one than before, and
//! `verify` names the place.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    fs,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use portledger_ledger::{
    Entry, Error, Journal, Keeper, Ledger, Options, Settings, Verified, Writer, verify,
};
use portledger_model::{
    Allocation, Block, Device, Durability, Event, Evidence as _, External, PortRange, Realm,
    Record, Span, Start, Subscriber, Timestamp,
};

const DAY: u64 = 86_400;

/// Four days of 64 allocations each, so that the end of a day is that of no group of hashes.
const A_DAY: u64 = 64;

fn after(secs: u64) -> Timestamp {
    let begin: Timestamp = "2026-11-01T05:00:00Z".parse().unwrap();
    begin.after(Duration::from_secs(secs))
}

fn record(at: Timestamp, event: Event) -> Record {
    Record {
        at,
        device: Device::new("cgn1").unwrap(),
        event,
    }
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

/// When the allocation is handed out; it is held for ten minutes.
fn since(n: u64) -> Timestamp {
    after(n / A_DAY * DAY + n % A_DAY * 1_200 + 60)
}

fn records() -> Vec<Record> {
    let start = Event::Started(Start {
        clock_error: Duration::ZERO,
        guard_time: Duration::from_secs(120),
        durability: Durability::LogBeforeUse,
        continues: true,
        heartbeat: None,
    });
    let mut all = vec![record(after(0), start)];
    for n in 0..4 * A_DAY {
        let released = Event::Released {
            block: block(n),
            since: since(n),
        };
        let until = since(n).after(Duration::from_secs(600));
        all.push(record(since(n), Event::Allocated(block(n))));
        all.push(record(until, released));
    }
    all
}

fn write(dir: &Path, records: &[Record], settings: Settings) {
    let options = Options {
        settings: Some(settings),
        ..Options::default()
    };
    let (mut writer, _) = Writer::open(dir, options).unwrap();
    for batch in records.chunks(24) {
        writer.append(batch).unwrap();
        writer.sync().unwrap();
    }
}

fn settings() -> Settings {
    Settings {
        keep_days: NonZeroU32::new(2),
        ..Settings::new([3; 16])
    }
}

/// What is said of an allocation's port when it was held; none where it is not known whether
/// anybody held it.
fn asked(dir: &Path, n: u64) -> Result<Option<Vec<Allocation>>, Error> {
    let endpoint = External {
        address: block(n).external,
        port: Some(block(n).ports.first() + 7),
        transport: None,
    };
    let at = since(n).after(Duration::from_secs(60));
    let span = Span::new(at, at.after(Duration::from_secs(1)));
    let ledger = Ledger::read(dir)?;
    let held = ledger.holders(endpoint, span)?;
    let coverage = ledger.coverage(endpoint, span, after(4 * DAY + 60))?;
    Ok(coverage.gaps.is_empty().then_some(held))
}

/// No question has another answer than the one it had: there is none, or it is not known.
fn assert_none_is_wrong(dir: &Path, of: impl IntoIterator<Item = u64>, when: &str) {
    for n in of {
        if let Ok(Some(held)) = asked(dir, n) {
            let blocks: Vec<_> = held.iter().map(|held| &held.block).collect();
            assert_eq!(blocks, [&block(n)], "{when}: {n}");
        }
    }
}

/// What `verify` finds wrong, or why it cannot look.
fn problems(dir: &Path) -> Vec<String> {
    match verify(dir, &[], |_, _| {}) {
        Ok(Verified { problems, .. }) => problems
            .into_iter()
            .map(|problem| format!("{}: {}", problem.place, problem.what))
            .collect(),
        Err(error) => vec![error.to_string()],
    }
}

#[track_caller]
fn assert_named(dir: &Path, place: &str, when: &str) {
    let problems = problems(dir);
    let named = problems.iter().any(|problem| problem.contains(place));
    assert!(named, "{when}: {place} is not in {problems:?}");
}

fn log_files(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|end| end == "plg"))
        .collect();
    files.sort();
    files
}

/// Where the payload of each chunk of a log file is.
fn chunks(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut at = 21 + usize::from(bytes[20]) * 32 + 4;
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let payload = at + 8..at + 8 + length as usize;
        at = payload.end;
        if bytes[payload.start] == 2 {
            found.push(payload);
        }
    }
    found
}

/// Makes the checksum of a frame fit its payload, as whoever knows the format does.
fn mend_checksum(bytes: &mut [u8], payload: &std::ops::Range<usize>) {
    let length = payload.start - 8..payload.start - 4;
    let crc = crc32c::crc32c(&bytes[length]);
    let crc = crc32c::crc32c_append(crc, &bytes[payload.clone()]);
    bytes[payload.start - 4..payload.start].copy_from_slice(&crc.to_le_bytes());
}

fn key(dir: &Path, day: u32) -> PathBuf {
    dir.join(format!("keys/records-2026-11-0{day}.key"))
}

#[test]
fn a_chunk_of_the_log_that_was_changed_is_named_and_nothing_is_told_without_it() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &records(), settings());
    let files = log_files(&dir.path().join("log"));
    let file = files.last().unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let sound = fs::read(file).unwrap();
    let all = chunks(&sound);
    assert!(all.len() > 20, "{}", all.len());
    // The bytes that are sealed, and the day that the chunk says it is of: one that has a key, and
    // one that has none.
    let changes: [(usize, u8); 3] = [(40, 0x10), (2, 0x01), (3, 0x01)];
    for payload in all.iter().step_by(5) {
        for (at, bit) in changes {
            let mut changed = sound.clone();
            changed[payload.start + at] ^= bit;
            mend_checksum(&mut changed, payload);
            fs::write(file, &changed).unwrap();
            let when = format!("byte {at} of the chunk at {}", payload.start);
            for n in 0..4 * A_DAY {
                assert!(asked(dir.path(), n).is_err(), "{when}");
            }
            assert_named(dir.path(), &format!("{name} is damaged at byte"), &when);
            let opened = Writer::open(dir.path(), Options::default());
            let Err(Error::Damaged { file: told, .. }) = &opened else {
                panic!("{when}: {opened:?}")
            };
            assert_eq!(told, file, "{when}");
            let kept = Keeper::open(dir.path()).unwrap().seal(after(4 * DAY));
            assert!(
                matches!(kept, Err(Error::Damaged { .. })),
                "{when}: {kept:?}"
            );
        }
    }
    fs::write(file, &sound).unwrap();
    assert_eq!(problems(dir.path()), Vec::<String>::new());
}

#[test]
fn a_days_key_that_is_removed_swapped_or_made_anew_is_noticed_while_the_day_is_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &records(), settings());
    let sound = fs::read(key(dir.path(), 2)).unwrap();
    let other = fs::read(key(dir.path(), 3)).unwrap();

    fs::remove_file(key(dir.path(), 2)).unwrap();
    assert!(asked(dir.path(), 80).is_err());
    assert_named(dir.path(), "2026-11-02", "removed");
    let opened = Writer::open(dir.path(), Options::default());
    assert!(matches!(opened, Err(Error::Damaged { .. })), "{opened:?}");

    fs::write(key(dir.path(), 2), &other).unwrap();
    assert!(asked(dir.path(), 80).is_err());
    assert_named(dir.path(), "records-2026-11-02", "swapped");
    assert!(Writer::open(dir.path(), Options::default()).is_err());

    // Another ledger's, of that day.
    let elsewhere = tempfile::tempdir().unwrap();
    write(elsewhere.path(), &records(), settings());
    fs::copy(key(elsewhere.path(), 2), key(dir.path(), 2)).unwrap();
    assert!(asked(dir.path(), 80).is_err());
    assert_named(dir.path(), "records-2026-11-02", "another ledger's");

    fs::write(key(dir.path(), 2), &sound).unwrap();
    assert_eq!(problems(dir.path()), Vec::<String>::new());
    assert_eq!(asked(dir.path(), 80).unwrap().unwrap().len(), 1);
}

#[test]
fn a_sealed_days_key_that_is_removed_or_made_anew_is_noticed() {
    for encrypted in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            encrypted,
            ..settings()
        };
        write(dir.path(), &records(), settings.clone());
        Keeper::open(dir.path())
            .unwrap()
            .seal(after(4 * DAY + 3_600))
            .unwrap();
        let when = format!("encrypted: {encrypted}");
        fs::remove_file(key(dir.path(), 2)).unwrap();
        // What is not encrypted is read without it.
        assert_eq!(asked(dir.path(), 80).is_err(), encrypted);
        assert_none_is_wrong(dir.path(), 0..4 * A_DAY, &when);
        assert_named(dir.path(), "2026-11-02", &when);

        // A late record gets the day a new key, with which nothing of it opens.
        let late = record(after(DAY + 7_000), Event::Heartbeat);
        if let Ok((mut writer, _)) = Writer::open(dir.path(), Options::default()) {
            writer.append(&[late]).unwrap();
            writer.sync().unwrap();
            assert!(key(dir.path(), 2).exists());
        }
        assert_none_is_wrong(dir.path(), 0..4 * A_DAY, &when);
        assert_ne!(problems(dir.path()), Vec::<String>::new(), "{when}");
    }
}

#[test]
fn a_day_that_is_only_said_to_be_deleted_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &records(), settings());
    let now = after(4 * DAY + 3_600);
    let mut keeper = Keeper::open(dir.path()).unwrap();
    keeper.retain(now, &serde_json::Map::new()).unwrap();
    drop(keeper);
    assert_eq!(problems(dir.path()), Vec::<String>::new());
    assert!(!key(dir.path(), 2).exists());

    let lists = dir.path().join("sealed/manifest");
    let newest = fs::read_dir(&lists).unwrap().map(|e| e.unwrap().path());
    let newest = newest.max().unwrap();
    let sound = fs::read(&newest).unwrap();
    let changed = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut list = serde_json::from_slice(&sound).unwrap();
        change(&mut list);
        fs::write(&newest, serde_json::to_vec(&list).unwrap()).unwrap();
    };
    changed(&|list| {
        list["days"]["2026-11-03"]["state"] = "deleted".into();
        list["days"]["2026-11-03"]["segments"] = serde_json::json!([]);
    });
    assert_eq!(asked(dir.path(), 2 * A_DAY).unwrap(), None, "a gap");
    assert_none_is_wrong(dir.path(), 0..4 * A_DAY, "said to be deleted");
    assert_named(dir.path(), "2026-11-03", "said to be deleted");

    // Its records are said to have been of a day that was truly deleted.
    changed(&|list| {
        let runs = list["days"]["2026-11-03"]["runs"].take();
        let days = list["days"].as_object_mut().unwrap();
        days.remove("2026-11-03");
        let of_deleted = days["2026-11-02"]["runs"].as_array_mut().unwrap();
        of_deleted.extend(runs.as_array().unwrap().iter().cloned());
    });
    assert_named(dir.path(), "2026-11-02", "said to be another's");
    fs::write(&newest, &sound).unwrap();
    assert_eq!(problems(dir.path()), Vec::<String>::new());
}

#[test]
fn a_journal_whose_end_or_key_was_removed_is_noticed_and_not_signed_again() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &records(), settings());
    let ask = |at: Timestamp| {
        let mut says = serde_json::Map::new();
        says.insert("question".into(), at.to_string().into());
        Journal::append(dir.path(), &Entry { at, says }).map(drop)
    };
    ask(after(60)).unwrap();
    let files = log_files(&dir.path().join("journal"));
    let file = files.last().unwrap();
    let earlier = fs::read(file).unwrap();
    ask(after(DAY)).unwrap();
    let sound = fs::read(file).unwrap();

    fs::write(file, &earlier).unwrap();
    assert!(matches!(ask(after(DAY + 60)), Err(Error::Short { .. })));
    assert_named(dir.path(), "the journal", "shortened");
    fs::write(file, &sound).unwrap();

    let key = dir.path().join("keys/journal-2026-11-01.key");
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    assert_named(dir.path(), "the journal", "without a key");
    fs::write(&key, kept).unwrap();
    ask(after(DAY + 60)).unwrap();
    assert_eq!(problems(dir.path()), Vec::<String>::new());
}
