//! Laws of translation: what goes to IPv6 and back is what it was, whatever it is; every checksum
//! is right by a reader that knows nothing of differences; and no bytes make it panic.

mod support;

use std::net::Ipv4Addr;

use portledger_nat::translate::Config;
use proptest::prelude::*;

use support::{
    packet::{Draft, echo, echo_reply, error, fragments, renew_header_checksum, tcp, udp},
    reference::{header_checksum_is_right, set_word, transport_checksum_is_right, word},
    six::{prefix, read6, to_four_under, to_six_under},
};

fn address() -> impl Strategy<Value = Ipv4Addr> {
    // Any address that a host can have.
    (0x0100_0000..0x7F00_0000_u32).prop_map(Ipv4Addr::from)
}

fn draft() -> impl Strategy<Value = Draft> {
    let ends = (address(), any::<u16>(), address(), any::<u16>());
    (ends, 0_usize..1_200, 0_u8..5, any::<u8>()).prop_map(
        |((from, port, to, other), length, kind, flags)| {
            let (from, to) = ((from, port), (to, other));
            match kind {
                0 => udp(from, to).payload_of(length),
                1 => udp(from, to).payload_of(length).no_checksum(),
                2 => tcp(from, to, flags).payload_of(length),
                3 => echo(from, to.0).payload_of(length),
                _ => echo_reply(from.0, to).payload_of(length),
            }
        },
    )
}

/// A whole packet, with fields of its own.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let fields = (any::<u8>(), any::<u8>(), any::<u16>(), any::<bool>());
    (draft(), fields).prop_map(|(draft, (class, hops, identification, may_be_cut))| {
        let draft = if may_be_cut {
            draft.identified(identification)
        } else {
            draft
        };
        let mut packet = draft.bytes();
        (packet[1], packet[8]) = (class, hops);
        renew_header_checksum(&mut packet);
        packet
    })
}

/// What a packet is after a way there and back: don't fragment by its size, and UDP with a
/// checksum.
fn there_and_back(packet: &[u8], is_fragment: bool) -> Vec<u8> {
    let mut wanted = packet.to_vec();
    let bits = word(packet, 6) & 0x3FFF;
    let dont = !is_fragment && packet.len() > 1_260;
    set_word(&mut wanted, 6, bits | if dont { 0x4000 } else { 0 });
    set_word(
        &mut wanted,
        4,
        if is_fragment { word(packet, 4) } else { 0x4321 },
    );
    renew_header_checksum(&mut wanted);
    wanted
}

/// Both zeros of one's complement say the same in a checksum of ICMP and TCP.
fn same(one: &[u8], other: &[u8], sum_at: usize) {
    let plain = |packet: &[u8]| {
        let mut packet = packet.to_vec();
        if packet.len() >= sum_at + 2 && word(&packet, sum_at) == 0xFFFF {
            set_word(&mut packet, sum_at, 0);
        }
        packet
    };
    assert_eq!(plain(one), plain(other));
}

fn sum_at(packet: &[u8]) -> usize {
    20 + match packet[9] {
        6 => 16,
        17 => 6,
        _ => 2,
    }
}

fn wide() -> Config {
    Config {
        lowest_ipv6_mtu: 9_000,
        ..Config::default()
    }
}

proptest! {
    #[test]
    fn a_packet_comes_back_as_it_was(packet in packet()) {
        let made = to_six_under(wide(), &packet).unwrap().remove(0);
        prop_assert!(read6(&made).checksum_is_right());
        let back = to_four_under(wide(), &made).unwrap();
        prop_assert!(header_checksum_is_right(&back));
        prop_assert_ne!(transport_checksum_is_right(&back), Some(false));
        let mut wanted = there_and_back(&packet, false);
        if packet[9] == 17 && word(&packet, 26) == 0 {
            set_word(&mut wanted, 26, word(&back, 26));
        }
        same(&back, &wanted, sum_at(&packet));
    }

    #[test]
    fn fragments_come_back_as_they_were(packet in packet(), size in 3_usize..60) {
        let is_without = packet[9] == 17 && word(&packet, 26) == 0;
        prop_assume!(packet[9] != 1 && packet.len() > 20 + size * 8 && !is_without);
        for piece in fragments(&packet, &[size * 8]) {
            let made = to_six_under(wide(), &piece).unwrap().remove(0);
            let back = to_four_under(wide(), &made).unwrap();
            same(&back, &there_and_back(&piece, true), sum_at(&piece));
        }
    }

    #[test]
    fn what_is_cut_fits_and_adds_up(packet in packet(), lowest in 1_280_u16..2_000) {
        let config = Config { lowest_ipv6_mtu: lowest, ..Config::default() };
        let pieces = to_six_under(config, &packet).unwrap();
        let mut whole = read6(&pieces[0]);
        whole.payload = pieces.iter().flat_map(|piece| read6(piece).payload).collect();
        prop_assert!(whole.checksum_is_right());
        prop_assert!(pieces.iter().all(|piece| piece.len() <= usize::from(lowest)));
    }

    #[test]
    fn an_error_comes_back_with_what_it_quotes(packet in packet(), router in address(), shown in 28_usize..600, which in 0_usize..4) {
        let shown = shown.min(packet.len());
        let to = Ipv4Addr::new(packet[12], packet[13], packet[14], packet[15]);
        let (kind, code) = [(11, 0), (11, 1), (3, 3), (3, 1)][which];
        let sent = error(router, to, kind, code, &packet[..shown]).bytes();
        let made = to_six_under(wide(), &sent).unwrap().remove(0);
        let seen = read6(&made);
        prop_assert!(seen.checksum_is_right());
        prop_assert_eq!(seen.destination, prefix().embed(to));
        let back = to_four_under(wide(), &made).unwrap();
        prop_assert_eq!(transport_checksum_is_right(&back), Some(true));
        // What is quoted comes back but for what IPv6 has no place for.
        let mut inner = there_and_back(&packet, false);
        set_word(&mut inner, 4, 0);
        renew_header_checksum(&mut inner);
        same(&back[28..], &inner[..shown], sum_at(&packet));
        prop_assert_eq!(&back[12..22], &sent[12..22]);
    }

    #[test]
    fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), mend in any::<bool>()) {
        if let Some(first) = bytes.first_mut() {
            *first = (*first & 0x0F) | 0x40;
        }
        if mend && bytes.len() >= 60 {
            bytes[0] = 0x45;
            let length = u16::try_from(bytes.len()).unwrap();
            set_word(&mut bytes, 2, length);
            renew_header_checksum(&mut bytes);
        }
        let _ = to_six_under(Config::default(), &bytes);
        if bytes.len() >= 40 {
            bytes[0] = 0x60;
            let length = u16::try_from(bytes.len() - 40).unwrap();
            set_word(&mut bytes, 4, length);
        }
        let _ = to_four_under(Config::default(), &bytes);
    }
}
