//! Reading an IPv6 packet that is to become an IPv4 packet.

use std::net::Ipv6Addr;

use super::{
    Answer, Datagram, Incoming, Refused, kinds,
    read_v4::{ICMP_HEADER, quoted_ports, shown_ports},
    transport::{ICMP6, pseudo_header},
};
use crate::{
    DropReason,
    checksum::sum,
    header::{Fragment, ICMP, TCP, UDP, word},
    ipv6::{
        self, DESTINATION_OPTIONS, FRAGMENT, FRAGMENT_HEADER, HEADER as IPV6_HEADER, HOP_BY_HOP,
        MOST_HEADERS, ROUTING, address, extension,
    },
};

const AUTHENTICATION: u8 = 51;
const MOBILITY: u8 = 135;
const HOST_IDENTITY: u8 = 139;
const SHIM6: u8 = 140;

/// Reads the IPv6 packet at the beginning of `bytes`, and what it quotes.
///
/// # Errors
/// When it is none, or none that is translated (RFC 7915 §5).
#[inline]
pub fn read_v6(bytes: &[u8]) -> Result<Incoming<Ipv6Addr>, Refused> {
    let (mut outer, next) = header(bytes)?;
    let payload = &bytes[usize::from(outer.header)..outer.total as usize];
    let (ports, quoted) = transport(&outer, next, payload).map_err(Refused::silently)?;
    outer.ports = ports;
    Ok(Incoming { outer, quoted })
}

/// The headers before the transport, and the number of what follows them.
#[inline]
pub(crate) fn header(bytes: &[u8]) -> Result<(Datagram<Ipv6Addr>, u8), Refused> {
    let Some(fixed) = bytes.first_chunk::<IPV6_HEADER>() else {
        return Err(Refused::silently(DropReason::Truncated));
    };
    if fixed[0] >> 4 != 6 {
        return Err(Refused::silently(DropReason::NotIpv6));
    }
    let mut datagram = fields(fixed);
    let Some(bytes) = bytes.get(..datagram.total as usize) else {
        return Err(Refused::silently(DropReason::Truncated));
    };
    if !is_host(datagram.source) {
        // RFC 7915 §5.1: in silence.
        return Err(Refused::silently(DropReason::Spoofed));
    }
    let next = match fixed[6] {
        next @ (TCP | UDP | ICMP6) => next,
        next => walk(bytes, next, &mut datagram, Walk::Whole)?,
    };
    datagram.protocol = if next == ICMP6 { ICMP } else { next };
    // A protocol of IPv4's own, which no IPv6 packet carries: it would come out as ICMP.
    if next == ICMP {
        return Err(Refused::silently(DropReason::Protocol));
    }
    let end = usize::from(datagram.offset) * 8 + datagram.payload();
    // As in IPv4: RFC 791 §3.2, RFC 3128.
    if datagram.is_fragmented && (end > 65_515 || (next == TCP && datagram.offset == 1)) {
        return Err(Refused::silently(DropReason::Malformed));
    }
    Ok((datagram, next))
}

#[inline]
fn fields(fixed: &[u8; IPV6_HEADER]) -> Datagram<Ipv6Addr> {
    Datagram {
        source: address(fixed, 8),
        destination: address(fixed, 24),
        protocol: 0,
        ports: None,
        fragment: Fragment::Whole,
        identification: 0,
        header: 40,
        total: 40 + u32::from(word(fixed, 4)),
        class: ipv6::class(fixed),
        hops: fixed[7],
        offset: 0,
        more_fragments: false,
        dont_fragment: false,
        is_fragmented: false,
    }
}

/// Whose headers are walked over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// A packet's.
    Whole,
    /// Those of a packet that is quoted, of which the end may be missing.
    Quoted,
}

/// Walks over extension headers, and notes what a Fragment header says (RFC 7915 §5.1). The
/// number of what follows.
fn walk(
    bytes: &[u8],
    first: u8,
    datagram: &mut Datagram<Ipv6Addr>,
    walk: Walk,
) -> Result<u8, Refused> {
    let malformed = Refused::silently(DropReason::Malformed);
    let (mut next, mut at) = (first, IPV6_HEADER);
    for _ in 0..=MOST_HEADERS {
        let skipped = matches!(next, HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS);
        if datagram.is_fragmented && (skipped || is_extension(next)) {
            // RFC 7915 §5.1.1: an extension header behind the Fragment header.
            let refused = Refused::telling(DropReason::ExtensionHeaders, Answer::Prohibited);
            return Err(refused.unless(datagram.fragment == Fragment::Later));
        }
        if !skipped && next != FRAGMENT {
            datagram.header = u16::try_from(at).map_err(|_| malformed)?;
            return Ok(next);
        }
        if next == FRAGMENT {
            let fragment = ipv6::Fragment::read(bytes, at).ok_or(malformed)?;
            note_fragment(fragment, datagram);
            (next, at) = (fragment.next, at + FRAGMENT_HEADER);
            continue;
        }
        let header = extension(bytes, at).ok_or(malformed)?;
        if next == ROUTING && header[3] != 0 && walk == Walk::Whole {
            // RFC 7915 §5.1: it has places to go yet. The pointer is to "segments left".
            let pointer = u32::try_from(at + 3).unwrap_or(0);
            let answer = Answer::ParameterProblem(pointer);
            return Err(Refused::telling(DropReason::SourceRoute, answer));
        }
        (next, at) = (header[0], at + header.len());
    }
    Err(Refused::silently(DropReason::ExtensionHeaders))
}

/// What RFC 7915 §5.1.1 calls extension headers beside those that are skipped: all that RFC 7045
/// §4 lists, but for ESP.
const fn is_extension(next: u8) -> bool {
    matches!(
        next,
        FRAGMENT | AUTHENTICATION | MOBILITY | HOST_IDENTITY | SHIM6
    )
}

fn note_fragment(fragment: ipv6::Fragment, datagram: &mut Datagram<Ipv6Addr>) {
    datagram.offset = fragment.offset;
    datagram.more_fragments = fragment.more;
    datagram.identification = fragment.identification;
    datagram.is_fragmented = true;
    datagram.fragment = match (datagram.offset, datagram.more_fragments) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First,
        _ => Fragment::Later,
    };
}

type Seen = (Option<(u16, u16)>, Option<Datagram<Ipv6Addr>>);

#[inline]
fn transport(outer: &Datagram<Ipv6Addr>, next: u8, payload: &[u8]) -> Result<Seen, DropReason> {
    match next {
        // RFC 7915 §1.2.
        ICMP6 if outer.fragment != Fragment::Whole => Err(DropReason::FragmentedIcmp),
        _ if outer.fragment == Fragment::Later => Ok((None, None)),
        TCP | UDP => Ok((Some(shown_ports(outer, payload)?), None)),
        ICMP6 => icmp(outer, payload),
        _ => Ok((None, None)),
    }
}

fn icmp(outer: &Datagram<Ipv6Addr>, message: &[u8]) -> Result<Seen, DropReason> {
    let Some(head) = message.first_chunk::<ICMP_HEADER>() else {
        return Err(DropReason::Malformed);
    };
    match head[0] {
        kinds::ECHO6 | kinds::ECHO6_REPLY => {
            let identifier = word(head, 4);
            Ok((Some((identifier, identifier)), None))
        }
        1..=4 => {
            let pseudo = pseudo_header(outer.source, outer.destination, message.len(), ICMP6);
            // RFC 7915 §5: evaluated before it is computed anew.
            if sum(message, u32::from(pseudo)) != 0xFFFF {
                return Err(DropReason::IcmpChecksum);
            }
            Ok((None, Some(quoted(&message[ICMP_HEADER..])?)))
        }
        // RFC 7915 §5.2: all others are dropped in silence.
        _ => Err(DropReason::IcmpType),
    }
}

/// The packet that an error quotes, as far as it does.
fn quoted(bytes: &[u8]) -> Result<Datagram<Ipv6Addr>, DropReason> {
    let Some(fixed) = bytes.first_chunk::<IPV6_HEADER>() else {
        return Err(DropReason::Malformed);
    };
    if fixed[0] >> 4 != 6 {
        return Err(DropReason::Malformed);
    }
    let mut datagram = fields(fixed);
    let next =
        walk(bytes, fixed[6], &mut datagram, Walk::Quoted).map_err(|refused| refused.reason)?;
    if next == ICMP || u32::from(datagram.header) > datagram.total {
        return Err(DropReason::Malformed);
    }
    datagram.protocol = if next == ICMP6 { ICMP } else { next };
    // Whoever quotes what no IPv4 header could say quotes nothing of ours.
    if datagram.payload() + 20 > 65_535 {
        return Err(DropReason::Malformed);
    }
    let payload = &bytes[usize::from(datagram.header)..];
    datagram.ports = quoted_ports(&datagram, payload, |kind| {
        matches!(kind, kinds::ECHO6 | kinds::ECHO6_REPLY)
    })?;
    Ok(datagram)
}

/// Whether an address can be a host's: not unspecified, loopback or multicast (RFC 4291 §2.5,
/// §2.7), nor one that is never on a wire, IPv4-mapped (RFC 4291 §2.5.5.2; RFC 6890).
#[inline]
pub(crate) const fn is_host(address: Ipv6Addr) -> bool {
    let bits = address.to_bits();
    // The first 80 bits of all of these but the multicast ones are zero.
    bits >> 120 != 0xFF && bits >> 32 != 0xFFFF && bits > 1
}
