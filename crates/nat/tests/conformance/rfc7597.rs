//! RFC 7597: the border relay of MAP-E.

use portledger_model::{MapRule, PortParameters};
use portledger_nat::{DropReason, Relay, RelayConfig, RelayConfigError, Side};

use crate::support::{
    packet::{
        ACK, Draft, SYN, TIME_EXCEEDED, UNREACHABLE, echo, echo_reply, error, fragments, icmp_kind,
        quoted, read, renew_header_checksum, tcp, udp,
    },
    reference::{header_checksum_is_right, transport_checksum_is_right, word},
    relays::{RelayLab, customer, end, map_e, neighbour, rule, unwrapped, wrapped},
    six::{echo6, icmp6, raw6, read6, with_headers},
};

pub fn remote(port: u16) -> (std::net::Ipv4Addr, u16) {
    (std::net::Ipv4Addr::new(198, 51, 100, 7), port)
}

/// A packet of each transport from the customer.
fn from_customer() -> [Draft; 3] {
    let (_, own) = customer();
    [
        udp(own, remote(53)),
        tcp(own, remote(443), ACK).payload_of(100),
        echo(own, remote(0).0),
    ]
}

/// And to it.
fn to_customer() -> [Draft; 3] {
    let (_, own) = customer();
    [
        udp(remote(53), own),
        tcp(remote(443), own, ACK).payload_of(100),
        echo_reply(remote(0).0, own),
    ]
}

#[test]
pub fn section_8_packets_are_unwrapped_and_wrapped() {
    let mut lab = RelayLab::new(map_e());
    let (from, _) = customer();
    for draft in from_customer() {
        assert_eq!(lab.out(&wrapped(from, &draft.bytes())), draft.bytes());
    }
    for draft in to_customer() {
        let mut packet = draft.bytes();
        packet[1] = 0xB9;
        renew_header_checksum(&mut packet);
        let made = lab.inward(&packet);
        assert_eq!(unwrapped(&made, from), packet);
        let seen = read6(&made);
        assert_eq!((seen.class, seen.hops), (0xB9, 64));
    }
}

#[test]
pub fn section_5_3_each_port_finds_its_holder() {
    let mut lab = RelayLab::new(map_e());
    for (address, port, wanted) in [
        (customer().1.0, 1_235, customer().0),
        (customer().1.0, 64_723, customer().0),
        (customer().1.0, 1_239, neighbour().0),
        // 192.0.2.0, PSID 0.
        (
            "192.0.2.0".parse().unwrap(),
            1_024,
            "2001:db8::c000:200:0".parse().unwrap(),
        ),
        (
            "192.0.2.255".parse().unwrap(),
            65_535,
            "2001:db8:ff:ff00:0:c000:2ff:ff".parse().unwrap(),
        ),
    ] {
        let packet = udp(remote(53), (address, port)).bytes();
        assert_eq!(unwrapped(&lab.inward(&packet), wanted), packet);
    }
    // With an offset of six bits the ports below 1,024 are nobody's.
    let packet = udp(remote(53), (customer().1.0, 1_023)).bytes();
    let (reason, told) = lab.dropped(Side::Outside, &packet);
    assert_eq!(reason, DropReason::NoMapping);
    assert_eq!(icmp_kind(&told[0].data), (3, 1));
    assert_eq!(told[0].to, Side::Outside);
}

#[test]
pub fn section_7_2_the_relay_s_address_is_the_source_of_what_it_relays() {
    let mut lab = RelayLab::new(map_e());
    let packet = udp(remote(53), customer().1).bytes();
    assert_eq!(read6(&lab.inward(&packet)).source, end());
    // And what is not for it is not taken.
    let other = "2001:db8:ffff::2".parse().unwrap();
    let packet = raw6(
        customer().0,
        other,
        4,
        &udp(customer().1, remote(53)).bytes(),
    );
    assert_eq!(lab.reason(Side::Inside, &packet), DropReason::NotATunnel);
}

/// The six ways to lie of a relay's customer, each with what it is counted as.
fn lies() -> [(&'static str, Vec<u8>, DropReason); 6] {
    let (from, own) = customer();
    let honest = udp(own, remote(53)).bytes();
    let at = |text: &str| text.parse().unwrap();
    [
        (
            "address",
            wrapped(
                from,
                &udp(("192.0.2.19".parse().unwrap(), own.1), remote(53)).bytes(),
            ),
            DropReason::SoftwireSource,
        ),
        (
            "prefix",
            wrapped(at("2001:db9:12:3400:0:c000:212:34"), &honest),
            DropReason::UnknownSoftwire,
        ),
        (
            "PSID",
            wrapped(at("2001:db8:12:3400:0:c000:212:35"), &honest),
            DropReason::SoftwireAddress,
        ),
        (
            "subnet",
            wrapped(at("2001:db8:12:3401:0:c000:212:34"), &honest),
            DropReason::SoftwireAddress,
        ),
        (
            "port",
            wrapped(from, &udp((own.0, neighbour().1.1), remote(53)).bytes()),
            DropReason::SoftwirePort,
        ),
        (
            "ICMP identifier",
            wrapped(from, &echo((own.0, neighbour().1.1), remote(0).0).bytes()),
            DropReason::SoftwirePort,
        ),
    ]
}

#[test]
pub fn section_8_1_a_source_that_is_not_the_customer_s_is_dropped_and_counted() {
    let mut lab = RelayLab::new(map_e());
    for (lie, packet, reason) in lies() {
        let before = lab.relay.counters().dropped(reason);
        let (dropped, told) = lab.dropped(Side::Inside, &packet);
        assert_eq!(dropped, reason, "{lie}");
        assert!(told.is_empty(), "in silence: {lie}");
        assert_eq!(lab.relay.counters().dropped(reason), before + 1);
    }
    // The neighbour's prefix with the neighbour's PSID, but the customer's packet.
    let packet = wrapped(neighbour().0, &udp(customer().1, remote(53)).bytes());
    assert_eq!(lab.reason(Side::Inside, &packet), DropReason::SoftwirePort);
}

#[test]
pub fn section_8_1_where_it_is_configured_a_liar_is_told() {
    let mut config = map_e();
    config.refusals.spoofed = true;
    let mut lab = RelayLab::new(config);
    for (lie, packet, _) in lies() {
        let (_, told) = lab.dropped(Side::Inside, &packet);
        let seen = read6(&told[0].data);
        assert_eq!(seen.payload[..2], [1, 5], "{lie}");
        assert_eq!(seen.payload[8..], packet);
        assert!(seen.checksum_is_right());
    }
    // But nobody who is not one host.
    let packet = wrapped(
        "ff02::1".parse().unwrap(),
        &udp(customer().1, remote(53)).bytes(),
    );
    assert!(lab.dropped(Side::Inside, &packet).1.is_empty());
}

#[test]
pub fn section_8_1_an_error_s_source_and_what_it_quotes_are_checked() {
    let mut lab = RelayLab::new(map_e());
    let (from, own) = customer();
    let about = udp(remote(53), own).bytes();
    let honest = error(own.0, remote(0).0, UNREACHABLE, 3, &about).bytes();
    assert_eq!(lab.out(&wrapped(from, &honest)), honest);
    let other = error(
        "192.0.2.19".parse().unwrap(),
        remote(0).0,
        UNREACHABLE,
        3,
        &about,
    )
    .bytes();
    assert_eq!(
        lab.reason(Side::Inside, &wrapped(from, &other)),
        DropReason::SoftwireSource
    );
    // About the neighbour's packet.
    let about = udp(remote(53), neighbour().1).bytes();
    let other = error(own.0, remote(0).0, UNREACHABLE, 3, &about).bytes();
    assert_eq!(
        lab.reason(Side::Inside, &wrapped(from, &other)),
        DropReason::SoftwirePort
    );
    // About a query, by its identifier.
    let about = echo(remote(neighbour().1.1), own.0).bytes();
    let other = error(own.0, remote(0).0, UNREACHABLE, 3, &about).bytes();
    assert_eq!(
        lab.reason(Side::Inside, &wrapped(from, &other)),
        DropReason::SoftwirePort
    );
}

#[test]
pub fn section_8_1_from_the_outside_nobody_is_a_customer() {
    let mut lab = RelayLab::new(map_e());
    let packet = udp(neighbour().1, customer().1).bytes();
    assert_eq!(lab.reason(Side::Outside, &packet), DropReason::Spoofed);
    let packet = udp(remote(53), ("203.0.113.1".parse().unwrap(), 5_000)).bytes();
    assert_eq!(lab.reason(Side::Outside, &packet), DropReason::NotExternal);
}

#[test]
pub fn section_8_hairpinned_packets_are_wrapped_again() {
    let mut lab = RelayLab::new(map_e());
    let packet = udp(customer().1, neighbour().1).bytes();
    let made = lab.sent(Side::Inside, Side::Inside, &wrapped(customer().0, &packet));
    assert_eq!(unwrapped(&made, neighbour().0), packet);
    assert_eq!(lab.relay.counters().hairpinned, 1);
    // To a port that is nobody's: its sender is told through its softwire.
    let packet = udp(customer().1, (neighbour().1.0, 80)).bytes();
    let passed = lab.pass(Side::Inside, &wrapped(customer().0, &packet));
    let told = unwrapped(&passed.emitted[0].data, customer().0);
    assert_eq!(icmp_kind(&told), (3, 1));
    assert_eq!(quoted(&told), packet);
}

#[test]
pub fn section_8_2_icmp_finds_its_customer() {
    let mut lab = RelayLab::new(map_e());
    let (from, own) = customer();
    // By the identifier.
    let packet = echo((remote(0).0, own.1), own.0).bytes();
    assert_eq!(unwrapped(&lab.inward(&packet), from), packet);
    // By what an error quotes.
    for draft in from_customer() {
        let about = draft.bytes();
        for shown in [28, about.len()] {
            let packet = error(remote(0).0, own.0, TIME_EXCEEDED, 0, &about[..shown]).bytes();
            assert_eq!(unwrapped(&lab.inward(&packet), from), packet);
        }
    }
    // An error that is not for whoever sent what it quotes.
    let about = udp(own, remote(53)).bytes();
    let other = "192.0.2.19".parse().unwrap();
    let packet = error(remote(0).0, other, TIME_EXCEEDED, 0, &about).bytes();
    assert_eq!(lab.reason(Side::Outside, &packet), DropReason::NoMapping);
}

/// What an IPv6 router says of a packet of the relay's to the customer.
fn about_tunnel(kind: u8, rest: u32, inner: &[u8]) -> Vec<u8> {
    let sent = raw6(end(), customer().0, 4, inner);
    let router = "2001:db8:8000::1".parse().unwrap();
    icmp6(router, end(), kind, 0, rest.to_be_bytes(), &sent)
}

#[test]
pub fn section_8_2_errors_inside_the_tunnel_are_told_to_the_original_source() {
    let mut lab = RelayLab::new(map_e());
    let inner = udp(remote(53), customer().1).payload_of(1_000).bytes();
    for (kind, rest, told) in [
        (1, 0, (3, 1)),
        (2, 1_400, (3, 4)),
        (3, 0, (3, 1)),
        (4, 40, (3, 1)),
    ] {
        let emitted = lab.kept(Side::Inside, &about_tunnel(kind, rest, &inner[..200]));
        let packet = &emitted[0].data;
        assert_eq!(emitted[0].to, Side::Outside);
        assert_eq!(icmp_kind(packet), told);
        assert_eq!(read(packet).destination.0, remote(0).0);
        assert_eq!(transport_checksum_is_right(packet), Some(true));
        if kind == 2 {
            assert_eq!(word(packet, 26), 1_360);
        }
    }
    // RFC 2473 §8.3: of what may be cut nobody is told.
    let may_be_cut = udp(remote(53), customer().1).identified(1).bytes();
    assert!(
        lab.dropped(Side::Inside, &about_tunnel(2, 1_400, &may_be_cut))
            .1
            .is_empty()
    );
    // Nor of what we never sent there.
    let never = udp(remote(53), neighbour().1).bytes();
    assert_eq!(
        lab.reason(Side::Inside, &about_tunnel(1, 0, &never)),
        DropReason::NoMapping
    );
    let mut broken = about_tunnel(1, 0, &inner);
    broken[44] ^= 1;
    assert_eq!(lab.reason(Side::Inside, &broken), DropReason::IcmpChecksum);
    let ping = echo6((customer().0, 9), end(), 128, b"");
    assert_eq!(lab.reason(Side::Inside, &ping), DropReason::IcmpType);
}

#[test]
pub fn section_8_what_has_no_ports_passes_for_whole_addresses_only() {
    // GRE.
    let gre = |from: std::net::Ipv4Addr| {
        let mut packet = udp((from, 1), remote(2)).bytes();
        packet[9] = 47;
        renew_header_checksum(&mut packet);
        packet
    };
    let mut lab = RelayLab::new(map_e());
    let packet = wrapped(customer().0, &gre(customer().1.0));
    assert_eq!(lab.reason(Side::Inside, &packet), DropReason::SoftwirePort);
    // RFC 7597 Appendix A, example 4: an address of its own.
    let rule = MapRule::new(
        "2001:db8:12:3400::/56".parse().unwrap(),
        "192.0.2.18/32".parse().unwrap(),
        0,
        6,
    );
    let mut lab = RelayLab::new(RelayConfig::map_e(vec![rule.unwrap()], end()));
    let own = "2001:db8:12:3400:0:c000:212:0".parse().unwrap();
    assert_eq!(
        lab.out(&wrapped(own, &gre(customer().1.0))),
        gre(customer().1.0)
    );
    let whole = udp(remote(53), customer().1)
        .payload_of(900)
        .identified(9)
        .bytes();
    let later = &fragments(&whole, &[304])[1];
    assert_eq!(unwrapped(&lab.inward(later), own), *later, "none waits");
}

/// RFC 7597 Appendix A, example 5: rules of one customer each, who share an address.
#[test]
pub fn section_5_2_a_psid_may_be_told_beside_the_rule() {
    let parameters = PortParameters::new(6, 8).unwrap();
    let told = |ipv6: &str, psid| {
        let ipv4 = "192.0.2.18/32".parse().unwrap();
        MapRule::with_psid(ipv6.parse().unwrap(), ipv4, parameters, psid).unwrap()
    };
    let rules = vec![
        told("2001:db8:12:3400::/56", 0x34),
        told("2001:db8:77:100::/56", 0x35),
    ];
    let mut lab = RelayLab::new(RelayConfig::map_e(rules.clone(), end()));
    let packet = udp(remote(53), customer().1).bytes();
    assert_eq!(unwrapped(&lab.inward(&packet), customer().0), packet);
    let other = "2001:db8:77:100:0:c000:212:35".parse().unwrap();
    let packet = udp(remote(53), neighbour().1).bytes();
    assert_eq!(unwrapped(&lab.inward(&packet), other), packet);
    let lie = wrapped(other, &udp(customer().1, remote(53)).bytes());
    assert_eq!(lab.reason(Side::Inside, &lie), DropReason::SoftwirePort);
    // A port has one holder.
    let twice = vec![rules[0], told("2001:db8:78::/56", 0x34)];
    assert_eq!(
        Relay::new(RelayConfig::map_e(twice, end()), [0; 32]).unwrap_err(),
        RelayConfigError::TwoHolders {
            address: customer().1.0,
            port: 1_232
        }
    );
}

#[test]
pub fn section_8_1_the_longest_match_holds_in_both_directions() {
    let single = MapRule::new(
        "2001:db8:ff00::/56".parse().unwrap(),
        "192.0.2.18/32".parse().unwrap(),
        0,
        6,
    );
    let rules = vec![rule(), single.unwrap()];
    let mut lab = RelayLab::new(RelayConfig::map_e(rules, end()));
    let own = "2001:db8:ff00:0:0:c000:212:0".parse().unwrap();
    let packet = udp(remote(53), customer().1).bytes();
    assert_eq!(unwrapped(&lab.inward(&packet), own), packet);
    // Whoever had the address by the shorter match has it no longer.
    let packet = udp(customer().1, remote(53)).bytes();
    assert_eq!(
        lab.reason(Side::Inside, &wrapped(customer().0, &packet)),
        DropReason::SoftwireSource
    );
    assert_eq!(lab.out(&wrapped(own, &packet)), packet);
    let again = RelayConfig::map_e(vec![rule(), rule()], end());
    assert!(matches!(
        Relay::new(again, [0; 32]),
        Err(RelayConfigError::TwoRules(_))
    ));
}

#[test]
pub fn rfc_2473_extension_headers_are_walked_over_and_tunnels_in_tunnels_dropped() {
    let mut lab = RelayLab::new(map_e());
    let inner = udp(customer().1, remote(53)).bytes();
    let packet = wrapped(customer().0, &inner);
    // The encapsulation limit of RFC 2473 §4.1.1.
    let limit: &[u8] = &[0, 4, 1, 4, 1, 0, 0];
    let limited = with_headers(&packet, &[(60, limit)]);
    assert_eq!(lab.out(&limited), inner);
    let nested = raw6(customer().0, end(), 41, &packet);
    assert_eq!(lab.reason(Side::Inside, &nested), DropReason::NestedTunnel);
    let mut nested = inner;
    for protocol in [4, 41] {
        nested[9] = protocol;
        renew_header_checksum(&mut nested);
        let packet = wrapped(customer().0, &nested);
        assert_eq!(lab.reason(Side::Inside, &packet), DropReason::NestedTunnel);
    }
}

#[test]
pub fn rfc_6040_marks_of_congestion_are_carried_over() {
    let mut lab = RelayLab::new(map_e());
    for (inner_mark, outer_mark, wanted) in [(1, 3, Some(3)), (2, 0, Some(2)), (0, 3, None)] {
        let mut inner = udp(customer().1, remote(53)).bytes();
        inner[1] = inner_mark;
        renew_header_checksum(&mut inner);
        let mut packet = wrapped(customer().0, &inner);
        packet[1] = outer_mark << 4;
        match wanted {
            Some(mark) => {
                let made = lab.out(&packet);
                assert_eq!(made[1] & 3, mark);
                assert!(header_checksum_is_right(&made));
            }
            None => assert_eq!(lab.reason(Side::Inside, &packet), DropReason::Congested),
        }
    }
}

#[test]
pub fn rfc_2473_hops_are_counted_where_it_is_configured() {
    let mut config = map_e();
    config.counts_as_hop = true;
    let mut lab = RelayLab::new(config);
    let mut inner = udp(customer().1, remote(53)).bytes();
    assert_eq!(lab.out(&wrapped(customer().0, &inner))[8], 63);
    inner[8] = 1;
    renew_header_checksum(&mut inner);
    let passed = lab.pass(Side::Inside, &wrapped(customer().0, &inner));
    let told = unwrapped(&passed.emitted[0].data, customer().0);
    assert_eq!(icmp_kind(&told), (11, 0));
    let mut packet = udp(remote(53), customer().1).bytes();
    let made = unwrapped(&lab.inward(&packet), customer().0);
    assert_eq!(made[8], 63);
    assert!(header_checksum_is_right(&made));
    packet[8] = 1;
    renew_header_checksum(&mut packet);
    let (_, told) = lab.dropped(Side::Outside, &packet);
    assert_eq!(icmp_kind(&told[0].data), (11, 0));
}

#[test]
pub fn section_8_3_the_segment_size_can_be_lowered() {
    let mut config = map_e();
    config.mss = Some(1_400);
    let mut lab = RelayLab::new(config);
    let syn = |from, to| {
        let mut packet = tcp(from, to, SYN).bytes();
        packet[32] = 0x60;
        packet.extend([2, 4, 5, 0xB4]);
        let length = u16::try_from(packet.len()).unwrap();
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        renew_header_checksum(&mut packet);
        packet
    };
    let out = lab.out(&wrapped(customer().0, &syn(customer().1, remote(443))));
    assert_eq!(word(&out, 42), 1_400);
    let made = lab.inward(&syn(remote(443), customer().1));
    assert_eq!(word(&unwrapped(&made, customer().0), 42), 1_400);
}

#[test]
pub fn rfc_2473_what_lies_behind_the_packet_is_not_in_it() {
    let mut lab = RelayLab::new(map_e());
    let inner = udp(customer().1, remote(53)).payload_of(100).bytes();
    let mut packet = wrapped(customer().0, &inner);
    packet.extend([0xAA; 20]);
    assert_eq!(lab.out(&packet), inner);
    // An IPv4 packet that says it is longer than what wraps it.
    let shorter = u16::try_from(inner.len() - 8).unwrap();
    packet[4..6].copy_from_slice(&shorter.to_be_bytes());
    assert_eq!(lab.reason(Side::Inside, &packet), DropReason::Truncated);
}

#[test]
pub fn section_8_2_errors_in_pieces_are_dropped() {
    let mut lab = RelayLab::new(map_e());
    let about = udp(customer().1, remote(53)).payload_of(100).bytes();
    let packet = error(remote(0).0, customer().1.0, UNREACHABLE, 1, &about)
        .identified(3)
        .bytes();
    let first = &fragments(&packet, &[64])[0];
    assert_eq!(lab.reason(Side::Outside, first), DropReason::Malformed);
}
