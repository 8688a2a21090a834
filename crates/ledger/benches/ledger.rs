//! How long it takes to write, to seal, to open and to ask. Prints a table; processor time beside
//! the clock's, since machines are shared.
//!
//! `cargo bench -p portledger-ledger [-- ALLOCATIONS]`, two million by default.
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

use portledger_ledger::{Keeper, Ledger, Options, Writer};
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

/// When a ledger day begins.
const BEGIN: Timestamp = Timestamp::from_secs(1_793_509_200);

/// Set for the process that opens and asks, so that its memory is the ledger's.
const READER: &str = "PORTLEDGER_BENCH_READ";

fn main() {
    let count = env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(2_000_000);
    if let Some(dir) = env::var_os(READER) {
        ask(&open(Path::new(&dir), count), count);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    append_and_sync(dir.path());
    let large = dir.path().join("large");
    write(&large, count);
    seal(&large, count);
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
    let millis = round * 2 * HELD * 1_000 + place * 3;
    (block, BEGIN.after(Duration::from_millis(millis)))
}

fn external(n: u64) -> Ipv4Addr {
    Ipv4Addr::from_bits(0xc612_0000 + u32::try_from(n).unwrap())
}

fn record(at: Timestamp, event: Event) -> Record {
    let device = Device::new("cgn1").unwrap();
    Record { at, device, event }
}

fn append_and_sync(dir: &Path) {
    println!("append + sync        records/s     per sync   records/s of processor time");
    for size in [1, 100, 1_000, 10_000] {
        let (mut writer, _) =
            Writer::open(&dir.join(format!("batch-{size}")), Options::default()).unwrap();
        let (mut written, mut syncs, mut busy) = (0, 0_u32, Duration::ZERO);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(2) {
            let batch: Vec<_> = (written..written + size)
                .map(|n| {
                    let (block, at) = block(n);
                    record(at, Event::Allocated(block))
                })
                .collect();
            let before = processor();
            writer.append(&batch).unwrap();
            writer.sync().unwrap();
            busy += processor() - before;
            written += size;
            syncs += 1;
        }
        let took = begin.elapsed();
        let rate = written as f64 / took.as_secs_f64();
        let alone = written as f64 / busy.as_secs_f64();
        println!(
            "{size:>12} {rate:>16.0} {:>12.0?} {alone:>16.0}",
            took / syncs
        );
    }
}

/// The processor time of this thread.
fn processor() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Writes allocations and, of all but the last round, their releases.
fn write(dir: &Path, count: u64) {
    let (mut writer, _) = Writer::open(dir, Options::default()).unwrap();
    let start = Event::Started(Start {
        clock_error: Duration::ZERO,
        guard_time: Duration::from_secs(120),
        durability: Durability::LogBeforeUse,
        continues: true,
        heartbeat: None,
    });
    writer.append(&[record(BEGIN, start)]).unwrap();
    let (begin, mut busy) = (Instant::now(), Duration::ZERO);
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
            let before = processor();
            writer.append(&batch).unwrap();
            writer.sync().unwrap();
            busy += processor() - before;
            batch.clear();
        }
    }
    writer.append(&batch).unwrap();
    writer.sync().unwrap();
    let records = writer.next_record().0;
    let stats = writer.ledger().unwrap().stats();
    println!(
        "write {count} allocations: {:.1?} ({:.0} records/s of processor time), {records} records, {:.1} bytes a record in the log",
        begin.elapsed(),
        records as f64 / busy.as_secs_f64(),
        stats.log_bytes as f64 / records as f64
    );
}

fn seal(dir: &Path, count: u64) {
    let mut keeper = Keeper::open(dir).unwrap();
    let timed = |name: &str, work: &mut dyn FnMut()| {
        let (begin, before) = (Instant::now(), processor());
        work();
        println!(
            "{name}: {:.1?}, {:.1?} of processor time",
            begin.elapsed(),
            processor() - before
        );
    };
    timed("flush into parts", &mut || {
        keeper.flush().unwrap();
    });
    let far = BEGIN.after(Duration::from_secs(30 * 86_400));
    timed("seal", &mut || {
        keeper.seal(far).unwrap();
    });
    let stats = Ledger::read(dir).unwrap().stats();
    println!(
        "sealed: {} days, {:.2} bytes an allocation with its records and all indexes",
        stats.days,
        stats.segment_bytes as f64 / count as f64
    );
}

fn open(dir: &Path, count: u64) -> Ledger {
    let before = resident();
    let begin = Instant::now();
    let ledger = Ledger::read(dir).unwrap();
    let took = begin.elapsed();
    print!("open {count} allocations: {took:.2?}");
    match (before, resident()) {
        (Some(before), Some(after)) => {
            println!(", {} kB of memory", after.saturating_sub(before) / 1_000);
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
    const QUESTIONS: u64 = 20_000;
    let mut times: Vec<_> = (0..QUESTIONS)
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
    let place = |share: f64| times[(QUESTIONS as f64 * share) as usize];
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(place);
    println!("who held a port at an instant: p50 {p50:.2?}, p99 {p99:.2?}, p99.9 {p999:.2?}");
}
