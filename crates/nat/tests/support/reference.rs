//! The plain way to compute what the engine computes by difference, and what may change.

use portledger_nat::Side;

/// RFC 1071 word by word, without any of the engine's tricks.
pub fn sum(bytes: &[u8]) -> u16 {
    let mut total = 0_u32;
    for pair in bytes.chunks(2) {
        total += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        total = (total & 0xFFFF) + (total >> 16);
    }
    u16::try_from(total).unwrap()
}

pub fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub fn set_word(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

pub fn header_length(packet: &[u8]) -> usize {
    usize::from(packet[0] & 15) * 4
}

/// The packet without what lies behind it in its buffer.
pub fn trimmed(packet: &[u8]) -> &[u8] {
    &packet[..usize::from(word(packet, 2))]
}

pub fn is_fragment(packet: &[u8]) -> bool {
    word(packet, 6) & 0x3FFF != 0
}

pub fn is_later_fragment(packet: &[u8]) -> bool {
    word(packet, 6) & 0x1FFF != 0
}

/// Where the transport's checksum lies in the packet, if it has one.
pub fn checksum_at(packet: &[u8]) -> Option<usize> {
    match packet[9] {
        6 => Some(header_length(packet) + 16),
        17 => Some(header_length(packet) + 6),
        1 => Some(header_length(packet) + 2),
        _ => None,
    }
}

/// The sum of the pseudo-header, not complemented: what a device leaves in a partial checksum.
pub fn pseudo_header_sum(packet: &[u8]) -> u16 {
    let length = u16::try_from(trimmed(packet).len() - header_length(packet)).unwrap();
    let mut pseudo = packet[12..20].to_vec();
    pseudo.extend([0, packet[9]]);
    pseudo.extend(length.to_be_bytes());
    sum(&pseudo)
}

pub fn header_checksum_is_right(packet: &[u8]) -> bool {
    sum(&packet[..header_length(packet)]) == 0xFFFF
}

/// Whether the transport's checksum is right; `None` where nobody can say (a fragment, or UDP
/// without one).
pub fn transport_checksum_is_right(packet: &[u8]) -> Option<bool> {
    let packet = trimmed(packet);
    if is_fragment(packet) {
        return None;
    }
    let transport = &packet[header_length(packet)..];
    match packet[9] {
        1 => Some(sum(transport) == 0xFFFF),
        17 if word(transport, 6) == 0 => None,
        6 | 17 => {
            let mut all = packet[12..20].to_vec();
            all.extend([0, packet[9]]);
            all.extend(u16::try_from(transport.len()).unwrap().to_be_bytes());
            all.extend(transport);
            Some(sum(&all) == 0xFFFF)
        }
        _ => None,
    }
}

pub fn is_icmp_error(packet: &[u8]) -> bool {
    packet[9] == 1
        && !is_later_fragment(packet)
        && matches!(packet[header_length(packet)], 3 | 11 | 12)
}

/// The fields that a translation between these sides may change, set to zero: what is left must
/// be the same before and after.
pub fn without_what_may_change(packet: &[u8], from: Side, to: Side) -> Vec<u8> {
    let mut left = trimmed(packet).to_vec();
    let at = header_length(&left);
    let (source, destination) = (from == Side::Inside, to == Side::Inside);
    left[10..12].fill(0);
    if source {
        left[12..16].fill(0);
        // RFC 6864 §5.3.1: only where it means something.
        if word(&left, 6) & 0x4000 == 0 || is_fragment(&left) {
            left[4..6].fill(0);
        }
    }
    if destination {
        left[16..20].fill(0);
    }
    if is_later_fragment(&left) {
        return left;
    }
    if is_icmp_error(&left) {
        left[at + 2..at + 4].fill(0);
        let inner = at + 8;
        let inner_length = header_length(&left[inner..]);
        left[inner + 10..inner + 20].fill(0);
        let transport = inner + inner_length;
        match left[inner + 9] {
            1 => {
                left[transport + 2..transport + 6].fill(0);
            }
            protocol => {
                left[transport..transport + 4].fill(0);
                let sum_at = transport + if protocol == 6 { 16 } else { 6 };
                if left.len() >= sum_at + 2 {
                    left[sum_at..sum_at + 2].fill(0);
                }
            }
        }
        return left;
    }
    match left[9] {
        1 => left[at + 2..at + 6].fill(0),
        protocol => {
            if source {
                left[at..at + 2].fill(0);
            }
            if destination {
                left[at + 2..at + 4].fill(0);
            }
            let sum_at = at + if protocol == 6 { 16 } else { 6 };
            left[sum_at..sum_at + 2].fill(0);
        }
    }
    left
}
