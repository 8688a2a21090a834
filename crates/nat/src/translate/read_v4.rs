//! Reading an IPv4 packet that is to become an IPv6 packet.

use std::net::Ipv4Addr;

use super::{Answer, Datagram, Incoming, Refused, kinds};
use crate::{
    DropReason,
    checksum::{checksum, is_right},
    header::{Fragment, ICMP, TCP, UDP, long, word},
};

/// The length of an ICMP header, before what it quotes.
pub(super) const ICMP_HEADER: usize = 8;
const IGMP: u8 = 2;

/// Reads the IPv4 packet at the beginning of `bytes`, and what it quotes.
///
/// # Errors
/// When it is none, or none that is translated (RFC 7915 §4).
#[inline]
pub fn read_v4(bytes: &[u8]) -> Result<Incoming<Ipv4Addr>, Refused> {
    let mut outer = header(bytes).map_err(Refused::silently)?;
    if !is_host(outer.source) {
        // RFC 7915 §4.1, RFC 1812 §5.3.7: in silence.
        return Err(Refused::silently(DropReason::Spoofed));
    }
    let length = usize::from(outer.header);
    let payload = &bytes[length..outer.total as usize];
    let is_error = outer.protocol == ICMP && payload.first().is_some_and(|&kind| is_error(kind));
    if length > 20 && has_source_route(&bytes[20..length]) {
        // RFC 7915 §4.1.
        let told = Refused::telling(DropReason::SourceRoute, Answer::SourceRouteFailed);
        return Err(told.unless(is_error || outer.fragment == Fragment::Later));
    }
    let (ports, quoted) = transport(&outer, payload).map_err(Refused::silently)?;
    outer.ports = ports;
    Ok(Incoming { outer, quoted })
}

/// The header alone.
#[inline]
pub(crate) fn header(bytes: &[u8]) -> Result<Datagram<Ipv4Addr>, DropReason> {
    let Some(fixed) = bytes.first_chunk::<20>() else {
        return Err(DropReason::Truncated);
    };
    if fixed[0] >> 4 != 4 {
        return Err(DropReason::NotIpv4);
    }
    let datagram = fields(fixed)?;
    let length = usize::from(datagram.header);
    if datagram.total as usize > bytes.len() {
        return Err(DropReason::Truncated);
    }
    // RFC 1812 §5.2.2: a bad header checksum ends a packet here.
    let is_right = match length {
        20 => is_right(fixed),
        length => checksum(&bytes[..length]) == 0,
    };
    if !is_right {
        return Err(DropReason::HeaderChecksum);
    }
    Ok(datagram)
}

/// What the fixed part of a header says.
#[inline]
fn fields(fixed: &[u8; 20]) -> Result<Datagram<Ipv4Addr>, DropReason> {
    let header = u16::from(fixed[0] & 0x0F) * 4;
    let total = u32::from(word(fixed, 2));
    if header < 20 || total < u32::from(header) {
        return Err(DropReason::Malformed);
    }
    let fragmentation = word(fixed, 6);
    let (offset, more_fragments) = (fragmentation & 0x1FFF, fragmentation & 0x2000 != 0);
    // RFC 791 §3.2: no datagram is longer than its length field can say. RFC 3128: a fragment at
    // offset 8 would overwrite the flags that the first one showed.
    if u32::from(offset) * 8 + total > 65_535 || (fixed[9] == TCP && offset == 1) {
        return Err(DropReason::Malformed);
    }
    let fragment = match (offset, more_fragments) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First,
        _ => Fragment::Later,
    };
    Ok(Datagram {
        source: long(fixed, 12).into(),
        destination: long(fixed, 16).into(),
        protocol: fixed[9],
        ports: None,
        fragment,
        identification: u32::from(word(fixed, 4)),
        header,
        total,
        class: fixed[1],
        hops: fixed[8],
        offset,
        more_fragments,
        dont_fragment: fragmentation & 0x4000 != 0,
        is_fragmented: fragment != Fragment::Whole,
    })
}

type Seen = (Option<(u16, u16)>, Option<Datagram<Ipv4Addr>>);

/// The ports, and what is quoted.
#[inline]
fn transport(outer: &Datagram<Ipv4Addr>, payload: &[u8]) -> Result<Seen, DropReason> {
    match outer.protocol {
        // RFC 7915 §1.2: fragmented ICMP is not translated, since the checksum of ICMPv6 covers
        // the length of the whole message.
        ICMP if outer.fragment != Fragment::Whole => Err(DropReason::FragmentedIcmp),
        // RFC 7915 §4.2: IGMP stays on its link.
        IGMP => Err(DropReason::Protocol),
        _ if outer.fragment == Fragment::Later => Ok((None, None)),
        TCP | UDP => Ok((Some(shown_ports(outer, payload)?), None)),
        ICMP => icmp(payload),
        _ => Ok((None, None)),
    }
}

/// The ports of a TCP segment or a UDP datagram, of which the header must be there.
#[inline]
pub(crate) fn shown_ports<A>(
    outer: &Datagram<A>,
    payload: &[u8],
) -> Result<(u16, u16), DropReason> {
    if outer.protocol == TCP {
        // RFC 1858 §3: a first fragment that ends before the flags hides them.
        let Some(tcp) = payload.first_chunk::<20>() else {
            return Err(DropReason::Malformed);
        };
        return Ok((word(tcp, 0), word(tcp, 2)));
    }
    let Some(udp) = payload.first_chunk::<8>() else {
        return Err(DropReason::Malformed);
    };
    let length = usize::from(word(udp, 4));
    if length < 8 || (outer.fragment == Fragment::Whole && length > payload.len()) {
        return Err(DropReason::Malformed);
    }
    Ok((word(udp, 0), word(udp, 2)))
}

fn icmp(message: &[u8]) -> Result<Seen, DropReason> {
    let Some(head) = message.first_chunk::<ICMP_HEADER>() else {
        return Err(DropReason::Malformed);
    };
    match head[0] {
        kinds::ECHO | kinds::ECHO_REPLY => {
            let identifier = word(head, 4);
            Ok((Some((identifier, identifier)), None))
        }
        kind if is_error(kind) => {
            // RFC 5508 REQ-3: what is computed anew must have been right.
            if checksum(message) != 0 {
                return Err(DropReason::IcmpChecksum);
            }
            // RFC 7915 §4.3: what quotes a packet that quotes another is dropped, and so is what
            // quotes a message that is never translated.
            let is_echo = |kind| matches!(kind, kinds::ECHO | kinds::ECHO_REPLY);
            Ok((None, Some(quoted(&message[ICMP_HEADER..], is_echo)?)))
        }
        // RFC 7915 §4.2: all others are dropped in silence.
        _ => Err(DropReason::IcmpType),
    }
}

/// The packet that an error quotes, as far as it does. `is_query` says of which ICMP types it may
/// quote a message.
pub(crate) fn quoted(
    bytes: &[u8],
    is_query: impl FnOnce(u8) -> bool,
) -> Result<Datagram<Ipv4Addr>, DropReason> {
    let Some(fixed) = bytes.first_chunk::<20>() else {
        return Err(DropReason::Malformed);
    };
    if fixed[0] >> 4 != 4 {
        return Err(DropReason::Malformed);
    }
    let mut datagram = fields(fixed)?;
    let Some(payload) = bytes.get(usize::from(datagram.header)..) else {
        return Err(DropReason::Malformed);
    };
    datagram.ports = quoted_ports(&datagram, payload, is_query)?;
    Ok(datagram)
}

/// The ports of a quoted packet, where they are shown. Of ICMP only queries have any, and an error
/// about another message is none (RFC 1122 §3.2.2).
pub(super) fn quoted_ports<A>(
    datagram: &Datagram<A>,
    payload: &[u8],
    is_query: impl FnOnce(u8) -> bool,
) -> Result<Option<(u16, u16)>, DropReason> {
    if datagram.fragment == Fragment::Later {
        return Ok(None);
    }
    Ok(match (datagram.protocol, payload) {
        (TCP | UDP, [_, _, _, _, ..]) => Some((word(payload, 0), word(payload, 2))),
        (ICMP, &[kind, ..]) if !is_query(kind) => return Err(DropReason::IcmpType),
        (ICMP, [_, _, _, _, _, _, ..]) => Some((word(payload, 4), word(payload, 4))),
        _ => None,
    })
}

/// Whether an ICMP type is an error that quotes a packet and has a counterpart in ICMPv6.
const fn is_error(kind: u8) -> bool {
    matches!(kind, 3 | 11 | 12)
}

/// Whether an address can be a host's: not of "this network", loopback, multicast or reserved
/// (RFC 1812 §5.3.7).
#[inline]
pub(crate) const fn is_host(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first != 127 && first < 224
}

/// Whether IPv4 options hold a source route that has addresses left (RFC 791 §3.1).
fn has_source_route(mut options: &[u8]) -> bool {
    while let [kind, rest @ ..] = options {
        match (kind, rest) {
            // The end, and nothing.
            (0, _) => return false,
            (1, rest) => options = rest,
            (131 | 137, &[length, pointer, ..]) if pointer <= length => return true,
            (_, &[length, ..]) if length >= 2 => {
                options = options.get(usize::from(length)..).unwrap_or_default();
            }
            // An option that says nothing of its length: no more can be read.
            _ => return false,
        }
    }
    false
}
