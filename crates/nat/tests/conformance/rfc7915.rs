//! RFC 7915: packets from IPv4 to IPv6 and back.

use portledger_nat::{
    DropReason, HEADROOM, Offload, Slot,
    translate::{
        Answer, Config, ConfigError, Refused, Translator, UdpWithoutChecksum, answer_v4, answer_v6,
        read_v4,
    },
};

use crate::support::{
    packet::{
        ACK, Draft, End, UNREACHABLE, echo, error, fragments, icmp_kind, quoted, read, reassembled,
        renew_header_checksum, tcp, udp,
    },
    reference::{
        header_checksum_is_right, pseudo_header_sum, set_word, transport_checksum_is_right, word,
    },
    six::{
        Seen6, buffer, echo6, fragment_header, mapped6, raw6, read6, six, tcp6, to_four,
        to_four_under, to_six, to_six_under, udp6, with_headers,
    },
};

pub fn here() -> End {
    (std::net::Ipv4Addr::new(192, 0, 2, 33), 4_000)
}

pub fn there() -> End {
    (std::net::Ipv4Addr::new(198, 51, 100, 2), 443)
}

pub fn refusal4(packet: &[u8]) -> Refused {
    to_six_under(Config::default(), packet).unwrap_err()
}

pub fn refusal6(packet: &[u8]) -> Refused {
    to_four_under(Config::default(), packet).unwrap_err()
}

/// A packet of each transport.
fn drafts() -> [Draft; 3] {
    [
        tcp(there(), here(), ACK).payload_of(100),
        udp(there(), here()).payload_of(101),
        echo(there(), here().0).payload_of(99),
    ]
}

/// A packet of each transport, in IPv6.
fn packets6() -> [Vec<u8>; 3] {
    let (from, to) = (six(here()), six(there()));
    [
        tcp6(from, to, &[7; 100]),
        udp6(from, to, &[8; 101]),
        echo6(from, to.0, 128, &[9; 99]),
    ]
}

#[test]
pub fn section_4_1_the_header_to_ipv6() {
    for draft in drafts() {
        let mut packet = draft.bytes();
        (packet[1], packet[8]) = (0xB8, 17);
        renew_header_checksum(&mut packet);
        let seen = read6(&to_six(&packet));
        assert_eq!(
            (seen.source, seen.destination),
            (six(there()).0, six(here()).0)
        );
        assert_eq!((seen.class, seen.hops), (0xB8, 17));
        assert_eq!(seen.fragment, None);
        assert_eq!(seen.next, if packet[9] == 1 { 58 } else { packet[9] });
        assert_eq!(seen.payload.len(), packet.len() - 20);
        assert!(seen.checksum_is_right());
    }
}

#[test]
pub fn section_4_1_the_traffic_class_can_be_set() {
    let mut packet = udp(there(), here()).bytes();
    packet[1] = 0xB8;
    renew_header_checksum(&mut packet);
    let config = Config {
        traffic_class: Some(0),
        ..Config::default()
    };
    let made = to_six_under(config, &packet).unwrap();
    assert_eq!(read6(&made[0]).class, 0);
}

#[test]
pub fn section_4_1_hops_are_counted_where_it_is_configured_and_checked_for_zero() {
    let config = Config {
        counts_as_hop: true,
        ..Config::default()
    };
    for (hops, left) in [(64, Some(63)), (2, Some(1)), (1, None), (0, None)] {
        let mut packet = udp(there(), here()).bytes();
        packet[8] = hops;
        renew_header_checksum(&mut packet);
        let made = to_six_under(config, &packet).map(|made| read6(&made[0]).hops);
        let expired = Refused {
            reason: DropReason::HopLimit,
            answer: Some(Answer::HopsExceeded),
        };
        assert_eq!(made, left.ok_or(expired));
        let mut packet = udp6(six(here()), six(there()), b"");
        packet[7] = hops;
        let made = to_four_under(config, &packet).map(|made| made[8]);
        assert_eq!(made, left.ok_or(expired));
    }
}

#[test]
pub fn section_4_1_no_host_s_source_is_dropped_in_silence() {
    for source in [
        "0.0.0.0",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "0.1.2.3",
    ] {
        let packet = udp((source.parse().unwrap(), 9), here()).bytes();
        assert_eq!(
            refusal4(&packet),
            Refused {
                reason: DropReason::Spoofed,
                answer: None
            }
        );
    }
    for source in ["::", "::1", "ff02::1", "::ffff:192.0.2.1"] {
        let packet = udp6((source.parse().unwrap(), 9), six(there()), b"");
        assert_eq!(
            refusal6(&packet),
            Refused {
                reason: DropReason::Spoofed,
                answer: None
            }
        );
    }
}

#[test]
pub fn section_4_1_options_are_ignored() {
    let options: [&[u8]; 5] = [
        &[1, 1, 1, 0],
        &[7, 7, 8, 198, 51, 100, 2, 0],
        // Source routes that have come to their ends: loose, strict.
        &[131, 7, 8, 198, 51, 100, 2, 0],
        &[137, 7, 8, 198, 51, 100, 2, 0],
        // An option that says nothing of its length, and one that leads out.
        &[130, 0, 131, 200],
    ];
    for options in options {
        for draft in drafts() {
            let plain = to_six(&draft.bytes());
            assert_eq!(to_six(&draft.clone().options(options).bytes()), plain);
        }
    }
}

#[test]
pub fn section_4_1_a_source_route_with_places_to_go_is_refused() {
    for kind in [131, 137] {
        let options = [1, kind, 7, 4, 198, 51, 100, 2];
        let packet = udp(there(), here()).options(&options).bytes();
        let refused = refusal4(&packet);
        assert_eq!(refused.reason, DropReason::SourceRoute);
        let answer = answer_v4(here().0, refused.answer.unwrap(), &packet).unwrap();
        assert_eq!(icmp_kind(&answer), (3, 5));
        assert_eq!(quoted(&answer), packet);
        // Nothing is told of an error.
        let about = udp(here(), there()).bytes();
        let packet = error(there().0, here().0, UNREACHABLE, 1, &about).options(&options);
        assert_eq!(refusal4(&packet.bytes()).answer, None);
    }
}

#[test]
pub fn section_4_no_fragment_header_but_for_fragments() {
    for draft in drafts() {
        for draft in [draft.clone(), draft.identified(0x7777)] {
            assert_eq!(read6(&to_six(&draft.bytes())).fragment, None);
        }
    }
    // Up to the least MTU, with or without DF.
    let fits = udp(there(), here()).payload_of(1_232);
    for draft in [fits.clone(), fits.identified(5)] {
        let made = to_six(&draft.bytes());
        assert_eq!((made.len(), read6(&made).fragment), (1_280, None));
    }
}

#[test]
pub fn section_4_1_fragments_keep_offset_flag_and_identification() {
    for draft in [
        udp(there(), here()).payload_of(500),
        tcp(there(), here(), ACK).payload_of(500),
    ] {
        let whole = draft.identified(0xBEEF).bytes();
        let pieces = fragments(&whole, &[104, 200]);
        let mut joined = Vec::new();
        let mut seen = read6(&to_six(&pieces[0]));
        for (number, piece) in pieces.iter().enumerate() {
            let part = read6(&to_six(piece));
            let more = number + 1 < pieces.len();
            assert_eq!(part.fragment, Some((joined.len(), more, 0xBEEF)));
            assert_eq!(part.next, whole[9]);
            joined.extend(part.payload);
        }
        seen.payload = joined;
        assert!(seen.checksum_is_right());
    }
}

#[test]
pub fn section_4_1_what_may_be_cut_is_cut_to_the_lowest_mtu() {
    for (lowest, mtu, limit) in [
        (1_280, 1_500, 1_280),
        (1_400, 1_500, 1_400),
        (9_000, 1_300, 1_300),
    ] {
        let config = Config {
            lowest_ipv6_mtu: lowest,
            ipv6_mtu: mtu,
            ..Config::default()
        };
        let packet = udp(there(), here())
            .payload_of(3_000)
            .identified(0x1234)
            .bytes();
        let pieces = to_six_under(config, &packet).unwrap();
        let (mut whole, mut at) = (read6(&pieces[0]), 0);
        whole.payload.clear();
        for (number, piece) in pieces.iter().enumerate() {
            assert!(piece.len() <= limit);
            let part = read6(piece);
            let more = number + 1 < pieces.len();
            assert_eq!(part.fragment, Some((at, more, 0x1234)));
            if more {
                assert!(
                    piece.len() > limit - 8,
                    "no piece is smaller than it must be"
                );
            }
            at += part.payload.len();
            whole.payload.extend(part.payload);
        }
        assert!(whole.checksum_is_right());
        assert_eq!(whole.payload.len(), 3_008);
    }
    let config = Config {
        lowest_ipv6_mtu: 1_279,
        ..Config::default()
    };
    assert!(matches!(
        Translator::new(config),
        Err(ConfigError::Ipv6MtuTooSmall { .. })
    ));
}

#[test]
pub fn section_4_1_a_fragment_is_cut_further_in_its_place() {
    let whole = udp(there(), here()).payload_of(4_000).identified(9).bytes();
    let mut joined: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut last_more = Vec::new();
    for piece in fragments(&whole, &[2_000]) {
        for part in to_six_under(Config::default(), &piece).unwrap() {
            assert!(part.len() <= 1_280);
            let seen = read6(&part);
            let (offset, more, identification) = seen.fragment.unwrap();
            assert_eq!(identification, 9);
            joined.push((offset, seen.payload));
            last_more.push(more);
        }
    }
    assert_eq!(last_more.iter().filter(|&&more| !more).count(), 1);
    assert_eq!(last_more.last(), Some(&false));
    let mut at = 0;
    for (offset, bytes) in joined {
        assert_eq!(offset, at);
        at += bytes.len();
    }
    assert_eq!(at, 4_008);
}

#[test]
pub fn section_4_1_what_may_not_be_cut_is_answered_with_the_size_that_fits() {
    let config = Config {
        ipv6_mtu: 1_400,
        ..Config::default()
    };
    let fits = udp(there(), here()).payload_of(1_352).bytes();
    assert_eq!(to_six_under(config, &fits).unwrap()[0].len(), 1_400);
    let large = udp(there(), here()).payload_of(1_353).bytes();
    let refused = to_six_under(config, &large).unwrap_err();
    assert_eq!(refused.reason, DropReason::TooBig);
    let answer = answer_v4(here().0, refused.answer.unwrap(), &large).unwrap();
    assert_eq!(icmp_kind(&answer), (3, 4));
    assert_eq!(word(&answer, 26), 1_380);
    assert!(transport_checksum_is_right(&answer).unwrap());
    // A fragment gets eight bytes more.
    let larger = udp(there(), here()).payload_of(2_000).bytes();
    let mut piece = fragments(&larger, &[1_360])[0].clone();
    piece[6] |= 0x40;
    renew_header_checksum(&mut piece);
    assert_eq!(
        to_six_under(config, &piece).unwrap_err().answer,
        Some(Answer::TooBig(1_372))
    );
}

#[test]
pub fn section_4_1_what_the_device_cuts_into_segments_is_measured_by_its_segments() {
    let config = Config {
        ipv6_mtu: 1_500,
        ..Config::default()
    };
    let translator = Translator::new(config).unwrap();
    for (size, fits) in [(1_440, true), (1_441, false)] {
        let mut packet = tcp(there(), here(), ACK).payload_of(20_000).bytes();
        let partial = pseudo_header_sum(&packet);
        set_word(&mut packet, 36, partial);
        let mut buffer = buffer(&packet);
        let range = HEADROOM..buffer.len();
        let mut slot = Slot::new(&mut buffer, range);
        slot.offload = Offload::Segments(size);
        let incoming = read_v4(slot.bytes()).unwrap();
        let done = translator.to_v6(&mut slot, &incoming, &mapped6(&incoming));
        assert_eq!(done.is_ok(), fits);
        if fits {
            // What is left to the device is IPv6's pseudo-header.
            let seen = read6(slot.bytes());
            let mut pseudo = [seen.source.octets(), seen.destination.octets()].concat();
            pseudo.extend(u32::try_from(seen.payload.len()).unwrap().to_be_bytes());
            pseudo.extend([0, 0, 0, 6]);
            assert_eq!(
                word(&seen.payload, 16),
                crate::support::reference::sum(&pseudo)
            );
        }
    }
}

#[test]
pub fn section_4_1_a_checksum_left_to_the_device_is_completed_before_a_packet_is_cut() {
    let mut packet = udp(there(), here()).payload_of(2_000).identified(3).bytes();
    let partial = pseudo_header_sum(&packet);
    set_word(&mut packet, 26, partial);
    let mut buffer = buffer(&packet);
    let range = HEADROOM..buffer.len();
    let mut slot = Slot::new(&mut buffer, range);
    slot.offload = Offload::Checksum;
    let incoming = read_v4(slot.bytes()).unwrap();
    let done = Translator::default().to_v6(&mut slot, &incoming, &mapped6(&incoming));
    let Ok(portledger_nat::translate::Done::Instead(pieces)) = done else {
        panic!("{done:?}")
    };
    let mut whole = read6(&pieces[0]);
    whole.payload = pieces
        .iter()
        .flat_map(|piece| read6(piece).payload)
        .collect();
    assert!(whole.checksum_is_right());
}

/// What an ICMPv6 error says: type, code, the second four bytes.
pub fn said6(seen: &Seen6) -> (u8, u8, u32) {
    let rest = u32::from_be_bytes(seen.payload[4..8].try_into().unwrap());
    (seen.payload[0], seen.payload[1], rest)
}

#[test]
pub fn section_4_5_udp_without_a_checksum_gets_one() {
    for length in [0, 1, 100, 1_000] {
        let packet = udp(there(), here())
            .payload_of(length)
            .no_checksum()
            .bytes();
        let seen = read6(&to_six(&packet));
        assert_ne!(word(&seen.payload, 6), 0);
        assert!(seen.checksum_is_right());
    }
}

#[test]
pub fn section_4_5_udp_without_a_checksum_is_dropped_where_it_is_configured() {
    let config = Config {
        udp_without_checksum: UdpWithoutChecksum::Drop,
        ..Config::default()
    };
    let packet = udp(there(), here()).no_checksum().bytes();
    let refused = to_six_under(config, &packet).unwrap_err();
    assert_eq!(refused.reason, DropReason::UdpWithoutChecksum);
    let answer = answer_v4(here().0, refused.answer.unwrap(), &packet).unwrap();
    assert_eq!(icmp_kind(&answer), (3, 13));
}

#[test]
pub fn section_4_5_a_fragment_of_udp_without_a_checksum_is_dropped() {
    let whole = udp(there(), here())
        .payload_of(400)
        .no_checksum()
        .identified(1)
        .bytes();
    let pieces = fragments(&whole, &[200]);
    assert_eq!(refusal4(&pieces[0]).reason, DropReason::UdpWithoutChecksum);
}

#[test]
pub fn section_4_5_all_transports_are_forwarded() {
    let mut packet = udp(there(), here()).payload_of(64).bytes();
    for protocol in [4, 33, 41, 47, 50, 51, 132, 136, 200, 255] {
        packet[9] = protocol;
        renew_header_checksum(&mut packet);
        let made = read6(&to_six(&packet));
        assert_eq!((made.next, &made.payload[..]), (protocol, &packet[20..]));
        if ![51].contains(&protocol) {
            let six = raw6(six(here()).0, six(there()).0, protocol, &packet[20..]);
            let made = to_four(&six);
            assert_eq!((made[9], &made[20..]), (protocol, &packet[20..]));
        }
    }
    // But for numbers that mean something else in IPv6: extension headers, ICMPv6.
    for protocol in [0, 43, 44, 58, 60] {
        packet[9] = protocol;
        renew_header_checksum(&mut packet);
        assert_eq!(refusal4(&packet).reason, DropReason::Protocol);
    }
    let icmp = raw6(six(here()).0, six(there()).0, 1, &[8, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(refusal6(&icmp).reason, DropReason::Protocol);
}

#[test]
pub fn section_5_1_the_header_to_ipv4() {
    for mut packet in packets6() {
        packet[0] = 0x6B;
        packet[1] = 0x8F;
        packet[2] = 0xFF;
        packet[7] = 17;
        let made = to_four(&packet);
        let seen = read(&made);
        assert_eq!((seen.source.0, seen.destination.0), (here().0, there().0));
        assert_eq!((made[0], made[1], made[8]), (0x45, 0xB8, 17));
        assert_eq!(made[9], if packet[6] == 58 { 1 } else { packet[6] });
        assert_eq!(usize::from(word(&made, 2)), packet.len() - 20);
        assert_eq!((seen.identification, word(&made, 6)), (0x4321, 0));
        assert!(header_checksum_is_right(&made));
        assert_eq!(transport_checksum_is_right(&made), Some(true));
    }
}

#[test]
pub fn section_5_1_the_type_of_service_can_be_set() {
    let config = Config {
        type_of_service: Some(0x20),
        ..Config::default()
    };
    let made = to_four_under(config, &udp6(six(here()), six(there()), b"")).unwrap();
    assert_eq!(made[1], 0x20);
}

#[test]
pub fn section_5_1_dont_fragment_is_set_above_1260_bytes() {
    for (payload, bits) in [(1_232, 0), (1_233, 0x4000), (1_400, 0x4000)] {
        let made = to_four(&udp6(six(here()), six(there()), &vec![1; payload]));
        assert_eq!((made.len(), word(&made, 6)), (payload + 28, bits));
    }
}

#[test]
pub fn section_5_1_extension_headers_are_skipped() {
    let options: &[u8] = &[0, 1, 4, 0, 0, 0, 0];
    let long: &[u8] = &[&[2, 1, 20], &[0; 20][..]].concat();
    // A Routing header with no segments left.
    let routing: &[u8] = &[
        2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    for packet in packets6() {
        let plain = to_four(&packet);
        for headers in [
            vec![(0, options)],
            vec![(60, long)],
            vec![(43, routing)],
            vec![(0, options), (60, options), (43, routing), (60, long)],
        ] {
            assert_eq!(to_four(&with_headers(&packet, &headers)), plain);
        }
        // No more than a packet can have a reason for.
        let many = vec![(60, options); 9];
        assert_eq!(
            refusal6(&with_headers(&packet, &many)).reason,
            DropReason::ExtensionHeaders
        );
        // Nor beyond the packet.
        let mut short = with_headers(&packet, &[(60, options)]);
        short[41] = 255;
        assert_eq!(refusal6(&short).reason, DropReason::Malformed);
    }
}

#[test]
pub fn section_5_1_a_routing_header_with_segments_left_is_refused() {
    let options: &[u8] = &[0, 1, 4, 0, 0, 0, 0];
    let routing: &[u8] = &[
        2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    for packet in packets6() {
        let packet = with_headers(&packet, &[(0, options), (43, routing)]);
        let refused = refusal6(&packet);
        let answer = answer_v6(six(there()).0, refused.answer.unwrap(), &packet).unwrap();
        let seen = read6(&answer);
        // "Segments left" is the fourth byte of the header behind IPv6's and the options'.
        assert_eq!(said6(&seen), (4, 0, 40 + 8 + 3));
        assert_eq!(seen.destination, six(here()).0);
        assert_eq!(seen.payload[8..], packet);
        assert!(seen.checksum_is_right());
    }
}

#[test]
pub fn section_5_1_1_fragments_keep_offset_flag_and_identification() {
    for whole in [
        udp6(six(here()), six(there()), &[3; 600]),
        tcp6(six(here()), six(there()), &[4; 600]),
    ] {
        let mut pieces = Vec::new();
        for (offset, end, more) in [
            (0, 304, true),
            (304, 600, true),
            (600, whole.len() - 40, false),
        ] {
            let part = raw6(
                six(here()).0,
                six(there()).0,
                whole[6],
                &whole[40 + offset..40 + end],
            );
            let header = fragment_header(u16::try_from(offset / 8).unwrap(), more, 0xDEAD_BEEF);
            let options: &[u8] = &[0, 1, 4, 0, 0, 0, 0];
            let made = to_four(&with_headers(&part, &[(60, options), (44, &header)]));
            assert!(header_checksum_is_right(&made));
            assert_eq!(word(&made, 4), 0xBEEF);
            let bits = u16::try_from(offset / 8).unwrap() | if more { 0x2000 } else { 0 };
            assert_eq!(word(&made, 6), bits, "and no DF");
            pieces.push(made);
        }
        assert_eq!(
            transport_checksum_is_right(&reassembled(&pieces)),
            Some(true)
        );
    }
}

#[test]
pub fn section_5_1_1_a_whole_packet_with_a_fragment_header_keeps_its_identification() {
    for packet in packets6() {
        let atomic = with_headers(&packet, &[(44, &fragment_header(0, false, 0x0102_0304))]);
        let made = to_four(&atomic);
        assert_eq!((word(&made, 4), word(&made, 6)), (0x0304, 0));
        assert_eq!(transport_checksum_is_right(&made), Some(true));
    }
}

#[test]
pub fn section_5_1_1_an_extension_header_behind_the_fragment_header_is_refused() {
    let options: &[u8] = &[0, 1, 4, 0, 0, 0, 0];
    let header = fragment_header(0, true, 1);
    let packet = udp6(six(here()), six(there()), b"");
    for next in [0, 43, 44, 51, 60, 135, 139, 140] {
        let packet = with_headers(&packet, &[(44, &header), (next, options)]);
        let refused = refusal6(&packet);
        assert_eq!(refused.reason, DropReason::ExtensionHeaders, "{next}");
        let answer = answer_v6(six(there()).0, refused.answer.unwrap(), &packet).unwrap();
        assert_eq!(said6(&read6(&answer)), (1, 1, 0));
    }
    // ESP is a transport here.
    let mut esp = raw6(six(here()).0, six(there()).0, 50, &[1; 32]);
    esp = with_headers(&esp, &[(44, &header)]);
    assert_eq!(to_four(&esp)[9], 50);
}

#[test]
pub fn section_5_what_may_not_be_cut_is_answered_with_the_size_that_fits() {
    let config = Config {
        ipv4_mtu: 1_400,
        ..Config::default()
    };
    let fits = udp6(six(here()), six(there()), &[0; 1_372]);
    assert_eq!(to_four_under(config, &fits).unwrap().len(), 1_400);
    let large = udp6(six(here()), six(there()), &[0; 1_373]);
    let refused = to_four_under(config, &large).unwrap_err();
    assert_eq!(refused.reason, DropReason::TooBig);
    let answer = answer_v6(six(there()).0, refused.answer.unwrap(), &large).unwrap();
    assert_eq!(said6(&read6(&answer)), (2, 0, 1_420));
    assert_eq!(answer.len(), 1_280, "as much as fits into the least MTU");
    // No size below IPv6's least is told; what IPv4 cannot say in its length is too big as well.
    let narrow = Config {
        ipv4_mtu: 1_000,
        ..Config::default()
    };
    let refused = to_four_under(narrow, &large).unwrap_err();
    assert_eq!(refused.answer, Some(Answer::TooBig(1_280)));
    let huge = raw6(six(here()).0, six(there()).0, 50, &[0; 65_530]);
    assert_eq!(refusal6(&huge).reason, DropReason::TooBig);
}

#[test]
pub fn section_5_5_a_checksum_that_was_wrong_stays_wrong() {
    for packet in packets6() {
        let at = packet.len() - 3;
        let mut broken = packet;
        broken[at] ^= 0x10;
        assert_eq!(transport_checksum_is_right(&to_four(&broken)), Some(false));
    }
    for draft in drafts() {
        let mut broken = draft.bytes();
        broken[40] ^= 0x10;
        assert!(!read6(&to_six(&broken)).checksum_is_right());
    }
}

#[test]
pub fn bytes_behind_a_packet_are_left_behind() {
    let packet = udp(there(), here()).bytes();
    let mut longer = packet.clone();
    longer.extend([0xAA; 30]);
    assert_eq!(to_six(&longer), to_six(&packet));
    let mut longer = packets6()[0].clone();
    longer.extend([0xAA; 30]);
    assert_eq!(to_four(&longer), to_four(&packets6()[0]));
}

#[test]
pub fn a_slot_without_room_is_refused() {
    let mut packet = udp(there(), here()).bytes();
    let end = packet.len();
    let mut slot = Slot::new(&mut packet, 0..end);
    let incoming = read_v4(slot.bytes()).unwrap();
    let refused = Translator::default().to_v6(&mut slot, &incoming, &mapped6(&incoming));
    assert_eq!(refused.unwrap_err().reason, DropReason::NoRoom);
}

/// RFC 768: zero would say that there is none.
#[test]
pub fn section_4_5_a_computed_zero_is_sent_as_all_ones() {
    let zero = |bytes: [u8; 2]| {
        let packet = udp(there(), here()).payload(&bytes).bytes();
        word(&read6(&to_six(&packet)).payload, 6) == 0xFFFF
    };
    let bytes = (0..=u16::MAX)
        .map(u16::to_be_bytes)
        .find(|&bytes| zero(bytes));
    let packet = udp(there(), here()).payload(&bytes.unwrap());
    let seen = read6(&to_six(&packet.bytes()));
    assert!(seen.checksum_is_right());
    // The same, where it is computed anew.
    assert_eq!(read6(&to_six(&packet.no_checksum().bytes())), seen);
}
