//! The engine alone, on one core, in batches: packets a second over established TCP, new mappings
//! a second, and memory a mapping. `cargo bench -p portledger-nat` prints a table; the figures
//! and how they were taken are in docs/performance.md. Arguments: the numbers of mappings.
//!
//! Machines differ and are shared, so each figure stands beside that of a bare table doing the
//! least that any NAT does, in the same rounds: the ratio is what can be compared.
#![expect(clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss)]

mod bare;
#[path = "../support/mod.rs"]
mod support;

use std::hint::black_box;

use bare::Bare;
use portledger_model::Timestamp;
use portledger_nat::{Config, Limits, Nat, Output, Packet, Side, Verdict};
use portledger_ports::{Config as PortsConfig, Pool};
use support::{Draw, processor_time, segment};

/// Mappings of one subscriber, in one block of 256.
const PER_SUBSCRIBER: u32 = 100;
const BATCH: usize = 256;
/// Packets of a side; the environment variable PACKETS asks for another number.
const PACKETS: usize = 20_000_000;
const SERVER: u32 = 0xC633_6401; // 198.51.100.1
const INSIDE: u32 = 0x6440_0000; // 100.64.0.0
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

fn main() {
    let given: Vec<u32> = std::env::args()
        .filter_map(|text| text.parse().ok())
        .collect();
    let sizes = if given.is_empty() {
        vec![1_000, 100_000, 1_000_000, 10_000_000]
    } else {
        given
    };
    println!(
        "{:>10} {:>9} {:>9} {:>9} {:>7} {:>10} {:>9} {:>7} {:>6}",
        "mappings",
        "out ns",
        "in ns",
        "bare ns",
        "ratio",
        "both Mpps",
        "bare Mpps",
        "new ns",
        "bytes"
    );
    for mappings in sizes {
        measure(mappings);
    }
}

fn measure(mappings: u32) {
    let before = resident();
    let mut bench = Bench::new(mappings);
    let started = processor_time();
    bench.open_all();
    let new = (processor_time() - started) / f64::from(mappings);
    // The bench's own table of external endpoints is not the engine's memory.
    let bytes = (resident() - before) as f64 / f64::from(mappings) - 8.0;
    bench.establish();
    let [outbound, inbound, bare] = bench.time();
    let both = (outbound + inbound) / 2.0;
    println!(
        "{mappings:>10} {outbound:>9.1} {inbound:>9.1} {bare:>9.1} {:>7.2} {:>10.1} {:>9.1} {:>7.0} {bytes:>6.0}",
        both / bare,
        1e3 / both,
        1e3 / bare,
        new * 1e9,
    );
}

struct Bench {
    nat: Nat,
    mappings: u32,
    /// The external endpoint of each mapping: address, port.
    external: Vec<(u32, u16)>,
    buffers: Vec<[u8; 60]>,
    output: Output,
    draw: Draw,
    packets: usize,
    bare: Option<Bare>,
}

/// What a pass does with its packets.
#[derive(Clone, Copy)]
enum Work {
    Nothing,
    Engine,
    Bare,
}

const ROUNDS: usize = 5;

impl Bench {
    fn new(mappings: u32) -> Self {
        // Twice the addresses that the blocks need: 252 blocks each.
        let subscribers = mappings.div_ceil(PER_SUBSCRIBER);
        let addresses = (subscribers / 126 + 2).min(1 << 16);
        let last = std::net::Ipv4Addr::from_bits(0xCB00_0000 + addresses - 1);
        let pool = Pool::parse(&[format!("203.0.0.0-{last}")]).unwrap();
        let mut config = Config::new(PortsConfig::new(pool), &["100.64.0.0/10".parse().unwrap()]);
        config.limits = Limits {
            mappings,
            sessions: 1_024,
            ..Limits::default()
        };
        Self {
            nat: Nat::new(config, [9; 32]).unwrap(),
            mappings,
            external: vec![(0, 0); mappings as usize],
            buffers: vec![[0; 60]; BATCH],
            output: Output::default(),
            draw: Draw::new(mappings),
            packets: std::env::var("PACKETS")
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(PACKETS),
            bare: None,
        }
    }

    /// A SYN from each internal endpoint.
    fn open_all(&mut self) {
        let mut next = 0;
        while next < self.mappings {
            let count = BATCH.min((self.mappings - next) as usize);
            for (buffer, flow) in self.buffers.iter_mut().zip(next..) {
                outbound(buffer, flow, SYN);
            }
            self.run(Side::Inside, count);
            for (buffer, flow) in self.buffers[..count].iter().zip(next..) {
                let address = u32::from_be_bytes(buffer[12..16].try_into().unwrap());
                let port = u16::from_be_bytes(buffer[20..22].try_into().unwrap());
                self.external[flow as usize] = (address, port);
            }
            next += u32::try_from(count).unwrap();
        }
    }

    /// The SYN-ACK to each.
    fn establish(&mut self) {
        for first in (0..self.mappings).step_by(BATCH) {
            let count = BATCH.min((self.mappings - first) as usize);
            for (buffer, flow) in self.buffers.iter_mut().zip(first..self.mappings) {
                inbound(buffer, self.external[flow as usize], SYN | ACK);
            }
            self.run(Side::Outside, count);
        }
    }

    /// Nanoseconds a packet outbound, inbound and for the bare table, less what making the packets
    /// takes: medians of rounds in which each has its turn.
    fn time(&mut self) -> [f64; 3] {
        let mut bare = Bare::new(self.mappings);
        for flow in 0..self.mappings {
            let mut packet = [0; 60];
            outbound(&mut packet, flow, ACK);
            bare.open(&packet);
        }
        self.bare = Some(bare);
        let rounds: Vec<[f64; 3]> = (0..ROUNDS)
            .map(|_| {
                let making =
                    [Side::Inside, Side::Outside].map(|side| self.pass(side, Work::Nothing));
                [
                    self.pass(Side::Inside, Work::Engine) - making[0],
                    self.pass(Side::Outside, Work::Engine) - making[1],
                    self.pass(Side::Inside, Work::Bare) - making[0],
                ]
            })
            .collect();
        [0, 1, 2].map(|which| {
            let mut times: Vec<f64> = rounds.iter().map(|round| round[which]).collect();
            times.sort_by(f64::total_cmp);
            times[ROUNDS / 2] * 1e9 / (self.packets / ROUNDS) as f64
        })
    }

    fn pass(&mut self, from: Side, work: Work) -> f64 {
        let started = processor_time();
        for _ in 0..self.packets / ROUNDS / BATCH {
            for at in 0..BATCH {
                let flow = self.draw.next();
                match from {
                    Side::Inside => outbound(&mut self.buffers[at], flow, ACK),
                    Side::Outside => {
                        inbound(&mut self.buffers[at], self.external[flow as usize], ACK);
                    }
                }
            }
            match work {
                Work::Nothing => {}
                Work::Engine => self.run(from, BATCH),
                Work::Bare => {
                    if let Some(bare) = &mut self.bare {
                        bare.batch(&mut self.buffers);
                    }
                }
            }
            black_box(&self.buffers);
        }
        processor_time() - started
    }

    fn run(&mut self, from: Side, count: usize) {
        let mut packets: Vec<Packet<'_>> = self.buffers[..count]
            .iter_mut()
            .map(|buffer| Packet::new(buffer))
            .collect();
        self.nat.batch(
            Timestamp::from_secs(1_000),
            from,
            &mut packets,
            &mut self.output,
        );
        let all = packets
            .iter()
            .all(|packet| matches!(packet.verdict, Verdict::Forward { .. }));
        assert!(
            all,
            "{:?}",
            packets
                .iter()
                .map(|packet| packet.verdict)
                .collect::<Vec<_>>()
        );
        // The ledger of a bench is always durable at once.
        if let Some(told) = self.output.events.last() {
            self.nat.durable(told.number);
        }
        self.output.events.clear();
    }
}

fn outbound(packet: &mut [u8; 60], flow: u32, flags: u8) {
    let source = INSIDE + flow / PER_SUBSCRIBER;
    let port = 10_000 + (flow % PER_SUBSCRIBER) as u16;
    segment(packet, source, SERVER, port, 443, flags);
}

fn inbound(packet: &mut [u8; 60], (address, port): (u32, u16), flags: u8) {
    segment(packet, SERVER, address, 443, port, flags);
}

/// Bytes of memory that the system has given to this process.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: i64 = status
        .split(' ')
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    pages * 4_096
}
