//! Blocks handed out with their durable record: a first packet from each of many subscribers
//! through the engine, their events into a ledger, one sync a batch.
//! `cargo bench -p portledger-dataplane --bench blocks` prints a table.
#![expect(clippy::print_stdout, clippy::unwrap_used)]

use std::{net::Ipv4Addr, time::Instant};

use portledger_dataplane::start::Declared;
use portledger_ledger::{Options, Writer};
use portledger_model::{Device, Durability, Timestamp};
use portledger_nat::{Config, Nat, Output, Packet, Side};
use portledger_ports::{Config as PortsConfig, Pool};

const SUBSCRIBERS: u32 = 500_000;
const INSIDE: u32 = 0x6440_0000; // 100.64.0.0

fn main() {
    println!(
        "{:>8} {:>14} {:>16} {:>14}",
        "batch", "blocks/s", "of these syncing", "bytes/record"
    );
    for batch in [1, 10, 100, 1_000, 10_000] {
        measure(batch);
    }
}

fn measure(batch: usize) {
    // Small batches are all sync: fewer of them tell as much.
    let subscribers = SUBSCRIBERS.min(u32::try_from(batch).unwrap() * 2_000);
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(folder.path(), Options::default()).unwrap();
    let pool = Pool::parse(&["203.0.0.0-203.0.15.255"]).unwrap();
    let config = Config::new(PortsConfig::new(pool), &["100.64.0.0/10".parse().unwrap()]);
    let device = Device::new("bench").unwrap();
    let declared = Declared::new(device, &config, Durability::LogBeforeUse);
    let mut nat = Nat::new(config, [5; 32]).unwrap();
    let mut output = Output::default();
    let mut buffers = vec![[0_u8; 28]; batch];
    let mut syncing = 0.0;
    let started = Instant::now();
    for first in (0..subscribers).step_by(batch) {
        for (buffer, number) in buffers.iter_mut().zip(first..) {
            *buffer = datagram(INSIDE + number);
        }
        let mut packets: Vec<Packet<'_>> = buffers.iter_mut().map(|b| Packet::new(b)).collect();
        nat.batch(
            Timestamp::from_secs(1),
            Side::Inside,
            &mut packets,
            &mut output,
        );
        let records: Vec<_> = output
            .events
            .drain(..)
            .map(|told| declared.record(told))
            .collect();
        writer.append(&records).unwrap();
        let sync = Instant::now();
        writer.sync().unwrap();
        syncing += sync.elapsed().as_secs_f64();
    }
    let seconds = started.elapsed().as_secs_f64();
    let stats = writer.ledger().unwrap().stats();
    assert_eq!(stats.records, u64::from(subscribers));
    println!(
        "{batch:>8} {:>14.0} {:>15.0}% {:>14.1}",
        f64::from(subscribers) / seconds,
        100.0 * syncing / seconds,
        stats.log_bytes as f64 / stats.records as f64,
    );
}

/// A UDP datagram without payload from port 40000 of `source` to 198.51.100.1:53.
fn datagram(source: u32) -> [u8; 28] {
    let mut packet = [
        0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0, 0, 0, 0, 0, 198, 51, 100, 1, 0x9C, 0x40, 0,
        53, 0, 8, 0, 0,
    ];
    packet[12..16].copy_from_slice(&Ipv4Addr::from_bits(source).octets());
    let words = packet[..20]
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let mut sum: u32 = words.sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    packet[10..12].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
    packet
}
