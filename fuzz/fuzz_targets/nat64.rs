//! Any bytes as the life of a NAT64.
#![no_main]

#[path = "six/life.rs"]
mod life;

use std::net::Ipv6Addr;

use libfuzzer_sys::fuzz_target;
use portledger_model::PortRange;
use portledger_nat::{Nat64, Nat64Config, Side, translate::Prefix};
use portledger_ports::{Config as Ports, Pool};

const PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x64, 0, 0, 0, 0, 0);

fuzz_target!(|bytes: &[u8]| {
    let mut ports = Ports::new(Pool::parse(&["203.0.113.1"]).expect("a pool"));
    ports.port_range = PortRange::new(1_024, 1_279).expect("a range");
    ports.block_size = 64;
    let prefix = Prefix::new(PREFIX, 96).expect("a prefix");
    let inside = "2001:db8:a::/48".parse().expect("a prefix");
    let own = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);
    let mut config = Nat64Config::new(ports, prefix, &[inside], own);
    config.nat.limits.mappings = 16;
    config.nat.limits.sessions = 16;
    config.nat.limits.fragmented = 8;
    config.nat.limits.fragment_bytes = 4_000;
    config.unsummed = 4;
    config.unsummed_bytes = 65_535;
    config.translation.ipv6_mtu = 1_280;
    let nat = Nat64::new(config, [7; 32]).expect("the configuration works");
    life::Life::run(nat, template, bytes);
});

fn template(number: u8) -> (Side, Vec<u8>) {
    let host = number >> 4 & 3;
    match number & 15 {
        0 => (Side::Inside, six(host, 17, &UDP)),
        1 => (Side::Inside, six(host, 6, &TCP)),
        2 => (Side::Inside, six(host, 58, &[128, 0, 0, 0, 0, 9, 0, 1])),
        // A first fragment, and a later one.
        3 => (
            Side::Inside,
            six(host, 44, &[&[17, 0, 0, 1, 0, 0, 0, 5][..], &UDP].concat()),
        ),
        4 => (
            Side::Inside,
            six(host, 44, &[17, 0, 0, 16, 0, 0, 0, 5, 1, 2, 3, 4]),
        ),
        // With options, and a way to go.
        5 => (
            Side::Inside,
            six(host, 60, &[&[17, 0, 1, 4, 0, 0, 0, 0][..], &UDP].concat()),
        ),
        6 => (
            Side::Inside,
            six(host, 43, &[&[6, 0, 0, 1, 0, 0, 0, 0][..], &TCP].concat()),
        ),
        7 => (Side::Inside, error(host)),
        8 => (
            Side::Inside,
            six(host, 17, &[&UDP[..], &[7; 1_400]].concat()),
        ),
        9 => (Side::Outside, four(17, 0, &UDP)),
        10 => (Side::Outside, four(6, 0, &TCP)),
        11 => (
            Side::Outside,
            four(17, 0x2000, &[&UDP[..6], &[0, 0], &[7; 8]].concat()),
        ),
        12 => (Side::Outside, four(17, 2, &[1, 2, 3, 4])),
        13 => (Side::Outside, four(1, 0, &[0, 0, 0, 0, 0, 0, 0, 1])),
        14 => (
            Side::Outside,
            four(17, 0x4000, &[&UDP[..], &[7; 1_400]].concat()),
        ),
        _ => (
            Side::Outside,
            four(17, 0, &[&UDP[..6], &[0, 0], &[7; 40]].concat()),
        ),
    }
}

const UDP: [u8; 12] = [0x10, 0, 0, 53, 0, 12, 1, 1, 1, 2, 3, 4];
const TCP: [u8; 20] = [
    0x10, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0,
];

fn six(host: u8, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, next, 64];
    let length = u16::try_from(payload.len()).expect("short");
    packet[4..6].copy_from_slice(&length.to_be_bytes());
    packet.extend([
        0x20, 1, 0x0d, 0xb8, 0, 0x0a, 0, host, 0, 0, 0, 0, 0, 0, 0, 1,
    ]);
    packet.extend(&PREFIX.octets()[..12]);
    packet.extend([198, 51, 100, 1]);
    packet.extend(payload);
    packet
}

fn four(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 20)
        .expect("short")
        .to_be_bytes();
    let [high, low] = fragment.to_be_bytes();
    let mut packet = vec![
        0x45, 0, length[0], length[1], 0, 9, high, low, 64, protocol, 0, 0, 198, 51, 100, 1, 203,
        0, 113, 1,
    ];
    packet.extend(payload);
    packet
}

/// An ICMPv6 error about a datagram to this host, with a right sum.
fn error(host: u8) -> Vec<u8> {
    let mut about = six(host, 17, &[0, 53, 0x10, 0, 0, 12, 1, 1, 1, 2, 3, 4]);
    let (from, to) = (about[8..24].to_vec(), about[24..40].to_vec());
    about[8..24].copy_from_slice(&to);
    about[24..40].copy_from_slice(&from);
    let message = [&[1, 4, 0, 0, 0, 0, 0, 0][..], &about].concat();
    let mut packet = six(host, 58, &message);
    let pseudo = [
        &packet[8..40],
        &[0, 0, 0, packet[5], 0, 0, 0, 58],
        &packet[40..],
    ]
    .concat();
    let sum = !life::sum(&pseudo);
    packet[42..44].copy_from_slice(&sum.to_be_bytes());
    packet
}
