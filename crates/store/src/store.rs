//! The store: one set of promises over both kinds of places.

use std::{
    fmt, io,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    access::Access,
    error::{Action, Error, Spot},
    folder::Folder,
    location::{Location, Place},
    path::StorePath,
    read::ReadAt,
    remote::Remote,
};

/// The largest file that [`Store::get`] reads into memory, in bytes: 256 MiB.
pub const GET_LIMIT: u64 = 256 << 20;

/// Sealed files at one place. Cheap to open, usable from any number of threads.
pub struct Store {
    location: Location,
    kind: Kind,
    /// How many more changes it takes; `None` where it always does.
    power: Option<AtomicU64>,
}

enum Kind {
    Folder(Folder),
    Remote(Remote),
}

/// A stored file, as listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name.
    pub path: StorePath,
    /// Its length in bytes.
    pub bytes: u64,
}

impl Store {
    /// Opens the store at `location`, with the settings of the environment when it is remote.
    ///
    /// A folder has to be there: a mistyped one would look like a store without files. A remote
    /// store is not asked before the first file is wanted.
    ///
    /// # Errors
    /// When there is no such folder, when credentials are missing, or a setting is no good.
    pub fn open(location: &Location) -> Result<Self, Error> {
        Self::open_with(location, &Access::from_environment())
    }

    /// Opens the store at `location` with these settings when it is remote. It is else
    /// [`Store::open`].
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(location: &Location, access: &Access) -> Result<Self, Error> {
        Ok(Self {
            location: location.clone(),
            kind: match location.place() {
                Place::Folder(path) => Kind::Folder(Folder::open(location, path)?),
                Place::Bucket { bucket, prefix } => {
                    Kind::Remote(Remote::open(location, bucket, prefix.as_ref(), access)?)
                }
            },
            power: None,
        })
    }

    /// A store whose power fails: it takes so many more changes and refuses every later one. For
    /// tests of what a crash between two changes leaves.
    #[must_use]
    pub fn failing_after(self, changes: u64) -> Self {
        Self {
            power: Some(AtomicU64::new(changes)),
            ..self
        }
    }

    fn change(&self, path: &StorePath, action: Action) -> Result<(), Error> {
        let Some(power) = &self.power else {
            return Ok(());
        };
        let one_less = |left: u64| left.checked_sub(1);
        match power.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Io {
                spot: Spot {
                    location: self.location.clone(),
                    path: Some(path.clone()),
                },
                action,
                source: io::Error::other("the power failed"),
            }),
        }
    }

    /// Makes the folder (mode 0750, with those above it) when `location` is one and it is not
    /// there, and opens the store. Buckets are not made.
    ///
    /// # Errors
    /// As [`Store::open`], and when the folder cannot be made.
    pub fn create(location: &Location) -> Result<Self, Error> {
        if let Place::Folder(path) = location.place() {
            Folder::create(location, path)?;
        }
        Self::open(location)
    }

    /// Where it is.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Stores `bytes` under a name that must be free. Durable and whole when it returns.
    ///
    /// # Errors
    /// [`Error::Exists`] when the name is taken; else what went wrong. After any other error the
    /// file may be there or not, but never in part: an answer can get lost on its way back. Who
    /// tries again and gets [`Error::Exists`] reads the file to know.
    pub fn put_new(&self, path: &StorePath, bytes: Vec<u8>) -> Result<(), Error> {
        self.change(path, Action::Write)?;
        match &self.kind {
            Kind::Folder(folder) => folder.put_new(path, &bytes),
            Kind::Remote(remote) => remote.put_new(path, bytes),
        }
    }

    /// Stores the finished file `local` under a name that must be free. Durable and whole when it
    /// returns. Nothing may write to `local` during this and ever after: in the same file system
    /// it becomes the stored file (a hard link, its mode cut to 0640 at most); else it is copied
    /// or sent, and may be deleted. Memory: at most 64 MiB, or four ten-thousandths of the file.
    ///
    /// # Errors
    /// As [`Store::put_new`], and [`Error::Source`] when `local` cannot be read.
    pub fn put_file(&self, path: &StorePath, local: &Path) -> Result<(), Error> {
        self.change(path, Action::Write)?;
        match &self.kind {
            Kind::Folder(folder) => folder.put_file(path, local),
            Kind::Remote(remote) => remote.put_file(path, local),
        }
    }

    /// A whole file, of at most [`GET_LIMIT`] bytes.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::TooLarge`], or what went wrong.
    pub fn get(&self, path: &StorePath) -> Result<Vec<u8>, Error> {
        match &self.kind {
            Kind::Folder(folder) => folder.get(path),
            Kind::Remote(remote) => remote.get(path),
        }
    }

    /// Opens a file to read it at any place. It stays readable in a folder after it was deleted;
    /// in a remote store it does not.
    ///
    /// # Errors
    /// [`Error::NotFound`], or what went wrong.
    pub fn open_file(&self, path: &StorePath) -> Result<Box<dyn ReadAt>, Error> {
        match &self.kind {
            Kind::Folder(folder) => folder.open_file(path),
            Kind::Remote(remote) => remote.open_file(path),
        }
    }

    /// The files below the folder `prefix`, or all of them, by name. Segments count, not letters:
    /// below `2026-11` is `2026-11/x`, not `2026-11-01/x` and not the file `2026-11` itself.
    /// A folder that is not there has no files. Files whose names are no [`StorePath`]s, hidden
    /// ones, and what symbolic links point to are left out.
    ///
    /// # Errors
    /// What went wrong; never part of a list.
    pub fn list(&self, prefix: Option<&StorePath>) -> Result<Vec<Entry>, Error> {
        let mut entries = match &self.kind {
            Kind::Folder(folder) => folder.list(prefix),
            Kind::Remote(remote) => remote.list(prefix),
        }?;
        entries.sort_unstable();
        Ok(entries)
    }

    /// Deletes a file. One that is not there is fine.
    ///
    /// # Errors
    /// What went wrong; the file may still be there.
    pub fn delete(&self, path: &StorePath) -> Result<(), Error> {
        self.change(path, Action::Delete)?;
        match &self.kind {
            Kind::Folder(folder) => folder.delete(path),
            Kind::Remote(remote) => remote.delete(path),
        }
    }

    /// Deletes what [`Store::list`] lists below `prefix`, and says how many files that were. In a
    /// folder, what interrupted writes left there and folders that became empty go too.
    ///
    /// # Errors
    /// What went wrong; some files may be deleted then, and asking again deletes the rest.
    pub fn delete_all(&self, prefix: &StorePath) -> Result<u64, Error> {
        self.change(prefix, Action::Delete)?;
        match &self.kind {
            Kind::Folder(folder) => folder.delete_all(prefix),
            Kind::Remote(remote) => remote.delete_all(prefix),
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is inside knows the credentials.
        f.debug_struct("Store")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}
