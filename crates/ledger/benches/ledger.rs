//! How long it takes to write, to open and to ask. Prints a table.
//!
//! `cargo bench -p portledger-ledger [-- ALLOCATIONS]`, ten million by default.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    env, fs,
    hint::black_box,
    net::Ipv4Addr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use portledger_ledger::{Ledger, Options, Writer};
use portledger_model::{
    Block, Device, Durability, Event, Evidence, External, PortRange, Realm, Record, Span, Start,
    Subscriber, Timestamp,
};

/// Blocks of 256 ports from 1024 on, on one address.
const BLOCKS: u64 = 252;
const ADDRESSES: u64 = 4_096;
const SUBSCRIBERS: u64 = 1_000_000;
/// Each block is held this long and rests as long.
const HELD: u64 = 3_600;

/// Set for the process that opens and asks, so that its memory is the ledger's.
const READER: &str = "PORTLEDGER_BENCH_READ";

fn main() {
    let count = env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(10_000_000);
    if let Some(dir) = env::var_os(READER) {
        ask(&open(Path::new(&dir), count), count);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    append_and_sync(dir.path());
    let large = dir.path().join("large");
    write(&large, count);
    let mut reader = Command::new(env::current_exe().unwrap());
    let reader = reader.arg(count.to_string()).env(READER, large);
    assert!(reader.status().unwrap().success());
}

/// A number that looks random and is the same each time (SplitMix64's finaliser).
fn scramble(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

/// The n-th allocation: all blocks of all addresses in turn, each round later than the last.
fn block(n: u64) -> (Block, Timestamp) {
    let (round, place) = (n / (BLOCKS * ADDRESSES), n % (BLOCKS * ADDRESSES));
    let first = u16::try_from(1_024 + place / ADDRESSES * 256).unwrap();
    let internal = u32::try_from(scramble(n) % SUBSCRIBERS).unwrap();
    let block = Block {
        subscriber: Subscriber::new(
            Realm::default(),
            Ipv4Addr::from_bits(0x0a00_0000 + internal).into(),
        ),
        external: external(place % ADDRESSES),
        ports: PortRange::new(first, first + 255).unwrap(),
        transport: None,
    };
    let micros = (round * 2 * HELD * 1_000_000) + place * 3_000;
    (block, Timestamp::from_micros(micros.cast_signed()))
}

fn external(n: u64) -> Ipv4Addr {
    Ipv4Addr::from_bits(0xc612_0000 + u32::try_from(n).unwrap())
}

fn record(at: Timestamp, event: Event) -> Record {
    let device = Device::new("cgn1").unwrap();
    Record { at, device, event }
}

fn append_and_sync(dir: &Path) {
    println!("append + sync        records/s     per sync");
    for size in [1, 100, 1_000, 10_000] {
        let (mut writer, _) =
            Writer::open(&dir.join(format!("batch-{size}")), Options::default()).unwrap();
        let (mut written, mut syncs, begin) = (0, 0_u32, Instant::now());
        while begin.elapsed() < Duration::from_secs(2) {
            let batch: Vec<_> = (written..written + size)
                .map(|n| {
                    let (block, at) = block(n);
                    record(at, Event::Allocated(block))
                })
                .collect();
            writer.append(&batch).unwrap();
            writer.sync().unwrap();
            written += size;
            syncs += 1;
        }
        let took = begin.elapsed();
        let rate = written as f64 / took.as_secs_f64();
        println!("{size:>12} {rate:>16.0} {:>12.0?}", took / syncs);
    }
}

/// Writes allocations and, of all but the last round, their releases.
fn write(dir: &Path, count: u64) {
    let (mut writer, _) = Writer::open(dir, Options::default()).unwrap();
    let start = Event::Started(Start {
        clock_error: Duration::ZERO,
        guard_time: Duration::from_secs(120),
        durability: Durability::LogBeforeUse,
        continues: true,
    });
    writer.append(&[record(Timestamp::EPOCH, start)]).unwrap();
    let begin = Instant::now();
    let mut batch = Vec::new();
    for n in 0..count {
        let (handed, since) = block(n);
        batch.push(record(since, Event::Allocated(handed)));
        if let Some(earlier) = n.checked_sub(BLOCKS * ADDRESSES) {
            let (block, since) = block(earlier);
            let at = since.after(Duration::from_secs(HELD));
            batch.push(record(at, Event::Released { block, since }));
        }
        if batch.len() >= 10_000 {
            writer.append(&batch).unwrap();
            batch.clear();
        }
    }
    writer.append(&batch).unwrap();
    writer.sync().unwrap();
    let stats = writer.ledger().stats();
    println!(
        "write {count} allocations: {:.1?}, {} records, {:.1} bytes a record",
        begin.elapsed(),
        stats.records,
        stats.bytes as f64 / stats.records as f64
    );
}

fn open(dir: &Path, count: u64) -> Ledger {
    let before = resident();
    let begin = Instant::now();
    let ledger = Ledger::read(dir).unwrap();
    let took = begin.elapsed();
    let stats = ledger.stats();
    assert_eq!(stats.allocations, count);
    print!(
        "open {count} allocations ({} records): {took:.2?}",
        stats.records
    );
    match (before, resident()) {
        (Some(before), Some(after)) => {
            let bytes = after.saturating_sub(before) as f64 / count as f64;
            println!(", {bytes:.1} bytes of memory an allocation");
        }
        _ => println!(),
    }
    ledger
}

/// Bytes of memory this process has, where the system says so.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

fn ask(ledger: &Ledger, count: u64) {
    let mut times: Vec<_> = (0..1_000_000)
        .map(|question| {
            let n = scramble(question) % count;
            let (block, since) = block(n);
            let endpoint = External {
                address: block.external,
                port: Some(block.ports.first() + (n % 256) as u16),
                transport: None,
            };
            let at = since.after(Duration::from_secs(HELD / 2));
            let span = Span::new(at.before(Duration::from_secs(2)), at);
            let begin = Instant::now();
            let holders = ledger
                .holders(black_box(endpoint), black_box(span))
                .unwrap();
            let took = begin.elapsed();
            assert_eq!(holders.len(), 1);
            assert_eq!(holders[0].block, block);
            took
        })
        .collect();
    times.sort();
    let [p50, p99, p999] = [500_000, 990_000, 999_000].map(|place| times[place]);
    println!("who held a port at an instant: p50 {p50:.2?}, p99 {p99:.2?}, p99.9 {p999:.2?}");
}
