//! ICMP's types, codes, pointers and sizes, from one to the other (RFC 7915 §4.2, §5.2).

use super::LEAST_IPV6_MTU;

/// ICMP's echo request.
pub(super) const ECHO: u8 = 8;
/// ICMP's echo reply.
pub(super) const ECHO_REPLY: u8 = 0;
/// ICMPv6's echo request.
pub(super) const ECHO6: u8 = 128;
/// ICMPv6's echo reply.
pub(super) const ECHO6_REPLY: u8 = 129;

/// An ICMP error's first eight bytes, without the checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) kind: u8,
    pub(super) code: u8,
    /// The second four bytes, without what they say of extensions: a size, a pointer, or nothing.
    pub(super) rest: u32,
}

/// What the sizes of links have to do with a "too big".
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) ipv6_mtu: u16,
    pub(super) ipv4_mtu: u16,
    /// The total length that the quoted header says.
    pub(super) quoted: u32,
    /// Whether the quoted packet has, or gets, a Fragment header.
    pub(super) is_fragment: bool,
}

/// Where ICMP keeps the length of what it quotes, when an extension follows (RFC 4884 §4): byte 5
/// in ICMP, byte 4 in ICMPv6, in units of 4 and of 8 bytes.
pub(super) const fn may_be_extended_v4(kind: u8) -> bool {
    matches!(kind, 3 | 11 | 12)
}

/// As [`may_be_extended_v4`]: RFC 4884 §4 has no length for "too big" and "parameter problem".
pub(super) const fn may_be_extended_v6(kind: u8) -> bool {
    matches!(kind, 1 | 3)
}

/// RFC 7915 §4.2: an ICMP error as ICMPv6; `None` where there is nothing like it.
pub(super) fn to_v6(from: Kind, sizes: Sizes) -> Option<Kind> {
    let plain = |kind, code| {
        Some(Kind {
            kind,
            code,
            rest: 0,
        })
    };
    match (from.kind, from.code) {
        // No route to destination.
        (3, 0 | 1 | 5..=8 | 11 | 12) => plain(1, 0),
        // Protocol unreachable: a pointer to the field "next header".
        (3, 2) => Some(Kind {
            kind: 4,
            code: 1,
            rest: 6,
        }),
        (3, 3) => plain(1, 4),
        (3, 4) => Some(Kind {
            kind: 2,
            code: 0,
            rest: size_to_v6(from.rest & 0xFFFF, sizes),
        }),
        // Administratively prohibited.
        (3, 9 | 10 | 13 | 15) => plain(1, 1),
        (11, code) => plain(3, code),
        (12, 0 | 2) => Some(Kind {
            kind: 4,
            code: 0,
            rest: u32::from(pointer_to_v6((from.rest >> 24) as u8)?),
        }),
        // Code 14, redirects, source quench and all others are dropped in silence.
        _ => None,
    }
}

/// RFC 7915 §5.2: an ICMPv6 error as ICMP; `None` where there is nothing like it.
pub(super) fn to_v4(from: Kind, sizes: Sizes) -> Option<Kind> {
    let plain = |kind, code| {
        Some(Kind {
            kind,
            code,
            rest: 0,
        })
    };
    match (from.kind, from.code) {
        (1, 0 | 2 | 3) => plain(3, 1),
        (1, 1) => plain(3, 10),
        (1, 4) => plain(3, 3),
        (2, _) => Some(Kind {
            kind: 3,
            code: 4,
            rest: size_to_v4(from.rest, sizes),
        }),
        (3, code) => plain(11, code),
        (4, 0) => Some(Kind {
            kind: 12,
            code: 0,
            rest: u32::from(pointer_to_v4(from.rest)?) << 24,
        }),
        (4, 1) => plain(3, 2),
        _ => None,
    }
}

/// RFC 1191 §7: the sizes that links commonly have; those from IPv6's least on.
const PLATEAUS: [u32; 7] = [65_535, 32_000, 17_914, 8_166, 4_352, 2_002, 1_492];

/// RFC 7915 §4.2, code 4.
fn size_to_v6(told: u32, sizes: Sizes) -> u32 {
    let likely = if told == 0 {
        // A router older than RFC 1191: the greatest plateau below the packet's length.
        PLATEAUS
            .into_iter()
            .find(|&plateau| plateau < sizes.quoted)
            .unwrap_or(0)
    } else {
        told + 20
    };
    likely
        .min(u32::from(sizes.ipv6_mtu))
        .min(u32::from(sizes.ipv4_mtu) + 20)
        .max(u32::from(LEAST_IPV6_MTU))
}

/// RFC 7915 §5.2, type 2: with a Fragment header, the difference between the headers is 28 bytes.
fn size_to_v4(told: u32, sizes: Sizes) -> u32 {
    let less = if sizes.is_fragment { 28 } else { 20 };
    told.saturating_sub(less)
        .min(u32::from(sizes.ipv4_mtu))
        .min(u32::from(sizes.ipv6_mtu) - less)
        // RFC 791 §3.2: no link takes less. Nought would say that the router does not know.
        .max(68)
}

/// RFC 7915 figure 3.
const fn pointer_to_v6(pointer: u8) -> Option<u8> {
    match pointer {
        0 => Some(0),
        1 => Some(1),
        2 | 3 => Some(4),
        8 => Some(7),
        9 => Some(6),
        12..=15 => Some(8),
        16..=19 => Some(24),
        _ => None,
    }
}

/// RFC 7915 figure 6.
const fn pointer_to_v4(pointer: u32) -> Option<u8> {
    match pointer {
        0 => Some(0),
        1 => Some(1),
        4 | 5 => Some(2),
        6 => Some(9),
        7 => Some(8),
        8..=23 => Some(12),
        24..=39 => Some(16),
        _ => None,
    }
}
