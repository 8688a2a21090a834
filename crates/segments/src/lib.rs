//! Sealed allocations and records as Parquet files: written once, looked up by page.
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
mod stamp;
mod table;
mod write;

pub use cache::Cache;
pub use dictionary::Dictionary;
pub use error::{Error, Flaw, Place};
pub use key::Key;
pub use read_at::{LocalFile, ReadAt};
pub use row::{DeviceNumber, Resolution, Row, SubscriberNumber};
pub use segment::{Files, Question, Rows, Segment};
pub use write::{FileSummary, SegmentWriter, Summary};
