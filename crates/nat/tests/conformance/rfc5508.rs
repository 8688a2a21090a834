//! RFC 5508: NAT behavioural requirements for ICMP.

use std::{collections::HashSet, net::Ipv4Addr, time::Duration};

use portledger_model::Transport::{Icmp, Tcp, Udp};
use portledger_nat::{ConfigError, DropReason, IcmpRefusal, Nat, RealmIndex, Side, Verdict};

use crate::support::{
    lab::{Lab, config, is_of_pool},
    packet::{
        ACK, Draft, PARAMETER_PROBLEM, TIME_EXCEEDED, UNREACHABLE, echo, echo_reply, error,
        fragments, host, icmp_kind, query, quoted, read, reassembled, remote,
        renew_header_checksum, renew_icmp_checksum, tcp, udp,
    },
    reference::{header_checksum_is_right, set_word, transport_checksum_is_right, word},
};

#[test]
pub fn req_1_queries_and_their_answers_pass() {
    let mut lab = Lab::new();
    // Echo, timestamp, information, address mask.
    for (kind, answer) in [(8, 0), (13, 14), (15, 16), (17, 18)] {
        let out = lab.out(&query(host(1, 77), remote(1, 0).0, kind).bytes());
        let external = read(&out).source;
        assert!(is_of_pool(external.0));
        assert_eq!(icmp_kind(&out), (kind, 0));
        let back = query((remote(1, 0).0, external.1), external.0, answer).bytes();
        let seen = read(&lab.inward(&back));
        assert_eq!(
            (seen.source.0, seen.destination),
            (remote(1, 0).0, host(1, 77))
        );
    }
    assert_eq!(
        lab.dropped(
            Side::Inside,
            &echo_reply(host(9, 0).0, remote(1, 5)).bytes()
        ),
        DropReason::NoMapping,
        "an answer that nobody asked for opens nothing"
    );
}

#[test]
pub fn req_1a_the_identifier_is_mapped_endpoint_independently() {
    let mut lab = Lab::new();
    let external = lab.open_echo(host(1, 77), remote(1, 0));
    let mut others = HashSet::new();
    for number in 2..100 {
        assert_eq!(lab.open_echo(host(1, 77), remote(number, 0)), external);
        assert!(others.insert(lab.open_echo(host(number, 77), remote(1, 0))));
    }
    assert!(!others.contains(&external));
    // The identifier 0 is one like any other.
    assert_eq!(
        lab.open_echo(host(1, 0), remote(1, 0)),
        lab.open_echo(host(1, 0), remote(2, 0))
    );
}

#[test]
pub fn req_2_a_query_is_kept_for_sixty_seconds() {
    for began in [0, 999] {
        let mut lab = Lab::new();
        lab.wait_for(Duration::from_millis(began));
        let external = lab.open_echo(host(1, 77), remote(1, 0));
        lab.wait_for(Duration::from_millis(59_999));
        assert!(lab.reaches(remote(1, 0), external, Icmp).is_some());
        lab.wait_for(Duration::from_millis(2_001));
        assert_eq!(lab.reaches(remote(1, 0), external, Icmp), None);
    }
}

#[test]
pub fn req_2a_the_query_timer_is_configurable() {
    let mut lab = Lab::with(|config| config.timers.icmp = Duration::from_secs(200));
    let external = lab.open_echo(host(1, 77), remote(1, 0));
    lab.wait(200);
    assert!(lab.reaches(remote(1, 0), external, Icmp).is_some());
    let mut short = config();
    short.timers.icmp = Duration::from_secs(59);
    assert!(matches!(
        Nat::new(short, [0; 32]),
        Err(ConfigError::TimerTooShort { name: "icmp", .. })
    ));
}

/// A packet of each transport: as a subscriber sends it, and as it comes out.
fn sent(lab: &mut Lab, change: impl Fn(Draft) -> Draft) -> Vec<(Vec<u8>, Vec<u8>)> {
    let udp = udp(host(1, 4_000), remote(1, 53));
    let tcp = tcp(host(1, 4_001), remote(1, 443), ACK);
    let echo = echo(host(1, 77), remote(1, 0).0);
    [udp, tcp, echo]
        .map(|draft| change(draft).bytes())
        .map(|packet| (packet.clone(), lab.out(&packet)))
        .into()
}

#[test]
pub fn req_3_an_error_with_a_wrong_checksum_is_dropped() {
    let mut lab = Lab::new();
    for (_, out) in sent(&mut lab, |draft| draft) {
        let mut wrong = error(remote(1, 0).0, read(&out).source.0, UNREACHABLE, 1, &out).bytes();
        wrong[22] ^= 1;
        assert_eq!(lab.dropped(Side::Outside, &wrong), DropReason::IcmpChecksum);
    }
}

#[test]
pub fn req_3a_a_quoted_header_with_a_wrong_checksum_is_dropped() {
    let mut lab = Lab::new();
    for (_, mut out) in sent(&mut lab, |draft| draft) {
        let to = read(&out).source.0;
        out[8] ^= 1; // the time to live
        let wrong = error(remote(1, 0).0, to, UNREACHABLE, 1, &out).bytes();
        assert_eq!(lab.dropped(Side::Outside, &wrong), DropReason::IcmpChecksum);
    }
}

#[test]
pub fn req_3b_options_of_the_quoted_header_are_skipped() {
    for length in [4, 24, 40] {
        let mut lab = Lab::new();
        for (packet, out) in sent(&mut lab, |draft| draft.options(&vec![1; length])) {
            let to = read(&out).source.0;
            let inward = lab.inward(&error(remote(1, 0).0, to, UNREACHABLE, 1, &out).bytes());
            assert_eq!(quoted(&inward), packet);
            let short = &out[..20 + length + 8];
            let inward = lab.inward(&error(remote(1, 0).0, to, UNREACHABLE, 1, short).bytes());
            assert_eq!(quoted(&inward), &packet[..short.len()]);
        }
    }
}

#[test]
pub fn req_3c_the_quoted_transport_checksum_is_not_checked() {
    let mut lab = Lab::new();
    for (packet, mut out) in sent(&mut lab, |draft| draft) {
        let last = out.len() - 1;
        out[last] ^= 0xFF;
        let to = read(&out).source.0;
        let inward = lab.inward(&error(remote(1, 0).0, to, UNREACHABLE, 1, &out).bytes());
        assert_eq!(quoted(&inward)[..last], packet[..last]);
        assert_eq!(quoted(&inward)[last], packet[last] ^ 0xFF);
    }
}

/// RFC 4884: a length in the fifth byte, the quoted packet padded to 128 bytes, and an extension
/// behind it.
#[test]
pub fn req_3d_padding_and_extensions_are_carried() {
    let mut lab = Lab::new();
    for (packet, out) in sent(&mut lab, |draft| draft) {
        let mut padded = out.clone();
        padded.resize(128, 0);
        padded.extend([0x20, 0, 0xDF, 0xFF, 0, 8, 1, 1, 1, 2, 3, 4]);
        let mut extended = error(
            remote(1, 0).0,
            read(&out).source.0,
            TIME_EXCEEDED,
            0,
            &padded,
        )
        .bytes();
        extended[25] = 32;
        renew_icmp_checksum(&mut extended);
        let inward = lab.inward(&extended);
        assert_eq!(quoted(&inward)[..packet.len()], packet);
        assert_eq!(quoted(&inward)[128..], padded[128..]);
        assert_eq!(inward[25], 32);
    }
}

#[test]
pub fn req_4_errors_from_the_outside() {
    let mut lab = Lab::new();
    for (packet, out) in sent(&mut lab, |draft| draft) {
        let external = read(&out).source;
        let router = remote(99, 0).0;
        for (kind, code) in [
            (UNREACHABLE, 0),
            (UNREACHABLE, 13),
            (TIME_EXCEEDED, 1),
            (PARAMETER_PROBLEM, 0),
        ] {
            let inward = lab.inward(&error(router, external.0, kind, code, &out).bytes());
            let seen = read(&inward);
            assert_eq!((seen.source.0, seen.destination.0), (router, host(1, 0).0));
            assert_eq!(icmp_kind(&inward), (kind, code));
            assert_eq!(
                quoted(&inward),
                packet,
                "the headers as the host had sent them"
            );
        }
        // About a packet that nobody sent.
        let mut other = out.clone();
        let port_at = if out[9] == 1 { 24 } else { 20 };
        set_word(&mut other, port_at, external.1 ^ 1);
        let about_nothing = error(router, external.0, UNREACHABLE, 1, &other).bytes();
        assert_eq!(
            lab.dropped(Side::Outside, &about_nothing),
            DropReason::NoMapping
        );
        // For another than the sender of what it quotes.
        let misled = error(
            router,
            Ipv4Addr::from(external.0.to_bits() ^ 1),
            UNREACHABLE,
            1,
            &out,
        )
        .bytes();
        assert_eq!(lab.dropped(Side::Outside, &misled), DropReason::NoMapping);
    }
}

#[test]
pub fn req_4_the_largest_size_that_fits_is_carried() {
    let mut lab = Lab::new();
    let out = lab.out(&udp(host(1, 4_000), remote(1, 53)).payload_of(1_472).bytes());
    let mut too_big = error(
        remote(9, 0).0,
        read(&out).source.0,
        UNREACHABLE,
        4,
        &out[..28],
    )
    .bytes();
    set_word(&mut too_big, 26, 1_280);
    renew_icmp_checksum(&mut too_big);
    assert_eq!(word(&lab.inward(&too_big), 26), 1_280);
}

#[test]
pub fn req_4_what_cannot_be_read_is_dropped() {
    let mut lab = Lab::new();
    let out = lab.out(&udp(host(1, 4_000), remote(1, 53)).bytes());
    let to = read(&out).source.0;
    for length in 0..28 {
        let short = error(remote(9, 0).0, to, UNREACHABLE, 1, &out[..length]).bytes();
        let reason = lab.dropped(Side::Outside, &short);
        assert!(
            matches!(reason, DropReason::Malformed | DropReason::IcmpChecksum),
            "{reason:?}"
        );
    }
    // An error about an error (RFC 1122 §3.2.2), about another protocol, about a later fragment.
    let about_error = error(to, remote(1, 0).0, UNREACHABLE, 1, &out).bytes();
    let twice = error(remote(9, 0).0, to, UNREACHABLE, 1, &about_error).bytes();
    assert_eq!(lab.dropped(Side::Outside, &twice), DropReason::Malformed);
    let mut gre = out.clone();
    gre[9] = 47;
    renew_header_checksum(&mut gre);
    let about_gre = error(remote(9, 0).0, to, UNREACHABLE, 1, &gre).bytes();
    assert_eq!(lab.dropped(Side::Outside, &about_gre), DropReason::Protocol);
    let mut later = out;
    set_word(&mut later, 6, 100);
    renew_header_checksum(&mut later);
    let about_later = error(remote(9, 0).0, to, UNREACHABLE, 1, &later).bytes();
    assert_eq!(
        lab.dropped(Side::Outside, &about_later),
        DropReason::Malformed
    );
}

/// What a subscriber receives of each transport: as it was sent, and as it came in.
fn received(lab: &mut Lab) -> Vec<(Vec<u8>, Vec<u8>)> {
    let by_udp = lab.open_udp(host(1, 4_000), remote(1, 53));
    let by_tcp = lab.connect(host(1, 4_001), remote(1, 443));
    let by_echo = lab.open_echo(host(1, 77), remote(1, 0));
    [
        udp(remote(1, 53), by_udp),
        tcp(remote(1, 443), by_tcp, ACK),
        echo_reply(remote(1, 0).0, by_echo),
    ]
    .map(|draft| draft.bytes())
    .map(|packet| (packet.clone(), lab.inward(&packet)))
    .into()
}

#[test]
pub fn req_5_errors_from_the_inside() {
    let mut lab = Lab::new();
    for (packet, inward) in received(&mut lab) {
        let out = lab.out(&error(host(1, 0).0, remote(1, 0).0, UNREACHABLE, 3, &inward).bytes());
        assert_eq!(icmp_kind(&out), (UNREACHABLE, 3));
        assert_eq!(
            quoted(&out),
            packet,
            "the headers as the remote host had sent them"
        );
        assert_eq!(read(&out).destination.0, remote(1, 0).0);
        // With eight bytes only.
        let out =
            lab.out(&error(host(1, 0).0, remote(1, 0).0, UNREACHABLE, 3, &inward[..28]).bytes());
        assert_eq!(quoted(&out)[12..24], packet[12..24]);
        // About a packet that nobody received.
        let mut other = inward.clone();
        let port_at = if inward[9] == 1 { 24 } else { 22 };
        set_word(&mut other, port_at, 9);
        let about_nothing = error(host(1, 0).0, remote(1, 0).0, UNREACHABLE, 3, &other).bytes();
        assert_eq!(
            lab.dropped(Side::Inside, &about_nothing),
            DropReason::NoMapping
        );
        // To another than the sender of what it quotes.
        let misled = error(host(1, 0).0, remote(2, 0).0, UNREACHABLE, 3, &inward).bytes();
        assert_eq!(lab.dropped(Side::Inside, &misled), DropReason::NoMapping);
    }
}

#[test]
pub fn req_5c_errors_come_from_the_external_address() {
    let mut lab = Lab::new();
    for (packet, inward) in received(&mut lab) {
        // From the host, and from a router before it that has no mapping of its own.
        for source in [host(1, 0).0, host(250, 0).0] {
            let out = lab.out(&error(source, remote(1, 0).0, TIME_EXCEEDED, 0, &inward).bytes());
            assert_eq!(read(&out).source.0, read(&packet).destination.0);
        }
    }
}

#[test]
pub fn req_6_errors_refresh_and_delete_nothing() {
    let mut lab = Lab::new();
    let out = lab.out(&echo(host(1, 77), remote(1, 0).0).bytes());
    let external = read(&out).source;
    let inward = lab.inward(&echo_reply(remote(1, 0).0, external).bytes());
    for _ in 0..6 {
        lab.inward(&error(remote(1, 0).0, external.0, UNREACHABLE, 1, &out).bytes());
        lab.out(&error(host(1, 0).0, remote(1, 0).0, UNREACHABLE, 1, &inward).bytes());
        lab.wait(10);
    }
    assert!(lab.reaches(remote(1, 0), external, Icmp).is_some(), "60 s");
    lab.wait(2);
    assert_eq!(lab.reaches(remote(1, 0), external, Icmp), None);
}

#[test]
pub fn req_7_hairpinned_queries() {
    let mut lab = Lab::new();
    // A query has one identifier, and the NAT gives it the sender's external one: it reaches
    // whoever has the same, first of all the sender itself.
    let one = lab.open_echo(host(1, 77), remote(1, 0));
    let there = read(&lab.hairpin(&echo(host(1, 77), one.0).bytes()));
    assert_eq!((there.source.0, there.destination), (one.0, host(1, 77)));
    let back = read(&lab.hairpin(&echo_reply(host(1, 0).0, (one.0, 77)).bytes()));
    assert_eq!((back.source.0, back.destination), (one.0, host(1, 77)));
    let other = Ipv4Addr::from(one.0.to_bits() ^ 1);
    let to_nobody = echo(host(1, 77), other).bytes();
    assert_eq!(
        lab.dropped(Side::Inside, &to_nobody),
        DropReason::HairpinNoMapping
    );
}

#[test]
pub fn req_7a_hairpinned_errors() {
    let mut lab = Lab::new();
    let one = lab.open_udp(host(1, 4_000), remote(1, 53));
    let two = lab.open_udp(host(2, 5_000), remote(1, 53));
    let packet = udp(host(1, 4_000), two).bytes();
    let there = lab.hairpin(&packet);
    let back = lab.hairpin(&error(host(2, 0).0, one.0, UNREACHABLE, 3, &there).bytes());
    assert_eq!(quoted(&back), packet, "as its sender had sent it");
    assert_eq!(read(&back).destination.0, host(1, 0).0);
    assert_eq!(
        read(&back).source.0,
        two.0,
        "from the external address of the receiver"
    );
    // Between realms with the same addresses.
    let west = read(&lab.out_of(RealmIndex(1), &udp(host(1, 4_000), remote(1, 53)).bytes())).source;
    let there = lab.pass(Side::Inside, &packet_to(west));
    assert!(matches!(
        there.verdict,
        Verdict::Forward {
            realm: RealmIndex(1),
            ..
        }
    ));
    let refusal = error(host(1, 0).0, one.0, UNREACHABLE, 3, &there.bytes).bytes();
    let back = lab.pass_in(RealmIndex(1), Side::Inside, &refusal);
    assert!(matches!(
        back.verdict,
        Verdict::Forward {
            to: Side::Inside,
            realm: RealmIndex(0),
            ..
        }
    ));
    assert_eq!(quoted(&back.bytes), packet_to(west));
}

fn packet_to(end: (Ipv4Addr, u16)) -> Vec<u8> {
    udp(host(1, 4_000), end).bytes()
}

#[test]
pub fn req_8_a_refused_mapping_can_be_answered_with_code_13() {
    let cases = [
        (IcmpRefusal::HostUnreachable, Some((UNREACHABLE, 1))),
        (
            IcmpRefusal::AdministrativelyProhibited,
            Some((UNREACHABLE, 13)),
        ),
        (IcmpRefusal::Silent, None),
    ];
    for (refusal, answer) in cases {
        let mut lab = Lab::with(|config| {
            config.icmp_refusal = refusal;
            config.ports.limits.ports = [Some(1); 3];
        });
        lab.open_udp(host(1, 4_000), remote(1, 53));
        let packet = udp(host(1, 4_001), remote(1, 53)).bytes();
        let passed = lab.pass(Side::Inside, &packet);
        assert_eq!(passed.verdict, Verdict::Drop(DropReason::SubscriberLimit));
        let answers: Vec<_> = passed
            .emitted
            .iter()
            .map(|emitted| icmp_kind(&emitted.data))
            .collect();
        assert_eq!(answers, answer.into_iter().collect::<Vec<_>>());
        for emitted in &passed.emitted {
            assert_eq!(quoted(&emitted.data), packet);
            assert_eq!(read(&emitted.data).source.0, Ipv4Addr::new(192, 0, 0, 8));
        }
    }
}

#[test]
pub fn req_9_own_errors_keep_to_their_rate() {
    let mut lab = Lab::with(|config| {
        config.icmp_rate = 10;
        config.ports.limits.ports = [Some(1); 3];
    });
    lab.open_udp(host(1, 1), remote(1, 53));
    let mut sent = 0;
    // 10.1 a second over 100 s: the rate is what it says, not half of it.
    for _ in 0..1_010 {
        sent += lab
            .pass(Side::Inside, &udp(host(1, 2), remote(1, 53)).bytes())
            .emitted
            .len();
        lab.wait_for(Duration::from_millis(99));
    }
    assert!(
        (985..=1_010).contains(&sent),
        "{sent} in 100 s at 10 a second"
    );
    let burst: usize = (0..100)
        .map(|_| {
            lab.pass(Side::Inside, &udp(host(1, 2), remote(1, 53)).bytes())
                .emitted
                .len()
        })
        .sum();
    assert!(burst <= 10);
    let counters = lab.nat.counters();
    assert_eq!(counters.icmp_sent + counters.icmp_withheld, 1_110);
}

#[test]
pub fn req_11_other_messages_are_dropped() {
    let mut lab = Lab::new();
    let external = lab.open_echo(host(1, 77), remote(1, 0));
    // Source quench, redirect, router advertisement and solicitation.
    for kind in [4, 5, 9, 10, 30, 42] {
        let from_inside = query(host(1, 77), remote(1, 0).0, kind).bytes();
        assert_eq!(
            lab.dropped(Side::Inside, &from_inside),
            DropReason::IcmpType
        );
        let from_outside = query((remote(1, 0).0, external.1), external.0, kind).bytes();
        assert_eq!(
            lab.dropped(Side::Outside, &from_outside),
            DropReason::IcmpType
        );
    }
}

#[test]
pub fn fragmented_queries_both_ways() {
    let mut lab = Lab::new();
    let external = lab.open_echo(host(1, 77), remote(1, 0));
    for (side, draft) in [
        (Side::Inside, echo(host(1, 77), remote(1, 0).0)),
        (Side::Outside, echo_reply(remote(1, 0).0, external)),
    ] {
        let packet = draft.payload_of(3_000).identified(9).bytes();
        let mut out = Vec::new();
        for piece in fragments(&packet, &[1_000, 1_000]).iter().rev() {
            let passed = lab.pass(side, piece);
            if matches!(passed.verdict, Verdict::Forward { .. }) {
                out.push(passed.bytes);
            }
            out.extend(passed.emitted.into_iter().map(|emitted| emitted.data));
        }
        let whole = reassembled(&out);
        assert_eq!(transport_checksum_is_right(&whole), Some(true));
        assert_eq!(whole[28..], packet[28..]);
    }
}

/// An error too large for the next link is cut where it may be; it is never answered.
#[test]
pub fn large_errors_keep_to_the_link() {
    let mut lab = Lab::with(|config| config.mtu.inside = 600);
    let out = lab.out(&udp(host(1, 4_000), remote(1, 53)).payload_of(1_000).bytes());
    let large = error(remote(9, 0).0, read(&out).source.0, TIME_EXCEEDED, 0, &out);
    let passed = lab.pass(Side::Outside, &large.clone().identified(3).bytes());
    assert_eq!(passed.verdict, Verdict::Kept);
    assert!(
        passed
            .emitted
            .iter()
            .all(|piece| piece.data.len() <= 600 && header_checksum_is_right(&piece.data))
    );
    let passed = lab.pass(Side::Outside, &large.bytes());
    assert_eq!(
        (passed.verdict, passed.emitted),
        (Verdict::Drop(DropReason::TooBig), vec![])
    );
}

/// UDP without a checksum stays without one, also where it is quoted.
#[test]
pub fn quoted_udp_without_a_checksum() {
    let mut lab = Lab::new();
    let packet = udp(host(1, 4_000), remote(1, 53)).no_checksum().bytes();
    let out = lab.out(&packet);
    assert_eq!(read(&out).checksum, 0);
    let inward =
        lab.inward(&error(remote(9, 0).0, read(&out).source.0, UNREACHABLE, 1, &out).bytes());
    assert_eq!(quoted(&inward), packet);
    assert!(lab.reaches(remote(1, 53), read(&out).source, Udp).is_some());
    assert!(lab.reaches(remote(1, 53), read(&out).source, Tcp).is_none());
}
