//! A packet with room around it: between IPv4 and IPv6 a packet changes its length.

use std::ops::Range;

use portledger_ports::RealmIndex;

use crate::{DropReason, Offload, Verdict};

/// Bytes that a driver leaves free before a packet: an IPv6 header to go around an IPv4 packet
/// (RFC 2473), with a Fragment header (RFC 8200 §4.5). IPv4 becomes IPv6 in fewer.
pub const HEADROOM: usize = 48;

/// One IPv4 or IPv6 packet in a driver's buffer, translated or wrapped in place.
#[derive(Debug)]
pub struct Slot<'a> {
    /// The buffer, with [`HEADROOM`] bytes before the packet where it may grow.
    pub buffer: &'a mut [u8],
    /// Where in the buffer the packet is: set by the driver, and moved by the engine. Bytes of it
    /// after the length that its header gives are left alone.
    pub packet: Range<usize>,
    /// The realm it came from; matters from the inside only.
    pub realm: RealmIndex,
    /// What the device has left undone.
    pub offload: Offload,
    /// What became of it: set by the engine.
    pub verdict: Verdict,
}

impl<'a> Slot<'a> {
    /// The packet at `packet` in `buffer`, of the first realm, with nothing left undone.
    pub const fn new(buffer: &'a mut [u8], packet: Range<usize>) -> Self {
        Self {
            buffer,
            packet,
            realm: RealmIndex(0),
            offload: Offload::None,
            verdict: Verdict::Drop(DropReason::NotSeen),
        }
    }

    /// The packet; nothing where the driver's range is none of the buffer's.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.packet.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_outside_the_buffer_is_an_empty_packet() {
        let mut buffer = [7; 60];
        assert_eq!(Slot::new(&mut buffer, 48..60).bytes(), [7; 12]);
        assert!(Slot::new(&mut buffer, 48..61).bytes().is_empty());
    }
}
