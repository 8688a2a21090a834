//! ICMP errors: translating those of others, and making our own.

use std::net::Ipv4Addr;

use portledger_model::Transport;

use crate::{
    DropReason,
    checksum::{Delta, checksum},
    header::{ICMP, TCP, UDP, long, set_long, set_word, word},
    rewrite::{End, checksum_at},
};

/// The packet that an ICMP error quotes, as far as it is quoted (RFC 792: the header and at least
/// eight bytes more).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quoted {
    pub(crate) source: u32,
    pub(crate) destination: u32,
    pub(crate) transport: Transport,
    /// The identifier, for a query.
    pub(crate) source_port: u16,
    /// The identifier, for a query.
    pub(crate) destination_port: u16,
    pub(crate) header_length: usize,
}

/// The length of the ICMP header before the quoted packet.
const ICMP_HEADER: usize = 8;

/// Reads what an ICMP message quotes, once its checksums are right (RFC 5508 REQ-3: of the
/// message, of the quoted IP header, but not of the quoted transport; options of the quoted
/// header are skipped).
pub(crate) fn quoted(icmp: &[u8]) -> Result<Quoted, DropReason> {
    if checksum(icmp) != 0 {
        return Err(DropReason::IcmpChecksum);
    }
    let inner = icmp.get(ICMP_HEADER..).unwrap_or_default();
    let Some(fixed) = inner.first_chunk::<20>() else {
        return Err(DropReason::Malformed);
    };
    let header_length = usize::from(fixed[0] & 0x0F) * 4;
    if fixed[0] >> 4 != 4 || header_length < 20 || inner.len() < header_length + 8 {
        return Err(DropReason::Malformed);
    }
    if checksum(&inner[..header_length]) != 0 {
        return Err(DropReason::IcmpChecksum);
    }
    // A quoted later fragment names no ports.
    if word(fixed, 6) & 0x1FFF != 0 {
        return Err(DropReason::Malformed);
    }
    let payload = &inner[header_length..];
    let (transport, source_port, destination_port) = match fixed[9] {
        TCP => (Transport::Tcp, word(payload, 0), word(payload, 2)),
        UDP => (Transport::Udp, word(payload, 0), word(payload, 2)),
        ICMP if is_query(payload[0]) => (Transport::Icmp, word(payload, 4), word(payload, 4)),
        // An error about an error is never sent (RFC 1122 §3.2.2), so this is none.
        ICMP => return Err(DropReason::Malformed),
        _ => return Err(DropReason::Protocol),
    };
    Ok(Quoted {
        source: long(fixed, 12),
        destination: long(fixed, 16),
        transport,
        source_port,
        destination_port,
        header_length,
    })
}

/// Echo, timestamp, information, address mask, and their replies (RFC 5508 §2).
pub(crate) const fn is_query(kind: u8) -> bool {
    matches!(kind, 0 | 8 | 13..=18)
}

/// Gives one end of the quoted packet another address and port (RFC 5508 REQ-4, REQ-5). The
/// message's own checksum is left to [`finish`].
pub(crate) fn set_quoted_end(icmp: &mut [u8], quoted: &Quoted, end: End, address: u32, port: u16) {
    let inner = &mut icmp[ICMP_HEADER..];
    let (address_at, old_address, port_at) = match end {
        End::Source => (12, quoted.source, 0),
        End::Destination => (16, quoted.destination, 2),
    };
    let delta = Delta::default().address(old_address, address);
    set_long(inner, address_at, address);
    set_word(inner, 10, delta.apply(word(inner, 10)));
    let payload = &mut inner[quoted.header_length..];
    if quoted.transport == Transport::Icmp {
        let delta = Delta::default().word(word(payload, 4), port);
        set_word(payload, 4, port);
        set_word(payload, 2, delta.apply(word(payload, 2)));
        return;
    }
    let delta = delta.word(word(payload, port_at), port);
    set_word(payload, port_at, port);
    let at = checksum_at(quoted.transport.protocol_number());
    let is_quoted = payload.len() >= at + 2;
    let was_computed = quoted.transport == Transport::Tcp || word(payload, at) != 0;
    if is_quoted && was_computed {
        set_word(payload, at, delta.apply(word(payload, at)));
    }
}

/// Computes a message's checksum anew.
pub(crate) fn finish(icmp: &mut [u8]) {
    set_word(icmp, 2, 0);
    let sum = checksum(icmp);
    set_word(icmp, 2, sum);
}

/// An ICMP error that the engine has to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Error {
    /// Type 3, code 1.
    HostUnreachable,
    /// Type 3, code 13.
    AdministrativelyProhibited,
    /// Type 3, code 2.
    ProtocolUnreachable,
    /// Type 3, code 3.
    PortUnreachable,
    /// Type 3, code 4, with the largest packet that would fit.
    TooBig(u16),
    /// Type 3, code 5.
    SourceRouteFailed,
    /// Type 11, code 0.
    HopsExceeded,
}

/// RFC 1812 §4.3.2.3: as much of the packet as fits into 576 bytes.
const MOST_QUOTED: usize = 576 - 20 - ICMP_HEADER;

/// An ICMP error from `source` to whoever sent `about`, quoting it.
pub(crate) fn error(source: Ipv4Addr, error: Error, about: &[u8]) -> Vec<u8> {
    let (kind, code, mtu) = match error {
        Error::HostUnreachable => (3, 1, 0),
        Error::ProtocolUnreachable => (3, 2, 0),
        Error::PortUnreachable => (3, 3, 0),
        Error::TooBig(mtu) => (3, 4, mtu),
        Error::SourceRouteFailed => (3, 5, 0),
        Error::AdministrativelyProhibited => (3, 13, 0),
        Error::HopsExceeded => (11, 0, 0),
    };
    let total = usize::from(word(about, 2)).min(about.len());
    let quoted = &about[..total.min(MOST_QUOTED)];
    let length = u16::try_from(20 + ICMP_HEADER + quoted.len()).unwrap_or(u16::MAX);
    let mut packet = vec![0; 20 + ICMP_HEADER];
    packet[0] = 0x45;
    // RFC 1812 §4.3.2.5: errors are sent with precedence 6, internetwork control.
    packet[1] = 0xC0;
    set_word(&mut packet, 2, length);
    set_word(&mut packet, 6, 0x4000);
    packet[8] = 64;
    packet[9] = ICMP;
    set_long(&mut packet, 12, source.to_bits());
    set_long(&mut packet, 16, long(about, 12));
    packet[20] = kind;
    packet[21] = code;
    set_word(&mut packet, 26, mtu);
    packet.extend_from_slice(quoted);
    let sum = checksum(&packet[..20]);
    set_word(&mut packet, 10, sum);
    finish(&mut packet[20..]);
    packet
}
