//! The store's folder: its manifest, its files, and the keys of both.

#[cfg(unix)]
use std::os::unix::fs::DirBuilderExt;
use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use portledger_keys::{DataKey, KeyName, KeyRing, Sealing};

use crate::{
    Error, Flaw, Manifest,
    steps::Steps,
    table::{Part, Table},
};

const MANIFEST: &str = "MANIFEST";
const NEW_MANIFEST: &str = "MANIFEST.new";
const MANIFEST_KEY: &str = "identities";
const FILE_KEY: &str = "identities-";

/// A manifest that changes faster than its files can be opened this many times over does so
/// because files are missing.
const ATTEMPTS: u32 = 5;

/// The store's folder and the ring with the keys of its files.
pub(super) struct Folder {
    dir: PathBuf,
    keys: KeyRing,
    sealing: Sealing,
    pub(super) steps: Steps,
}

/// The files as a manifest lists them.
#[derive(Default)]
pub(super) struct Snapshot {
    /// The manifest as it lies in the folder: no two are equal, since each is sealed anew.
    bytes: Vec<u8>,
    numbers: Vec<u64>,
    /// The oldest first.
    pub(super) tables: Vec<Arc<Table>>,
}

impl Folder {
    pub(super) fn open(dir: &Path, keys: KeyRing, steps: Steps) -> Result<Self, Error> {
        let name = key_name(MANIFEST_KEY)?;
        let manifest = dir.join(MANIFEST);
        if !manifest.exists() {
            make(dir)?;
        }
        let lock = match lock(dir) {
            Ok(lock) => Some(lock),
            // Another process changes the store, and clears up; or we may only read it.
            Err(Error::Locked { .. }) => None,
            Err(Error::Io { source, .. }) if is_forbidden(source.kind()) => None,
            Err(error) => return Err(error),
        };
        // Under the lock: whoever comes second finds what the first made.
        let fresh = !manifest.exists();
        if fresh && lock.is_none() {
            return Err(Error::Locked { dir: dir.into() });
        }
        let of_a_file = |key: &KeyName| key.as_str().starts_with(FILE_KEY);
        if fresh && keys.names()?.iter().any(of_a_file) {
            return Err(Error::NoManifest { dir: dir.into() });
        }
        let key = if fresh {
            keys.get_or_create(&name)?
        } else {
            let missing = || Error::NoKey {
                file: manifest.clone(),
                key: name.clone(),
            };
            keys.get(&name)?.ok_or_else(missing)?
        };
        let folder = Self {
            dir: dir.to_owned(),
            keys,
            sealing: key.sealing("manifest 1"),
            steps,
        };
        if fresh {
            folder.write(&Manifest::new())?;
        } else if lock.is_some() {
            folder.settle()?;
        }
        Ok(folder)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether the manifest is still that of the snapshot.
    pub(super) fn is_current(&self, snapshot: &Snapshot) -> Result<bool, Error> {
        Ok(self.manifest_bytes()? == snapshot.bytes)
    }

    /// The files as the manifest lists them now; those of `known` are not opened again.
    pub(super) fn snapshot(&self, known: &Snapshot) -> Result<Snapshot, Error> {
        let mut attempts = ATTEMPTS;
        loop {
            let bytes = self.manifest_bytes()?;
            match self.open_files(&bytes, known) {
                Ok(snapshot) => return Ok(snapshot),
                // Between reading the manifest and opening a file it may have been replaced.
                Err(_) if attempts > 1 && self.manifest_bytes()? != bytes => attempts -= 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the turn to change the store, clears up what a crash left, and gives the manifest.
    pub(super) fn change(&self) -> Result<(File, Manifest), Error> {
        let lock = lock(&self.dir)?;
        Ok((lock, self.settle()?))
    }

    /// Destroys the files that do not count, and their keys. Only with the lock.
    pub(super) fn settle(&self) -> Result<Manifest, Error> {
        let mut manifest = self.read(&self.manifest_bytes()?)?;
        if manifest.drops.is_empty() {
            return Ok(manifest);
        }
        for number in std::mem::take(&mut manifest.drops) {
            // The key first: without it the file is noise, wherever copies of it are.
            self.steps.step(&self.dir)?;
            self.keys.destroy(&file_key(number)?)?;
            self.remove_files(number)?;
        }
        self.steps.sync_folder(&self.dir)?;
        self.write(&manifest)?;
        Ok(manifest)
    }

    /// Puts a manifest in place: from then on it counts, whatever happens.
    pub(super) fn write(&self, manifest: &Manifest) -> Result<(), Error> {
        let text = manifest.write(&self.sealing)?;
        let path = self.dir.join(NEW_MANIFEST);
        let mut file = self.steps.create(&path)?;
        self.steps.write(&mut file, &path, text.as_bytes())?;
        self.steps.sync(&file, &path)?;
        self.steps.rename(&path, &self.dir.join(MANIFEST))?;
        self.steps.sync_folder(&self.dir)
    }

    /// The key of a new file.
    pub(super) fn new_key(&self, number: u64) -> Result<DataKey, Error> {
        self.steps.step(&self.dir)?;
        Ok(self.keys.get_or_create(&file_key(number)?)?)
    }

    pub(super) fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{}.pli", file_stem(number)))
    }

    fn manifest_bytes(&self) -> Result<Vec<u8>, Error> {
        let path = self.dir.join(MANIFEST);
        fs::read(&path).map_err(|source| Error::io(path, "read", source))
    }

    fn read(&self, bytes: &[u8]) -> Result<Manifest, Error> {
        Manifest::read(bytes, &self.sealing)
            .map_err(|flaw: Flaw| Error::damaged(self.dir.join(MANIFEST), flaw))
    }

    fn open_files(&self, bytes: &[u8], known: &Snapshot) -> Result<Snapshot, Error> {
        let manifest = self.read(bytes)?;
        let mut tables = Vec::with_capacity(manifest.files.len());
        for number in &manifest.files {
            let open = known.numbers.iter().position(|known| known == number);
            let open = open.and_then(|place| known.tables.get(place));
            tables.push(match open {
                Some(table) => Arc::clone(table),
                None => Arc::new(self.open_file(*number)?),
            });
        }
        Ok(Snapshot {
            bytes: bytes.to_vec(),
            numbers: manifest.files,
            tables,
        })
    }

    fn open_file(&self, number: u64) -> Result<Table, Error> {
        let (file, key) = (self.path(number), file_key(number)?);
        match self.keys.get(&key)? {
            Some(key) => Table::open(&file, Part::Whole, &key),
            None => Err(Error::NoKey { file, key }),
        }
    }

    /// Removes a file, and the runs it was sorted from.
    fn remove_files(&self, number: u64) -> Result<(), Error> {
        let failed = |source| Error::io(&self.dir, "list", source);
        let start = format!("{}.", file_stem(number));
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let ours = |name: &str| name.starts_with(&start);
            if entry.file_name().to_str().is_some_and(ours) {
                self.steps.remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn file_stem(number: u64) -> String {
    format!("{FILE_KEY}{number:010}")
}

fn file_key(number: u64) -> Result<KeyName, Error> {
    key_name(&file_stem(number))
}

fn key_name(name: &str) -> Result<KeyName, Error> {
    // At most 31 letters and digits: it is one.
    KeyName::new(name).map_err(|_| Error::TooMany)
}

/// Makes the folder, durable, for its owner alone.
fn make(dir: &Path) -> Result<(), Error> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    builder.mode(0o700);
    builder
        .recursive(true)
        .create(dir)
        .map_err(|source| Error::io(dir, "make the folder", source))?;
    match dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => Steps::new().sync_folder(parent),
        None => Ok(()),
    }
}

/// The turn to change the store, which the system gives back when the process ends.
fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("LOCK");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| Error::io(&path, "open", source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { dir: dir.into() }),
        Err(TryLockError::Error(source)) => Err(Error::io(path, "lock", source)),
    }
}

fn is_forbidden(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
    )
}
