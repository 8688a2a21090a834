//! RFC 6333: DS-Lite, the AFTR; RFC 7785: subscribers by prefix.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, Ipv6Addr},
};

use portledger_model::{Realm, Transport};
use portledger_nat::{
    Aftr, AftrConfig, AftrConfigError, DropReason, RealmIndex, Side, Softwires, Verdict,
};
use portledger_ports::{Config as PortsConfig, Pool, StaticMapping, SubscriberKind};

use crate::support::{
    lab::POOL,
    packet::{End, SYN, UNREACHABLE, fragments, icmp_kind, read, remote, tcp, udp},
    reference::{set_word, word},
    six::{fragment_header, raw6, read6, with_headers},
    slots::Lab6,
};

pub const AFTR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);

pub type Lab = Lab6<Softwires>;

fn config() -> AftrConfig {
    let ports = PortsConfig::new(Pool::parse(&POOL).unwrap());
    AftrConfig::new(ports, AFTR, &["2001:db8:a::/48".parse().unwrap()])
}

pub fn lab() -> Lab {
    with(|_| {})
}

pub fn with(change: impl FnOnce(&mut AftrConfig)) -> Lab {
    let mut config = config();
    change(&mut config);
    Lab6::of(Aftr::new(config, [7; 32]).unwrap())
}

/// The B4 of subscriber `number`, who has a /56.
pub fn b4(number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0xa, u16::from(number) << 8, 0, 0, 0, 0xb4)
}

/// A host behind any B4.
pub fn host(port: u16) -> End {
    (Ipv4Addr::new(192, 168, 1, 10), port)
}

/// An IPv4 packet in a softwire from `b4`, with its traffic class.
pub fn softwire(b4: Ipv6Addr, inner: &[u8]) -> Vec<u8> {
    let mut outer = raw6(b4, AFTR, 4, inner);
    set_class(&mut outer, inner[1]);
    outer
}

fn set_class(outer: &mut [u8], class: u8) {
    (outer[0], outer[1]) = (0x60 | class >> 4, class << 4);
}

/// The IPv4 packet in what goes to `to`.
pub fn unwrapped(to: Ipv6Addr, packet: &[u8]) -> Vec<u8> {
    let seen = read6(packet);
    assert_eq!((seen.source, seen.destination), (AFTR, to));
    assert_eq!((seen.next, seen.fragment), (4, None));
    seen.payload
}

/// Pieces of a packet, cut outside, put together by offset.
pub fn put_together(pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut seen: Vec<_> = pieces.iter().map(|piece| read6(piece)).collect();
    seen.sort_by_key(|seen| seen.fragment.unwrap().0);
    let identification = seen[0].fragment.unwrap().2;
    let mut whole = Vec::new();
    let last = seen.len() - 1;
    for (number, piece) in seen.iter().enumerate() {
        let (offset, more, id) = piece.fragment.unwrap();
        assert_eq!(
            (offset, more, id),
            (whole.len(), number < last, identification)
        );
        assert_eq!(piece.next, 4);
        whole.extend(&piece.payload);
    }
    whole
}

/// Opens a mapping from behind `b4`, and says its external endpoint.
pub fn open(lab: &mut Lab, b4: Ipv6Addr, inside: End) -> End {
    read(&lab.out(&softwire(b4, &udp(inside, remote(1, 53)).bytes()))).source
}

/// Cuts what is in a softwire outside, at these sizes.
fn cut(b4: Ipv6Addr, inner: &[u8], sizes: &[usize], identification: u32) -> Vec<Vec<u8>> {
    let (mut pieces, mut at) = (Vec::new(), 0_usize);
    for &size in sizes.iter().chain([&usize::MAX]) {
        let end = inner.len().min(at.saturating_add(size));
        let header = fragment_header(
            u16::try_from(at / 8).unwrap(),
            end < inner.len(),
            identification,
        );
        pieces.push(with_headers(
            &raw6(b4, AFTR, 4, &inner[at..end]),
            &[(44, &header)],
        ));
        at = end;
        if at == inner.len() {
            break;
        }
    }
    pieces
}

#[test]
pub fn section_6_2_packets_come_and_go_in_ipv6() {
    let mut lab = lab();
    let packet = tcp(host(4_000), remote(1, 80), SYN).bytes();
    let out = lab.out(&softwire(b4(1), &packet));
    assert_eq!(read(&out).destination, remote(1, 80));
    let external = read(&out).source;
    let answer = tcp(remote(1, 80), external, 0x12).bytes();
    let back = lab.inward(&answer);
    assert_eq!(read6(&back).hops, 64);
    let inner = unwrapped(b4(1), &back);
    assert_eq!(read(&inner).destination, host(4_000));
    assert_eq!(inner[8], answer[8], "its own hops are the driver's");
}

#[test]
pub fn rfc_2473_what_lies_behind_the_packet_is_not_in_it() {
    let mut lab = lab();
    let packet = udp(host(4_000), remote(1, 53)).bytes();
    let mut outer = [&softwire(b4(1), &packet)[..], &[0xAA; 9]].concat();
    assert_eq!(lab.out(&outer).len(), packet.len());
    // Nor is what the outer header leaves out.
    set_word(&mut outer, 4, u16::try_from(packet.len() - 1).unwrap());
    assert_eq!(lab.dropped(Side::Inside, &outer), DropReason::Truncated);
}

#[test]
pub fn section_7_1_classes_are_carried_over_both_ways() {
    let mut lab = lab();
    let mut packet = udp(host(4_000), remote(1, 53)).bytes();
    let external = open(&mut lab, b4(1), host(4_000));
    // RFC 6040 figure 4: what the inner packet says, what the way has marked, what comes of it.
    for (inner, outer, expected) in [
        (0xB8, 0xB8, Some(0xB8)),
        (0xB8, 0x00, Some(0x00)),
        (0x01, 0x03, Some(0x03)),
        (0x02, 0x01, Some(0x01)),
        (0x02, 0x00, Some(0x02)),
        (0x01, 0x02, Some(0x01)),
        (0x03, 0x00, Some(0x03)),
        (0x00, 0x02, Some(0x00)),
        (0x00, 0x03, None),
    ] {
        packet[1] = inner;
        crate::support::packet::renew_header_checksum(&mut packet);
        let mut outside = softwire(b4(1), &packet);
        set_class(&mut outside, outer);
        match expected {
            Some(class) => assert_eq!(lab.out(&outside)[1], class, "{inner:x} {outer:x}"),
            None => assert_eq!(lab.dropped(Side::Inside, &outside), DropReason::Congested),
        }
    }
    let mut answer = udp(remote(1, 53), external).bytes();
    answer[1] = 0xB9;
    crate::support::packet::renew_header_checksum(&mut answer);
    assert_eq!(read6(&lab.inward(&answer)).class, 0xB9);
}

#[test]
pub fn section_6_3_what_is_too_large_is_cut_outside() {
    let mut lab = with(|config| config.mtu = 1_280);
    let external = open(&mut lab, b4(1), host(4_000));
    let mut seen = HashSet::new();
    for length in [1_212, 1_213, 1_500 - 28, 4_000, 60_000] {
        // Whether it may be fragmented or not: the inner packet is never touched.
        for packet in [
            udp(remote(1, 53), external).payload_of(length),
            udp(remote(1, 53), external)
                .payload_of(length)
                .identified(7),
        ] {
            let packet = packet.bytes();
            if length == 1_212 {
                assert_eq!(lab.inward(&packet).len(), 1_280);
                continue;
            }
            let pieces = lab.pieces(Side::Outside, &packet);
            assert!(pieces.iter().all(|piece| piece.len() <= 1_280));
            let inner = put_together(&pieces);
            assert_eq!(read(&inner).destination, host(4_000));
            assert_eq!(inner[28..], packet[28..]);
            assert_eq!(
                inner[4..8],
                packet[4..8],
                "identification, flags and offset"
            );
            assert!(
                seen.insert(read6(&pieces[0]).fragment.unwrap().2),
                "new each time"
            );
        }
    }
}

#[test]
pub fn section_6_3_what_was_cut_outside_is_put_together() {
    let mut lab = lab();
    let external = open(&mut lab, b4(1), host(4_000));
    let packet = udp(host(4_000), remote(1, 53)).payload_of(3_000).bytes();
    let pieces = cut(b4(1), &packet, &[1_000, 16, 1_200], 9);
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        for &number in &order[..3] {
            let passed = lab.pass(Side::Inside, &pieces[number]);
            assert_eq!((passed.verdict, passed.emitted.len()), (Verdict::Kept, 0));
        }
        let passed = lab.pass(Side::Inside, &pieces[order[3]]);
        assert_eq!(passed.verdict, Verdict::Kept);
        let [out] = &passed.emitted[..] else {
            panic!("{:?}", passed.emitted.len())
        };
        assert_eq!((out.to, read(&out.data).source), (Side::Outside, external));
        assert_eq!(out.data[28..], packet[28..]);
    }
    assert_eq!(lab.nat.size().fragment_bytes, 0);
    // One that is all of its packet needs no others (RFC 6946).
    let whole = with_headers(
        &softwire(b4(1), &packet),
        &[(44, &fragment_header(0, false, 3))],
    );
    assert_eq!(read(&lab.out(&whole)).source, external);
    // A packet that comes back in is put together first, too.
    let hairpin = udp(host(5_000), external).payload_of(1_400).bytes();
    let pieces = cut(b4(2), &hairpin, &[1_000], 4);
    lab.pass(Side::Inside, &pieces[1]);
    let back = lab.pass(Side::Inside, &pieces[0]).emitted;
    assert_eq!(back.len(), 1);
    assert_eq!(
        read(&unwrapped(b4(1), &back[0].data)).destination,
        host(4_000)
    );
}

#[test]
pub fn section_6_3_fragments_are_bounded_and_kept_for_a_while() {
    let mut lab = with(|config| {
        config.reassembly.datagrams = 20;
        config.reassembly.of_softwire = 4;
        config.reassembly.bytes = 65_535;
    });
    let packet = udp(host(1), remote(1, 53)).payload_of(1_400).bytes();
    let first = |number: u8, id: u32| cut(b4(number), &packet, &[1_000], id).remove(0);
    let mut kept = |number: u8, id: u32| lab.pass(Side::Inside, &first(number, id)).verdict;
    for id in 0..4 {
        assert_eq!(kept(1, id), Verdict::Kept);
    }
    let limit = Verdict::Drop(DropReason::FragmentLimit);
    assert_eq!(kept(1, 4), limit, "one softwire does not take all");
    for number in 2..6 {
        for id in 0..4 {
            assert_eq!(kept(number, id), Verdict::Kept);
        }
    }
    assert_eq!(kept(9, 0), limit, "and all of them are bounded");
    assert_eq!(lab.nat.size().fragment_bytes, 20_000);
    lab.wait(2);
    assert_eq!(lab.nat.size().fragment_bytes, 0);
    assert_eq!(lab.nat.counters().dropped(DropReason::FragmentTimeout), 20);
    // RFC 5722: overlapping ones end their packet.
    let mut pieces = cut(b4(1), &packet, &[1_000], 5);
    lab.pass(Side::Inside, &pieces[0]);
    set_word(&mut pieces[1], 42, 992);
    assert_eq!(
        lab.dropped(Side::Inside, &pieces[1]),
        DropReason::FragmentOverlap
    );
}

#[test]
pub fn section_6_6_one_address_behind_two_softwires() {
    let mut lab = lab();
    let one = open(&mut lab, b4(1), host(4_000));
    let two = open(&mut lab, b4(2), host(4_000));
    assert_ne!(one, two);
    for (end, external) in [(b4(1), one), (b4(2), two)] {
        let back = lab.inward(&udp(remote(1, 53), external).bytes());
        assert_eq!(read(&unwrapped(end, &back)).destination, host(4_000));
        assert_eq!(open(&mut lab, end, host(4_000)), external, "and it stays");
    }
    // Fragments inside, of one identification: each follows its own first.
    for (end, external) in [(b4(1), one), (b4(2), two)] {
        let packet = udp(host(4_000), remote(1, 53))
            .payload_of(900)
            .identified(5);
        let pieces = fragments(&packet.bytes(), &[400]);
        let last = lab.pass(Side::Inside, &softwire(end, &pieces[1]));
        assert_eq!(last.verdict, Verdict::Kept);
        let first = lab.pass(Side::Inside, &softwire(end, &pieces[0]));
        assert_eq!(read(&first.bytes).source, external);
        assert_eq!(read(&first.emitted[0].data).source.0, external.0);
    }
}

#[test]
pub fn realms_may_have_the_same_softwires() {
    let mut config = config();
    config.nat.ports.realms = vec![Realm::default(), Realm::new("west").unwrap()];
    config.add_realm(RealmIndex(1), &["2001:db8:a::/48".parse().unwrap()]);
    let mut lab = Lab6::of(Aftr::new(config, [7; 32]).unwrap());
    let packet = softwire(b4(1), &udp(host(4_000), remote(1, 53)).bytes());
    let mut opened = [0, 1].map(|realm| {
        let passed = lab.pass_in(RealmIndex(realm), Side::Inside, &packet);
        read(&passed.bytes).source
    });
    for (number, external) in opened.iter_mut().enumerate() {
        let back = lab.pass(Side::Outside, &udp(remote(1, 53), *external).bytes());
        assert!(matches!(
            back.verdict,
            Verdict::Forward { realm, .. } if usize::from(realm.0) == number
        ));
    }
    assert_ne!(opened[0], opened[1]);
}

#[test]
pub fn section_8_5_static_mappings_lead_into_a_softwire() {
    let mut lab = with(|config| {
        config.nat.ports.static_mappings = vec![StaticMapping {
            realm: RealmIndex(0),
            internal: b4(3).into(),
            behind: Some(host(0).0),
            internal_port: 8_080,
            external: Ipv4Addr::new(203, 0, 113, 1),
            external_port: 80,
            transport: Transport::Tcp,
        }];
    });
    // Its subscriber is the prefix.
    assert_eq!(
        lab.holders(),
        [Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0x300, 0, 0, 0, 0)]
    );
    let forwarded = (Ipv4Addr::new(203, 0, 113, 1), 80);
    let back = lab.inward(&tcp(remote(1, 9), forwarded, SYN).bytes());
    assert_eq!(read(&unwrapped(b4(3), &back)).destination, host(8_080));
    let answer = softwire(b4(3), &tcp(host(8_080), remote(1, 9), 0x12).bytes());
    assert_eq!(read(&lab.out(&answer)).source, forwarded);
    let mut half = config();
    half.nat.ports.static_mappings = vec![StaticMapping {
        realm: RealmIndex(0),
        internal: b4(3).into(),
        behind: None,
        internal_port: 8_080,
        external: Ipv4Addr::new(203, 0, 113, 1),
        external_port: 80,
        transport: Transport::Tcp,
    }];
    assert!(matches!(
        Aftr::new(half, [0; 32]),
        Err(AftrConfigError::Nat(_))
    ));
}

#[test]
pub fn section_11_only_softwires_of_subscribers_are_taken() {
    let mut lab = lab();
    let packet = udp(host(4_000), remote(1, 53)).bytes();
    let elsewhere = "2001:db8:b::1".parse().unwrap();
    assert_eq!(
        lab.dropped(Side::Inside, &softwire(elsewhere, &packet)),
        DropReason::NotASubscriber
    );
    let public = udp(remote(7, 1), remote(1, 53)).bytes();
    assert_eq!(
        lab.dropped(Side::Inside, &softwire(b4(1), &public)),
        DropReason::NotASubscriber
    );
    let private = udp(host(1), (Ipv4Addr::new(10, 0, 0, 1), 1)).bytes();
    assert_eq!(
        lab.dropped(Side::Inside, &softwire(b4(1), &private)),
        DropReason::NotForwardable
    );
    let other_end = raw6(b4(1), "2001:db8:ffff::2".parse().unwrap(), 4, &packet);
    assert_eq!(
        lab.dropped(Side::Inside, &other_end),
        DropReason::NotATunnel
    );
    let spoofed = udp(
        (Ipv4Addr::new(10, 0, 0, 1), 1),
        (Ipv4Addr::new(203, 0, 113, 1), 2_000),
    );
    assert_eq!(
        lab.dropped(Side::Outside, &spoofed.bytes()),
        DropReason::Spoofed
    );
    assert_eq!(lab.nat.size().hosts, 0, "nobody has got a number");
}

#[test]
pub fn rfc_2473_extension_headers_are_walked_over_and_tunnels_in_tunnels_are_not() {
    type Headers<'a> = &'a [(u8, &'a [u8])];
    let mut lab = lab();
    let packet = udp(host(4_000), remote(1, 53)).bytes();
    let plain = softwire(b4(1), &packet);
    // The tunnel encapsulation limit (RFC 2473 §5.1), behind padding.
    let limit: &[u8] = &[0, 4, 1, 4, 1, 1, 0];
    let skipped: &[Headers<'_>] = &[
        &[(60, limit)],
        &[(0, limit), (60, limit)],
        &[(43, &[0, 0, 0, 0, 0, 0, 0])],
    ];
    for headers in skipped {
        lab.out(&with_headers(&plain, headers));
    }
    let refused: &[(Headers<'_>, DropReason)] = &[
        (&[(60, limit), (0, limit)], DropReason::ExtensionHeaders),
        (&[(43, &[0, 0, 1, 0, 0, 0, 0])], DropReason::SourceRoute),
        (
            &[(60, &[0, 0xC2, 4, 0, 0, 0, 0])],
            DropReason::ExtensionHeaders,
        ),
        (&[(60, &[9, 4, 1, 4, 1, 1, 0])], DropReason::Malformed),
        (&[(60, limit); 9], DropReason::ExtensionHeaders),
        (&[(51, limit)], DropReason::NotATunnel),
    ];
    for (headers, reason) in refused {
        assert_eq!(
            lab.dropped(Side::Inside, &with_headers(&plain, headers)),
            *reason,
            "{headers:?}"
        );
    }
    let nested = raw6(b4(1), AFTR, 41, &plain);
    assert_eq!(lab.dropped(Side::Inside, &nested), DropReason::NestedTunnel);
    for protocol in [4, 41] {
        let mut inner = packet.clone();
        inner[9] = protocol;
        crate::support::packet::renew_header_checksum(&mut inner);
        assert_eq!(
            lab.dropped(Side::Inside, &softwire(b4(1), &inner)),
            DropReason::NestedTunnel
        );
    }
}

#[test]
pub fn the_segment_size_can_be_lowered_both_ways() {
    let mut lab = with(|config| config.mss = Some(1_400));
    // etherparse's own options: the largest segment of 1,460 bytes.
    let syn = |packet: Vec<u8>| {
        let mut packet = packet;
        packet.splice(40..40, [2, 4, 5, 180]);
        let total = u16::try_from(packet.len()).unwrap();
        set_word(&mut packet, 2, total);
        packet[32] = 0x60;
        crate::support::packet::renew_header_checksum(&mut packet);
        set_word(&mut packet, 36, 0);
        let pseudo = crate::support::reference::pseudo_header_sum(&packet);
        let all = crate::support::reference::sum(&[&pseudo.to_be_bytes(), &packet[20..]].concat());
        set_word(&mut packet, 36, !all);
        packet
    };
    let out = lab.out(&softwire(
        b4(1),
        &syn(tcp(host(4_000), remote(1, 80), SYN).bytes()),
    ));
    assert_eq!(word(&out, 42), 1_400);
    let external = read(&out).source;
    let back = lab.inward(&syn(tcp(remote(1, 80), external, 0x12).bytes()));
    assert_eq!(word(&unwrapped(b4(1), &back), 42), 1_400);
    let mut untouched = self::lab();
    let out = untouched.out(&softwire(
        b4(1),
        &syn(tcp(host(4_000), remote(1, 80), SYN).bytes()),
    ));
    assert_eq!(word(&out, 42), 1_460);
}

#[test]
pub fn rfc_7785_recommendation_2_limits_are_by_prefix() {
    let ends = |number: u16| Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0x100 + number, 0, 0, 0, 1);
    // RFC 7785 §3: by default all softwires of a /56 are one subscriber's.
    assert_eq!(config().nat.ports.subscribers, SubscriberKind::Softwire(56));
    for (mask, refused) in [(56, true), (64, false)] {
        let mut lab = with(|config| {
            config.nat.ports.subscribers = SubscriberKind::Softwire(mask);
            config.nat.ports.limits.ports = [None, Some(4), None];
        });
        for number in 0..4 {
            open(&mut lab, ends(number), host(4_000));
        }
        let packet = softwire(ends(9), &udp(host(4_000), remote(1, 53)).bytes());
        let passed = lab.pass(Side::Inside, &packet);
        assert_eq!(matches!(passed.verdict, Verdict::Drop(_)), refused);
        let holders: HashSet<Ipv6Addr> = lab.holders().into_iter().collect();
        assert_eq!(holders.len(), if refused { 1 } else { 5 });
        if refused {
            // One block, of the prefix; and who is refused is told inside its own softwire.
            assert!(holders.contains(&"2001:db8:a:100::".parse().unwrap()));
            let told = unwrapped(ends(9), &passed.emitted[0].data);
            assert_eq!(icmp_kind(&told), (UNREACHABLE, 1));
        }
    }
}

#[test]
pub fn rfc_7785_a_changed_b4_address_in_its_prefix_keeps_the_block() {
    let mut lab = lab();
    open(&mut lab, b4(1), host(4_000));
    let mut other = b4(1).octets();
    other[15] = 0xb5;
    open(&mut lab, other.into(), host(4_000));
    assert_eq!(lab.holders().len(), 1);
}

#[test]
pub fn what_cannot_work_is_refused() {
    let refused = |change: fn(&mut AftrConfig)| {
        let mut config = config();
        change(&mut config);
        Aftr::new(config, [0; 32]).unwrap_err()
    };
    assert_eq!(
        refused(|config| config.softwires.clear()),
        AftrConfigError::NoSoftwires
    );
    assert_eq!(
        refused(|config| config.mtu = 1_279),
        AftrConfigError::Mtu(1_279)
    );
    assert_eq!(
        refused(|config| config.hop_limit = 0),
        AftrConfigError::HopLimit
    );
    assert_eq!(
        refused(|config| config.mss = Some(40)),
        AftrConfigError::Mss(40)
    );
    assert_eq!(
        refused(|config| config.reassembly.bytes = 1_000),
        AftrConfigError::Reassembly("bytes")
    );
    assert_eq!(
        refused(|config| config.nat.ports.subscribers = SubscriberKind::Address),
        AftrConfigError::NotSoftwires
    );
    assert_eq!(
        refused(|config| config.nat.exempt = vec!["192.0.2.0/24".parse().unwrap()]),
        AftrConfigError::Exempt
    );
}

#[test]
pub fn section_8_2_hairpinning_leads_from_softwire_to_softwire() {
    let mut lab = lab();
    let two = open(&mut lab, b4(2), host(4_000));
    let packet = softwire(b4(1), &udp(host(4_000), two).bytes());
    let back = lab.hairpin(&packet);
    let inner = unwrapped(b4(2), &back);
    assert_eq!(read(&inner).destination, host(4_000));
    let one = read(&inner).source;
    assert_ne!(one, two);
    let answer = lab.hairpin(&softwire(b4(2), &udp(host(4_000), one).bytes()));
    assert_eq!(read(&unwrapped(b4(1), &answer)).source, two);
}
