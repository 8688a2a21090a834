//! The IPv6 around the IPv4 of a softwire (RFC 2473).

use std::{net::Ipv6Addr, ops::Range};

use crate::{
    DropReason, Slot,
    checksum::sum,
    header::{long, set_word, word},
    ipv6::{
        DESTINATION_OPTIONS, FRAGMENT, FRAGMENT_HEADER, Fragment, HOP_BY_HOP, MOST_HEADERS,
        ROUTING, address, extension, header,
    },
    translate::{ICMP6, pseudo_header},
};

pub(super) use crate::ipv6::{HEADER, class};

const IPV4: u8 = 4;
const IPV6: u8 = 41;

/// What came in an IPv6 packet for the AFTR.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outer {
    pub(super) source: Ipv6Addr,
    pub(super) class: u8,
    pub(super) content: Content,
}

/// What an IPv6 packet carries, by its place in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// An IPv4 packet.
    Inner(Range<usize>),
    /// A fragment of one.
    Fragment {
        offset: usize,
        more: bool,
        identification: u32,
        payload: Range<usize>,
    },
    /// An ICMPv6 error.
    Error(Range<usize>),
}

/// The source of a plain packet of a softwire to `end`, and of the IPv4 packet in it. `None` where
/// there is anything else about it.
#[inline]
pub(super) fn plain(data: &[u8], end: Ipv6Addr) -> Option<(Ipv6Addr, u32)> {
    let (outer, inner) = data.split_first_chunk::<HEADER>()?;
    let payload = usize::from(word(outer, 4));
    let is_plain = outer[0] >> 4 == 6
        && outer[6] == IPV4
        && outer[24..] == end.octets()
        && (20..=inner.len()).contains(&payload)
        && inner.first()? >> 4 == 4;
    is_plain.then(|| (address(outer, 8), long(inner, 12)))
}

/// Where the IPv4 packet is in a slot that holds a plain packet of a softwire. What lies behind it
/// is not in it.
#[inline]
pub(super) fn inner(slot: &Slot<'_>) -> Range<usize> {
    let start = slot.packet.start + HEADER;
    start..start + usize::from(word(slot.bytes(), 4))
}

impl Outer {
    /// Reads an IPv6 packet for `end`.
    pub(super) fn parse(data: &[u8], end: Ipv6Addr) -> Result<Self, DropReason> {
        let Some(fixed) = data.first_chunk::<HEADER>() else {
            return Err(DropReason::Truncated);
        };
        if fixed[0] >> 4 != 6 {
            return Err(DropReason::NotIpv6);
        }
        if address(fixed, 24) != end {
            return Err(DropReason::NotATunnel);
        }
        let total = HEADER + usize::from(word(fixed, 4));
        let Some(data) = data.get(..total) else {
            return Err(DropReason::Truncated);
        };
        Ok(Self {
            source: address(fixed, 8),
            class: class(fixed),
            content: content(data, fixed[6])?,
        })
    }
}

/// Walks over the extension headers of a packet.
fn content(data: &[u8], first: u8) -> Result<Content, DropReason> {
    let (mut next, mut at) = (first, HEADER);
    for number in 0..=MOST_HEADERS {
        match next {
            IPV4 => {
                let is_ipv4 = data.len() >= at + 20 && data[at] >> 4 == 4;
                return is_ipv4
                    .then_some(Content::Inner(at..data.len()))
                    .ok_or(DropReason::Malformed);
            }
            ICMP6 => return Ok(Content::Error(at..data.len())),
            // RFC 8200 §4.3: right behind the IPv6 header, and nowhere else.
            HOP_BY_HOP if number > 0 => return Err(DropReason::ExtensionHeaders),
            HOP_BY_HOP | DESTINATION_OPTIONS | ROUTING => {
                let header = extension(data, at).ok_or(DropReason::Malformed)?;
                if next == ROUTING {
                    // RFC 8200 §4.4: no further node is visited for anybody.
                    if header[3] != 0 {
                        return Err(DropReason::SourceRoute);
                    }
                } else {
                    options(&header[2..])?;
                }
                (next, at) = (header[0], at + header.len());
            }
            FRAGMENT => {
                let fragment = Fragment::read(data, at).ok_or(DropReason::Malformed)?;
                (next, at) = (fragment.next, at + FRAGMENT_HEADER);
                // RFC 6946: a fragment that is all of its packet is that packet.
                if fragment.offset == 0 && !fragment.more {
                    continue;
                }
                return match next {
                    IPV4 => Ok(Content::Fragment {
                        offset: usize::from(fragment.offset) * 8,
                        more: fragment.more,
                        identification: fragment.identification,
                        payload: at..data.len(),
                    }),
                    IPV6 => Err(DropReason::NestedTunnel),
                    HOP_BY_HOP | DESTINATION_OPTIONS | ROUTING => Err(DropReason::ExtensionHeaders),
                    _ => Err(DropReason::NotATunnel),
                };
            }
            IPV6 => return Err(DropReason::NestedTunnel),
            _ => return Err(DropReason::NotATunnel),
        }
    }
    Err(DropReason::ExtensionHeaders)
}

/// RFC 8200 §4.2: options whose type does not say that they may be skipped end the packet. None
/// of those that must be understood is.
fn options(mut options: &[u8]) -> Result<(), DropReason> {
    while let Some((&kind, rest)) = options.split_first() {
        if kind == 0 {
            options = rest;
            continue;
        }
        let (&length, rest) = rest.split_first().ok_or(DropReason::Malformed)?;
        if kind >> 6 != 0 {
            return Err(DropReason::ExtensionHeaders);
        }
        options = rest
            .get(usize::from(length)..)
            .ok_or(DropReason::Malformed)?;
    }
    Ok(())
}

/// Carries the traffic class of the packet outside over to the IPv4 packet that was in it: the
/// class (RFC 6333 §7.1, RFC 2983 §4.1), and what the way has marked (RFC 6040 §4.2).
#[inline]
pub(super) fn carry_class(inner: &mut [u8], outer: u8) -> Result<(), DropReason> {
    let Some(&[first, old]) = inner.first_chunk::<2>() else {
        return Err(DropReason::Truncated);
    };
    let mark = match (old & 3, outer & 3) {
        // Whoever marked this packet believed that its sender would be told of it.
        (0, 3) => return Err(DropReason::Congested),
        (0, _) => 0,
        (_, 3) | (3, _) => 3,
        (2, 1) => 1,
        (own, _) => own,
    };
    let new = (outer & 0xFC) | mark;
    if new != old {
        let delta = crate::checksum::Delta::default().word(
            u16::from_be_bytes([first, old]),
            u16::from_be_bytes([first, new]),
        );
        inner[1] = new;
        set_word(inner, 10, delta.apply(word(inner, 10)));
    }
    Ok(())
}

/// An IPv6 header around an IPv4 packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Template {
    pub(super) source: Ipv6Addr,
    pub(super) destination: Ipv6Addr,
    pub(super) class: u8,
    pub(super) hop_limit: u8,
}

impl Template {
    /// The header before so many bytes of payload, an IPv4 packet.
    #[inline]
    pub(super) fn with_payload(&self, length: usize) -> [u8; HEADER] {
        self.header(IPV4, length)
    }

    #[inline]
    fn header(&self, next: u8, length: usize) -> [u8; HEADER] {
        let (source, destination) = (self.source, self.destination);
        header(
            self.class,
            length,
            next,
            self.hop_limit,
            source,
            destination,
        )
    }
}

/// RFC 6333 §6.3: a packet that is too large for the path is put into IPv6 and cut then, so that
/// the IPv4 packet is the same behind the softwire.
pub(super) fn cut(
    packet: &[u8],
    template: Template,
    mtu: u16,
    identification: u32,
) -> Vec<Vec<u8>> {
    let room = (usize::from(mtu) - HEADER - FRAGMENT_HEADER) & !7;
    let pieces = packet.chunks(room);
    let count = pieces.len();
    pieces
        .enumerate()
        .map(|(number, piece)| {
            let header = template.header(FRAGMENT, FRAGMENT_HEADER + piece.len());
            let fragment = Fragment {
                next: IPV4,
                offset: u16::try_from(number * room / 8).unwrap_or(0),
                more: number + 1 < count,
                identification,
            };
            [&header[..], &fragment.bytes(), piece].concat()
        })
        .collect()
}

/// Identifications of packets that are cut: none comes again before all have been used, and who
/// sees some does not know the next (RFC 7739 §5.3).
#[derive(Debug)]
pub(super) struct Identifications {
    next: u32,
    key: [u32; 2],
}

impl Identifications {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self {
            next: long(&seed, 0),
            key: [long(&seed, 4) | 1, long(&seed, 8) | 1],
        }
    }

    /// A permutation of the 32-bit numbers, by steps that can each be undone.
    pub(super) const fn next(&mut self) -> u32 {
        self.next = self.next.wrapping_add(1);
        let mixed = self.next.wrapping_mul(self.key[0]);
        let mixed = (mixed ^ (mixed >> 16)).wrapping_mul(self.key[1]);
        (mixed ^ (mixed >> 15)).wrapping_mul(self.key[0])
    }
}

/// What an ICMPv6 error says of a packet on its way through a softwire (RFC 2473 §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct About<'a> {
    pub(super) trouble: Trouble,
    /// The softwire's other end.
    pub(super) end: Ipv6Addr,
    /// The packet that was in it, as far as it is quoted.
    pub(super) inner: &'a [u8],
}

/// What became of a packet on its way (RFC 2473 §8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It was too big: this would have fit.
    TooBig(u32),
    /// Whatever is wrong, its sender only needs to know that it leads to nobody.
    Unreachable,
}

/// Reads an ICMPv6 message from `source` about a packet that `own` is said to have sent.
pub(super) fn about(
    message: &[u8],
    source: Ipv6Addr,
    own: Ipv6Addr,
) -> Result<About<'_>, DropReason> {
    let Some((head, packet)) = message.split_first_chunk::<8>() else {
        return Err(DropReason::Malformed);
    };
    let trouble = match (head[0], head[1]) {
        (2, _) => Trouble::TooBig(long(head, 4)),
        // Unreachable, hop limit exceeded, parameter problem. What was not put together in time
        // (3/1) says nothing of the way.
        (1, _) | (3, 0) | (4, _) => Trouble::Unreachable,
        _ => return Err(DropReason::IcmpType),
    };
    let pseudo = pseudo_header(source, own, message.len(), ICMP6);
    if sum(message, u32::from(pseudo)) != 0xFFFF {
        return Err(DropReason::IcmpChecksum);
    }
    let (from, end, inner) = quoted(packet).ok_or(DropReason::Malformed)?;
    if from != own {
        return Err(DropReason::NoMapping);
    }
    Ok(About {
        trouble,
        end,
        inner,
    })
}

/// The addresses, and what follows at which place, of a packet that an error quotes: one of ours,
/// whole or the first of the pieces it was cut into.
fn quoted(data: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr, &[u8])> {
    let fixed = data.first_chunk::<HEADER>()?;
    let at = match (fixed[6], Fragment::read(data, HEADER)) {
        (IPV4, _) => HEADER,
        (
            FRAGMENT,
            Some(Fragment {
                next: IPV4,
                offset: 0,
                ..
            }),
        ) => HEADER + FRAGMENT_HEADER,
        _ => return None,
    };
    (fixed[0] >> 4 == 6).then_some((address(fixed, 8), address(fixed, 24), data.get(at..)?))
}
