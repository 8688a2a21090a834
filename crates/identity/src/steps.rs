//! Steps on the disk, each of which a crash may come after.

#[cfg(unix)]
use std::os::unix::fs::OpenOptionsExt;
use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

use crate::Error;

/// Does the steps; in tests the power goes after so many of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steps {
    #[cfg(test)]
    pub(crate) fuse: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        let steps = Self::default();
        #[cfg(test)]
        steps.light(u64::MAX);
        steps
    }

    /// A new file that only its owner reads; what an earlier attempt left is lost.
    pub(crate) fn create(&self, path: &Path) -> Result<File, Error> {
        self.step(path)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        options.mode(0o600);
        options
            .open(path)
            .map_err(|source| Error::io(path, "create", source))
    }

    pub(crate) fn write(&self, file: &mut File, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        self.step(path)?;
        io::Write::write_all(file, bytes).map_err(|source| Error::io(path, "write", source))
    }

    pub(crate) fn sync(&self, file: &File, path: &Path) -> Result<(), Error> {
        self.step(path)?;
        file.sync_all()
            .map_err(|source| Error::io(path, "make durable", source))
    }

    /// Makes the folder's list of files durable.
    pub(crate) fn sync_folder(&self, dir: &Path) -> Result<(), Error> {
        self.step(dir)?;
        // Elsewhere a folder cannot be opened, and needs no sync.
        if cfg!(unix) {
            let opened = File::open(dir).and_then(|dir| dir.sync_all());
            opened.map_err(|source| Error::io(dir, "make durable", source))?;
        }
        Ok(())
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        self.step(from)?;
        fs::rename(from, to).map_err(|source| Error::io(from, "rename", source))
    }

    /// Removes a file that may be gone already.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), Error> {
        self.step(path)?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io(path, "remove", error))
            }
            _ => Ok(()),
        }
    }

    #[cfg(test)]
    pub(crate) fn light(&self, steps: u64) {
        self.fuse.store(steps, std::sync::atomic::Ordering::Relaxed);
    }

    /// In tests the power may go here.
    #[cfg_attr(not(test), expect(clippy::unnecessary_wraps, clippy::unused_self))]
    pub(crate) fn step(&self, _path: &Path) -> Result<(), Error> {
        #[cfg(test)]
        {
            use std::sync::atomic::Ordering::Relaxed;
            let left = self.fuse.load(Relaxed);
            if left == 0 {
                return Err(Error::io(
                    _path,
                    "go on with",
                    io::Error::other("the power went"),
                ));
            }
            self.fuse.store(left - 1, Relaxed);
        }
        Ok(())
    }
}
