//! The ring's folder: each function is one step that a crash may come after.

#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use crate::Error;

/// No file of the ring is longer; what is was put there by someone else.
const LONGEST: u64 = 4_096;

pub(crate) struct Disk {
    dir: PathBuf,
    /// In tests: after how many steps the power goes.
    #[cfg(test)]
    pub(crate) fuse: std::sync::atomic::AtomicUsize,
}

impl Disk {
    /// The folder at `dir`, made for the owner alone where there is none.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        if !dir.is_dir() {
            let mut builder = DirBuilder::new();
            #[cfg(unix)]
            builder.mode(0o700);
            builder
                .recursive(true)
                .create(dir)
                .map_err(|source| Error::io(dir, "make the folder", source))?;
            sync_parent(dir).map_err(|source| Error::io(dir, "make durable", source))?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            #[cfg(test)]
            fuse: usize::MAX.into(),
        })
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// The names of all files, in order.
    pub(crate) fn names(&self) -> Result<Vec<String>, Error> {
        let failed = |source| Error::io(&self.dir, "list", source);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            // What is no text is no file of ours.
            names.extend(entry.map_err(failed)?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    /// What a file holds; `None` where there is none.
    pub(crate) fn read(&self, file: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(file);
        let opened = match File::open(&path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(path, "open", error)),
        };
        let mut bytes = Vec::new();
        opened
            .take(LONGEST)
            .read_to_end(&mut bytes)
            .map_err(|source| Error::io(path, "read", source))?;
        Ok(Some(bytes))
    }

    /// Waits until no other process, and no other thread of this one, changes the ring. The
    /// system lets the next one in when the file is closed, however this process ends.
    pub(crate) fn lock(&self) -> Result<File, Error> {
        let path = self.path("LOCK");
        let failed = |source| Error::io(self.path("LOCK"), "lock", source);
        let file = private()
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }

    /// Writes a new file, durable but for its name.
    pub(crate) fn write_new(&self, file: &str, bytes: &[u8]) -> Result<(), Error> {
        let failed = |source| Error::io(self.path(file), "write", source);
        self.step(file)?;
        let mut opened = private()
            .create_new(true)
            .open(self.path(file))
            .map_err(failed)?;
        let (start, rest) = bytes.split_at(bytes.len() / 2);
        self.step(file)?;
        opened.write_all(start).map_err(failed)?;
        self.step(file)?;
        opened.write_all(rest).map_err(failed)?;
        self.step(file)?;
        opened.sync_all().map_err(failed)
    }

    /// Gives a file a second name; false where another file has it already.
    pub(crate) fn link(&self, file: &str, name: &str) -> Result<bool, Error> {
        self.step(file)?;
        match fs::hard_link(self.path(file), self.path(name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(Error::io(self.path(file), "link", error)),
        }
    }

    /// Puts a file in the place of another, whose bytes are overwritten.
    pub(crate) fn replace(&self, file: &str, name: &str) -> Result<(), Error> {
        let old = match OpenOptions::new().write(true).open(self.path(name)) {
            Ok(old) => Some(old),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io(self.path(name), "open", error)),
        };
        self.rename(file, name)?;
        old.map_or(Ok(()), |old| self.overwrite(name, old))
    }

    pub(crate) fn rename(&self, file: &str, name: &str) -> Result<(), Error> {
        self.step(file)?;
        fs::rename(self.path(file), self.path(name))
            .map_err(|source| Error::io(self.path(file), "rename", source))
    }

    /// Overwrites a file and removes it.
    pub(crate) fn shred(&self, file: &str) -> Result<(), Error> {
        let opened = OpenOptions::new()
            .write(true)
            .open(self.path(file))
            .map_err(|source| Error::io(self.path(file), "open", source))?;
        self.overwrite(file, opened)?;
        self.remove(file)
    }

    pub(crate) fn remove(&self, file: &str) -> Result<(), Error> {
        self.step(file)?;
        fs::remove_file(self.path(file))
            .map_err(|source| Error::io(self.path(file), "remove", source))
    }

    /// Makes the folder's list of files durable.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.step("")?;
        sync_folder(&self.dir).map_err(|source| Error::io(&self.dir, "make durable", source))
    }

    fn overwrite(&self, file: &str, mut opened: File) -> Result<(), Error> {
        let failed = |source| Error::io(self.path(file), "overwrite", source);
        self.step(file)?;
        let length = opened.metadata().map_err(failed)?.len();
        io::copy(&mut io::repeat(0).take(length), &mut opened).map_err(failed)?;
        self.step(file)?;
        opened.sync_all().map_err(failed)
    }

    /// In tests the power may go here.
    #[cfg_attr(not(test), expect(clippy::unnecessary_wraps, clippy::unused_self))]
    fn step(&self, _file: &str) -> Result<(), Error> {
        #[cfg(test)]
        {
            use std::sync::atomic::Ordering::Relaxed;
            let left = self.fuse.load(Relaxed);
            if left == 0 {
                let gone = io::Error::other("the power went");
                return Err(Error::io(self.path(_file), "go on with", gone));
            }
            self.fuse.store(left - 1, Relaxed);
        }
        Ok(())
    }
}

/// Options for a file that only its owner reads.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    options.mode(0o600);
    options
}

/// Makes the name of a file or folder durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent),
        Some(_) => sync_folder(Path::new(".")),
        None => Ok(()),
    }
}

fn sync_folder(dir: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened, and needs no sync.
    if cfg!(unix) {
        File::open(dir)?.sync_all()
    } else {
        Ok(())
    }
}
