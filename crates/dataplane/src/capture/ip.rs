//! Finds the IP packet in a captured frame.

use thiserror::Error;

use super::LinkType;

/// An IP packet found in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpPacket<'a> {
    /// The packet from its IP header to its end, what the link padded behind it cut off.
    pub bytes: &'a [u8],
    /// Where in the frame the IP header starts: a packet rewritten at the same length goes back
    /// to `start..start + bytes.len()`.
    pub start: usize,
    /// How many bytes of the packet the capture does not have, by the packet's total length; 0
    /// unless the snap length cut it off.
    pub missing: u16,
}

/// Why a frame has no IPv4 packet to give. Made to be counted: few values, no contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
pub enum NotIp {
    /// A link type that is not taken apart here.
    #[error("{0} frames are not read; capture on an Ethernet, cooked or raw IP interface")]
    Link(LinkType),
    /// The captured bytes end before 20 bytes of an IPv4 header.
    #[error("cut off before the end of the IP header; capture with a longer snap length")]
    Short,
    /// IPv6, where IPv4 is asked for.
    #[error("IPv6")]
    Ipv6,
    /// ARP.
    #[error("ARP")]
    Arp,
    /// Another protocol, by its EtherType.
    #[error("EtherType {0:#06x}")]
    EtherType(u16),
    /// IEEE 802.2 without SNAP: spanning tree, IS-IS and their like.
    #[error("IEEE 802.2")]
    Llc,
    /// Another protocol inside PPP, by its PPP protocol number: mostly session control.
    #[error("PPP protocol {0:#06x}")]
    Ppp(u16),
    /// Another address family on a BSD loopback interface.
    #[error("address family {0}")]
    Family(u32),
    /// Where the IP header should be are bytes that cannot be one: not version 4, or lengths that
    /// contradict each other.
    #[error("malformed IP header")]
    Malformed,
    /// A total length of 0: captured before the network card cut a large packet into segments,
    /// which were never seen as they went out.
    #[error("IPv4 total length 0, left to segmentation offload; capture with offloads off")]
    Offloaded,
}

/// The IPv4 packet in `frame`, which begins with a header of type `link`: under any stack of VLAN
/// tags, in PPPoE, SNAP, Linux cooked, BSD loopback or alone.
///
/// Only the IPv4 header's version and lengths are checked, neither its checksum nor anything
/// behind it. A packet that the snap length cut is given with what is left of it; see
/// [`IpPacket::missing`].
///
/// # Errors
/// The reason there is none.
pub fn ip_packet(link: LinkType, frame: &[u8]) -> Result<IpPacket<'_>, NotIp> {
    let (family, rest) = carried(link, frame)?;
    match family {
        Family::V6 => Err(NotIp::Ipv6),
        Family::V4 | Family::ByVersion => ipv4(rest, frame.len() - rest.len()),
    }
}

/// The IPv4 or IPv6 packet in `frame`, as [`ip_packet`]. Of IPv6 too only the version and the length
/// are checked: extension headers are the reader's.
///
/// # Errors
/// The reason there is none.
pub fn packet_of_either(link: LinkType, frame: &[u8]) -> Result<IpPacket<'_>, NotIp> {
    let (family, rest) = carried(link, frame)?;
    let start = frame.len() - rest.len();
    match family {
        Family::V6 => ipv6(rest, start),
        Family::ByVersion if rest.first().is_some_and(|byte| byte >> 4 == 6) => ipv6(rest, start),
        Family::V4 | Family::ByVersion => ipv4(rest, start),
    }
}

/// What a link layer says it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
    /// IP, of the version that its first bits say.
    ByVersion,
}

/// What a frame carries, where that is IP.
type Carried<'a> = Result<(Family, &'a [u8]), NotIp>;

fn carried(link: LinkType, frame: &[u8]) -> Carried<'_> {
    match link {
        LinkType::ETHERNET => ethernet(frame),
        LinkType::LINUX_SLL => linux_cooked(frame),
        LinkType::LINUX_SLL2 => linux_cooked_2(frame),
        LinkType::NULL | LinkType::LOOP => loopback(frame),
        LinkType::RAW
        | LinkType::RAW_INSIDE
        | LinkType::RAW_OPENBSD
        | LinkType::IPV4
        | LinkType::IPV6 => Ok((Family::ByVersion, frame)),
        other => Err(NotIp::Link(other)),
    }
}

fn ethernet(frame: &[u8]) -> Carried<'_> {
    let (_, rest) = take::<12>(frame)?;
    let (protocol, rest) = take_u16(rest)?;
    ether_type(protocol, rest)
}

/// Sixteen bytes of header, the protocol in the last two.
fn linux_cooked(frame: &[u8]) -> Carried<'_> {
    let (_, rest) = take::<14>(frame)?;
    let (protocol, rest) = take_u16(rest)?;
    cooked_protocol(protocol, rest)
}

/// Twenty bytes of header, the protocol in the first two.
fn linux_cooked_2(frame: &[u8]) -> Carried<'_> {
    let (protocol, rest) = take_u16(frame)?;
    let (_, rest) = take::<18>(rest)?;
    cooked_protocol(protocol, rest)
}

/// An EtherType, or one of Linux's own numbers: 4 for IEEE 802.2.
fn cooked_protocol(protocol: u16, rest: &[u8]) -> Carried<'_> {
    const LINUX_802_2: u16 = 4;
    match protocol {
        LINUX_802_2 => snap(rest),
        small if small <= LONGEST_802_3 => Err(NotIp::EtherType(small)),
        protocol => ether_type(protocol, rest),
    }
}

/// An address family: in network order, or in that of whoever captured, which the small numbers
/// give away.
fn loopback(frame: &[u8]) -> Carried<'_> {
    let (family, rest) = take::<4>(frame)?;
    let family = u32::from_be_bytes(*family);
    let family = if family > 0xffff {
        family.swap_bytes()
    } else {
        family
    };
    match family {
        2 => Ok((Family::V4, rest)),
        // NetBSD and OpenBSD, FreeBSD, macOS.
        24 | 28 | 30 => Ok((Family::V6, rest)),
        other => Err(NotIp::Family(other)),
    }
}

/// Values up to this are lengths of an IEEE 802.3 frame, no EtherTypes.
const LONGEST_802_3: u16 = 1_500;

/// Goes down a stack of tags and sessions to what they carry. Each round takes bytes off.
fn ether_type(mut protocol: u16, mut rest: &[u8]) -> Carried<'_> {
    loop {
        match protocol {
            0x0800 => return Ok((Family::V4, rest)),
            0x86dd => return Ok((Family::V6, rest)),
            0x0806 => return Err(NotIp::Arp),
            // IEEE 802.1Q, 802.1ad, and what stood for 802.1ad before it.
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                let (_tag, inner) = take::<2>(rest)?;
                (protocol, rest) = take_u16(inner)?;
            }
            0x8864 => return pppoe_session(rest),
            length if length <= LONGEST_802_3 => return snap(rest),
            other => return Err(NotIp::EtherType(other)),
        }
    }
}

/// RFC 2516 §4 and §6: version and type 1, code 0, session, length; then a PPP protocol.
fn pppoe_session(rest: &[u8]) -> Carried<'_> {
    let (_, rest) = take::<6>(rest)?;
    match take_u16(rest)? {
        (0x0021, packet) => Ok((Family::V4, packet)),
        (0x0057, packet) => Ok((Family::V6, packet)),
        (other, _) => Err(NotIp::Ppp(other)),
    }
}

/// RFC 1042: IP over IEEE 802.2 stands behind a SNAP header of organisation 0.
fn snap(rest: &[u8]) -> Carried<'_> {
    let (header, rest) = take::<6>(rest)?;
    if *header != [0xaa, 0xaa, 3, 0, 0, 0] {
        return Err(NotIp::Llc);
    }
    match take_u16(rest)? {
        (0x0800, packet) => Ok((Family::V4, packet)),
        (0x86dd, packet) => Ok((Family::V6, packet)),
        (0x0806, _) => Err(NotIp::Arp),
        (other, _) => Err(NotIp::EtherType(other)),
    }
}

/// RFC 791 §3.1: version and header length, total length.
fn ipv4(rest: &[u8], start: usize) -> Result<IpPacket<'_>, NotIp> {
    const SHORTEST: usize = 20;
    let first = *rest.first().ok_or(NotIp::Short)?;
    match first >> 4 {
        4 => {}
        6 => return Err(NotIp::Ipv6),
        _ => return Err(NotIp::Malformed),
    }
    let (header, _) = take::<SHORTEST>(rest)?;
    let [_, _, high, low, ..] = *header;
    let total = u16::from_be_bytes([high, low]);
    let header_length = u16::from(first & 0x0f) * 4;
    if total == 0 {
        return Err(NotIp::Offloaded);
    }
    if usize::from(header_length) < SHORTEST || total < header_length {
        return Err(NotIp::Malformed);
    }
    let bytes = rest.get(..usize::from(total)).unwrap_or(rest);
    Ok(IpPacket {
        bytes,
        start,
        // Not more than `total`, which is 16 bits.
        missing: (usize::from(total) - bytes.len()) as u16,
    })
}

/// RFC 8200 §3: version, then at byte 4 the length of what follows the fixed header of 40 bytes.
fn ipv6(rest: &[u8], start: usize) -> Result<IpPacket<'_>, NotIp> {
    const HEADER: usize = 40;
    let first = *rest.first().ok_or(NotIp::Short)?;
    if first >> 4 != 6 {
        return Err(NotIp::Malformed);
    }
    let (header, _) = take::<HEADER>(rest)?;
    let [_, _, _, _, high, low, ..] = *header;
    let bytes = match u16::from_be_bytes([high, low]) {
        // A jumbogram (RFC 2675 §3), or left to segmentation offload: to the frame's end.
        0 => rest,
        length => rest.get(..HEADER + usize::from(length)).unwrap_or(rest),
    };
    let whole = HEADER + usize::from(u16::from_be_bytes([high, low]));
    Ok(IpPacket {
        bytes,
        start,
        missing: u16::try_from(whole.saturating_sub(bytes.len())).unwrap_or(u16::MAX),
    })
}

fn take<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), NotIp> {
    bytes.split_first_chunk().ok_or(NotIp::Short)
}

fn take_u16(bytes: &[u8]) -> Result<(u16, &[u8]), NotIp> {
    let (value, rest) = take::<2>(bytes)?;
    Ok((u16::from_be_bytes(*value), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// UDP 100.64.3.9:40000 to 203.0.113.7:53, two bytes of payload; checksums left out.
    const PACKET: [u8; 30] = [
        0x45, 0, 0, 30, 0, 1, 0, 0, 64, 17, 0, 0, 100, 64, 3, 9, 203, 0, 113, 7, // IPv4
        0x9c, 0x40, 0, 53, 0, 10, 0, 0, b'h', b'i',
    ];
    const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

    fn frame(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    fn found(link: LinkType, header: &[u8]) {
        let frame = frame(&[header, &PACKET, &[0; 9]]);
        let packet = ip_packet(link, &frame).unwrap();
        assert_eq!(packet.bytes, PACKET);
        assert_eq!((packet.start, packet.missing), (header.len(), 0));
    }

    fn none(link: LinkType, header: &[u8], reason: NotIp) {
        let frame = frame(&[header, &PACKET]);
        assert_eq!(ip_packet(link, &frame), Err(reason));
    }

    fn ethernet_with(behind: &[u8]) -> Vec<u8> {
        frame(&[&ADDRESSES, behind])
    }

    #[test]
    fn ethernet_with_and_without_tags() {
        found(LinkType::ETHERNET, &ethernet_with(&[8, 0]));
        found(LinkType::ETHERNET, &ethernet_with(&[0x81, 0, 0, 5, 8, 0]));
        let double = [0x88, 0xa8, 0, 9, 0x81, 0, 0, 5, 8, 0];
        found(LinkType::ETHERNET, &ethernet_with(&double));
        let triple = [0x91, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 8, 0];
        found(LinkType::ETHERNET, &ethernet_with(&triple));
    }

    #[test]
    fn pppoe_and_snap() {
        let session = [0x88, 0x64, 0x11, 0, 0, 1, 0, 32, 0, 0x21];
        found(LinkType::ETHERNET, &ethernet_with(&session));
        let tagged = [0x81, 0, 0, 7, 0x88, 0x64, 0x11, 0, 0, 1, 0, 32, 0, 0x21];
        found(LinkType::ETHERNET, &ethernet_with(&tagged));
        let snap = [0, 38, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
        found(LinkType::ETHERNET, &ethernet_with(&snap));
    }

    #[test]
    fn linux_cooked_both_versions() {
        let v1 = [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0];
        found(LinkType::LINUX_SLL, &v1);
        let v2 = [8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
        found(LinkType::LINUX_SLL2, &v2);
        let tagged = [
            0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x81, 0, 0, 5, 8, 0,
        ];
        found(LinkType::LINUX_SLL, &tagged);
        // Linux's own numbers are no lengths: 12 is CAN, whose bytes may look like SNAP.
        let can = [0, 0, 1, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12];
        none(LinkType::LINUX_SLL, &can, NotIp::EtherType(12));
    }

    /// UDP 2001:db8::7 port 40000 to 2001:db8::80 port 53, two bytes of payload.
    fn packet_v6() -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 10, 17, 64];
        for end in [7, 0x80] {
            packet.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, end]);
        }
        packet.extend(&PACKET[20..]);
        packet
    }

    #[test]
    fn of_either_version_both_are_found() {
        let packet = packet_v6();
        let session = [0x88, 0x64, 0x11, 0, 0, 1, 0, 52, 0, 0x57];
        let snap = [0, 58, 0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd];
        for (link, header) in [
            (LinkType::ETHERNET, ethernet_with(&[0x86, 0xdd])),
            (
                LinkType::ETHERNET,
                ethernet_with(&[0x81, 0, 0, 5, 0x86, 0xdd]),
            ),
            (LinkType::ETHERNET, ethernet_with(&session)),
            (LinkType::ETHERNET, ethernet_with(&snap)),
            (LinkType::NULL, vec![30, 0, 0, 0]),
            (LinkType::RAW, Vec::new()),
            (LinkType::IPV6, Vec::new()),
        ] {
            let whole = frame(&[&header, &packet, &[0; 9]]);
            let found = packet_of_either(link, &whole).unwrap();
            assert_eq!(found.bytes, packet, "{link:?}");
            assert_eq!((found.start, found.missing), (header.len(), 0));
            assert_eq!(ip_packet(link, &whole), Err(NotIp::Ipv6));
            let cut = packet_of_either(link, &whole[..header.len() + 45]).unwrap();
            assert_eq!((cut.bytes.len(), cut.missing), (45, 5));
            let short = packet_of_either(link, &whole[..header.len() + 39]);
            assert_eq!(short, Err(NotIp::Short));
        }
        let v4 = frame(&[&ethernet_with(&[8, 0]), &PACKET]);
        assert_eq!(
            packet_of_either(LinkType::ETHERNET, &v4).unwrap().bytes,
            PACKET
        );
        // What says that it is IPv6 and is not.
        let wrong = frame(&[&ethernet_with(&[0x86, 0xdd]), &PACKET, &[0; 20]]);
        assert_eq!(
            packet_of_either(LinkType::ETHERNET, &wrong),
            Err(NotIp::Malformed)
        );
        // A jumbogram's length is elsewhere.
        let mut jumbo = packet.clone();
        jumbo[5] = 0;
        assert_eq!(
            packet_of_either(LinkType::RAW, &jumbo).unwrap().bytes,
            jumbo
        );
    }

    #[test]
    fn raw_and_loopback() {
        for raw in [12, 14, 101, 228] {
            found(LinkType(raw), &[]);
        }
        found(LinkType::NULL, &[2, 0, 0, 0]);
        found(LinkType::NULL, &[0, 0, 0, 2]);
        found(LinkType::LOOP, &[0, 0, 0, 2]);
        none(LinkType::NULL, &[30, 0, 0, 0], NotIp::Ipv6);
        none(LinkType::LOOP, &[0, 0, 0, 7], NotIp::Family(7));
    }

    #[test]
    fn the_rest_is_named() {
        let ethernet = |behind: &[u8], reason| {
            none(LinkType::ETHERNET, &ethernet_with(behind), reason);
        };
        ethernet(&[0x86, 0xdd], NotIp::Ipv6);
        ethernet(&[0x08, 0x06], NotIp::Arp);
        ethernet(&[0x88, 0xcc], NotIp::EtherType(0x88cc));
        ethernet(&[0x88, 0x63], NotIp::EtherType(0x8863));
        ethernet(&[0, 38, 0x42, 0x42, 3], NotIp::Llc);
        let echo = [0x88, 0x64, 0x11, 0, 0, 1, 0, 10, 0xc0, 0x21];
        ethernet(&echo, NotIp::Ppp(0xc021));
        none(LinkType(105), &[], NotIp::Link(LinkType(105)));
    }

    #[test]
    fn a_header_that_contradicts_itself_is_malformed() {
        let change = |at: usize, value: u8| {
            let mut packet = PACKET;
            packet[at] = value;
            ip_packet(LinkType::RAW, &packet).map(|packet| packet.missing)
        };
        assert_eq!(change(0, 0x55), Err(NotIp::Malformed));
        assert_eq!(change(0, 0x44), Err(NotIp::Malformed));
        assert_eq!(change(0, 0x65), Err(NotIp::Ipv6));
        assert_eq!(change(3, 19), Err(NotIp::Malformed));
        assert_eq!(change(3, 0), Err(NotIp::Offloaded));
        assert_eq!(change(3, 31), Ok(1));
        assert_eq!(ip_packet(LinkType::RAW, &[]), Err(NotIp::Short));
    }

    proptest! {
        /// Wherever the snap length cuts: what is there comes back, what is missing is counted.
        #[test]
        fn a_cut_packet_keeps_its_bytes(kept in 0..PACKET.len()) {
            let header = ethernet_with(&[8, 0]);
            let whole = frame(&[&header, &PACKET]);
            let cut = &whole[..header.len() + kept];
            match ip_packet(LinkType::ETHERNET, cut) {
                Ok(packet) => {
                    prop_assert!(kept >= 20);
                    prop_assert_eq!(packet.bytes, &PACKET[..kept]);
                    prop_assert_eq!(usize::from(packet.missing), PACKET.len() - kept);
                }
                Err(reason) => {
                    prop_assert!(kept < 20);
                    prop_assert_eq!(reason, NotIp::Short);
                }
            }
        }

        #[test]
        fn what_is_found_lies_where_it_says(
            link in prop_oneof![Just(0_u16), Just(1), Just(12), Just(101), Just(108), Just(113), Just(276)],
            mut frame in prop::collection::vec(any::<u8>(), 0..120),
            types in prop::collection::vec((0_usize..40, prop::sample::select(
                vec![0x0800_u16, 0x8100, 0x88a8, 0x8864, 0x0021, 0xaaaa, 0x4500, 0x0002])), 0..5),
        ) {
            for (at, value) in types {
                if let Some(place) = frame.get_mut(at..at + 2) {
                    place.copy_from_slice(&value.to_be_bytes());
                }
            }
            if let Ok(packet) = packet_of_either(LinkType(link), &frame) {
                prop_assert_eq!(&frame[packet.start..packet.start + packet.bytes.len()], packet.bytes);
            }
            if let Ok(packet) = ip_packet(LinkType(link), &frame) {
                prop_assert_eq!(&frame[packet.start..packet.start + packet.bytes.len()], packet.bytes);
                prop_assert!(packet.bytes.len() >= 20);
                prop_assert_eq!(packet.bytes[0] >> 4, 4);
            }
        }
    }
}
