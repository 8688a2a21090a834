//! The border relays, on one core, in batches: nanoseconds a packet, beside NAT44's over established
//! TCP. `cargo bench -p portledger-nat --bench relay` prints a table; arguments: the numbers of
//! customers, who are also NAT44's mappings.
//!
//! All have their turn in each round, so that what a machine does besides is the same for all: the
//! ratio to NAT44 is what can be compared.
#![expect(clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss)]

#[path = "../support/mod.rs"]
mod support;

use std::{hint::black_box, net::Ipv4Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use portledger_model::{MapRule, PortParameters, PortSet, SoftwireBinding, Timestamp};
use portledger_nat::{
    Config, HEADROOM, Limits, Nat, Output, Packet, Relay, RelayConfig, Side, Slot, Verdict,
    translate::Prefix,
};
use portledger_ports::{Config as PortsConfig, Pool};
use support::{Draw, processor_time, segment, tcp};

const BATCH: usize = 256;
/// Packets of a side and a mode; the environment variable PACKETS asks for another number.
const PACKETS: usize = 10_000_000;
const ROUNDS: usize = 5;
/// 256 customers on an address: the RFC's own example.
const PSID_BITS: u8 = 8;
const OFFSET: u8 = 6;
const SERVER: u32 = 0xC633_6401; // 198.51.100.1
const POOL: u32 = 0x0B00_0000; // 11.0.0.0
const INSIDE: u32 = 0x6440_0000; // 100.64.0.0
const PER_SUBSCRIBER: u32 = 100;
/// 2001:db8::/32, and a relay outside it.
const SITES: u128 = 0x2001_0db8 << 96;
const RELAY: u128 = 0x2001_0db9 << 96 | 1;
/// 2001:dba::/64.
const INTERNET: u128 = 0x2001_0dba << 96;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

fn main() {
    let given: Vec<u32> = std::env::args()
        .filter_map(|text| text.parse().ok())
        .collect();
    let sizes = if given.is_empty() {
        vec![1_024, 131_072, 1_048_576]
    } else {
        given
    };
    println!(
        "{:>10} {:>8} {:>9} {:>9} {:>7}",
        "customers", "mode", "out ns", "in ns", "ratio"
    );
    for customers in sizes {
        measure(customers.next_multiple_of(1 << PSID_BITS));
    }
}

fn measure(customers: u32) {
    let names = ["NAT44", "MAP-E", "MAP-T", "lw4o6"];
    let rule = rule(customers);
    let mut nat = Nat44::new(customers);
    let mut relays = [
        RelayConfig::map_e(vec![rule], RELAY.into()),
        RelayConfig::map_t(vec![rule], internet(), RELAY.into()),
        RelayConfig::lw4o6(bindings(&rule, customers), RELAY.into()),
    ]
    .map(|config| RelayBench::new(config, &rule, customers));
    let rounds: Vec<Vec<[f64; 2]>> = (0..ROUNDS)
        .map(|_| {
            let sides = [Side::Inside, Side::Outside];
            let mut round = vec![sides.map(|side| nat.time(side))];
            round.extend(
                relays
                    .iter_mut()
                    .map(|relay| sides.map(|side| relay.time(side))),
            );
            round
        })
        .collect();
    let median = |mode: usize, side: usize| {
        let mut times: Vec<f64> = rounds.iter().map(|round| round[mode][side]).collect();
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    };
    let least = median(0, 0) + median(0, 1);
    for (mode, name) in names.iter().enumerate() {
        let (outbound, inbound) = (median(mode, 0), median(mode, 1));
        println!(
            "{customers:>10} {name:>8} {outbound:>9.1} {inbound:>9.1} {:>7.2}",
            (outbound + inbound) / least
        );
    }
}

/// A rule for so many customers, 256 on an address.
fn rule(customers: u32) -> MapRule {
    let suffix = u8::try_from((customers >> PSID_BITS).next_power_of_two().ilog2()).unwrap();
    let ipv4 = Ipv4Net::new(POOL.into(), 32 - suffix).unwrap();
    let ipv6 = Ipv6Net::new(SITES.into(), 32).unwrap();
    MapRule::new(ipv6, ipv4, suffix + PSID_BITS, OFFSET).unwrap()
}

fn internet() -> Prefix {
    Prefix::new(INTERNET.into(), 64).unwrap()
}

/// The same, one by one.
fn bindings(rule: &MapRule, customers: u32) -> Vec<SoftwireBinding> {
    let parameters = PortParameters::new(OFFSET, PSID_BITS).unwrap();
    let one = |customer: Customer| SoftwireBinding {
        b4: customer.end.into(),
        ipv4: customer.address.into(),
        ports: PortSet::Psid(parameters, parameters.psid_of(customer.port).unwrap()),
    };
    (0..customers)
        .map(|number| one(Customer::new(rule, number)))
        .collect()
}

#[derive(Clone, Copy)]
struct Customer {
    end: u128,
    address: u32,
    port: u16,
}

impl Customer {
    /// Customer number `number`, and one of its ports.
    fn new(rule: &MapRule, number: u32) -> Self {
        let address = POOL + (number >> PSID_BITS);
        let psid = (number & 0xFF) as u16;
        let edge = rule.of_psid(Ipv4Addr::from(address), psid).unwrap();
        let ranges = rule.parameters().ranges(psid);
        let port = ranges.last().unwrap().first();
        Self {
            end: edge.map_address().to_bits(),
            address,
            port,
        }
    }
}

struct RelayBench {
    relay: Relay,
    is_translated: bool,
    customers: Vec<Customer>,
    buffers: Vec<[u8; HEADROOM + 100]>,
    output: Output,
    draw: Draw,
}

impl RelayBench {
    fn new(config: RelayConfig, rule: &MapRule, customers: u32) -> Self {
        let is_translated = matches!(config.carriage, portledger_nat::Carriage::Translated { .. });
        Self {
            relay: Relay::new(config, [9; 32]).unwrap(),
            is_translated,
            customers: (0..customers)
                .map(|number| Customer::new(rule, number))
                .collect(),
            buffers: vec![[0; HEADROOM + 100]; BATCH],
            output: Output::default(),
            draw: Draw::new(customers),
        }
    }

    /// Nanoseconds a packet from this side, less what making it takes.
    fn time(&mut self, from: Side) -> f64 {
        let making = self.pass(from, false);
        (self.pass(from, true) - making) * 1e9 / packets() as f64
    }

    fn pass(&mut self, from: Side, carries: bool) -> f64 {
        let started = processor_time();
        for _ in 0..packets() / BATCH {
            let mut length = 0;
            for at in 0..BATCH {
                let customer = self.customers[self.draw.next() as usize];
                length = self.fill(at, from, customer);
            }
            if carries {
                self.run(from, length);
            }
            black_box(&self.buffers);
        }
        processor_time() - started
    }

    /// Makes a packet, and says how long it is.
    fn fill(&mut self, at: usize, from: Side, customer: Customer) -> usize {
        let packet = &mut self.buffers[at][HEADROOM..];
        let Customer { end, address, port } = customer;
        match (from, self.is_translated) {
            (Side::Outside, _) => {
                segment(&mut packet[..60], SERVER, address, 443, port, ACK);
                60
            }
            (Side::Inside, false) => {
                ipv6(packet, 60, 4, end, RELAY);
                segment(&mut packet[40..], address, SERVER, port, 443, ACK);
                100
            }
            (Side::Inside, true) => {
                let server = internet().embed(SERVER.into()).to_bits();
                ipv6(packet, 40, 6, end, server);
                tcp(&mut packet[40..80], port, 443, ACK);
                80
            }
        }
    }

    fn run(&mut self, from: Side, length: usize) {
        let mut slots: Vec<Slot<'_>> = self
            .buffers
            .iter_mut()
            .map(|buffer| Slot::new(buffer, HEADROOM..HEADROOM + length))
            .collect();
        let now = Timestamp::from_secs(1_000);
        self.relay.batch(now, from, &mut slots, &mut self.output);
        let verdicts = || slots.iter().map(|slot| slot.verdict);
        let all = verdicts().all(|verdict| matches!(verdict, Verdict::Forward { .. }));
        assert!(all, "{:?}", verdicts().collect::<Vec<_>>());
    }
}

/// NAT44 with as many mappings, 100 a subscriber.
struct Nat44 {
    nat: Nat,
    external: Vec<(u32, u16)>,
    buffers: Vec<[u8; 60]>,
    output: Output,
    draw: Draw,
}

impl Nat44 {
    fn new(mappings: u32) -> Self {
        let subscribers = mappings.div_ceil(PER_SUBSCRIBER);
        let addresses = (subscribers / 126 + 2).min(1 << 16);
        let last = Ipv4Addr::from_bits(0xCB00_0000 + addresses - 1);
        let pool = Pool::parse(&[format!("203.0.0.0-{last}")]).unwrap();
        let mut config = Config::new(PortsConfig::new(pool), &["100.64.0.0/10".parse().unwrap()]);
        config.limits = Limits {
            mappings,
            sessions: 1_024,
            ..Limits::default()
        };
        let mut bench = Self {
            nat: Nat::new(config, [9; 32]).unwrap(),
            external: vec![(0, 0); mappings as usize],
            buffers: vec![[0; 60]; BATCH],
            output: Output::default(),
            draw: Draw::new(mappings),
        };
        for side in [Side::Inside, Side::Outside] {
            for first in (0..mappings).step_by(BATCH) {
                bench.open(side, first, mappings);
            }
        }
        bench
    }

    /// A SYN from each internal endpoint, or the answer to it.
    fn open(&mut self, side: Side, first: u32, mappings: u32) {
        let count = BATCH.min((mappings - first) as usize);
        for (at, flow) in (first..mappings).take(count).enumerate() {
            let flags = if side == Side::Inside { SYN } else { SYN | ACK };
            self.fill(at, side, flow, flags);
        }
        self.run(side, count);
        if side == Side::Inside {
            for (buffer, flow) in self.buffers[..count].iter().zip(first..) {
                let address = u32::from_be_bytes(buffer[12..16].try_into().unwrap());
                let port = u16::from_be_bytes(buffer[20..22].try_into().unwrap());
                self.external[flow as usize] = (address, port);
            }
        }
    }

    fn fill(&mut self, at: usize, side: Side, flow: u32, flags: u8) {
        let packet = &mut self.buffers[at];
        match side {
            Side::Inside => {
                let source = INSIDE + flow / PER_SUBSCRIBER;
                let port = 10_000 + (flow % PER_SUBSCRIBER) as u16;
                segment(packet, source, SERVER, port, 443, flags);
            }
            Side::Outside => {
                let (address, port) = self.external[flow as usize];
                segment(packet, SERVER, address, 443, port, flags);
            }
        }
    }

    fn time(&mut self, side: Side) -> f64 {
        let making = self.pass(side, false);
        (self.pass(side, true) - making) * 1e9 / packets() as f64
    }

    fn pass(&mut self, side: Side, translates: bool) -> f64 {
        let started = processor_time();
        for _ in 0..packets() / BATCH {
            for at in 0..BATCH {
                let flow = self.draw.next();
                self.fill(at, side, flow, ACK);
            }
            if translates {
                self.run(side, BATCH);
            }
            black_box(&self.buffers);
        }
        processor_time() - started
    }

    fn run(&mut self, side: Side, count: usize) {
        let mut packets: Vec<Packet<'_>> = self.buffers[..count]
            .iter_mut()
            .map(|buffer| Packet::new(buffer))
            .collect();
        let now = Timestamp::from_secs(1_000);
        self.nat.batch(now, side, &mut packets, &mut self.output);
        let all = packets
            .iter()
            .all(|packet| matches!(packet.verdict, Verdict::Forward { .. }));
        assert!(all);
        if let Some(told) = self.output.events.last() {
            self.nat.durable(told.number);
        }
        self.output.events.clear();
    }
}

/// Packets of a pass.
fn packets() -> usize {
    let given = std::env::var("PACKETS").ok();
    let all: usize = given.and_then(|text| text.parse().ok()).unwrap_or(PACKETS);
    all / ROUNDS
}

fn ipv6(packet: &mut [u8], length: u16, next: u8, source: u128, destination: u128) {
    packet[..4].copy_from_slice(&[0x60, 0, 0, 0]);
    packet[4..6].copy_from_slice(&length.to_be_bytes());
    (packet[6], packet[7]) = (next, 64);
    packet[8..24].copy_from_slice(&source.to_be_bytes());
    packet[24..40].copy_from_slice(&destination.to_be_bytes());
}
