//! A store that is a folder of this machine.
//!
//! A file is written under a hidden name beside its place, synced, and linked to its name: a link,
//! unlike a rename, fails when the name is taken. Then the folder is synced, for a name is durable
//! only with its folder (fsync(2), link(2)).

mod walk;

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    error::{Action, Error, Spot},
    location::Location,
    path::StorePath,
    read::{LocalFile, ReadAt},
    store::{Entry, GET_LIMIT},
};

/// Subscribers are in these files: not for everyone.
const FILE_MODE: u32 = 0o640;
const FOLDER_MODE: u32 = 0o750;

/// A folder of sealed files.
pub(crate) struct Folder {
    location: Location,
    root: PathBuf,
}

impl Folder {
    pub(crate) fn open(location: &Location, root: &Path) -> Result<Self, Error> {
        let folder = Self {
            location: location.clone(),
            // The process may change its working directory later.
            root: std::path::absolute(root)
                .map_err(|source| io_error(location, None, Action::Open, source))?,
        };
        match fs::metadata(&folder.root) {
            Ok(metadata) if metadata.is_dir() => Ok(folder),
            Ok(_) => Err(no_folder(location)),
            Err(error) if absent(&error) => Err(no_folder(location)),
            Err(source) => Err(io_error(location, None, Action::Open, source)),
        }
    }

    /// Makes the folder and those above it, durably.
    pub(crate) fn create(location: &Location, root: &Path) -> Result<(), Error> {
        std::path::absolute(root)
            .and_then(|root| make_folders(&root))
            .map_err(|source| io_error(location, None, Action::Open, source))
    }

    pub(crate) fn put_new(&self, path: &StorePath, bytes: &[u8]) -> Result<(), Error> {
        self.put(path, |target| {
            write_then_link(target, |file| file.write_all(bytes))
        })
    }

    pub(crate) fn put_file(&self, path: &StorePath, local: &Path) -> Result<(), Error> {
        let unreadable = |source| Error::Source {
            spot: self.spot(path),
            file: local.to_owned(),
            source,
        };
        // A hard link to a symbolic link would be another symbolic link.
        let local_path = fs::canonicalize(local).map_err(unreadable)?;
        let mut source = open_regular(&local_path).map_err(unreadable)?;
        self.put(path, |target| {
            match adopt(&source, &local_path, target) {
                // In another file system, not ours to link, too many links already.
                Err(error) if linked_never(&error) => {
                    write_then_link(target, |file| io::copy(&mut source, file).map(drop))
                }
                done => done,
            }
        })
    }

    pub(crate) fn get(&self, path: &StorePath) -> Result<Vec<u8>, Error> {
        let (file, bytes) = self.open_stored(path)?;
        let too_large = || Error::TooLarge {
            spot: self.spot(path),
            limit: GET_LIMIT,
        };
        if bytes > GET_LIMIT {
            return Err(too_large());
        }
        let mut content = Vec::new();
        file.take(GET_LIMIT + 1)
            .read_to_end(&mut content)
            .map_err(|source| self.failed(path, Action::Read, source))?;
        if content.len() as u64 > GET_LIMIT {
            return Err(too_large());
        }
        Ok(content)
    }

    pub(crate) fn open_file(&self, path: &StorePath) -> Result<Box<dyn ReadAt>, Error> {
        let (file, bytes) = self.open_stored(path)?;
        Ok(Box::new(LocalFile::new(file, bytes)))
    }

    pub(crate) fn list(&self, prefix: Option<&StorePath>) -> Result<Vec<Entry>, Error> {
        let top = prefix.map_or_else(|| self.root.clone(), |prefix| self.file(prefix));
        walk::list(&top, prefix)
            .map_err(|source| io_error(&self.location, prefix, Action::List, source))
    }

    pub(crate) fn delete(&self, path: &StorePath) -> Result<(), Error> {
        let file = self.file(path);
        let result = match fs::symlink_metadata(&file) {
            // A folder is no stored file: none of this name is there.
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => fs::remove_file(&file).and_then(|()| sync_folder_of(&file)),
            Err(error) => Err(error),
        };
        match result {
            Err(error) if !absent(&error) => Err(self.failed(path, Action::Delete, error)),
            _ => Ok(()),
        }
    }

    pub(crate) fn delete_all(&self, prefix: &StorePath) -> Result<u64, Error> {
        walk::delete(&self.file(prefix))
            .map_err(|source| self.failed(prefix, Action::Delete, source))
    }

    /// Makes the folders above, lets `publish` bring the file to its name, and syncs that name.
    fn put(
        &self,
        path: &StorePath,
        publish: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<(), Error> {
        let target = self.file(path);
        let result = match fs::symlink_metadata(&target) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if absent(&error) => target
                .parent()
                .map_or(Ok(()), make_folders)
                .and_then(|()| publish(&target))
                .and_then(|()| sync_folder_of(&target)),
            Err(error) => Err(error),
        };
        result.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists {
                spot: self.spot(path),
            },
            _ => self.failed(path, Action::Write, source),
        })
    }

    fn open_stored(&self, path: &StorePath) -> Result<(File, u64), Error> {
        open_regular(&self.file(path))
            .and_then(|file| {
                let bytes = file.metadata()?.len();
                Ok((file, bytes))
            })
            .map_err(|error| {
                if absent(&error) || error.kind() == io::ErrorKind::IsADirectory {
                    Error::NotFound {
                        spot: self.spot(path),
                    }
                } else {
                    self.failed(path, Action::Read, error)
                }
            })
    }

    fn file(&self, path: &StorePath) -> PathBuf {
        let mut file = self.root.clone();
        file.extend(path.segments());
        file
    }

    fn spot(&self, path: &StorePath) -> Spot {
        Spot {
            location: self.location.clone(),
            path: Some(path.clone()),
        }
    }

    fn failed(&self, path: &StorePath, action: Action, source: io::Error) -> Error {
        io_error(&self.location, Some(path), action, source)
    }
}

fn no_folder(location: &Location) -> Error {
    Error::NoStore {
        location: location.clone(),
        kind: "folder",
    }
}

fn io_error(
    location: &Location,
    path: Option<&StorePath>,
    action: Action,
    source: io::Error,
) -> Error {
    Error::Io {
        spot: Spot {
            location: location.clone(),
            path: path.cloned(),
        },
        action,
        source,
    }
}

/// Whether there is nothing of that name; below a file nothing is either.
fn absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Opens a file that is one: opening a pipe would wait for its other end.
fn open_regular(path: &Path) -> io::Result<File> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    File::open(path)
}

/// Writes a hidden file, syncs it, and gives it the name `target` if that is free.
fn write_then_link(
    target: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let hidden = hidden_beside(target);
    let result = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&hidden)
        .and_then(|mut file| {
            write(&mut file)?;
            file.sync_all()
        })
        .and_then(|()| fs::hard_link(&hidden, target));
    // The name it was to have is what counts; a hidden file left over is found by `delete_all`.
    let _ = fs::remove_file(&hidden);
    result
}

/// Lets a finished file be the stored one under a second name.
fn adopt(file: &File, local: &Path, target: &Path) -> io::Result<()> {
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    if mode & !FILE_MODE != 0 {
        file.set_permissions(Permissions::from_mode(mode & FILE_MODE))?;
    }
    file.sync_all()?;
    fs::hard_link(local, target)
}

fn linked_never(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::CrossesDevices
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::TooManyLinks
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::Unsupported
    )
}

/// No other thread, process or time uses this name: not a [`StorePath`], so no reader sees it.
fn hidden_beside(target: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let id = process::id();
    // A process of the same number may have died here before, so the time is in the name as well.
    let time = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.as_nanos());
    target.with_file_name(format!("{HIDDEN}{time:x}-{id}-{count}"))
}

/// How the names of unfinished files begin.
const HIDDEN: &str = ".new-";

/// Makes a folder and those above it; each that is new is synced into the one that holds it.
fn make_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_folders(parent)?;
    }
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Ok(()) => sync_folder_of(folder),
        // Another was faster; it may not have come to syncing yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {
            sync_folder_of(folder)
        }
        Err(error) => Err(error),
    }
}

fn sync_folder_of(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
