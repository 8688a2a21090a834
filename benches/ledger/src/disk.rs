//! Bytes on disk and in the page cache.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::fs::{Advice, fadvise};

use crate::error::Error;

/// Bytes that the files in `folder` take on the disk, holes left out.
///
/// # Errors
/// When it cannot be read.
pub fn bytes(folder: &Path) -> Result<u64, Error> {
    files(folder)?.iter().map(|file| file_bytes(file)).sum()
}

/// Bytes of those files in `folder` whose names end with `.` and `extension`.
///
/// # Errors
/// When it cannot be read.
pub fn bytes_of(folder: &Path, extension: &str) -> Result<u64, Error> {
    let of = |file: &&PathBuf| file.extension().is_some_and(|it| it == extension);
    let files = files(folder)?;
    files.iter().filter(of).map(|file| file_bytes(file)).sum()
}

/// Bytes that one file takes on the disk, holes left out; none, when it is not there: an engine
/// that works in the background may have removed it since it was listed.
///
/// # Errors
/// When it cannot be looked at.
pub fn file_bytes(file: &Path) -> Result<u64, Error> {
    match fs::symlink_metadata(file) {
        Ok(metadata) => Ok(metadata.blocks() * 512),
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(Error::file("look at", file)(source)),
    }
}

/// Writes out what waits, and drops the files in `folder` from the page cache. The engine has to be
/// closed: what is mapped stays.
///
/// # Errors
/// When a file cannot be opened.
pub fn drop_from_cache(folder: &Path) -> Result<(), Error> {
    rustix::fs::sync();
    for path in files(folder)? {
        let file = File::open(&path).map_err(Error::file("open", &path))?;
        let dropped = fadvise(&file, 0, None, Advice::DontNeed);
        dropped.map_err(|failed| Error::file("drop from the cache", &path)(failed.into()))?;
    }
    Ok(())
}

/// Reads all files in `folder` once, so that the page cache has of them what it can hold.
///
/// # Errors
/// When a file cannot be read.
pub fn read_into_cache(folder: &Path) -> Result<(), Error> {
    let mut buffer = vec![0; 1 << 20];
    for path in files(folder)? {
        let mut file = File::open(&path).map_err(Error::file("open", &path))?;
        while file.read(&mut buffer).map_err(Error::file("read", &path))? > 0 {}
    }
    Ok(())
}

/// Bytes that are free for us in the file system of `folder`.
///
/// # Errors
/// When it does not tell.
pub fn free(folder: &Path) -> Result<u64, Error> {
    let told = rustix::fs::statvfs(folder);
    let told = told.map_err(|failed| Error::file("look at", folder)(failed.into()))?;
    Ok(told.f_bavail * told.f_frsize)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(Error::file("read", &folder)(source)),
        };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    Ok(files)
}
