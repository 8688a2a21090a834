//! Changing a packet in place: addresses, ports, identification, and the checksums over them.

use crate::{
    Offload,
    checksum::{Delta, checksum},
    header::{Content, Header, TCP, long, set_long, set_word, word},
};

/// One end of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Source,
    Destination,
}

/// Gives one end of a packet another address, and another port where it has ports. The checksums
/// are updated by difference, so that a packet that came broken goes on broken (RFC 1624; RFC
/// 3022 §4.2).
#[inline]
pub(crate) fn set_end(
    data: &mut [u8],
    header: &Header,
    end: End,
    address: u32,
    port: u16,
    offload: Offload,
) {
    let (address_at, old_address) = match end {
        End::Source => (12, header.source),
        End::Destination => (16, header.destination),
    };
    let delta = Delta::default().address(old_address, address);
    // Arrays instead of slices, so that no field needs a check of its own; `Header::parse` has
    // found all of them to be there.
    let Some((ip, transport)) = data.split_at_mut_checked(header.length) else {
        return;
    };
    let Some(ip) = ip.first_chunk_mut::<20>() else {
        return;
    };
    set_long(ip, address_at, address);
    let sum = delta.apply(word(ip, 10));
    set_word(ip, 10, sum);
    match header.content {
        Content::Tcp {
            source,
            destination,
            ..
        } => {
            let Some(tcp) = transport.first_chunk_mut::<20>() else {
                return;
            };
            let delta = set_port(tcp, end, source, destination, port, delta, offload);
            let sum = updated(word(tcp, 16), delta, offload);
            set_word(tcp, 16, sum);
        }
        Content::Udp {
            source,
            destination,
        } => {
            let Some(udp) = transport.first_chunk_mut::<8>() else {
                return;
            };
            let delta = set_port(udp, end, source, destination, port, delta, offload);
            // RFC 768: zero means that the sender computed none, and it stays so.
            if word(udp, 6) != 0 || offload != Offload::None {
                let sum = updated(word(udp, 6), delta, offload);
                // RFC 768: a computed zero is sent as all ones.
                let sum = if sum == 0 && offload == Offload::None {
                    0xFFFF
                } else {
                    sum
                };
                set_word(udp, 6, sum);
            }
        }
        // The ICMP checksum covers no addresses (RFC 792), only the identifier.
        Content::Query { identifier, .. } => {
            let Some(icmp) = transport.first_chunk_mut::<8>() else {
                return;
            };
            set_word(icmp, 4, port);
            let delta = Delta::default().word(identifier, port);
            let sum = delta.apply(word(icmp, 2));
            set_word(icmp, 2, sum);
        }
        Content::Error | Content::Nothing => {}
    }
}

/// As [`set_end`], for the first 40 bytes of a TCP segment whose IPv4 header has no options.
#[inline]
pub(crate) fn set_segment_end(
    head: &mut [u8; 40],
    end: End,
    address: u32,
    port: u16,
    offload: Offload,
) {
    let (address_at, port_at) = match end {
        End::Source => (12, 20),
        End::Destination => (16, 22),
    };
    let delta = Delta::default().address(long(head, address_at), address);
    let ip_sum = delta.apply(word(head, 10));
    let delta = match offload {
        Offload::None => delta.word(word(head, port_at), port),
        Offload::Checksum | Offload::Segments(_) => delta,
    };
    let tcp_sum = updated(word(head, 36), delta, offload);
    set_long(head, address_at, address);
    set_word(head, port_at, port);
    set_word(head, 10, ip_sum);
    set_word(head, 36, tcp_sum);
}

/// Sets the port of one end, and adds its change to that of the address: a field that holds only
/// the pseudo-header's sum has no port in it.
#[inline]
fn set_port(
    transport: &mut [u8],
    end: End,
    source: u16,
    destination: u16,
    port: u16,
    delta: Delta,
    offload: Offload,
) -> Delta {
    let (at, old) = match end {
        End::Source => (0, source),
        End::Destination => (2, destination),
    };
    set_word(transport, at, port);
    if offload == Offload::None {
        delta.word(old, port)
    } else {
        delta
    }
}

#[inline]
fn updated(field: u16, delta: Delta, offload: Offload) -> u16 {
    match offload {
        Offload::None => delta.apply(field),
        Offload::Checksum | Offload::Segments(_) => delta.apply_uncomplemented(field),
    }
}

/// The header of a packet after [`set_end`], for a second change of it.
pub(crate) fn after_set_end(header: Header, end: End, address: u32, port: u16) -> Header {
    let mut header = header;
    match end {
        End::Source => header.source = address,
        End::Destination => header.destination = address,
    }
    match (&mut header.content, end) {
        (Content::Tcp { source, .. } | Content::Udp { source, .. }, End::Source) => *source = port,
        (Content::Tcp { destination, .. } | Content::Udp { destination, .. }, End::Destination) => {
            *destination = port
        }
        (Content::Query { identifier, .. }, _) => *identifier = port,
        (Content::Error | Content::Nothing, _) => {}
    }
    header
}

/// Gives a packet another identification.
pub(crate) fn set_identification(data: &mut [u8], identification: u16) {
    let delta = Delta::default().word(word(data, 4), identification);
    set_word(data, 4, identification);
    set_word(data, 10, delta.apply(word(data, 10)));
}

/// Computes a checksum that was left to the device, for a packet that the device will not see as
/// it is: its field holds the pseudo-header's sum.
pub(crate) fn complete_checksum(data: &mut [u8], header: &Header) {
    let transport = &mut data[header.length..header.total];
    let sum = match checksum(transport) {
        // RFC 768: a computed zero is sent as all ones. TCP never minds.
        0 => 0xFFFF,
        sum => sum,
    };
    set_word(transport, checksum_at(header.protocol), sum);
}

/// Where the transport's checksum field lies, from the beginning of its header.
pub(crate) const fn checksum_at(protocol: u8) -> usize {
    if protocol == TCP { 16 } else { 6 }
}
