//! Which packet that went in is which that came out, by all that a NAT must leave alone.

use std::collections::{HashMap, VecDeque};

use portledger_model::Timestamp;

use super::{
    capture::Recorded,
    packet::{ICMP, Parts, TCP, UDP, checksum_at, is_query, quoted},
};

/// The end of a packet that a NAT changes: the source on the way out, the destination on the way
/// in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Source,
    Destination,
}

/// For each packet of `written` the place of its original in `recorded`; `None` for those that the
/// NAT made itself. Packets keep their times, and only fragments may be late, which waited for
/// their first.
pub fn pair(recorded: &[Recorded], written: &[Recorded], end: End) -> Vec<Option<usize>> {
    let mut now: HashMap<(Timestamp, Vec<u8>), VecDeque<usize>> = HashMap::new();
    let mut late: HashMap<Vec<u8>, VecDeque<usize>> = HashMap::new();
    for (place, packet) in recorded.iter().enumerate() {
        let kept = left_alone(&packet.bytes, end);
        if Parts::of(&packet.bytes).is_some_and(|parts| parts.fragment_offset > 0) {
            late.entry(kept).or_default().push_back(place);
        } else {
            now.entry((packet.at, kept)).or_default().push_back(place);
        }
    }
    let mut original = |packet: &Recorded| {
        let kept = left_alone(&packet.bytes, end);
        if let Some(places) = late.get_mut(&kept) {
            return places.pop_front();
        }
        now.get_mut(&(packet.at, kept))?.pop_front()
    };
    written.iter().map(&mut original).collect()
}

/// The packet with zeroes for all that a NAT may change.
fn left_alone(packet: &[u8], end: End) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let quote = quoted(&packet).map(|(at, _)| at);
    blank(&mut packet, end);
    if let Some(at) = quote {
        // What is quoted went the other way.
        let end = match end {
            End::Source => End::Destination,
            End::Destination => End::Source,
        };
        blank(&mut packet[at..], end);
    }
    packet
}

fn blank(packet: &mut [u8], end: End) {
    let Some(parts) = Parts::of(packet) else {
        return;
    };
    let (address_at, port_at) = match end {
        End::Source => (12, 0),
        End::Destination => (16, 2),
    };
    packet[address_at..address_at + 4].fill(0);
    // RFC 6864 §5.3.1: the identification of what may be fragmented is the NAT's to choose.
    let is_atomic = packet[6] & 0x40 != 0 && !parts.is_fragment();
    if end == End::Source && !is_atomic {
        packet[4..6].fill(0);
    }
    packet[10..12].fill(0);
    if parts.fragment_offset > 0 {
        return;
    }
    let Some(transport) = packet.get_mut(parts.header..) else {
        return;
    };
    let port_at = match parts.protocol {
        TCP | UDP => Some(port_at),
        ICMP if transport.first().is_some_and(|&kind| is_query(kind)) => Some(4),
        _ => None,
    };
    for at in [port_at, checksum_at(parts.protocol)].into_iter().flatten() {
        if let Some(word) = transport.get_mut(at..at + 2) {
            word.fill(0);
        }
    }
}
