//! The engine behind a driver, whatever its mode: one way in, one way out.

use std::{array, net::Ipv4Addr};

use portledger_model::{Block, Event, Timestamp};
use portledger_nat::{
    Aftr, Counters, EventNumber, Nat, Output, Packet, Past, RealmIndex, Side, Size, Slot,
};

/// An engine, by its mode.
///
/// ```text
///   nat44   inside IPv4                      packets keep their length and whatever a network
///                                            card is to do to them
///   aftr    inside IPv4 in IPv6 (RFC 6333)   packets change their length: they need room before
///                                            them, and come as they would be on a wire
/// ```
#[derive(Debug)]
pub enum Engine {
    /// NAT44.
    Nat44(Box<Nat>),
    /// The AFTR of DS-Lite.
    Aftr(Box<Aftr>),
}

/// The same call on whichever engine it is.
macro_rules! each {
    ($engine:expr, $nat:ident => $call:expr) => {
        match $engine {
            Engine::Nat44($nat) => $call,
            Engine::Aftr($nat) => $call,
        }
    };
}

impl Engine {
    /// Whether packets may come with their checksum or their segmentation left undone (virtio 1.2
    /// §5.1.6). Where a packet changes its family or is wrapped, they may not yet.
    pub const fn takes_offload(&self) -> bool {
        matches!(self, Self::Nat44(_))
    }

    /// The side and the realm that a packet comes from, by its addresses: for a driver whose sides
    /// share one device. `None` where it is neither side's.
    pub fn origin(&self, packet: &[u8]) -> Option<(Side, RealmIndex)> {
        match self {
            Self::Nat44(nat) => {
                let source = packet.get(12..16)?.first_chunk::<4>()?;
                let destination = packet.get(16..20)?.first_chunk::<4>()?;
                nat.origin(Ipv4Addr::from(*source), Ipv4Addr::from(*destination))
            }
            Self::Aftr(nat) => nat.origin(packet),
        }
    }

    /// Begins at `now` with what is known of the time before: see [`Nat::start`].
    pub fn start(&mut self, now: Timestamp, past: Past, output: &mut Output) {
        each!(self, nat => nat.start(now, past, output));
    }

    /// Translates the packets in `slots`, which came from one side, and sets their verdicts.
    pub fn batch(
        &mut self,
        now: Timestamp,
        from: Side,
        slots: &mut [Slot<'_>],
        output: &mut Output,
    ) {
        match self {
            Self::Nat44(nat) => in_place(nat, now, from, slots, output),
            Self::Aftr(nat) => nat.batch(now, from, slots, output),
        }
    }

    /// Lets time pass: ends what has timed out.
    pub fn advance(&mut self, now: Timestamp, output: &mut Output) {
        each!(self, nat => nat.advance(now, output));
    }

    /// Notes that the first `events` events are durable.
    pub fn durable(&mut self, events: EventNumber) {
        each!(self, nat => nat.durable(events));
    }

    /// Appends an event of the driver's own.
    pub fn tell(&mut self, at: Timestamp, event: Event, output: &mut Output) -> EventNumber {
        each!(self, nat => nat.tell(at, event, output))
    }

    /// What is held, for interim records.
    pub fn held_blocks(&self) -> Vec<(Block, Timestamp)> {
        each!(self, nat => nat.held_blocks().collect())
    }

    /// What has been done so far.
    pub fn counters(&self) -> &Counters {
        each!(self, nat => nat.counters())
    }

    /// What is held now.
    pub fn size(&mut self) -> Size {
        each!(self, nat => nat.size())
    }
}

impl From<Nat> for Engine {
    fn from(nat: Nat) -> Self {
        Self::Nat44(Box::new(nat))
    }
}

impl From<Aftr> for Engine {
    fn from(nat: Aftr) -> Self {
        Self::Aftr(Box::new(nat))
    }
}

/// Packets at once: two of the engine's stages, and what a driver reads at once.
const RUN: usize = 64;

/// NAT44 knows nothing of the room around a packet.
fn in_place(
    nat: &mut Nat,
    now: Timestamp,
    from: Side,
    slots: &mut [Slot<'_>],
    output: &mut Output,
) {
    for slots in slots.chunks_mut(RUN) {
        let count = slots.len();
        let mut packets: [Packet<'_>; RUN] = array::from_fn(|_| Packet::new(&mut []));
        for (packet, slot) in packets.iter_mut().zip(slots.iter_mut()) {
            *packet = Packet {
                data: slot.buffer.get_mut(slot.packet.clone()).unwrap_or_default(),
                realm: slot.realm,
                offload: slot.offload,
                verdict: slot.verdict,
            };
        }
        nat.batch(now, from, &mut packets[..count], output);
        let verdicts = packets.map(|packet| packet.verdict);
        for (slot, verdict) in slots.iter_mut().zip(verdicts) {
            slot.verdict = verdict;
        }
    }
}
