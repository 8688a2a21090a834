//! RFC 7596: the lwAFTR of lightweight 4over6.

use std::{net::Ipv4Addr, time::Duration};

use portledger_model::{PortMask, PortRange, PortSet, SoftwireBinding};
use portledger_nat::{DropReason, Relay, RelayConfig, RelayConfigError, Side};

use crate::support::{
    packet::{
        ACK, TIME_EXCEEDED, UNREACHABLE, echo, echo_reply, error, fragments, icmp_kind, query,
        quoted, tcp, udp,
    },
    reference::word,
    relays::{RelayLab, binding, end, unwrapped, wrapped},
    six::{fragment_header, raw6, read6, with_headers},
};

fn remote(port: u16) -> (Ipv4Addr, u16) {
    (Ipv4Addr::new(198, 51, 100, 7), port)
}

const SHARED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The lwB4 with the ports 256 to 511, and the one with 512 to 767.
const ONE: &str = "2001:db8:1::1";
const TWO: &str = "2001:db8:2::abcd";

fn config() -> RelayConfig {
    let bindings = vec![
        binding(ONE, "192.0.2.1", 1),
        binding(TWO, "192.0.2.1", 2),
        // One lwB4 with two addresses, one of them its own.
        binding(TWO, "192.0.2.2", 7),
        SoftwireBinding {
            b4: TWO.parse().unwrap(),
            ipv4: Ipv4Addr::new(192, 0, 2, 3),
            ports: PortSet::Range(PortRange::ALL),
        },
    ];
    RelayConfig::lw4o6(bindings, end())
}

fn lab() -> RelayLab {
    RelayLab::new(config())
}

fn out(from: &str, inner: &[u8]) -> Vec<u8> {
    wrapped(from.parse().unwrap(), inner)
}

#[test]
pub fn section_6_2_what_matches_a_binding_is_forwarded() {
    let mut lab = lab();
    for (b4, own) in [
        (ONE, (SHARED, 256)),
        (ONE, (SHARED, 511)),
        (TWO, (SHARED, 512)),
        (TWO, (Ipv4Addr::new(192, 0, 2, 2), 7 * 256)),
        (TWO, (Ipv4Addr::new(192, 0, 2, 3), 9)),
    ] {
        let packet = tcp(own, remote(443), ACK).bytes();
        assert_eq!(lab.out(&out(b4, &packet)), packet);
        let packet = udp(remote(53), own).bytes();
        let made = lab.inward(&packet);
        assert_eq!(unwrapped(&made, b4.parse().unwrap()), packet);
    }
}

#[test]
pub fn section_6_2_what_matches_none_is_dropped_counted_and_told() {
    let mut lab = lab();
    let from = |address, port| udp((address, port), remote(53)).bytes();
    let lies = [
        (
            "address",
            out(ONE, &from(Ipv4Addr::new(192, 0, 2, 3), 300)),
            DropReason::SoftwireSource,
        ),
        (
            "unknown address",
            out(ONE, &from(Ipv4Addr::new(192, 0, 2, 9), 300)),
            DropReason::SoftwireSource,
        ),
        (
            "softwire",
            out("2001:db8:1::2", &from(SHARED, 300)),
            DropReason::UnknownSoftwire,
        ),
        (
            "PSID",
            out(ONE, &from(SHARED, 512)),
            DropReason::SoftwirePort,
        ),
        (
            "port",
            out(ONE, &from(SHARED, 255)),
            DropReason::SoftwirePort,
        ),
        (
            "ICMP identifier",
            out(ONE, &echo((SHARED, 512), remote(0).0).bytes()),
            DropReason::SoftwirePort,
        ),
    ];
    for (lie, packet, reason) in lies {
        let before = lab.relay.counters().dropped(reason);
        let (dropped, told) = lab.dropped(Side::Inside, &packet);
        assert_eq!(dropped, reason, "{lie}");
        assert_eq!(lab.relay.counters().dropped(reason), before + 1);
        let seen = read6(&told[0].data);
        assert_eq!(
            (seen.source, seen.payload[0], seen.payload[1]),
            (end(), 1, 5),
            "{lie}"
        );
        assert_eq!(seen.payload[8..], packet);
    }
    let mut config = config();
    config.refusals.spoofed = false;
    let mut silent = RelayLab::new(config);
    let packet = out(ONE, &from(SHARED, 512));
    assert!(silent.dropped(Side::Inside, &packet).1.is_empty());
}

#[test]
pub fn section_6_2_what_nobody_has_is_dropped_and_told() {
    let mut lab = lab();
    let packet = udp(remote(53), (SHARED, 1_024)).bytes();
    let (reason, told) = lab.dropped(Side::Outside, &packet);
    assert_eq!(reason, DropReason::NoMapping);
    assert_eq!(icmp_kind(&told[0].data), (3, 1));
    let mut config = config();
    config.refusals.unreachable = false;
    let mut silent = RelayLab::new(config);
    assert!(silent.dropped(Side::Outside, &packet).1.is_empty());
}

#[test]
pub fn section_6_2_hairpinning_by_choice() {
    let mut lab = lab();
    let packet = udp((SHARED, 300), (SHARED, 600)).bytes();
    let made = lab.sent(Side::Inside, Side::Inside, &out(ONE, &packet));
    assert_eq!(unwrapped(&made, TWO.parse().unwrap()), packet);
    // An error back, by what it quotes.
    let back = error(SHARED, SHARED, UNREACHABLE, 3, &packet).bytes();
    let made = lab.sent(Side::Inside, Side::Inside, &out(TWO, &back));
    assert_eq!(unwrapped(&made, ONE.parse().unwrap()), back);
    let mut config = config();
    config.hairpinning = false;
    let mut lab = RelayLab::new(config);
    assert_eq!(
        lab.reason(Side::Inside, &out(ONE, &packet)),
        DropReason::HairpinningOff
    );
}

#[test]
pub fn section_6_2_hairpinned_fragments_find_their_way() {
    let mut lab = lab();
    let whole = udp((SHARED, 300), (SHARED, 600))
        .payload_of(900)
        .identified(4)
        .bytes();
    let pieces = fragments(&whole, &[304, 304]);
    assert!(lab.kept(Side::Inside, &out(ONE, &pieces[2])).is_empty());
    let passed = lab.pass(Side::Inside, &out(ONE, &pieces[0]));
    let two = TWO.parse().unwrap();
    assert_eq!(unwrapped(&passed.bytes, two), pieces[0]);
    assert_eq!(unwrapped(&passed.emitted[0].data, two), pieces[2]);
    let made = lab.sent(Side::Inside, Side::Inside, &out(ONE, &pieces[1]));
    assert_eq!(unwrapped(&made, two), pieces[1]);
}

#[test]
pub fn section_6_1_no_port_has_two_holders() {
    let twice = |ports: [PortSet; 2]| {
        let bindings = [ONE, TWO]
            .into_iter()
            .zip(ports)
            .map(|(b4, ports)| SoftwireBinding {
                b4: b4.parse().unwrap(),
                ipv4: SHARED,
                ports,
            });
        Relay::new(RelayConfig::lw4o6(bindings.collect(), end()), [0; 32]).map(|_| ())
    };
    let range = |first, last| PortSet::Range(PortRange::new(first, last).unwrap());
    let refused = |port| {
        Err(RelayConfigError::TwoHolders {
            address: SHARED,
            port,
        })
    };
    assert_eq!(
        twice([range(1_024, 2_047), range(2_000, 3_000)]),
        refused(2_000)
    );
    assert_eq!(twice([range(1_024, 2_047), range(2_048, 3_000)]), Ok(()));
    assert_eq!(twice([range(0, 65_535), range(5, 5)]), refused(5));
    let psid = |psid| binding(ONE, "192.0.2.1", psid).ports;
    assert_eq!(twice([psid(3), psid(3)]), refused(768));
    assert_eq!(twice([psid(3), range(900, 950)]), refused(900));
    let none = RelayConfig::lw4o6(Vec::new(), end());
    assert!(matches!(
        Relay::new(none, [0; 32]),
        Err(RelayConfigError::NoCustomers)
    ));
}

/// RFC 6431 §2.1: any set of ports may be a binding's.
#[test]
pub fn section_6_1_port_sets_of_any_form() {
    let set = |b4: &str, ports| SoftwireBinding {
        b4: b4.parse().unwrap(),
        ipv4: SHARED,
        ports,
    };
    let bindings = vec![
        set(ONE, PortSet::Mask(PortMask::new(0x8000, 0x8003))),
        set(TWO, PortSet::Range(PortRange::new(1_024, 2_047).unwrap())),
    ];
    let mut lab = RelayLab::new(RelayConfig::lw4o6(bindings, end()));
    let packet = udp((SHARED, 0x8004), remote(53)).bytes();
    assert_eq!(lab.out(&out(ONE, &packet)), packet);
    let lie = udp((SHARED, 0x8001), remote(53)).bytes();
    assert_eq!(
        lab.reason(Side::Inside, &out(ONE, &lie)),
        DropReason::SoftwirePort
    );
    let packet = udp(remote(53), (SHARED, 2_000)).bytes();
    assert_eq!(
        unwrapped(&lab.inward(&packet), TWO.parse().unwrap()),
        packet
    );
}

#[test]
pub fn section_8_1_queries_by_their_identifier() {
    let mut lab = lab();
    for packet in [
        echo((remote(0).0, 300), SHARED).bytes(),
        echo_reply(remote(0).0, (SHARED, 300)).bytes(),
        // RFC 5508 §2 calls these queries, too.
        query((remote(0).0, 300), SHARED, 13).bytes(),
        query((remote(0).0, 300), SHARED, 18).bytes(),
    ] {
        assert_eq!(
            unwrapped(&lab.inward(&packet), ONE.parse().unwrap()),
            packet
        );
    }
    let packet = echo_reply(remote(0).0, (SHARED, 1_024)).bytes();
    assert_eq!(lab.reason(Side::Outside, &packet), DropReason::NoMapping);
}

#[test]
pub fn section_8_1_errors_by_what_they_quote() {
    let mut lab = lab();
    for about in [
        udp((SHARED, 300), remote(53)).bytes(),
        tcp((SHARED, 300), remote(443), ACK).bytes(),
        echo((SHARED, 300), remote(0).0).bytes(),
    ] {
        let packet = error(remote(0).0, SHARED, TIME_EXCEEDED, 0, &about).bytes();
        assert_eq!(
            unwrapped(&lab.inward(&packet), ONE.parse().unwrap()),
            packet
        );
    }
    let about = udp((SHARED, 1_024), remote(53)).bytes();
    let packet = error(remote(0).0, SHARED, TIME_EXCEEDED, 0, &about).bytes();
    assert_eq!(lab.reason(Side::Outside, &packet), DropReason::NoMapping);
    // Nothing is told of an error.
    assert!(lab.dropped(Side::Outside, &packet).1.is_empty());
}

#[test]
pub fn section_8_1_all_other_messages_are_dropped() {
    let mut lab = lab();
    for kind in [1, 2, 6, 7, 9, 10, 19, 30, 37, 40, 42, 255] {
        let packet = query(remote(300), SHARED, kind).bytes();
        assert_eq!(
            lab.reason(Side::Outside, &packet),
            DropReason::IcmpType,
            "{kind}"
        );
    }
}

#[test]
pub fn section_9_answers_keep_to_their_rate() {
    let mut config = config();
    config.icmp_rate = 2;
    let mut lab = RelayLab::new(config);
    let lie = out(ONE, &udp((SHARED, 512), remote(53)).bytes());
    let told: usize = (0..10)
        .map(|_| lab.dropped(Side::Inside, &lie).1.len())
        .sum();
    assert_eq!((told, lab.relay.counters().icmp_withheld), (2, 8));
    lab.wait_for(Duration::from_millis(500));
    assert_eq!(lab.dropped(Side::Inside, &lie).1.len(), 1);
}

#[test]
pub fn rfc_6333_section_6_3_fragmentation_is_outside() {
    let mut lab = lab();
    // From the Internet: what is too large is cut in IPv6.
    let large = udp(remote(53), (SHARED, 300))
        .payload_of(2_000)
        .identified(1)
        .bytes();
    let joined: Vec<u8> = lab
        .kept(Side::Outside, &large)
        .iter()
        .flat_map(|piece| read6(&piece.data).payload)
        .collect();
    assert_eq!(joined, large);
    // From the lwB4: it is put together here.
    let inner = udp((SHARED, 300), remote(53)).payload_of(2_000).bytes();
    let mut whole = Vec::new();
    for (first, last, more) in [(0, 1_200, true), (1_200, inner.len(), false)] {
        let part = out(ONE, &inner[first..last]);
        let place = u16::try_from(first / 8).unwrap();
        let piece = with_headers(&part, &[(44, &fragment_header(place, more, 5))]);
        whole.extend(lab.kept(Side::Inside, &piece));
    }
    assert_eq!(whole[0].data, inner);
    // With DF, its sender learns the size; RFC 6333 would have it cut all the same, by choice.
    let large = udp(remote(53), (SHARED, 300)).payload_of(2_000).bytes();
    let (_, told) = lab.dropped(Side::Outside, &large);
    assert_eq!(
        (icmp_kind(&told[0].data), word(&told[0].data, 26)),
        ((3, 4), 1_460)
    );
    assert_eq!(quoted(&told[0].data)[..20], large[..20]);
}

#[test]
pub fn section_8_icmpv6_errors_are_handled_as_rfc_2473_says() {
    let mut lab = lab();
    let inner = udp(remote(53), (SHARED, 300)).bytes();
    let sent = raw6(end(), ONE.parse().unwrap(), 4, &inner);
    let router = "2001:db8:8000::1".parse().unwrap();
    let packet = crate::support::six::icmp6(router, end(), 3, 0, [0; 4], &sent);
    let told = lab.kept(Side::Inside, &packet);
    assert_eq!(
        (told[0].to, icmp_kind(&told[0].data)),
        (Side::Outside, (3, 1))
    );
    assert_eq!(quoted(&told[0].data), inner);
    // RFC 2473 §8.1: what was not put together in time says nothing of the way.
    let late = crate::support::six::icmp6(router, end(), 3, 1, [0; 4], &sent);
    assert_eq!(lab.reason(Side::Inside, &late), DropReason::IcmpType);
}
