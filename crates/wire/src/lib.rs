//! How NAT events and identities travel.
//!
//! Every maker's NAT says in its own way who got which ports. Here are the ways, as codecs without
//! I/O: bytes and a receive time come in, [`NatEvent`]s come out, and the other way round.
//!
//! ```text
//! datagram, stream, line ──▶ codec ──▶ NatEvent ──▶ Pairing, one a device ──▶ Record
//!                              │
//!                              └────▶ what was not understood, with its place and why
//! ```
//!
//! A codec never guesses: an event's time says where it came from ([`EventTime`]), a release that
//! does not say since when the ports were held leaves that open, and what a codec does not
//! understand it hands back, so that nothing is lost unnoticed.
//!
//! [`Pairing`] makes of one device's events what a ledger keeps.
//!
//! Text: [`syslog`] takes streams and headers apart and writes our events as RFC 5424; [`dialect`]
//! reads the makers' lines by descriptions that are data; [`json_lines`] is for programs.
//!
//! ```
//! use portledger_model::{PortRange, Timestamp};
//! use portledger_wire::{EventTime, Holding, Kind, NatEvent, Phase, Told};
//!
//! let event = NatEvent {
//!     at: EventTime::Told(Timestamp::from_secs(1_790_000_000)),
//!     told: Told::Ports(Holding {
//!         phase: Phase::Begun,
//!         kind: Kind::Block,
//!         subscriber: None,
//!         external: [203, 0, 113, 7].into(),
//!         ports: PortRange::new(1_024, 1_535)?,
//!         transport: None,
//!         since: None,
//!     }),
//! };
//! assert_eq!(event.at.timestamp(), Timestamp::from_secs(1_790_000_000));
//! # Ok::<(), portledger_model::PortRangeError>(())
//! ```
#![forbid(unsafe_code)]

pub mod dialect;
mod event;
pub mod flow;
pub mod json_lines;
pub mod leases;
mod pairing;
pub mod radius;
pub mod syslog;

pub use event::{EventTime, Holding, Kind, NatEvent, Phase, Told};
pub use pairing::{PATIENCE, Pairing, Unkept};
