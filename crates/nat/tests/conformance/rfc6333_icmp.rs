//! RFC 6333: ICMP at the AFTR, in softwires and about them (RFC 2473 §8, RFC 8201).

use std::net::Ipv4Addr;

use portledger_nat::{DropReason, RealmIndex, Side, Verdict};

use crate::{
    rfc6333::{AFTR, Lab, b4, host, lab, open, put_together, softwire, unwrapped, with},
    support::{
        packet::{UNREACHABLE, echo, echo_reply, error, icmp_kind, quoted, read, remote, udp},
        six::{echo6, icmp6},
    },
};

#[test]
pub fn section_6_5_errors_come_from_the_well_known_address() {
    let mut lab = with(|config| config.nat.mtu.outside = 1_400);
    let packet = udp(host(4_000), remote(1, 53)).payload_of(1_400).bytes();
    let (reason, told) = lab.refused(Side::Inside, &softwire(b4(1), &packet));
    assert_eq!(reason, DropReason::TooBig);
    let told = unwrapped(b4(1), &told);
    assert_eq!(icmp_kind(&told), (UNREACHABLE, 4));
    assert_eq!(read(&told).source.0, Ipv4Addr::new(192, 0, 0, 1));
    assert_eq!(read(&told).destination.0, host(0).0);
    assert_eq!(
        quoted(&told),
        &packet[..quoted(&told).len()],
        "as it was sent"
    );
}

#[test]
pub fn section_8_2_errors_go_to_the_softwire_whose_packet_they_quote() {
    let mut lab = lab();
    let one = open(&mut lab, b4(1), host(4_000));
    open(&mut lab, b4(2), host(4_000));
    let sent = udp(one, remote(1, 53)).bytes();
    let back = lab.inward(&error(remote(9, 0).0, one.0, UNREACHABLE, 3, &sent).bytes());
    let inner = unwrapped(b4(1), &back);
    assert_eq!(read(&inner).destination.0, host(0).0);
    assert_eq!(read(quoted(&inner)).source, host(4_000));
    // From behind the B4: whichever router it is from, it is about the host's packet.
    let delivered = udp(remote(1, 53), host(4_000)).bytes();
    let router = Ipv4Addr::new(192, 168, 1, 1);
    let told = error(router, remote(1, 0).0, UNREACHABLE, 1, &delivered).bytes();
    let out = lab.out(&softwire(b4(1), &told));
    assert_eq!(read(&out).source.0, one.0);
    assert_eq!(read(quoted(&out)).destination, one);
    assert_eq!(
        lab.dropped(Side::Inside, &softwire(b4(3), &told)),
        DropReason::NoMapping
    );
    let mut broken = softwire(b4(1), &told);
    broken[70] ^= 1;
    assert_eq!(lab.dropped(Side::Inside, &broken), DropReason::IcmpChecksum);
}

/// A Packet Too Big of a router on the way, about what went to a B4.
fn too_big(about: &[u8], mtu: u32) -> Vec<u8> {
    let router = "2001:db8:1::1".parse().unwrap();
    icmp6(router, AFTR, 2, 0, mtu.to_be_bytes(), about)
}

#[test]
pub fn rfc_8201_a_packet_too_big_lowers_what_is_sent_for_a_while() {
    let mut lab = lab();
    let external = open(&mut lab, b4(1), host(4_000));
    let large = udp(remote(1, 53), external).payload_of(1_400).bytes();
    let sent = lab.inward(&large);
    let told = too_big(&sent, 1_400);
    assert_eq!(lab.nat.origin(&told), Some((Side::Inside, RealmIndex(0))));
    let passed = lab.pass(Side::Inside, &told);
    assert_eq!((passed.verdict, passed.emitted.len()), (Verdict::Kept, 0));
    let pieces = lab.pieces(Side::Outside, &large);
    assert!(pieces.iter().all(|piece| piece.len() <= 1_400));
    assert_eq!(read(&put_together(&pieces)).destination, host(4_000));
    // What was cut is found by its first piece; never below what IPv6 carries everywhere.
    lab.pass(Side::Inside, &too_big(&pieces[0], 1_000));
    let pieces = lab.pieces(Side::Outside, &large);
    assert_eq!(pieces.iter().map(Vec::len).max(), Some(1_280));
    lab.pass(Side::Inside, &too_big(&pieces[0], 9_000));
    assert_eq!(
        lab.pieces(Side::Outside, &large).len(),
        2,
        "no larger size is learned"
    );
    // Others are none of its business, and it is forgotten.
    let other = open(&mut lab, b4(2), host(4_000));
    lab.inward(&udp(remote(1, 53), other).payload_of(1_400).bytes());
    lab.wait(250);
    open(&mut lab, b4(1), host(4_000));
    lab.wait(250);
    open(&mut lab, b4(1), host(4_000));
    lab.wait(100);
    lab.inward(&large);
}

#[test]
pub fn rfc_8201_what_nobody_sent_lowers_nothing() {
    let mut lab = lab();
    let external = open(&mut lab, b4(1), host(4_000));
    let large = udp(remote(1, 53), external).payload_of(1_400).bytes();
    let sent = lab.inward(&large);
    let mut another_port = sent.clone();
    another_port[63] ^= 1;
    let mut another_end = sent.clone();
    another_end[39] ^= 1;
    let mut not_ours = sent.clone();
    not_ours[23] ^= 1;
    for forged in [another_port, another_end, not_ours] {
        assert_eq!(
            lab.dropped(Side::Inside, &too_big(&forged, 1_280)),
            DropReason::NoMapping
        );
    }
    let mut broken = too_big(&sent, 1_280);
    broken[50] ^= 1;
    assert_eq!(lab.dropped(Side::Inside, &broken), DropReason::IcmpChecksum);
    assert_eq!(
        lab.dropped(Side::Inside, &too_big(&sent[..60], 1_280)),
        DropReason::NoMapping
    );
    lab.inward(&large);
    // And by choice nothing does.
    let mut lab = with(|config| config.learn_mtu = false);
    let external = open(&mut lab, b4(1), host(4_000));
    let large = udp(remote(1, 53), external).payload_of(1_400).bytes();
    let sent = lab.inward(&large);
    lab.pass(Side::Inside, &too_big(&sent, 1_280));
    lab.inward(&large);
}

/// An ICMPv6 error of a router on the way, about what went to a B4.
fn about(kind: u8, code: u8, sent: &[u8]) -> Vec<u8> {
    let router = "2001:db8:1::1".parse().unwrap();
    icmp6(router, AFTR, kind, code, [0; 4], sent)
}

/// What the remote host gets.
fn told(lab: &mut Lab, message: &[u8]) -> Vec<u8> {
    let mut passed = lab.pass(Side::Inside, message);
    assert_eq!((passed.verdict, passed.emitted.len()), (Verdict::Kept, 1));
    assert_eq!(passed.emitted[0].to, Side::Outside);
    passed.emitted.remove(0).data
}

#[test]
pub fn rfc_2473_errors_in_a_softwire_are_told_to_the_original_source() {
    let mut lab = lab();
    let external = open(&mut lab, b4(1), host(4_000));
    let packet = udp(remote(1, 53), external).payload_of(900).bytes();
    let sent = lab.inward(&packet);
    // No route, no such address, hop limit exceeded, and a next header that is not known there.
    for (kind, code) in [(1, 0), (1, 3), (3, 0), (4, 1)] {
        let told = told(&mut lab, &about(kind, code, &sent[..300]));
        assert_eq!(icmp_kind(&told), (UNREACHABLE, 1));
        assert_eq!(read(&told).source.0, external.0);
        assert_eq!(read(&told).destination.0, remote(1, 0).0);
        // As it was sent, but for the checksum of a transport that is not all there.
        let about = quoted(&told);
        assert_eq!(about[..26], packet[..26]);
        assert_eq!(about[28..], packet[28..about.len()]);
    }
    // A subscriber behind another softwire is told so, too (RFC 5508 REQ-7).
    let other = open(&mut lab, b4(2), host(4_000));
    let hairpinned = lab.pass(
        Side::Inside,
        &softwire(b4(2), &udp(host(4_000), external).bytes()),
    );
    let mut passed = lab.pass(Side::Inside, &about(1, 3, &hairpinned.bytes));
    assert_eq!(passed.emitted.len(), 1);
    let inner = unwrapped(b4(2), &passed.emitted.remove(0).data);
    assert_eq!(icmp_kind(&inner), (UNREACHABLE, 1));
    assert_eq!(read(quoted(&inner)).source, host(4_000));
    assert_eq!(read(quoted(&inner)).destination, external);
    assert_ne!(other, external);
}

#[test]
pub fn rfc_2473_what_says_nothing_of_the_way_is_told_to_nobody() {
    let mut lab = lab();
    let external = open(&mut lab, b4(1), host(4_000));
    let sent = lab.inward(&udp(remote(1, 53), external).bytes());
    // What was not put together in time; and no error at all.
    for message in [about(3, 1, &sent), echo6((b4(1), 9), AFTR, 128, b"")] {
        assert_eq!(lab.dropped(Side::Inside, &message), DropReason::IcmpType);
    }
    let mut broken = about(1, 0, &sent);
    broken[50] ^= 1;
    assert_eq!(lab.dropped(Side::Inside, &broken), DropReason::IcmpChecksum);
    // What nobody sent: to another port, to another end.
    for at in [63, 39] {
        let mut forged = sent.clone();
        forged[at] ^= 1;
        let message = about(1, 0, &forged);
        assert_eq!(lab.dropped(Side::Inside, &message), DropReason::NoMapping);
    }
    // An error, of which nobody is told (RFC 1122 §3.2.2).
    let own = udp(external, remote(1, 53)).bytes();
    let error = error(remote(9, 0).0, external.0, UNREACHABLE, 3, &own).bytes();
    let message = about(1, 0, &lab.inward(&error));
    assert_eq!(lab.dropped(Side::Inside, &message), DropReason::NoMapping);
    // Of a query somebody is.
    let out = lab.out(&softwire(b4(1), &echo(host(77), remote(1, 0).0).bytes()));
    let reply = echo_reply(remote(1, 0).0, read(&out).source);
    let sent = lab.inward(&reply.bytes());
    let message = about(1, 0, &sent);
    assert_eq!(icmp_kind(&told(&mut lab, &message)), (UNREACHABLE, 1));
    // Within the rate.
    let mut lab = with(|config| config.nat.icmp_rate = 1);
    let external = open(&mut lab, b4(1), host(4_000));
    let sent = lab.inward(&udp(remote(1, 53), external).bytes());
    let message = about(1, 0, &sent);
    told(&mut lab, &message);
    let passed = lab.pass(Side::Inside, &message);
    assert_eq!((passed.verdict, passed.emitted.len()), (Verdict::Kept, 0));
    assert_eq!(lab.nat.counters().icmp_withheld, 1);
}
