//! How far a target has come, over restarts: one small file a target.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use portledger_model::{RecordNumber, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::target::TargetName;

/// A place in a device's events, and what an exporter has to remember there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// All records before this one are with the target, or are not for it.
    pub(super) next: RecordNumber,
    /// When the last event before it happened.
    pub(super) last: Option<Timestamp>,
    /// The number of the next flow message over UDP (RFC 7011 §3.1).
    pub(super) sequence: u32,
}

/// Why a cursor cannot be used.
#[derive(Debug, Error)]
pub enum CursorError {
    /// The file cannot be read or written.
    #[error("{}: cannot {action} how far the target has come: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why not.
        error: io::Error,
    },
    /// The file's content is no cursor.
    #[error(
        "{}: how far the target has come cannot be read: {reason}. It is sent all that may still wait for it, some of it again", path.display()
    )]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A target's file: `LEDGER/export/NAME.cursor`.
#[derive(Debug)]
pub(super) struct Cursor {
    path: PathBuf,
    ledger: String,
    written: Option<Mark>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    ledger: String,
    next: u64,
    last: Option<i64>,
    sequence: u32,
}

impl Cursor {
    /// The target's file beside the ledger in `dir`, and what it says: `None` for a new target,
    /// or where it speaks of another ledger, which had been in this place; an error where it
    /// makes no sense.
    pub(super) fn open(
        dir: &Path,
        ledger: &str,
        name: &TargetName,
    ) -> Result<(Self, Result<Option<Mark>, CursorError>), CursorError> {
        let folder = dir.join("export");
        fs::create_dir_all(&folder).map_err(|error| CursorError::Io {
            path: folder.clone(),
            action: "make the folder for",
            error,
        })?;
        let mut cursor = Self {
            path: folder.join(format!("{name}.cursor")),
            ledger: ledger.to_owned(),
            written: None,
        };
        let bytes = match fs::read(&cursor.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((cursor, Ok(None))),
            Err(error) => return Err(cursor.failed("read", error)),
        };
        let known = match serde_json::from_slice::<Content>(&bytes) {
            Ok(content) if content.ledger == cursor.ledger => Ok(Some(Mark {
                next: RecordNumber(content.next),
                last: content.last.map(Timestamp::from_micros),
                sequence: content.sequence,
            })),
            Ok(_) => Ok(None),
            Err(error) => Err(CursorError::Content {
                path: cursor.path.clone(),
                reason: error.to_string(),
            }),
        };
        cursor.written = known.as_ref().ok().copied().flatten();
        Ok((cursor, known))
    }

    /// Puts the mark there, if it is another than the one that is: a crash leaves the one or the
    /// other.
    pub(super) fn write(&mut self, mark: Mark) -> Result<(), CursorError> {
        if self.written == Some(mark) {
            return Ok(());
        }
        let content = Content {
            ledger: self.ledger.clone(),
            next: mark.next.0,
            last: mark.last.map(Timestamp::as_micros),
            sequence: mark.sequence,
        };
        let bytes =
            serde_json::to_vec(&content).map_err(|error| self.failed("write", error.into()))?;
        self.replace(&bytes)
            .map_err(|error| self.failed("write", error))?;
        self.written = Some(mark);
        Ok(())
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o640);
        let mut file = options.open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }

    fn failed(&self, action: &'static str, error: io::Error) -> CursorError {
        CursorError::Io {
            path: self.path.clone(),
            action,
            error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_unless_it_is_another_ledgers() {
        let dir = tempfile::tempdir().unwrap();
        let name = TargetName::new("noc").unwrap();
        let (mut cursor, mark) = Cursor::open(dir.path(), "one", &name).unwrap();
        assert_eq!(mark.unwrap(), None);
        let mark = Mark {
            next: RecordNumber(u64::MAX),
            last: Some(Timestamp::MIN),
            sequence: 7,
        };
        cursor.write(mark).unwrap();
        let (_, read) = Cursor::open(dir.path(), "one", &name).unwrap();
        assert_eq!(read.unwrap(), Some(mark));
        let (_, other) = Cursor::open(dir.path(), "two", &name).unwrap();
        assert_eq!(other.unwrap(), None);
    }

    #[test]
    fn a_damaged_file_is_told_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let name = TargetName::new("noc").unwrap();
        fs::create_dir(dir.path().join("export")).unwrap();
        fs::write(dir.path().join("export/noc.cursor"), "{\"next\":").unwrap();
        let (_, known) = Cursor::open(dir.path(), "one", &name).unwrap();
        let error = known.unwrap_err();
        assert!(error.to_string().contains("noc.cursor"), "{error}");
    }
}
