//! How many sightings a second are traced, over evidence in memory that costs next to nothing to
//! ask, so that what is measured is this crate. Prints a table.
//!
//! `cargo bench -p portledger-trace [-- SIGHTINGS]`, one million by default.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    convert::Infallible,
    env,
    hint::black_box,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use portledger_model::{
    Allocation, Block, Coverage, Destination, Device, Evidence, External, Moment, Nearest,
    PortRange, Realm, RecordNumber, Sighting, Source, Span, Subscriber, Timestamp, Transport, Zone,
};
use portledger_trace::{CHUNK, DriftSearch, Offset, Options, Outcome, Survey, trace, trace_all};

const ADDRESSES: u32 = 256;
/// Blocks of 256 ports from 1024 on, on one address.
const BLOCKS: u32 = 252;
/// Each block is held this long by one after the other, and rests in between.
const ROUNDS: i64 = 10;
const HELD: i64 = 3_600;
const RESTS: i64 = 120;
const BEGIN: i64 = 1_790_000_000;

fn main() {
    let count = env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(1_000_000);
    let ledger = Ledger::new();
    let options = Options {
        within: Duration::from_secs(2),
        asked_at: Timestamp::from_secs(BEGIN + ROUNDS * (HELD + RESTS) + 86_400),
        shifts: None,
    };
    println!("{count} sightings with a port, sightings/s:");
    for (name, each) in [("all different", 1), ("each 8 times", 8)] {
        let sightings: Vec<_> = (0..count).map(|n| sighting(n / each)).collect();
        let began = Instant::now();
        for sighting in &sightings {
            black_box(trace(&ledger, sighting, options).unwrap());
        }
        tell(name, "one by one", count, began);
        let began = Instant::now();
        let named = trace_all(&ledger, sightings, options)
            .filter(|outcome| matches!(outcome, Ok(Outcome::Answered(_))))
            .count();
        black_box(named);
        tell(name, "in batches", count, began);
    }
    println!("and how far their clock was off:");
    let sightings: Vec<_> = (0..count).map(sighting).collect();
    let began = Instant::now();
    let mut survey = Survey::new(Offset::RANGE, options.asked_at);
    for chunk in sightings.chunks(CHUNK) {
        survey.add(&ledger, chunk).unwrap();
    }
    black_box(survey.offset());
    tell("one offset", "in chunks", count, began);
    let began = Instant::now();
    let mut search = DriftSearch::new(&survey);
    println!("  search begun in {:.1} s", began.elapsed().as_secs_f64());
    for chunk in sightings.chunks(CHUNK) {
        search.add(&ledger, chunk).unwrap();
    }
    println!("  {}", search.drift());
    tell("a drift", "in chunks", count, began);
}

fn tell(name: &str, way: &str, count: u64, began: Instant) {
    let rate = count as f64 / began.elapsed().as_secs_f64();
    println!("  {name:<14} {way:<11} {rate:>10.0}");
}

/// A number that looks random and is the same each time (SplitMix64's finaliser).
fn scramble(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0xcb00_7100 + number)
}

fn sighting(n: u64) -> Sighting {
    let random = scramble(n);
    let part = |shift: u32, below: u64| (random >> shift & 0xffff) % below;
    let port = u16::try_from(1_024 + part(16, u64::from(BLOCKS) * 256)).unwrap();
    // In order of time, as a log is.
    let at = i64::try_from(n % 1_000_000).unwrap() * ROUNDS * (HELD + RESTS) / 1_000_000;
    Sighting {
        source: Source {
            file: "/var/log/nginx/access.log".into(),
            line: n,
        },
        address: address(u32::try_from(part(0, u64::from(ADDRESSES))).unwrap()).into(),
        port: Some(port),
        transport: Some(Transport::Tcp),
        destination: Destination::default(),
        at: Some(Timestamp::from_secs(BEGIN + at)),
        or_at: None,
        resolution: Duration::from_secs(1),
        zone: Zone::Offset,
        moment: Moment::RequestEnd,
        lasted: None,
    }
}

/// Every block of every address, one holder after the other.
struct Ledger(Vec<Vec<Allocation>>);

impl Ledger {
    fn new() -> Self {
        let device = Device::new("cgn1").unwrap();
        let realm = Realm::default();
        let blocks = (0..ADDRESSES * BLOCKS).map(|place| {
            let first = u16::try_from(1_024 + place % BLOCKS * 256).unwrap();
            let rounds = (0..ROUNDS).map(|round| {
                let internal =
                    0x6440_0000 | scramble(u64::from(place) << 8 | round as u64) as u32 >> 12;
                let from = BEGIN + round * (HELD + RESTS);
                Allocation {
                    block: Block {
                        subscriber: Subscriber::new(realm.clone(), Ipv4Addr::from(internal).into()),
                        external: address(place / BLOCKS),
                        ports: PortRange::new(first, first + 255).unwrap(),
                        transport: None,
                    },
                    from: Timestamp::from_secs(from),
                    to: Some(Timestamp::from_secs(from + HELD)),
                    device: device.clone(),
                    record: RecordNumber(u64::from(place)),
                    by_rule: None,
                }
            });
            rounds.collect()
        });
        Self(blocks.collect())
    }

    fn block(&self, external: External) -> &[Allocation] {
        let address = u32::from(external.address) - u32::from(address(0));
        let block = (u32::from(external.port.unwrap()) - 1_024) / 256;
        &self.0[(address * BLOCKS + block) as usize]
    }
}

impl Evidence for Ledger {
    type Error = Infallible;

    fn holders(&self, external: External, span: Span) -> Result<Vec<Allocation>, Infallible> {
        let held = self.block(external).iter();
        Ok(held.filter(|a| a.span().overlaps(span)).cloned().collect())
    }

    fn nearest(&self, external: External, at: Timestamp) -> Result<Nearest, Infallible> {
        let held = self.block(external);
        let ended = held.partition_point(|a| a.span().to <= at);
        let begun = held.partition_point(|a| a.from <= at);
        Ok(Nearest {
            before: ended
                .checked_sub(1)
                .and_then(|last| held.get(last))
                .cloned(),
            after: held.get(begun).cloned(),
        })
    }

    fn coverage(&self, _: External, _: Span, _: Timestamp) -> Result<Coverage, Infallible> {
        Ok(Coverage {
            gaps: Vec::new(),
            clock_error: Duration::from_millis(100),
        })
    }
}
