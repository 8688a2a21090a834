//! How long it takes to import, to ask, to merge and to forget. Prints a table.
//!
//! `cargo bench -p portledger-identity [-- INTERVALS]`, a million by default.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    env, fs,
    hint::black_box,
    io::{BufReader, Read},
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use portledger_identity::Store;
use portledger_keys::{KeyRing, MasterKey};
use portledger_model::{Realm, Span, Subscriber, Timestamp};

/// Each address had so many customers, one after the other.
const CUSTOMERS: u64 = 4;
const LASTS: i64 = 30 * 24 * 3_600;
const QUESTIONS: u64 = 20_000;
const FILES: u64 = 12;

fn main() {
    let asked = env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let intervals: u64 = asked.unwrap_or(1_000_000);
    let folder = tempfile::tempdir().unwrap();
    let ring = || {
        let master = MasterKey::from_bytes([1; 32]);
        KeyRing::open(&folder.path().join("ring"), master).unwrap()
    };
    let dir = folder.path().join("store");
    let store = Store::open(&dir, ring()).unwrap();

    let (imported, took) = timed(|| {
        let table = Table::new(0, intervals);
        store
            .import(BufReader::with_capacity(1 << 16, table), |_| {})
            .unwrap()
    });
    assert_eq!(imported.rows, intervals);
    println!(
        "import            {:>10.0} rows/s",
        per_second(intervals, took)
    );
    println!("largest memory    {:>10} MiB", largest_memory() >> 10);
    let bytes: u64 = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    println!(
        "on the disk       {:>10.1} bytes a row",
        bytes as f64 / intervals as f64
    );
    ask(&store, intervals, "ask, one file");

    for file in 1..FILES {
        let first = file * intervals / FILES;
        let table = Table::new(first, first + intervals / FILES / 2);
        store.import(BufReader::new(table), |_| {}).unwrap();
    }
    ask(&store, intervals, "ask, twelve files");
    drop(store);

    let (store, took) = timed(|| Store::open(&dir, ring()).unwrap());
    println!("open, twelve files{:>10.1} ms", took.as_secs_f64() * 1e3);
    let (merged, took) = timed(|| store.compact().unwrap());
    println!(
        "merge             {:>10.0} rows/s",
        per_second(merged.kept + merged.replaced, took)
    );
    let limit = Timestamp::from_secs(LASTS);
    let (forgotten, took) = timed(|| store.forget_before(limit).unwrap());
    assert_eq!(forgotten.kept + forgotten.forgotten, intervals);
    println!(
        "forget a quarter  {:>10.0} rows/s",
        per_second(intervals, took)
    );
    println!("largest memory    {:>10} MiB", largest_memory() >> 10);
}

fn ask(store: &Store, intervals: u64, what: &str) {
    let mut times = Vec::new();
    for question in 0..QUESTIONS {
        // Scattered by a prime.
        let subscriber = question * 7_919 % (intervals / CUSTOMERS);
        let asked = Subscriber::new(Realm::default(), address(subscriber));
        let at = Timestamp::from_secs(LASTS + 1_000);
        let span = Span::new(at, at.after(Duration::from_secs(2)));
        let start = Instant::now();
        let found = black_box(store.at(&asked, span).unwrap());
        times.push(start.elapsed());
        assert_eq!(found.len(), 1);
    }
    times.sort();
    let micros = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e6;
    println!(
        "{what:<18}{:>10.1} us median, {:.1} us 99 of 100",
        micros(0.5),
        micros(0.99)
    );
}

/// A table that is made as it is read, so that no memory but the store's is measured.
struct Table {
    next: u64,
    end: u64,
    text: Vec<u8>,
    read: usize,
}

impl Table {
    fn new(first: u64, end: u64) -> Self {
        let text = b"realm,internal,from,to,customer,name,contract\n".to_vec();
        Self {
            next: first,
            end,
            text,
            read: 0,
        }
    }
}

impl Read for Table {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.read == self.text.len() && self.next < self.end {
            let (subscriber, turn) = (self.next / CUSTOMERS, (self.next % CUSTOMERS).cast_signed());
            let from = Timestamp::from_secs(turn * LASTS);
            let to = Timestamp::from_secs((turn + 1) * LASTS);
            let internal = address(subscriber);
            self.text = format!(
                "default,{internal},{from},{to},C-{subscriber:07}-{turn},Example Person {subscriber},K{:09}\n",
                self.next
            )
            .into_bytes();
            self.next += 1;
            self.read = 0;
        }
        let read = (&self.text[self.read..]).read(out)?;
        self.read += read;
        Ok(read)
    }
}

fn address(subscriber: u64) -> IpAddr {
    // In an order that is not the numbers'; an odd factor gives each its own of 2^24 addresses.
    let scattered = subscriber.wrapping_mul(10_368_889) & 0xff_ffff;
    IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 | scattered as u32))
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}

fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// In KiB, of the process.
fn largest_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}
