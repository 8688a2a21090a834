//! RFC 7599: the border relay of MAP-T.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use portledger_model::MapRule;
use portledger_nat::{DropReason, RelayConfig, Side, translate::Prefix};

use crate::support::{
    packet::{
        ACK, TIME_EXCEEDED, UNREACHABLE, echo, echo_reply, error, fragments, icmp_kind, quoted,
        read, reassembled, renew_header_checksum, tcp, udp,
    },
    reference::{header_checksum_is_right, set_word, transport_checksum_is_right, word},
    relays::{RelayLab, customer, end, internet, map_t, neighbour, rule},
    six::{echo6, fragment_header, icmp6, raw6, read6, tcp6, udp6, with_headers},
};

fn remote(port: u16) -> (Ipv4Addr, u16) {
    (Ipv4Addr::new(10, 2, 3, 4), port)
}

/// The same, as a customer sees it: RFC 7599 Appendix A, example 2.
fn remote6(port: u16) -> (Ipv6Addr, u16) {
    ("2001:db8:ffff:0:a:203:400:0".parse().unwrap(), port)
}

fn own6() -> (Ipv6Addr, u16) {
    (customer().0, customer().1.1)
}

#[test]
pub fn section_8_3_packets_become_ipv4() {
    let mut lab = RelayLab::new(map_t());
    for packet in [
        udp6(own6(), remote6(53), b"words"),
        tcp6(own6(), remote6(443), &[7; 100]),
        echo6(own6(), remote6(0).0, 128, b"abc"),
    ] {
        let made = lab.out(&packet);
        let seen = read(&made);
        assert_eq!(
            (seen.source, seen.destination.0),
            (customer().1, remote(0).0)
        );
        assert!(header_checksum_is_right(&made));
        assert_eq!(transport_checksum_is_right(&made), Some(true));
    }
}

/// Appendix A, example 3.
#[test]
pub fn section_8_4_packets_become_ipv6() {
    let mut lab = RelayLab::new(map_t());
    for packet in [
        udp(remote(53), customer().1).bytes(),
        tcp(remote(443), customer().1, ACK).bytes(),
        echo_reply(remote(0).0, customer().1).bytes(),
        echo((remote(0).0, customer().1.1), customer().1.0).bytes(),
    ] {
        let seen = read6(&lab.inward(&packet));
        assert_eq!(
            (seen.source, seen.destination),
            (remote6(0).0, customer().0)
        );
        assert!(seen.checksum_is_right());
    }
    let packet = udp(remote(53), neighbour().1).bytes();
    assert_eq!(read6(&lab.inward(&packet)).destination, neighbour().0);
    let packet = udp(remote(53), (customer().1.0, 80)).bytes();
    let (reason, told) = lab.dropped(Side::Outside, &packet);
    assert_eq!(
        (reason, icmp_kind(&told[0].data)),
        (DropReason::NoMapping, (3, 1))
    );
}

/// The six ways to lie, each with what it is counted as.
fn lies() -> [(&'static str, Vec<u8>, DropReason); 6] {
    let at = |text: &str| (text.parse::<Ipv6Addr>().unwrap(), customer().1.1);
    let (from, port) = own6();
    [
        // The identifier says another address than the prefix.
        (
            "address",
            udp6(at("2001:db8:12:3400:0:c000:213:34"), remote6(53), b""),
            DropReason::SoftwireAddress,
        ),
        (
            "prefix",
            udp6(at("2001:db9:12:3400:0:c000:212:34"), remote6(53), b""),
            DropReason::UnknownSoftwire,
        ),
        (
            "PSID",
            udp6(at("2001:db8:12:3400:0:c000:212:35"), remote6(53), b""),
            DropReason::SoftwireAddress,
        ),
        (
            "subnet",
            udp6(at("2001:db8:12:3401:0:c000:212:34"), remote6(53), b""),
            DropReason::SoftwireAddress,
        ),
        (
            "port",
            udp6((from, port + 4), remote6(53), b""),
            DropReason::SoftwirePort,
        ),
        (
            "ICMP identifier",
            echo6((from, port + 4), remote6(0).0, 128, b""),
            DropReason::SoftwirePort,
        ),
    ]
}

#[test]
pub fn section_8_3_a_source_that_is_not_the_customer_s_is_dropped_counted_and_told() {
    let mut lab = RelayLab::new(map_t());
    for (lie, packet, reason) in lies() {
        let before = lab.relay.counters().dropped(reason);
        let (dropped, told) = lab.dropped(Side::Inside, &packet);
        assert_eq!(dropped, reason, "{lie}");
        assert_eq!(lab.relay.counters().dropped(reason), before + 1);
        assert_eq!(told[0].to, Side::Inside);
        let seen = read6(&told[0].data);
        assert_eq!(
            (seen.source, seen.payload[0], seen.payload[1]),
            (end(), 1, 5),
            "{lie}"
        );
        assert_eq!(seen.payload[8..], packet);
        assert!(seen.checksum_is_right());
    }
}

#[test]
pub fn section_13_answers_keep_to_their_rate() {
    let mut config = map_t();
    config.icmp_rate = 3;
    let mut lab = RelayLab::new(config);
    let (_, packet, _) = &lies()[4];
    let told: usize = (0..10)
        .map(|_| lab.dropped(Side::Inside, packet).1.len())
        .sum();
    assert_eq!(told, 3);
    assert_eq!(lab.relay.counters().icmp_withheld, 7);
    lab.wait_for(Duration::from_secs(1));
    assert_eq!(lab.dropped(Side::Inside, packet).1.len(), 1);
}

#[test]
pub fn section_5_1_only_the_default_mapping_rule_s_prefix_leads_out() {
    let mut lab = RelayLab::new(map_t());
    let other = ("2001:db8:fffe:0:a:203:400:0".parse().unwrap(), 53);
    assert_eq!(
        lab.reason(Side::Inside, &udp6(own6(), other, b"")),
        DropReason::NotATunnel
    );
    for nobody in ["224.0.0.1", "127.0.0.1", "0.0.0.0"] {
        let to = (internet().embed(nobody.parse().unwrap()), 53);
        assert_eq!(
            lab.reason(Side::Inside, &udp6(own6(), to, b"")),
            DropReason::NotForwardable
        );
    }
}

#[test]
pub fn rfc_6052_no_private_address_behind_the_well_known_prefix() {
    let config = RelayConfig::map_t(vec![rule()], Prefix::WELL_KNOWN, end());
    let mut lab = RelayLab::new(config);
    let to = |text: &str| (Prefix::WELL_KNOWN.embed(text.parse().unwrap()), 53);
    lab.out(&udp6(own6(), to("8.8.8.8"), b""));
    assert_eq!(
        lab.reason(Side::Inside, &udp6(own6(), to("10.2.3.4"), b"")),
        DropReason::WellKnownPrefix
    );
    let packet = udp(remote(53), customer().1).bytes();
    assert_eq!(
        lab.reason(Side::Outside, &packet),
        DropReason::WellKnownPrefix
    );
}

#[test]
pub fn section_9_errors_from_the_outside_find_their_customer() {
    let mut lab = RelayLab::new(map_t());
    for about in [
        udp(customer().1, remote(53)).bytes(),
        tcp(customer().1, remote(443), ACK).bytes(),
        echo(customer().1, remote(0).0).bytes(),
    ] {
        let router = Ipv4Addr::new(203, 0, 113, 9);
        let packet = error(router, customer().1.0, TIME_EXCEEDED, 0, &about).bytes();
        let seen = read6(&lab.inward(&packet));
        assert_eq!(
            (seen.source, seen.destination),
            (internet().embed(router), customer().0)
        );
        assert_eq!(seen.payload[..2], [3, 0]);
        assert!(seen.checksum_is_right());
        // What it quotes is what the customer sent.
        assert_eq!(seen.payload[8 + 8..8 + 24], customer().0.octets());
        assert_eq!(seen.payload[8 + 24..8 + 40], remote6(0).0.octets());
    }
}

/// About a fragment that shows no port. Appendix A, example 4, is of an address that nobody shares.
#[test]
pub fn section_9_errors_about_a_whole_address_go_by_it_alone() {
    let whole = udp(customer().1, remote(53)).payload_of(900).identified(7);
    let later = &fragments(&whole.bytes(), &[304])[1];
    let router = Ipv4Addr::new(203, 0, 113, 9);
    let packet = error(router, customer().1.0, TIME_EXCEEDED, 1, later).bytes();
    let rule = MapRule::new(
        "2001:db8:12:3400::/56".parse().unwrap(),
        "192.0.2.18/32".parse().unwrap(),
        0,
        6,
    );
    let mut lab = RelayLab::new(RelayConfig::map_t(vec![rule.unwrap()], internet(), end()));
    let seen = read6(&lab.inward(&packet));
    let own: Ipv6Addr = "2001:db8:12:3400:0:c000:212:0".parse().unwrap();
    assert_eq!(
        (seen.source, seen.destination),
        (internet().embed(router), own)
    );
    assert_eq!(seen.payload[8 + 8..8 + 24], own.octets());
    // Of those who share one it is nobody's, not the first one's.
    let mut lab = RelayLab::new(map_t());
    assert_eq!(lab.reason(Side::Outside, &packet), DropReason::NoMapping);
}

#[test]
pub fn section_9_errors_from_the_inside_are_translated_with_what_they_quote() {
    let mut lab = RelayLab::new(map_t());
    let about = udp6(remote6(53), own6(), &[1; 60]);
    // From the customer's own device, and from a router on the way (RFC 6791).
    let router = "2001:db8:8000::1".parse().unwrap();
    for (from, source) in [
        (customer().0, customer().1.0),
        (router, Ipv4Addr::new(192, 0, 0, 8)),
    ] {
        let made = lab.out(&icmp6(from, remote6(0).0, 1, 4, [0; 4], &about));
        let seen = read(&made);
        assert_eq!((seen.source.0, seen.destination.0), (source, remote(0).0));
        assert_eq!(icmp_kind(&made), (UNREACHABLE, 3));
        assert_eq!(transport_checksum_is_right(&made), Some(true));
        let inner = read(quoted(&made));
        assert_eq!(
            (inner.source, inner.destination),
            (remote(53), customer().1)
        );
    }
    // About what was never the customer's, or never from whom it goes to.
    let about = udp6(remote6(53), (customer().0, neighbour().1.1), &[1; 60]);
    let packet = icmp6(router, remote6(0).0, 1, 4, [0; 4], &about);
    assert_eq!(lab.reason(Side::Inside, &packet), DropReason::SoftwirePort);
    let about = udp6(remote6(53), own6(), &[1; 60]);
    let other = internet().embed(Ipv4Addr::new(10, 9, 9, 9));
    let packet = icmp6(router, other, 1, 4, [0; 4], &about);
    assert_eq!(lab.reason(Side::Inside, &packet), DropReason::NoMapping);
}

#[test]
pub fn section_9_packet_too_big_in_both_directions() {
    let mut lab = RelayLab::new(map_t());
    let about = udp6(remote6(53), own6(), &[1; 60]);
    let router = "2001:db8:8000::1".parse().unwrap();
    let packet = icmp6(router, remote6(0).0, 2, 0, 1_400_u32.to_be_bytes(), &about);
    let made = lab.out(&packet);
    assert_eq!((icmp_kind(&made), word(&made, 26)), ((3, 4), 1_380));
    let large = udp(remote(53), customer().1).payload_of(1_453).bytes();
    let (reason, told) = lab.dropped(Side::Outside, &large);
    assert_eq!(reason, DropReason::TooBig);
    assert_eq!(
        (icmp_kind(&told[0].data), word(&told[0].data, 26)),
        ((3, 4), 1_480)
    );
}

#[test]
pub fn section_10_1_what_may_be_cut_is_cut() {
    let mut lab = RelayLab::new(map_t());
    let packet = udp(remote(53), customer().1)
        .payload_of(3_000)
        .identified(5)
        .bytes();
    let pieces = lab.kept(Side::Outside, &packet);
    let mut whole = read6(&pieces[0].data);
    whole.payload.clear();
    for piece in pieces {
        assert!(piece.data.len() <= 1_280);
        whole.payload.extend(read6(&piece.data).payload);
    }
    assert!(whole.checksum_is_right());
    // To an IPv4 link that is narrower than any of IPv6.
    let mut config = map_t();
    config.mtu.outside = 600;
    let mut lab = RelayLab::new(config);
    let out: Vec<_> = lab
        .kept(Side::Inside, &udp6(own6(), remote6(53), &[1; 1_200]))
        .into_iter()
        .map(|piece| piece.data)
        .collect();
    assert!(out.iter().all(|piece| piece.len() <= 600));
    assert_eq!(transport_checksum_is_right(&reassembled(&out)), Some(true));
    let (reason, told) = lab.dropped(Side::Inside, &udp6(own6(), remote6(53), &[1; 1_300]));
    assert_eq!(reason, DropReason::TooBig);
    assert_eq!(read6(&told[0].data).payload[0], 2);
}

#[test]
pub fn section_10_2_later_fragments_follow_their_first() {
    let mut lab = RelayLab::new(map_t());
    let whole = udp(remote(53), customer().1)
        .payload_of(900)
        .identified(9)
        .bytes();
    let pieces = fragments(&whole, &[304, 304]);
    assert!(lab.kept(Side::Outside, &pieces[1]).is_empty());
    let passed = lab.pass(Side::Outside, &pieces[0]);
    let last = lab.inward(&pieces[2]);
    let mut joined = Vec::new();
    for piece in [&passed.bytes, &passed.emitted[0].data, &last] {
        let seen = read6(piece);
        assert_eq!(seen.destination, customer().0);
        assert_eq!(seen.fragment.unwrap().0, joined.len());
        joined.extend(seen.payload);
    }
    let mut seen = read6(&last);
    seen.payload = joined;
    assert!(seen.checksum_is_right());
}

#[test]
pub fn section_10_3_fragments_from_the_inside_are_checked_and_keep_their_identification() {
    let mut lab = RelayLab::new(map_t());
    let piece = |from: (Ipv6Addr, u16), first: usize, end: usize, more, identification| {
        let whole = udp6(from, remote6(53), &[9; 600]);
        let part = raw6(from.0, remote6(0).0, 17, &whole[40 + first..40 + end]);
        let place = u16::try_from(first / 8).unwrap();
        with_headers(
            &part,
            &[(44, &fragment_header(place, more, identification))],
        )
    };
    assert!(
        lab.kept(Side::Inside, &piece(own6(), 304, 608, false, 0x1_0005))
            .is_empty()
    );
    let passed = lab.pass(Side::Inside, &piece(own6(), 0, 304, true, 0x1_0005));
    let out = [passed.bytes, passed.emitted[0].data.clone()];
    assert!(out.iter().all(|piece| word(piece, 4) == 5));
    assert_eq!(transport_checksum_is_right(&reassembled(&out)), Some(true));
    let liar = (customer().0, neighbour().1.1);
    assert_eq!(
        lab.reason(Side::Inside, &piece(liar, 0, 304, true, 6)),
        DropReason::SoftwirePort
    );
    assert_eq!(
        lab.reason(Side::Inside, &piece(liar, 304, 608, false, 6)),
        DropReason::FragmentOfDropped
    );
}

#[test]
pub fn section_12_2_hairpinned_packets_are_translated_twice() {
    let mut lab = RelayLab::new(map_t());
    // The neighbour by its IPv4 address.
    let to = (internet().embed(neighbour().1.0), neighbour().1.1);
    let packet = udp6(own6(), to, b"hello");
    let seen = read6(&lab.sent(Side::Inside, Side::Inside, &packet));
    assert_eq!(seen.source, internet().embed(customer().1.0));
    assert_eq!(seen.destination, neighbour().0);
    assert_eq!(seen.ports(), (customer().1.1, neighbour().1.1));
    assert!(seen.checksum_is_right());
    // An error back.
    let about = udp6(
        (internet().embed(customer().1.0), customer().1.1),
        (neighbour().0, neighbour().1.1),
        b"hello",
    );
    let to = internet().embed(customer().1.0);
    let packet = icmp6(neighbour().0, to, 1, 4, [0; 4], &about);
    let seen = read6(&lab.sent(Side::Inside, Side::Inside, &packet));
    assert_eq!(seen.destination, customer().0);
    assert_eq!(seen.payload[..2], [1, 4]);
    assert!(seen.checksum_is_right());
    let mut config = map_t();
    config.hairpinning = false;
    let mut lab = RelayLab::new(config);
    let to = (internet().embed(neighbour().1.0), neighbour().1.1);
    assert_eq!(
        lab.reason(Side::Inside, &udp6(own6(), to, b"")),
        DropReason::HairpinningOff
    );
}

/// Section 6, erratum 5225: a customer with an IPv4 prefix is reached at, and sends from, an
/// address that holds all of the IPv4 address.
#[test]
pub fn section_6_a_prefix_of_ipv4_addresses_keeps_its_host_bits() {
    let rule = MapRule::new(
        "2001:db8::/40".parse().unwrap(),
        "192.0.2.0/24".parse().unwrap(),
        4,
        6,
    );
    let config = RelayConfig::map_t(vec![rule.unwrap()], internet(), end());
    let mut lab = RelayLab::new(config);
    // 192.0.2.16/28 is the customer's with the EA bits 1.
    let own: (Ipv6Addr, u16) = ("2001:db8:10::c000:212:0".parse().unwrap(), 80);
    let packet = udp(remote(53), (Ipv4Addr::new(192, 0, 2, 18), 80)).bytes();
    assert_eq!(read6(&lab.inward(&packet)).destination, own.0);
    let made = lab.out(&udp6(own, remote6(53), b""));
    assert_eq!(read(&made).source, (Ipv4Addr::new(192, 0, 2, 18), 80));
    let lie: (Ipv6Addr, u16) = ("2001:db8:10::c000:222:0".parse().unwrap(), 80);
    let told = lab.reason(Side::Inside, &udp6(lie, remote6(53), b""));
    assert_eq!(told, DropReason::SoftwireAddress);
}

#[test]
pub fn section_8_4_identifications_of_one_pair_do_not_repeat() {
    let mut lab = RelayLab::new(map_t());
    let mut seen = std::collections::HashSet::new();
    for _ in 0..65_536 {
        let made = lab.out(&udp6(own6(), remote6(53), b""));
        assert!(seen.insert(word(&made, 4)));
    }
}

#[test]
pub fn section_9_other_icmp_messages_are_dropped() {
    let mut lab = RelayLab::new(map_t());
    let mut timestamp = echo((remote(0).0, customer().1.1), customer().1.0).bytes();
    timestamp[20] = 13;
    set_word(&mut timestamp, 22, 0);
    renew_header_checksum(&mut timestamp);
    assert_eq!(lab.reason(Side::Outside, &timestamp), DropReason::IcmpType);
    let solicitation = icmp6(customer().0, remote6(0).0, 135, 0, [0; 4], &[0; 16]);
    assert_eq!(
        lab.reason(Side::Inside, &solicitation),
        DropReason::IcmpType
    );
}
