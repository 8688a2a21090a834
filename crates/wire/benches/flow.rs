//! How many block records a second are decoded, to events, beside another implementation that
//! decodes to fields only; and how many are encoded. Prints a table, by the time on the processor.
//!
//! `cargo bench -p portledger-wire --bench flow [-- RECORDS]`, ten million by default.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{env, fs, hint::black_box, net::Ipv4Addr, time::Duration};

use netflow_parser::{NetflowPacket, NetflowParser, variable_versions::ipfix::FlowSetBody};
use portledger_model::{PortRange, Realm, Subscriber, Timestamp};
use portledger_wire::{
    EventTime, Holding, Kind, NatEvent, Phase, Told,
    flow::{ExportSettings, Exporter, Item, Limits, Medium, Session, Version},
};

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
/// Messages of one round: few enough to stay in the cache, as they would on their way from a socket.
const EVENTS: usize = 9_600;

fn main() {
    let count: u64 = env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(10_000_000);
    for (name, version, max_bytes) in [
        (
            "IPFIX, 24 records a datagram",
            Version::Ipfix,
            24 * 29 + 120,
        ),
        ("IPFIX, 1,400-byte datagrams", Version::Ipfix, 1_400),
        ("NetFlow v9, 1,400-byte datagrams", Version::NetFlow9, 1_400),
    ] {
        let events: Vec<_> = (0..EVENTS).map(event).collect();
        let messages = messages(version, max_bytes, &events);
        println!(
            "{name}: {:.1} records and {} bytes each",
            EVENTS as f64 / messages.len() as f64,
            messages.iter().map(Vec::len).sum::<usize>() / messages.len(),
        );
        let rounds = (count / EVENTS as u64).max(1);
        tell(
            "encoded",
            rounds,
            encode(version, max_bytes, &events, rounds),
        );
        let ours = decode(&messages, rounds);
        tell("decoded to events", rounds, ours);
        if version == Version::Ipfix {
            let peers = peer(&messages, rounds);
            tell("decoded to fields by netflow_parser", rounds, peers);
            println!("  ratio {:.1}", peers.as_secs_f64() / ours.as_secs_f64());
        }
    }
}

/// Half of them allocations, half releases, of 500-port blocks, in runs as an exporter sends them.
fn event(number: usize) -> NatEvent {
    let n = u32::try_from(number).unwrap();
    let block = u16::try_from(n % 128).unwrap();
    let ends = n / 64 % 2 == 1;
    let internal = Ipv4Addr::from(0x6440_0000 + n);
    NatEvent {
        at: EventTime::Told(NOW.after(Duration::from_millis(n.into()))),
        told: Told::Ports(Holding {
            phase: if ends { Phase::Ended } else { Phase::Begun },
            kind: Kind::Block,
            subscriber: Some(Subscriber::new(Realm::default(), internal.into())),
            external: Ipv4Addr::from(0xcb00_7100 + n % 256),
            ports: PortRange::new(1_024 + block * 500, 1_024 + block * 500 + 499).unwrap(),
            transport: None,
            since: ends.then_some(NOW),
        }),
    }
}

fn settings(version: Version, max_bytes: usize) -> ExportSettings {
    ExportSettings {
        version,
        max_bytes,
        ..ExportSettings::default()
    }
}

fn messages(version: Version, max_bytes: usize, events: &[NatEvent]) -> Vec<Vec<u8>> {
    let mut exporter = Exporter::new(settings(version, max_bytes));
    let (mut rest, mut messages) = (events, Vec::new());
    while !rest.is_empty() {
        let mut message = Vec::new();
        let taken = exporter.message(NOW, rest, &mut message).unwrap();
        rest = &rest[taken..];
        messages.push(message);
    }
    messages
}

fn encode(version: Version, max_bytes: usize, events: &[NatEvent], rounds: u64) -> Duration {
    let mut exporter = Exporter::new(settings(version, max_bytes));
    let mut message = Vec::new();
    let began = on_processor();
    for _ in 0..rounds {
        let mut rest = events;
        while !rest.is_empty() {
            let taken = exporter.message(NOW, rest, &mut message).unwrap();
            black_box(&message);
            rest = &rest[taken..];
        }
    }
    on_processor() - began
}

fn decode(messages: &[Vec<u8>], rounds: u64) -> Duration {
    let mut events: u64 = 0;
    let began = on_processor();
    for _ in 0..rounds {
        // The numbers of the messages begin anew.
        let mut session = Session::new(Medium::Datagrams, Limits::default());
        for message in messages {
            session.datagram(message, NOW, &mut |item| {
                events += u64::from(matches!(black_box(item), Item::Event { .. }));
            });
        }
    }
    let took = on_processor() - began;
    assert_eq!(events, rounds * EVENTS as u64);
    took
}

fn peer(messages: &[Vec<u8>], rounds: u64) -> Duration {
    let mut parser = NetflowParser::default();
    let mut records: u64 = 0;
    let began = on_processor();
    for _ in 0..rounds {
        for message in messages {
            for packet in black_box(parser.parse_bytes(message)).packets {
                let NetflowPacket::IPFix(packet) = packet else {
                    continue;
                };
                for set in packet.flowsets {
                    if let FlowSetBody::Data(data) = set.body {
                        records += data.fields.len() as u64;
                    }
                }
            }
        }
    }
    let took = on_processor() - began;
    assert_eq!(records, rounds * EVENTS as u64);
    took
}

fn tell(what: &str, rounds: u64, took: Duration) {
    let records = (rounds * EVENTS as u64) as f64;
    println!(
        "  {what}: {:.1} M/s, {:.1} ns each",
        records / took.as_secs_f64() / 1e6,
        took.as_secs_f64() * 1e9 / records,
    );
}

/// The time this thread spent on a processor (Linux): others may be busy on the machine.
fn on_processor() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanos = text.split(' ').next().unwrap().parse().unwrap();
    Duration::from_nanos(nanos)
}
