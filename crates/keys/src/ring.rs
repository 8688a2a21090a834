//! The ring: a folder of wrapped keys.

use std::{
    fmt,
    fs::File,
    io::ErrorKind,
    path::Path,
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use crate::{DataKey, Error, Flaw, KeyName, MasterKey, WrappedKey, disk::Disk};

/// While this file is there, a change of the master key is under way that must be finished:
/// all new files are written, not all are in place.
const CHANGE: &str = "CHANGE";

/// A folder of data keys, each wrapped by the master key. Any number of processes may use one
/// ring; they take turns to change it.
///
/// What is not yet or no longer a key ends in `~` and a word, which no key's name holds: `~tmp`
/// is being written, `~new` waits for a change of the master key, `~gone` is being destroyed.
pub struct KeyRing {
    disk: Disk,
    /// Held for reading by whoever unwraps, so that no one sees half a change of it.
    master: RwLock<MasterKey>,
}

/// What [`KeyRing::destroy`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destroyed {
    /// The key was there and is gone.
    Destroyed,
    /// There was no such key.
    WasNotThere,
}

impl KeyRing {
    /// The ring in the folder `dir`, made (for its owner alone) where there is none. What a crash
    /// left half done is finished or taken back.
    ///
    /// # Errors
    /// When the folder cannot be read or written, and when its keys are wrapped by another
    /// master key.
    pub fn open(dir: &Path, master: MasterKey) -> Result<Self, Error> {
        let ring = Self {
            disk: Disk::open(dir)?,
            master: RwLock::new(master),
        };
        let names = ring.disk.names()?;
        if names
            .iter()
            .any(|name| name.contains('~') || name == CHANGE)
        {
            match ring.change() {
                // Whoever may only read leaves it to the next who may write.
                Err(Error::Io { source, .. }) if is_forbidden(source.kind()) => {}
                settled => drop(settled?),
            }
        }
        ring.check_master(&ring.master())?;
        Ok(ring)
    }

    /// The key of that name; `None` where there is none, or none any more.
    ///
    /// # Errors
    /// When the file cannot be read, was damaged or swapped, or is wrapped by another master key.
    pub fn get(&self, name: &KeyName) -> Result<Option<DataKey>, Error> {
        self.read(name, &self.master())
    }

    /// The key of that name, made where there is none. It is durable when it is returned, and
    /// whoever asks at the same time, here or in another process, gets the same one.
    ///
    /// # Errors
    /// As [`KeyRing::get`], and when the new key cannot be written.
    pub fn get_or_create(&self, name: &KeyName) -> Result<DataKey, Error> {
        let master = self.master();
        if let Some(key) = self.read(name, &master)? {
            // Whoever made it may not have come to this yet.
            self.disk.sync()?;
            return Ok(key);
        }
        let _turn = self.change()?;
        self.check_master(&master)?;
        let (file, temporary) = (key_file(name), format!("{name}.key~tmp"));
        let wrapped = WrappedKey::wrap(name, &DataKey::random()?, &master)?;
        self.disk
            .write_new(&temporary, wrapped.to_text().as_bytes())?;
        // A link is never made over another file, even where locks do not work: who comes second
        // uses the first one's key.
        self.disk.link(&temporary, &file)?;
        self.disk.remove(&temporary)?;
        self.disk.sync()?;
        self.read(name, &master)?.ok_or_else(|| {
            let gone = std::io::Error::from(ErrorKind::NotFound);
            Error::io(self.disk.path(&file), "read back", gone)
        })
    }

    /// Destroys a key, so that nothing encrypted with it is ever read again. When this returns it
    /// is gone for good; after a crash it is there as before, or gone once the ring is opened.
    ///
    /// # Errors
    /// When the file cannot be renamed, overwritten or removed.
    pub fn destroy(&self, name: &KeyName) -> Result<Destroyed, Error> {
        let _turn = self.change()?;
        let (file, gone) = (key_file(name), format!("{name}.key~gone"));
        if self.disk.read(&file)?.is_none() {
            return Ok(Destroyed::WasNotThere);
        }
        // Renamed first: no reader meets a half overwritten key, and a crash is seen by its name.
        self.disk.rename(&file, &gone)?;
        self.disk.sync()?;
        self.disk.shred(&gone)?;
        self.disk.sync()?;
        Ok(Destroyed::Destroyed)
    }

    /// The names of all keys, in order.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn names(&self) -> Result<Vec<KeyName>, Error> {
        let files = self.disk.names()?;
        let mut names: Vec<_> = files.iter().filter_map(|file| key_name(file, "")).collect();
        // The files are in another order: "a-b.key" comes before "a.key".
        names.sort();
        Ok(names)
    }

    /// Wraps all keys by another master key, which this ring uses from then on, and says how many
    /// there are. After a crash all keys are under the old master key, or all under the new one
    /// once the ring is opened. Other processes must open the ring again with the new one.
    ///
    /// # Errors
    /// When a key cannot be unwrapped (nothing is changed then) or a file cannot be written.
    pub fn rewrap(&self, new: &MasterKey) -> Result<usize, Error> {
        let mut master = self.master.write().unwrap_or_else(PoisonError::into_inner);
        let _turn = self.change()?;
        let names = self.names()?;
        for name in &names {
            if let Some(key) = self.read(name, &master)? {
                let wrapped = WrappedKey::wrap(name, &key, new)?;
                self.disk
                    .write_new(&format!("{name}.key~new"), wrapped.to_text().as_bytes())?;
            }
        }
        self.disk.sync()?;
        self.disk.write_new(CHANGE, b"")?;
        self.disk.sync()?;
        // From here on there is no way back.
        *master = new.clone();
        self.settle()?;
        Ok(names.len())
    }

    /// Waits for this ring's turn to change, and finishes what a crash left.
    fn change(&self) -> Result<File, Error> {
        let turn = self.disk.lock()?;
        self.settle()?;
        Ok(turn)
    }

    /// Finishes or takes back what a crash left half done. Only with the lock.
    fn settle(&self) -> Result<(), Error> {
        let files = self.disk.names()?;
        let left: Vec<&String> = files.iter().filter(|file| file.contains('~')).collect();
        let change = files.iter().any(|file| file == CHANGE);
        for file in &left {
            if let Some(name) = key_name(file, "~new") {
                if change {
                    self.disk.replace(file, &key_file(&name))?;
                } else {
                    self.disk.shred(file)?;
                }
            } else if key_name(file, "~gone").is_some() {
                self.disk.shred(file)?;
            } else if key_name(file, "~tmp").is_some() {
                // Never overwritten: it may be the second name of a key that is in use.
                self.disk.remove(file)?;
            }
        }
        if change {
            self.disk.sync()?;
            self.disk.remove(CHANGE)?;
        }
        if change || !left.is_empty() {
            self.disk.sync()?;
        }
        Ok(())
    }

    /// Refuses a master key that is not the ring's, by the first key that can be read: a ring
    /// with keys under two master keys is of use to nobody.
    fn check_master(&self, master: &MasterKey) -> Result<(), Error> {
        for name in self.names()? {
            let file = key_file(&name);
            let wrapped = self
                .disk
                .read(&file)?
                .map(|bytes| WrappedKey::parse(&bytes));
            if let Some(Ok(wrapped)) = wrapped {
                return self.check_wrapped(&file, &wrapped, master);
            }
        }
        Ok(())
    }

    fn check_wrapped(
        &self,
        file: &str,
        wrapped: &WrappedKey,
        master: &MasterKey,
    ) -> Result<(), Error> {
        if wrapped.master() == master.id() {
            return Ok(());
        }
        Err(Error::WrongMaster {
            path: self.disk.path(file),
            wrapped: wrapped.master(),
            given: master.id(),
        })
    }

    fn read(&self, name: &KeyName, master: &MasterKey) -> Result<Option<DataKey>, Error> {
        let file = key_file(name);
        let Some(bytes) = self.disk.read(&file)? else {
            return Ok(None);
        };
        let damaged = |flaw| Error::Damaged {
            path: self.disk.path(&file),
            flaw,
        };
        let wrapped = WrappedKey::parse(&bytes).map_err(damaged)?;
        if wrapped.name() != name {
            return Err(Error::Swapped {
                path: self.disk.path(&file),
                found: wrapped.name().clone(),
            });
        }
        self.check_wrapped(&file, &wrapped, master)?;
        wrapped
            .unwrap_by(master)
            .map(Some)
            .map_err(|_| damaged(Flaw::Unauthentic))
    }

    fn master(&self) -> RwLockReadGuard<'_, MasterKey> {
        self.master.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({})", self.disk.path("").display())
    }
}

fn key_file(name: &KeyName) -> String {
    format!("{name}.key")
}

/// Whose file this is, of those whose names end in `end` after `.key`.
fn key_name(file: &str, end: &str) -> Option<KeyName> {
    KeyName::new(file.strip_suffix(end)?.strip_suffix(".key")?).ok()
}

fn is_forbidden(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
    )
}

#[cfg(test)]
mod tests;
