//! What everything in Portledger speaks of: time, transports, port ranges, subscribers, the
//! events of a NAT, the allocations they add up to, the rules that need no allocations, and the
//! sightings that ask for them.
//!
//! This room does no I/O, reads no clock and draws no randomness. Values are checked where they
//! are made ([`PortRange::new`], [`Realm::new`]), so that nothing behind the edge checks again.
//! Types that hold a subscriber's address print redacted through `Debug`; the address comes out
//! only where it is asked for by name ([`Subscriber::internal`]).
//!
//! ```
//! use portledger_model::{Block, PortRange, Realm, Subscriber, Timestamp};
//!
//! let block = Block {
//!     subscriber: Subscriber::new(Realm::default(), "100.64.3.9".parse().unwrap()),
//!     external: "203.0.113.7".parse().unwrap(),
//!     ports: PortRange::new(39_936, 40_191).unwrap(),
//!     transport: None,
//! };
//! assert!(block.ports.contains(40_123));
//! assert!(!format!("{block:?}").contains("100.64.3.9"));
//! let at: Timestamp = "2026-11-01T13:00:00+01:00".parse().unwrap();
//! assert_eq!(at.to_string(), "2026-11-01T12:00:00.000Z");
//! ```
#![forbid(unsafe_code)]

mod allocation;
mod device;
mod event;
mod evidence;
mod internal;
mod port;
mod rule;
mod sighting;
mod subscriber;
mod time;
mod transport;

pub use allocation::{Allocation, Block, ByRule, RecordNumber};
pub use device::{Device, DeviceError};
pub use event::{Durability, Event, Level, Limit, Record, Start};
pub use evidence::{Coverage, Evidence, External, Gap, GapReason, Nearest};
pub use internal::{Internal, InternalError, Ipv6Prefix, Ipv6PrefixError};
pub use port::{PortRange, PortRangeError};
pub use rule::{
    AddressRanges, CustomerEdge, DETERMINISTIC_RULE, DeterministicRange, DeterministicRule,
    DeterministicRuleError, Grant, HeldPortSet, MAX_RULE_RANGES, MapRule, MapRuleError, PortMask,
    PortParameters, PortParametersError, PortSet, Rule, RuleFieldError, RuleName, RuleNameError,
    RuleValue, Sharing, SoftwireBinding, Unreadable,
};
pub use sighting::{Destination, Moment, Sighting, Source, Zone};
pub use subscriber::{Realm, RealmError, Subscriber};
pub use time::{Millis, Span, Timestamp, TimestampError};
pub use transport::{Transport, TransportError};
