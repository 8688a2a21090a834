//! Tables of customers: CSV (RFC 4180) with a header.
//!
//! A record is a line: a line break inside quotation marks is refused, so that one stray mark
//! costs one line and not the rest of the table.

mod cells;
mod header;
mod line;
mod reject;
mod sort;

pub use cells::{Stray, cells};
pub use header::{Column, HeaderError};
pub use line::{Intervals, Line};
pub use reject::{Reason, Reject};
pub(crate) use sort::Sorter;
