//! NAT44, and the other sharings around it: packets in, packets and events out.
//!
//! [`Nat`] is one shard: its memory and its work are its own, so that shards can run on cores of
//! their own. It does no I/O, reads no clock and draws from the seed it was given. A driver
//! brings [`Packet`]s in batches and obeys each one's [`Verdict`]; what the engine has to say
//! besides comes out in [`Output`]: packets of its own and events for the ledger.
//!
//! ```text
//!   batch(now, side, packets)
//!     │ ends      addresses and ports, unchecked: enough to bring the memory near
//!     │ lookup    outbound: hash of the internal endpoint -> mapping (64 bytes, one cache line)
//!     │           inbound:  address and port -> block, offset -> mapping, by arithmetic
//!     │ established  a plain segment of a known connection goes the short way to rewrite
//!     │ header    all others: what the packet is; malformed ones end here
//!     │ translate new mapping from `ports`, sessions and TCP state, filtering, hairpinning
//!     │ rewrite   addresses, ports, identification; checksums by difference (RFC 1624)
//!     └ verdict   forward (after which event is durable), keep, or drop for a counted reason
//!   advance(now)  the timing wheel: sessions and mappings end, blocks empty and are released
//! ```
//!
//! Stages run over a batch one after the other, so that the memory reads of its packets overlap:
//! with a million mappings that is worth a factor of four.
//!
//! [`Nat64`] (RFC 6146) and [`Aftr`] (RFC 6333) are the same engine where the inside speaks IPv6:
//! see [`Stateful`]. Their packets come in [`Slot`]s, as they change their length.
//!
//! ```
//! use portledger_model::Timestamp;
//! use portledger_nat::{Config, Nat, Output, Packet, Side, Verdict};
//! use portledger_ports::{Config as PortsConfig, Pool};
//!
//! let ports = PortsConfig::new(Pool::parse(&["203.0.113.7"]).unwrap());
//! let config = Config::new(ports, &["100.64.0.0/10".parse().unwrap()]);
//! let mut nat = Nat::new(config, [7; 32]).unwrap();
//!
//! // A UDP datagram from 100.64.3.9:40000 to 198.51.100.1:53.
//! let mut bytes = [
//!     0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0xa9, 0x53, 100, 64, 3, 9, 198, 51, 100, 1,
//!     0x9c, 0x40, 0, 53, 0, 8, 0, 0,
//! ];
//! let mut packets = [Packet::new(&mut bytes)];
//! let mut output = Output::default();
//! nat.batch(Timestamp::from_secs(1), Side::Inside, &mut packets, &mut output);
//! assert!(matches!(packets[0].verdict, Verdict::Forward { to: Side::Outside, .. }));
//! assert_eq!(bytes[12..16], [203, 0, 113, 7]);
//! assert_eq!(output.events.len(), 1); // the block was allocated
//! ```
#![forbid(unsafe_code)]

mod aftr;
mod budget;
mod checksum;
mod config;
mod counters;
mod engine;
mod fragment;
mod header;
mod hosts;
mod icmp;
mod index;
mod inner;
mod ipv6;
mod mapping;
mod mss;
mod nat64;
mod packet;
mod prefixes;
mod reassembly;
mod relay;
mod rewrite;
mod segments;
mod slot;
mod stateful;
mod tcp;
pub mod translate;
mod tunnel;
mod wheel;

pub use aftr::{Aftr, AftrConfig, AftrConfigError, ReassemblyLimits, Softwires};
pub use config::{Config, ConfigError, Filtering, IcmpRefusal, Limits, Mtu, Timers};
pub use counters::{Counters, DropReason};
pub use engine::{Nat, Past, Size};
pub use nat64::{Nat64, Nat64Config, Nat64ConfigError, Translation};
pub use packet::{Emitted, Offload, Output, Packet, Side, Verdict};
pub use portledger_ports::{EventNumber, RealmIndex, Restored, Told};
pub use relay::{
    Carriage, Customers, FollowedLimits, Refusals, Relay, RelayConfig, RelayConfigError,
};
pub use segments::{Segments, is_translated_whole};
pub use slot::{HEADROOM, Slot};
pub use stateful::{Form, Stateful};
