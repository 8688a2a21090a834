//! Sealed allocations and records as Parquet files: written once, looked up by page.
//!
//! A **segment** is a folder of ordinary Parquet files, which DuckDB, Arrow and others read with
//! no tool of ours. It is written once, in order, and never changed.
//!
//! ```text
//!  allocations.parquet     external, first_port, last_port, transport, from, to, subscriber, device
//!      by address, first port, start           │ number                     ▲ row
//!  numbers.parquet         opened              │    (row for row with allocations)
//!  subscribers.parquet     realm, internal, first ──────► by_subscriber.parquet   row
//!      by realm and internal address, whose place is the subscriber's number; `first` is where
//!      the subscriber's rows begin in by_subscriber
//!  records.parquet         number, at, kind, device, external, first_port, ports, transport,
//!      by number           subscriber, since, details
//!  shortcuts.idx           what makes looking up faster, made from the first two and never needed
//! ```
//!
//! `transport` is a protocol number, null for every transport; `to` is null where a block was
//! held on beyond the segment. Times are in milliseconds where [`Resolution::Millis`] says so,
//! else in microseconds.
//!
//! - **Looking up** takes a few pages of 4,096 rows: the page index of the row group that may hold
//!   the address is kept in memory once read (128 bytes a page), and leads to blocks of any size,
//!   as each page's bounds include the last ports of its blocks. Inside a page, **shortcuts** say
//!   where an address and its ports are, and let 32 values of a column be unpacked by themselves;
//!   they cost less than a byte a row. Where there are none, whole columns are decoded, of those
//!   with one value in a page not even that, as the index has it. Pages used lately stay in a
//!   [`Cache`]. Deltas that zstd saves next to nothing on are not packed.
//! - **Damage** is found before it can change an answer. Each page has a CRC-32, and so has what
//!   leads to pages (see `stamp.rs`); encrypted files have authentication tags for both. Every
//!   length is held against what there is before it is believed, so that no bytes make a panic.
//!   The files are read by our own code, not by the `parquet` crate, which is trusted with writing
//!   only. Damaged shortcuts are passed over, and made again by [`Segment::write_shortcuts`].
//!   [`Segment::verify`] reads everything.
//! - **Encryption** is Parquet's modular encryption, uniform: one [`Key`] for the footer and all
//!   columns. Arrow opens such files with the key. DuckDB 2.0.0 does so only where no column has
//!   more than one page in a row group, and takes arbitrary bytes for a key only of AES-256.
//!
//! ```
//! use std::sync::Arc;
//!
//! use portledger_model::{
//!     Device, External, PortRange, Realm, RecordNumber, Span, Subscriber, Timestamp,
//! };
//! use portledger_segments::{
//!     Cache, Dictionary, LocalFile, Resolution, Row, Segment, SegmentWriter,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let dir = folder.path().to_owned();
//! let subscriber = Subscriber::new(Realm::default(), "100.64.3.9".parse()?);
//! let device = Device::new("cgn1")?;
//! let dictionary = Dictionary::new([subscriber.clone()], [device.clone()])?;
//! let from: Timestamp = "2026-11-01T09:12:44.120Z".parse()?;
//!
//! let mut writer = SegmentWriter::new(&dir, &dictionary, Resolution::Millis, None)?;
//! writer.push(Row {
//!     external: "203.0.113.7".parse()?,
//!     ports: PortRange::new(39_936, 40_191)?,
//!     transport: None,
//!     from,
//!     to: None,
//!     concluded: false,
//!     subscriber: dictionary.number_of(&subscriber).ok_or("unknown")?,
//!     device: dictionary.number_of_device(&device).ok_or("unknown")?,
//!     opened: RecordNumber(812),
//! })?;
//! assert_eq!(writer.finish()?.rows, 1);
//!
//! let files = move |name: &str| Ok(Box::new(LocalFile::open(&dir.join(name))?) as Box<_>);
//! let segment = Segment::open(files, None, Arc::new(Cache::default()))?;
//! let asked = External { address: "203.0.113.7".parse()?, port: Some(40_123), transport: None };
//! let at: Timestamp = "2026-11-01T12:00:00Z".parse()?;
//! let mut holders = Vec::new();
//! segment.holders(asked, Span::new(at, at.after(Span::TICK)), &mut holders)?;
//! assert_eq!(holders[0].block.subscriber, subscriber);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod cache;
mod dictionary;
mod error;
mod format;
mod index;
mod key;
mod layout;
mod read_at;
mod row;
mod segment;
mod shortcuts;
mod stamp;
mod subscribers;
mod table;
mod write;

pub use cache::Cache;
pub use dictionary::Dictionary;
pub use error::{Error, Flaw, Place};
pub use key::Key;
pub use read_at::{LocalFile, ReadAt};
pub use row::{DeviceNumber, Holder, RecordBlock, RecordRow, Resolution, Row, SubscriberNumber};
pub use segment::{Files, Question, Records, Rows, Segment};
pub use subscribers::Subscribers;
pub use write::{FileSummary, Packing, RecordWriter, SegmentWriter, Summary};
