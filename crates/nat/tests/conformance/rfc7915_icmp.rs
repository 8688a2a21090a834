//! RFC 7915 §4.2, §4.3, §5.2, §5.3: ICMP, and the packets that its errors quote.

use portledger_nat::{DropReason, translate::Config, translate::read_v6};

use crate::{
    rfc7915::{here, refusal4, refusal6, said6, there},
    support::{
        packet::{
            ACK, TIME_EXCEEDED, UNREACHABLE, echo, error, fragments, icmp_kind, query, quoted,
            read, renew_header_checksum, renew_icmp_checksum, tcp, udp,
        },
        reference::{header_checksum_is_right, set_word, transport_checksum_is_right, word},
        six::{
            echo6, fragment_header, icmp6, read6, read6_cut, six, tcp6, to_four, to_four_under,
            to_six, to_six_under, udp6, with_headers,
        },
    },
};

#[test]
pub fn section_4_2_queries() {
    for (kind, kind6) in [(8, 128), (0, 129)] {
        let packet = query(there(), here().0, kind).payload_of(77).bytes();
        let made = read6(&to_six(&packet));
        assert_eq!((made.payload[0], made.payload[1]), (kind6, 0));
        assert_eq!(made.payload[4..], packet[24..]);
        assert!(made.checksum_is_right());
    }
    for kind in (1..=255).filter(|kind| ![3, 8, 11, 12].contains(kind)) {
        let refused = refusal4(&query(there(), here().0, kind).bytes());
        assert_eq!(
            (refused.reason, refused.answer),
            (DropReason::IcmpType, None)
        );
    }
    // IGMP.
    let mut packet = udp(there(), here()).bytes();
    packet[9] = 2;
    renew_header_checksum(&mut packet);
    assert_eq!(refusal4(&packet).answer, None);
}

/// An IPv4 error about a packet from here to there, with `rest` in its second four bytes.
fn error4(kind: u8, code: u8, rest: u32) -> Vec<u8> {
    let about = udp(here(), there()).payload_of(40).bytes();
    let mut packet = error(there().0, here().0, kind, code, &about).bytes();
    packet[24..28].copy_from_slice(&rest.to_be_bytes());
    renew_icmp_checksum(&mut packet);
    packet
}

#[test]
pub fn section_4_2_every_type_and_code_of_errors() {
    for code in 0..=255_u8 {
        let wanted = match code {
            0 | 1 | 5..=8 | 11 | 12 => Some((1, 0, 0)),
            2 => Some((4, 1, 6)),
            3 => Some((1, 4, 0)),
            4 => Some((2, 0, 1_420)),
            9 | 10 | 13 | 15 => Some((1, 1, 0)),
            _ => None,
        };
        check4(3, code, 1_400, wanted);
        check4(11, code, 0, Some((3, code, 0)));
        if code != 0 && code != 2 {
            check4(12, code, 0, None);
        }
    }
    let pointers = [
        (0, 0),
        (1, 1),
        (2, 4),
        (3, 4),
        (8, 7),
        (9, 6),
        (12, 8),
        (13, 8),
        (14, 8),
        (15, 8),
        (16, 24),
        (17, 24),
        (18, 24),
        (19, 24),
    ];
    for pointer in 0..=255_u32 {
        let known = pointers.iter().find(|&&(from, _)| from == pointer);
        let wanted = known.map(|&(_, to)| (4, 0, to));
        check4(12, 0, pointer << 24, wanted);
        check4(12, 2, pointer << 24, wanted);
    }
}

fn check4(kind: u8, code: u8, rest: u32, wanted: Option<(u8, u8, u32)>) {
    let packet = error4(kind, code, rest);
    match wanted {
        Some(wanted) => {
            let seen = read6(&to_six(&packet));
            assert_eq!(said6(&seen), wanted, "type {kind} code {code} rest {rest}");
            assert!(seen.checksum_is_right());
        }
        None => {
            let refused = refusal4(&packet);
            assert_eq!(
                (refused.reason, refused.answer),
                (DropReason::IcmpType, None)
            );
        }
    }
}

#[test]
pub fn section_4_2_the_size_in_packet_too_big() {
    let links = |ipv6_mtu, ipv4_mtu| Config {
        ipv6_mtu,
        ipv4_mtu,
        ..Config::default()
    };
    let wide = links(9_000, 9_000);
    let told = [
        (wide, 1_400, 1_420),
        (wide, 576, 1_280),
        (wide, 1_260, 1_280),
        (wide, 1_261, 1_281),
        (links(1_300, 9_000), 1_400, 1_300),
        (links(9_000, 1_350), 1_400, 1_370),
    ];
    for (config, from, to) in told {
        let made = to_six_under(config, &error4(3, 4, from)).unwrap();
        assert_eq!(said6(&read6(&made[0])), (2, 0, to), "{from}");
    }
    // A router that tells no size: the greatest plateau of RFC 1191 below the packet's length.
    for (length, size) in [
        (1_500, 1_492),
        (1_492, 1_280),
        (4_000, 2_002),
        (9_000, 8_166),
    ] {
        let mut about = udp(here(), there()).payload_of(8).bytes();
        set_word(&mut about, 2, length);
        renew_header_checksum(&mut about);
        let packet = error(there().0, here().0, 3, 4, &about).bytes();
        let made = to_six_under(wide, &packet).unwrap();
        assert_eq!(said6(&read6(&made[0])), (2, 0, size), "{length}");
    }
}

#[test]
pub fn section_4_3_the_packet_in_error_is_translated() {
    let sent = [
        tcp(here(), there(), ACK).payload_of(60),
        udp(here(), there()).payload_of(61),
        echo(here(), there().0).payload_of(62),
    ];
    for draft in sent {
        let mut about = draft.bytes();
        (about[1], about[8]) = (0x48, 3);
        renew_header_checksum(&mut about);
        for shown in [about.len(), 28] {
            let packet = error(there().0, here().0, TIME_EXCEEDED, 0, &about[..shown]).bytes();
            let seen = read6(&to_six(&packet));
            assert_eq!(
                (seen.source, seen.destination),
                (six(there()).0, six(here()).0)
            );
            let whole = to_six(&about);
            // Its hops are those that it came with, and its length that of the whole.
            assert_eq!(seen.payload[8..], whole[..shown + 20]);
            assert!(seen.checksum_is_right());
        }
    }
}

#[test]
pub fn section_4_3_a_fragment_in_error_has_its_fragment_header() {
    let whole = udp(here(), there())
        .payload_of(3_000)
        .identified(0x55AA)
        .bytes();
    for piece in fragments(&whole, &[1_000, 1_000]) {
        let packet = error(there().0, here().0, TIME_EXCEEDED, 1, &piece[..200]).bytes();
        let seen = read6(&to_six(&packet));
        assert_eq!(seen.payload[8..], to_six(&piece)[..228]);
    }
}

#[test]
pub fn section_4_3_an_error_in_an_error_is_dropped() {
    let about = udp(there(), here()).bytes();
    let inner = error(here().0, there().0, UNREACHABLE, 3, &about).bytes();
    let packet = error(there().0, here().0, TIME_EXCEEDED, 0, &inner).bytes();
    assert_eq!(refusal4(&packet).answer, None);
    let about = udp6(six(here()), six(there()), b"");
    let inner = icmp6(six(there()).0, six(here()).0, 1, 4, [0; 4], &about);
    let packet = icmp6(six(here()).0, six(there()).0, 3, 0, [0; 4], &inner);
    assert_eq!(refusal6(&packet).answer, None);
}

#[test]
pub fn section_4_3_errors_with_a_wrong_checksum_are_dropped() {
    let mut packet = error4(3, 1, 0);
    packet[40] ^= 1;
    assert_eq!(refusal4(&packet).reason, DropReason::IcmpChecksum);
    let about = udp6(six(there()), six(here()), b"");
    let mut packet = icmp6(six(here()).0, six(there()).0, 1, 4, [0; 4], &about);
    packet[60] ^= 1;
    assert_eq!(refusal6(&packet).reason, DropReason::IcmpChecksum);
}

#[test]
pub fn section_4_3_errors_stay_within_the_least_mtu() {
    let about = udp(here(), there()).payload_of(1_452).bytes();
    let packet = error(there().0, here().0, UNREACHABLE, 3, &about).bytes();
    let made = to_six(&packet);
    assert_eq!(made.len(), 1_280);
    assert!(read6(&made).checksum_is_right());
    // Nor does the quoted header change for it.
    assert_eq!(word(&made, 40 + 8 + 4), 1_460);
}

/// An extension of RFC 4884 with one object, as opaque as any.
const EXTENSION: [u8; 12] = [0x20, 0, 0x5E, 0xC0, 0, 8, 1, 1, 1, 2, 3, 4];

#[test]
pub fn section_4_2_extensions_are_kept_and_their_place_is_told() {
    // 128 bytes of a longer packet, as RFC 4884 asks.
    let about = udp(here(), there()).payload_of(300).bytes();
    let with = [&about[..128], &EXTENSION].concat();
    let mut packet = error(there().0, here().0, TIME_EXCEEDED, 0, &with).bytes();
    packet[25] = 32;
    renew_icmp_checksum(&mut packet);
    let made = to_six(&packet);
    let seen = read6(&made);
    assert!(seen.checksum_is_right());
    // 148 bytes of it, padded to a multiple of eight.
    assert_eq!(seen.payload[4], 19);
    assert_eq!(seen.payload[8..156], to_six(&about)[..148]);
    assert_eq!(seen.payload[160..], EXTENSION);
    // "Too big" has no length in ICMPv6: the extension is left out.
    packet[20] = 3;
    packet[21] = 4;
    renew_icmp_checksum(&mut packet);
    assert_eq!(read6(&to_six(&packet)).payload.len(), 8 + 148);
    // And back.
    let inner = udp6(six(there()), six(here()), &[5; 300]);
    let with = [&inner[..152], &EXTENSION].concat();
    let packet = icmp6(six(here()).0, six(there()).0, 1, 0, [19, 0, 0, 0], &with);
    let made = to_four(&packet);
    assert_eq!(transport_checksum_is_right(&made), Some(true));
    assert_eq!(made[25], 33);
    assert_eq!(made[28 + 20..28 + 132], to_four(&inner)[20..132]);
    assert_eq!(made[28 + 132..], EXTENSION);
}

#[test]
pub fn section_1_2_fragmented_icmp_is_dropped() {
    let whole = echo(there(), here().0)
        .payload_of(400)
        .identified(1)
        .bytes();
    for piece in fragments(&whole, &[200]) {
        assert_eq!(refusal4(&piece).reason, DropReason::FragmentedIcmp);
    }
    let whole = echo6(six(here()), six(there()).0, 128, &[0; 100]);
    for (offset, more) in [(0, true), (2, false)] {
        let piece = with_headers(&whole, &[(44, &fragment_header(offset, more, 5))]);
        assert_eq!(refusal6(&piece).reason, DropReason::FragmentedIcmp);
    }
}

#[test]
pub fn section_5_2_informational_messages() {
    for (kind6, kind) in [(128, 8), (129, 0)] {
        let packet = echo6(six(here()), six(there()).0, kind6, b"abcdef");
        let made = to_four(&packet);
        assert_eq!(icmp_kind(&made), (kind, 0));
        assert_eq!(transport_checksum_is_right(&made), Some(true));
        assert_eq!(made[24..], packet[44..]);
    }
    for kind in (0..=255).filter(|kind| ![1, 2, 3, 4, 128, 129].contains(kind)) {
        let packet = icmp6(six(here()).0, six(there()).0, kind, 0, [0; 4], b"abcdef");
        let refused = refusal6(&packet);
        assert_eq!(
            (refused.reason, refused.answer),
            (DropReason::IcmpType, None)
        );
    }
}

#[test]
pub fn section_5_2_every_type_and_code_of_errors() {
    for code in 0..=255_u8 {
        let wanted = match code {
            0 | 2 | 3 => Some((3, 1, 0)),
            1 => Some((3, 10, 0)),
            4 => Some((3, 3, 0)),
            _ => None,
        };
        check6(1, code, 0, wanted);
        check6(3, code, 0, Some((11, code, 0)));
        if code > 1 {
            check6(4, code, 0, None);
        }
    }
    check6(2, 0, 1_400, Some((3, 4, 1_380)));
    check6(4, 1, 40, Some((3, 2, 0)));
    for pointer in 0..=300 {
        let wanted = match pointer {
            0 => Some(0),
            1 => Some(1),
            4 | 5 => Some(2),
            6 => Some(9),
            7 => Some(8),
            8..=23 => Some(12),
            24..=39 => Some(16),
            _ => None,
        };
        check6(4, 0, pointer, wanted.map(|to| (12, 0, to << 24)));
    }
}

fn check6(kind: u8, code: u8, rest: u32, wanted: Option<(u8, u8, u32)>) {
    let about = udp6(six(there()), six(here()), &[1; 40]);
    let packet = icmp6(
        six(here()).0,
        six(there()).0,
        kind,
        code,
        rest.to_be_bytes(),
        &about,
    );
    match wanted {
        Some((kind4, code4, rest4)) => {
            let made = to_four(&packet);
            let said = u32::from_be_bytes(made[24..28].try_into().unwrap());
            assert_eq!(
                (icmp_kind(&made), said),
                ((kind4, code4), rest4),
                "{kind}/{code} {rest}"
            );
            assert_eq!(transport_checksum_is_right(&made), Some(true));
        }
        None => {
            let refused = refusal6(&packet);
            assert_eq!(
                (refused.reason, refused.answer),
                (DropReason::IcmpType, None)
            );
        }
    }
}

#[test]
pub fn section_5_2_the_size_in_fragmentation_needed() {
    let links = |ipv6_mtu, ipv4_mtu| Config {
        ipv6_mtu,
        ipv4_mtu,
        ..Config::default()
    };
    let about = udp6(six(there()), six(here()), &[1; 40]);
    let fragment = with_headers(&about, &[(44, &fragment_header(0, true, 7))]);
    let told = [
        (links(9_000, 9_000), &about, 1_400, 1_380),
        (links(9_000, 9_000), &fragment, 1_400, 1_372),
        (links(1_300, 9_000), &about, 1_400, 1_280),
        (links(9_000, 1_350), &about, 1_400, 1_350),
        (links(9_000, 9_000), &about, 0, 68),
        (links(9_000, 9_000), &about, u32::MAX, 8_980),
    ];
    for (config, about, from, to) in told {
        let packet = icmp6(
            six(here()).0,
            six(there()).0,
            2,
            0,
            u32::to_be_bytes(from),
            about,
        );
        let made = to_four_under(config, &packet).unwrap();
        assert_eq!((icmp_kind(&made), word(&made, 26)), ((3, 4), to));
    }
}

#[test]
pub fn section_5_3_the_packet_in_error_is_translated() {
    let sent = [
        tcp6(six(there()), six(here()), &[1; 60]),
        udp6(six(there()), six(here()), &[2; 61]),
        echo6(six(there()), six(here()).0, 128, &[3; 62]),
    ];
    let router = "2001:db8:ffff::1".parse().unwrap();
    for mut about in sent {
        about[7] = 3;
        for shown in [about.len(), 48] {
            let packet = icmp6(router, six(there()).0, 3, 0, [0; 4], &about[..shown]);
            let made = to_four(&packet);
            assert_eq!(icmp_kind(&made), (11, 0));
            assert!(header_checksum_is_right(&made));
            assert_eq!(transport_checksum_is_right(&made), Some(true));
            // As the packet itself becomes, but for the identification, which nobody remembers.
            let mut whole = to_four(&about);
            set_word(&mut whole, 4, 0);
            renew_header_checksum(&mut whole);
            assert_eq!(quoted(&made), &whole[..shown - 20]);
            assert_eq!(read(&made).source.0.octets(), [192, 0, 2, 254]);
        }
    }
}

#[test]
pub fn section_5_3_a_fragment_in_error_is_a_fragment() {
    let about = udp6(six(there()), six(here()), &[2; 61]);
    for (offset, more) in [(0, true), (5, false)] {
        let about = with_headers(&about, &[(44, &fragment_header(offset, more, 0xABCD))]);
        let packet = icmp6(six(here()).0, six(there()).0, 3, 1, [0; 4], &about);
        assert_eq!(quoted(&to_four(&packet)), to_four(&about));
    }
}

#[test]
pub fn section_5_3_what_a_short_quotation_does_not_show_stays_hidden() {
    let about = with_headers(
        &udp6(six(there()), six(here()), &[2; 61]),
        &[(60, &[0, 1, 4, 0, 0, 0, 0])],
    );
    for shown in 0..60 {
        let packet = icmp6(six(here()).0, six(there()).0, 3, 0, [0; 4], &about[..shown]);
        let read = read_v6(&packet).map(|incoming| incoming.quoted.unwrap().ports);
        match shown {
            0..48 => assert!(read.is_err()),
            48..52 => assert_eq!(read, Ok(None)),
            _ => assert_eq!(read, Ok(Some((there().1, here().1)))),
        }
    }
    let seen = read6_cut(&about[..44]);
    assert_eq!(seen.next, 60);
}
