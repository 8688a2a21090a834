//! NAT events as flow records: IPFIX (RFC 7011) and NetFlow v9 (RFC 3954), both ways.
//!
//! ```text
//!  datagram ──┐                                ┌─ Event      what a NAT told
//!             ├─▶ Session ─▶ sets ─▶ records ─▶┤  Rejected   what was not understood, and where
//!  stream ────┘      │        ▲                │  Gap        what the sequence numbers miss
//!   (framing)        │        │ plan           │  Restarted  the exporter began anew
//!                    ├─▶ templates, compiled   └─ Dropped    what waited in vain
//!                    ├─▶ data that waits for its template
//!                    └─▶ sequence numbers of each domain   (Disordered: they follow no order)
//!
//!  NatEvent ─▶ Exporter ─▶ messages of at most so many bytes, with templates where they are due
//! ```
//!
//! A [`Session`] is one exporter over one transport session. It is told every datagram, or every
//! piece of a stream, with the time at which it came, and hands out [`Item`]s. It reads no clock
//! and keeps only what [`Limits`] allow.
//!
//! # What is read
//! RFC 8158's events; the historic natEvents 1 and 2 and Juniper's numbers of an earlier draft;
//! Cisco's blocks of start, step and number without an end; Cisco's translations without event and
//! time; connections of the ASA (NSEL) and of Palo Alto; translated flows of MikroTik and Fortinet;
//! Nokia's records with the inside in a string. Elements of enterprises are skipped by their
//! length. Records about something else are counted, not refused; a record that should be a NAT
//! event and cannot be one is refused with its place.
//!
//! Records are told apart by their fields more than by their number, and where two readings are
//! left, neither is taken: a wrong name is worse than none.
//!
//! # When it happened
//! By observationTime (322 to 325), else by the flow's begin or end, in whatever unit it is told.
//! A record without any time happened at the time in its message's header or before, and its
//! [`EventTime`](crate::EventTime) says so. A *since* is told only where the record has one.
//!
//! # What is lost
//! IPFIX counts records, NetFlow v9 messages. A number that is skipped becomes a [`Item::Gap`] once
//! nothing can be overtaken any more, with the times between which it lies by the device's clock:
//! the earliest event of the message before, and the header of the message behind. Data whose
//! template is unknown waits for it; when it waits in vain it is dropped and told, and the numbers
//! still say how many records that were.
//!
//! # Why not a library's decoder
//! Those that exist decode a record into a list of values, which is then read again: an allocation
//! a record. Here a template is compiled once into the places of the fields that matter, and a
//! record is read from there: `benches/flow.rs` measures both side by side. Another implementation
//! reads what we write in the tests.
//!
//! ```
//! use portledger_model::{PortRange, Timestamp};
//! use portledger_wire::{EventTime, Holding, Kind, NatEvent, Phase, Told};
//! use portledger_wire::flow::{ExportSettings, Exporter, Item, Limits, Medium, Session};
//!
//! let now = Timestamp::from_secs(1_790_000_000);
//! let event = NatEvent {
//!     at: EventTime::Told(now),
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
//! let mut message = Vec::new();
//! Exporter::new(ExportSettings::default()).message(now, &[event.clone()], &mut message)?;
//!
//! let mut session = Session::new(Medium::Datagrams, Limits::default());
//! let mut items = Vec::new();
//! session.datagram(&message, now, &mut |item| items.push(item));
//! assert_eq!(items, [Item::Event { domain: 1, event }]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod clock;
mod decode;
mod definitions;
mod elements;
mod export;
mod item;
mod life;
mod message;
mod nat;
mod realm;
mod sequence;
mod session;
mod slots;
mod stream;
mod template;
mod templates;
mod waiting;

pub use export::{ExportError, ExportSettings, Exporter, Precision};
pub use item::{BadRecord, Counters, Item, Lie, Limits, Reject, Unit, Unread};
pub use message::Version;
pub use session::{Medium, Session};
