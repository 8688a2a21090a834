//! Why the ledger cannot do what it was asked to.

use std::{io, path::PathBuf};

use portledger_model::RecordNumber;
use thiserror::Error;

/// Why the ledger cannot do what it was asked to.
#[derive(Debug, Error)]
pub enum Error {
    /// Another process writes to the folder.
    #[error(
        "{} is being written by another process; stop that process, or only read the ledger",
        dir.display()
    )]
    Locked {
        /// The ledger's folder.
        dir: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A log file does not hold what was written to it. What stands before and after may be
    /// sound, but an answer from it could be wrong, so none is given.
    #[error(
        "{} is damaged at byte {offset}, record {record}: {flaw}; restore the file from a copy",
        file.display()
    )]
    Damaged {
        /// The log file.
        file: PathBuf,
        /// Where in the file, in bytes.
        offset: u64,
        /// The number of the first record that cannot be read.
        record: RecordNumber,
        /// What is wrong there.
        flaw: Flaw,
    },
    /// The file was written by a later release.
    #[error(
        "{} is in format {version}, which this release cannot read (it reads format 1); use the release that wrote it or a later one",
        file.display()
    )]
    Version {
        /// The log file.
        file: PathBuf,
        /// The format it says it is in.
        version: u32,
    },
    /// No room on the disk. Nothing of the batch was kept; the same batch may be tried again.
    #[error("no room left on the disk of {}: nothing of the batch was written", path.display())]
    Full {
        /// The log file.
        path: PathBuf,
    },
    /// The disk failed earlier, so that what it says from now on cannot be trusted: a later sync
    /// may succeed although the data are gone.
    #[error(
        "the ledger takes no more records since its disk failed ({cause}); check the disk, then open the ledger again"
    )]
    Poisoned {
        /// The failure.
        cause: String,
    },
    /// More than the index can count.
    #[error("the ledger holds more {what} than its index can count")]
    TooLarge {
        /// More of what.
        what: &'static str,
    },
    /// The ledger was closed before these records found room; they are lost.
    #[error("{records} records were not written: {cause}")]
    NotWritten {
        /// How many records.
        records: u64,
        /// Why not.
        cause: String,
    },
}

/// What is wrong with a log file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Flaw {
    /// Not the beginning of a log file.
    #[error("the file's header is not that of a ledger's log")]
    Header,
    /// The file's header names another record than the file's name does.
    #[error(
        "the file begins with record {found}, not with record {expected}: a file is missing or renamed"
    )]
    Sequence {
        /// What comes next in the ledger.
        expected: RecordNumber,
        /// What the file begins with.
        found: RecordNumber,
    },
    /// The file ends inside a record.
    #[error("the file ends inside a record")]
    CutOff,
    /// A record's length is none that is ever written.
    #[error("a record of {0} bytes is never written")]
    Length(u16),
    /// A record's bytes are not those that were written.
    #[error("the record's checksum does not match")]
    Checksum,
    /// The checksum matches but the content has no meaning.
    #[error("the record has no meaning: {0}")]
    Meaning(&'static str),
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>, action: &'static str, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            action,
            source,
        }
    }
}

/// More than the index can count: more of what.
#[derive(Debug)]
pub(crate) struct TooLarge(pub(crate) &'static str);

impl From<TooLarge> for Error {
    fn from(TooLarge(what): TooLarge) -> Self {
        Self::TooLarge { what }
    }
}

/// Whether the disk (or the user's share of it) is full: the one failure of a write that passes.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
