//! `portledger nat replay` where the inside speaks IPv6: captures with both families, and who it was.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod support;

use std::net::{Ipv6Addr, SocketAddrV6};

use etherparse::PacketBuilder;
use support::{
    Place,
    capture::{at, file_of, read},
    packet::{Ends, source, udp},
};

const SERVER: &str = "198.51.100.1:443";

/// A query at noon, its answer a second later at whatever endpoint it came from, and whom `who` names.
struct Mode<'a> {
    configuration: &'a str,
    query: Vec<u8>,
    /// The answer's destination gives the place of the query's source.
    answered: fn(&[u8]) -> bool,
}

fn udp_6(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let (from, to): (SocketAddrV6, SocketAddrV6) = (from.parse().unwrap(), to.parse().unwrap());
    let mut packet = Vec::new();
    PacketBuilder::ipv6(from.ip().octets(), to.ip().octets(), 64)
        .udp(from.port(), to.port())
        .write(&mut packet, payload)
        .unwrap();
    packet
}

/// RFC 2473: an IPv4 packet as the payload of an IPv6 one.
fn wrapped(from: &str, to: &str, inner: &[u8]) -> Vec<u8> {
    let (from, to): (Ipv6Addr, Ipv6Addr) = (from.parse().unwrap(), to.parse().unwrap());
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((inner.len() as u16).to_be_bytes());
    packet.extend([4, 64]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(inner);
    packet
}

/// The IPv4 endpoint that the server saw, after the answer has come back all the way.
fn through(place: &Place, mode: &Mode<'_>) -> std::net::SocketAddrV4 {
    place.write("nat.toml", mode.configuration);
    let noon = at("2026-06-01T12:00:00Z");
    place.write("inside.pcap", file_of(&[(noon, mode.query.clone())]));
    let run = |more: &[&str]| {
        let arguments = [
            "nat",
            "replay",
            "-c",
            "nat.toml",
            "--json",
            "--inside",
            "inside.pcap",
        ];
        place.run(&[&arguments[..], more].concat()).with_status(0)
    };
    let report = run(&["--to-outside", "out.pcap"]).json();
    assert_eq!(report["nat"]["to_outside"], 1, "{report}");
    let out = read(&place.path("out.pcap")).unwrap();
    let outside = Ends::of(&out.packets[0].bytes).unwrap();
    assert_eq!(outside.destination.to_string(), SERVER);
    assert_eq!(source(&out.packets[0].bytes), *outside.source.ip());

    // The same seed draws the same port.
    let answer = udp(SERVER, &outside.source.to_string(), b"answer");
    let later = at("2026-06-01T12:00:01Z");
    place.write("outside.pcap", file_of(&[(later, answer)]));
    let more = [
        "--outside",
        "outside.pcap",
        "--to-inside",
        "in.pcap",
        "--ledger",
        "ledger",
    ];
    let report = run(&more).json();
    assert_eq!(report["nat"]["to_inside"], 1, "{report}");
    let back = read(&place.path("in.pcap")).unwrap();
    assert!(
        (mode.answered)(&back.packets[0].bytes),
        "{:?}",
        back.packets[0].bytes
    );
    assert!(back.packets[0].bytes.ends_with(b"answer"));
    outside.source
}

fn named(place: &Place, external: std::net::SocketAddrV4) -> String {
    let asked = external.to_string();
    let arguments = [
        "who",
        &asked,
        "--at",
        "2026-06-01T12:00:00.5Z",
        "--within",
        "0s",
        "--proto",
        "udp",
        "--ledger",
        "ledger",
        "--json",
    ];
    let answer = place.run(&arguments).with_status(0).json();
    let internal = &answer["allocations"][0]["subscriber"]["internal"];
    internal.as_str().unwrap().to_owned()
}

/// From a port to a port: behind an IPv6 header, or behind both.
fn has_ports(packet: &[u8], header: usize, ports: [u16; 2]) -> bool {
    let bytes = ports.map(u16::to_be_bytes).concat();
    packet.get(header..header + 4) == Some(&bytes[..])
}

#[test]
fn a_nat64_names_the_prefix() {
    let place = Place::new();
    let mode = Mode {
        configuration: r#"
device = "nat64-1"
mode = "nat64"
[pool]
addresses = ["203.0.113.7/32"]
[[realm]]
name = "default"
inside = ["2001:db8:100::/40"]
[nat64]
prefix = "2001:db8:64::/96"
own_address = "2001:db8::64"
subscriber_prefix = 56
"#,
        query: udp_6(
            "[2001:db8:100:3412::9]:4000",
            "[2001:db8:64::198.51.100.1]:443",
            b"query",
        ),
        answered: |packet| {
            let (from, to) = ("2001:db8:64::198.51.100.1", "2001:db8:100:3412::9");
            let (from, to): (Ipv6Addr, Ipv6Addr) = (from.parse().unwrap(), to.parse().unwrap());
            packet[8..24] == from.octets()
                && packet[24..40] == to.octets()
                && has_ports(packet, 40, [443, 4_000])
        },
    };
    let external = through(&place, &mode);
    assert_eq!(external.ip().to_string(), "203.0.113.7");
    assert!(named(&place, external).starts_with("2001:db8:100:3400::"));
}

#[test]
fn an_aftr_names_the_b4s_prefix() {
    let place = Place::new();
    let inner = udp("192.168.1.10:4000", SERVER, b"query");
    let mode = Mode {
        configuration: r#"
device = "aftr1"
mode = "aftr"
[pool]
addresses = ["203.0.113.7/32"]
[[realm]]
name = "default"
inside = ["2001:db8:200::/40"]
[aftr]
address = "2001:db8:ffff::1"
"#,
        query: wrapped("2001:db8:200:102::b4", "2001:db8:ffff::1", &inner),
        answered: |packet| {
            let to: Ipv6Addr = "2001:db8:200:102::b4".parse().unwrap();
            packet[24..40] == to.octets() && has_ports(packet, 60, [443, 4_000])
        },
    };
    let external = through(&place, &mode);
    assert!(named(&place, external).starts_with("2001:db8:200:100::"));
}

const RULE: &str = r#"
[[rule]]
ipv6 = "2001:db8:300::/44"
ipv4 = "203.0.113.0/24"
ea_length = 12
"#;
/// 203.0.113.18 with PSID 3: 1024 + 3 × 64 is the first of its ports.
const CUSTOMER: &str = "2001:db8:301:2300:0:cb00:7112:3";
const OWN: &str = "203.0.113.18:1216";

#[test]
fn map_e_carries_to_the_customer_and_back() {
    let inner = udp(OWN, SERVER, b"query");
    let head = "device = 'br'\nmode = 'map-e'\n[relay]\naddress = '2001:db8:ffff::1'\n";
    let mode = Mode {
        configuration: &format!("{head}{RULE}"),
        query: wrapped(CUSTOMER, "2001:db8:ffff::1", &inner),
        answered: |packet| {
            let to: Ipv6Addr = CUSTOMER.parse().unwrap();
            packet[24..40] == to.octets() && has_ports(packet, 60, [443, 1_216])
        },
    };
    let place = Place::new();
    let external = through(&place, &mode);
    assert_eq!(external.to_string(), OWN);
    assert!(named(&place, external).starts_with("2001:db8:301:2300::"));
}

#[test]
fn map_t_carries_to_the_customer_and_back() {
    let head = "device = 'br'\nmode = 'map-t'\n[relay]\naddress = '2001:db8:ffff::1'\nprefix = '2001:db8:64::/96'\n";
    let mode = Mode {
        configuration: &format!("{head}{RULE}"),
        query: udp_6(
            &format!("[{CUSTOMER}]:1216"),
            "[2001:db8:64::198.51.100.1]:443",
            b"query",
        ),
        answered: |packet| {
            let to: Ipv6Addr = CUSTOMER.parse().unwrap();
            packet[24..40] == to.octets() && has_ports(packet, 40, [443, 1_216])
        },
    };
    let place = Place::new();
    let external = through(&place, &mode);
    assert_eq!(external.to_string(), OWN);
    assert!(named(&place, external).starts_with("2001:db8:301:2300::"));
}

#[test]
fn lightweight_4over6_carries_to_the_b4_and_back() {
    let inner = udp("203.0.113.20:12288", SERVER, b"query");
    let mode = Mode {
        configuration: r#"
device = "lwaftr1"
mode = "lw4o6"
[relay]
address = "2001:db8:ffff::1"
[[binding]]
b4 = "2001:db8:400:300::b4"
ipv4 = "203.0.113.20"
psid_length = 4
psid = 3
"#,
        query: wrapped("2001:db8:400:300::b4", "2001:db8:ffff::1", &inner),
        answered: |packet| {
            let to: Ipv6Addr = "2001:db8:400:300::b4".parse().unwrap();
            packet[24..40] == to.octets() && has_ports(packet, 60, [443, 12_288])
        },
    };
    let place = Place::new();
    let external = through(&place, &mode);
    assert_eq!(external.to_string(), "203.0.113.20:12288");
    assert_eq!(named(&place, external), "2001:db8:400:300::b4");
}

/// A port that is another customer's does not get out, and is counted by its reason.
#[test]
fn what_is_not_the_customers_own_is_dropped_and_counted() {
    let place = Place::new();
    let head = "device = 'br'\nmode = 'map-e'\n[relay]\naddress = '2001:db8:ffff::1'\n";
    place.write("nat.toml", format!("{head}{RULE}"));
    let inner = udp("203.0.113.18:1300", SERVER, b"query");
    let query = wrapped(CUSTOMER, "2001:db8:ffff::1", &inner);
    place.write(
        "inside.pcap",
        file_of(&[(at("2026-06-01T12:00:00Z"), query)]),
    );
    let arguments = [
        "nat",
        "replay",
        "-c",
        "nat.toml",
        "--json",
        "--inside",
        "inside.pcap",
    ];
    let report = place.run(&arguments).with_status(0).json();
    assert_eq!(report["nat"]["to_outside"], 0, "{report}");
    assert_eq!(report["nat"]["dropped"]["softwire_port"], 1, "{report}");
    assert!(report["held"].is_null(), "{report}");
}
