//! Going through a folder's files.

use std::{
    fs::{self, DirEntry},
    io,
    path::Path,
};

use super::{HIDDEN, absent, sync_folder, sync_folder_of};
use crate::{path::StorePath, store::Entry};

/// The files below `top`, whose name in the store is `prefix`.
pub(super) fn list(top: &Path, prefix: Option<&StorePath>) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut folders = vec![(top.to_owned(), prefix.cloned())];
    while let Some((folder, name)) = folders.pop() {
        for entry in read(&folder)? {
            let Some(path) = named(&entry, name.as_ref()) else {
                continue;
            };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push((entry.path(), Some(path)));
            } else if kind.is_file() {
                match entry.metadata() {
                    Ok(metadata) => entries.push(Entry {
                        path,
                        bytes: metadata.len(),
                    }),
                    // Deleted while we looked.
                    Err(error) if absent(&error) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(entries)
}

/// Deletes the files below `top` and the folders this leaves empty; how many files.
pub(super) fn delete(top: &Path) -> io::Result<u64> {
    let deleted = delete_below(top, 0)?;
    match fs::remove_dir(top) {
        Ok(()) => sync_folder_of(top)?,
        // A file, someone else's files, or nothing.
        Err(error) if absent(&error) || error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
        Err(error) => return Err(error),
    }
    Ok(deleted)
}

/// A path has at most 250 segments, so deeper folders hold no stored file.
const MAX_DEPTH: usize = StorePath::MAX_BYTES / 2;

fn delete_below(folder: &Path, depth: usize) -> io::Result<u64> {
    let mut deleted = 0;
    let mut changed = false;
    for entry in read(folder)? {
        let unfinished = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(HIDDEN));
        let stored = named(&entry, None).is_some();
        let kind = entry.file_type()?;
        let done = if stored && kind.is_dir() && depth < MAX_DEPTH {
            deleted += delete_below(&entry.path(), depth + 1)?;
            fs::remove_dir(entry.path())
        } else if kind.is_file() && (stored || unfinished) {
            fs::remove_file(entry.path()).inspect(|()| deleted += u64::from(stored))
        } else {
            continue;
        };
        match done {
            Ok(()) => changed = true,
            Err(error) if absent(&error) || error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(error) => return Err(error),
        }
    }
    if changed {
        sync_folder(folder)?;
    }
    Ok(deleted)
}

/// What is in a folder; nothing when it is none.
fn read(folder: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) if absent(&error) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The name in the store, when the entry's is one.
fn named(entry: &DirEntry, folder: Option<&StorePath>) -> Option<StorePath> {
    let name = entry.file_name();
    let name = name.to_str()?;
    match folder {
        Some(folder) => folder.join(name).ok(),
        None => name.parse().ok(),
    }
}
