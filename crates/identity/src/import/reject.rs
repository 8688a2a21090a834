//! Lines that say nothing that could be kept.

use std::fmt;

use portledger_model::TimestampError;
use thiserror::Error;

use super::Column;
use crate::{CustomerError, PrefixError};

/// A line that was not imported.
#[derive(Clone, PartialEq, Eq)]
pub struct Reject {
    /// Its number in the table, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: Reason,
    /// The line as it is, or its beginning where it is too long: personal data, to be kept aside
    /// for whoever mends it.
    pub text: Vec<u8>,
}

impl fmt::Debug for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reject(line {}, {:?}, redacted)", self.line, self.reason)
    }
}

/// What is wrong with a line. It does not repeat the line, which is somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Reason {
    /// Longer than any line that could be kept.
    #[error("the line is longer than {0} bytes")]
    TooLong(usize),
    /// No UTF-8.
    #[error("the line is not UTF-8; save the table as UTF-8")]
    NotUtf8,
    /// A quotation mark that opens and does not close.
    #[error(
        "a quotation mark is not closed on its line; close it, and write no line break inside a cell"
    )]
    OpenQuote,
    /// A quotation mark in the middle of a cell.
    #[error(
        "a quotation mark stands inside a cell; put the cell in marks and write the mark twice"
    )]
    StrayQuote,
    /// More or fewer cells than the header has.
    #[error("the line has {found} cells and the header {expected}")]
    Cells {
        /// How many the header has.
        expected: usize,
        /// How many the line has.
        found: usize,
    },
    /// A realm that is none.
    #[error(
        "column 'realm': 1 to 64 of the letters, digits, '.', '_' and '-' make a name, and empty means 'default'"
    )]
    Realm,
    /// An address that is none.
    #[error("column 'internal': {0}")]
    Internal(PrefixError),
    /// A time without a zone.
    #[error(
        "column '{0}': the time has no zone, so it may be any hour of the day elsewhere; add Z for UTC or an offset such as +01:00"
    )]
    NoZone(Column),
    /// A twelve-hour time.
    #[error("column '{0}': a 12-hour time; write the hour as 00 to 23")]
    TwelveHour(Column),
    /// A time that is none.
    #[error("column '{0}': not a time; write it as 2026-11-01T12:00:00Z or with an offset")]
    Time(Column),
    /// The end is not after the beginning.
    #[error("column 'to': the end is not after the beginning")]
    Ends,
    /// The customer's id is none.
    #[error("column 'customer': {0}")]
    Customer(CustomerError),
    /// What another column holds cannot be kept.
    #[error("column {column}: {why}")]
    Field {
        /// Its number, from 1.
        column: usize,
        /// Why not.
        why: CustomerError,
    },
}

impl Reason {
    /// The time's error without its text.
    pub(super) fn time(column: Column, error: &TimestampError) -> Self {
        match error {
            TimestampError::NoZone { .. } => Self::NoZone(column),
            TimestampError::TwelveHour { .. } => Self::TwelveHour(column),
            TimestampError::Malformed { .. } => Self::Time(column),
        }
    }
}
