//! Changing a packet in place: addresses, ports, identification, and the checksums over them.

use crate::{
    Offload,
    checksum::{Delta, checksum},
    header::{Content, Header, TCP, set_long, set_word, word},
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
pub(crate) fn set_end(
    data: &mut [u8],
    header: &Header,
    end: End,
    address: u32,
    port: u16,
    offload: Offload,
) {
    let (address_at, old_address, port_at) = match end {
        End::Source => (12, header.source, 0),
        End::Destination => (16, header.destination, 2),
    };
    let delta = Delta::default().address(old_address, address);
    set_long(data, address_at, address);
    set_word(data, 10, delta.apply(word(data, 10)));

    let transport = &mut data[header.length..header.total];
    match header.content {
        Content::Tcp { .. } => {
            let old_port = word(transport, port_at);
            set_word(transport, port_at, port);
            update(transport, 16, delta, old_port, port, offload);
        }
        Content::Udp { .. } => {
            let old_port = word(transport, port_at);
            set_word(transport, port_at, port);
            // RFC 768: zero means that the sender computed none, and it stays so.
            if word(transport, 6) != 0 || offload != Offload::None {
                update(transport, 6, delta, old_port, port, offload);
                // RFC 768: a computed zero is sent as all ones.
                if word(transport, 6) == 0 && offload == Offload::None {
                    set_word(transport, 6, 0xFFFF);
                }
            }
        }
        // The ICMP checksum covers no addresses (RFC 792), only the identifier.
        Content::Query { identifier, .. } => {
            set_word(transport, 4, port);
            let delta = Delta::default().word(identifier, port);
            set_word(transport, 2, delta.apply(word(transport, 2)));
        }
        Content::Error | Content::Nothing => {}
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

fn update(
    transport: &mut [u8],
    at: usize,
    address: Delta,
    old_port: u16,
    port: u16,
    offload: Offload,
) {
    let field = word(transport, at);
    let updated = match offload {
        Offload::None => address.word(old_port, port).apply(field),
        // The field holds the pseudo-header's sum: the port is not in it.
        Offload::Checksum | Offload::Segments(_) => address.apply_uncomplemented(field),
    };
    set_word(transport, at, updated);
}

/// Where the transport's checksum field lies, from the beginning of its header.
pub(crate) const fn checksum_at(protocol: u8) -> usize {
    if protocol == TCP { 16 } else { 6 }
}
