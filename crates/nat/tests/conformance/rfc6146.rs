//! RFC 6146: stateful NAT64.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use portledger_model::{Event, PortRange, Transport};
use portledger_nat::{
    ConfigError, DropReason, Filtering, Nat64, Nat64Config, Nat64ConfigError, RealmIndex, Side,
    Timers, Translation, Verdict, translate::Prefix,
};
use portledger_ports::{Config as PortsConfig, Pool, Pooling, StaticMapping, SubscriberKind};

use crate::support::{
    lab::{POOL, is_of_pool},
    packet::{
        ACK, End, FIN, RST, SYN, SYN_ACK, UNREACHABLE, echo_reply, error, fragments, icmp_kind,
        quoted, read, reassembled, remote, renew_header_checksum, tcp, udp,
    },
    reference::{set_word, sum, word},
    six::{
        End6, Seen6, echo6, fragment_header, icmp6, prefix, raw6, read6, read6_cut, six, tcp6,
        udp6, with_headers,
    },
    slots::Lab6,
};

const OWN: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x64);

type Lab = Lab6<Translation>;

fn config() -> Nat64Config {
    let ports = PortsConfig::new(Pool::parse(&POOL).unwrap());
    Nat64Config::new(ports, prefix(), &["2001:db8:a::/48".parse().unwrap()], OWN)
}

fn lab() -> Lab {
    with(|_| {})
}

fn with(change: impl FnOnce(&mut Nat64Config)) -> Lab {
    let mut config = config();
    change(&mut config);
    Lab6::of(Nat64::new(config, [7; 32]).unwrap())
}

/// Host number `number`, on a link of its own.
fn host(number: u16, port: u16) -> End6 {
    (Ipv6Addr::new(0x2001, 0xdb8, 0xa, number, 0, 0, 0, 1), port)
}

/// A TCP segment with these flags.
fn flagged6(source: End6, destination: End6, flags: u8) -> Vec<u8> {
    let mut packet = tcp6(source, destination, &[]);
    let at = 40 + 13;
    let old = packet[at];
    packet[at] = flags;
    // The sum is renewed by difference, the plain way.
    let total = u32::from(!word(&packet, 56)) + u32::from(!u16::from(old)) + u32::from(flags);
    set_word(&mut packet, 56, !sum(&total.to_be_bytes()));
    assert!(read6(&packet).checksum_is_right());
    packet
}

fn open_udp(lab: &mut Lab, inside: End6, outside: End) -> End {
    read(&lab.out(&udp6(inside, six(outside), b"words"))).source
}

fn syn(lab: &mut Lab, inside: End6, outside: End) -> End {
    read(&lab.out(&flagged6(inside, six(outside), SYN))).source
}

fn ping(lab: &mut Lab, inside: End6, outside: End) -> End {
    read(&lab.out(&echo6(inside, six(outside).0, 128, b"words"))).source
}

fn ends(packet: &[u8]) -> (End6, End6) {
    let seen = read6(packet);
    let (from, to) = match seen.next {
        58 => (word(&seen.payload, 4), word(&seen.payload, 4)),
        _ => seen.ports(),
    };
    ((seen.source, from), (seen.destination, to))
}

/// The packet that an ICMPv6 error quotes, and the error's type and code.
fn quoted6(packet: &[u8]) -> ((u8, u8), Seen6) {
    let seen = read6(packet);
    assert_eq!(seen.next, 58);
    (
        (seen.payload[0], seen.payload[1]),
        read6_cut(&seen.payload[8..]),
    )
}

#[test]
pub fn section_3_1_each_transport_has_a_table_of_its_own() {
    let mut lab = lab();
    let inside = host(1, 4_000);
    let by_udp = open_udp(&mut lab, inside, remote(1, 80));
    let by_tcp = syn(&mut lab, inside, remote(1, 80));
    let by_icmp = ping(&mut lab, inside, remote(1, 0));
    for back in [
        udp(remote(1, 80), by_udp).bytes(),
        tcp(remote(1, 80), by_tcp, SYN_ACK).bytes(),
        echo_reply(remote(1, 0).0, by_icmp).bytes(),
    ] {
        let (from, to) = ends(&lab.inward(&back));
        assert_eq!((from.0, to), (six(remote(1, 0)).0, inside));
    }
    assert_eq!(lab.nat.size().mappings, 3);
    assert_eq!(lab.nat.size().hosts, 1);
}

#[test]
pub fn section_3_1_static_entries_work_both_ways() {
    let forwarded = (Ipv4Addr::new(203, 0, 113, 1), 443);
    let mapping = StaticMapping {
        realm: RealmIndex(0),
        internal: host(5, 0).0.into(),
        behind: None,
        internal_port: 8_443,
        external: forwarded.0,
        external_port: forwarded.1,
        transport: Transport::Tcp,
    };
    let mut lab = with(|config| config.nat.ports.static_mappings = vec![mapping.clone()]);
    // RFC 6888's record names the subscriber: its prefix.
    assert_eq!(
        lab.holders(),
        ["2001:db8:a:5::".parse::<Ipv6Addr>().unwrap()]
    );
    let back = lab.inward(&tcp(remote(1, 9), forwarded, SYN).bytes());
    assert_eq!(ends(&back), (six(remote(1, 9)), host(5, 8_443)));
    let answer = flagged6(host(5, 8_443), six(remote(1, 9)), SYN_ACK);
    assert_eq!(read(&lab.out(&answer)).source, forwarded);
    lab.wait(100_000);
    lab.inward(&tcp(remote(2, 9), forwarded, SYN).bytes());
    let mut wrong = config();
    wrong.nat.ports.static_mappings = vec![StaticMapping {
        internal: Ipv4Addr::new(10, 0, 0, 1).into(),
        ..mapping
    }];
    assert!(matches!(
        Nat64::new(wrong, [0; 32]),
        Err(Nat64ConfigError::Nat(ConfigError::Ports(_)))
    ));
}

#[test]
pub fn section_3_4_errors_are_known_by_what_they_quote() {
    let mut lab = lab();
    let inside = host(1, 4_000);
    let external = open_udp(&mut lab, inside, remote(1, 53));
    // From the outside, by a router on the way.
    let sent = udp(external, remote(1, 53)).bytes();
    let told = error(remote(9, 0).0, external.0, UNREACHABLE, 3, &sent).bytes();
    let back = lab.inward(&told);
    let (kind, about) = quoted6(&back);
    assert_eq!(kind, (1, 4));
    assert_eq!(read6(&back).source, six(remote(9, 0)).0);
    assert_eq!(read6(&back).destination, inside.0);
    assert_eq!((about.source, about.ports()), (inside.0, (4_000, 53)));
    assert_eq!(about.destination, six(remote(1, 0)).0);
    // From the inside, by a router that is no subscriber's: one of the operator's own, say.
    let delivered = udp6(six(remote(1, 53)), inside, b"words");
    let router = "2001:db8:ffff:9::1".parse().unwrap();
    let told = icmp6(router, six(remote(1, 0)).0, 1, 3, [0; 4], &delivered);
    assert_eq!(lab.nat.origin(&told), Some((Side::Inside, RealmIndex(0))));
    let out = lab.out(&told);
    assert_eq!(icmp_kind(&out), (UNREACHABLE, 1));
    assert_eq!(read(&out).source.0, external.0);
    assert_eq!(read(quoted(&out)).source, remote(1, 53));
    assert_eq!(read(quoted(&out)).destination, external);
    // About what nobody was sent.
    let never = udp6(six(remote(1, 53)), host(2, 1), b"words");
    let told = icmp6(host(2, 0).0, six(remote(1, 0)).0, 1, 3, [0; 4], &never);
    assert_eq!(lab.dropped(Side::Inside, &told), DropReason::NoMapping);
    assert_eq!(lab.nat.size().mappings, 1, "no error opens anything");
}

/// Cuts an IPv6 packet into two fragments.
fn cut6(packet: &[u8], at: usize, identification: u32) -> [Vec<u8>; 2] {
    let (source, destination) = (read6(packet).source, read6(packet).destination);
    let payload = &packet[40..];
    [(0, &payload[..at], true), (at, &payload[at..], false)].map(|(offset, piece, more)| {
        let header = fragment_header(u16::try_from(offset / 8).unwrap(), more, identification);
        with_headers(
            &raw6(source, destination, packet[6], piece),
            &[(44, &header)],
        )
    })
}

#[test]
pub fn section_3_4_fragments_pass_in_any_order_both_ways() {
    let mut lab = lab();
    let inside = host(1, 4_000);
    let payload: Vec<u8> = (0..1_800).map(|n| u8::try_from(n % 251).unwrap()).collect();
    for (number, late) in [(1, false), (2, true)] {
        let whole = udp6(inside, six(remote(1, 53)), &payload);
        let [first, last] = cut6(&whole, 1_000, 0x1_0000 + number);
        let mut out = Vec::new();
        if late {
            let waiting = lab.pass(Side::Inside, &last);
            assert_eq!(waiting.verdict, Verdict::Kept);
            let passed = lab.pass(Side::Inside, &first);
            out.push(passed.bytes);
            out.extend(passed.emitted.into_iter().map(|emitted| emitted.data));
        } else {
            out.push(lab.out(&first));
            out.push(lab.out(&last));
        }
        let whole = reassembled(&out);
        assert_eq!(whole[28..], payload);
        let external = read(&whole).source;
        assert!(is_of_pool(external.0));
        // And back.
        let answer = udp(remote(1, 53), external)
            .payload(&payload)
            .identified(40);
        let mut pieces = fragments(&answer.bytes(), &[800]);
        if late {
            pieces.reverse();
        }
        let mut back = Vec::new();
        for piece in &pieces {
            let passed = lab.pass(Side::Outside, piece);
            if matches!(passed.verdict, Verdict::Forward { .. }) {
                back.push(passed.bytes);
            }
            back.extend(passed.emitted.into_iter().map(|emitted| emitted.data));
        }
        let mut seen: Vec<Seen6> = back.iter().map(|piece| read6(piece)).collect();
        seen.sort_by_key(|piece| piece.fragment.unwrap().0);
        assert_eq!(seen.len(), 2);
        assert!(seen.iter().all(|piece| piece.destination == inside.0));
        let mut together = seen[0].payload.clone();
        together.extend(&seen[1].payload);
        assert_eq!(together[8..], payload);
        assert_eq!(seen[0].fragment.map(|f| f.2), seen[1].fragment.map(|f| f.2));
        lab.wait(3);
    }
    assert_eq!(lab.nat.size().fragment_bytes, 0);
}

#[test]
pub fn section_3_4_udp_without_a_checksum_gets_one() {
    let mut lab = lab();
    let inside = host(1, 4_000);
    let external = open_udp(&mut lab, inside, remote(1, 53));
    let whole = udp(remote(1, 53), external).no_checksum().bytes();
    // That it is right is looked at by the laboratory.
    assert_ne!(word(&read6(&lab.inward(&whole)).payload, 6), 0);
    // In fragments, too, whichever comes first.
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let packet = udp(remote(1, 53), external)
            .payload_of(2_000)
            .no_checksum()
            .identified(u16::try_from(order[0] * 3 + order[1]).unwrap());
        let pieces = fragments(&packet.bytes(), &[800, 800]);
        let mut came = Vec::new();
        for number in order {
            let passed = lab.pass(Side::Outside, &pieces[number]);
            assert_eq!(passed.verdict, Verdict::Kept, "{number}");
            came.extend(passed.emitted);
        }
        // Two pieces, since IPv6 carries 1,280 bytes everywhere (RFC 7915 §4).
        let mut seen: Vec<Seen6> = came.iter().map(|emitted| read6(&emitted.data)).collect();
        seen.sort_by_key(|piece| piece.fragment.unwrap().0);
        let mut all = seen[0].clone();
        all.payload.extend(&seen[1].payload);
        assert_eq!((all.destination, all.ports()), (inside.0, (53, 4_000)));
        assert_eq!(all.payload[8..], packet.bytes()[28..]);
        assert!(word(&all.payload, 6) != 0 && all.checksum_is_right());
    }
    assert_eq!(lab.nat.size().fragment_bytes, 0);
    // What does not come in time is dropped, and what it kept is given back.
    let packet = udp(remote(1, 53), external).payload_of(2_000).no_checksum();
    let pieces = fragments(&packet.identified(99).bytes(), &[800]);
    lab.pass(Side::Outside, &pieces[0]);
    assert!(lab.nat.size().fragment_bytes > 0);
    lab.wait(2);
    assert_eq!(lab.nat.size().fragment_bytes, 0);
    assert_eq!(lab.nat.counters().dropped(DropReason::FragmentTimeout), 1);
}

#[test]
pub fn section_3_4_other_protocols_are_refused() {
    let mut lab = lab();
    let sctp = raw6(host(1, 0).0, six(remote(1, 0)).0, 132, &[1; 40]);
    let (reason, told) = lab.refused(Side::Inside, &sctp);
    assert_eq!(reason, DropReason::Protocol);
    assert_eq!(quoted6(&told).0, (1, 4));
    assert_eq!(
        (read6(&told).source, read6(&told).destination),
        (OWN, host(1, 0).0)
    );
    // From the outside, with ICMP's own message.
    let external = Ipv4Addr::new(203, 0, 113, 1);
    let sctp = of_protocol(132, remote(1, 0).0, external, 0);
    let (reason, told) = lab.refused(Side::Outside, &sctp);
    assert_eq!(reason, DropReason::Protocol);
    assert_eq!(icmp_kind(&told), (UNREACHABLE, 2));
    assert_eq!(quoted(&told), &sctp[..]);
    let told = read(&told);
    assert_eq!(
        (told.source.0, told.destination.0),
        (external, remote(1, 0).0)
    );
    // Nobody is told who is none, or of a fragment, or of what is for others (RFC 1122 §3.2.2).
    for silent in [
        of_protocol(132, [224, 0, 0, 1].into(), external, 0),
        of_protocol(132, external, external, 0),
        of_protocol(132, remote(1, 0).0, external, 3),
        of_protocol(132, remote(1, 0).0, Ipv4Addr::new(192, 0, 2, 1), 0),
    ] {
        lab.dropped(Side::Outside, &silent);
    }
    let sent = lab.nat.counters().icmp_sent;
    assert_eq!((sent, lab.nat.size().hosts), (2, 0));
    // Within the rate, which both sides share.
    let mut lab = with(|config| config.nat.icmp_rate = 1);
    lab.refused(Side::Outside, &sctp);
    lab.dropped(Side::Outside, &sctp);
    assert_eq!(lab.nat.counters().icmp_withheld, 1);
}

/// An IPv4 packet of any protocol, at this fragment offset.
fn of_protocol(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, offset: u16) -> Vec<u8> {
    let mut packet = udp((source, 9), (destination, 9)).bytes();
    packet[9] = protocol;
    set_word(&mut packet, 6, offset);
    renew_header_checksum(&mut packet);
    packet
}

#[test]
pub fn section_3_5_what_is_translated_at_all() {
    let mut lab = lab();
    // RFC 6146 §3.5, §5.4: nothing that was translated comes in again, so that nothing loops.
    let looped = udp6(six(remote(2, 9)), six(remote(1, 53)), b"words");
    assert_eq!(lab.dropped(Side::Inside, &looped), DropReason::Spoofed);
    let elsewhere = udp6(host(1, 1), ("2001:db8:b::1".parse().unwrap(), 53), b"words");
    assert_eq!(
        lab.dropped(Side::Inside, &elsewhere),
        DropReason::NotForwardable
    );
    let stranger = ("2001:db8:b::1".parse().unwrap(), 1);
    assert_eq!(
        lab.dropped(Side::Inside, &udp6(stranger, six(remote(1, 53)), b"words")),
        DropReason::NotASubscriber
    );
    let other = udp(remote(1, 53), (Ipv4Addr::new(192, 0, 2, 1), 2_000)).bytes();
    assert_eq!(lab.dropped(Side::Outside, &other), DropReason::NotExternal);
    for group in [[224, 0, 0, 1], [127, 0, 0, 1], [0, 0, 0, 0]] {
        let packet = udp6(host(1, 1), six((group.into(), 53)), b"words");
        assert_eq!(
            lab.dropped(Side::Inside, &packet),
            DropReason::NotForwardable
        );
    }
    let size = lab.nat.size();
    assert_eq!((size.mappings, size.hosts), (0, 0));
}

#[test]
pub fn section_3_5_1_udp_lasts_five_minutes_and_never_less_than_two() {
    assert_eq!(Timers::default().udp, Duration::from_secs(300));
    let mut short = config();
    short.nat.timers.udp = Duration::from_secs(119);
    assert!(matches!(
        Nat64::new(short, [0; 32]),
        Err(Nat64ConfigError::Nat(ConfigError::TimerTooShort {
            name: "udp",
            ..
        }))
    ));
    let mut lab = lab();
    let external = open_udp(&mut lab, host(1, 4_000), remote(1, 53));
    lab.wait(200);
    assert_eq!(open_udp(&mut lab, host(1, 4_000), remote(2, 53)), external);
    lab.wait(300);
    lab.inward(&udp(remote(1, 53), external).bytes());
    lab.wait(2);
    assert_eq!(
        lab.dropped(Side::Outside, &udp(remote(1, 53), external).bytes()),
        DropReason::NoMapping
    );
    let size = lab.nat.size();
    assert_eq!((size.mappings, size.hosts), (0, 0));
}

#[test]
pub fn section_3_5_1_filtering_by_address_is_a_choice() {
    for (filtering, passes) in [
        (Filtering::EndpointIndependent, true),
        (Filtering::AddressDependent, false),
    ] {
        let mut lab = with(|config| config.nat.filtering = [filtering; 3]);
        let external = open_udp(&mut lab, host(1, 4_000), remote(1, 53));
        lab.inward(&udp(remote(1, 9), external).bytes());
        let other = lab.pass(Side::Outside, &udp(remote(2, 53), external).bytes());
        assert_eq!(matches!(other.verdict, Verdict::Forward { .. }), passes);
    }
}

#[test]
pub fn section_3_5_1_1_a_host_keeps_its_ipv4_address_and_ports_are_its_own() {
    assert_eq!(config().nat.ports.pooling, Pooling::Paired);
    let mut lab = lab();
    let mut seen = HashSet::new();
    let mut addresses = HashSet::new();
    for port in 1..300 {
        let external = open_udp(&mut lab, host(1, port), remote(1, 53));
        assert!(external.1 >= 1_024, "no well-known port is given to others");
        addresses.insert(external.0);
        assert!(seen.insert(external));
    }
    for inside in [
        syn(&mut lab, host(1, 9), remote(1, 80)),
        ping(&mut lab, host(1, 9), remote(1, 0)),
    ] {
        addresses.insert(inside.0);
    }
    assert_eq!(addresses.len(), 1);
    // RFC 4787 REQ-4: parity by choice.
    let mut lab = with(|config| config.nat.ports.preserve_parity = true);
    for port in 4_000..4_050 {
        let external = open_udp(&mut lab, host(1, port), remote(1, 53));
        assert_eq!(external.1 % 2, port % 2);
    }
}

#[test]
pub fn section_3_5_1_1_who_gets_no_mapping_is_told() {
    let mut lab = with(|config| {
        config.nat.ports.pool = Pool::parse(&["203.0.113.1"]).unwrap();
        config.nat.ports.port_range = PortRange::new(1_024, 1_087).unwrap();
        config.nat.ports.block_size = 64;
    });
    for port in 1..=64 {
        open_udp(&mut lab, host(1, port), remote(1, 53));
    }
    let packet = udp6(host(2, 1), six(remote(1, 53)), b"words");
    let (reason, told) = lab.refused(Side::Inside, &packet);
    assert_eq!(reason, DropReason::PoolExhausted);
    let (kind, about) = quoted6(&told);
    assert_eq!(kind, (1, 3), "address unreachable");
    assert_eq!(read6(&told).source, OWN);
    assert_eq!((about.source, about.ports()), (host(2, 0).0, (1, 53)));
    assert_eq!(about.destination, six(remote(1, 0)).0);
    assert_eq!(lab.nat.size().hosts, 1, "who has no mapping has no number");
}

#[test]
pub fn section_3_5_2_tcp_has_its_states() {
    let mut lab = lab();
    let inside = host(1, 4_000);
    let server = remote(1, 80);
    let external = syn(&mut lab, inside, server);
    lab.inward(&tcp(server, external, SYN_ACK).bytes());
    lab.out(&flagged6(inside, six(server), ACK));
    // ESTABLISHED: at least two hours.
    lab.wait(7_300);
    assert_eq!(lab.nat.size().mappings, 1);
    lab.out(&flagged6(inside, six(server), ACK));
    // A FIN from each side: four minutes.
    lab.out(&flagged6(inside, six(server), FIN));
    lab.inward(&tcp(server, external, FIN).bytes());
    lab.out(&flagged6(inside, six(server), ACK));
    lab.wait(238);
    assert_eq!(lab.nat.size().mappings, 1);
    lab.wait(4);
    assert_eq!(lab.nat.size().mappings, 0);
    // A RST: four minutes, unless the connection shows that it lives.
    let external = syn(&mut lab, inside, server);
    lab.inward(&tcp(server, external, SYN_ACK).bytes());
    lab.inward(&tcp(server, external, RST).bytes());
    lab.wait(200);
    lab.out(&flagged6(inside, six(server), ACK));
    lab.wait(7_000);
    assert_eq!(lab.nat.size().mappings, 1);
    // V6 INIT without an answer.
    syn(&mut lab, host(2, 1), server);
    lab.wait(242);
    assert_eq!(lab.nat.size().mappings, 1);
    assert_eq!(
        Timers::default().tcp_established,
        Duration::from_secs(7_440)
    );
}

#[test]
pub fn section_3_5_2_2_simultaneous_open() {
    let mut lab = with(|config| config.nat.filtering = [Filtering::AddressDependent; 3]);
    let inside = host(1, 4_000);
    let external = syn(&mut lab, inside, remote(1, 80));
    // Its SYN comes before ours has left: nothing is said for six seconds.
    let early = tcp(remote(2, 90), external, SYN).bytes();
    assert_eq!(lab.dropped(Side::Outside, &early), DropReason::Filtered);
    assert_eq!(lab.wait(4), []);
    lab.out(&flagged6(inside, six(remote(2, 90)), SYN));
    assert_eq!(
        lab.wait(10),
        [],
        "the SYN that was kept is dropped in silence"
    );
    lab.inward(&tcp(remote(2, 90), external, SYN).bytes());
    lab.out(&flagged6(inside, six(remote(2, 90)), SYN_ACK));
    lab.wait(7_000);
    lab.inward(&tcp(remote(2, 90), external, ACK).bytes());
    // And where nobody inside opens, its sender is told after six seconds.
    let late = tcp(remote(3, 90), external, SYN).bytes();
    lab.dropped(Side::Outside, &late);
    assert_eq!(lab.wait(5), []);
    let told = lab.wait(1);
    assert_eq!((told.len(), told[0].to), (1, Side::Outside));
    assert_eq!(icmp_kind(&told[0].data), (UNREACHABLE, 3));
    assert_eq!(read(quoted(&told[0].data)).destination, external);
}

#[test]
pub fn section_3_5_3_queries_have_identifiers_of_their_own() {
    let mut lab = lab();
    let one = ping(&mut lab, host(1, 77), remote(1, 0));
    let two = ping(&mut lab, host(2, 77), remote(1, 0));
    assert_ne!(one, two);
    for (inside, external) in [(host(1, 77), one), (host(2, 77), two)] {
        let back = lab.inward(&echo_reply(remote(1, 0).0, external).bytes());
        assert_eq!(read6(&back).payload[0], 129);
        assert_eq!(ends(&back).1, inside);
    }
    lab.wait(62);
    assert_eq!(
        lab.dropped(Side::Outside, &echo_reply(remote(1, 0).0, one).bytes()),
        DropReason::NoMapping
    );
}

#[test]
pub fn section_3_5_4_addresses_of_every_prefix_length() {
    for length in [32, 40, 48, 56, 64, 96] {
        let text = match length {
            32 => "2001:db9::",
            40 => "2001:db9:100::",
            48 => "2001:db9:122::",
            56 => "2001:db9:122:300::",
            64 => "2001:db9:122:344::",
            _ => "2001:db9:122:344::",
        };
        let prefix = Prefix::new(text.parse().unwrap(), length).unwrap();
        let mut lab = with(|config| config.prefix = prefix);
        let server = (prefix.embed(remote(33, 0).0), 53);
        let out = lab.out(&udp6(host(1, 4_000), server, b"words"));
        assert_eq!(read(&out).destination, remote(33, 53), "/{length}");
        let back = lab.inward(&udp(remote(33, 53), read(&out).source).bytes());
        assert_eq!(ends(&back), (server, host(1, 4_000)));
    }
    // RFC 6052 §3.1: no private address behind the well-known prefix.
    let mut lab = with(|config| config.prefix = Prefix::WELL_KNOWN);
    let private = Prefix::WELL_KNOWN.embed(Ipv4Addr::new(10, 0, 0, 1));
    assert_eq!(
        lab.dropped(Side::Inside, &udp6(host(1, 1), (private, 53), b"words")),
        DropReason::WellKnownPrefix
    );
    let global = Prefix::WELL_KNOWN.embed(Ipv4Addr::new(1, 2, 3, 4));
    lab.out(&udp6(host(1, 1), (global, 53), b"words"));
}

#[test]
pub fn section_3_7_packets_are_translated_as_rfc_7915_says() {
    let mut lab = lab();
    let mut packet = udp6(host(1, 4_000), six(remote(1, 53)), b"words");
    (packet[0], packet[1], packet[7]) = (0x6B, 0x80, 9);
    let out = lab.out(&packet);
    assert_eq!((out[1], out[8]), (0xB8, 9));
    let mut answer = udp(remote(1, 53), read(&out).source).bytes();
    (answer[1], answer[8]) = (0x28, 7);
    renew_header_checksum(&mut answer);
    let back = read6(&lab.inward(&answer));
    assert_eq!((back.class, back.hops), (0x28, 7));
    // Two that may be cut on their way have two identifications (RFC 6864 §5.3.1).
    let ids: HashSet<u16> = (0..50)
        .map(|_| read(&lab.out(&packet)).identification)
        .collect();
    assert_eq!(ids.len(), 50);
}

#[test]
pub fn section_3_7_sizes_of_links() {
    let mut lab = with(|config| {
        config.translation.ipv6_mtu = 1_400;
        config.nat.mtu.outside = 1_300;
    });
    let external = open_udp(&mut lab, host(1, 4_000), remote(1, 53));
    // Not to be cut: its sender learns the size that fits, less the longer header.
    let large = udp(remote(1, 53), external).payload_of(1_353).bytes();
    let (reason, told) = lab.refused(Side::Outside, &large);
    assert_eq!(
        (reason, icmp_kind(&told)),
        (DropReason::TooBig, (UNREACHABLE, 4))
    );
    assert_eq!(word(&told, 26), 1_380);
    assert_eq!(read(quoted(&told)).destination, external, "as it was sent");
    assert_eq!(
        lab.inward(&udp(remote(1, 53), external).payload_of(1_352).bytes())
            .len(),
        1_400
    );
    // To be cut: so that it fits everywhere.
    let pieces = lab.pieces(
        Side::Outside,
        &udp(remote(1, 53), external)
            .payload_of(1_352)
            .identified(7)
            .bytes(),
    );
    assert_eq!(pieces.iter().map(Vec::len).max(), Some(1_280));
    // From the inside, with the shorter header counted.
    let large = udp6(host(1, 4_000), six(remote(1, 53)), &[1; 1_273]);
    let (reason, told) = lab.refused(Side::Inside, &large);
    assert_eq!((reason, quoted6(&told).0), (DropReason::TooBig, (2, 0)));
    assert_eq!(word(&read6(&told).payload, 6), 1_320);
    lab.out(&udp6(host(1, 4_000), six(remote(1, 53)), &[1; 1_272]));
}

#[test]
pub fn section_3_7_a_source_route_is_refused_and_told() {
    let mut lab = lab();
    let external = open_udp(&mut lab, host(1, 4_000), remote(1, 53));
    let route = [131, 7, 4, 192, 0, 2, 1, 0];
    let routed = udp(remote(1, 53), external).options(&route).bytes();
    let (reason, told) = lab.refused(Side::Outside, &routed);
    assert_eq!(reason, DropReason::SourceRoute);
    assert_eq!(icmp_kind(&told), (UNREACHABLE, 5));
    let plain = udp(remote(1, 53), external).options(&[1, 1, 1, 0]).bytes();
    assert_eq!(read6(&lab.inward(&plain)).next, 17, "others are left out");
    let sixth = with_headers(
        &udp6(host(1, 4_000), six(remote(1, 53)), b"words"),
        &[(43, &[0, 0, 1, 0, 0, 0, 0])],
    );
    let (reason, told) = lab.refused(Side::Inside, &sixth);
    assert_eq!(
        (reason, quoted6(&told).0),
        (DropReason::SourceRoute, (4, 0))
    );
    // Who is no subscriber is told nothing.
    let stranger = ("2001:db8:b::1".parse().unwrap(), 1);
    let theirs = with_headers(
        &udp6(stranger, six(remote(1, 53)), b"words"),
        &[(43, &[0, 0, 1, 0, 0, 0, 0])],
    );
    assert_eq!(lab.dropped(Side::Inside, &theirs), DropReason::SourceRoute);
}

#[test]
pub fn section_3_7_a_router_inside_lowers_what_a_remote_host_sends() {
    let mut lab = lab();
    let inside = host(1, 4_000);
    let external = open_udp(&mut lab, inside, remote(1, 53));
    let sent = udp(remote(1, 53), external).payload_of(1_400).bytes();
    let delivered = lab.inward(&sent);
    let router = "2001:db8:ffff:9::1".parse().unwrap();
    let about = &delivered[..1_232];
    let told = icmp6(
        router,
        six(remote(1, 0)).0,
        2,
        0,
        1_300_u32.to_be_bytes(),
        about,
    );
    let out = lab.out(&told);
    // RFC 7915 §5.2: the size that fits, less the longer header.
    assert_eq!((icmp_kind(&out), word(&out, 26)), ((UNREACHABLE, 4), 1_280));
    assert_eq!(read(&out).destination.0, remote(1, 0).0);
    assert_eq!(read(quoted(&out)).destination, external);
}

#[test]
pub fn section_3_8_hairpinning() {
    let mut lab = lab();
    let two = open_udp(&mut lab, host(2, 4_000), remote(1, 53));
    let back = lab.hairpin(&udp6(host(1, 4_000), six(two), b"words"));
    let (from, to) = ends(&back);
    assert_eq!(to, host(2, 4_000));
    let one = open_udp(&mut lab, host(1, 4_000), remote(1, 53));
    assert_eq!(
        from,
        six(one),
        "from its external endpoint, behind the prefix"
    );
    let answer = lab.hairpin(&udp6(host(2, 4_000), from, b"words"));
    assert_eq!(ends(&answer), (six(two), host(1, 4_000)));
    // An error about it finds its way back.
    let told = icmp6(host(2, 0).0, six(one).0, 1, 4, [0; 4], &back);
    let back = lab.hairpin(&told);
    let (kind, about) = quoted6(&back);
    assert_eq!((kind, about.source), ((1, 4), host(1, 0).0));
    assert_eq!((about.destination, about.ports().1), (six(two).0, two.1));
}

#[test]
pub fn section_4_constants_are_kept() {
    let timers = Timers::default();
    let least = [
        (timers.udp, 300),
        (timers.tcp_established, 7_440),
        (timers.tcp_opening, 240),
        (timers.tcp_closing, 240),
        (timers.incoming_syn, 6),
        (timers.fragment, 2),
        (timers.icmp, 60),
    ];
    for (timer, seconds) in least {
        assert_eq!(timer, Duration::from_secs(seconds));
    }
}

#[test]
pub fn section_5_2_mapping_does_not_depend_on_the_endpoint() {
    let mut lab = lab();
    let externals: HashSet<End> = (1..50)
        .map(|number| open_udp(&mut lab, host(1, 4_000), remote(number, u16::from(number))))
        .collect();
    assert_eq!(externals.len(), 1);
    let connections: HashSet<End> = (1..50)
        .map(|number| syn(&mut lab, host(1, 4_000), remote(number, 80)))
        .collect();
    assert_eq!(connections.len(), 1);
}

#[test]
pub fn section_5_3_what_waits_is_bounded() {
    let mut lab = with(|config| {
        config.nat.limits.fragmented = 4;
        config.nat.limits.fragment_bytes = 4_000;
        config.unsummed = 3;
        config.nat.timers.fragment = Duration::from_secs(5);
    });
    let whole = udp6(host(1, 4_000), six(remote(1, 53)), &[7; 1_000]);
    let mut kept = 0;
    for number in 0..50 {
        let [_, last] = cut6(&whole, 504, number);
        let passed = lab.pass(Side::Inside, &last);
        kept += usize::from(passed.verdict == Verdict::Kept);
    }
    assert_eq!(kept, 4);
    assert!(lab.nat.size().fragment_bytes <= 4_000);
    assert_eq!(lab.nat.size().hosts, 1, "who waits is not forgotten");
    lab.wait(6);
    assert_eq!(
        (lab.nat.size().fragment_bytes, lab.nat.size().hosts),
        (0, 0)
    );
    // Extension headers: so many, and no more.
    let many = with_headers(&whole, &[(60, &[0_u8, 1, 4, 0, 0, 0, 0][..]); 40]);
    assert_eq!(
        lab.dropped(Side::Inside, &many),
        DropReason::ExtensionHeaders
    );
}

/// RFC 6888 and RFC 7768, by prefix: a host's addresses of a day are one subscriber's.
#[test]
pub fn a_subscriber_is_a_prefix() {
    for (length, hosts, blocks) in [(64, 300, 2), (56, 300, 2), (128, 8, 8)] {
        let mut lab = with(|config| {
            config.nat.ports.subscribers = SubscriberKind::Prefix(length);
            config.nat.ports.limits.ports = [None, Some(400), None];
        });
        let mut externals = HashSet::new();
        for number in 0..hosts {
            let mut inside = host(if length == 56 { number % 4 } else { 1 }, 4_000);
            inside.0 = Ipv6Addr::from_bits(inside.0.to_bits() + u128::from(number) * 16);
            externals.insert(open_udp(&mut lab, inside, remote(1, 53)));
        }
        assert_eq!(externals.len(), usize::from(hosts));
        assert_eq!(lab.holders().len(), blocks, "/{length}");
        let holders: HashSet<Ipv6Addr> = lab.holders().into_iter().collect();
        assert_eq!(holders.len(), if length == 128 { 8 } else { 1 });
        assert!(
            length == 128 || holders.contains(&"2001:db8:a:1::".parse().unwrap()) || length == 56
        );
        // In the end all is given back.
        lab.wait(10_000);
        let released = lab
            .told
            .iter()
            .filter(|told| matches!(told.event, Event::Released { .. }))
            .count();
        assert_eq!((released, lab.nat.size().hosts), (blocks, 0));
    }
}

#[test]
pub fn what_cannot_work_is_refused() {
    let refused = |change: fn(&mut Nat64Config)| {
        let mut config = config();
        change(&mut config);
        Nat64::new(config, [0; 32]).unwrap_err()
    };
    assert_eq!(
        refused(|config| config.inside.clear()),
        Nat64ConfigError::NoInside
    );
    assert!(matches!(
        refused(|config| config.inside[0].1 = "2001:db8:64::/112".parse().unwrap()),
        Nat64ConfigError::InsidePrefix(_)
    ));
    assert!(matches!(
        refused(|config| config.inside[0].0 = RealmIndex(3)),
        Nat64ConfigError::UnknownRealm { realm: 3, .. }
    ));
    assert_eq!(
        refused(|config| config.nat.ports.subscribers = SubscriberKind::Softwire(64)),
        Nat64ConfigError::NotPrefixes
    );
    assert_eq!(
        refused(|config| config.nat.inside = vec![(RealmIndex(0), "10.0.0.0/8".parse().unwrap())]),
        Nat64ConfigError::Ipv4Inside
    );
    assert_eq!(
        refused(|config| config.unsummed_bytes = 1),
        Nat64ConfigError::Unsummed(1)
    );
    assert!(matches!(
        refused(|config| config.translation.ipv6_mtu = 1_279),
        Nat64ConfigError::Translation(_)
    ));
}
