//! Segments for tests: made-up rows, and a plain list to hold the answers against.

// Each test takes what it needs of it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::{net::Ipv4Addr, path::Path, sync::Arc};

use portledger_model::{
    Allocation, Block, Device, External, Internal, PortRange, Realm, RecordNumber, Span,
    Subscriber, Timestamp, Transport,
};
use portledger_segments::{
    Cache, DeviceNumber, Dictionary, Key, LocalFile, Resolution, Row, Segment, SegmentWriter,
    SubscriberNumber, Summary,
};

/// A number that looks random and is the same each time (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let n = self.0;
        let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (n ^ n >> 31) % end
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// How many seconds the rows are spread over.
pub const SECONDS: u64 = 10_000;
pub const SUBSCRIBERS: u64 = 2_000;

pub fn dictionary() -> Dictionary {
    let realms = ["default", "vrf-7"].map(|name| Realm::new(name).unwrap());
    let subscribers = (0..SUBSCRIBERS).map(|n| {
        let realm = realms[(n % 2) as usize].clone();
        let internal = match n % 15 {
            0 => format!("2001:db8:{n:x}::1").parse().unwrap(),
            5 => format!("2001:db8:{n:x}::/48").parse().unwrap(),
            10 => format!("softwire 2001:db8:{n:x}::1").parse().unwrap(),
            _ => Internal::Address(Ipv4Addr::from_bits(0x6440_0000 + n as u32 * 77)),
        };
        Subscriber::of(realm, internal)
    });
    let devices = ["cgn1", "cgn2", "cgn-west.3"].map(|name| Device::new(name).unwrap());
    Dictionary::new(subscribers, devices).unwrap()
}

/// Rows of blocks of all sizes, some open, some for one transport, few addresses so that pages
/// hold one address as well as many.
pub fn rows(count: usize, addresses: u64, seed: u64) -> Vec<Row> {
    let mut random = Random(seed);
    let mut rows: Vec<Row> = (0..count)
        .map(|n| {
            let size = match random.below(100) {
                0 => random.below(65_536),
                1..=4 => 0,
                5..=9 => random.below(5_000),
                _ => 255,
            };
            let first = match size {
                255 => 1_024 + random.below(252) * 256,
                size => random.below(65_536 - size),
            };
            let from = random.below(SECONDS * 1_000);
            let held = match random.below(20) {
                0 => 0,
                1 => 1,
                _ => random.below(1_000_000),
            };
            let to = (!random.one_in(15)).then(|| time(from + held));
            Row {
                external: Ipv4Addr::from_bits(0xc612_0000 + random.below(addresses) as u32),
                ports: PortRange::new(first as u16, (first + size) as u16).unwrap(),
                transport: match random.below(30) {
                    0 => Some(Transport::Tcp),
                    1 => Some(Transport::Udp),
                    2 => Some(Transport::Icmp),
                    _ => None,
                },
                from: time(from),
                to,
                subscriber: SubscriberNumber(random.below(SUBSCRIBERS) as u32),
                device: DeviceNumber(random.below(3) as u16),
                concluded: n % 7 == 0,
                opened: RecordNumber(n as u64 * 3 + random.below(3)),
            }
        })
        .collect();
    rows.sort_by_key(Row::order);
    rows
}

pub fn time(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_793_509_200_000 + millis as i64)
}

pub fn write(dir: &Path, rows: &[Row], key: Option<&Key>) -> Summary {
    let dictionary = dictionary();
    let mut writer = SegmentWriter::new(dir, &dictionary, Resolution::Millis, key).unwrap();
    for row in rows {
        writer.push(*row).unwrap();
    }
    writer.finish().unwrap()
}

pub fn open(dir: &Path, key: Option<&Key>) -> Segment {
    try_open(dir, key).unwrap()
}

pub fn try_open(dir: &Path, key: Option<&Key>) -> Result<Segment, portledger_segments::Error> {
    let dir = dir.to_owned();
    let files = move |name: &str| Ok(Box::new(LocalFile::open(&dir.join(name))?) as Box<_>);
    Segment::open(files, key.cloned(), Arc::new(Cache::new(4 << 20)))
}

pub fn allocation(row: &Row, dictionary: &Dictionary) -> Allocation {
    Allocation {
        block: block(row, dictionary),
        from: row.from,
        to: row.to,
        device: dictionary.device(row.device).unwrap().clone(),
        record: row.opened,
        by_rule: None,
    }
}

fn block(row: &Row, dictionary: &Dictionary) -> Block {
    Block {
        subscriber: dictionary.subscriber(row.subscriber).unwrap().clone(),
        external: row.external,
        ports: row.ports,
        transport: row.transport,
    }
}

/// What a list of all rows answers.
pub fn expected(
    rows: &[Row],
    dictionary: &Dictionary,
    asked: External,
    span: Span,
) -> Vec<Allocation> {
    let mut found: Vec<_> = rows
        .iter()
        .filter(|row| row.external == asked.address && row.span().overlaps(span))
        .map(|row| allocation(row, dictionary))
        .filter(|held| held.block.covers(asked.port, asked.transport))
        .collect();
    found.sort_by_key(key);
    found
}

/// An order of allocations that leaves nothing open.
pub fn key(held: &Allocation) -> (Timestamp, u64) {
    (held.from, held.record.0)
}

/// A question that often has an answer.
pub fn question(random: &mut Random, addresses: u64) -> (External, Span) {
    let asked = External {
        address: Ipv4Addr::from_bits(0xc612_0000 + random.below(addresses + 1) as u32),
        port: (!random.one_in(6)).then(|| random.below(65_536) as u16),
        transport: random
            .one_in(4)
            .then(|| Transport::ALL[random.below(3) as usize]),
    };
    let from = random.below(SECONDS * 1_100);
    let length = match random.below(3) {
        0 => 1,
        1 => 2_000,
        _ => random.below(1_000_000),
    };
    (asked, Span::new(time(from), time(from + length)))
}
