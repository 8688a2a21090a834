//! The engine in each of its modes, on one core, in batches: nanoseconds a packet over established
//! TCP, and for a new mapping. `cargo bench -p portledger-nat --bench stateful` prints a table;
//! arguments: the numbers of mappings.
//!
//! All modes have their turn in each round, so that what a machine does besides is the same for
//! all: the ratio to NAT44 is what can be compared.
#![expect(clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss)]

#[path = "../support/mod.rs"]
mod support;

use std::hint::black_box;

use portledger_model::Timestamp;
use portledger_nat::{
    Aftr, AftrConfig, Config, HEADROOM, Limits, Nat, Nat64, Nat64Config, Output, Packet, Side,
    Slot, Verdict, translate::Prefix,
};
use portledger_ports::{Config as PortsConfig, Pool};
use support::{Draw, processor_time, segment, tcp};

/// Mappings of one subscriber, in one block of 256.
const PER_SUBSCRIBER: u32 = 100;
const BATCH: usize = 256;
/// Packets of a side and a mode; the environment variable PACKETS asks for another number.
const PACKETS: usize = 10_000_000;
const ROUNDS: usize = 5;
const SERVER: u32 = 0xC633_6401; // 198.51.100.1
const INSIDE: u32 = 0x6440_0000; // 100.64.0.0
/// 2001:db8:<subscriber>::1, a /56 each.
const SITES: u128 = 0x2001_0db8 << 96;
const AFTR: u128 = 0x2001_0db8_ffff_ffff << 64 | 1;
/// 2001:db8:ffff:fffe::/96.
const PREFIX: u128 = 0x2001_0db8_ffff_fffe << 64;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

fn main() {
    let given: Vec<u32> = std::env::args()
        .filter_map(|text| text.parse().ok())
        .collect();
    let sizes = if given.is_empty() {
        vec![1_000, 100_000, 1_000_000]
    } else {
        given
    };
    println!(
        "{:>10} {:>8} {:>9} {:>9} {:>7} {:>7}",
        "mappings", "mode", "out ns", "in ns", "ratio", "new ns"
    );
    for mappings in sizes {
        measure(mappings);
    }
}

fn measure(mappings: u32) {
    let mut benches = [Mode::Nat44, Mode::Aftr, Mode::Nat64].map(|mode| Bench::new(mode, mappings));
    let new = benches.each_mut().map(|bench| {
        let started = processor_time();
        bench.open_all();
        let new = (processor_time() - started) / f64::from(mappings) * 1e9;
        bench.establish();
        new
    });
    let rounds: Vec<[[f64; 2]; 3]> = (0..ROUNDS)
        .map(|_| {
            benches
                .each_mut()
                .map(|bench| [Side::Inside, Side::Outside].map(|side| bench.time(side)))
        })
        .collect();
    let median = |mode: usize, side: usize| {
        let mut times: Vec<f64> = rounds.iter().map(|round| round[mode][side]).collect();
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    };
    let least = median(0, 0) + median(0, 1);
    for (number, bench) in benches.iter().enumerate() {
        let (outbound, inbound) = (median(number, 0), median(number, 1));
        println!(
            "{mappings:>10} {:>8} {outbound:>9.1} {inbound:>9.1} {:>7.2} {:>7.0}",
            bench.mode.name(),
            (outbound + inbound) / least,
            new[number],
        );
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Nat44,
    Aftr,
    Nat64,
}

impl Mode {
    const fn name(self) -> &'static str {
        match self {
            Self::Nat44 => "NAT44",
            Self::Aftr => "AFTR",
            Self::Nat64 => "NAT64",
        }
    }
}

enum Engine {
    Nat44(Box<Nat>),
    Aftr(Box<Aftr>),
    Nat64(Box<Nat64>),
}

/// Room for an IPv6 header before a packet, and a packet with one.
type Buffer = [u8; HEADROOM + 112];

struct Bench {
    mode: Mode,
    engine: Engine,
    mappings: u32,
    /// The external endpoint of each mapping: address, port.
    external: Vec<(u32, u16)>,
    buffers: Vec<Buffer>,
    output: Output,
    draw: Draw,
    packets: usize,
}

impl Bench {
    fn new(mode: Mode, mappings: u32) -> Self {
        // Twice the addresses that the blocks need: 252 blocks each.
        let subscribers = mappings.div_ceil(PER_SUBSCRIBER);
        let addresses = (subscribers / 126 + 2).min(1 << 16);
        let last = std::net::Ipv4Addr::from_bits(0xCB00_0000 + addresses - 1);
        let ports = PortsConfig::new(Pool::parse(&[format!("203.0.0.0-{last}")]).unwrap());
        let limits = Limits {
            mappings,
            sessions: 1_024,
            ..Limits::default()
        };
        let sites = ["2001:db8::/32".parse().unwrap()];
        let engine = match mode {
            Mode::Nat44 => {
                let mut config = Config::new(ports, &["100.64.0.0/10".parse().unwrap()]);
                config.limits = limits;
                Engine::Nat44(Box::new(Nat::new(config, [9; 32]).unwrap()))
            }
            Mode::Aftr => {
                let mut config = AftrConfig::new(ports, AFTR.to_be_bytes().into(), &sites);
                config.nat.limits = limits;
                Engine::Aftr(Box::new(Aftr::new(config, [9; 32]).unwrap()))
            }
            Mode::Nat64 => {
                let prefix = Prefix::new(PREFIX.to_be_bytes().into(), 96).unwrap();
                let own = AFTR.to_be_bytes().into();
                let mut config = Nat64Config::new(ports, prefix, &sites, own);
                config.nat.limits = limits;
                Engine::Nat64(Box::new(Nat64::new(config, [9; 32]).unwrap()))
            }
        };
        Self {
            mode,
            engine,
            mappings,
            external: vec![(0, 0); mappings as usize],
            buffers: vec![[0; HEADROOM + 112]; BATCH],
            output: Output::default(),
            draw: Draw::new(mappings),
            packets: std::env::var("PACKETS")
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(PACKETS),
        }
    }

    /// A SYN from each internal endpoint.
    fn open_all(&mut self) {
        let mut next = 0;
        while next < self.mappings {
            let count = BATCH.min((self.mappings - next) as usize);
            for (buffer, flow) in self.buffers.iter_mut().zip(next..) {
                outbound(self.mode, buffer, flow, SYN);
            }
            self.run(Side::Inside, count);
            // What was an IPv6 header and is none any more lies before the packet.
            let start = HEADROOM
                + match self.mode {
                    Mode::Nat44 => 0,
                    Mode::Aftr => 40,
                    Mode::Nat64 => 20,
                };
            for (buffer, flow) in self.buffers[..count].iter().zip(next..) {
                let packet = &buffer[start..];
                let address = u32::from_be_bytes(packet[12..16].try_into().unwrap());
                let port = u16::from_be_bytes(packet[20..22].try_into().unwrap());
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

    /// Nanoseconds a packet, less what making the packets takes.
    fn time(&mut self, from: Side) -> f64 {
        let making = self.pass(from, false);
        let all = self.pass(from, true);
        (all - making) * 1e9 / (self.packets / ROUNDS) as f64
    }

    fn pass(&mut self, from: Side, translate: bool) -> f64 {
        let started = processor_time();
        for _ in 0..self.packets / ROUNDS / BATCH {
            for at in 0..BATCH {
                let flow = self.draw.next();
                match from {
                    Side::Inside => outbound(self.mode, &mut self.buffers[at], flow, ACK),
                    Side::Outside => {
                        inbound(&mut self.buffers[at], self.external[flow as usize], ACK);
                    }
                }
            }
            if translate {
                self.run(from, BATCH);
            }
            black_box(&self.buffers);
        }
        processor_time() - started
    }

    /// Brings the first `count` packets.
    fn run(&mut self, from: Side, count: usize) {
        let now = Timestamp::from_secs(1_000);
        let length = match (from, self.mode) {
            (Side::Outside, _) | (_, Mode::Nat44) => 60,
            (_, Mode::Aftr) => 100,
            (_, Mode::Nat64) => 80,
        };
        let range = HEADROOM..HEADROOM + length;
        let buffers = &mut self.buffers[..count];
        let output = &mut self.output;
        match &mut self.engine {
            Engine::Nat44(nat) => {
                let mut packets: Vec<Packet<'_>> = buffers
                    .iter_mut()
                    .map(|buffer| Packet::new(&mut buffer[range.clone()]))
                    .collect();
                nat.batch(now, from, &mut packets, output);
                check(packets.iter().map(|packet| packet.verdict));
            }
            Engine::Aftr(aftr) => {
                let mut slots = slots(buffers, &range);
                aftr.batch(now, from, &mut slots, output);
                check(slots.iter().map(|slot| slot.verdict));
            }
            Engine::Nat64(nat64) => {
                let mut slots = slots(buffers, &range);
                nat64.batch(now, from, &mut slots, output);
                check(slots.iter().map(|slot| slot.verdict));
            }
        }
        // The ledger of a bench is always durable at once.
        if let Some(told) = self.output.events.last() {
            match &mut self.engine {
                Engine::Nat44(nat) => nat.durable(told.number),
                Engine::Aftr(aftr) => aftr.durable(told.number),
                Engine::Nat64(nat64) => nat64.durable(told.number),
            }
        }
        self.output.events.clear();
    }
}

fn slots<'a>(buffers: &'a mut [Buffer], range: &std::ops::Range<usize>) -> Vec<Slot<'a>> {
    buffers
        .iter_mut()
        .map(|buffer| Slot::new(buffer, range.clone()))
        .collect()
}

fn check(verdicts: impl Iterator<Item = Verdict>) {
    for verdict in verdicts {
        assert!(matches!(verdict, Verdict::Forward { .. }), "{verdict:?}");
    }
}

fn outbound(mode: Mode, buffer: &mut Buffer, flow: u32, flags: u8) {
    let subscriber = flow / PER_SUBSCRIBER;
    let port = 10_000 + (flow % PER_SUBSCRIBER) as u16;
    let site = (SITES | u128::from(subscriber) << 72 | 1).to_be_bytes();
    let packet = &mut buffer[HEADROOM..];
    match mode {
        Mode::Nat44 => segment(packet, INSIDE + subscriber, SERVER, port, 443, flags),
        Mode::Aftr => {
            header(packet, 4, 60, site, AFTR.to_be_bytes());
            // 192.168.0.2, behind each of them.
            segment(&mut packet[40..], 0xC0A8_0002, SERVER, port, 443, flags);
        }
        Mode::Nat64 => {
            let server = (PREFIX | u128::from(SERVER)).to_be_bytes();
            header(packet, 6, 40, site, server);
            tcp(&mut packet[40..], port, 443, flags);
        }
    }
}

fn inbound(buffer: &mut Buffer, (address, port): (u32, u16), flags: u8) {
    segment(&mut buffer[HEADROOM..], SERVER, address, 443, port, flags);
}

fn header(packet: &mut [u8], next: u8, length: u8, source: [u8; 16], destination: [u8; 16]) {
    packet[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, length, next, 64]);
    packet[8..24].copy_from_slice(&source);
    packet[24..40].copy_from_slice(&destination);
}
