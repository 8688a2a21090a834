//! What no list of requirements says, but RFC 768, 791, 1624 and 3022 do, and the contract with a
//! driver: checksums left to a device, packets in larger buffers, batches.

use portledger_nat::{DropReason, Offload, Output, Packet, RealmIndex, Side, Verdict};

use crate::support::{
    lab::Lab,
    packet::{
        ACK, SYN, echo, fragments, host, read, reassembled, remote, renew_header_checksum, tcp, udp,
    },
    reference::{checksum_at, pseudo_header_sum, set_word, sum, transport_checksum_is_right, word},
};

/// What a device does to a packet whose checksum was left to it (virtio 1.2 §5.1.6.2).
fn completed(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let at = checksum_at(&packet).unwrap();
    let checksum = !sum(&packet[20..]);
    set_word(
        &mut packet,
        at,
        if checksum == 0 { 0xFFFF } else { checksum },
    );
    packet
}

/// A packet as a system hands it over that leaves the checksum to the device.
fn partial(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let (at, sum) = (checksum_at(&packet).unwrap(), pseudo_header_sum(&packet));
    set_word(&mut packet, at, sum);
    packet
}

#[test]
pub fn partial_checksums_are_right_when_the_device_completes_them() {
    let mut lab = Lab::new();
    let external = lab.open_udp(host(9, 9), remote(1, 53));
    let listening = lab.syn(host(9, 9), remote(1, 53));
    for number in 1..=60 {
        let mut check = |from: Side, packet: &[u8]| {
            let passed =
                lab.pass_offloaded(RealmIndex(0), Offload::Checksum, from, &partial(packet));
            assert!(matches!(passed.verdict, Verdict::Forward { .. }));
            assert_eq!(
                word(&passed.bytes, checksum_at(packet).unwrap()),
                pseudo_header_sum(&passed.bytes)
            );
            assert_eq!(
                transport_checksum_is_right(&completed(&passed.bytes)),
                Some(true)
            );
        };
        let port = 1_000 + u16::from(number) * 997 % 60_000;
        check(
            Side::Inside,
            &udp(host(number, port), remote(number, port))
                .payload_of(usize::from(number))
                .bytes(),
        );
        check(
            Side::Inside,
            &tcp(host(number, port), remote(number, port), SYN).bytes(),
        );
        check(Side::Outside, &udp(remote(number, port), external).bytes());
        check(
            Side::Outside,
            &tcp(remote(number, port), listening, SYN).bytes(),
        );
        check(Side::Inside, &udp(host(number, port), external).bytes());
    }
}

#[test]
pub fn partial_checksums_are_completed_before_a_packet_is_cut() {
    let mut lab = Lab::with(|config| config.mtu.outside = 600);
    for packet in [
        udp(host(1, 1), remote(1, 53))
            .payload_of(1_501)
            .identified(4)
            .bytes(),
        tcp(host(1, 1), remote(1, 80), SYN)
            .payload_of(1_501)
            .identified(5)
            .bytes(),
    ] {
        let passed = lab.pass_offloaded(
            RealmIndex(0),
            Offload::Checksum,
            Side::Inside,
            &partial(&packet),
        );
        assert_eq!(passed.verdict, Verdict::Kept);
        let pieces: Vec<_> = passed
            .emitted
            .into_iter()
            .map(|emitted| emitted.data)
            .collect();
        let whole = reassembled(&pieces);
        assert_eq!(transport_checksum_is_right(&whole), Some(true));
    }
}

#[test]
pub fn segments_are_measured_as_the_device_will_cut_them() {
    // 20 bytes of IPv4 header, 32 of TCP with a time stamp, 1,448 of payload.
    let mut big = tcp(host(1, 1), remote(1, 80), SYN)
        .payload_of(5_000)
        .bytes();
    big[32] = 8 << 4;
    let big = partial(&big);
    for (mtu, fits) in [(1_500, true), (1_499, false), (1_488, false)] {
        let mut lab = Lab::with(|config| config.mtu.outside = mtu);
        let passed =
            lab.pass_offloaded(RealmIndex(0), Offload::Segments(1_448), Side::Inside, &big);
        assert_eq!(
            matches!(passed.verdict, Verdict::Forward { .. }),
            fits,
            "{mtu}"
        );
        assert_eq!(
            passed.emitted.len(),
            usize::from(!fits),
            "an error with the size that fits"
        );
    }
}

#[test]
pub fn udp_without_a_checksum_stays_without_one() {
    let mut lab = Lab::new();
    let out = lab.out(&udp(host(1, 1), remote(1, 53)).no_checksum().bytes());
    assert_eq!(read(&out).checksum, 0);
    let inward = lab.inward(&udp(remote(1, 53), read(&out).source).no_checksum().bytes());
    assert_eq!(read(&inward).checksum, 0);
}

/// RFC 768: a checksum that comes out as zero is sent as all ones. Payloads are tried until it
/// does.
#[test]
pub fn a_computed_zero_is_sent_as_all_ones() {
    let mut lab = Lab::new();
    let mut found = 0;
    for number in 0..=u16::MAX {
        let out = lab.out(
            &udp(host(1, 1), remote(1, 53))
                .payload(&number.to_be_bytes())
                .bytes(),
        );
        assert_ne!(read(&out).checksum, 0, "payload {number}");
        found += u32::from(read(&out).checksum == 0xFFFF);
    }
    assert!(found > 0);
}

/// RFC 1624: the update by difference leaves a broken packet broken.
#[test]
pub fn a_wrong_checksum_stays_wrong() {
    let mut lab = Lab::new();
    for mut packet in [
        udp(host(1, 1), remote(1, 53)).bytes(),
        tcp(host(1, 1), remote(1, 80), SYN).bytes(),
        echo(host(1, 1), remote(1, 0).0).bytes(),
    ] {
        let at = checksum_at(&packet).unwrap();
        packet[at] ^= 0x55;
        assert_eq!(transport_checksum_is_right(&lab.out(&packet)), Some(false));
    }
    let mut packet = udp(host(1, 1), remote(1, 53)).bytes();
    packet[10] ^= 1;
    assert_eq!(
        lab.dropped(Side::Inside, &packet),
        DropReason::HeaderChecksum
    );
}

#[test]
pub fn options_and_bytes_behind_the_packet_are_left_alone() {
    let mut lab = Lab::new();
    let packet = udp(host(1, 1), remote(1, 53))
        .options(&[7, 7, 4, 0, 0, 0, 0, 0])
        .bytes();
    let mut buffer = packet.clone();
    buffer.extend([0xAA; 30]);
    let out = lab.out(&buffer);
    assert_eq!(out[20..28], packet[20..28]);
    assert_eq!(out[packet.len()..], [0xAA; 30]);
    // An ICMP error in a larger buffer: its checksum is over the packet only.
    let external = lab.open_udp(host(1, 1), remote(1, 53));
    let sent = lab.out(&packet);
    let mut buffer = crate::support::packet::error(remote(9, 0).0, external.0, 3, 1, &sent).bytes();
    buffer.extend([0xAA; 30]);
    let inward = lab.inward(&buffer);
    assert_eq!(transport_checksum_is_right(&inward), Some(true));
}

#[test]
pub fn a_batch_does_what_its_packets_do_one_by_one() {
    let drafts: Vec<Vec<u8>> = (0..200_u16)
        .map(|n| {
            let number = u8::try_from(n % 7 + 1).unwrap();
            match n % 4 {
                0 => udp(host(number, 5), remote(1, n)).bytes(),
                1 => tcp(host(number, n % 3 + 1), remote(number, 80), SYN).bytes(),
                2 => echo(host(number, n), remote(1, 0).0).bytes(),
                _ => udp(host(number, 6), remote(1, n)).identified(n).bytes(),
            }
        })
        .chain([
            vec![],
            vec![0x45; 20],
            udp((std::net::Ipv4Addr::new(192, 0, 2, 1), 1), remote(1, 1)).bytes(),
        ])
        .collect();
    let mut one_by_one = Lab::new();
    let expected: Vec<_> = drafts
        .iter()
        .map(|packet| {
            let passed = one_by_one.pass(Side::Inside, packet);
            (passed.verdict, passed.bytes)
        })
        .collect();
    let mut lab = Lab::new();
    let mut buffers = drafts;
    let mut packets: Vec<Packet<'_>> = buffers.iter_mut().map(|data| Packet::new(data)).collect();
    let mut output = Output::default();
    lab.nat
        .batch(lab.now, Side::Inside, &mut packets, &mut output);
    for (packet, (verdict, bytes)) in packets.iter().zip(&expected) {
        assert_eq!((&packet.verdict, &*packet.data), (verdict, &bytes[..]));
    }
    assert_eq!(output.events, one_by_one.told);
    assert_eq!(lab.nat.counters(), one_by_one.nat.counters());
}

#[test]
pub fn what_is_not_to_be_translated_is_dropped() {
    let mut lab = Lab::new();
    let external = lab.open_udp(host(1, 1), remote(1, 53));
    let mut dropped = |from, packet: Vec<u8>| lab.dropped(from, &packet);
    let stranger = (std::net::Ipv4Addr::new(192, 0, 2, 1), 5);
    assert_eq!(
        dropped(Side::Inside, udp(stranger, remote(1, 53)).bytes()),
        DropReason::NotASubscriber
    );
    for to in [
        [224, 0, 0, 1],
        [255, 255, 255, 255],
        [127, 0, 0, 1],
        [0, 0, 0, 0],
        [240, 0, 0, 1],
    ] {
        assert_eq!(
            dropped(Side::Inside, udp(host(1, 1), (to.into(), 5)).bytes()),
            DropReason::NotForwardable
        );
    }
    // RFC 6598 §4: neither address of a subscriber goes to the Internet.
    assert_eq!(
        dropped(Side::Inside, udp(host(1, 1), host(2, 5)).bytes()),
        DropReason::NotForwardable
    );
    assert_eq!(
        dropped(Side::Outside, udp(remote(1, 53), stranger).bytes()),
        DropReason::NotExternal
    );
    assert_eq!(
        dropped(Side::Outside, udp(host(1, 53), external).bytes()),
        DropReason::Spoofed
    );
    assert_eq!(
        dropped(Side::Outside, udp(external, external).bytes()),
        DropReason::Spoofed
    );
    assert_eq!(
        dropped(Side::Inside, udp(host(1, 0), remote(1, 53)).bytes()),
        DropReason::PortZero
    );
    assert_eq!(
        dropped(Side::Inside, udp(host(1, 1), remote(1, 0)).bytes()),
        DropReason::PortZero
    );
    let mut version_6 = udp(host(1, 1), remote(1, 53)).bytes();
    version_6[0] = 0x65;
    assert_eq!(dropped(Side::Inside, version_6), DropReason::NotIpv4);
    let mut longer = udp(host(1, 1), remote(1, 53)).bytes();
    let length = word(&longer, 24) + 1;
    set_word(&mut longer, 24, length);
    assert_eq!(dropped(Side::Inside, longer), DropReason::Malformed);
    let mut short_header = tcp(host(1, 1), remote(1, 80), ACK).bytes();
    short_header[32] = 4 << 4;
    assert_eq!(dropped(Side::Inside, short_header), DropReason::Malformed);
    let mut no_length = udp(host(1, 1), remote(1, 53)).bytes();
    set_word(&mut no_length, 2, 19);
    renew_header_checksum(&mut no_length);
    assert_eq!(dropped(Side::Inside, no_length), DropReason::Malformed);
}

/// A later fragment with DF that the next link does not take: not cut, and nobody is told.
#[test]
pub fn later_fragments_are_not_cut_where_they_must_not_be() {
    let mut lab = Lab::with(|config| config.mtu.outside = 600);
    let packet = udp(host(1, 1), remote(1, 53))
        .payload_of(1_400)
        .identified(4)
        .bytes();
    let mut pieces = fragments(&packet, &[200]);
    for piece in &mut pieces {
        let field = word(piece, 6) | 0x4000;
        set_word(piece, 6, field);
        renew_header_checksum(piece);
    }
    lab.out(&pieces[0]);
    let passed = lab.pass(Side::Inside, &pieces[1]);
    assert_eq!(
        (passed.verdict, passed.emitted),
        (Verdict::Drop(DropReason::TooBig), vec![])
    );
}

/// A driver that sleeps until the time the engine names misses nothing, and sleeps for good when
/// there is nothing to come.
#[test]
pub fn the_next_timeout_comes_before_whatever_ends() {
    let mut lab = Lab::with(|config| {
        config.ports.static_mappings = vec![portledger_ports::StaticMapping {
            realm: RealmIndex(0),
            internal: host(9, 0).0.into(),
            behind: None,
            internal_port: 80,
            external: std::net::Ipv4Addr::new(203, 0, 113, 1),
            external_port: 80,
            transport: portledger_model::Transport::Tcp,
        }];
    });
    let forwarded = (std::net::Ipv4Addr::new(203, 0, 113, 1), 80);
    assert_eq!(lab.nat.next_timeout(), None);
    lab.open_echo(host(1, 1), remote(1, 0));
    lab.inward(&tcp(remote(1, 1), forwarded, SYN).bytes());
    lab.inward(&tcp(remote(2, 1), forwarded, SYN).bytes());
    lab.pass(
        Side::Outside,
        &tcp(remote(1, 1), (forwarded.0, 81), SYN).bytes(),
    );
    let (began, mut answered) = (lab.now, None);
    while let Some(next) = lab.nat.next_timeout() {
        assert!(next > lab.now, "the driver would spin");
        let answers = lab.wait_for(next.since(lab.now));
        if !answers.is_empty() {
            answered = Some(lab.now.since(began).as_secs());
        }
    }
    assert_eq!(answered, Some(6));
    assert_eq!(lab.nat.size().further_sessions, 0);
    assert_eq!(
        lab.now.since(began).as_secs(),
        241,
        "the last to end are the SYNs"
    );
    assert_eq!(lab.held.len(), 1, "the static one");
}
