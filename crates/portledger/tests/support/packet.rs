//! IPv4 packets: made by another library than the engine, and read the plain way.

use std::net::{Ipv4Addr, SocketAddrV4};

use etherparse::PacketBuilder;

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;

/// Both ends of a packet, where it has ports. ICMP queries have their identifier for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ends {
    pub protocol: u8,
    pub source: SocketAddrV4,
    pub destination: SocketAddrV4,
}

/// The parts of a packet whose headers are all there.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    pub header: usize,
    pub total: usize,
    pub protocol: u8,
    /// In units of eight bytes.
    pub fragment_offset: u16,
    pub more_fragments: bool,
}

pub fn udp(source: &str, destination: &str, payload: &[u8]) -> Vec<u8> {
    let (source, destination): (SocketAddrV4, SocketAddrV4) =
        (source.parse().unwrap(), destination.parse().unwrap());
    let builder = PacketBuilder::ipv4(source.ip().octets(), destination.ip().octets(), 64)
        .udp(source.port(), destination.port());
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}

pub fn tcp_syn(source: &str, destination: &str, sequence: u32) -> Vec<u8> {
    let (source, destination): (SocketAddrV4, SocketAddrV4) =
        (source.parse().unwrap(), destination.parse().unwrap());
    let builder = PacketBuilder::ipv4(source.ip().octets(), destination.ip().octets(), 64)
        .tcp(source.port(), destination.port(), sequence, 64_240)
        .syn();
    let mut packet = Vec::new();
    builder.write(&mut packet, &[]).unwrap();
    packet
}

impl Parts {
    /// `None` where the lengths contradict each other or the header is not all there.
    pub fn of(packet: &[u8]) -> Option<Self> {
        let first = *packet.first()?;
        let header = usize::from(first & 0x0F) * 4;
        let total = usize::from(word(packet, 2)?);
        let fragmentation = word(packet, 6)?;
        let sound = first >> 4 == 4 && (20..=total).contains(&header) && packet.len() >= header;
        sound.then_some(Self {
            header,
            total,
            protocol: *packet.get(9)?,
            fragment_offset: fragmentation & 0x1FFF,
            more_fragments: fragmentation & 0x2000 != 0,
        })
    }

    pub fn is_fragment(&self) -> bool {
        self.fragment_offset > 0 || self.more_fragments
    }
}

impl Ends {
    pub fn of(packet: &[u8]) -> Option<Self> {
        let parts = Parts::of(packet)?;
        let at = |place: usize| word(packet, parts.header + place);
        let (from, to) = match parts.protocol {
            _ if parts.fragment_offset > 0 => return None,
            TCP | UDP => (at(0)?, at(2)?),
            ICMP if is_query(*packet.get(parts.header)?) => (at(4)?, at(4)?),
            _ => return None,
        };
        Some(Self {
            protocol: parts.protocol,
            source: SocketAddrV4::new(source(packet), from),
            destination: SocketAddrV4::new(destination(packet), to),
        })
    }
}

/// Echo, timestamp, information and address mask, and their replies (RFC 5508 §2).
pub fn is_query(icmp_type: u8) -> bool {
    matches!(icmp_type, 0 | 8 | 13..=18)
}

/// The packet that an ICMP error quotes, and where it begins.
pub fn quoted(packet: &[u8]) -> Option<(usize, &[u8])> {
    let parts = Parts::of(packet)?;
    let icmp_type = *packet.get(parts.header)?;
    let is_error = parts.protocol == ICMP
        && parts.fragment_offset == 0
        && matches!(icmp_type, 3 | 4 | 5 | 11 | 12);
    let at = parts.header + 8;
    is_error.then_some((at, packet.get(at..)?))
}

pub fn source(packet: &[u8]) -> Ipv4Addr {
    address(packet, 12)
}

pub fn destination(packet: &[u8]) -> Ipv4Addr {
    address(packet, 16)
}

/// The address at `at`.
///
/// # Panics
/// When the packet is shorter.
pub fn address(packet: &[u8], at: usize) -> Ipv4Addr {
    let bytes: [u8; 4] = packet[at..at + 4].try_into().unwrap();
    bytes.into()
}

pub fn word(packet: &[u8], at: usize) -> Option<u16> {
    let bytes = packet.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(bytes))
}

pub fn set_word(packet: &mut [u8], at: usize, value: u16) {
    packet[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// The sum of RFC 1071 over `bytes`: 0 where they hold a right checksum, and the same before and
/// after a change of both the bytes and their checksum that keeps it right or wrong as it was.
pub fn residue(bytes: &[u8]) -> u16 {
    residue_from(0, bytes)
}

fn residue_from(start: u32, bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low)));
    let sum = words.fold(start, |sum, word| {
        let sum = sum + word;
        (sum & 0xFFFF) + (sum >> 16)
    });
    let sum = (sum & 0xFFFF) + (sum >> 16);
    !u16::try_from(sum).unwrap()
}

/// The residue of a packet's transport checksum over what there is of it: of the first fragment
/// of a datagram and of what a snap length left, too. `None` where it has none, or none of ours.
pub fn transport_residue(packet: &[u8]) -> Option<u16> {
    let parts = Parts::of(packet)?;
    if parts.fragment_offset > 0 {
        return None;
    }
    let end = parts.total.min(packet.len());
    let transport = packet.get(parts.header..end)?;
    let checksum_at = checksum_at(parts.protocol)?;
    let written = word(transport, checksum_at)?;
    let pseudo = match parts.protocol {
        ICMP => 0,
        // RFC 768: zero means that the sender computed none.
        UDP if written == 0 => return None,
        protocol => {
            let length = u32::try_from(parts.total - parts.header).unwrap();
            let ends = (12..20).step_by(2).filter_map(|at| word(packet, at));
            ends.map(u32::from).sum::<u32>() + u32::from(protocol) + length
        }
    };
    Some(residue_from(pseudo, transport))
}

/// Where the transport's checksum lies.
pub fn checksum_at(protocol: u8) -> Option<usize> {
    match protocol {
        TCP => Some(16),
        UDP => Some(6),
        ICMP => Some(2),
        _ => None,
    }
}

/// Makes the header's checksum right, and the transport's as right or wrong as `residue` says; one
/// that was not computed stays so.
pub fn renew_checksums(packet: &mut [u8], residue: Option<u16>) {
    let Some(parts) = Parts::of(packet) else {
        return;
    };
    set_word(packet, 10, 0);
    let sum = self::residue(&packet[..parts.header]);
    set_word(packet, 10, sum);
    let (Some(wanted), Some(now)) = (residue, transport_residue(packet)) else {
        return;
    };
    let at = parts.header + checksum_at(parts.protocol).unwrap();
    // The residue is the complement of the sum that the field is a part of.
    let field = residue_from(
        u32::from(!wanted),
        &[word(packet, at).unwrap(), now]
            .map(u16::to_be_bytes)
            .concat(),
    );
    set_word(packet, at, if field == 0xFFFF { 0xFFFF } else { !field });
}
