//! What a packet is, read once.

use portledger_model::Transport;

use crate::{
    DropReason,
    checksum::{checksum, is_right},
};

/// What the engine needs to know of an IPv4 packet. Made by [`Header::parse`], which checks that
/// every field it names lies inside the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) source: u32,
    pub(crate) destination: u32,
    /// The length of the IPv4 header, options included: 20 to 60.
    pub(crate) length: usize,
    /// The length of the packet by its header.
    pub(crate) total: usize,
    pub(crate) identification: u16,
    pub(crate) protocol: u8,
    pub(crate) fragment: Fragment,
    pub(crate) dont_fragment: bool,
    pub(crate) content: Content,
}

/// Which part of a datagram a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragment {
    /// All of it.
    Whole,
    /// The first of several.
    First,
    /// One of those that follow.
    Later,
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Tcp {
        source: u16,
        destination: u16,
        flags: TcpFlags,
    },
    Udp {
        source: u16,
        destination: u16,
    },
    /// An ICMP query or the reply to one, with its identifier (RFC 5508 §2).
    Query {
        identifier: u16,
        request: bool,
    },
    /// An ICMP error about another packet.
    Error,
    /// A later fragment: its ports were in the first.
    Nothing,
}

/// The flags of TCP that its state depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TcpFlags(pub(crate) u8);

impl TcpFlags {
    pub(crate) const fn fin(self) -> bool {
        self.0 & 0x01 != 0
    }
    pub(crate) const fn syn(self) -> bool {
        self.0 & 0x02 != 0
    }
    pub(crate) const fn rst(self) -> bool {
        self.0 & 0x04 != 0
    }
    pub(crate) const fn ack(self) -> bool {
        self.0 & 0x10 != 0
    }
    /// Neither opens, closes nor resets anything.
    pub(crate) const fn is_plain(self) -> bool {
        self.0 & 0x07 == 0
    }
}

/// The ends of a packet, read without a check: enough to bring near what its look-up will need.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    pub(crate) source: u32,
    pub(crate) destination: u32,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) transport: Transport,
}

impl Ends {
    /// The ends of a packet without IPv4 options; identifiers are ports at both ends.
    #[inline]
    pub(crate) fn peek(data: &[u8]) -> Option<Self> {
        let head = data.first_chunk::<28>()?;
        if head[0] != 0x45 {
            return None;
        }
        let (transport, source_at, destination_at) = match head[9] {
            TCP => (Transport::Tcp, 20, 22),
            UDP => (Transport::Udp, 20, 22),
            ICMP => (Transport::Icmp, 24, 24),
            _ => return None,
        };
        Some(Self {
            source: long(head, 12),
            destination: long(head, 16),
            source_port: word(head, source_at),
            destination_port: word(head, destination_at),
            transport,
        })
    }
}

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

impl Header {
    /// Reads the packet at the beginning of `data`.
    pub(crate) fn parse(data: &[u8]) -> Result<Self, DropReason> {
        let Some(fixed) = data.first_chunk::<20>() else {
            return Err(DropReason::Truncated);
        };
        if fixed[0] >> 4 != 4 {
            return Err(DropReason::NotIpv4);
        }
        let length = usize::from(fixed[0] & 0x0F) * 4;
        let total = usize::from(word(fixed, 2));
        if length < 20 || total < length {
            return Err(DropReason::Malformed);
        }
        if total > data.len() {
            return Err(DropReason::Truncated);
        }
        // RFC 1812 §5.2.2: a bad header checksum ends a packet here.
        let is_right = match length {
            20 => is_right(fixed),
            length => checksum(&data[..length]) == 0,
        };
        if !is_right {
            return Err(DropReason::HeaderChecksum);
        }
        let fragmentation = word(fixed, 6);
        let fragment = match (fragmentation & 0x1FFF, fragmentation & 0x2000 != 0) {
            (0, false) => Fragment::Whole,
            (0, true) => Fragment::First,
            _ => Fragment::Later,
        };
        let protocol = fixed[9];
        let offset = usize::from(fragmentation & 0x1FFF) * 8;
        // RFC 791 §3.2: no datagram is longer than its length field can say. RFC 3128: a fragment
        // at offset 8 would overwrite the flags that the first one showed.
        if offset + total > 65_535 || (protocol == TCP && offset == 8) {
            return Err(DropReason::Malformed);
        }
        let content = content(protocol, fragment, &data[length..total])?;
        Ok(Self {
            source: long(fixed, 12),
            destination: long(fixed, 16),
            length,
            total,
            identification: word(fixed, 4),
            protocol,
            fragment,
            dont_fragment: fragmentation & 0x4000 != 0,
            content,
        })
    }

    /// RFC 6864 §4: a datagram that neither is nor can be fragmented; its identification means
    /// nothing.
    pub(crate) const fn is_atomic(&self) -> bool {
        self.dont_fragment && matches!(self.fragment, Fragment::Whole)
    }
}

fn content(protocol: u8, fragment: Fragment, payload: &[u8]) -> Result<Content, DropReason> {
    if fragment == Fragment::Later {
        return match protocol {
            TCP | UDP | ICMP => Ok(Content::Nothing),
            _ => Err(DropReason::Protocol),
        };
    }
    match protocol {
        TCP => {
            // RFC 1858 §3: a first fragment that ends before the flags hides them.
            let Some(tcp) = payload.first_chunk::<20>() else {
                return Err(DropReason::Malformed);
            };
            if usize::from(tcp[12] >> 4) * 4 < 20 {
                return Err(DropReason::Malformed);
            }
            let (source, destination) = (word(tcp, 0), word(tcp, 2));
            ports_exist(source, destination)?;
            Ok(Content::Tcp {
                source,
                destination,
                flags: TcpFlags(tcp[13]),
            })
        }
        UDP => {
            let Some(udp) = payload.first_chunk::<8>() else {
                return Err(DropReason::Malformed);
            };
            let length = usize::from(word(udp, 4));
            if length < 8 || (fragment == Fragment::Whole && length > payload.len()) {
                return Err(DropReason::Malformed);
            }
            let (source, destination) = (word(udp, 0), word(udp, 2));
            ports_exist(source, destination)?;
            Ok(Content::Udp {
                source,
                destination,
            })
        }
        ICMP => {
            let Some(icmp) = payload.first_chunk::<8>() else {
                return Err(DropReason::Malformed);
            };
            let identifier = word(icmp, 4);
            match icmp[0] {
                // Echo, timestamp, information and address mask, and their replies (RFC 5508 §2).
                8 | 13 | 15 | 17 => Ok(Content::Query {
                    identifier,
                    request: true,
                }),
                0 | 14 | 16 | 18 => Ok(Content::Query {
                    identifier,
                    request: false,
                }),
                // Destination unreachable, time exceeded, parameter problem.
                3 | 11 | 12 if fragment == Fragment::Whole => Ok(Content::Error),
                3 | 11 | 12 => Err(DropReason::Malformed),
                // RFC 5508 REQ-11: all other messages may be dropped.
                _ => Err(DropReason::IcmpType),
            }
        }
        _ => Err(DropReason::Protocol),
    }
}

/// No host sends from port 0 or to it, and no NAT could answer it.
const fn ports_exist(source: u16, destination: u16) -> Result<(), DropReason> {
    if source == 0 || destination == 0 {
        Err(DropReason::PortZero)
    } else {
        Ok(())
    }
}

/// The 16-bit word at `at`.
#[inline]
pub(crate) fn word(bytes: &[u8], at: usize) -> u16 {
    match bytes.get(at..at + 2) {
        Some(&[high, low]) => u16::from_be_bytes([high, low]),
        _ => 0,
    }
}

/// The 32-bit word at `at`.
#[inline]
pub(crate) fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from(word(bytes, at)) << 16 | u32::from(word(bytes, at + 2))
}

/// Writes the 16-bit word at `at`, where that lies inside.
#[inline]
pub(crate) fn set_word(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

/// Writes the 32-bit word at `at`, where that lies inside.
#[inline]
pub(crate) fn set_long(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}
