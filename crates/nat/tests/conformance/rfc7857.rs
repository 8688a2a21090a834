//! RFC 7857: updates to the behavioural requirements.

use std::{collections::HashSet, time::Duration};

use portledger_model::Transport::{Icmp, Tcp, Udp};
use portledger_nat::{DropReason, Filtering, Side, Verdict};

use crate::support::{
    lab::Lab,
    packet::{
        ACK, FIN, RST, SYN, SYN_ACK, UNREACHABLE, error, fragments, host, read, remote, tcp, udp,
    },
    reference::{is_fragment, word},
};

#[test]
pub fn section_2_sessions_follow_the_state_machine_of_rfc_6146() {
    // Data alone does not establish: only a SYN from each side does.
    let mut lab = Lab::new();
    let external = lab.syn(host(1, 1), remote(1, 80));
    lab.inward(&tcp(remote(1, 80), external, ACK).bytes());
    lab.out(&tcp(host(1, 1), remote(1, 80), ACK).bytes());
    lab.wait(242);
    assert_eq!(lab.nat.size().mappings, 0);
    // Half closed is still established.
    let external = lab.connect(host(1, 1), remote(1, 80));
    lab.out(&tcp(host(1, 1), remote(1, 80), FIN).bytes());
    lab.wait(7_440);
    assert!(lab.reaches(remote(1, 80), external, Tcp).is_some());
}

#[test]
pub fn section_2_1_opening_and_closing_have_timers_of_their_own() {
    let mut lab = Lab::with(|config| {
        config.timers.tcp_opening = Duration::from_secs(10);
        config.timers.tcp_closing = Duration::from_secs(500);
    });
    lab.syn(host(1, 1), remote(1, 80));
    lab.wait(12);
    assert_eq!(lab.nat.size().mappings, 0);
    lab.connect(host(1, 1), remote(1, 80));
    lab.out(&tcp(host(1, 1), remote(1, 80), RST).bytes());
    lab.wait(500);
    assert_eq!(lab.nat.size().mappings, 1);
    lab.wait(2);
    assert_eq!(lab.nat.size().mappings, 0);
}

#[test]
pub fn section_2_2_a_reset_is_translated_and_the_session_kept_for_four_minutes() {
    let mut lab = Lab::new();
    let external = lab.connect(host(1, 1), remote(1, 80));
    let inward = lab.inward(&tcp(remote(1, 80), external, RST).bytes());
    assert_eq!(read(&inward).destination, host(1, 1));
    // Further resets come through and do not prolong it.
    for _ in 0..4 {
        lab.wait(59);
        lab.inward(&tcp(remote(1, 80), external, RST).bytes());
    }
    lab.wait(6);
    assert_eq!(lab.nat.size().mappings, 0);
}

#[test]
pub fn section_4_pooling_is_paired_softly() {
    let mut lab = Lab::with(|config| {
        config.ports.block_size = 64;
        config.ports.port_range = portledger_model::PortRange::new(1_024, 1_151).unwrap();
    });
    let addresses: Vec<_> = (1..=300)
        .map(|port| lab.open_udp(host(1, port), remote(1, 53)).0)
        .collect();
    assert!(
        addresses[..128]
            .iter()
            .all(|&address| address == addresses[0]),
        "while it has room"
    );
    assert!(
        addresses[128..]
            .iter()
            .all(|&address| address != addresses[0]),
        "then on another"
    );
}

#[test]
pub fn section_5_mappings_depend_on_the_transport() {
    let mut lab = Lab::new();
    let by_udp = lab.open_udp(host(1, 5_000), remote(1, 53));
    lab.syn(host(1, 5_000), remote(1, 53));
    assert_eq!(lab.nat.size().mappings, 2);
    assert_eq!(lab.open_udp(host(1, 5_000), remote(1, 54)), by_udp);
}

#[test]
pub fn section_6_filtering_depends_on_the_transport() {
    let mut lab = Lab::with(|config| config.filtering[Udp.index()] = Filtering::AddressDependent);
    let by_udp = lab.open_udp(host(1, 5_000), remote(1, 53));
    let by_echo = lab.open_echo(host(1, 5_000), remote(1, 53));
    assert_eq!(lab.reaches(remote(9, 53), by_udp, Udp), None);
    assert!(lab.reaches(remote(9, 53), by_echo, Icmp).is_some());
    // One transport's mapping opens no other's door.
    assert_eq!(lab.reaches(remote(1, 53), by_udp, Tcp), None);
}

#[test]
pub fn section_7_1_errors_and_resets_in_answer_do_not_refresh() {
    let mut lab = Lab::new();
    let external = lab.open_udp(host(1, 5_000), remote(1, 53));
    let probe = udp(remote(9, 9), external).bytes();
    for _ in 0..10 {
        lab.wait(29);
        let inward = lab.inward(&probe);
        lab.out(&error(host(1, 0).0, remote(9, 0).0, UNREACHABLE, 3, &inward).bytes());
    }
    lab.wait(12);
    assert_eq!(lab.nat.size().mappings, 0, "302 s after its last packet");
    // A SYN from anywhere to an open mapping, answered with a RST.
    let external = lab.syn(host(1, 5_000), remote(1, 80));
    lab.inward(&tcp(remote(9, 9), external, SYN).bytes());
    for _ in 0..8 {
        lab.wait(30);
        lab.out(&tcp(host(1, 5_000), remote(9, 9), RST).bytes());
    }
    lab.wait(2);
    assert_eq!(lab.nat.size().mappings, 0);
}

#[test]
pub fn section_8_parity_may_be_off() {
    crate::rfc4787::req_4_parity_is_kept_where_it_is_configured();
}

#[test]
pub fn section_9_ports_are_drawn_at_random() {
    crate::rfc6888::req_15_ports_are_hard_to_guess();
}

#[test]
pub fn section_10_identifications_are_rewritten_where_they_mean_something() {
    let mut lab = Lab::new();
    // Atomic datagrams: left alone.
    let atomic = udp(host(1, 1), remote(1, 53)).bytes();
    assert_eq!(word(&lab.out(&atomic), 4), word(&atomic, 4));
    // Subscribers behind one address who choose the same one.
    let mut seen = HashSet::new();
    let mut address = None;
    for number in 1..=200 {
        let draft = udp(host(number, 1), remote(1, 53)).identified(77);
        let out = lab.out(&draft.bytes());
        if *address.get_or_insert(read(&out).source.0) == read(&out).source.0 {
            assert!(
                seen.insert(word(&out, 4)),
                "two datagrams, one identification"
            );
        }
    }
    assert!(seen.len() > 20);
    // All fragments of one datagram have one; those of the next datagram another. Also those that
    // may not be fragmented further.
    let mut last = 0;
    for dont_fragment in [0, 0x4000] {
        let packet = udp(host(1, 1), remote(1, 53))
            .payload_of(2_000)
            .identified(9)
            .bytes();
        let mut pieces = fragments(&packet, &[1_000, 504]);
        for piece in &mut pieces {
            let field = word(piece, 6) | dont_fragment;
            crate::support::reference::set_word(piece, 6, field);
            crate::support::packet::renew_header_checksum(piece);
            assert!(is_fragment(piece));
        }
        let out: Vec<_> = pieces
            .iter()
            .map(|piece| word(&lab.out(piece), 4))
            .collect();
        assert!(out.iter().all(|&id| id == out[0] && id != last));
        last = out[0];
        lab.wait(3);
    }
    // From the outside they are the remote host's.
    let external = lab.open_udp(host(1, 1), remote(1, 53));
    assert_eq!(
        word(
            &lab.inward(&udp(remote(1, 53), external).identified(5).bytes()),
            4
        ),
        5
    );
}

#[test]
pub fn section_11_a_query_mapping_ends_with_its_last_session() {
    let mut lab = Lab::with(|config| config.filtering = [Filtering::AddressDependent; 3]);
    let external = lab.open_echo(host(1, 7), remote(1, 0));
    lab.wait(40);
    lab.open_echo(host(1, 7), remote(2, 0));
    lab.wait(40);
    assert_eq!(lab.reaches(remote(1, 0), external, Icmp), None);
    assert!(lab.reaches(remote(2, 0), external, Icmp).is_some());
    lab.wait(25);
    assert_eq!(lab.nat.size().mappings, 0);
}

#[test]
pub fn section_12_hairpinned_icmp() {
    crate::rfc5508::req_7_hairpinned_queries();
    crate::rfc5508::req_7a_hairpinned_errors();
}

#[test]
pub fn a_connection_older_than_the_nat_is_picked_up_where_it_is_configured() {
    let mut lab = Lab::with(|config| config.tcp_pick_up = false);
    let segment = tcp(host(1, 1), remote(1, 80), ACK).bytes();
    assert_eq!(lab.dropped(Side::Inside, &segment), DropReason::NotOpening);
    let mut lab = Lab::new();
    lab.out(&segment);
    for flags in [RST, FIN] {
        let closing = tcp(host(1, 2), remote(1, 80), flags).bytes();
        assert_eq!(lab.dropped(Side::Inside, &closing), DropReason::NotOpening);
    }
    let answer = tcp(host(1, 3), remote(1, 80), SYN_ACK).bytes();
    assert!(matches!(
        lab.pass(Side::Inside, &answer).verdict,
        Verdict::Forward { .. }
    ));
}
