//! Ports in somebody's hands, and for how long.

use std::{fmt, net::Ipv4Addr};

use serde::{Serialize, Serializer};

use crate::{Device, PortRange, PortSet, RuleName, Span, Subscriber, Timestamp, Transport};

/// Ports of one external address in the hands of one subscriber (RFC 7768 §2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Block {
    /// Who holds it.
    pub subscriber: Subscriber,
    /// The shared address.
    pub external: Ipv4Addr,
    /// The ports, which are identifiers for ICMP.
    pub ports: PortRange,
    /// The one transport it is for; `None` is every transport, as RFC 7768's blocks are.
    pub transport: Option<Transport>,
}

impl Block {
    /// Whether a packet of `transport` from external port `port` may have come from this block.
    /// What is not known is `None`, and matches all.
    pub fn covers(&self, port: Option<u16>, transport: Option<Transport>) -> bool {
        port.is_none_or(|port| self.ports.contains(port))
            && match (self.transport, transport) {
                (Some(mine), Some(asked)) => mine == asked,
                _ => true,
            }
    }
}

/// The number of a record in the ledger's log, from 0 in the order in which records were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordNumber(pub u64);

impl fmt::Display for RecordNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A text in JSON, so that no reader rounds it to a double.
impl Serialize for RecordNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A [`Block`] held from one moment to another, as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    /// What was held, and by whom.
    pub block: Block,
    /// When it was handed out, by the device's clock.
    pub from: Timestamp,
    /// When it was released; `None` while it is held.
    pub to: Option<Timestamp>,
    /// The device that handed it out.
    pub device: Device,
    /// The record that told of it first.
    pub record: RecordNumber,
    /// It was not handed out alone: a rule says so, which that record tells.
    pub by_rule: Option<Box<ByRule>>,
}

/// What a subscriber has by a rule, of which [`Block::ports`] is one range: the one that was asked
/// for, or the first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ByRule {
    /// The rule's name.
    pub name: RuleName,
    /// All ports of the address that are the subscriber's by it.
    pub ports: PortSet,
}

impl Allocation {
    /// The time for which it was held: a microsecond at least, since a log in whole seconds says
    /// of a short one that it ended when it began.
    pub fn span(&self) -> Span {
        let to = self.to.unwrap_or(Timestamp::MAX);
        Span::new(self.from, to.max(self.from.after(Span::TICK)))
    }
}
