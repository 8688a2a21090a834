//! The servers' side of a recorded conversation, brought to where the NAT put its clients.

use std::{collections::HashMap, net::Ipv4Addr};

/// Knows which external endpoint each client's flow got, and readdresses the recorded answers.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    external: HashMap<Flow, (Ipv4Addr, u16)>,
}

/// A client's flow: transport, its own end, the server's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Flow {
    protocol: u8,
    client: (Ipv4Addr, u16),
    server: (Ipv4Addr, u16),
}

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

impl Mirror {
    /// Notes a client's packet before and after translation.
    pub(super) fn learn(&mut self, before: &[u8], after: &[u8]) {
        if let (Some(flow), Some(translated)) = (Ends::of(before), Ends::of(after)) {
            self.external.insert(flow.outbound(), translated.source);
        }
    }

    /// A server's packet to a client, readdressed to the external endpoint of its flow; `None`
    /// where the client began no such flow.
    pub(super) fn answer(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let flow = Ends::of(packet)?.inbound();
        let &(address, port) = self.external.get(&flow)?;
        let mut packet = packet.to_vec();
        packet[16..20].copy_from_slice(&address.octets());
        let header = header_length(&packet)?;
        let at = if flow.protocol == ICMP { 4 } else { 2 };
        packet
            .get_mut(header + at..header + at + 2)?
            .copy_from_slice(&port.to_be_bytes());
        complete_checksums(&mut packet, header, flow.protocol)?;
        Some(packet)
    }
}

/// The address a packet is from.
pub(super) fn source(packet: &[u8]) -> Ipv4Addr {
    address(packet, 12).unwrap_or(Ipv4Addr::UNSPECIFIED)
}

/// Both ends of a packet. ICMP queries have their identifier for both ports.
struct Ends {
    protocol: u8,
    source: (Ipv4Addr, u16),
    destination: (Ipv4Addr, u16),
}

impl Ends {
    fn of(packet: &[u8]) -> Option<Self> {
        let header = header_length(packet)?;
        let protocol = *packet.get(9)?;
        let is_later_fragment = word(packet, 6)? & 0x1FFF != 0;
        if is_later_fragment {
            return None;
        }
        let (from, to) = match protocol {
            TCP | UDP => (word(packet, header)?, word(packet, header + 2)?),
            ICMP if matches!(packet.get(header)?, 0 | 8) => {
                (word(packet, header + 4)?, word(packet, header + 4)?)
            }
            _ => return None,
        };
        Some(Self {
            protocol,
            source: (address(packet, 12)?, from),
            destination: (address(packet, 16)?, to),
        })
    }

    /// The flow of a packet from the client. The server's end of a ping has no port of its own.
    fn outbound(&self) -> Flow {
        let server = (
            self.destination.0,
            if self.protocol == ICMP {
                0
            } else {
                self.destination.1
            },
        );
        Flow {
            protocol: self.protocol,
            client: self.source,
            server,
        }
    }

    /// The flow of a packet from the server.
    fn inbound(&self) -> Flow {
        let server = (
            self.source.0,
            if self.protocol == ICMP {
                0
            } else {
                self.source.1
            },
        );
        Flow {
            protocol: self.protocol,
            client: self.destination,
            server,
        }
    }
}

fn complete_checksums(packet: &mut [u8], header: usize, protocol: u8) -> Option<()> {
    packet.get_mut(10..12)?.fill(0);
    let sum = checksum(0, packet.get(..header)?);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let (at, pseudo) = match protocol {
        TCP => (16, true),
        UDP if word(packet, header + 6)? == 0 => return Some(()),
        UDP => (6, true),
        _ => (2, false),
    };
    packet.get_mut(header + at..header + at + 2)?.fill(0);
    let length = packet.len() - header;
    let start = if pseudo {
        let addresses = (12..20)
            .step_by(2)
            .filter_map(|at| word(packet, at))
            .map(u32::from);
        addresses.sum::<u32>() + u32::from(protocol) + u32::try_from(length).ok()?
    } else {
        0
    };
    let sum = checksum(start, packet.get(header..)?);
    let sum = if protocol == UDP && sum == 0 {
        0xFFFF
    } else {
        sum
    };
    packet
        .get_mut(header + at..header + at + 2)?
        .copy_from_slice(&sum.to_be_bytes());
    Some(())
}

/// RFC 1071, the plain way: an answer is readdressed once.
fn checksum(start: u32, bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low)));
    let mut sum = start + words.sum::<u32>();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

fn header_length(packet: &[u8]) -> Option<usize> {
    Some(usize::from(packet.first()? & 0x0F) * 4)
}

fn word(packet: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?))
}

fn address(packet: &[u8], at: usize) -> Option<Ipv4Addr> {
    Some(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?.into())
}
