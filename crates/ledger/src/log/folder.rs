//! The folder of a log: its lock and its files.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use portledger_model::RecordNumber;

use super::{
    chunk::Chunk,
    file::{self, Place, Scan},
};
use crate::Error;

/// A reader holds the lock for the blink of an eye, to see whether a writer does.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Takes the writer's lock, which the system gives back when the process ends, however it ends.
pub(crate) fn lock(dir: &Path) -> Result<File, Error> {
    lock_file(&dir.join("LOCK"))
}

/// Takes the lock, waiting for as long as `patience` for another process to give it up.
pub(crate) fn lock_patiently(dir: &Path, patience: Duration) -> Result<File, Error> {
    lock_file_patiently(&dir.join("LOCK"), patience)
}

/// As [`lock_patiently`], for any lock.
pub(crate) fn lock_file_patiently(path: &Path, patience: Duration) -> Result<File, Error> {
    let deadline = Instant::now() + patience;
    loop {
        match lock_file(path) {
            Err(Error::Locked { .. }) if Instant::now() < deadline => {}
            taken => return taken,
        }
    }
}

fn lock_file(path: &Path) -> Result<File, Error> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|error| Error::io(path, "open", error))?;
    for _ in 0..LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(Error::io(path, "lock", error)),
        }
    }
    Err(Error::Locked {
        dir: path.parent().unwrap_or(path).into(),
    })
}

/// What a lock file holds whose process writes down what other devices told.
const COLLECTS: &[u8] = b"collects\n";

/// Notes for whoever looks on whether the lock's process collects or is the device itself.
pub(crate) fn say_who_writes(lock: &File, collects: bool) -> io::Result<()> {
    lock.set_len(0)?;
    if collects {
        lock.write_all_at(COLLECTS, 0)?;
    }
    Ok(())
}

/// Whether a live device holds the writer's lock. That somebody lives who collects what devices
/// tell says nothing of the devices.
pub(crate) fn is_alive(dir: &Path) -> bool {
    let path = dir.join("LOCK");
    let is_locked = File::open(&path)
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)));
    is_locked && fs::read(&path).is_ok_and(|who| who != COLLECTS)
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

/// Makes durable what is in the last file, nobody writing to it.
pub(crate) fn sync_last(dir: &Path) -> Result<(), Error> {
    let Some((_, path)) = list(dir)?.pop() else {
        return Ok(());
    };
    let synced = File::open(&path).and_then(|file| file.sync_all());
    synced.map_err(|error| Error::io(path, "sync", error))
}

/// What the folder held.
pub(crate) struct Contents {
    /// Bytes in all files.
    pub(crate) bytes: u64,
    /// The number after the last record.
    pub(crate) next: RecordNumber,
    /// The number after the last record that is known to be durable.
    pub(crate) durable: RecordNumber,
    /// The last file; `None` where there is no file yet.
    pub(crate) last: Option<LastFile>,
}

/// The file that is still written to.
pub(crate) struct LastFile {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    pub(crate) scan: Scan,
}

/// Hands over the chunks of the files that hold record `from` or later ones, in order and up to
/// a torn tail. Files before those may be gone, or are not read.
pub(crate) fn read(
    dir: &Path,
    from: RecordNumber,
    each: impl FnMut(Chunk<'_>) -> Result<(), Error>,
) -> Result<Contents, Error> {
    read_some(dir, from, u64::MAX, each)
}

/// As [`read`], but no further file once there are `enough` records.
pub(crate) fn read_some(
    dir: &Path,
    from: RecordNumber,
    enough: u64,
    mut each: impl FnMut(Chunk<'_>) -> Result<(), Error>,
) -> Result<Contents, Error> {
    let mut files = list(dir)?;
    let needed = files.partition_point(|(first, _)| *first <= from);
    let mut contents = Contents {
        bytes: 0,
        next: from,
        durable: from,
        last: None,
    };
    for (_, path) in files.drain(..needed.saturating_sub(1)) {
        contents.bytes += fs::metadata(&path).map_or(0, |file| file.len());
    }
    for (position, (named, path)) in files.iter().enumerate() {
        if enough <= contents.next.0.saturating_sub(from.0) {
            break;
        }
        let place = if position + 1 == files.len() {
            Place::Last
        } else {
            Place::Sealed
        };
        if position == 0 && *named <= from {
            contents.next = *named;
        }
        let bytes = fs::read(path).map_err(|error| Error::io(path, "read", error))?;
        contents.bytes += bytes.len() as u64;
        let scan = file::scan(path, &bytes, contents.next, place, &mut each)?;
        contents.next = scan.next;
        // A file is durable before the next is begun.
        contents.durable = match place {
            Place::Sealed => scan.next,
            Place::Last => scan.durable,
        };
        contents.last = Some(LastFile {
            path: path.clone(),
            bytes,
            scan,
        });
    }
    Ok(contents)
}

/// The log files by their first records.
pub(crate) fn list(dir: &Path) -> Result<Vec<(RecordNumber, PathBuf)>, Error> {
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
