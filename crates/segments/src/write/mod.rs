//! Writing the files of a segment, through the `parquet` crate's column writers.

mod page;
mod records;
mod segment;
mod sink;
mod table;

pub use records::RecordWriter;
pub(crate) use segment::sync_dir;
pub use segment::{FileSummary, SegmentWriter, Summary};
pub(crate) use sink::Sink;
pub use table::Packing;
pub(crate) use table::{Column, TableWriter};
