//! RFC 4787: NAT behavioural requirements for unicast UDP.

use std::{collections::HashSet, time::Duration};

use portledger_model::Transport::Udp;
use portledger_nat::{Config, ConfigError, DropReason, Filtering, Nat, RealmIndex, Side};

use crate::support::{
    lab::{Lab, config, is_of_pool},
    packet::{
        PARAMETER_PROBLEM, TIME_EXCEEDED, UNREACHABLE, error, fragments, host, icmp_kind, quoted,
        read, reassembled, remote, udp,
    },
    reference::{transport_checksum_is_right, word},
};

#[test]
pub fn req_1_mapping_is_endpoint_independent() {
    let mut lab = Lab::new();
    let external = lab.open_udp(host(1, 4_000), remote(1, 53));
    for (number, port) in [(1, 54), (2, 53), (200, 60_000)] {
        assert_eq!(lab.open_udp(host(1, 4_000), remote(number, port)), external);
    }
    assert_ne!(lab.open_udp(host(1, 4_001), remote(1, 53)), external);
    assert_ne!(lab.open_udp(host(2, 4_000), remote(1, 53)), external);
    let same_address = udp(host(1, 4_000), remote(1, 53)).bytes();
    let west = read(&lab.out_of(RealmIndex(1), &same_address)).source;
    assert_ne!(
        west, external,
        "another realm's subscriber with the same address"
    );
}

#[test]
pub fn req_2_pooling_is_paired() {
    let mut lab = Lab::new();
    let address = lab.open_udp(host(1, 1), remote(1, 53)).0;
    // More than a block, so that further blocks have to be on the same address too.
    for port in 2..600 {
        assert_eq!(lab.open_udp(host(1, port), remote(1, 53)).0, address);
    }
    let others: HashSet<_> = (2..60)
        .map(|n| lab.open_udp(host(n, 1), remote(1, 53)).0)
        .collect();
    assert_eq!(others.len(), 4, "all four addresses are used");
}

#[test]
pub fn req_3_no_external_endpoint_is_overloaded() {
    let mut lab = Lab::new();
    let mut seen = HashSet::new();
    for number in 1..40 {
        for port in 1..60 {
            // The same destination and different ones: neither may make two hosts share a port.
            let external = lab.open_udp(host(number, port), remote(number % 3, 53));
            assert!(seen.insert(external), "{external:?} was given twice");
        }
    }
}

#[test]
pub fn req_3a_port_class_is_not_kept() {
    let mut lab = Lab::new();
    for port in [1, 500, 1_023, 1_024, 65_535] {
        assert!(lab.open_udp(host(1, port), remote(1, 53)).1 >= 1_024);
    }
}

#[test]
pub fn req_4_parity_is_kept_where_it_is_configured() {
    let mut lab = Lab::with(|config| config.ports.preserve_parity = true);
    for port in 1_000..1_100 {
        assert_eq!(lab.open_udp(host(1, port), remote(1, 53)).1 % 2, port % 2);
    }
    let mut lab = Lab::new();
    let kept =
        |port: u16, lab: &mut Lab| lab.open_udp(host(1, port), remote(1, 53)).1 % 2 == port % 2;
    assert!(
        (1_000..1_100).any(|port| !kept(port, &mut lab)),
        "by default it is not"
    );
}

#[test]
pub fn req_5_udp_timer_is_never_below_two_minutes() {
    let refused = Nat::new(
        Config {
            timers: portledger_nat::Timers {
                udp: Duration::from_secs(119),
                ..config().timers
            },
            ..config()
        },
        [0; 32],
    );
    assert!(matches!(
        refused,
        Err(ConfigError::TimerTooShort { name: "udp", .. })
    ));

    // Packets come at any moment of a second; the timer must not be cut by its rounding.
    for (began, timer) in [(0, 120_000), (1, 120_000), (999, 120_000), (500, 120_500)] {
        let mut lab = Lab::with(|config| config.timers.udp = Duration::from_millis(timer));
        lab.wait_for(Duration::from_millis(began));
        let external = lab.open_udp(host(1, 4_000), remote(1, 5_000));
        lab.wait_for(Duration::from_millis(timer - 1));
        assert!(
            lab.reaches(remote(1, 5_000), external, Udp).is_some(),
            "{began} ms"
        );
        // Two seconds of rounding at most: then it has ended.
        lab.wait_for(Duration::from_millis(2_001));
        assert_eq!(lab.reaches(remote(1, 5_000), external, Udp), None);
    }
}

#[test]
pub fn req_5a_well_known_ports_may_have_a_shorter_timer() {
    let short =
        |config: &mut Config| config.timers.udp_by_port = vec![(53, Duration::from_secs(10))];
    let mut lab = Lab::with(short);
    let dns = lab.open_udp(host(1, 4_000), remote(1, 53));
    let mixed = lab.open_udp(host(1, 4_001), remote(1, 53));
    lab.open_udp(host(1, 4_001), remote(1, 5_000));
    let other = lab.open_udp(host(1, 4_002), remote(1, 54));
    lab.wait_for(Duration::from_millis(9_999));
    assert!(lab.reaches(remote(1, 53), dns, Udp).is_some());
    lab.wait(2);
    assert_eq!(lab.reaches(remote(1, 53), dns, Udp), None);
    lab.wait(288);
    assert!(
        lab.reaches(remote(1, 53), mixed, Udp).is_some(),
        "not all of its packets went to port 53"
    );
    assert!(lab.reaches(remote(1, 54), other, Udp).is_some());

    let mut too_high = config();
    too_high.timers.udp_by_port = vec![(1_024, Duration::from_secs(10))];
    assert!(matches!(
        Nat::new(too_high, [0; 32]),
        Err(ConfigError::UdpPort(1_024))
    ));
}

/// Under address-dependent filtering a mapping has several sessions. A query to a port with a
/// short timer must not shorten theirs, not even when the first of them has ended.
#[test]
pub fn req_5a_a_short_timer_shortens_no_other_session() {
    let mut lab = Lab::with(|config| {
        config.timers.udp_by_port = vec![(53, Duration::from_secs(10))];
        config.filtering = [Filtering::AddressDependent; 3];
    });
    let external = lab.open_udp(host(1, 4_000), remote(1, 5_000));
    lab.wait(200);
    lab.open_udp(host(1, 4_000), remote(2, 5_000));
    lab.wait(110); // the first session has ended, the second has not
    assert_eq!(lab.reaches(remote(1, 5_000), external, Udp), None);
    lab.open_udp(host(1, 4_000), remote(3, 53));
    lab.wait(100);
    assert!(
        lab.reaches(remote(2, 5_000), external, Udp).is_some(),
        "210 s of 300 s"
    );
}

#[test]
pub fn req_5b_the_udp_timer_is_configurable() {
    let mut lab = Lab::with(|config| config.timers.udp = Duration::from_secs(3_600));
    let external = lab.open_udp(host(1, 4_000), remote(1, 5_000));
    lab.wait(3_600);
    assert!(lab.reaches(remote(1, 5_000), external, Udp).is_some());
    lab.wait(2);
    assert_eq!(lab.reaches(remote(1, 5_000), external, Udp), None);
}

#[test]
pub fn req_5c_the_default_is_five_minutes() {
    assert_eq!(config().timers.udp, Duration::from_secs(300));
    let mut lab = Lab::new();
    let external = lab.open_udp(host(1, 4_000), remote(1, 5_000));
    lab.wait(300);
    assert!(lab.reaches(remote(1, 5_000), external, Udp).is_some());
}

#[test]
pub fn req_6_packets_from_the_inside_refresh() {
    let mut lab = Lab::new();
    let external = lab.open_udp(host(1, 4_000), remote(1, 5_000));
    for _ in 0..20 {
        lab.wait(299);
        // To another destination: the mapping is one.
        assert_eq!(lab.open_udp(host(1, 4_000), remote(9, 9)), external);
    }
    assert!(lab.reaches(remote(1, 5_000), external, Udp).is_some());
}

#[test]
pub fn req_6a_packets_from_the_outside_refresh_where_it_is_configured() {
    for inbound_refresh in [false, true] {
        let mut lab = Lab::with(|config| config.inbound_refresh = inbound_refresh);
        let external = lab.open_udp(host(1, 4_000), remote(1, 5_000));
        lab.wait(200);
        assert!(lab.reaches(remote(1, 5_000), external, Udp).is_some());
        lab.wait(200);
        assert_eq!(
            lab.reaches(remote(1, 5_000), external, Udp).is_some(),
            inbound_refresh
        );
    }
}

#[test]
pub fn req_7_an_external_address_that_is_also_internal_is_refused() {
    let mut both = config();
    both.inside
        .push((RealmIndex(0), "203.0.113.2/32".parse().unwrap()));
    assert!(matches!(
        Nat::new(both, [0; 32]),
        Err(ConfigError::PoolInside(_))
    ));
}

#[test]
pub fn req_8_filtering_is_endpoint_independent_by_default() {
    let mut lab = Lab::new();
    let external = lab.open_udp(host(1, 4_000), remote(1, 53));
    for (number, port) in [(1, 53), (1, 99), (77, 1)] {
        let seen = lab.reaches(remote(number, port), external, Udp).unwrap();
        assert_eq!(
            (seen.source, seen.destination),
            (remote(number, port), host(1, 4_000))
        );
    }
    assert_eq!(
        lab.reaches(remote(1, 53), (external.0, external.1 ^ 1), Udp),
        None
    );
}

#[test]
pub fn req_8a_filtering_can_be_address_dependent() {
    let mut lab = Lab::with(|config| config.filtering = [Filtering::AddressDependent; 3]);
    let external = lab.open_udp(host(1, 4_000), remote(1, 53));
    lab.wait(100);
    lab.open_udp(host(1, 4_000), remote(2, 53));
    lab.open_udp(host(1, 4_000), remote(3, 53));
    assert!(
        lab.reaches(remote(1, 99), external, Udp).is_some(),
        "any port of a known address"
    );
    assert!(lab.reaches(remote(2, 53), external, Udp).is_some());
    assert_eq!(
        lab.dropped(Side::Outside, &udp(remote(4, 53), external).bytes()),
        DropReason::Filtered
    );
    lab.wait(250);
    // Each peer's permission ends by itself, the mapping with the last.
    assert_eq!(lab.reaches(remote(1, 53), external, Udp), None);
    assert!(lab.reaches(remote(3, 53), external, Udp).is_some());
    assert_eq!(lab.open_udp(host(1, 4_000), remote(5, 53)), external);
}

#[test]
pub fn req_9_hairpinning() {
    let mut lab = Lab::new();
    let one = lab.open_udp(host(1, 4_000), remote(1, 53));
    let two = lab.open_udp(host(2, 4_000), remote(1, 53));
    let there = read(&lab.hairpin(&udp(host(1, 4_000), two).bytes()));
    assert_eq!(there.destination, host(2, 4_000));
    let back = read(&lab.hairpin(&udp(host(2, 4_000), one).bytes()));
    assert_eq!(back.destination, host(1, 4_000));
    // To itself, and without a mapping.
    assert_eq!(
        read(&lab.hairpin(&udp(host(1, 4_000), one).bytes())).destination,
        host(1, 4_000)
    );
    let nobody = (two.0, two.1 ^ 1);
    assert_eq!(
        lab.dropped(Side::Inside, &udp(host(1, 4_000), nobody).bytes()),
        DropReason::HairpinNoMapping
    );
}

#[test]
pub fn req_9a_hairpinned_packets_come_from_the_external_endpoint() {
    let mut lab = Lab::new();
    let one = lab.open_udp(host(1, 4_000), remote(1, 53));
    let two = lab.open_udp(host(2, 4_000), remote(1, 53));
    assert_eq!(
        read(&lab.hairpin(&udp(host(1, 4_000), two).bytes())).source,
        one
    );
    // A sender without a mapping gets one by that packet.
    let there = read(&lab.hairpin(&udp(host(3, 4_000), two).bytes()));
    assert!(is_of_pool(there.source.0));
    assert_eq!(
        read(&lab.hairpin(&udp(host(2, 4_000), there.source).bytes())).destination,
        host(3, 4_000)
    );
}

#[test]
pub fn req_9_hairpinning_obeys_the_filter_and_crosses_realms() {
    let mut lab = Lab::with(|config| config.filtering = [Filtering::AddressDependent; 3]);
    let two = lab.open_udp(host(2, 4_000), remote(1, 53));
    let mut west = |bytes: &[u8]| lab.pass_in(RealmIndex(1), Side::Inside, bytes);
    let packet = udp(host(2, 4_000), two).bytes();
    let refused = west(&packet);
    assert_eq!(
        refused.verdict,
        portledger_nat::Verdict::Drop(DropReason::Filtered)
    );
    let source = read(&refused.bytes).source;
    let back = lab.pass(Side::Inside, &udp(host(2, 4_000), source).bytes());
    assert!(matches!(
        back.verdict,
        portledger_nat::Verdict::Forward {
            to: Side::Inside,
            realm: RealmIndex(1),
            ..
        }
    ));
    let there = lab.pass_in(RealmIndex(1), Side::Inside, &packet);
    assert!(matches!(
        there.verdict,
        portledger_nat::Verdict::Forward {
            to: Side::Inside,
            realm: RealmIndex(0),
            ..
        }
    ));
}

#[test]
pub fn req_10_payloads_are_left_alone() {
    let mut lab = Lab::new();
    // What application level gateways love: SIP and FTP with the sender's address in their text.
    for (port, text) in [
        (5_060, "INVITE sip:a@100.64.0.1 SIP/2.0\r\n"),
        (21, "PORT 100,64,0,1,15,160\r\n"),
        (69, "\0\x01boot\0octet\0"),
    ] {
        let packet = udp(host(1, 4_000), remote(1, port))
            .payload(text.as_bytes())
            .bytes();
        assert_eq!(lab.out(&packet)[28..], *text.as_bytes());
    }
}

#[test]
pub fn req_11_behaviour_never_changes_under_pressure() {
    // The only host, or the last before exhaustion: mapping and filtering are the same.
    let mut lab = Lab::with(|config| {
        config.ports.pool = portledger_ports::Pool::parse(&["203.0.113.1"]).unwrap();
        config.ports.block_size = 4_096;
    });
    for number in 1..=15 {
        let external = lab.open_udp(host(number, 4_000), remote(1, 53));
        assert_eq!(lab.open_udp(host(number, 4_000), remote(2, 53)), external);
        assert!(lab.reaches(remote(3, 3), external, Udp).is_some());
        // A port in use inside somewhere changes nothing outside.
        assert_eq!(lab.open_udp(host(number, 4_000), remote(1, 54)), external);
    }
    let (reason, _) = lab.refused(Side::Inside, &udp(host(16, 4_000), remote(1, 53)).bytes());
    assert_eq!(reason, DropReason::PoolExhausted);
}

#[test]
pub fn req_12_icmp_never_ends_a_mapping() {
    let mut lab = Lab::new();
    let sent = lab.out(&udp(host(1, 4_000), remote(1, 53)).bytes());
    let external = read(&sent).source;
    for kind in [UNREACHABLE, TIME_EXCEEDED, PARAMETER_PROBLEM] {
        for code in 0..16 {
            lab.inward(&error(remote(1, 0).0, external.0, kind, code, &sent).bytes());
            assert!(lab.reaches(remote(1, 53), external, Udp).is_some());
        }
    }
    assert_eq!(lab.open_udp(host(1, 4_000), remote(1, 53)), external);
}

#[test]
pub fn req_12a_icmp_errors_are_not_filtered_by_their_source() {
    let mut lab = Lab::with(|config| config.filtering = [Filtering::AddressDependent; 3]);
    let sent = lab.out(&udp(host(1, 4_000), remote(1, 53)).bytes());
    // From a router on the way, which the host has never sent to.
    let inward = lab.inward(
        &error(
            remote(99, 0).0,
            read(&sent).source.0,
            TIME_EXCEEDED,
            0,
            &sent,
        )
        .bytes(),
    );
    assert_eq!(read(&inward).destination.0, host(1, 0).0);
    assert_eq!(read(&inward).source.0, remote(99, 0).0);
}

#[test]
pub fn req_12b_destination_unreachable_comes_through() {
    let mut lab = Lab::new();
    let packet = udp(host(1, 4_000), remote(1, 53)).bytes();
    let sent = lab.out(&packet);
    let inward =
        lab.inward(&error(remote(1, 0).0, read(&sent).source.0, UNREACHABLE, 3, &sent).bytes());
    assert_eq!(icmp_kind(&inward), (UNREACHABLE, 3));
    assert_eq!(quoted(&inward), packet, "the host sees what it had sent");
}

#[test]
pub fn req_13_too_large_and_not_to_be_cut_is_answered() {
    let mut lab = Lab::with(|config| config.mtu.outside = 1_400);
    let packet = udp(host(1, 4_000), remote(1, 53)).payload_of(1_373).bytes();
    assert_eq!(packet.len(), 1_401);
    let (reason, answer) = lab.refused(Side::Inside, &packet);
    assert_eq!(reason, DropReason::TooBig);
    assert_eq!(icmp_kind(&answer), (UNREACHABLE, 4));
    assert_eq!(word(&answer, 26), 1_400, "RFC 1191: the size that fits");
    assert_eq!(read(&answer).destination.0, host(1, 0).0);
    assert_eq!(
        quoted(&answer),
        &packet[..548],
        "as it was sent, up to 576 bytes in all"
    );
    lab.out(&udp(host(1, 4_000), remote(1, 53)).payload_of(1_372).bytes());
}

#[test]
pub fn req_13_from_the_outside_too() {
    let mut lab = Lab::with(|config| config.mtu.inside = 1_280);
    let external = lab.open_udp(host(1, 4_000), remote(1, 53));
    let (reason, answer) = lab.refused(
        Side::Outside,
        &udp(remote(1, 53), external).payload_of(1_253).bytes(),
    );
    assert_eq!(
        (reason, icmp_kind(&answer)),
        (DropReason::TooBig, (UNREACHABLE, 4))
    );
    assert_eq!(read(&answer).source.0, external.0);
    assert_eq!(word(&answer, 26), 1_280);
    // Who has no mapping learns nothing.
    let nobody = (external.0, external.1 ^ 1);
    let silent = lab.pass(
        Side::Outside,
        &udp(remote(1, 53), nobody).payload_of(1_253).bytes(),
    );
    assert_eq!(silent.emitted, []);
}

#[test]
pub fn req_13a_too_large_and_to_be_cut_is_cut_in_order() {
    let mut lab = Lab::with(|config| config.mtu.outside = 600);
    let packet = udp(host(1, 4_000), remote(1, 53))
        .payload_of(1_700)
        .identified(5)
        .bytes();
    let passed = lab.pass(Side::Inside, &packet);
    assert_eq!(passed.verdict, portledger_nat::Verdict::Kept);
    let pieces: Vec<_> = passed
        .emitted
        .into_iter()
        .map(|emitted| emitted.data)
        .collect();
    assert_eq!(pieces.len(), 3);
    assert!(pieces.iter().all(|piece| piece.len() <= 600));
    assert!(
        pieces
            .windows(2)
            .all(|two| word(&two[0], 6) & 0x1FFF < word(&two[1], 6) & 0x1FFF),
        "in order"
    );
    let whole = reassembled(&pieces);
    assert_eq!(whole[28..], packet[28..]);
    assert_eq!(transport_checksum_is_right(&whole), Some(true));
}

/// Sends the pieces of one datagram in an order, and puts together what comes out.
fn through(lab: &mut Lab, from: Side, pieces: &[Vec<u8>], order: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    for &piece in order {
        let passed = lab.pass(from, &pieces[piece]);
        if matches!(passed.verdict, portledger_nat::Verdict::Forward { .. }) {
            out.push(passed.bytes);
        }
        out.extend(passed.emitted.into_iter().map(|emitted| emitted.data));
    }
    assert_eq!(out.len(), pieces.len());
    reassembled(&out)
}

const ORDERS: [[usize; 4]; 5] = [
    [0, 1, 2, 3],
    [3, 2, 1, 0],
    [1, 0, 3, 2],
    [2, 3, 1, 0],
    [0, 3, 2, 1],
];

#[test]
pub fn req_14_fragments_in_and_out_of_order() {
    let mut lab = Lab::new();
    let external = lab.open_udp(host(1, 4_000), remote(1, 53));
    for (number, order) in (100_u16..).zip(ORDERS) {
        let packet = udp(host(1, 4_000), remote(1, 53))
            .payload_of(900)
            .identified(number)
            .bytes();
        let whole = through(
            &mut lab,
            Side::Inside,
            &fragments(&packet, &[304, 304, 104]),
            &order,
        );
        assert_eq!(read(&whole).source, external);
        assert_eq!(whole[28..], packet[28..]);
        assert_eq!(transport_checksum_is_right(&whole), Some(true));

        let packet = udp(remote(1, 53), external)
            .payload_of(900)
            .identified(number)
            .bytes();
        let whole = through(
            &mut lab,
            Side::Outside,
            &fragments(&packet, &[8, 304, 504]),
            &order,
        );
        assert_eq!(read(&whole).destination, host(1, 4_000));
        assert_eq!(read(&whole).identification, number, "the remote host's own");
        assert_eq!(transport_checksum_is_right(&whole), Some(true));
    }
    assert_eq!(lab.nat.size().fragment_bytes, 0);
}

#[test]
pub fn req_14_hairpinned_fragments() {
    let mut lab = Lab::new();
    let two = lab.open_udp(host(2, 4_000), remote(1, 53));
    for (number, order) in (100_u16..).zip(ORDERS) {
        let packet = udp(host(1, 4_000), two)
            .payload_of(900)
            .identified(number)
            .bytes();
        let whole = through(
            &mut lab,
            Side::Inside,
            &fragments(&packet, &[304, 304, 104]),
            &order,
        );
        assert_eq!(read(&whole).destination, host(2, 4_000));
        assert!(is_of_pool(read(&whole).source.0));
        assert_eq!(transport_checksum_is_right(&whole), Some(true));
    }
}

#[test]
pub fn req_14_fragments_share_the_fate_of_their_first() {
    let mut lab = Lab::new();
    let nobody = (std::net::Ipv4Addr::new(203, 0, 113, 1), 5_000);
    let pieces = fragments(
        &udp(remote(1, 53), nobody)
            .payload_of(900)
            .identified(7)
            .bytes(),
        &[304, 304],
    );
    assert_eq!(
        lab.dropped(Side::Outside, &pieces[0]),
        DropReason::NoMapping
    );
    assert_eq!(
        lab.dropped(Side::Outside, &pieces[1]),
        DropReason::FragmentOfDropped
    );
    // Kept ones are counted when their first is dropped, and when it never comes.
    let pieces = fragments(
        &udp(remote(1, 53), nobody)
            .payload_of(900)
            .identified(8)
            .bytes(),
        &[304, 304],
    );
    lab.pass(Side::Outside, &pieces[2]);
    lab.pass(Side::Outside, &pieces[0]);
    assert_eq!(lab.dropped_for(DropReason::FragmentOfDropped), 2);
    let pieces = fragments(
        &udp(remote(1, 53), nobody)
            .payload_of(900)
            .identified(9)
            .bytes(),
        &[304, 304],
    );
    lab.pass(Side::Outside, &pieces[1]);
    lab.wait_for(Duration::from_millis(1_999));
    assert_eq!(lab.dropped_for(DropReason::FragmentTimeout), 0);
    lab.wait_for(Duration::from_millis(1));
    assert_eq!(lab.dropped_for(DropReason::FragmentTimeout), 1);
}

#[test]
pub fn req_14a_waiting_fragments_are_bounded() {
    let mut lab = Lab::with(|config| {
        config.limits.fragmented = 100;
        config.limits.fragment_bytes = 20_000;
    });
    let external = lab.open_udp(host(1, 4_000), remote(1, 53));
    let flood = |lab: &mut Lab, size: usize| {
        for number in 0..5_000 {
            let packet = udp(remote(6, 6), external)
                .payload_of(size * 2)
                .identified(number)
                .bytes();
            lab.pass(Side::Outside, &fragments(&packet, &[size])[1]);
        }
    };
    flood(&mut lab, 1_000);
    let waiting = lab.nat.size().fragment_bytes;
    assert!(waiting <= 20_000, "{waiting} bytes");
    lab.wait(3);
    flood(&mut lab, 8);
    let counters = lab.nat.counters();
    assert!(counters.fragments_kept <= 100 + 20);
    assert_eq!(
        counters.fragments_kept + lab.dropped_for(DropReason::FragmentLimit),
        10_000
    );
    // One datagram cannot take all places.
    lab.wait(3);
    let packet = udp(remote(6, 6), external)
        .payload_of(4_000)
        .identified(1)
        .bytes();
    let kept = lab.nat.counters().fragments_kept;
    for piece in &fragments(&packet, &[16; 250])[1..] {
        lab.pass(Side::Outside, piece);
    }
    assert_eq!(lab.nat.counters().fragments_kept - kept, 80);
    // Under the flood, fragments in order still come through.
    let pieces = fragments(
        &udp(host(1, 4_000), remote(1, 53))
            .payload_of(900)
            .identified(3)
            .bytes(),
        &[504],
    );
    lab.out(&pieces[0]);
    lab.out(&pieces[1]);
}

#[test]
pub fn req_14a_a_first_fragment_that_hides_its_ports_is_dropped() {
    let mut lab = Lab::new();
    let packet =
        crate::support::packet::tcp(host(1, 4_000), remote(1, 80), crate::support::packet::SYN)
            .payload_of(100)
            .identified(4)
            .bytes();
    // RFC 1858 §3: the flags lie in the second fragment.
    assert_eq!(
        lab.dropped(Side::Inside, &fragments(&packet, &[8])[0]),
        DropReason::Malformed
    );
    assert_eq!(
        lab.dropped(Side::Inside, &fragments(&packet, &[16])[0]),
        DropReason::Malformed
    );
    // RFC 3128: a later fragment that overwrites them.
    assert_eq!(
        lab.dropped(Side::Inside, &fragments(&packet, &[8])[1]),
        DropReason::Malformed
    );
    // RFC 791: a datagram ends at 65,535 bytes.
    let mut beyond = fragments(&packet, &[24])[1].clone();
    crate::support::reference::set_word(&mut beyond, 6, 8_191);
    crate::support::packet::renew_header_checksum(&mut beyond);
    assert_eq!(lab.dropped(Side::Inside, &beyond), DropReason::Malformed);
}
