//! The ledger: keeps what NAT devices say happened, and answers who held which ports when.
//!
//! One folder, one writer, any number of readers. Records are only ever appended; each has a
//! checksum; what was acknowledged survives a crash, and what was damaged is named, never
//! skipped: an answer from half a log could name the wrong person.
//!
//! ```text
//!  folder             file                      record                index (in memory)
//!
//!  LOCK               ┌─ header ─────────┐      ┌─ frame ────────┐    external address
//!  log-…000.plg ────► │ magic, version,  │  ┌─► │ length, crc32c │      └ ports ─ allocations by time
//!  log-…812.plg       │ first record, crc│  │   ├─ payload ──────┤    subscriber
//!  log-…977.plg       ├─ frames ─────────┤  │   │ kind, time,    │      └ its allocations
//!        ▲            │ name "cgn1"      │  │   │ device, block, │──► device
//!        │            │ record 812       │──┘   │ since          │      └ starts, stops, last record
//!   the one that      │ record 813       │      └────────────────┘               │
//!   is written        │ mark: durable    │                                       ▼
//!                     │ …                │              holders, nearest, coverage, by_subscriber
//!                     └──────────────────┘
//! ```
//!
//! - A file is named by its first record, is complete and durable before the next is begun, and
//!   is readable alone: it defines the names it uses.
//! - A **mark** after each sync says how much was durable. A broken frame that no later mark
//!   covers is the torn end of a crash: the [`Writer`] cuts it off and says so, a reader stops
//!   before it. Any other broken frame is damage ([`Error::Damaged`]).
//! - An **allocation** is a block and the moment it was handed out. Its records may come in any
//!   order, twice, or not at all; what they add up to is the same. Without a release it ends
//!   when the next allocation of overlapping ports begins.
//! - **Coverage** is what each device's starts and stops promise of its log; see
//!   [`Evidence::coverage`](portledger_model::Evidence::coverage).
//!
//! ```
//! use portledger_ledger::{CommitOptions, Committer, Ledger, Options, Writer};
//! use portledger_model::{
//!     Block, Device, Event, Evidence, External, PortRange, Realm, Record, Span, Subscriber,
//!     Timestamp,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let dir = folder.path();
//! let from: Timestamp = "2026-11-01T09:12:44.120Z".parse()?;
//! let block = Block {
//!     subscriber: Subscriber::new(Realm::default(), "100.64.3.9".parse()?),
//!     external: "203.0.113.7".parse()?,
//!     ports: PortRange::new(39_936, 40_191)?,
//!     transport: None,
//! };
//!
//! // The NAT's side: a port of the block goes out once its event is durable.
//! let (writer, recovery) = Writer::open(dir, Options::default())?;
//! assert_eq!(recovery.cut, None);
//! let committer = Committer::start(writer, CommitOptions::default())?;
//! let ticket = committer.submit(vec![Record {
//!     at: from,
//!     device: Device::new("cgn1")?,
//!     event: Event::Allocated(block.clone()),
//! }])?;
//! assert!(committer.wait(ticket, std::time::Duration::from_secs(10)));
//!
//! // The desk's side, in another process.
//! let ledger = Ledger::read(dir)?;
//! let asked = External {
//!     address: "203.0.113.7".parse()?,
//!     port: Some(40_123),
//!     transport: None,
//! };
//! let at: Timestamp = "2026-11-01T12:00:00Z".parse()?;
//! let holders = ledger.holders(asked, Span::new(at, "2026-11-01T12:00:01Z".parse()?))?;
//! assert_eq!(holders[0].block, block);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod archive;
mod calendar;
mod committer;
mod error;
mod files;
mod follow;
mod fragment;
mod home;
mod journal;
mod keeper;
mod ledger;
mod log;
mod manifest;
mod prove;
mod recent;
mod record;
mod retain;
mod rules;
mod segment_records;
mod settings;
mod shelf;
mod sign;
#[cfg(test)]
mod testing;
mod timeline;
mod verify;
mod writer;

pub use calendar::{Calendar, Day, DayError, TimeOfDayError};
pub use committer::{CommitOptions, Committer, State, SubmitError, Ticket};
pub use error::{Error, Flaw};
pub use follow::{Followed, Follower};
pub use journal::{Entry, Journal};
pub use keeper::{Keeper, Kept};
pub use ledger::{DayStats, Held, Ledger, Rested, Resume, Stats};
pub use log::writer::Cut;
pub use manifest::Hold;
pub use prove::{Prover, text_of_entry};
pub use retain::{Due, Retained};
pub use rules::InForce;
pub use settings::Settings;
pub use verify::{Problem, Verified, verify};
pub use writer::{Options, Recovery, Writer};
