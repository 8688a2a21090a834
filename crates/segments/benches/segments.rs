//! How many bytes a segment takes, and how long it takes to write it and to ask. Prints a table.
//!
//! `cargo bench -p portledger-segments [-- ALLOCATIONS]`, ten million by default: one day of a
//! million subscribers. Questions over ten days are put to ten such segments, if
//! `PORTLEDGER_BENCH_DAYS=10` is set.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

// Public there for whoever includes it.
#[allow(unreachable_pub)]
mod generator;

use std::{
    env,
    hint::black_box,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use generator::{Generated, Random, generate, subscribers};
use portledger_model::{
    Device, External, PortRange, Realm, RecordNumber, Span, Subscriber, Timestamp,
};
use portledger_segments::{
    Cache, DeviceNumber, Dictionary, Holder, Key, LocalFile, Question, Resolution, Row, Segment,
    SegmentWriter, SubscriberNumber,
};

fn main() {
    let count = env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(10_000_000);
    let days = env::var("PORTLEDGER_BENCH_DAYS").ok();
    let days: u64 = days.and_then(|days| days.parse().ok()).unwrap_or(1);
    let dir = tempfile::tempdir().unwrap();
    let key = Key::new(&[7; 16], "bench").unwrap();
    for (name, key) in [("plain", None), ("encrypted", Some(&key))] {
        println!("{name}, {count} allocations a day");
        let dirs: Vec<PathBuf> = (0..days)
            .map(|day| dir.path().join(format!("{name}-{day}")))
            .collect();
        let mut truth = Vec::new();
        for (day, dir) in (0..).zip(&dirs) {
            let dictionary = dictionary(count);
            let rows = rows(count, day, &dictionary);
            write(dir, &dictionary, &rows, key, day == 0);
            let mut random = Random(day + 99);
            truth.extend((0..1_000_000).map(|_| rows[random.below(count) as usize]));
            if day == 0 {
                ask(dir, &rows, &dictionary, key);
            }
        }
        if days > 1 {
            join_days(&dirs, &truth, key);
        }
    }
}

/// The subscribers in the order of their addresses as numbers, and the devices.
fn dictionary(count: u64) -> Dictionary {
    let devices = (0..8).map(|n| Device::new(&format!("cgn{n}")).unwrap());
    Dictionary::new((0..subscribers(count)).map(subscriber), devices).unwrap()
}

fn subscriber(number: u64) -> Subscriber {
    let internal = Ipv4Addr::from_bits(0x6440_0000 + number as u32);
    Subscriber::new(Realm::default(), internal.into())
}

fn rows(count: u64, day: u64, dictionary: &Dictionary) -> Vec<Row> {
    let begin = Instant::now();
    let numbers: Vec<SubscriberNumber> = (0..subscribers(count))
        .map(|n| dictionary.number_of(&subscriber(n)).unwrap())
        .collect();
    let mut rows = Vec::with_capacity(count as usize);
    generate(count, day + 1, |generated: Generated| {
        rows.push(Row {
            external: Ipv4Addr::from_bits(generated.external),
            ports: PortRange::new(generated.first, generated.last).unwrap(),
            transport: None,
            from: Timestamp::from_millis(generated.from_ms),
            to: Some(Timestamp::from_millis(generated.to_ms)),
            subscriber: numbers[generated.subscriber as usize],
            device: DeviceNumber(generated.device.into()),
            concluded: false,
            opened: RecordNumber(0),
        });
    });
    // Records are numbered in order of time: an allocation's first is about that of its start.
    let mut by_start: Vec<(i64, u32)> = (0..)
        .zip(&rows)
        .map(|(at, row): (u32, &Row)| (row.from.as_micros(), at))
        .collect();
    by_start.sort_unstable();
    for (number, (_, at)) in (0..).zip(by_start) {
        rows[at as usize].opened = RecordNumber(number * 2);
    }
    let generated = begin.elapsed();
    let begin = Instant::now();
    rows.sort_unstable_by_key(Row::order);
    if day == 0 {
        println!(
            "  generated in {generated:.1?}, sorted in {:.1?}",
            begin.elapsed()
        );
    }
    rows
}

fn write(dir: &Path, dictionary: &Dictionary, rows: &[Row], key: Option<&Key>, print: bool) {
    std::fs::create_dir(dir).unwrap();
    let begin = Computed::begin();
    let mut writer = SegmentWriter::new(dir, dictionary, Resolution::Millis, key).unwrap();
    for row in rows {
        writer.push(*row).unwrap();
    }
    let pushed = begin.rate(rows.len());
    let summary = writer.finish().unwrap();
    if !print {
        return;
    }
    println!("  {:>24} {pushed}", "rows pushed");
    println!("  {:>24} {}", "with all files", begin.rate(rows.len()));
    let mut all = 0.0;
    for file in &summary.files {
        let bytes = file.bytes as f64 / rows.len() as f64;
        println!("  {:>24} {bytes:>7.3} B/row", file.name);
        // Proofs alone need the records' numbers.
        if file.name != "numbers.parquet" {
            all += bytes;
        }
    }
    println!("  {:>24} {all:>7.3} B/row", "all but numbers");
}

fn open(dir: &Path, key: Option<&Key>, cache: usize) -> Segment {
    let dir = dir.to_owned();
    let files = move |name: &str| Ok(Box::new(LocalFile::open(&dir.join(name))?) as Box<_>);
    Segment::open(files, key.cloned(), Arc::new(Cache::new(cache))).unwrap()
}

fn ask(dir: &Path, rows: &[Row], dictionary: &Dictionary, key: Option<&Key>) {
    first_answer(dir, rows, key);
    let segment = open(dir, key, Cache::DEFAULT_BYTES);
    let mut random = Random(5);
    let mut points = |count: usize| -> Vec<(Row, External, Timestamp)> {
        (0..count)
            .map(|_| {
                let row = rows[random.below(rows.len() as u64) as usize];
                let held = row.to.unwrap().since(row.from).as_micros() as u64;
                let at = row.from.after(Duration::from_micros(random.below(held)));
                let offset = random.below(row.ports.count().into()) as u16;
                (
                    row,
                    endpoint(row.external, Some(row.ports.first() + offset)),
                    at,
                )
            })
            .collect()
    };
    let mut point = |name: &str, count| {
        let times = points(count).into_iter().map(|(row, external, at)| {
            let begin = Instant::now();
            let mut found = Vec::new();
            let span = Span::new(at, at.after(Span::TICK));
            segment
                .holders(black_box(external), span, &mut found)
                .unwrap();
            let took = begin.elapsed();
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].from, row.from);
            assert_eq!(
                Some(&found[0].block.subscriber),
                dictionary.subscriber(row.subscriber)
            );
            assert_eq!(found[0].record, row.opened);
            took
        });
        quantiles(name, times.collect());
    };
    point("who, first 20,000", 20_000);
    point("who, next 20,000", 20_000);
    let mut random = Random(6);
    let mut out = Vec::new();
    let hours = (0..200).map(|_| {
        let row = rows[random.below(rows.len() as u64) as usize];
        let span = Span::new(row.from, row.from.after(Duration::from_secs(3_600)));
        out.clear();
        let begin = Instant::now();
        segment
            .holders(endpoint(row.external, None), span, &mut out)
            .unwrap();
        assert!(out.len() > 1);
        begin.elapsed()
    });
    quantiles("an address in an hour", hours.collect());
    let mut random = Random(7);
    let mut found = 0;
    let month = (0..200).map(|_| {
        let row = rows[random.below(rows.len() as u64) as usize];
        let subscriber = dictionary.subscriber(row.subscriber).unwrap();
        let from = row.from.before(Duration::from_secs(30 * 86_400));
        let begin = Instant::now();
        let all = segment
            .by_subscriber(subscriber, Span::new(from, Timestamp::MAX))
            .unwrap();
        found += all.len();
        begin.elapsed()
    });
    quantiles("a subscriber's blocks", month.collect());
    println!("  {:>24} {:.1} a subscriber", "", found as f64 / 200.0);
    join(&segment, rows);
    let begin = Computed::begin();
    let total = segment
        .rows()
        .fold(0_u64, |sum, row| sum + u64::from(row.unwrap().subscriber.0));
    black_box(total);
    println!("  {:>24} {}", "all rows", begin.rate(rows.len()));
    let begin = Instant::now();
    segment.verify().unwrap();
    println!("  {:>24} {:.1?}", "verify", begin.elapsed());
}

/// The time that this thread has computed, as Linux tells it: what a rate is held against where
/// other programs share the machine. Elsewhere, the time by the clock.
struct Computed(Instant, Option<Duration>);

impl Computed {
    fn begin() -> Self {
        Self(Instant::now(), Self::now())
    }

    fn now() -> Option<Duration> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
    }

    fn took(&self) -> Duration {
        match (self.1, Self::now()) {
            (Some(begin), Some(end)) => end - begin,
            _ => self.0.elapsed(),
        }
    }

    /// Millions a second, of computing and by the clock.
    fn rate(&self, count: usize) -> String {
        let rate = |took: Duration| count as f64 / took.as_secs_f64() / 1e6;
        let (computed, clock) = (rate(self.took()), rate(self.0.elapsed()));
        format!("{computed:>6.2} M/s of computing, {clock:>6.2} M/s by the clock")
    }
}

fn endpoint(address: Ipv4Addr, port: Option<u16>) -> External {
    External {
        address,
        port,
        transport: None,
    }
}

/// Opening and one answer, with the files out of the system's memory where it lets us.
fn first_answer(dir: &Path, rows: &[Row], key: Option<&Key>) {
    let mut random = Random(4);
    for cold in [false, true] {
        let times = (0..50).map(|_| {
            if cold {
                evict(dir);
            }
            let row = rows[random.below(rows.len() as u64) as usize];
            let begin = Instant::now();
            let segment = open(dir, key, Cache::DEFAULT_BYTES);
            let opened = begin.elapsed();
            let mut found = Vec::new();
            let asked = endpoint(row.external, Some(row.ports.first()));
            let span = Span::new(row.from, row.from.after(Span::TICK));
            segment.holders(asked, span, &mut found).unwrap();
            assert_eq!(found.len(), 1);
            (opened, begin.elapsed())
        });
        let (opened, answered): (Vec<_>, Vec<_>) = times.unzip();
        let name = if cold { "cold" } else { "warm" };
        quantiles(&format!("{name}: open"), opened);
        quantiles(&format!("{name}: open and answer"), answered);
    }
}

/// Asks the system to forget the files' pages, as `dd` of coreutils can.
fn evict(dir: &Path) {
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        let mut dd = std::process::Command::new("dd");
        let dd = dd.arg(format!("if={}", path.display()));
        let dd = dd.args(["iflag=nocache", "count=0", "status=none"]);
        assert!(dd.status().unwrap().success());
    }
}

fn quantiles(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    println!(
        "  {name:>24} p50 {:>9.1?}  p99 {:>9.1?}  max {:>9.1?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

fn questions(rows: &[Row], seed: u64) -> Vec<Question> {
    let mut random = Random(seed);
    let mut questions: Vec<Question> = (0..)
        .zip(rows)
        .map(|(index, row)| {
            let held = row.to.unwrap().since(row.from).as_micros() as u64;
            let at = row.from.after(Duration::from_micros(random.below(held)));
            let port = row.ports.first() + random.below(row.ports.count().into()) as u16;
            Question {
                external: endpoint(row.external, Some(port)),
                span: Span::new(at, at.after(Duration::from_millis(1))),
                index,
            }
        })
        .collect();
    Question::sort(&mut questions);
    questions
}

fn join(segment: &Segment, rows: &[Row]) {
    let mut random = Random(8);
    let asked: Vec<Row> = (0..1_000_000)
        .map(|_| rows[random.below(rows.len() as u64) as usize])
        .collect();
    let questions = questions(&asked, 9);
    let (mut found, mut right) = (0, 0);
    let each = &mut |index: u32, row: &Row| {
        found += 1;
        right += u32::from(asked[index as usize].opened == row.opened);
    };
    segment.join(&questions, each).unwrap();
    assert_eq!((found, right), (1_000_000, 1_000_000));
    // What it was asked for is all over the memory: looking there would be half of the time.
    for _ in 0..3 {
        let (mut found, mut sum) = (0, 0);
        let begin = Computed::begin();
        let each = &mut |_, row: &Row| {
            found += 1;
            sum += row.opened.0 ^ u64::from(row.subscriber.0);
        };
        segment.join(&questions, each).unwrap();
        let rate = begin.rate(asked.len());
        println!("  {:>24} {rate}", "join, sorted, with records");
        assert_eq!(found, asked.len());
        black_box(sum);
    }
    for _ in 0..3 {
        let mut unsorted = shuffled(&questions);
        let begin = Computed::begin();
        let found = batch(segment, &mut unsorted);
        println!("  {:>24} {}", "a million of a day", begin.rate(found));
        assert_eq!(found, asked.len());
    }
}

/// In the order of their times, in which a server logs them.
fn shuffled(questions: &[Question]) -> Vec<Question> {
    let mut questions = questions.to_vec();
    questions.sort_unstable_by_key(|question| question.span.from);
    questions
}

/// All that a batch costs: sorted, answered, and each answer's subscriber looked up; returns how
/// many there are.
fn batch(segment: &Segment, questions: &mut [Question]) -> usize {
    Question::sort(questions);
    let mut found = Vec::with_capacity(questions.len());
    let each = &mut |_, holder: &Holder| found.push(holder.subscriber);
    segment.join_holders(questions, each).unwrap();
    let subscribers = segment.all_subscribers().unwrap();
    for &number in &found {
        black_box(subscribers.internal(number).unwrap());
    }
    found.len()
}

fn join_days(dirs: &[PathBuf], truth: &[Row], key: Option<&Key>) {
    let per_day = 1_000_000 / dirs.len();
    let days: Vec<(Segment, Vec<Question>)> = dirs
        .iter()
        .zip(truth.chunks(1_000_000))
        .map(|(dir, rows)| {
            let segment = open(dir, key, Cache::DEFAULT_BYTES);
            (segment, questions(&rows[..per_day], 10))
        })
        .collect();
    for _ in 0..3 {
        let mut unsorted: Vec<_> = days.iter().map(|(_, asked)| shuffled(asked)).collect();
        let begin = Computed::begin();
        let asked = days.iter().zip(&mut unsorted);
        let found: usize = asked
            .map(|((segment, _), asked)| batch(segment, asked))
            .sum();
        let name = format!("a million of {} days", dirs.len());
        println!("  {name:>24} {}", begin.rate(found));
        assert_eq!(found, per_day * dirs.len());
    }
}
