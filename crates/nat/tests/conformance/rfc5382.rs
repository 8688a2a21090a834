//! RFC 5382: NAT behavioural requirements for TCP.

use std::{collections::HashSet, net::Ipv4Addr, time::Duration};

use portledger_model::Transport::Tcp;
use portledger_nat::{ConfigError, DropReason, Filtering, Limits, Nat, RealmIndex, Side, Timers};
use portledger_ports::StaticMapping;

use crate::support::{
    lab::{Lab, config, is_of_pool},
    packet::{
        ACK, End, FIN, RST, SYN, SYN_ACK, TIME_EXCEEDED, UNREACHABLE, error, fragments, host,
        icmp_kind, quoted, read, reassembled, remote, tcp,
    },
    reference::transport_checksum_is_right,
};

const CLIENT: (u8, u16) = (1, 40_000);

fn client() -> End {
    host(CLIENT.0, CLIENT.1)
}

fn server() -> End {
    remote(1, 443)
}

/// Sends a segment of the connection between [`client`] and [`server`].
fn from_client(lab: &mut Lab, flags: u8) {
    lab.out(&tcp(client(), server(), flags).bytes());
}

fn from_server(lab: &mut Lab, external: End, flags: u8) {
    lab.inward(&tcp(server(), external, flags).bytes());
}

/// Whether the session is still there. Asked last, for the question refreshes it.
fn lives(lab: &mut Lab, external: End) -> bool {
    lab.reaches(server(), external, Tcp).is_some()
}

#[test]
pub fn req_1_mapping_is_endpoint_independent() {
    let mut lab = Lab::new();
    let external = lab.connect(client(), server());
    for number in 2..100 {
        assert_eq!(lab.connect(client(), remote(number, 80)), external);
    }
    assert_eq!(
        lab.syn(client(), remote(1, 80)),
        external,
        "another port of the same server"
    );
    assert_ne!(lab.syn(host(1, 40_001), server()), external);
}

#[test]
pub fn req_1_a_mapping_lasts_as_long_as_its_last_session() {
    let mut lab = Lab::new();
    let external = lab.connect(client(), server());
    lab.wait(4_000);
    assert_eq!(lab.connect(client(), remote(2, 80)), external);
    lab.wait(4_000);
    assert!(!lives(&mut lab, external), "the first session has ended");
    assert_eq!(
        lab.connect(client(), remote(3, 80)),
        external,
        "the mapping has not"
    );
    assert!(lab.reaches(remote(2, 80), external, Tcp).is_some());
    lab.wait(7_442);
    assert_eq!(lab.nat.size().mappings, 0);
    assert_eq!(lab.nat.size().further_sessions, 0);
}

#[test]
pub fn req_2_an_ordinary_connection() {
    let mut lab = Lab::new();
    let external = lab.connect(client(), server());
    for _ in 0..3 {
        let inward = lab.inward(&tcp(server(), external, ACK).payload_of(1_000).bytes());
        assert_eq!(read(&inward).destination, client());
        from_client(&mut lab, ACK);
    }
    // Closed by either side, with data after the first FIN (a half-closed connection).
    from_server(&mut lab, external, FIN);
    from_client(&mut lab, ACK);
    lab.wait(7_000);
    from_client(&mut lab, ACK);
    lab.wait(7_000);
    from_client(&mut lab, FIN);
    from_server(&mut lab, external, ACK);
}

#[test]
pub fn req_2_a_connection_from_the_outside() {
    let mut lab = Lab::new();
    let external = lab.connect(client(), server());
    let peer = remote(9, 50_000);
    lab.inward(&tcp(peer, external, SYN).bytes());
    lab.out(&tcp(client(), peer, SYN_ACK).bytes());
    lab.inward(&tcp(peer, external, ACK).bytes());
    lab.wait(7_440);
    lab.inward(&tcp(peer, external, ACK).bytes());
    // What opens nothing does not come in.
    for flags in [ACK, SYN_ACK, FIN, RST, 0] {
        let segment = tcp(remote(10, 1), external, flags).bytes();
        assert_eq!(lab.dropped(Side::Outside, &segment), DropReason::NoSession);
    }
}

#[test]
pub fn req_2_retransmissions_and_resets_come_through() {
    let mut lab = Lab::new();
    let external = lab.syn(client(), server());
    from_client(&mut lab, SYN);
    from_server(&mut lab, external, SYN_ACK);
    from_server(&mut lab, external, SYN_ACK);
    from_client(&mut lab, ACK);
    from_client(&mut lab, FIN);
    from_client(&mut lab, FIN);
    from_server(&mut lab, external, FIN);
    from_server(&mut lab, external, FIN);
    from_client(&mut lab, ACK);
    from_server(&mut lab, external, RST);
    from_server(&mut lab, external, RST);
}

/// The ends take the same ports for a new connection before the NAT has forgotten the old one.
#[test]
pub fn req_2_a_new_connection_on_the_ports_of_a_closed_one() {
    for from_outside in [false, true] {
        let mut lab = Lab::new();
        let external = lab.connect(client(), server());
        from_client(&mut lab, FIN);
        from_server(&mut lab, external, FIN);
        from_client(&mut lab, ACK);
        lab.wait(100);
        if from_outside {
            from_server(&mut lab, external, SYN);
            from_client(&mut lab, SYN_ACK);
            from_server(&mut lab, external, ACK);
        } else {
            lab.connect(client(), server());
        }
        lab.wait(7_440);
        assert!(
            lives(&mut lab, external),
            "established again, from the outside: {from_outside}"
        );
    }
}

#[test]
pub fn req_2a_simultaneous_open() {
    // Both SYNs cross behind the NAT.
    let mut lab = Lab::new();
    let external = lab.syn(client(), server());
    from_server(&mut lab, external, SYN);
    from_client(&mut lab, SYN_ACK);
    from_server(&mut lab, external, SYN_ACK);
    lab.wait(7_440);
    assert!(lives(&mut lab, external));
    // The outside's comes first.
    let mut lab = Lab::new();
    let external = lab.syn(client(), remote(5, 5));
    from_server(&mut lab, external, SYN);
    from_client(&mut lab, SYN);
    from_server(&mut lab, external, SYN_ACK);
    from_client(&mut lab, SYN_ACK);
    lab.wait(7_440);
    assert!(lives(&mut lab, external));
}

#[test]
pub fn req_3_filtering_is_endpoint_independent_by_default() {
    let mut lab = Lab::new();
    let external = lab.connect(client(), server());
    let seen = read(&lab.inward(&tcp(remote(77, 7), external, SYN).bytes()));
    assert_eq!((seen.source, seen.destination), (remote(77, 7), client()));
}

#[test]
pub fn req_3a_filtering_can_be_address_dependent() {
    let mut lab = Lab::with(|config| config.filtering[Tcp.index()] = Filtering::AddressDependent);
    let external = lab.connect(client(), server());
    lab.connect(client(), remote(2, 80));
    let stranger = tcp(remote(77, 7), external, SYN).bytes();
    assert_eq!(lab.dropped(Side::Outside, &stranger), DropReason::Filtered);
    lab.inward(&tcp(remote(1, 7), external, SYN).bytes());
    lab.inward(&tcp(remote(2, 7), external, SYN).bytes());
    // The other transports keep theirs.
    let udp = lab.open_udp(host(1, 1), remote(1, 1));
    assert!(
        lab.reaches(remote(77, 7), udp, portledger_model::Transport::Udp)
            .is_some()
    );
}

#[test]
pub fn req_4_an_unsolicited_syn_is_answered_after_six_seconds() {
    let mut lab = Lab::new();
    let nobody = (Ipv4Addr::new(203, 0, 113, 2), 5_000);
    let syn = tcp(remote(9, 50_000), nobody, SYN).bytes();
    assert_eq!(lab.pass(Side::Outside, &syn).emitted, []);
    assert_eq!(lab.wait_for(Duration::from_millis(5_999)), []);
    let answers = lab.wait_for(Duration::from_millis(1));
    assert_eq!(answers.len(), 1);
    let answer = &answers[0].data;
    assert_eq!(
        (answers[0].to, icmp_kind(answer)),
        (Side::Outside, (UNREACHABLE, 3))
    );
    assert_eq!(
        (read(answer).source.0, read(answer).destination.0),
        (nobody.0, remote(9, 0).0)
    );
    assert_eq!(quoted(answer), syn);
    // Nothing but a SYN is answered.
    for flags in [ACK, SYN_ACK, RST, FIN] {
        lab.pass(
            Side::Outside,
            &tcp(remote(9, 50_000), nobody, flags).bytes(),
        );
    }
    assert_eq!(lab.wait(60), []);
}

#[test]
pub fn req_4_a_held_syn_is_dropped_silently_when_the_inside_opens() {
    let mut lab = Lab::new();
    // The host's mapping is there; its next connection is opened from both ends, and address-
    // dependent filtering keeps the outside's SYN out until the inside has sent its own.
    let mut filtered = Lab::with(|config| config.filtering = [Filtering::AddressDependent; 3]);
    let external = filtered.connect(client(), remote(5, 5));
    let syn = tcp(server(), external, SYN).bytes();
    let other = tcp(remote(1, 444), external, SYN).bytes();
    assert_eq!(filtered.dropped(Side::Outside, &syn), DropReason::Filtered);
    assert_eq!(
        filtered.dropped(Side::Outside, &other),
        DropReason::Filtered
    );
    filtered.wait(3);
    filtered.syn(client(), server());
    let answers = filtered.wait(60);
    assert_eq!(answers.len(), 1, "only the other connection's");
    assert_eq!(quoted(&answers[0].data), other);
    filtered.inward(&syn);

    // Held SYNs are bounded, whoever sends how many.
    for port in 1..2_000 {
        lab.pass(
            Side::Outside,
            &tcp(remote(9, port), (Ipv4Addr::new(203, 0, 113, 2), 5_000), SYN).bytes(),
        );
    }
    assert!(lab.wait(10).len() <= config().limits.incoming_syns);
}

/// RFC 1122 §3.2.2: no error about a packet that is not from a single host.
#[test]
pub fn req_4_a_syn_from_no_single_host_is_not_answered() {
    for source in [
        [224, 0, 0, 1],
        [255, 255, 255, 255],
        [0, 0, 0, 0],
        [127, 0, 0, 1],
        [240, 0, 0, 1],
    ] {
        let mut lab = Lab::new();
        let syn = tcp(
            (source.into(), 7),
            (Ipv4Addr::new(203, 0, 113, 2), 5_000),
            SYN,
        )
        .bytes();
        assert_eq!(lab.dropped(Side::Outside, &syn), DropReason::Spoofed);
        assert_eq!(lab.wait(10), []);
    }
}

#[test]
pub fn req_5_an_established_connection_is_kept_for_two_hours_and_four_minutes() {
    for began in [0, 1, 999] {
        let mut lab = Lab::new();
        lab.wait_for(Duration::from_millis(began));
        let external = lab.connect(client(), server());
        lab.wait_for(Duration::from_millis(7_439_999));
        assert!(lives(&mut lab, external));
        lab.wait_for(Duration::from_millis(7_442_000));
        assert!(!lives(&mut lab, external));
        assert_eq!(lab.nat.size().mappings, 0);
    }
}

#[test]
pub fn req_5_transitory_connections_are_kept_for_four_minutes() {
    // Opening, by a SYN from the inside.
    let opening = |lab: &mut Lab| lab.syn(client(), server());
    // Closing, after both FINs, after a RST from either side, picked up in its middle.
    let closed = |lab: &mut Lab| {
        let external = lab.connect(client(), server());
        from_client(lab, FIN);
        from_server(lab, external, FIN);
        external
    };
    let reset_by_server = |lab: &mut Lab| {
        let external = lab.connect(client(), server());
        from_server(lab, external, RST);
        external
    };
    let reset_by_client = |lab: &mut Lab| {
        let external = lab.connect(client(), server());
        from_client(lab, RST);
        external
    };
    let picked_up = |lab: &mut Lab| read(&lab.out(&tcp(client(), server(), ACK).bytes())).source;
    let cases: [&dyn Fn(&mut Lab) -> End; 5] = [
        &opening,
        &closed,
        &reset_by_server,
        &reset_by_client,
        &picked_up,
    ];
    for (case, make) in cases.into_iter().enumerate() {
        let mut lab = Lab::new();
        lab.wait_for(Duration::from_millis(999));
        let external = make(&mut lab);
        lab.wait_for(Duration::from_millis(239_999));
        assert!(lab.nat.size().mappings == 1, "case {case}");
        lab.wait_for(Duration::from_millis(2_001));
        assert_eq!(lab.nat.size().mappings, 0, "case {case}");
        assert!(!lives(&mut lab, external));
    }
}

/// A long timer gives way to a short one at once, and a short one to a long one.
#[test]
pub fn req_5_the_timer_follows_the_state() {
    let mut lab = Lab::new();
    let external = lab.connect(client(), server());
    lab.connect(client(), remote(2, 80));
    lab.wait(3_000);
    from_client(&mut lab, RST);
    lab.wait(242);
    assert!(!lives(&mut lab, external), "reset 242 s ago");
    assert!(lab.reaches(remote(2, 80), external, Tcp).is_some());
    // A RST that was forged or lost: whatever else comes shows that the connection lives.
    let external = lab.connect(client(), server());
    from_server(&mut lab, external, RST);
    lab.wait(200);
    from_client(&mut lab, ACK);
    lab.wait(7_440);
    assert!(lives(&mut lab, external));
    // What a half-open connection sends further does not keep it.
    let half = lab.syn(host(1, 50_000), server());
    for _ in 0..5 {
        lab.wait(60);
        lab.pass(Side::Inside, &tcp(host(1, 50_000), server(), ACK).bytes());
    }
    assert!(lab.reaches(server(), half, Tcp).is_none());
}

#[test]
pub fn req_5a_timers_are_configurable_but_not_below_their_least() {
    let refused = |change: fn(&mut Timers)| {
        let mut config = config();
        change(&mut config.timers);
        matches!(
            Nat::new(config, [0; 32]),
            Err(ConfigError::TimerTooShort { .. })
        )
    };
    assert!(refused(
        |timers| timers.tcp_established = Duration::from_secs(7_439)
    ));
    assert!(refused(
        |timers| timers.tcp_closing = Duration::from_secs(239)
    ));
    assert!(refused(
        |timers| timers.incoming_syn = Duration::from_millis(5_999)
    ));
    assert!(refused(
        |timers| timers.udp_by_port = vec![(53, Duration::from_millis(999))]
    ));
    let mut lab = Lab::with(|config| config.timers.tcp_established = Duration::from_secs(20_000));
    let external = lab.connect(client(), server());
    // Longer than the wheel goes round.
    lab.wait(19_999);
    assert!(lives(&mut lab, external));
    lab.wait(20_002);
    assert!(!lives(&mut lab, external));
}

#[test]
pub fn req_6_payloads_are_left_alone() {
    let mut lab = Lab::new();
    lab.connect(client(), remote(1, 21));
    let text = b"PORT 100,64,0,1,15,160\r\n";
    let out = lab.out(&tcp(client(), remote(1, 21), ACK).payload(text).bytes());
    assert_eq!(out[40..], *text);
}

#[test]
pub fn req_7_no_external_endpoint_is_overloaded() {
    let mut lab = Lab::new();
    let mut seen = HashSet::new();
    for number in 1..40 {
        for port in 1..60 {
            assert!(seen.insert(lab.syn(host(number, port), remote(number, 443))));
        }
    }
}

#[test]
pub fn req_8_hairpinning() {
    let mut lab = Lab::new();
    let listening = lab.syn(host(2, 80), remote(9, 9));
    let syn = read(&lab.hairpin(&tcp(client(), listening, SYN).bytes()));
    assert_eq!(syn.destination, host(2, 80));
    assert!(
        is_of_pool(syn.source.0),
        "RFC 5382 REQ-8a: from the external endpoint"
    );
    let answer = read(&lab.hairpin(&tcp(host(2, 80), syn.source, SYN_ACK).bytes()));
    assert_eq!((answer.source, answer.destination), (listening, client()));
    lab.hairpin(&tcp(client(), listening, ACK).bytes());
    lab.wait(7_440);
    lab.hairpin(&tcp(client(), listening, ACK).payload_of(100).bytes());
    lab.hairpin(&tcp(host(2, 80), syn.source, ACK).bytes());
}

#[test]
pub fn req_9_icmp_errors_about_tcp_are_translated() {
    let mut lab = Lab::new();
    let packet = tcp(client(), server(), SYN).bytes();
    let sent = lab.out(&packet);
    let external = read(&sent).source;
    for (kind, code) in [(UNREACHABLE, 1), (UNREACHABLE, 4), (TIME_EXCEEDED, 0)] {
        let inward = lab.inward(&error(remote(50, 0).0, external.0, kind, code, &sent).bytes());
        assert_eq!(icmp_kind(&inward), (kind, code));
        assert_eq!(quoted(&inward), packet);
        // With no more of it than eight bytes.
        let inward =
            lab.inward(&error(remote(50, 0).0, external.0, kind, code, &sent[..28]).bytes());
        assert_eq!(
            quoted(&inward)[12..24],
            packet[12..24],
            "addresses and ports"
        );
    }
}

#[test]
pub fn req_10_icmp_never_ends_a_connection() {
    let mut lab = Lab::new();
    let sent = lab.out(&tcp(client(), server(), SYN).bytes());
    let external = read(&sent).source;
    lab.inward(&tcp(server(), external, SYN_ACK).bytes());
    for code in 0..16 {
        lab.inward(&error(remote(1, 0).0, external.0, UNREACHABLE, code, &sent).bytes());
    }
    lab.wait(7_440);
    assert!(lives(&mut lab, external));
}

#[test]
pub fn fragmented_segments_both_ways() {
    let mut lab = Lab::new();
    let external = lab.connect(client(), server());
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let mut through = |side, packet: &[u8]| {
            let pieces = fragments(packet, &[24, 304]);
            let mut out = Vec::new();
            for place in order {
                let passed = lab.pass(side, &pieces[place]);
                if matches!(passed.verdict, portledger_nat::Verdict::Forward { .. }) {
                    out.push(passed.bytes);
                }
                out.extend(passed.emitted.into_iter().map(|emitted| emitted.data));
            }
            let whole = reassembled(&out);
            assert_eq!(transport_checksum_is_right(&whole), Some(true));
            assert_eq!(whole[40..], packet[40..]);
            read(&whole)
        };
        let id = u16::try_from(order[0] * 3 + order[1]).unwrap();
        let out = through(
            Side::Inside,
            &tcp(client(), server(), ACK)
                .payload_of(700)
                .identified(id)
                .bytes(),
        );
        assert_eq!(out.source, external);
        let inward = through(
            Side::Outside,
            &tcp(server(), external, ACK)
                .payload_of(700)
                .identified(id)
                .bytes(),
        );
        assert_eq!(inward.destination, client());
    }
}

/// The configured forwarding of port 203.0.113.1:80 to host 9's port 8080.
fn forwarding() -> StaticMapping {
    StaticMapping {
        realm: RealmIndex(0),
        internal: host(9, 0).0.into(),
        behind: None,
        internal_port: 8_080,
        external: Ipv4Addr::new(203, 0, 113, 1),
        external_port: 80,
        transport: Tcp,
    }
}

#[test]
pub fn static_mappings_work_both_ways_for_ever() {
    let mut lab = Lab::with(|config| {
        config.ports.static_mappings = vec![forwarding()];
        config.filtering = [Filtering::AddressDependent; 3];
    });
    let external = (Ipv4Addr::new(203, 0, 113, 1), 80);
    for _ in 0..3 {
        lab.inward(&tcp(remote(1, 5), external, SYN).bytes());
        let answer = lab.out(&tcp(host(9, 8_080), remote(1, 5), SYN_ACK).bytes());
        assert_eq!(read(&answer).source, external);
        lab.inward(&tcp(remote(1, 5), external, ACK).bytes());
        assert_eq!(
            lab.syn(host(9, 8_080), remote(2, 2)),
            external,
            "and from the inside"
        );
        lab.hairpin(&tcp(client(), external, SYN).bytes());
        lab.wait(1_000_000);
        assert_eq!(lab.nat.size().mappings, 1);
        assert_eq!(lab.nat.size().further_sessions, 0);
    }
}

/// A web server behind a forwarded port: its finished connections must make room.
#[test]
pub fn static_mappings_forget_their_connections() {
    let mut lab = Lab::with(|config| {
        config.ports.static_mappings = vec![forwarding()];
        config.limits = Limits {
            sessions: 10,
            sessions_per_mapping: 10,
            ..Limits::default()
        };
    });
    let external = (Ipv4Addr::new(203, 0, 113, 1), 80);
    for round in 0..20 {
        for port in 1..=11 {
            lab.inward(&tcp(remote(round, port), external, SYN).bytes());
        }
        let one_more = tcp(remote(round, 12), external, SYN).bytes();
        assert_eq!(
            lab.dropped(Side::Outside, &one_more),
            DropReason::SessionLimit
        );
        lab.wait(242);
        assert_eq!(lab.nat.size().further_sessions, 0);
    }
    // A connection in use outlives the others.
    lab.inward(&tcp(remote(1, 1), external, SYN).bytes());
    lab.inward(&tcp(remote(2, 2), external, SYN).bytes());
    lab.out(&tcp(host(9, 8_080), remote(2, 2), SYN_ACK).bytes());
    lab.wait(7_400);
    lab.inward(&tcp(remote(2, 2), external, ACK).bytes());
    assert_eq!(lab.reaches(remote(1, 1), external, Tcp), None);
}

/// Two forwardings to one internal endpoint: its answers could leave by one of them only.
#[test]
pub fn static_mappings_of_one_internal_endpoint_are_refused() {
    let mut twice = config();
    twice.ports.static_mappings = vec![
        forwarding(),
        StaticMapping {
            external_port: 81,
            ..forwarding()
        },
    ];
    assert!(matches!(
        Nat::new(twice, [0; 32]),
        Err(ConfigError::Ports(_))
    ));
}
