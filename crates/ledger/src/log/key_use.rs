//! Who writes with the days' keys, and who destroys one, take turns.
//!
//! Whoever writes holds `KEYS` with others from before a chunk is sealed until it is durable; whoever
//! destroys a key holds it alone, and has all that was sealed with it in segments before. The file
//! counts the destructions, so that no key is used that was kept in memory meanwhile. `KEYS-NEXT` is
//! the door to it: a writer who never rests would otherwise keep everybody else out.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use super::folder;
use crate::Error;

const USE: &str = "KEYS";
const NEXT: &str = "KEYS-NEXT";

/// A writer's side.
pub(crate) struct KeyUse {
    path: PathBuf,
    keys: File,
    next: File,
    held: bool,
    destroyed: u64,
}

impl KeyUse {
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(USE);
        let keys = open(&path)?;
        let destroyed = count(&keys).map_err(|error| Error::io(&path, "read", error))?;
        Ok(Self {
            keys,
            next: open(&dir.join(NEXT))?,
            held: false,
            destroyed,
            path,
        })
    }

    /// Waits until no key is being destroyed, and keeps that so. `true` where keys that are known
    /// may be no more.
    pub(crate) fn begin(&mut self) -> Result<bool, Error> {
        if self.held {
            return Ok(false);
        }
        let path = &self.path;
        let failed = |action| move |error| Error::io(path, action, error);
        self.next.lock_shared().map_err(failed("lock"))?;
        let locked = self.keys.lock_shared();
        self.next.unlock().map_err(failed("unlock"))?;
        locked.map_err(failed("lock"))?;
        self.held = true;
        let destroyed = count(&self.keys).map_err(failed("read"))?;
        Ok(std::mem::replace(&mut self.destroyed, destroyed) != destroyed)
    }

    /// All that was sealed is durable.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.held) {
            let unlocked = self.keys.unlock();
            unlocked.map_err(|error| Error::io(&self.path, "unlock", error))?;
        }
        Ok(())
    }
}

/// Nothing is sealed with any key while this is there.
pub(crate) struct Destroying {
    path: PathBuf,
    keys: File,
    _next: File,
}

impl Destroying {
    /// Waits a while for whoever writes to make durable what it sealed.
    pub(crate) fn begin(dir: &Path, patience: Duration) -> Result<Self, Error> {
        let lock = |name: &str| {
            folder::lock_file_patiently(&dir.join(name), patience).map_err(|error| match error {
                Error::Locked { dir } => Error::Unsettled { dir },
                error => error,
            })
        };
        let next = lock(NEXT)?;
        Ok(Self {
            path: dir.join(USE),
            keys: lock(USE)?,
            _next: next,
        })
    }

    /// Has every writer look for its keys again. Comes before one is destroyed.
    pub(crate) fn count(&self) -> Result<(), Error> {
        let counted = count(&open(&self.path)?).and_then(|before| {
            self.keys
                .write_all_at(&(before.wrapping_add(1)).to_le_bytes(), 0)
        });
        counted.map_err(|error| Error::io(&self.path, "write", error))
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let mut options = File::options();
    options.create(true).truncate(false).read(true).write(true);
    options
        .open(path)
        .map_err(|error| Error::io(path, "open", error))
}

/// How many keys were destroyed; a file that is new, or not whole, has counted none.
fn count(file: &File) -> io::Result<u64> {
    let mut bytes = [0; 8];
    let read = file.read_at(&mut bytes, 0)?;
    Ok(if read == bytes.len() {
        u64::from_le_bytes(bytes)
    } else {
        0
    })
}
