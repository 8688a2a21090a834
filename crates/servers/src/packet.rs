//! What of an IP packet tells a connection or a flow.

use std::net::IpAddr;

use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice};
use portledger_model::Transport;

use crate::Skip;

/// What a packet is of, as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its two ends, the sender's first.
    pub key: Key,
    /// What it says of the connection.
    pub kind: Kind,
    /// What it carries, as far as it was captured.
    pub payload: &'a [u8],
}

/// What a packet says of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A SYN without ACK, with its sequence number.
    Syn(u32),
    /// A SYN with ACK: its receiver began.
    SynAck,
    /// A segment that says nothing of a connection which was not seen: a RST.
    Reset,
    /// Another segment, which may be of what was not seen to begin, with its sequence number.
    Segment(u32),
    /// A datagram or an echo request, which may begin what was not seen.
    Datagram,
    /// An echo reply: only of what was seen.
    Reply,
}

/// A flow by its two ends, the initiator's first. ICMP has its identifier for the first port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// What the ports are of.
    pub transport: Transport,
    /// Who begins.
    pub initiator: (IpAddr, u16),
    /// Who is begun with.
    pub responder: (IpAddr, u16),
}

impl Key {
    pub(crate) const fn reversed(self) -> Self {
        Self {
            transport: self.transport,
            initiator: self.responder,
            responder: self.initiator,
        }
    }
}

/// Why a packet tells none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It is well-formed and of no connection.
    Skip(Skip),
    /// It ends, or goes wrong, at this byte, from 0.
    Short {
        /// The byte.
        at: usize,
        /// Whose header it should have been.
        header: &'static str,
    },
}

/// Reads a packet, from its IP header on, which may be cut short after the transport's first bytes.
///
/// # Errors
/// Why it tells no connection.
pub fn parse(packet: &[u8]) -> Result<Packet<'_>, Unread> {
    match packet.first().map(|byte| byte >> 4) {
        Some(6) => ipv6(packet),
        _ => ipv4(packet),
    }
}

const fn short(at: usize, header: &'static str) -> Unread {
    Unread::Short { at, header }
}

fn ipv4(packet: &[u8]) -> Result<Packet<'_>, Unread> {
    let header = Ipv4HeaderSlice::from_slice(packet).map_err(|_| short(0, "IPv4"))?;
    // RFC 791 §3.2: only the fragment at offset 0 has the transport's header.
    if header.fragments_offset().value() != 0 {
        return Err(Unread::Skip(Skip::Fragment));
    }
    let ends = (
        IpAddr::V4(header.source_addr()),
        IpAddr::V4(header.destination_addr()),
    );
    let start = header.slice().len();
    // What the link padded behind the packet is not the transport's. A length of 0 was left to
    // segmentation offload.
    let end = match usize::from(header.total_len()) {
        0 => packet.len(),
        length => length.min(packet.len()),
    };
    let payload = packet.get(start..end).unwrap_or_default();
    transport(ends, header.protocol(), payload, start)
}

/// RFC 8200 §4: the fixed header, then extension headers of which each names the next.
fn ipv6(packet: &[u8]) -> Result<Packet<'_>, Unread> {
    let header = Ipv6HeaderSlice::from_slice(packet).map_err(|_| short(0, "IPv6"))?;
    let ends = (
        IpAddr::V6(header.source_addr()),
        IpAddr::V6(header.destination_addr()),
    );
    let start = header.slice().len();
    let end = match usize::from(header.payload_length()) {
        // A jumbogram (RFC 2675), or left to segmentation offload.
        0 => packet.len(),
        length => (start + length).min(packet.len()),
    };
    let (mut next, mut at) = (header.next_header(), start);
    loop {
        let rest = packet.get(at..end).unwrap_or_default();
        let extension = rest.first_chunk::<4>();
        let (following, length) = match (next, extension) {
            (
                IpNumber::IPV6_HEADER_HOP_BY_HOP
                | IpNumber::IPV6_ROUTE_HEADER
                | IpNumber::IPV6_DESTINATION_OPTIONS,
                Some([following, eights, ..]),
            ) => (*following, (usize::from(*eights) + 1) * 8),
            // RFC 8200 §4.5: the transport's header is in the fragment at offset 0.
            (IpNumber::IPV6_FRAGMENTATION_HEADER, Some([following, _, high, low])) => {
                if u16::from_be_bytes([*high, *low]) >> 3 != 0 {
                    return Err(Unread::Skip(Skip::Fragment));
                }
                (*following, 8)
            }
            // RFC 4302 §2.2: its length is in units of four, less two.
            (IpNumber::AUTHENTICATION_HEADER, Some([following, fours, ..])) => {
                (*following, (usize::from(*fours) + 2) * 4)
            }
            (
                IpNumber::IPV6_HEADER_HOP_BY_HOP
                | IpNumber::IPV6_ROUTE_HEADER
                | IpNumber::IPV6_DESTINATION_OPTIONS
                | IpNumber::IPV6_FRAGMENTATION_HEADER
                | IpNumber::AUTHENTICATION_HEADER,
                None,
            ) => return Err(short(at, "IPv6 extension")),
            (protocol, _) => return transport(ends, protocol, rest, at),
        };
        (next, at) = (IpNumber(following), at + length);
    }
}

fn transport(
    (source, destination): (IpAddr, IpAddr),
    protocol: IpNumber,
    payload: &[u8],
    start: usize,
) -> Result<Packet<'_>, Unread> {
    let (transport, ports, kind, rest) = match protocol {
        IpNumber::TCP => {
            let (ports, kind, rest) = tcp(payload).ok_or(short(start, "TCP"))?;
            (Transport::Tcp, ports, kind, rest)
        }
        IpNumber::UDP => {
            let ports = ports(payload).ok_or(short(start, "UDP"))?;
            let rest = payload.get(8..).unwrap_or_default();
            (Transport::Udp, ports, Kind::Datagram, rest)
        }
        IpNumber::ICMP => {
            let (ports, kind) = icmp(payload).ok_or(short(start, "ICMP"))?;
            let kind = kind.ok_or(Unread::Skip(Skip::NoPort))?;
            let rest = payload.get(8..).unwrap_or_default();
            (Transport::Icmp, ports, kind, rest)
        }
        _ => return Err(Unread::Skip(Skip::NoPort)),
    };
    Ok(Packet {
        key: Key {
            transport,
            initiator: (source, ports.0),
            responder: (destination, ports.1),
        },
        kind,
        payload: rest,
    })
}

/// Captures often keep only the first bytes of a packet, so the headers are read by the bytes that
/// are needed: ports, sequence number and flags (RFC 9293 §3.1).
fn tcp(segment: &[u8]) -> Option<((u16, u16), Kind, &[u8])> {
    let ports = ports(segment)?;
    let sequence = u32::from_be_bytes(*segment.get(4..)?.first_chunk()?);
    let flags = *segment.get(13)?;
    let (syn, reset, ack) = (flags & 2 != 0, flags & 4 != 0, flags & 16 != 0);
    let kind = match (reset, syn, ack) {
        (true, ..) => Kind::Reset,
        (false, true, false) => Kind::Syn(sequence),
        (false, true, true) => Kind::SynAck,
        (false, false, _) => Kind::Segment(sequence),
    };
    let header = usize::from(*segment.get(12)? >> 4) * 4;
    Some((
        ports,
        kind,
        segment.get(header.max(20)..).unwrap_or_default(),
    ))
}

/// Source and destination, which TCP and UDP (RFC 768) begin with.
fn ports(payload: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c, d] = *payload.first_chunk()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// The identifier of an echo request or reply, in the place of the initiator's port (RFC 792,
/// RFC 5508 §3.1).
fn icmp(message: &[u8]) -> Option<((u16, u16), Option<Kind>)> {
    let [kind, _, _, _, high, low] = *message.first_chunk()?;
    let identifier = u16::from_be_bytes([high, low]);
    Some(match kind {
        8 => ((identifier, 0), Some(Kind::Datagram)),
        0 => ((0, identifier), Some(Kind::Reply)),
        _ => ((0, 0), None),
    })
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    use super::*;

    fn syn_v6() -> Vec<u8> {
        let client: std::net::Ipv6Addr = "2001:db8::7".parse().unwrap();
        let server: std::net::Ipv6Addr = "2001:db8::80".parse().unwrap();
        let mut packet = Vec::new();
        PacketBuilder::ipv6(client.octets(), server.octets(), 64)
            .tcp(40_000, 443, 9, 1_000)
            .syn()
            .write(&mut packet, b"early")
            .unwrap();
        packet
    }

    #[test]
    fn ipv6_is_read_with_and_without_extension_headers() {
        let plain = syn_v6();
        let read = parse(&plain).unwrap();
        assert_eq!(read.kind, Kind::Syn(9));
        assert_eq!(read.payload, b"early");
        assert_eq!(read.key.initiator, ("2001:db8::7".parse().unwrap(), 40_000));
        assert_eq!(read.key.responder, ("2001:db8::80".parse().unwrap(), 443));

        let mut extended = plain.clone();
        extended[6] = 0;
        // Hop-by-hop, then destination options of 16 bytes, then an atomic fragment.
        let extensions = [[60, 0, 1, 4, 0, 0, 0, 0], [44, 1, 1, 12, 0, 0, 0, 0]];
        let more = [[0; 8], [6, 0, 0, 0, 0, 0, 0, 1]];
        let extensions: Vec<u8> = extensions.iter().chain(&more).flatten().copied().collect();
        extended.splice(40..40, extensions.iter().copied());
        let length = u16::try_from(extended.len() - 40).unwrap();
        extended[4..6].copy_from_slice(&length.to_be_bytes());
        assert_eq!(parse(&extended).unwrap(), read);

        let fragment = extended.len() - (plain.len() - 40) - 8;
        extended[fragment + 3] = 8;
        assert_eq!(parse(&extended), Err(Unread::Skip(Skip::Fragment)));
        extended.truncate(41);
        let header = "IPv6 extension";
        assert_eq!(parse(&extended), Err(Unread::Short { at: 40, header }));
    }

    #[test]
    fn what_the_link_padded_is_no_payload() {
        let mut packet = Vec::new();
        PacketBuilder::ipv4([203, 0, 113, 7], [192, 0, 2, 80], 64)
            .tcp(40_000, 443, 9, 1_000)
            .syn()
            .write(&mut packet, &[])
            .unwrap();
        packet.extend([7; 6]);
        assert_eq!(parse(&packet).unwrap().payload, b"");
    }

    proptest! {
        #[test]
        fn nothing_panics(mut bytes: Vec<u8>, version in prop::sample::select(vec![4_u8, 6])) {
            if let Some(first) = bytes.first_mut() {
                *first = version << 4 | (*first & 15);
            }
            let _ = parse(&bytes);
        }

        #[test]
        fn nothing_panics_behind_an_ipv6_header(next: u8, rest: Vec<u8>) {
            let mut packet = syn_v6();
            packet.truncate(40);
            packet[6] = next;
            packet.extend(rest);
            let _ = parse(&packet);
        }
    }
}
