//! RFC 7597 §8.3, §10: fragments at the border relay of MAP-E, and what is too large.

use std::time::Duration;

use portledger_nat::{DropReason, Side};

use crate::{
    rfc7597::remote,
    support::{
        packet::{fragments, icmp_kind, reassembled, udp},
        reference::word,
        relays::{RelayLab, customer, map_e, neighbour, unwrapped, wrapped},
        six::{fragment_header, read6, with_headers},
    },
};

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
