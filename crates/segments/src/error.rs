//! Why a segment cannot be written or read.

use std::{fmt, io};

use thiserror::Error;

/// Why a segment cannot be written or read.
#[derive(Debug, Error)]
pub enum Error {
    /// The system refused.
    #[error("cannot {action} {file} of the segment: {source}")]
    Io {
        /// The file, by its name in the segment.
        file: &'static str,
        /// What was tried.
        action: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The Parquet library refused to write.
    #[error("cannot write {file} of the segment: {source}")]
    Write {
        /// The file, by its name in the segment.
        file: &'static str,
        /// What the library says.
        source: parquet::errors::ParquetError,
    },
    /// The file does not hold what was written to it. An answer from it could be wrong, so none
    /// is given.
    #[error("{file} is damaged at {place}: {flaw}; restore the file from a copy")]
    Damaged {
        /// The file, by its name in the segment.
        file: &'static str,
        /// Where in the file.
        place: Place,
        /// What is wrong there.
        flaw: Flaw,
    },
    /// The file was written by a later release.
    #[error(
        "{file} is in format {version}, which this release cannot read (it reads format 1); use the release that wrote it or a later one"
    )]
    Version {
        /// The file, by its name in the segment.
        file: &'static str,
        /// The format it says it is in.
        version: u32,
    },
    /// The segment is encrypted and no key was given.
    #[error("{file} is encrypted with the key named '{name}'; give that key")]
    KeyMissing {
        /// The file, by its name in the segment.
        file: &'static str,
        /// What the file calls its key.
        name: String,
    },
    /// The file's end cannot be decrypted.
    #[error(
        "{file} cannot be opened with the key given: it is encrypted with the key named '{name}', or its end is damaged"
    )]
    KeyWrong {
        /// The file, by its name in the segment.
        file: &'static str,
        /// What the file calls its key.
        name: String,
    },
    /// A key was given for a file that is not encrypted: somebody may have put it there.
    #[error("{file} is not encrypted although a key was given for it; ask for it without a key")]
    NotEncrypted {
        /// The file, by its name in the segment.
        file: &'static str,
    },
    /// A key that is not one.
    #[error("a key of {0} bytes cannot be used: AES takes 16 or 32")]
    KeyLength(usize),
    /// A row or record comes before the one pushed last.
    #[error("row {row} comes before the row pushed last: push in the order of Row::order")]
    OutOfOrder {
        /// The row's place, from 0.
        row: u64,
    },
    /// A record says more than a segment keeps.
    #[error("record {record} has details of {bytes} bytes; a segment keeps at most 4096")]
    TooLong {
        /// The record's place, from 0.
        record: u64,
        /// How long they are.
        bytes: usize,
    },
    /// Questions that are put together are not sorted.
    #[error(
        "question {at} comes before the one ahead of it: sort questions by address, port and start"
    )]
    QuestionOutOfOrder {
        /// Its place among the questions, from 0.
        at: usize,
    },
    /// A time that the segment's resolution cannot hold.
    #[error("row {row} has a time finer than milliseconds: write the segment in microseconds")]
    TooFine {
        /// The row's place, from 0.
        row: u64,
    },
    /// A row names a subscriber or device that is not in the dictionary.
    #[error("row {row} names a {what} that the dictionary does not have")]
    Unknown {
        /// The row's place, from 0.
        row: u64,
        /// What is missing.
        what: &'static str,
    },
    /// More than a segment can count.
    #[error("a segment cannot hold more than {limit} {what}; begin another one")]
    TooLarge {
        /// More of what.
        what: &'static str,
        /// How many there may be.
        limit: u64,
    },
}

/// Where in a file something is wrong, as far as that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// The row group, from 0; `None` in the file's end, which tells of all of them.
    pub group: Option<u32>,
    /// The column.
    pub column: Option<&'static str>,
    /// The page of that column in that row group, from 0.
    pub page: Option<u32>,
    /// The byte at which the damaged part begins.
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}", self.offset)?;
        if let Some(group) = self.group {
            write!(f, ", row group {group}")?;
        }
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        if let Some(page) = self.page {
            write!(f, ", page {page}")?;
        }
        Ok(())
    }
}

/// What is wrong with a part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Flaw {
    /// The bytes are not those that were written.
    #[error("the checksum does not match")]
    Checksum,
    /// The bytes are not those that were encrypted, or not with this key, or not in this place.
    #[error("the authentication tag does not match")]
    Tag,
    /// The compressed bytes cannot be unpacked.
    #[error("the compressed bytes cannot be unpacked")]
    Compression,
    /// The bytes have no meaning.
    #[error("it has no meaning: {0}")]
    Meaning(&'static str),
    /// Rows are not in their order.
    #[error("row {0} is not in order")]
    Order(u64),
    /// Two parts of the segment do not fit together.
    #[error("it does not fit the rest of the segment: {0}")]
    Mismatch(&'static str),
}

/// What is wrong with bytes whose place the caller knows.
impl From<crate::format::Malformed> for Flaw {
    fn from(crate::format::Malformed(what): crate::format::Malformed) -> Self {
        Self::Meaning(what)
    }
}
