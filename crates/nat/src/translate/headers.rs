//! Writing the headers that a packet gets in the other family.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Config, Datagram, Pair, transport::number_in_v6};
use crate::{
    checksum::of_words,
    ipv6::{self, FRAGMENT, FRAGMENT_HEADER, HEADER as IPV6_HEADER},
};

/// The length of an IPv4 header without options.
pub(crate) const IPV4_HEADER: usize = 20;

/// RFC 7915 §5.1: of packets of at most so many bytes the don't fragment bit is clear.
const MAY_BE_CUT: usize = 1_260;

/// Whether an IPv4 packet of so many bytes that was a whole IPv6 packet may be cut on its way.
pub(crate) const fn may_be_cut(total: usize) -> bool {
    total <= MAY_BE_CUT
}

/// What an IPv4 header without options says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    pub(crate) class: u8,
    pub(crate) total: u16,
    pub(crate) identification: u16,
    pub(crate) fragmentation: u16,
    pub(crate) hops: u8,
    pub(crate) protocol: u8,
    pub(crate) pair: Pair<Ipv4Addr>,
}

/// An IPv4 header, checksum included.
#[inline]
pub(crate) fn ipv4_header(fields: Fields) -> [u8; IPV4_HEADER] {
    let Fields { pair, .. } = fields;
    let mut words = [
        0x4500_0000 | u32::from(fields.class) << 16 | u32::from(fields.total),
        u32::from(fields.identification) << 16 | u32::from(fields.fragmentation),
        u32::from(fields.hops) << 24 | u32::from(fields.protocol) << 16,
        pair.source.to_bits(),
        pair.destination.to_bits(),
    ];
    words[2] |= u32::from(of_words(words));
    let mut header = [0; IPV4_HEADER];
    for (place, word) in header.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *place = word.to_be_bytes();
    }
    header
}

/// The IPv4 header of a packet that was IPv6, with so many bytes of payload (RFC 7915 §5.1).
#[inline]
pub(super) fn header_to_v4(
    config: &Config,
    datagram: &Datagram<Ipv6Addr>,
    pair: Pair<Ipv4Addr>,
    hops: u8,
    payload: usize,
    identification: u16,
) -> [u8; IPV4_HEADER] {
    let (fragmentation, identification) = if datagram.is_fragmented {
        let more = if datagram.more_fragments { 0x2000 } else { 0 };
        // RFC 7915 §5.1.1: the low-order 16 bits.
        let low = (datagram.identification & 0xFFFF) as u16;
        (datagram.offset | more, low)
    } else {
        let total = IPV4_HEADER + datagram.payload();
        (dont_fragment(total), identification)
    };
    ipv4_header(Fields {
        class: config.type_of_service.unwrap_or(datagram.class),
        total: u16::try_from(IPV4_HEADER + payload).unwrap_or(u16::MAX),
        identification,
        fragmentation,
        hops,
        protocol: datagram.protocol,
        pair,
    })
}

/// What an IPv4 header says of fragmentation where an IPv6 packet without a Fragment header
/// became an IPv4 packet of so many bytes (RFC 7915 §5.1).
pub(super) const fn dont_fragment(total: usize) -> u16 {
    if may_be_cut(total) { 0 } else { 0x4000 }
}

/// The bytes of the IPv6 headers that a packet gets: with a Fragment header only where the IPv4
/// packet is a fragment (RFC 7915 §4: no "atomic fragments").
pub(super) const fn length_in_v6(is_fragmented: bool) -> usize {
    if is_fragmented {
        IPV6_HEADER + FRAGMENT_HEADER
    } else {
        IPV6_HEADER
    }
}

/// Writes the IPv6 headers of a packet that was IPv4 at the beginning of `place`.
#[inline]
pub(super) fn headers_to_v6(
    config: &Config,
    place: &mut [u8],
    datagram: &Datagram<Ipv4Addr>,
    pair: Pair<Ipv6Addr>,
    hops: u8,
    payload: usize,
) {
    let next = number_in_v6(datagram.protocol);
    let is_fragmented = datagram.is_fragmented;
    let (length, first) = if is_fragmented {
        (payload + FRAGMENT_HEADER, FRAGMENT)
    } else {
        (payload, next)
    };
    let class = config.traffic_class.unwrap_or(datagram.class);
    let Some((header, place)) = place.split_first_chunk_mut::<IPV6_HEADER>() else {
        return;
    };
    *header = ipv6::header(class, length, first, hops, pair.source, pair.destination);
    if is_fragmented && let Some(place) = place.first_chunk_mut::<FRAGMENT_HEADER>() {
        *place = ipv6::Fragment {
            next,
            offset: datagram.offset,
            more: datagram.more_fragments,
            identification: datagram.identification,
        }
        .bytes();
    }
}
