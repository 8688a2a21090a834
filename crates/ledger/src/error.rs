//! Why the ledger cannot do what it was asked to.

use std::{
    io,
    path::{Path, PathBuf},
};

use portledger_model::RecordNumber;
use thiserror::Error;

use crate::calendar::Day;

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
    /// Somebody who writes has not made durable what it wrote, so that no key can be destroyed.
    #[error(
        "{}: whoever writes to it has not synced for long, so that nothing can be deleted; try again",
        dir.display()
    )]
    Unsettled {
        /// The log's folder.
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
    /// Something is damaged whose place only the caller knows.
    #[error(transparent)]
    Flawed(#[from] Flaw),
    /// The file was written by a later release.
    #[error(
        "{} is in format {version}, which this release cannot read (it reads formats 1 and 2); use the release that wrote it or a later one",
        file.display()
    )]
    Version {
        /// The log file.
        file: PathBuf,
        /// The format it says it is in.
        version: u32,
    },
    /// The log's end was removed after it was signed for.
    #[error(
        "the log in {} ends before record {next}, but {signed} records were signed for: its end was removed; restore it from a copy",
        dir.display()
    )]
    Short {
        /// The log's folder.
        dir: PathBuf,
        /// The number after its last record.
        next: RecordNumber,
        /// How many records were signed for.
        signed: u64,
    },
    /// The stored hashes are fewer than the log's files need.
    #[error("{}: hashes are missing; restore the file from a copy", path.display())]
    TreeShort {
        /// The file.
        path: PathBuf,
    },
    /// The hashes of a group of records cannot be made: some of the records are not there.
    #[error(
        "the hashes of group {group} of the tree cannot be made: not all of its records are there"
    )]
    NoLeaves {
        /// The group's number.
        group: u64,
    },
    /// A checkpoint that is not this log's.
    #[error("{}: {reason}", file.display())]
    Checkpoint {
        /// The checkpoint's file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A checkpoint could not be signed.
    #[error("the ledger's checkpoint cannot be signed: {0}")]
    Signing(String),
    /// The settings cannot be read.
    #[error("{}: {reason}", file.display())]
    Settings {
        /// The settings' file.
        file: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// The list of sealed days cannot be read.
    #[error("the list of sealed days {file} cannot be read: {reason}")]
    Manifest {
        /// Its name in the store.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Records that should be there are not.
    #[error(
        "records {from} to {to} are not where the list of sealed days says: a segment was removed or changed"
    )]
    Missing {
        /// The first that is not there.
        from: RecordNumber,
        /// The first that is there again.
        to: RecordNumber,
    },
    /// A record that no checkpoint speaks of yet.
    #[error("record {record} is newer than the newest checkpoint: ask again in a few seconds")]
    NotSignedYet {
        /// The record.
        record: RecordNumber,
    },
    /// A record whose time was past.
    #[error("record {record} was deleted when its retention ended")]
    Deleted {
        /// The record.
        record: RecordNumber,
    },
    /// A proof could not be made.
    #[error("the proof cannot be made: {0}")]
    Proof(String),
    /// The folder holds no ledger of this format.
    #[error("{} holds no ledger", dir.display())]
    NoLedger {
        /// The folder.
        dir: PathBuf,
    },
    /// An entry of the journal that is too long.
    #[error("an entry of {bytes} bytes is too long for the journal")]
    LongEntry {
        /// Its length.
        bytes: usize,
    },
    /// The key ring.
    #[error(transparent)]
    Keys(#[from] portledger_keys::Error),
    /// A name that no key can have.
    #[error(transparent)]
    KeyName(#[from] portledger_keys::NameError),
    /// A segment.
    #[error(transparent)]
    Segment(#[from] portledger_segments::Error),
    /// The store of the sealed days.
    #[error(transparent)]
    Store(#[from] portledger_store::Error),
    /// What is configured as a store is none.
    #[error(transparent)]
    Location(#[from] portledger_store::LocationError),
    /// A name that no stored file can have.
    #[error(transparent)]
    StorePath(#[from] portledger_store::PathError),
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
    Length(u32),
    /// A record's bytes are not those that were written.
    #[error("the record's checksum does not match")]
    Checksum,
    /// The records of a day are sealed, and its key is gone.
    #[error("the records of {0} are sealed and the key ring has no key for that day")]
    Sealed(Day),
    /// The records of a day do not open with its key.
    #[error(
        "the records of {0} do not open with that day's key: bytes were changed, or the key is another's"
    )]
    Key(Day),
    /// The checksum matches but the content has no meaning.
    #[error("the record has no meaning: {0}")]
    Meaning(&'static str),
}

impl Error {
    /// Says where a flaw is, unless that is known already.
    pub(crate) fn at(self, file: &Path, offset: u64, record: RecordNumber) -> Self {
        match self {
            Self::Flawed(flaw) => Self::Damaged {
                file: file.into(),
                offset,
                record,
                flaw,
            },
            told => told,
        }
    }

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
