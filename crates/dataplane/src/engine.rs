//! The engine behind a driver, whatever its mode: one way in, one way out.

use std::net::Ipv4Addr;

use portledger_model::{Block, Event, Timestamp};
use portledger_nat::{
    Aftr, Counters, EventNumber, Nat, Nat64, Output, Packet, Past, RealmIndex, Relay, Side, Size,
    Slot, Told, Verdict, is_translated_whole,
};

/// An engine, by its mode.
///
/// ```text
///   nat44   inside IPv4                      packets keep their length and whatever a network
///                                            card is to do to them
///   nat64   inside IPv6 (RFC 6146)           packets change their length: they need room before
///   aftr    inside IPv4 in IPv6 (RFC 6333)   them, and what a card is to do may be another thing
///   relay   MAP-E, MAP-T, lw4o6              the same; nothing is held, so nothing is told but
///                                            what the driver tells
/// ```
#[derive(Debug)]
pub enum Engine {
    /// NAT44.
    Nat44(Box<Nat>),
    /// Stateful NAT64.
    Nat64(Box<Nat64>),
    /// The AFTR of DS-Lite.
    Aftr(Box<Aftr>),
    /// A border relay without sessions.
    Relay(Box<Carrying>),
}

/// Which packets that are to be cut into segments (virtio 1.2 §5.1.6.2) an engine takes whole, so
/// that the device cuts what becomes of them. The others are to be cut before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// All.
    All,
    /// Those whose segments must not be cut any further.
    Translated,
    /// Those that come out of a softwire: no device cuts what is wrapped.
    Unwrapped,
}

impl Whole {
    /// Whether a packet is taken whole that is to be cut into segments of `size` bytes.
    pub fn takes(self, packet: &[u8], size: u16) -> bool {
        match self {
            Self::All => true,
            Self::Translated => is_translated_whole(packet, size),
            Self::Unwrapped => packet.first().is_none_or(|first| first >> 4 != 4),
        }
    }
}

/// A border relay, and the events that its driver has told.
#[derive(Debug)]
pub struct Carrying {
    relay: Relay,
    told: EventNumber,
    /// The last event that a packet waits for: that a rule began.
    after: EventNumber,
}

/// The same call on whichever engine it is, and another on a relay.
macro_rules! each {
    ($engine:expr, $nat:ident => $call:expr, $relay:pat => $otherwise:expr) => {
        match $engine {
            Engine::Nat44($nat) => $call,
            Engine::Nat64($nat) => $call,
            Engine::Aftr($nat) => $call,
            Engine::Relay($relay) => $otherwise,
        }
    };
}

impl Engine {
    /// Which packets it takes whole.
    pub const fn whole(&self) -> Whole {
        match self {
            Self::Nat44(_) => Whole::All,
            Self::Nat64(_) => Whole::Translated,
            Self::Aftr(_) => Whole::Unwrapped,
            Self::Relay(carrying) if carrying.relay.is_translating() => Whole::Translated,
            Self::Relay(_) => Whole::Unwrapped,
        }
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
            Self::Nat64(nat) => nat.origin(packet),
            Self::Aftr(nat) => nat.origin(packet),
            Self::Relay(carrying) => carrying.origin(packet),
        }
    }

    /// Begins at `now` with what is known of the time before: see [`Nat::start`].
    pub fn start(&mut self, now: Timestamp, past: Past, output: &mut Output) {
        each!(self, nat => nat.start(now, past, output), _ => {});
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
            Self::Nat64(nat) => nat.batch(now, from, slots, output),
            Self::Aftr(nat) => nat.batch(now, from, slots, output),
            Self::Relay(carrying) => carrying.batch(now, from, slots, output),
        }
    }

    /// Lets time pass: ends what has timed out.
    pub fn advance(&mut self, now: Timestamp, output: &mut Output) {
        each!(self, nat => nat.advance(now, output), carrying => carrying.relay.advance(now));
    }

    /// Notes that the first `events` events are durable.
    pub fn durable(&mut self, events: EventNumber) {
        each!(self, nat => nat.durable(events), _ => {});
    }

    /// Appends an event of the driver's own.
    pub fn tell(&mut self, at: Timestamp, event: Event, output: &mut Output) -> EventNumber {
        each!(self, nat => nat.tell(at, event, output), carrying => carrying.tell(at, event, output))
    }

    /// What is held, for interim records.
    pub fn held_blocks(&self) -> Vec<(Block, Timestamp)> {
        each!(self, nat => nat.held_blocks().collect(), _ => Vec::new())
    }

    /// What has been done so far.
    pub fn counters(&self) -> &Counters {
        each!(self, nat => nat.counters(), carrying => carrying.relay.counters())
    }

    /// What is held now; `None` of a relay, which holds nothing.
    pub fn size(&mut self) -> Option<Size> {
        each!(self, nat => Some(nat.size()), _ => None)
    }
}

impl Carrying {
    /// The inside is IPv6, the outside IPv4.
    fn origin(&self, packet: &[u8]) -> Option<(Side, RealmIndex)> {
        let side = match packet.first()? >> 4 {
            4 => {
                let destination = packet.get(16..20)?.first_chunk::<4>()?;
                let theirs = self.relay.is_customers(Ipv4Addr::from(*destination));
                theirs.then_some(Side::Outside)
            }
            6 => Some(Side::Inside),
            _ => None,
        };
        side.map(|side| (side, RealmIndex(0)))
    }

    /// What a customer has by a rule goes out when the rule is durable: log before use.
    fn batch(&mut self, now: Timestamp, from: Side, slots: &mut [Slot<'_>], output: &mut Output) {
        let mark = output.packets.len();
        self.relay.batch(now, from, slots, output);
        for slot in slots {
            if let Verdict::Forward { after, .. } = &mut slot.verdict {
                *after = self.after;
            }
        }
        for emitted in &mut output.packets[mark..] {
            emitted.after = self.after;
        }
    }

    fn tell(&mut self, at: Timestamp, event: Event, output: &mut Output) -> EventNumber {
        self.told = EventNumber(self.told.0 + 1);
        if let Event::RuleBegan(_) = event {
            self.after = self.told;
        }
        output.events.push(Told {
            number: self.told,
            at,
            event,
        });
        self.told
    }
}

impl From<Nat> for Engine {
    fn from(nat: Nat) -> Self {
        Self::Nat44(Box::new(nat))
    }
}

impl From<Nat64> for Engine {
    fn from(nat: Nat64) -> Self {
        Self::Nat64(Box::new(nat))
    }
}

impl From<Relay> for Engine {
    fn from(relay: Relay) -> Self {
        Self::Relay(Box::new(Carrying {
            relay,
            told: EventNumber(0),
            after: EventNumber(0),
        }))
    }
}

impl From<Aftr> for Engine {
    fn from(nat: Aftr) -> Self {
        Self::Aftr(Box::new(nat))
    }
}

/// NAT44 knows nothing of the room around a packet. Two vectors as long as the batch: a table of fixed
/// length, which has to be filled for a single packet too, takes five times as long for one.
fn in_place(
    nat: &mut Nat,
    now: Timestamp,
    from: Side,
    slots: &mut [Slot<'_>],
    output: &mut Output,
) {
    let mut packets: Vec<Packet<'_>> = slots
        .iter_mut()
        .map(|slot| Packet {
            data: slot.buffer.get_mut(slot.packet.clone()).unwrap_or_default(),
            realm: slot.realm,
            offload: slot.offload,
            verdict: slot.verdict,
        })
        .collect();
    nat.batch(now, from, &mut packets, output);
    let verdicts: Vec<Verdict> = packets.iter().map(|packet| packet.verdict).collect();
    for (slot, verdict) in slots.iter_mut().zip(verdicts) {
        slot.verdict = verdict;
    }
}
