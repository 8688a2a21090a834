//! A NAT event as a device tells it, whatever its dialect.

mod record;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use portledger_model::{
    Level, Limit, PortRange, Rule, RuleName, Start, Subscriber, Timestamp, Transport,
};

/// A NAT event as a device tells it (RFC 8158 §4).
///
/// It may tell less than a [`portledger_model::Event`] needs: who collects knows which device it
/// came from and, of a release, since when the ports were held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatEvent {
    /// When it happened, by the device's clock.
    pub at: EventTime,
    /// What happened.
    pub told: Told,
}

/// A time and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventTime {
    /// The event has a time of its own.
    Told(Timestamp),
    /// The event has none: this is the time at which the message it came in was sent (an IPFIX or
    /// NetFlow header, the header of a syslog line), so it happened at this time or before.
    Message(Timestamp),
    /// The event has a time of its own, and its message was sent a good deal later: where the two
    /// cannot both be, it happened between them.
    Late {
        /// The event's.
        told: Timestamp,
        /// The message's.
        sent: Timestamp,
    },
}

impl EventTime {
    /// The time, wherever it comes from.
    pub const fn timestamp(self) -> Timestamp {
        match self {
            Self::Told(at) | Self::Message(at) | Self::Late { told: at, .. } => at,
        }
    }

    /// When it had happened at the latest.
    pub const fn latest(self) -> Timestamp {
        match self {
            Self::Told(at) | Self::Message(at) | Self::Late { sent: at, .. } => at,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Ports came into somebody's hands, are still there, or were given back.
    Ports(Holding),
    /// An external address was bound to a subscriber, or is no more (RFC 8158 natEvent 14, 15).
    Address {
        /// Whether it begins or ends.
        phase: Phase,
        /// Whose.
        subscriber: Subscriber,
        /// The external address.
        external: Ipv4Addr,
    },
    /// A pool had no address left (natEvent 3) or no ports (natEvent 12).
    PoolExhausted {
        /// The pool's number, where told.
        pool: Option<u32>,
        /// How many blocks the pool has, where told.
        blocks: Option<u32>,
        /// Of these, how many rest, where told.
        resting: Option<u32>,
    },
    /// Somebody reached a limit (natEvent 13); `None` where it is the device's own.
    LimitReached {
        /// Whose limit.
        subscriber: Option<Subscriber>,
        /// Which limit.
        limit: Limit,
    },
    /// A pool's use crossed a threshold (natEvent 18).
    PoolThreshold {
        /// Which threshold.
        level: Level,
        /// The pool's number, where told.
        pool: Option<u32>,
        /// Blocks held or at rest, where told.
        in_use: Option<u32>,
        /// Blocks in the pool, where told.
        blocks: Option<u32>,
    },
    /// The device began to translate and to log.
    Started(Start),
    /// The device stopped of its own will.
    Stopped,
    /// The device is alive, and told everything before this.
    Heartbeat,
    /// Events were lost before they were sent.
    Lost {
        /// When the last event before the loss happened.
        since: Timestamp,
        /// How many, where that is known.
        events: Option<u64>,
    },
    /// A rule began, or is still in force since a time.
    Rule {
        /// The rule.
        rule: Arc<Rule>,
        /// Since when, where it began earlier.
        since: Option<Timestamp>,
    },
    /// Nothing is in force under this name any more.
    RuleEnded(RuleName),
}

/// Ports in somebody's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Whether this begins, goes on or ends.
    pub phase: Phase,
    /// What the ports are held for.
    pub kind: Kind,
    /// Who holds them; releases of some devices do not say.
    pub subscriber: Option<Subscriber>,
    /// The shared address.
    pub external: Ipv4Addr,
    /// The ports, which are identifiers for ICMP.
    pub ports: PortRange,
    /// The one transport it is for; `None` is every transport.
    pub transport: Option<Transport>,
    /// When it began, where the event is about something that began earlier and says so.
    pub since: Option<Timestamp>,
}

/// What ports are held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A block for whatever the subscriber does (RFC 7768; natEvent 16, 17).
    Block,
    /// A mapping of one internal endpoint (a BIB entry: natEvent 8 to 11).
    Mapping {
        /// The internal port, where told.
        internal_port: Option<u16>,
    },
    /// A session with one destination (natEvent 4 to 7).
    Session {
        /// The internal port, where told.
        internal_port: Option<u16>,
        /// The other end, as seen from outside, where told.
        destination: Option<SocketAddr>,
    },
}

/// Whether something begins, goes on or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It was handed out.
    Begun,
    /// It is still held: an interim record.
    Held,
    /// It was given back.
    Ended,
}
