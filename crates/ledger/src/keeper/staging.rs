//! Where segments are written before they are put in their place.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use portledger_segments::{FileSummary, Key};
use portledger_store::Store;

use super::Keeper;
use crate::{
    Day, Error,
    manifest::{FileEntry, Manifest, segment_path},
    shelf::segment_key,
};

/// A segment that is being written.
pub(super) struct Staged {
    pub(super) day: Day,
    pub(super) id: u64,
    pub(super) dir: PathBuf,
    pub(super) key: Option<Key>,
}

/// Removes what a crash left: segments that were written and that no list came to name. `dir` is
/// the ledger's.
pub(super) fn clear(dir: &Path, store: &Store, manifest: &Manifest) -> Result<(), Error> {
    let staging = staging(dir);
    let entries = match fs::read_dir(&staging) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| Error::io(&staging, "list", error))?,
    };
    for entry in entries {
        let entry = entry.map_err(|error| Error::io(&staging, "list", error))?;
        let staged = entry.file_name().to_str().and_then(segment_of);
        if let Some((day, id)) = staged.filter(|(day, id)| !manifest.names(*day, *id)) {
            store.delete_all(&segment_path(day, id)?)?;
        }
    }
    remove(dir)
}

/// Forgets what was staged: it is in its place, and the list names it.
pub(super) fn remove(dir: &Path) -> Result<(), Error> {
    let staging = staging(dir);
    match fs::remove_dir_all(&staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(staging, "remove", error))
        }
        _ => Ok(()),
    }
}

/// What a staged segment's folder is called, so that after a crash its files are found in the
/// store too.
fn folder(day: Day, id: u64) -> String {
    format!("{id}_{day}")
}

fn segment_of(folder: &str) -> Option<(Day, u64)> {
    let (id, day) = folder.split_once('_')?;
    Some((day.parse().ok()?, id.parse().ok()?))
}

fn staging(dir: &Path) -> PathBuf {
    dir.join("staging")
}

impl Keeper {
    /// Makes room for a segment of a day.
    pub(super) fn stage(&mut self, day: Day) -> Result<Staged, Error> {
        let id = self.manifest.next_segment;
        self.manifest.next_segment += 1;
        let dir = staging(self.home.dir()).join(folder(day, id));
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
            .create(&dir)
            .map_err(|error| Error::io(&dir, "create", error))?;
        let key = if self.home.settings().encrypted {
            let key = self.shelf.keys().get_or_create(day)?;
            Some(segment_key(&key, day, id)?)
        } else {
            None
        };
        Ok(Staged { day, id, dir, key })
    }

    /// Puts a segment's files in their place, where nobody looks before the list names them.
    pub(super) fn shelve(
        &self,
        staged: &Staged,
        files: &[FileSummary],
    ) -> Result<Vec<FileEntry>, Error> {
        let folder = segment_path(staged.day, staged.id)?;
        let mut entries = Vec::new();
        for file in files {
            let path = folder.join(file.name)?;
            self.shelf
                .store()
                .put_file(&path, &staged.dir.join(file.name))?;
            entries.push(FileEntry {
                name: file.name.to_owned(),
                bytes: file.bytes,
                sha256: hex(&file.sha256),
            });
        }
        Ok(entries)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to memory cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
