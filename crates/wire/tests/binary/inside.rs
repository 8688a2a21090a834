//! Who is inside, by which of the fields are there.

use std::net::Ipv6Addr;

use portledger_model::Timestamp;
use portledger_wire::flow::{Item, Limits, Medium, Session};

use crate::{
    build::{ipfix, set, template, words},
    show,
};

const SENT: u32 = 1_790_000_000;
const NOBODY: [u8; 4] = [0; 4];
const HOST: [u8; 4] = [192, 168, 1, 2];

fn v6(text: &str) -> [u8; 16] {
    text.parse::<Ipv6Addr>().unwrap().octets()
}

/// What an event of that number tells: of inside fields, and of ports.
fn told(number: u8, inside: &[(u16, &[u8])], ports: &[(u16, &[u8])]) -> String {
    let (event, external) = ([number], [203, 0, 113, 7]);
    let first: [(u16, &[u8]); 2] = [(230, &event), (225, &external)];
    let all = [&first[..], inside, ports].concat();
    let length = |value: &[u8]| u16::try_from(value.len()).unwrap();
    let fields: Vec<_> = all
        .iter()
        .map(|(kind, value)| (*kind, length(value)))
        .collect();
    let record: Vec<u8> = all.iter().flat_map(|(_, value)| value.to_vec()).collect();
    let sets = [set(2, &template(256, &fields)), set(256, &record)];
    let mut session = Session::new(Medium::Datagrams, Limits::default());
    let mut lines = Vec::new();
    let now = Timestamp::from_secs(SENT.into());
    session.datagram(&ipfix(0, SENT, 1, &sets), now, &mut |item| match item {
        Item::Event { event, .. } => lines.push(show::event_line(&event)),
        other => panic!("{other:?}"),
    });
    let [line] = &lines[..] else {
        panic!("{lines:?}")
    };
    line.strip_prefix("<=2026-09-21T14:13:20.000Z ")
        .unwrap()
        .to_owned()
}

fn block(number: u8, inside: &[(u16, &[u8])]) -> String {
    let (first, last) = (words(&[1_024]), words(&[1_535]));
    told(number, inside, &[(361, &first), (362, &last)])
}

#[test]
fn an_ipv6_address_beside_an_ipv4_address_is_a_softwires() {
    let b4 = v6("2001:db8::7");
    for (number, phase) in [(16, "Begun"), (17, "Ended")] {
        assert_eq!(
            block(number, &[(8, &HOST), (27, &b4)]),
            format!("{phase} 203.0.113.7 1024-1535 any by default/softwire 2001:db8::7: block")
        );
    }
    // What is not told is filled with zeros.
    assert_eq!(
        block(16, &[(8, &HOST), (27, &[0; 16])]),
        "Begun 203.0.113.7 1024-1535 any by default/192.168.1.2: block"
    );
    assert_eq!(
        block(16, &[(8, &NOBODY), (27, &b4)]),
        "Begun 203.0.113.7 1024-1535 any by default/2001:db8::7: block"
    );
    assert_eq!(
        block(17, &[(8, &NOBODY), (27, &[0; 16])]),
        "Ended 203.0.113.7 1024-1535 any by ?: block"
    );
}

#[test]
fn a_length_makes_a_prefix_of_an_address_without_bits_behind_it() {
    let network = v6("2001:db8:1:2::");
    let told = |address: &[u8; 16], length: u8| block(16, &[(27, address), (29, &[length])]);
    let of = |who: &str| format!("Begun 203.0.113.7 1024-1535 any by default/{who}: block");
    assert_eq!(told(&network, 64), of("2001:db8:1:2::/64"));
    assert_eq!(told(&network, 128), of("2001:db8:1:2::"));
    // That of the route to a host, one that is not told, and one that cannot be.
    assert_eq!(told(&v6("2001:db8:1:2::9"), 64), of("2001:db8:1:2::9"));
    assert_eq!(told(&network, 0), of("2001:db8:1:2::"));
    assert_eq!(told(&network, 129), of("2001:db8:1:2::"));
    let b4 = block(16, &[(8, &HOST), (27, &network), (29, &[64])]);
    assert_eq!(b4, of("softwire 2001:db8:1:2::/64"));
}

/// RFC 8158 §4.1: 4 to 7 are sessions of NAT44 and NAT64, 8 to 11 entries of their BIBs. An AFTR is
/// a NAT44.
#[test]
fn events_of_nat64_and_of_an_aftr_are_told_by_their_numbers() {
    let (inside_port, port, transport) = (words(&[5_000]), words(&[40_000]), [17]);
    let (address, target_port) = ([198, 51, 100, 1], words(&[443]));
    let bib: [(u16, &[u8]); 3] = [(7, &inside_port), (227, &port), (4, &transport)];
    let target: [(u16, &[u8]); 2] = [(226, &address), (228, &target_port)];
    let session = [&bib[..], &target].concat();
    let six = v6("2001:db8::7");
    let nat64: [(u16, &[u8]); 1] = [(27, &six)];
    let aftr: [(u16, &[u8]); 2] = [(8, &HOST), (27, &six)];
    let to = "session of port 5000 to 198.51.100.1:443";
    let entry = "mapping of port 5000";
    for (number, inside, ports, phase, who, what) in [
        (
            4,
            &aftr[..],
            &session[..],
            "Begun",
            "softwire 2001:db8::7",
            to,
        ),
        (5, &aftr, &session, "Ended", "softwire 2001:db8::7", to),
        (6, &nat64, &session, "Begun", "2001:db8::7", to),
        (7, &nat64, &session, "Ended", "2001:db8::7", to),
        (8, &aftr, &bib, "Begun", "softwire 2001:db8::7", entry),
        (9, &aftr, &bib, "Ended", "softwire 2001:db8::7", entry),
        (10, &nat64, &bib, "Begun", "2001:db8::7", entry),
        (11, &nat64, &bib, "Ended", "2001:db8::7", entry),
    ] {
        assert_eq!(
            told(number, inside, ports),
            format!("{phase} 203.0.113.7 40000 udp by default/{who}: {what}"),
            "{number}"
        );
    }
}
