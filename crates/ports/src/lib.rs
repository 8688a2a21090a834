//! Port management for a NAT that hands ports to subscribers in blocks and logs only the blocks
//! (RFC 7768), and for the deterministic NAT of RFC 7422 behind the same trait.
//!
//! ```text
//!   Config ──> Ports ──────────────────────────────────────────────┐
//!              │ Holders       who holds which blocks, and limits  │
//!              │ HeldBlocks    a bitmap and a row of handles for   │
//!              │               each transport of each held block   │
//!              │ Box<dyn BlockPolicy>   which block comes next     │
//!              │   ├ RestedBlocks   random among the rested        │ (RFC 7768)
//!              │   └ Deterministic  by arithmetic, then a reserve  │ (RFC 7422)
//!              │ Layout        address and port -> block, offset   │
//!              └────────────────────────────> Vec<Event> ──────────┘
//! ```
//!
//! The caller keeps a [`Handle`] on every port it opens and gets it back by external address,
//! port and transport: the inbound path is arithmetic and two array reads, not a hash of ports.
//!
//! **Absent on purpose**: destinations. No function of this room is ever told one, so nothing
//! here can log one (RFC 6888 REQ-12). Also absent: clocks and randomness of its own. Time is an
//! argument that must not go backwards, and all draws come from a generator keyed by the caller's
//! seed (RFC 6056 §3.3: an attacker who does not know the key cannot guess the next port).
//!
//! ```
//! use portledger_model::{Event, Timestamp, Transport};
//! use portledger_ports::{Config, Handle, Inside, Pool, Ports, RealmIndex};
//!
//! let mut config = Config::new(Pool::parse(&["203.0.113.0/30"]).unwrap());
//! config.block_size = 256;
//! let mut ports = Ports::new(config, [7; 32]).unwrap();
//! let now = Timestamp::from_secs(1_000);
//! let inside = Inside { realm: RealmIndex(0), address: "100.64.3.9".parse().unwrap() };
//!
//! let opened = ports.open(now, inside, Transport::Tcp, 40_000, Handle(1)).unwrap();
//! assert_eq!(ports.find(opened.address, opened.port, Transport::Tcp), Some(Handle(1)));
//! let events: Vec<Event> = ports.drain_events().map(|told| told.event).collect();
//! assert!(matches!(&events[..], [Event::Allocated(block)] if block.ports.contains(opened.port)));
//! ```
#![forbid(unsafe_code)]

mod config;
mod deterministic;
mod draw;
mod event;
mod held;
mod layout;
mod manager;
mod policy;
mod pool;
mod rested;
mod subscriber;

pub use config::{
    Config, ConfigError, DeterministicConfig, Limits, MIN_GUARD_TIME, Pooling, StaticMapping,
};
pub use deterministic::Deterministic;
pub use event::{EventNumber, Told};
pub use held::Handle;
pub use layout::{BlockIndex, Layout, Region};
pub use manager::{Opened, Ports, Refusal, Restored, Sought, Usage};
pub use policy::{Asker, BlockPolicy};
pub use pool::{Pool, PoolError};
pub use rested::RestedBlocks;
pub use subscriber::{Inside, RealmIndex, SubscriberKind};
