//! What of an IPv4 packet tells a connection or a flow.

use std::net::Ipv4Addr;

use etherparse::{IpNumber, Ipv4HeaderSlice};
use portledger_model::Transport;

use crate::Skip;

/// What a packet is of, as it was sent.
pub(crate) struct Packet {
    pub(crate) key: Key,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A SYN without ACK, with its sequence number.
    Syn(u32),
    /// A SYN with ACK: its receiver began.
    SynAck,
    /// A segment that says nothing of a connection which was not seen: a RST.
    Reset,
    /// Another segment or a datagram, which may begin what was not seen.
    Data,
    /// An echo reply: only of what was seen.
    Reply,
}

/// A flow by its two ends, the initiator's first. ICMP has its identifier for the first port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) transport: Transport,
    pub(crate) initiator: (Ipv4Addr, u16),
    pub(crate) responder: (Ipv4Addr, u16),
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
pub(crate) enum Unread {
    Skip(Skip),
    Short { at: usize, header: &'static str },
}

/// Reads a packet, which may be cut short after the transport's first bytes.
pub(crate) fn parse(packet: &[u8]) -> Result<Packet, Unread> {
    let short = |at, header| Unread::Short { at, header };
    let header = Ipv4HeaderSlice::from_slice(packet).map_err(|_| short(0, "IPv4"))?;
    // RFC 791 §3.2: only the fragment at offset 0 has the transport's header.
    if header.fragments_offset().value() != 0 {
        return Err(Unread::Skip(Skip::Fragment));
    }
    let start = header.slice().len();
    let payload = packet.get(start..).unwrap_or_default();
    let (source, destination) = (header.source_addr(), header.destination_addr());
    let (transport, ports, kind) = match header.protocol() {
        IpNumber::TCP => {
            let (ports, kind) = tcp(payload).ok_or_else(|| short(start, "TCP"))?;
            (Transport::Tcp, ports, kind)
        }
        IpNumber::UDP => {
            let ports = ports(payload).ok_or_else(|| short(start, "UDP"))?;
            (Transport::Udp, ports, Kind::Data)
        }
        IpNumber::ICMP => {
            let (ports, kind) = icmp(payload).ok_or_else(|| short(start, "ICMP"))?;
            let kind = kind.ok_or(Unread::Skip(Skip::NoPort))?;
            (Transport::Icmp, ports, kind)
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
    })
}

/// Captures often keep only the first bytes of a packet, so the headers are read by the bytes that
/// are needed: ports, sequence number and flags (RFC 9293 §3.1).
fn tcp(segment: &[u8]) -> Option<((u16, u16), Kind)> {
    let ports = ports(segment)?;
    let sequence = u32::from_be_bytes(*segment.get(4..)?.first_chunk()?);
    let flags = *segment.get(13)?;
    let (syn, reset, ack) = (flags & 2 != 0, flags & 4 != 0, flags & 16 != 0);
    let kind = match (reset, syn, ack) {
        (true, ..) => Kind::Reset,
        (false, true, false) => Kind::Syn(sequence),
        (false, true, true) => Kind::SynAck,
        (false, false, _) => Kind::Data,
    };
    Some((ports, kind))
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
        8 => ((identifier, 0), Some(Kind::Data)),
        0 => ((0, identifier), Some(Kind::Reply)),
        _ => ((0, 0), None),
    })
}
