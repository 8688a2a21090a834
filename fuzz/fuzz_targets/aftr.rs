//! Any bytes as the life of an AFTR.
#![no_main]

#[path = "six/life.rs"]
mod life;

use std::net::Ipv6Addr;

use libfuzzer_sys::fuzz_target;
use portledger_model::PortRange;
use portledger_nat::{Aftr, AftrConfig, Side};
use portledger_ports::{Config as Ports, Pool};

const AFTR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);

fuzz_target!(|bytes: &[u8]| {
    let mut ports = Ports::new(Pool::parse(&["203.0.113.1"]).expect("a pool"));
    ports.port_range = PortRange::new(1_024, 1_279).expect("a range");
    ports.block_size = 64;
    let softwires = ["2001:db8:a::/48".parse().expect("a prefix")];
    let mut config = AftrConfig::new(ports, AFTR, &softwires);
    config.nat.limits.mappings = 16;
    config.nat.limits.sessions = 16;
    config.nat.limits.fragmented = 8;
    config.nat.limits.fragment_bytes = 4_000;
    config.reassembly.datagrams = 8;
    config.reassembly.of_softwire = 2;
    config.reassembly.bytes = 65_535;
    config.paths = 2;
    config.mtu = 1_280;
    config.mss = Some(1_200);
    let nat = Aftr::new(config, [7; 32]).expect("the configuration works");
    life::Life::run(nat, template, bytes);
});

fn template(number: u8) -> (Side, Vec<u8>) {
    let end = number >> 4 & 3;
    let inside = |protocol, fragment, payload: &[u8]| {
        four(
            [192, 168, 0, 2],
            [198, 51, 100, 1],
            protocol,
            fragment,
            payload,
        )
    };
    let wrapped = |inner: Vec<u8>| (Side::Inside, outer(end, 4, &inner));
    let outside = |protocol, payload: &[u8]| {
        (
            Side::Outside,
            four([198, 51, 100, 1], [203, 0, 113, 1], protocol, 0, payload),
        )
    };
    match number & 15 {
        0 => wrapped(inside(17, 0, &UDP)),
        1 => wrapped(inside(6, 0, &TCP)),
        2 => wrapped(inside(1, 0, &[8, 0, 0, 0, 0, 9, 0, 1])),
        3 => wrapped(inside(17, 0x2000, &UDP)),
        4 => wrapped(inside(17, 2, &[1, 2, 3, 4])),
        // Cut outside: the first and the last of two.
        5 => (
            Side::Inside,
            outer(
                end,
                44,
                &[&[4, 0, 0, 1, 0, 0, 0, 5][..], &inside(17, 0, &UDP)[..24]].concat(),
            ),
        ),
        6 => (
            Side::Inside,
            outer(
                end,
                44,
                &[&[4, 0, 0, 24, 0, 0, 0, 5][..], &inside(17, 0, &UDP)[24..]].concat(),
            ),
        ),
        7 => (
            Side::Inside,
            outer(
                end,
                60,
                &[&[4, 0, 4, 1, 4, 1, 1, 0][..], &inside(6, 0, &TCP)].concat(),
            ),
        ),
        8 => (
            Side::Inside,
            outer(end, 41, &outer(end, 4, &inside(17, 0, &UDP))),
        ),
        9 => wrapped(inside(17, 0, &[&UDP[..], &[7; 1_400]].concat())),
        10 => wrapped(error()),
        11 => (Side::Inside, too_big(end)),
        12 => outside(17, &UDP),
        13 => outside(6, &TCP),
        14 => outside(17, &[&UDP[..], &[7; 1_400]].concat()),
        _ => outside(1, &[0, 0, 0, 0, 0, 0, 0, 1]),
    }
}

const UDP: [u8; 12] = [0x10, 0, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4];
const TCP: [u8; 24] = [
    0x10, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 2, 0xff, 0xff, 0, 0, 0, 0, 2, 4, 5, 180,
];

fn outer(end: u8, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, next, 64];
    let length = u16::try_from(payload.len()).expect("short");
    packet[4..6].copy_from_slice(&length.to_be_bytes());
    packet.extend([0x20, 1, 0x0d, 0xb8, 0, 0x0a, end, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend(AFTR.octets());
    packet.extend(payload);
    packet
}

fn four(from: [u8; 4], to: [u8; 4], protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 20)
        .expect("short")
        .to_be_bytes();
    let [high, low] = fragment.to_be_bytes();
    let mut packet = vec![
        0x45, 0, length[0], length[1], 0, 9, high, low, 64, protocol, 0, 0,
    ];
    packet.extend(from);
    packet.extend(to);
    let sum = !life::sum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

/// An ICMP error from behind a B4, about a datagram to its host.
fn error() -> Vec<u8> {
    let about = four(
        [198, 51, 100, 1],
        [192, 168, 0, 2],
        17,
        0,
        &[0, 53, 0x10, 0, 0, 12, 0, 0, 1, 2, 3, 4],
    );
    let mut message = [&[3, 1, 0, 0, 0, 0, 0, 0][..], &about].concat();
    let sum = !life::sum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    four([192, 168, 0, 1], [198, 51, 100, 1], 1, 0, &message)
}

/// A Packet Too Big about what went to this B4.
fn too_big(end: u8) -> Vec<u8> {
    let about = four(
        [198, 51, 100, 1],
        [192, 168, 0, 2],
        17,
        0,
        &[0, 53, 0x10, 0, 0, 12, 0, 0, 1, 2, 3, 4],
    );
    let mut sent = outer(end, 4, &about);
    let (from, to) = (sent[8..24].to_vec(), sent[24..40].to_vec());
    sent[8..24].copy_from_slice(&to);
    sent[24..40].copy_from_slice(&from);
    let message = [&[2, 0, 0, 0, 0, 0, 5, 100][..], &sent].concat();
    let mut packet = outer(end, 58, &message);
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
