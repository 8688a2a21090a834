//! What it costs from a datagram to the disk, in one process and without sockets: the stages of `serve`,
//! one after the other on the same day of block events. Prints the processor time of each.
//!
//! `cargo bench -p portledger-service --bench collect [-- EVENTS [STAGE]]`; a stage alone is for
//! profilers: `callgrind` counts its instructions exactly, whatever else the machine does.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // A bench fails by panicking, and prints.

#[path = "../../../benches/collectors/src/day.rs"]
mod day;

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use day::Day;
use portledger_ledger::{CommitOptions, Committer, Keeper, Ledger, Options, Writer};
use portledger_model::{Device, Evidence as _, External, Record, Span, Timestamp};
use portledger_service::collect::{Devices, Promise};
use portledger_wire::{
    Phase, Told,
    flow::{ExportSettings, Exporter, Limits, Medium, Session},
};

/// 2026-11-01: a day that is over.
const FROM: Timestamp = Timestamp::from_secs(1_793_491_200);

/// Datagrams that are taken together, as off a busy socket.
const TOGETHER: usize = 64;

fn main() {
    let given: Vec<_> = std::env::args().skip(1).collect();
    let events = given.iter().find_map(|argument| argument.parse().ok());
    let events: u64 = events.unwrap_or(4_000_000);
    let named = |name: &str| given.iter().any(|argument| argument == name);
    let all = !["decode", "pair", "write", "commit", "keep"]
        .iter()
        .any(|name| named(name));
    let datagrams = datagrams(events);
    println!(
        "{events} events in {} datagrams; seconds of processor time a million",
        datagrams.len()
    );
    if all || named("decode") {
        say("decode", events, || decode(&datagrams));
    }
    if all || named("pair") {
        let dir = tempfile::tempdir().unwrap();
        say("+ pair", events, || pair(&datagrams, dir.path(), |_| {}));
    }
    if all || named("write") {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, _) = Writer::open(dir.path(), options()).unwrap();
        let ledger = dir.path().to_owned();
        say("+ write, one thread", events, || {
            let mut waiting = Vec::new();
            pair(&datagrams, &ledger, |batch| {
                waiting.append(batch);
                if waiting.len() >= 1 << 16 {
                    writer.append(&waiting).unwrap();
                    writer.sync().unwrap();
                    waiting.clear();
                }
            });
            writer.append(&waiting).unwrap();
            writer.sync().unwrap();
        });
    }
    if all || named("commit") || named("keep") {
        let dir = tempfile::tempdir().unwrap();
        commit(&datagrams, dir.path(), events);
        if all || named("keep") {
            keep(dir.path(), events);
        }
    }
}

fn options() -> Options {
    Options {
        collects: true,
        ..Options::default()
    }
}

/// The day's messages, as an exporter sends them.
fn datagrams(events: u64) -> Vec<Vec<u8>> {
    let mut exporter = Exporter::new(ExportSettings {
        booted: FROM,
        ..ExportSettings::default()
    });
    let mut day = Day::new(FROM, events).fuse();
    let (mut waiting, mut messages) = (Vec::new(), Vec::new());
    loop {
        waiting.extend(day.by_ref().take(256 - waiting.len()));
        let Some(first) = waiting.first() else {
            return messages;
        };
        let (now, mut message) = (first.at.timestamp(), Vec::new());
        let taken = exporter.message(now, &waiting, &mut message).unwrap();
        waiting.drain(..taken);
        messages.push(message);
    }
}

fn decode(datagrams: &[Vec<u8>]) {
    let mut session = Session::new(Medium::Datagrams, Limits::default());
    for bytes in datagrams {
        session.datagram(bytes, FROM, &mut |item| drop(black_box(item)));
    }
}

/// Decodes and pairs, and hands over the records of each few datagrams.
fn pair(datagrams: &[Vec<u8>], ledger: &Path, mut each: impl FnMut(&mut Vec<Record>)) {
    let empty = tempfile::tempdir().unwrap();
    let ledger = Ledger::read(ledger).unwrap_or_else(|_| {
        drop(Writer::open(empty.path(), options()).unwrap());
        Ledger::read(empty.path()).unwrap()
    });
    let mut session = Session::new(Medium::Datagrams, Limits::default());
    let mut devices = Devices::new(&ledger).unwrap();
    let mut items = Vec::new();
    let index = devices.enter(&Device::new("cgn1").unwrap(), Promise::default());
    for datagrams in datagrams.chunks(TOGETHER) {
        for bytes in datagrams {
            session.datagram(bytes, FROM, &mut |item| items.push(item));
            devices.expect(index, &items);
            for item in items.drain(..) {
                black_box(devices.item(index, item, Some(FROM)));
            }
            devices.alive(index, FROM);
        }
        each(devices.batch());
        devices.batch().clear();
    }
}

/// As `serve` does it: one thread hears, another writes.
fn commit(datagrams: &[Vec<u8>], dir: &Path, events: u64) {
    let (writer, _) = Writer::open(dir, options()).unwrap();
    say("+ write, two threads", events, || {
        let committer = CommitOptions {
            queue: usize::MAX,
            ..CommitOptions::default()
        };
        let committer = Committer::start(writer, committer).unwrap();
        pair(datagrams, dir, |batch| {
            committer.submit(std::mem::take(batch)).unwrap();
        });
        committer.close().unwrap();
    });
}

/// What is done beside it, and what is left on the disk.
fn keep(dir: &Path, events: u64) {
    let mut keeper = Keeper::open(dir).unwrap();
    say("flush into parts", events, || {
        keeper.flush().unwrap();
    });
    say("seal the day", events, || {
        keeper
            .seal(FROM.after(Duration::from_secs(2 * 86_400)))
            .unwrap();
    });
    let stats = Ledger::read(dir).unwrap().stats();
    let bytes = stats.segment_bytes as f64 / events as f64;
    println!("{:24}{bytes:>8.2} bytes an event", "sealed");
    look_up(dir, events);
}

/// Asks a ledger that is open for blocks of all of the day, in no order.
fn look_up(dir: &Path, events: u64) {
    const QUESTIONS: usize = 20_000;
    let ledger = Ledger::read(dir).unwrap();
    let step = (events as usize / QUESTIONS).max(1);
    let mut asked: Vec<_> = Day::new(FROM, events)
        .step_by(step)
        .filter_map(|event| match event.told {
            Told::Ports(holding) if holding.phase == Phase::Begun => {
                Some((event.at.timestamp(), holding))
            }
            _ => None,
        })
        .collect();
    asked.sort_by_key(|(_, holding)| holding.subscriber.clone());
    let mut times: Vec<_> = asked
        .into_iter()
        .map(|(at, holding)| {
            let at = at.after(Duration::from_millis(2));
            let endpoint = External {
                address: holding.external,
                port: Some(holding.ports.first() + 7),
                transport: None,
            };
            let began = Instant::now();
            let span = Span::new(at, at.after(Duration::from_millis(1)));
            let holders = ledger.holders(endpoint, span).unwrap();
            let took = began.elapsed();
            assert_eq!(
                Some(&holders[0].block.subscriber),
                holding.subscriber.as_ref()
            );
            took
        })
        .collect();
    times.sort();
    let [median, late] = [0.5, 0.99].map(|share| times[(times.len() as f64 * share) as usize]);
    println!(
        "{} look-ups: median {median:.1?}, 99th percentile {late:.1?}",
        times.len()
    );
}

fn say(what: &str, events: u64, work: impl FnOnce()) {
    let before = processor();
    work();
    let used = (processor() - before).as_secs_f64() / events as f64 * 1e6;
    println!("{what:24}{used:>8.3}");
}

/// The processor time of this process, of threads that ended too.
fn processor() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}
