//! Packets on their way through the engine, and what becomes of them.

use portledger_ports::{EventNumber, RealmIndex, Told};

use crate::DropReason;

/// The side of the NAT that a packet comes from or goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The subscribers'.
    Inside,
    /// The Internet's.
    Outside,
}

/// One IPv4 packet in the driver's buffer, translated in place.
#[derive(Debug)]
pub struct Packet<'a> {
    /// The packet from the first byte of its IPv4 header on. Bytes after its total length are
    /// left alone.
    pub data: &'a mut [u8],
    /// The realm it came from; matters from the inside only.
    pub realm: RealmIndex,
    /// What the device has left undone.
    pub offload: Offload,
    /// What became of it: set by the engine.
    pub verdict: Verdict,
}

impl<'a> Packet<'a> {
    /// A packet of the first realm with nothing left undone.
    pub const fn new(data: &'a mut [u8]) -> Self {
        Self {
            data,
            realm: RealmIndex(0),
            offload: Offload::None,
            verdict: Verdict::Drop(DropReason::NotSeen),
        }
    }
}

/// What a device has left for the next one to do to a packet (virtio 1.2 §5.1.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Offload {
    /// Nothing: the packet is as it would be on a wire.
    #[default]
    None,
    /// The TCP or UDP checksum field holds only the sum of the pseudo-header, not complemented.
    Checksum,
    /// As `Checksum`, and the packet is to be cut into segments with this many bytes of payload.
    Segments(u16),
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send it on, translated.
    Forward {
        /// To this side.
        to: Side,
        /// In this realm, where that is the inside.
        realm: RealmIndex,
        /// Not before this event is durable, where the operator wants log before use.
        after: EventNumber,
    },
    /// The engine keeps its content: a fragment that came before its first, or a packet that was
    /// replaced by others in [`Output::packets`].
    Kept,
    /// Drop it.
    Drop(DropReason),
}

/// What the engine has to say besides verdicts. Drained by the driver after each call.
#[derive(Debug, Default)]
pub struct Output {
    /// Packets of the engine's own: ICMP errors, fragments it had kept or made.
    pub packets: Vec<Emitted>,
    /// Events for the ledger, in order.
    pub events: Vec<Told>,
}

/// A packet of the engine's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emitted {
    /// The packet, checksums complete.
    pub data: Vec<u8>,
    /// Where it goes.
    pub to: Side,
    /// In this realm, where that is the inside.
    pub realm: RealmIndex,
    /// Not before this event is durable.
    pub after: EventNumber,
}
