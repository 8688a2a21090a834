//! Packets that wait until their block's event is durable.

use std::collections::VecDeque;

use portledger_nat::EventNumber;

use crate::tun::VirtioHeader;

/// Packets in the order of the events they wait for, bounded.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    packets: VecDeque<(EventNumber, VirtioHeader, Vec<u8>)>,
    bytes: usize,
}

/// A block's first packets are SYNs and queries: this is room for tens of thousands.
const MOST_BYTES: usize = 8 << 20;

impl Waiting {
    /// Lets a packet wait. `false` where too many do.
    pub(super) fn push(&mut self, after: EventNumber, header: VirtioHeader, packet: &[u8]) -> bool {
        if self.bytes + packet.len() > MOST_BYTES {
            return false;
        }
        self.bytes += packet.len();
        let place = self.packets.partition_point(|&(other, ..)| other <= after);
        self.packets.insert(place, (after, header, packet.to_vec()));
        true
    }

    /// The next packet that need wait no more.
    pub(super) fn pop(&mut self, durable: EventNumber) -> Option<(VirtioHeader, Vec<u8>)> {
        if self.packets.front()?.0 > durable {
            return None;
        }
        let (_, header, packet) = self.packets.pop_front()?;
        self.bytes -= packet.len();
        Some((header, packet))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_out_when_their_event_is_durable_and_not_before() {
        let mut waiting = Waiting::default();
        let header = VirtioHeader::default();
        for (after, byte) in [(5, 1), (7, 2), (5, 3)] {
            assert!(waiting.push(EventNumber(after), header, &[byte]));
        }
        assert_eq!(waiting.pop(EventNumber(4)), None);
        let mut out = |durable| {
            std::iter::from_fn(|| waiting.pop(EventNumber(durable)))
                .map(|(_, packet)| packet[0])
                .collect::<Vec<_>>()
        };
        assert_eq!(out(6), [1, 3]);
        assert_eq!(out(7), [2]);
    }

    #[test]
    fn too_many_are_refused() {
        let mut waiting = Waiting::default();
        let packet = vec![0; MOST_BYTES / 2];
        let mut push = || waiting.push(EventNumber(1), VirtioHeader::default(), &packet);
        assert!(push() && push() && !push());
    }
}
