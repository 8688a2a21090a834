//! RFC 7597: the border relay of MAP-E.

use std::time::Duration;

use portledger_model::{MapRule, PortParameters};
use portledger_nat::{DropReason, Relay, RelayConfig, RelayConfigError, Side};

use crate::support::{
    packet::{
        ACK, Draft, SYN, TIME_EXCEEDED, UNREACHABLE, echo, echo_reply, error, fragments, icmp_kind,
        quoted, read, reassembled, renew_header_checksum, tcp, udp,
    },
    reference::{header_checksum_is_right, transport_checksum_is_right, word},
    relays::{RelayLab, customer, end, map_e, neighbour, rule, unwrapped, wrapped},
    six::{echo6, fragment_header, icmp6, raw6, read6, with_headers},
};

fn remote(port: u16) -> (std::net::Ipv4Addr, u16) {
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
    // RFC 2473 §8.2: of what may be cut nobody is told.
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
pub fn section_8_3_1_what_is_too_large_is_answered_or_cut_outside() {
    let mut lab = RelayLab::new(map_e());
    let fits = udp(remote(53), customer().1).payload_of(1_432).bytes();
    assert_eq!(lab.inward(&fits).len(), 1_500);
    let large = udp(remote(53), customer().1).payload_of(1_433);
    let (reason, told) = lab.dropped(Side::Outside, &large.bytes());
    assert_eq!(reason, DropReason::TooBig);
    assert_eq!(
        (icmp_kind(&told[0].data), word(&told[0].data, 26)),
        ((3, 4), 1_460)
    );
    // RFC 2473 §7.2 (b): the IPv4 packet is whole behind the softwire.
    let may_be_cut = large.payload_of(3_000).identified(77).bytes();
    let mut joined = Vec::new();
    let mut identifications = Vec::new();
    for piece in lab.kept(Side::Outside, &may_be_cut) {
        assert!(piece.data.len() <= 1_500);
        let seen = read6(&piece.data);
        let (offset, _, identification) = seen.fragment.unwrap();
        assert_eq!((seen.destination, offset), (customer().0, joined.len()));
        identifications.push(identification);
        joined.extend(seen.payload);
    }
    assert_eq!(joined, may_be_cut);
    assert!(identifications.iter().all(|&one| one == identifications[0]));
    // By choice, also what must not be cut.
    let mut config = map_e();
    config.honour_dont_fragment = false;
    let mut lab = RelayLab::new(config);
    let large = udp(remote(53), customer().1).payload_of(2_000).bytes();
    assert_eq!(lab.kept(Side::Outside, &large).len(), 2);
}

#[test]
pub fn section_8_3_1_what_was_cut_in_ipv6_is_put_together() {
    let mut lab = RelayLab::new(map_e());
    let (from, own) = customer();
    let inner = udp(own, remote(53)).payload_of(2_000).bytes();
    let pieces: Vec<Vec<u8>> = [(0, 1_024, true), (1_024, inner.len(), false)]
        .map(|(first, end, more)| {
            let part = wrapped(from, &inner[first..end]);
            let place = u16::try_from(first / 8).unwrap();
            with_headers(&part, &[(44, &fragment_header(place, more, 5))])
        })
        .into();
    assert!(lab.kept(Side::Inside, &pieces[1]).is_empty());
    let out = lab.kept(Side::Inside, &pieces[0]);
    assert_eq!((out[0].to, &out[0].data), (Side::Outside, &inner));
    // What does not come in time is forgotten.
    lab.kept(Side::Inside, &pieces[0]);
    assert!(lab.relay.is_waiting());
    lab.wait_for(Duration::from_secs(3));
    assert!(!lab.relay.is_waiting());
    assert_eq!(lab.relay.counters().dropped(DropReason::FragmentTimeout), 1);
    // A liar's pieces are checked when they are whole.
    let inner = udp(neighbour().1, remote(53)).payload_of(100).bytes();
    for (first, end, more) in [(0, 64, true), (64, inner.len(), false)] {
        let part = wrapped(from, &inner[first..end]);
        let place = u16::try_from(first / 8).unwrap();
        let piece = with_headers(&part, &[(44, &fragment_header(place, more, 6))]);
        assert!(lab.kept(Side::Inside, &piece).is_empty());
    }
    assert_eq!(lab.relay.counters().dropped(DropReason::SoftwirePort), 1);
}

#[test]
pub fn section_8_3_2_later_fragments_follow_their_first() {
    let mut lab = RelayLab::new(map_e());
    let whole = udp(remote(53), customer().1)
        .payload_of(900)
        .identified(9)
        .bytes();
    let pieces = fragments(&whole, &[304, 304]);
    // In order.
    let made: Vec<_> = pieces
        .iter()
        .map(|piece| unwrapped(&lab.inward(piece), customer().0))
        .collect();
    assert_eq!(made, pieces);
    // Out of order: the later ones wait for the port.
    let whole = udp(remote(53), customer().1)
        .payload_of(900)
        .identified(10)
        .bytes();
    let pieces = fragments(&whole, &[304, 304]);
    assert!(lab.kept(Side::Outside, &pieces[2]).is_empty());
    assert!(lab.kept(Side::Outside, &pieces[1]).is_empty());
    let passed = lab.pass(Side::Outside, &pieces[0]);
    let mut made = vec![unwrapped(&passed.bytes, customer().0)];
    made.extend(
        passed
            .emitted
            .iter()
            .map(|one| unwrapped(&one.data, customer().0)),
    );
    assert_eq!(made.len(), 3);
    assert_eq!(reassembled(&made), reassembled(&[whole]));
    // Those of a datagram to nobody are dropped like its first.
    let whole = udp(remote(53), (customer().1.0, 80))
        .payload_of(900)
        .identified(11)
        .bytes();
    let pieces = fragments(&whole, &[304]);
    assert_eq!(lab.reason(Side::Outside, &pieces[0]), DropReason::NoMapping);
    assert_eq!(
        lab.reason(Side::Outside, &pieces[1]),
        DropReason::FragmentOfDropped
    );
}

#[test]
pub fn section_8_1_fragments_are_checked_by_their_first() {
    let mut lab = RelayLab::new(map_e());
    let (from, own) = customer();
    let whole = udp(own, remote(53)).payload_of(900).identified(9).bytes();
    let pieces = fragments(&whole, &[304, 304]);
    assert!(
        lab.kept(Side::Inside, &wrapped(from, &pieces[1]))
            .is_empty()
    );
    let passed = lab.pass(Side::Inside, &wrapped(from, &pieces[0]));
    assert_eq!(passed.bytes, pieces[0]);
    assert_eq!(passed.emitted[0].data, pieces[1]);
    assert_eq!(lab.out(&wrapped(from, &pieces[2])), pieces[2]);
    // A neighbour on the same address cannot follow the customer's first fragment.
    let spoofed = wrapped(neighbour().0, &pieces[2]);
    assert!(lab.kept(Side::Inside, &spoofed).is_empty());
    lab.wait_for(Duration::from_secs(3));
    assert_eq!(lab.relay.counters().dropped(DropReason::FragmentTimeout), 1);
    // Fragments of a liar.
    let whole = udp(neighbour().1, remote(53))
        .payload_of(900)
        .identified(9)
        .bytes();
    let pieces = fragments(&whole, &[304]);
    let first = wrapped(from, &pieces[0]);
    assert_eq!(lab.reason(Side::Inside, &first), DropReason::SoftwirePort);
    let second = wrapped(from, &pieces[1]);
    assert_eq!(
        lab.reason(Side::Inside, &second),
        DropReason::FragmentOfDropped
    );
}

#[test]
pub fn section_8_3_2_waiting_fragments_are_bounded() {
    let mut config = map_e();
    config.followed.datagrams = 4;
    config.followed.bytes = 3_000;
    let mut lab = RelayLab::new(config);
    let mut kept = 0;
    for identification in 0..20 {
        let whole = udp(remote(53), customer().1)
            .payload_of(900)
            .identified(identification);
        let piece = fragments(&whole.bytes(), &[304])[1].clone();
        let passed = lab.pass(Side::Outside, &piece);
        kept += u32::from(passed.verdict == portledger_nat::Verdict::Kept);
        assert!(lab.relay.fragment_bytes() <= 3_000);
    }
    assert_eq!(kept, 4);
    assert_eq!(lab.relay.counters().dropped(DropReason::FragmentLimit), 16);
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
pub fn section_8_3_3_what_leaves_is_cut_to_the_next_link() {
    let mut config = map_e();
    config.mtu.outside = 1_000;
    let mut lab = RelayLab::new(config);
    let may_be_cut = udp(customer().1, remote(53))
        .payload_of(1_300)
        .identified(0xABCD)
        .bytes();
    let pieces: Vec<_> = lab
        .kept(Side::Inside, &wrapped(customer().0, &may_be_cut))
        .into_iter()
        .map(|piece| piece.data)
        .collect();
    assert!(pieces.iter().all(|piece| piece.len() <= 1_000));
    assert_eq!(
        word(&pieces[0], 4),
        0xABCD,
        "the customer's own identification"
    );
    assert_eq!(reassembled(&pieces), reassembled(&[may_be_cut]));
    let large = udp(customer().1, remote(53)).payload_of(1_300).bytes();
    let passed = lab.pass(Side::Inside, &wrapped(customer().0, &large));
    let told = unwrapped(&passed.emitted[0].data, customer().0);
    assert_eq!((icmp_kind(&told), word(&told, 26)), ((3, 4), 1_000));
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
pub fn section_10_no_customer_takes_all_that_fragments_may_take() {
    let mut config = map_e();
    config.followed.of_customer = 2;
    let mut lab = RelayLab::new(config);
    let piece = |own, identification| {
        let whole = udp(own, remote(53))
            .payload_of(900)
            .identified(identification);
        fragments(&whole.bytes(), &[304])[1].clone()
    };
    for identification in 0..5 {
        let packet = wrapped(customer().0, &piece(customer().1, identification));
        let passed = lab.pass(Side::Inside, &packet);
        let is_kept = passed.verdict == portledger_nat::Verdict::Kept;
        assert_eq!(is_kept, identification < 2);
    }
    let packet = wrapped(neighbour().0, &piece(neighbour().1, 0));
    assert!(lab.kept(Side::Inside, &packet).is_empty());
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

#[test]
pub fn section_10_nothing_waits_for_strangers() {
    let mut lab = RelayLab::new(map_e());
    let whole = udp(customer().1, remote(53))
        .payload_of(900)
        .identified(9)
        .bytes();
    let later = &fragments(&whole, &[304])[1];
    let lies = [
        ("2001:db9::1", DropReason::UnknownSoftwire),
        (
            "2001:db8:12:3400:0:c000:212:35",
            DropReason::SoftwireAddress,
        ),
        ("2001:db8:13:3400:0:c000:213:34", DropReason::SoftwireSource),
    ];
    for (from, reason) in lies {
        let packet = wrapped(from.parse().unwrap(), later);
        assert_eq!(lab.reason(Side::Inside, &packet), reason);
    }
    let piece = with_headers(
        &wrapped("2001:db9::1".parse().unwrap(), &whole[..64]),
        &[(44, &fragment_header(0, true, 5))],
    );
    assert_eq!(
        lab.reason(Side::Inside, &piece),
        DropReason::UnknownSoftwire
    );
    assert!(!lab.relay.is_waiting());
}
