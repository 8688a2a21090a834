//! The folder: its lock and its files.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use portledger_model::{Record, RecordNumber};

use super::image::{self, Cause, Fault, Image, Place};
use crate::{Error, error::TooLarge};

/// A reader holds the lock for the blink of an eye, to see whether a writer does.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Takes the writer's lock, which the system gives back when the process ends, however it ends.
pub(crate) fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("LOCK");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| Error::io(&path, "open", error))?;
    for _ in 0..LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(Error::io(path, "lock", error)),
        }
    }
    Err(Error::Locked { dir: dir.into() })
}

/// Whether a live process holds the writer's lock.
pub(crate) fn is_locked(dir: &Path) -> bool {
    File::open(dir.join("LOCK"))
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The path of the log file that begins with record `first`.
pub(crate) fn log_path(dir: &Path, first: RecordNumber) -> PathBuf {
    dir.join(format!("log-{:020}.plg", first.0))
}

/// Makes the folder's list of files durable.
pub(crate) fn sync(dir: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened, and needs no sync.
    if cfg!(unix) {
        File::open(dir)?.sync_all()
    } else {
        Ok(())
    }
}

/// What the folder held.
pub(crate) struct Contents {
    /// Bytes in all files.
    pub(crate) bytes: u64,
    /// The number after the last record.
    pub(crate) next: RecordNumber,
    /// The last file; `None` where there is no file yet.
    pub(crate) last: Option<LastFile>,
}

/// The file that is still written to.
pub(crate) struct LastFile {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    pub(crate) image: Image,
}

/// Reads all records in order, up to a torn tail.
pub(crate) fn read(
    dir: &Path,
    mut each: impl FnMut(RecordNumber, Record) -> Result<(), TooLarge>,
) -> Result<Contents, Error> {
    let files = list(dir)?;
    let mut contents = Contents {
        bytes: 0,
        next: RecordNumber(0),
        last: None,
    };
    for (position, (named, path)) in files.iter().enumerate() {
        let place = if position + 1 == files.len() {
            Place::Last
        } else {
            Place::Sealed
        };
        let bytes = fs::read(path).map_err(|error| Error::io(path, "read", error))?;
        contents.bytes += bytes.len() as u64;
        if *named != contents.next {
            return Err(error(path, sequence(contents.next, *named)));
        }
        let image = image::read(&bytes, Some(contents.next), place, &mut each)
            .map_err(|fault| error(path, fault))?;
        contents.next = image.next;
        contents.last = Some(LastFile {
            path: path.clone(),
            bytes,
            image,
        });
    }
    Ok(contents)
}

/// The log files by their first record, in order.
fn list(dir: &Path) -> Result<Vec<(RecordNumber, PathBuf)>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| Error::io(dir, "list", error))? {
        let entry = entry.map_err(|error| Error::io(dir, "list", error))?;
        if let Some(first) = entry.file_name().to_str().and_then(first_record) {
            files.push((first, entry.path()));
        }
    }
    files.sort();
    Ok(files)
}

fn first_record(name: &str) -> Option<RecordNumber> {
    let digits = name.strip_prefix("log-")?.strip_suffix(".plg")?;
    let all = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| digits.parse().ok().map(RecordNumber))?
}

fn sequence(expected: RecordNumber, found: RecordNumber) -> Fault {
    Fault {
        offset: 0,
        record: expected,
        cause: Cause::Flaw(crate::Flaw::Sequence { expected, found }),
    }
}

/// A fault with the file it is in.
pub(crate) fn error(file: &Path, fault: Fault) -> Error {
    let file = file.to_owned();
    match fault.cause {
        Cause::Flaw(flaw) => Error::Damaged {
            file,
            offset: fault.offset as u64,
            record: fault.record,
            flaw,
        },
        Cause::Version(version) => Error::Version { file, version },
        Cause::TooLarge(error) => error.into(),
    }
}
